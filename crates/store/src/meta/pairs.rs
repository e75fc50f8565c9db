//! Two text columns of a table in any database that the metadata store could be in: what a lookup over JDBC reads.

use std::path::Path;

use ovate_base::{Properties, Result};

use super::{Dialect, MetadataOptions, MetadataStore};

/// Where a table of pairs is and what of it is read (`JdbcExtractionNamespace`).
#[derive(Debug, Clone)]
pub struct PairsSource {
    pub connect_uri: String,
    pub user: Option<String>,
    pub password: Option<String>,
    pub table: String,
    pub key_column: String,
    pub value_column: String,
    /// A condition in the database's own SQL.
    pub filter: Option<String>,
    /// A column that grows with every change.
    pub ts_column: Option<String>,
}

/// What was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pairs {
    /// Rows with a key; a value may be null.
    pub rows: Vec<(String, Option<String>)>,
    /// The largest value of the time column.
    pub newest: Option<String>,
}

impl PairsSource {
    async fn connect(&self) -> Result<MetadataStore> {
        let mut properties = Properties::default();
        let mut set = |field: &str, value: &str| properties.set(format!("druid.metadata.storage.connector.{field}"), value);
        set("connectURI", &self.connect_uri);
        set("createTables", "false");
        set("dbcp.maxTotal", "2");
        if let Some(user) = &self.user {
            set("user", user);
        }
        if let Some(password) = &self.password {
            set("password", password);
        }
        MetadataStore::connect(&MetadataOptions::from_properties(&properties, Path::new("."), &|_| None)?).await
    }

    /// Reads the pairs, unless the time column says that nothing has changed since `known`; then `None`.
    pub async fn read(&self, known: Option<&str>) -> Result<Option<Pairs>> {
        let store = self.connect().await?;
        let read = self.read_from(&store, known).await;
        store.close().await;
        read
    }

    async fn read_from(&self, store: &MetadataStore, known: Option<&str>) -> Result<Option<Pairs>> {
        let (quote, text) = match store.dialect() {
            Dialect::Mysql => ('`', "CHAR"),
            Dialect::Postgres | Dialect::Sqlite => ('"', "TEXT"),
        };
        // Druid writes names as they are given: `schema.table` stays two names.
        let quoted = |name: &str| {
            let part = |part: &str| format!("{quote}{}{quote}", part.replace(quote, &format!("{quote}{quote}")));
            name.split('.').map(part).collect::<Vec<_>>().join(".")
        };
        let one = |name: &str| format!("CAST({} AS {text})", quoted(name));
        let table = quoted(&self.table);
        let condition = self.filter.as_ref().filter(|filter| !filter.trim().is_empty());
        let mut newest = None;
        if let Some(column) = &self.ts_column {
            let sql = format!("SELECT CAST(MAX({}) AS {text}) FROM {table}", quoted(column));
            newest = store.raw(sql).map(|row| row.get::<Option<String>>(0)).await?.pop().flatten();
            if newest.is_some() && newest.as_deref() == known {
                return Ok(None);
            }
        }
        let (key, value) = (quoted(&self.key_column), quoted(&self.value_column));
        let mut conditions = vec![format!("{key} IS NOT NULL"), format!("{value} IS NOT NULL")];
        conditions.extend(condition.map(|filter| format!("({filter})")));
        let sql = format!(
            "SELECT {}, {} FROM {table} WHERE {}",
            one(&self.key_column),
            one(&self.value_column),
            conditions.join(" AND ")
        );
        let rows = store.raw(sql).map(|row| Ok((row.get::<String>(0)?, row.get::<Option<String>>(1)?))).await?;
        Ok(Some(Pairs { rows, newest }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pairs_are_read_again_only_when_the_time_column_has_grown() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("pairs.db");
        let store = MetadataStore::open_sqlite(&file).await.expect("a database");
        let run = async |sql: &str| store.raw(sql.to_owned()).run().await.expect(sql);
        run("CREATE TABLE codes (code INTEGER, \"full name\" TEXT, changed INTEGER)").await;
        run("INSERT INTO codes VALUES (1, 'one', 10), (2, 'two', 20), (3, NULL, 5), (4, 'fo?ur', 6)").await;
        let source = PairsSource {
            connect_uri: format!("jdbc:sqlite:{}", file.display()),
            user: None,
            password: None,
            table: "codes".to_owned(),
            key_column: "code".to_owned(),
            value_column: "full name".to_owned(),
            filter: Some("code <> 2 OR 'a?' = 'b'".to_owned()),
            ts_column: Some("changed".to_owned()),
        };
        let read = source.read(None).await.expect("pairs").expect("a first time");
        let mut rows = read.rows.clone();
        rows.sort();
        let pair = |key: &str, value: &str| (key.to_owned(), Some(value.to_owned()));
        assert_eq!(rows, [pair("1", "one"), pair("4", "fo?ur")]);
        assert_eq!(source.read(read.newest.as_deref()).await.expect("an answer"), None);
        run("INSERT INTO codes VALUES (5, 'five', 30)").await;
        let again = source.read(read.newest.as_deref()).await.expect("pairs").expect("a change");
        assert_eq!((again.rows.len(), again.newest.as_deref()), (3, Some("30")));
        let absent = PairsSource { table: "nothing".to_owned(), ..source };
        assert!(absent.read(None).await.is_err());
    }
}
