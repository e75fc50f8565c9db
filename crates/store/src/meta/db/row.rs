//! Rows of any of the databases and their cells. Texts of MySQL's `_bin` collations announce themselves as binary, so
//! types are not compared: our statements know what they select.

use ovate_base::Result;
use sqlx::Decode;
use sqlx::Row as _;
use sqlx::mysql::{MySql, MySqlRow};
use sqlx::postgres::{PgRow, Postgres};
use sqlx::sqlite::{Sqlite, SqliteRow};

use super::sql_error;

/// One row.
pub(in crate::meta) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
    Mysql(MySqlRow),
}

/// What a cell can be read as.
pub(in crate::meta) trait Cell:
    for<'r> Decode<'r, Sqlite> + for<'r> Decode<'r, Postgres> + for<'r> Decode<'r, MySql>
{
}

impl<T: for<'r> Decode<'r, Sqlite> + for<'r> Decode<'r, Postgres> + for<'r> Decode<'r, MySql>> Cell for T {}

impl Row {
    /// The cell of a column, counted from 0.
    pub(in crate::meta) fn get<T: Cell>(&self, column: usize) -> Result<T> {
        match self {
            Row::Sqlite(row) => row.try_get_unchecked(column),
            Row::Postgres(row) => row.try_get_unchecked(column),
            Row::Mysql(row) => row.try_get_unchecked(column),
        }
        .map_err(sql_error)
    }

    /// A payload, without copying it.
    pub(in crate::meta) fn bytes(&self, column: usize) -> Result<&[u8]> {
        match self {
            Row::Sqlite(row) => row.try_get_unchecked(column),
            Row::Postgres(row) => row.try_get_unchecked(column),
            Row::Mysql(row) => row.try_get_unchecked(column),
        }
        .map_err(sql_error)
    }

    /// A number that MySQL gives as unsigned.
    pub(super) fn unsigned(&self, column: usize) -> Result<i64> {
        match self {
            Row::Mysql(row) => {
                let number: u64 = row.try_get_unchecked(column).map_err(sql_error)?;
                Ok(number as i64)
            }
            Row::Sqlite(_) | Row::Postgres(_) => self.get(column),
        }
    }
}
