//! What differs between SQL databases: types, quoting, placeholders, locking clauses and what happens to a row that is
//! there already. SQL is written once, with `?` and `{tokens}`; `render` turns it into one database's text.

use super::options::TableNames;

/// Which database answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgres,
    /// MySQL and MariaDB.
    Mysql,
}

impl Dialect {
    fn payload(self) -> &'static str {
        match self {
            Dialect::Sqlite => "BLOB",
            Dialect::Postgres => "BYTEA",
            Dialect::Mysql => "LONGBLOB",
        }
    }

    fn serial(self) -> &'static str {
        match self {
            Dialect::Sqlite => "INTEGER PRIMARY KEY AUTOINCREMENT",
            Dialect::Postgres => "BIGSERIAL NOT NULL PRIMARY KEY",
            Dialect::Mysql => "BIGINT(20) NOT NULL AUTO_INCREMENT PRIMARY KEY",
        }
    }

    fn quote(self) -> char {
        match self {
            Dialect::Sqlite | Dialect::Postgres => '"',
            Dialect::Mysql => '`',
        }
    }

    /// Takes the write lock at once where the database has a single one, so that what is read cannot change before the write.
    pub(super) fn begin(self) -> &'static str {
        match self {
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            Dialect::Postgres => "BEGIN",
            Dialect::Mysql => "START TRANSACTION",
        }
    }

    /// SQL for this database. `?` are placeholders; of the tokens, `{payload}` and `{serial}` are types, `{end}` is the
    /// quoted column, `{collation}` belongs to columns with data source names, `{for_update}` locks the rows read,
    /// `{keep:column}` ends an INSERT that leaves a row alone which is there already; all others are tables.
    pub(super) fn render(self, text: &str, tables: &TableNames) -> String {
        let mut out = String::with_capacity(text.len() + 48);
        let mut rest = text;
        let mut placeholders = 0;
        while let Some(at) = rest.find(['{', '?']) {
            out.push_str(&rest[..at]);
            if rest[at..].starts_with('?') {
                placeholders += 1;
                match self {
                    Dialect::Postgres => out.push_str(&format!("${placeholders}")),
                    Dialect::Sqlite | Dialect::Mysql => out.push('?'),
                }
                rest = &rest[at + 1..];
                continue;
            }
            let (name, tail) = rest[at + 1..].split_once('}').expect("our own SQL closes its tokens");
            self.token(name, tables, &mut out);
            rest = tail;
        }
        out.push_str(rest);
        out
    }

    fn token(self, name: &str, tables: &TableNames, out: &mut String) {
        match name {
            "payload" => out.push_str(self.payload()),
            "serial" => out.push_str(self.serial()),
            "end" => out.extend([self.quote(), 'e', 'n', 'd', self.quote()]),
            "collation" if self == Dialect::Mysql => out.push_str(" CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"),
            "collation" => {}
            // A writer in SQLite is alone already.
            "for_update" if self == Dialect::Sqlite => {}
            "for_update" => out.push_str(" FOR UPDATE"),
            _ => match name.strip_prefix("keep:") {
                Some(column) if self == Dialect::Mysql => out.push_str(&format!("ON DUPLICATE KEY UPDATE {column} = {column}")),
                Some(_) => out.push_str("ON CONFLICT DO NOTHING"),
                None => out.push_str(&tables.name(name)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_becomes_each_databases_own() {
        let tables = TableNames::default();
        let text = "SELECT {end} FROM {segments} WHERE id = ? AND used = ?{for_update}";
        let render = |dialect: Dialect| dialect.render(text, &tables);
        assert_eq!(render(Dialect::Sqlite), "SELECT \"end\" FROM druid_segments WHERE id = ? AND used = ?");
        assert_eq!(render(Dialect::Postgres), "SELECT \"end\" FROM druid_segments WHERE id = $1 AND used = $2 FOR UPDATE");
        assert_eq!(render(Dialect::Mysql), "SELECT `end` FROM druid_segments WHERE id = ? AND used = ? FOR UPDATE");
        let keep = |dialect: Dialect| dialect.render("{keep:id}", &tables);
        assert_eq!(keep(Dialect::Postgres), "ON CONFLICT DO NOTHING");
        assert_eq!(keep(Dialect::Mysql), "ON DUPLICATE KEY UPDATE id = id");
    }
}
