//! A connection taken from the pool, and the transaction on it. A connection that is dropped while a statement runs has
//! half an answer in its socket and is closed; one that is dropped inside a transaction is rolled back first.

use std::time::Duration;

use ovate_base::Result;
use sqlx::pool::PoolConnection;
use sqlx::{MySql, Postgres, Sqlite};

use super::retry::timed_out;
use super::{is_transient, sql_error};
use crate::meta::dialect::Dialect;

/// How long `BEGIN`, `COMMIT` and `ROLLBACK` may take. SQLite waits in `BEGIN` for other writers.
const CONTROL_MAX: Duration = Duration::from_secs(45);

/// Which database the connection goes to.
pub(super) enum Kind {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
    Mysql(PoolConnection<MySql>),
}

/// A connection and whether it may be used again.
pub(in crate::meta) struct Connection {
    kind: Option<Kind>,
    /// A statement is under way, or broke off.
    busy: bool,
    in_transaction: bool,
}

impl Connection {
    pub(super) fn new(kind: Kind) -> Connection {
        Connection { kind: Some(kind), busy: false, in_transaction: false }
    }

    pub(super) fn kind(&mut self) -> &mut Kind {
        self.kind.as_mut().expect("taken only by drop")
    }

    pub(super) fn start(&mut self) {
        self.busy = true;
    }

    /// After a failure of the connection itself it is not used again; a refused statement leaves it whole.
    pub(super) fn end<T>(&mut self, outcome: &Result<T>) {
        self.busy = matches!(outcome, Err(error) if is_transient(error));
    }

    async fn control(&mut self, sql: &'static str) -> Result<()> {
        self.start();
        let run = async |kind: &mut Kind| match kind {
            Kind::Sqlite(connection) => sqlx::raw_sql(sql).execute(&mut **connection).await.map(|_| ()),
            Kind::Postgres(connection) => sqlx::raw_sql(sql).execute(&mut **connection).await.map(|_| ()),
            Kind::Mysql(connection) => sqlx::raw_sql(sql).execute(&mut **connection).await.map(|_| ()),
        };
        let outcome = tokio::time::timeout(CONTROL_MAX, run(self.kind())).await.map_err(|_| timed_out(CONTROL_MAX))?;
        let outcome = outcome.map_err(sql_error);
        self.end(&outcome);
        outcome
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(kind) = self.kind.take() else { return };
        match kind {
            // SQLite has no half answers, and a store in memory lives in its only connection.
            Kind::Sqlite(_) if !self.in_transaction => {}
            Kind::Postgres(mut connection) if self.busy => connection.close_on_drop(),
            Kind::Mysql(mut connection) if self.busy => connection.close_on_drop(),
            kind if self.in_transaction => {
                tokio::spawn(async move {
                    let mut connection = Connection::new(kind);
                    // On failure the connection is marked and closed.
                    let _ = connection.control("ROLLBACK").await;
                });
            }
            Kind::Sqlite(_) | Kind::Postgres(_) | Kind::Mysql(_) => {}
        }
    }
}

/// A transaction; it is rolled back unless it is committed.
pub(in crate::meta) struct Tx {
    connection: Connection,
}

impl Tx {
    pub(super) async fn begin(mut connection: Connection, dialect: Dialect) -> Result<Tx> {
        connection.in_transaction = true;
        connection.control(dialect.begin()).await?;
        Ok(Tx { connection })
    }

    pub(super) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Makes everything lasting.
    pub(in crate::meta) async fn commit(mut self) -> Result<()> {
        self.connection.control("COMMIT").await?;
        self.connection.in_transaction = false;
        Ok(())
    }
}
