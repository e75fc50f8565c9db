//! What differs between SQL databases: types, quoting, how a write transaction begins, and the sqlx types behind them.

use sqlx::Sqlite;

pub(super) type Db = Sqlite;
pub(super) type Pool = sqlx::Pool<Db>;
pub(super) type Tx = sqlx::Transaction<'static, Db>;
pub(super) type Row = sqlx::sqlite::SqliteRow;

/// Takes the write lock at once, so that what the transaction reads cannot change before it writes.
pub(super) const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

const PAYLOAD: &str = "BLOB";
const SERIAL: &str = "INTEGER PRIMARY KEY AUTOINCREMENT";
const QUOTE: char = '"';

/// Replaces `{name}`: `{payload}` and `{serial}` are types, `{end}` is the quoted column, all else is a table.
pub(super) fn render(text: &str, prefix: &str) -> String {
    let mut out = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, tail)) = after.split_once('}') else {
            out.push('{');
            rest = after;
            continue;
        };
        match name {
            "payload" => out.push_str(PAYLOAD),
            "serial" => out.push_str(SERIAL),
            "end" => out.extend([QUOTE, 'e', 'n', 'd', QUOTE]),
            table => {
                out.push_str(prefix);
                out.push('_');
                out.push_str(table);
            }
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}
