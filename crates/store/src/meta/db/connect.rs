//! Opens pools: how a session of each database must be set up so that a stalled writer cannot hold others up.

use std::path::Path;
use std::time::Duration;

use ovate_base::{DruidError, Result};
use sqlx::mysql::MySqlPoolOptions;
use sqlx::pool::PoolOptions;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::Pool;
use crate::meta::options::{Connector, MetadataOptions};

/// How long a writer waits for another process's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
const IDLE_MAX: Duration = Duration::from_secs(60);

/// A lock is waited for 20 s; who does nothing inside a transaction for 8 s (a process that was stopped, a cut link) loses it.
const POSTGRES_SESSION: &str = "SET lock_timeout = '20s'; SET idle_in_transaction_session_timeout = '8s'; \
                                SET default_transaction_isolation = 'read committed'";
const MYSQL_SESSION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; SET SESSION innodb_lock_wait_timeout = 20; \
                             SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'";
/// MariaDB ends idle transactions; MySQL only knows idle connections, which the pool drops before.
const MARIADB_IDLE: &str = "SET SESSION idle_transaction_timeout = 8";
const MYSQL_IDLE: &str = "SET SESSION wait_timeout = 90";

/// Connects; fails when the database does not answer or refuses us.
pub(in crate::meta) async fn open(options: &MetadataOptions) -> Result<Pool> {
    match &options.connector {
        Connector::Sqlite(path) => sqlite(path, options.connections_max).await,
        Connector::Postgres(connect) => {
            let pool = pooled(PgPoolOptions::new(), options).after_connect(|connection, _| {
                Box::pin(async move { sqlx::raw_sql(POSTGRES_SESSION).execute(connection).await.map(|_| ()) })
            });
            let pool = pool.connect_with((**connect).clone()).await.map_err(|error| cannot_open(options, error))?;
            Ok(Pool::Postgres(pool))
        }
        Connector::Mysql(connect) => {
            let pool = pooled(MySqlPoolOptions::new(), options).after_connect(|connection, _| {
                Box::pin(async move {
                    sqlx::raw_sql(MYSQL_SESSION).execute(&mut *connection).await?;
                    let version: String = sqlx::query_scalar("SELECT VERSION()").fetch_one(&mut *connection).await?;
                    let idle = if version.contains("MariaDB") { MARIADB_IDLE } else { MYSQL_IDLE };
                    sqlx::raw_sql(idle).execute(connection).await.map(|_| ())
                })
            });
            let pool = pool.connect_with((**connect).clone()).await.map_err(|error| cannot_open(options, error))?;
            Ok(Pool::Mysql(pool))
        }
    }
}

fn pooled<D: sqlx::Database>(pool: PoolOptions<D>, options: &MetadataOptions) -> PoolOptions<D> {
    pool.max_connections(options.connections_max).acquire_timeout(options.connect_max).idle_timeout(IDLE_MAX)
}

async fn sqlite(path: &Path, connections_max: u32) -> Result<Pool> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent)
            .map_err(|error| failed("cannot create the metadata directory", parent.display(), error))?;
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT);
    let pool = SqlitePoolOptions::new().max_connections(connections_max).connect_with(options).await;
    Ok(Pool::Sqlite(pool.map_err(|error| failed("cannot open metadata store", path.display(), error))?))
}

/// A SQLite store in memory: one connection that is kept.
pub(in crate::meta) async fn in_memory() -> Result<Pool> {
    let options = SqliteConnectOptions::new().in_memory(true);
    let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None).connect_with(options).await;
    Ok(Pool::Sqlite(pool.map_err(|error| failed("cannot open metadata store", "memory", error))?))
}

fn cannot_open(options: &MetadataOptions, error: sqlx::Error) -> DruidError {
    failed("cannot open metadata store", options.shown(), error)
}

fn failed(what: &str, name: impl std::fmt::Display, error: impl std::fmt::Display) -> DruidError {
    DruidError::runtime(format!("{what} [{name}]: {error}"))
}
