//! Running one task: what it is given ([`TaskEnv`]), what it asks of the overlord ([`TaskActions`]), what it leaves
//! ([`TaskOutcome`]). The same code runs in a peon process and, in tests, in this one.

mod actions;
mod lock;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ovate_base::segment::DataSegment;
use ovate_base::{DruidError, Result};
use serde_json::Value;

pub use actions::{SegmentAllocate, TaskAction, TaskActions};
pub use lock::{LockType, TaskLock};

use crate::spec::{TaskSpec, TaskStatus};

/// Set once when the task has to stop; long loops look at it once a batch.
#[derive(Debug, Clone, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Asks the task to stop.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the task was asked to stop.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error once the task was asked to stop.
    pub fn check(&self) -> Result<()> {
        if self.is_stopped() { Err(DruidError::cancelled("task was asked to stop")) } else { Ok(()) }
    }
}

/// Where finished segments go and where old ones come from. `store::deep` is the real one.
pub trait SegmentStorage: Send + Sync {
    /// Stores the files of `dir` as this segment; the answer has `loadSpec` and `size` filled in. Either all of it is
    /// there afterwards, or an error.
    fn push(&self, dir: &Path, segment: &DataSegment) -> Result<DataSegment>;
    /// Brings a segment's files into the empty directory `dir`.
    fn pull(&self, segment: &DataSegment, dir: &Path) -> Result<()>;
    /// Deletes a segment's files; absent ones are no error.
    fn kill(&self, segment: &DataSegment) -> Result<()>;
}

/// What a task is given.
#[derive(Clone)]
pub struct TaskEnv {
    /// A directory of its own for intermediate files; its content is deleted by whoever made it.
    pub work_dir: PathBuf,
    pub actions: Arc<dyn TaskActions>,
    pub storage: Arc<dyn SegmentStorage>,
    /// Threads that parse and index.
    pub threads: usize,
    /// The budget that all rows in memory share.
    pub memory_bytes: usize,
    pub stop: StopFlag,
    /// Where the live report is written while the task runs; `None` keeps it in memory only.
    pub report_file: Option<PathBuf>,
}

/// How a task ended.
#[derive(Debug, Clone)]
pub struct TaskOutcome {
    pub status: TaskStatus,
    /// The report document (LCK-06): `{"ingestionStatsAndErrors":{…},"taskContext":{…}}`.
    pub report: Value,
}

/// Runs a task to its end. Failures of the task are in the outcome; it never panics over user data.
pub async fn run_task(spec: &TaskSpec, env: &TaskEnv) -> TaskOutcome {
    let _ = env;
    TaskOutcome { status: TaskStatus::failed(&spec.id, 0, "tasks do not run yet"), report: Value::Null }
}
