//! The metadata store: Druid's tables, columns and payloads, on SQLite. Every write runs in one immediate transaction
//! that first checks the leader's term when the handle is fenced, so a deposed leader can write nothing.
//! SQL is written once with placeholders such as `{segments}`; what differs between databases lives in `dialect`.

mod config;
mod dialect;
mod lease;
mod nodes;
mod pending;
mod publish;
mod rules;
mod schema;
mod segments;
mod states;
mod supervisors;
mod tasks;
#[cfg(test)]
mod tests;
mod types;
mod upgrade;

use std::path::Path;
use std::time::Duration;

use ovate_base::time::format_iso;
use ovate_base::{DruidError, Result};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

pub use config::{AuditEntry, AuditInfo};
pub use lease::{Fence, Lease};
pub use pending::AllocateRequest;
pub use publish::{MetadataChange, PublishRequest, PublishResult};
pub use segments::{SegmentChange, UnusedFilter};
pub use states::indexing_state_fingerprint;
pub use supervisors::SupervisorVersion;
pub use types::{
    LockRow, LockType, PendingSegment, SegmentIdWithShardSpec, TaskLocation, TaskLock, TaskRow, TaskState, TaskStatus,
};

use dialect::{Pool, Tx};

/// A handle on the store; clones share the connections.
#[derive(Debug, Clone)]
pub struct MetadataStore {
    pool: Pool,
    prefix: String,
    fence: Option<Fence>,
}

/// How long a writer waits for another process's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections of a process; SQLite has one writer at a time anyway.
const CONNECTIONS_MAX: u32 = 8;

impl MetadataStore {
    /// Opens or creates a SQLite database file; several processes of a machine may share it (WAL).
    pub async fn open_sqlite(path: &Path) -> Result<MetadataStore> {
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
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS_MAX).connect_with(options).await;
        let pool = pool.map_err(|error| failed("cannot open metadata store", path.display(), error))?;
        let store = MetadataStore { pool, prefix: "druid".to_owned(), fence: None };
        store.create_tables().await?;
        Ok(store)
    }

    /// A store in memory, for tests.
    pub async fn in_memory() -> Result<MetadataStore> {
        let options = SqliteConnectOptions::new().in_memory(true);
        let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None).connect_with(options).await;
        let pool = pool.map_err(|error| failed("cannot open metadata store", "memory", error))?;
        let store = MetadataStore { pool, prefix: "druid".to_owned(), fence: None };
        store.create_tables().await?;
        Ok(store)
    }

    /// The same store for a leader: every write checks that the term is still the current one.
    pub fn fenced(&self, fence: Fence) -> MetadataStore {
        MetadataStore { fence: Some(fence), ..self.clone() }
    }

    /// The same store without a fence.
    pub fn unfenced(&self) -> MetadataStore {
        MetadataStore { fence: None, ..self.clone() }
    }

    /// Closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Starts a write; nobody else writes until it commits or is dropped.
    async fn write(&self) -> Result<Tx> {
        let mut tx = self.pool.begin_with(dialect::BEGIN_WRITE).await.map_err(sql_error)?;
        if let Some(fence) = &self.fence {
            self.check_fence(&mut tx, fence).await?;
        }
        Ok(tx)
    }

    /// SQL with table names filled in.
    fn sql(&self, text: &str) -> sqlx::AssertSqlSafe<String> {
        sqlx::AssertSqlSafe(dialect::render(text, &self.prefix))
    }
}

async fn commit(tx: Tx) -> Result<()> {
    tx.commit().await.map_err(sql_error)
}

fn sql_error(error: sqlx::Error) -> DruidError {
    DruidError::runtime(format!("metadata store: {error}"))
}

fn failed(what: &str, name: impl std::fmt::Display, error: impl std::fmt::Display) -> DruidError {
    DruidError::runtime(format!("{what} [{name}]: {error}"))
}

/// The text of a time column.
fn now_text() -> String {
    format_iso(crate::now_ms())
}

/// A payload that must be JSON.
fn parse_json<T: serde::de::DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| DruidError::runtime(format!("metadata store: damaged {what}: {error}")))
}

fn to_bytes<T: serde::Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("values made of text, numbers and maps with text keys serialise")
}
