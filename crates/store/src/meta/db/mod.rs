//! Statements over one of three databases: a pool, a connection that may be inside a transaction, rows and their cells.
//! Every wait on the database has a deadline, and a connection that was left in the middle of an answer is never reused.

mod connect;
mod connection;
mod retry;
mod row;

use std::time::Duration;

use futures::TryStreamExt as _;
use ovate_base::Result;
use sqlx::AssertSqlSafe;
use sqlx::mysql::MySqlPool;
use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;

use super::MetadataStore;
use super::dialect::Dialect;
pub(super) use connect::{in_memory, open};
pub(super) use connection::Tx;
use connection::{Connection, Kind};
use retry::{Patience, timed_out};
pub(super) use retry::{is_transient, sql_error};
pub(super) use row::Row;

/// Connections to one database.
#[derive(Debug, Clone)]
pub(super) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
    Mysql(MySqlPool),
}

impl Pool {
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Pool::Sqlite(_) => Dialect::Sqlite,
            Pool::Postgres(_) => Dialect::Postgres,
            Pool::Mysql(_) => Dialect::Mysql,
        }
    }

    pub(super) async fn close(&self) {
        let closing = async {
            match self {
                Pool::Sqlite(pool) => pool.close().await,
                Pool::Postgres(pool) => pool.close().await,
                Pool::Mysql(pool) => pool.close().await,
            }
        };
        // A database that is away must not hold up the end of the process.
        let _ = tokio::time::timeout(Duration::from_secs(5), closing).await;
    }

    async fn acquire(&self) -> Result<Connection> {
        let kind = match self {
            Pool::Sqlite(pool) => Kind::Sqlite(pool.acquire().await.map_err(sql_error)?),
            Pool::Postgres(pool) => Kind::Postgres(pool.acquire().await.map_err(sql_error)?),
            Pool::Mysql(pool) => Kind::Mysql(pool.acquire().await.map_err(sql_error)?),
        };
        Ok(Connection::new(kind))
    }

    /// Starts a transaction.
    pub(super) async fn begin(&self) -> Result<Tx> {
        Tx::begin(self.acquire().await?, self.dialect()).await
    }
}

/// A value for a placeholder.
#[derive(Debug, Clone)]
pub(super) enum Arg {
    Text(Option<String>),
    Int(i64),
    Bool(bool),
    Bytes(Vec<u8>),
}

macro_rules! arg_from {
    ($($from:ty => $value:ident -> $arg:expr;)*) => {
        $(impl From<$from> for Arg {
            fn from($value: $from) -> Arg {
                $arg
            }
        })*
    };
}

arg_from! {
    &str => value -> Arg::Text(Some(value.to_owned()));
    String => value -> Arg::Text(Some(value));
    &String => value -> Arg::Text(Some(value.clone()));
    Option<&str> => value -> Arg::Text(value.map(str::to_owned));
    i64 => value -> Arg::Int(value);
    &i64 => value -> Arg::Int(*value);
    bool => value -> Arg::Bool(value);
    Vec<u8> => value -> Arg::Bytes(value);
    &Vec<u8> => value -> Arg::Bytes(value.clone());
    &[u8] => value -> Arg::Bytes(value.to_vec());
}

/// One statement with its values, rendered for the store's database.
pub(super) struct Statement<'s> {
    store: &'s MetadataStore,
    sql: String,
    args: Vec<Arg>,
}

/// Binds a statement's values for the database of the match arm it stands in.
macro_rules! bound {
    ($statement:expr) => {{
        let mut query = sqlx::query(AssertSqlSafe($statement.sql.clone()));
        for arg in &$statement.args {
            query = match arg {
                Arg::Text(text) => query.bind(text.as_deref()),
                Arg::Int(number) => query.bind(*number),
                Arg::Bool(flag) => query.bind(*flag),
                Arg::Bytes(bytes) => query.bind(bytes.as_slice()),
            };
        }
        query
    }};
}

macro_rules! each_row {
    ($query:expr, $connection:expr, $row:path, $sink:expr) => {{
        let mut rows = $query.fetch(&mut **$connection);
        while let Some(row) = rows.try_next().await.map_err(sql_error)? {
            $sink($row(row))?;
        }
    }};
}

impl<'s> Statement<'s> {
    pub(super) fn bind(mut self, value: impl Into<Arg>) -> Self {
        self.args.push(value.into());
        self
    }

    /// Runs inside a transaction; gives the number of rows changed.
    pub(super) async fn run_in(&self, tx: &mut Tx) -> Result<u64> {
        self.execute(tx.connection()).await
    }

    /// Runs by itself, once: for what is repeated anyway, such as prolonging a lease.
    pub(super) async fn run(&self) -> Result<u64> {
        self.execute(&mut self.store.pool.acquire().await?).await
    }

    /// Inserts a row and gives the value of its serial column `id`.
    pub(super) async fn insert_in(mut self, tx: &mut Tx) -> Result<i64> {
        match self.store.dialect() {
            Dialect::Sqlite | Dialect::Postgres => {
                self.sql.push_str(" RETURNING id");
                let row = self.one_in(tx).await?;
                row.ok_or_else(|| ovate_base::DruidError::runtime("metadata store: an inserted row gave no id"))?.get(0)
            }
            Dialect::Mysql => {
                self.run_in(tx).await?;
                let id = self.store.q("SELECT LAST_INSERT_ID()").one_in(tx).await?;
                id.ok_or_else(|| ovate_base::DruidError::runtime("metadata store: an inserted row gave no id"))?.unsigned(0)
            }
        }
    }

    pub(super) async fn all_in(&self, tx: &mut Tx) -> Result<Vec<Row>> {
        self.collect(tx.connection()).await
    }

    /// The first row, inside a transaction.
    pub(super) async fn one_in(&self, tx: &mut Tx) -> Result<Option<Row>> {
        Ok(self.all_in(tx).await?.into_iter().next())
    }

    /// All rows; a lost connection is made up for.
    pub(super) async fn all(&self) -> Result<Vec<Row>> {
        let mut patience = Patience::for_reads();
        loop {
            let outcome = match self.store.pool.acquire().await {
                Ok(mut connection) => self.collect(&mut connection).await,
                Err(error) => Err(error),
            };
            match outcome {
                Err(error) if patience.again(&error).await => {}
                outcome => return outcome,
            }
        }
    }

    /// As `all`, turning each row into a value while the next ones are still on their way.
    pub(super) async fn map<T: Send>(&self, convert: impl Fn(Row) -> Result<T> + Send + Sync) -> Result<Vec<T>> {
        let mut patience = Patience::for_reads();
        loop {
            let mut found = Vec::new();
            let outcome = match self.store.pool.acquire().await {
                Ok(mut connection) => {
                    let mut sink = |row: Row| convert(row).map(|value| found.push(value));
                    self.each(&mut connection, &mut sink).await
                }
                Err(error) => Err(error),
            };
            match outcome {
                Ok(()) => return Ok(found),
                Err(error) if patience.again(&error).await => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The first row.
    pub(super) async fn one(&self) -> Result<Option<Row>> {
        Ok(self.all().await?.into_iter().next())
    }

    async fn execute(&self, connection: &mut Connection) -> Result<u64> {
        let run = async |kind: &mut Kind| {
            Ok(match kind {
                Kind::Sqlite(connection) => bound!(self).execute(&mut **connection).await.map_err(sql_error)?.rows_affected(),
                Kind::Postgres(connection) => bound!(self).execute(&mut **connection).await.map_err(sql_error)?.rows_affected(),
                Kind::Mysql(connection) => bound!(self).execute(&mut **connection).await.map_err(sql_error)?.rows_affected(),
            })
        };
        let limit = self.store.statement_max;
        connection.start();
        let outcome = tokio::time::timeout(limit, run(connection.kind())).await.map_err(|_| timed_out(limit))?;
        connection.end(&outcome);
        outcome
    }

    async fn collect(&self, connection: &mut Connection) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        let mut sink = |row: Row| {
            rows.push(row);
            Ok(())
        };
        self.each(connection, &mut sink).await?;
        Ok(rows)
    }

    async fn each(&self, connection: &mut Connection, sink: &mut (dyn FnMut(Row) -> Result<()> + Send)) -> Result<()> {
        let limit = self.store.statement_max;
        connection.start();
        let reading = async {
            match connection.kind() {
                Kind::Sqlite(connection) => each_row!(bound!(self), connection, Row::Sqlite, sink),
                Kind::Postgres(connection) => each_row!(bound!(self), connection, Row::Postgres, sink),
                Kind::Mysql(connection) => each_row!(bound!(self), connection, Row::Mysql, sink),
            }
            Ok(())
        };
        let outcome = tokio::time::timeout(limit, reading).await.map_err(|_| timed_out(limit))?;
        connection.end(&outcome);
        outcome
    }
}

impl MetadataStore {
    /// A statement: SQL in the notation of `Dialect::render`.
    pub(super) fn q(&self, text: &str) -> Statement<'_> {
        Statement { store: self, sql: self.dialect().render(text, &self.tables), args: Vec::new() }
    }

    /// A statement in the database's own words.
    pub(super) fn raw(&self, sql: String) -> Statement<'_> {
        Statement { store: self, sql, args: Vec::new() }
    }

    /// The number in the only cell of a statement's answer.
    pub(super) async fn count_of(&self, statement: Statement<'_>) -> Result<i64> {
        statement.one().await?.map_or(Ok(0), |row| row.get(0))
    }

    /// Does a write again while the database says that it collided with another or is away, within bounds. `attempt`
    /// must make its own transaction, and must be harmless when it is repeated after a commit whose answer was lost.
    pub(super) async fn retry<T, F: Future<Output = Result<T>>>(&self, mut attempt: impl FnMut() -> F) -> Result<T> {
        let mut patience = Patience::for_writes();
        loop {
            match attempt().await {
                Err(error) if patience.again(&error).await => {}
                outcome => return outcome,
            }
        }
    }
}
