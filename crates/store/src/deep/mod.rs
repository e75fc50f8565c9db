//! Deep storage: where segments stay for good, and where the logs and reports of tasks go. Local disk, S3, HDFS, Google and
//! Azure in Druid's layouts, behind one trait each; `StorageSources` opens them from properties.

mod archive;
pub mod blobs;
mod files;
mod local;
mod logs;
mod names;
mod open;
mod remote;
mod remote_logs;
pub mod services;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use ovate_base::{DataSegment, Properties, Result};

pub use local::LocalDeepStorage;
pub use logs::LocalTaskLogs;
pub use open::StorageSources;
pub use remote::{RemoteDeepStorage, Target};
pub use remote_logs::{NoopTaskLogs, RemoteTaskLogs};
use services::Services;

pub(crate) use files::{copy_tree, sync_dir, sync_tree, tree_bytes, write_atomically};
pub(crate) use local::blocking;

/// A store of segments.
#[async_trait]
pub trait DeepStorage: Send + Sync {
    /// Copies a segment directory into the store and gives the segment with its `loadSpec` and `size`. With `unique` the
    /// path carries a random id, so that concurrent writers of one id cannot meet.
    async fn push(&self, dir: &Path, segment: &DataSegment, unique: bool) -> Result<DataSegment>;

    /// Copies a segment's files into an existing empty directory; gives the bytes written.
    async fn pull(&self, segment: &DataSegment, into: &Path) -> Result<u64>;

    /// Deletes a segment's files; fine when they are gone already.
    async fn kill(&self, segment: &DataSegment) -> Result<()>;

    /// The services that hold segments and other things, for who reads those; with the process's credentials where it has
    /// some.
    fn services(&self) -> Arc<Services> {
        Arc::new(Services::new(Properties::default(), None))
    }
}

/// A store of task logs and reports.
#[async_trait]
pub trait TaskLogs: Send + Sync {
    async fn push_log(&self, task_id: &str, file: &Path) -> Result<()>;

    async fn push_report(&self, task_id: &str, report: &[u8]) -> Result<()>;

    /// The log from an offset; a negative one counts from the end. `None`: there is no log.
    async fn log(&self, task_id: &str, offset: i64) -> Result<Option<Vec<u8>>>;

    async fn report(&self, task_id: &str) -> Result<Option<Vec<u8>>>;

    async fn kill(&self, task_id: &str) -> Result<()>;
}
