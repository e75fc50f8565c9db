//! The middle manager's side: a bounded number of slots, a peon process a task, logs and reports in the task's directory.
//! The directory is the contract: `task.json` goes in; `status.json`, `report.json` and `log` come out.

mod peon;

use std::path::PathBuf;
use std::sync::Arc;

use ovate_base::{DruidError, Result};
use serde_json::Value;
use tokio::sync::watch;

pub use peon::{PeonFiles, PeonServices, run_peon};

use crate::spec::TaskStatus;

/// Settings of a worker.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// `druid.worker.capacity`: tasks at a time.
    pub capacity: usize,
    /// `druid.indexer.task.baseTaskDir`: one directory a task below it.
    pub base_task_dir: PathBuf,
    /// Program and leading arguments of a peon, such as `["/usr/bin/ovate", "internal", "peon"]`; the task's directory
    /// is added as the last argument.
    pub peon_command: Vec<String>,
    /// Environment variables added for peons.
    pub peon_env: Vec<(String, String)>,
    /// Host and port that the tasks' locations name.
    pub host: String,
    pub port: u16,
}

/// Runs tasks as child processes. Cheap to share; all methods may be called at any time.
pub struct Worker {
    config: WorkerConfig,
    changes: watch::Sender<u64>,
}

/// One task of a worker.
#[derive(Debug, Clone)]
pub struct WorkerTask {
    pub id: String,
    pub data_source: String,
    pub task_type: String,
    pub group_id: String,
    pub status: TaskStatus,
    pub created_ms: i64,
}

impl Worker {
    /// A worker over its directory; tasks that were running when the last one ended are reported as failed, finished ones
    /// are reported again.
    pub async fn start(config: WorkerConfig) -> Result<Arc<Worker>> {
        Ok(Arc::new(Worker { config, changes: watch::Sender::new(0) }))
    }

    /// Starts a task. An error when no slot is free; assigning a known task again is no error.
    pub async fn assign(self: &Arc<Self>, task: &Value) -> Result<()> {
        let _ = task;
        Err(DruidError::unsupported("workers do not run tasks yet"))
    }

    /// Stops a task; it will be `FAILED` with this reason. Unknown tasks are no error.
    pub async fn shutdown(&self, task_id: &str, reason: &str) {
        let _ = (task_id, reason);
    }

    /// Stops all tasks and waits for their ends.
    pub async fn stop(&self) {}

    /// All tasks, running and finished, until they are forgotten.
    pub fn tasks(&self) -> Vec<WorkerTask> {
        Vec::new()
    }

    /// Drops a finished task and its directory, once the overlord knows its end.
    pub fn forget(&self, task_id: &str) {
        let _ = task_id;
    }

    /// The number changes whenever some task's status changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Tasks at a time.
    pub fn capacity(&self) -> usize {
        self.config.capacity
    }

    /// Where the task's log stands, running or finished.
    pub fn log_file(&self, task_id: &str) -> PathBuf {
        self.config.base_task_dir.join(task_id).join("log")
    }

    /// Where the task's report stands, live or final.
    pub fn report_file(&self, task_id: &str) -> PathBuf {
        self.config.base_task_dir.join(task_id).join("report.json")
    }
}
