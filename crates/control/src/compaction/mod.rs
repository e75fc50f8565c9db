//! Automatic compaction (CMP-02, CMP-03): configurations by data source, as `autocompact` supervisors or in the
//! Coordinator's older configuration; which time chunks need it is a pure function; the Coordinator submits the tasks.

mod config;
mod duty;
mod plan;

pub use config::SUPERVISOR_PREFIX;
pub use config::{ClusterConfig, DataSourceConfig};
pub(crate) use duty::{CompactionTasks, Compactor};
pub(crate) use plan::Totals;
pub use plan::{Chunk, ChunkState, chunks};
