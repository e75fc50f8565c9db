//! Where tasks run (`TaskRunner`): on this machine through the worker of `ingest`, or on middle managers.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use ovate_base::Result;
use ovate_base::time::format_iso;
use ovate_ingest::worker::Worker;
use ovate_store::meta::{TaskLocation, TaskState, TaskStatus};
use ovate_store::{TaskLogs, now_ms};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;
use tracing::warn;

use super::select::SelectConfig;

/// A task that a runner has, running or ended.
#[derive(Debug, Clone)]
pub struct RunnerTask {
    pub id: String,
    pub status: TaskStatus,
}

/// A worker as `/workers` shows it.
#[derive(Debug, Clone)]
pub struct WorkerInfo {
    pub host: String,
    pub capacity: usize,
    pub running: Vec<String>,
    pub disabled: bool,
    pub last_completed: String,
    pub category: String,
    pub version: String,
    /// Supervising tasks among those that run.
    pub parallel: usize,
    /// It gets no tasks before this, in milliseconds since the epoch.
    pub blacklisted_until: Option<i64>,
}

/// Runs tasks somewhere.
#[async_trait]
pub trait TaskRunner: Send + Sync {
    /// Starts a task on a worker that the configuration chooses. False: none has room now. Asking again for a task that runs
    /// is no error.
    async fn assign(&self, task: &Value, select: &SelectConfig) -> Result<bool>;

    /// Stops a task; unknown ones are no error.
    async fn shutdown(&self, task_id: &str, reason: &str);

    /// All tasks it has, until they are forgotten.
    async fn tasks(&self) -> Vec<RunnerTask>;

    /// The overlord has stored the end of a task: its log and report are kept, its files removed.
    async fn forget(&self, task_id: &str);

    /// False while it may still have tasks that `tasks` does not tell of, just after a start.
    async fn settled(&self) -> bool {
        true
    }

    /// The number changes whenever something has happened to a task.
    fn changes(&self) -> watch::Receiver<u64>;

    async fn workers(&self) -> Vec<WorkerInfo>;

    /// The log of a task that is running; `None`: not here.
    async fn log(&self, task_id: &str, offset: i64) -> Result<Option<Vec<u8>>>;

    /// The report of a task that is running; `None`: not here.
    async fn report(&self, task_id: &str) -> Result<Option<Vec<u8>>>;

    /// Lets a worker take tasks, or not; false when there is no such worker.
    async fn set_enabled(&self, worker_host: &str, enabled: bool) -> bool;
}

/// Runs tasks in child processes of this one.
pub struct LocalRunner {
    worker: Arc<Worker>,
    logs: Arc<dyn TaskLogs>,
    host: String,
    state: Mutex<LocalState>,
}

struct LocalState {
    disabled: bool,
    last_completed: String,
}

impl LocalRunner {
    /// `host` is the `host:port` that `/workers` shows.
    pub fn new(worker: Arc<Worker>, logs: Arc<dyn TaskLogs>, host: impl Into<String>) -> LocalRunner {
        let state = Mutex::new(LocalState { disabled: false, last_completed: format_iso(now_ms()) });
        LocalRunner { worker, logs, host: host.into(), state }
    }

    fn running(&self) -> Vec<String> {
        let tasks = self.worker.tasks();
        tasks.into_iter().filter(|task| !task.status.state.is_complete()).map(|task| task.id).collect()
    }
}

#[async_trait]
impl TaskRunner for LocalRunner {
    async fn assign(&self, task: &Value, _: &SelectConfig) -> Result<bool> {
        let running = self.running();
        let known = task["id"].as_str().is_some_and(|id| running.iter().any(|other| other == id));
        if !known && (self.state.lock().disabled || running.len() >= self.worker.capacity()) {
            return Ok(false);
        }
        self.worker.assign(task).await.map(|()| true)
    }

    async fn shutdown(&self, task_id: &str, reason: &str) {
        self.worker.shutdown(task_id, reason).await;
    }

    async fn tasks(&self) -> Vec<RunnerTask> {
        let convert = |task: ovate_ingest::worker::WorkerTask| RunnerTask { status: stored_status(&task.status), id: task.id };
        self.worker.tasks().into_iter().map(convert).collect()
    }

    async fn forget(&self, task_id: &str) {
        let log = self.worker.log_file(task_id);
        if log.exists()
            && let Err(error) = self.logs.push_log(task_id, &log).await
        {
            warn!(task = task_id, "cannot keep the task's log: {error}");
        }
        if let Ok(report) = tokio::fs::read(self.worker.report_file(task_id)).await
            && let Err(error) = self.logs.push_report(task_id, &report).await
        {
            warn!(task = task_id, "cannot keep the task's report: {error}");
        }
        self.worker.forget(task_id);
        self.state.lock().last_completed = format_iso(now_ms());
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.worker.changes()
    }

    async fn workers(&self) -> Vec<WorkerInfo> {
        let running = self.running();
        let state = self.state.lock();
        vec![WorkerInfo {
            host: self.host.clone(),
            capacity: self.worker.capacity(),
            running,
            disabled: state.disabled,
            last_completed: state.last_completed.clone(),
            category: DEFAULT_CATEGORY.to_owned(),
            version: "0".to_owned(),
            parallel: parallel_of(&self.worker.tasks()),
            blacklisted_until: None,
        }]
    }

    async fn log(&self, task_id: &str, offset: i64) -> Result<Option<Vec<u8>>> {
        if !self.worker.tasks().iter().any(|task| task.id == task_id) {
            return Ok(None);
        }
        Ok(tokio::fs::read(self.worker.log_file(task_id)).await.ok().map(|log| from_offset(log, offset)))
    }

    async fn report(&self, task_id: &str) -> Result<Option<Vec<u8>>> {
        if !self.worker.tasks().iter().any(|task| task.id == task_id) {
            return Ok(None);
        }
        Ok(tokio::fs::read(self.worker.report_file(task_id)).await.ok())
    }

    async fn set_enabled(&self, worker_host: &str, enabled: bool) -> bool {
        let ours = worker_host == self.host;
        if ours {
            self.state.lock().disabled = !enabled;
        }
        ours
    }
}

/// The category of workers that name none.
pub(super) const DEFAULT_CATEGORY: &str = "_default_worker_category";

/// Supervising tasks that run.
fn parallel_of(tasks: &[ovate_ingest::worker::WorkerTask]) -> usize {
    tasks.iter().filter(|task| task.task_type == "index_parallel" && !task.status.state.is_complete()).count()
}

/// The rest of a log from an offset; a negative one counts from the end.
pub(super) fn from_offset(mut log: Vec<u8>, offset: i64) -> Vec<u8> {
    let length = log.len() as u64;
    let start = if offset < 0 { length.saturating_sub(offset.unsigned_abs()) } else { (offset as u64).min(length) };
    log.split_off(start as usize)
}

fn stored_status(status: &ovate_ingest::TaskStatus) -> TaskStatus {
    use ovate_ingest::TaskState as State;
    TaskStatus {
        id: status.id.clone(),
        status: match status.state {
            State::Running => TaskState::Running,
            State::Success => TaskState::Success,
            State::Failed => TaskState::Failed,
        },
        duration: status.duration_ms,
        error_msg: status.error_message.clone(),
        location: TaskLocation {
            host: status.location.host.clone(),
            port: status.location.port,
            tls_port: status.location.tls_port,
        },
        published: false,
        restarts: 0,
    }
}

/// Statuses by task id.
pub(super) fn by_id(tasks: Vec<RunnerTask>) -> HashMap<String, TaskStatus> {
    tasks.into_iter().map(|task| (task.id, task.status)).collect()
}
