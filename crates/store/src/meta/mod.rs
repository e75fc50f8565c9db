//! The metadata store: Druid's tables, columns and payloads, on SQLite, PostgreSQL, MySQL and MariaDB. Every write runs in one
//! transaction that first takes the writers' turn and checks the leader's term when the handle is fenced, so a deposed leader
//! can write nothing; writes that collide or lose their connection are done again within bounds.
//! SQL is written once with placeholders such as `{segments}`; what differs between databases lives in `dialect`.

mod cleanup;
mod config;
mod db;
mod dialect;
mod lease;
mod nodes;
mod options;
mod pairs;
mod pending;
mod publish;
mod rules;
mod schema;
mod segments;
mod states;
mod supervisors;
mod tables;
mod tasks;
#[cfg(test)]
mod tests;
mod types;
mod upgrade;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ovate_base::time::format_iso;
use ovate_base::{DruidError, Result};

pub use config::{AuditEntry, AuditInfo};
pub use dialect::Dialect;
pub use lease::{Fence, Lease};
pub use nodes::Announcement;
pub use options::{Connector, MetadataOptions, TableNames};
pub use pairs::{Pairs, PairsSource};
pub use pending::AllocateRequest;
pub use publish::{MetadataChange, PublishRequest, PublishResult};
pub use schema::ColumnKind;
pub use segments::{SegmentChange, UnusedFilter};
pub use states::indexing_state_fingerprint;
pub use supervisors::SupervisorVersion;
pub use tables::RawValue;
pub use types::{
    LockRow, LockType, PendingSegment, SegmentIdWithShardSpec, TaskLocation, TaskLock, TaskRow, TaskState, TaskStatus,
    TaskSummary,
};

use db::{Pool, Tx};

/// A handle on the store; clones share the connections.
#[derive(Debug, Clone)]
pub struct MetadataStore {
    pool: Pool,
    tables: Arc<TableNames>,
    statement_max: Duration,
    fence: Option<Fence>,
}

impl MetadataStore {
    /// Connects, and makes or completes the tables unless `createTables` is off.
    pub async fn open(options: &MetadataOptions) -> Result<MetadataStore> {
        options.notes.iter().for_each(|note| tracing::info!("metadata store: {note}"));
        let store = MetadataStore::connect(options).await?;
        if options.create_tables {
            store.create_tables().await?;
        } else {
            store.check_tables().await?;
        }
        Ok(store)
    }

    /// Connects and leaves the tables as they are.
    pub async fn connect(options: &MetadataOptions) -> Result<MetadataStore> {
        Ok(MetadataStore {
            pool: db::open(options).await?,
            tables: Arc::new(options.tables.clone()),
            statement_max: options.statement_max,
            fence: None,
        })
    }

    /// Opens or creates a SQLite database file; several processes of a machine may share it (WAL).
    pub async fn open_sqlite(path: &Path) -> Result<MetadataStore> {
        MetadataStore::open(&MetadataOptions::sqlite(path)).await
    }

    /// A store in memory, for tests.
    pub async fn in_memory() -> Result<MetadataStore> {
        let options = MetadataOptions::sqlite("");
        let store = MetadataStore {
            pool: db::in_memory().await?,
            tables: Arc::new(options.tables),
            statement_max: options.statement_max,
            fence: None,
        };
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

    /// Which database this is.
    pub fn dialect(&self) -> Dialect {
        self.pool.dialect()
    }

    /// Closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Starts a write. Among writers of one fence's role, or those without a fence, nobody else writes until it commits or
    /// is dropped; on SQLite nobody at all.
    async fn write(&self) -> Result<Tx> {
        let mut tx = self.pool.begin().await?;
        self.take_turn(&mut tx).await?;
        Ok(tx)
    }
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
