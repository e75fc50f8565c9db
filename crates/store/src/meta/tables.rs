//! Whole tables, row by row, for the tools that move a store: reading in pages, inserting what is not there yet, emptying.

use ovate_base::{DruidError, Result};

use super::MetadataStore;
use super::db::{Arg, Row, Tx};
use super::dialect::Dialect;
use super::schema::{ColumnKind, TableShape, shape};

/// A cell of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawValue {
    Null,
    Text(String),
    Int(i64),
    Bool(bool),
    Bytes(Vec<u8>),
}

/// Rows of one page, and of one transaction of an import.
const PAGE_ROWS: i64 = 1000;

impl MetadataStore {
    /// Names of a table's columns, in Druid's order.
    pub fn table_columns(token: &str) -> Result<Vec<(&'static str, ColumnKind)>> {
        Ok(known(token)?.columns)
    }

    /// Rows of a table after one whose key is `after`, in the order of the keys; empty at the end.
    pub async fn table_page(&self, token: &str, after: Option<&RawValue>) -> Result<Vec<Vec<RawValue>>> {
        let shape = known(token)?;
        let names: Vec<&str> = shape.columns.iter().map(|(name, _)| quoted(name)).collect();
        let key = shape.columns[shape.key].0;
        let condition = if after.is_some() { format!("WHERE {key} > ?") } else { String::new() };
        let sql = format!("SELECT {} FROM {{{token}}} {condition} ORDER BY {key} LIMIT ?", names.join(", "));
        let mut statement = self.q(&sql);
        if let Some(after) = after {
            statement = statement.bind(arg(after));
        }
        let kinds: Vec<ColumnKind> = shape.columns.iter().map(|(_, kind)| *kind).collect();
        statement.bind(PAGE_ROWS).map(|row| cells(&row, &kinds)).await
    }

    /// The key of a row that `table_page` gave.
    pub fn table_key(token: &str, row: &[RawValue]) -> Result<RawValue> {
        let key = known(token)?.key;
        row.get(key).cloned().ok_or_else(|| DruidError::invalid_input(format!("a row of [{token}] without its key")))
    }

    /// Inserts rows with these columns; one whose key is there already is left alone. Gives how many were new.
    pub async fn import_rows(&self, token: &str, columns: &[&str], rows: &[Vec<RawValue>]) -> Result<u64> {
        let shape = known(token)?;
        let key = shape.columns[shape.key].0;
        let Some(at) = columns.iter().position(|name| *name == key) else {
            return Err(DruidError::invalid_input(format!("rows of [{token}] without the column [{key}]")));
        };
        let mut new = 0;
        for some in rows.chunks(PAGE_ROWS as usize) {
            new += self.retry(|| self.import_some(token, columns, at, some)).await?;
        }
        if self.dialect() == Dialect::Postgres && shape.columns[shape.key].1 == ColumnKind::Serial {
            let table = self.tables.name(token);
            let sql =
                format!("SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT COALESCE(MAX(id), 1) FROM {{{token}}}))");
            self.q(&sql).all().await?;
        }
        Ok(new)
    }

    async fn import_some(&self, token: &str, columns: &[&str], key: usize, rows: &[Vec<RawValue>]) -> Result<u64> {
        let mut tx = self.write().await?;
        let mut new = 0;
        for row in rows {
            new += u64::from(self.import_row(&mut tx, token, columns, key, row).await?);
        }
        tx.commit().await?;
        Ok(new)
    }

    async fn import_row(&self, tx: &mut Tx, token: &str, columns: &[&str], key: usize, row: &[RawValue]) -> Result<bool> {
        if row.len() != columns.len() {
            return Err(DruidError::invalid_input(format!("a row of [{token}] has {} values, not {}", row.len(), columns.len())));
        }
        let known = self.q(&format!("SELECT {} FROM {{{token}}} WHERE {} = ?", columns[key], columns[key])).bind(arg(&row[key]));
        if known.one_in(tx).await?.is_some() {
            return Ok(false);
        }
        // A null has no type of its own in PostgreSQL; columns without a value are left out.
        let given: Vec<usize> = (0..row.len()).filter(|at| row[*at] != RawValue::Null).collect();
        let names: Vec<&str> = given.iter().map(|at| quoted(columns[*at])).collect();
        let marks = vec!["?"; given.len()].join(", ");
        let sql = format!("INSERT INTO {{{token}}} ({}) VALUES ({marks})", names.join(", "));
        let statement = given.iter().fold(self.q(&sql), |statement, at| statement.bind(arg(&row[*at])));
        statement.run_in(tx).await?;
        Ok(true)
    }

    /// Deletes every row of a table; gives how many there were.
    pub async fn empty_table(&self, token: &str) -> Result<u64> {
        known(token)?;
        self.retry(|| async {
            let mut tx = self.write().await?;
            let count = self.q(&format!("DELETE FROM {{{token}}}")).run_in(&mut tx).await?;
            tx.commit().await?;
            Ok(count)
        })
        .await
    }

    /// Gives rows from before `used_status_last_updated` a time (`metadata-update`); gives how many.
    pub async fn fill_used_status_times(&self) -> Result<u64> {
        self.retry(|| async {
            let mut tx = self.write().await?;
            let sql = "UPDATE {segments} SET used_status_last_updated = ? WHERE used_status_last_updated IS NULL";
            let count = self.q(sql).bind(super::now_text()).run_in(&mut tx).await?;
            tx.commit().await?;
            Ok(count)
        })
        .await
    }
}

fn known(token: &str) -> Result<TableShape> {
    shape(token).ok_or_else(|| DruidError::invalid_input(format!("there is no metadata table [{token}]")))
}

/// `end` is a word of SQL.
fn quoted(name: &str) -> &str {
    if name == "end" { "{end}" } else { name }
}

fn arg(value: &RawValue) -> Arg {
    match value {
        RawValue::Null => Arg::Text(None),
        RawValue::Text(text) => Arg::Text(Some(text.clone())),
        RawValue::Int(number) => Arg::Int(*number),
        RawValue::Bool(flag) => Arg::Bool(*flag),
        RawValue::Bytes(bytes) => Arg::Bytes(bytes.clone()),
    }
}

fn cells(row: &Row, kinds: &[ColumnKind]) -> Result<Vec<RawValue>> {
    let cell = |(column, kind): (usize, &ColumnKind)| {
        Ok(match kind {
            ColumnKind::Text => row.get::<Option<String>>(column)?.map_or(RawValue::Null, RawValue::Text),
            ColumnKind::Serial => RawValue::Int(row.get(column)?),
            ColumnKind::Flag => RawValue::Bool(row.get(column)?),
            ColumnKind::Payload => row.get::<Option<Vec<u8>>>(column)?.map_or(RawValue::Null, RawValue::Bytes),
        })
    };
    kinds.iter().enumerate().map(cell).collect()
}
