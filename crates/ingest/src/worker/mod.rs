//! The middle manager's side: a bounded number of slots, a peon process a task, logs and reports in the task's directory.
//! The directory is the contract: `task.json` goes in; `status.json`, `report.json` and `log` come out.

mod chat;
pub mod http;
mod peon;
mod process;
#[cfg(test)]
mod tests;
mod thread;

use std::collections::HashMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ovate_base::{Category, DruidError, Persona, Result};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{oneshot, watch};

pub use peon::{Lookups, LookupsLoader, PeonFiles, PeonServices, run_peon};
pub(crate) use process::now_ms;
pub use thread::PeonThreads;

use crate::spec::{TaskLocation, TaskStatus};
use crate::task::write_atomically;

/// The failure of a task whose worker died; the overlord starts it over.
pub const ENDED_MEANWHILE: &str = "the middle manager ended while the task was running";
/// The failure of a task whose worker is being stopped; the overlord starts it over.
pub const STOPPING: &str = "the middle manager is stopping";

/// Settings of a worker.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// `druid.worker.capacity`: tasks at a time.
    pub capacity: usize,
    /// `druid.worker.baseTaskDirs`: one directory a task below one of them, never empty.
    pub base_task_dirs: Vec<PathBuf>,
    /// Program and leading arguments of a peon, such as `["/usr/bin/ovate", "internal", "peon"]`; the task's directory
    /// is added as the last argument.
    pub peon_command: Vec<String>,
    /// Runs tasks as threads of this process instead (the Indexer role).
    pub threads: Option<PeonThreads>,
    /// Environment variables added for peons.
    pub peon_env: Vec<(String, String)>,
    /// Host that the tasks' locations name; their ports are the peons' own.
    pub host: String,
    /// Address that peons listen at.
    pub bind: String,
    pub ports: PeonPorts,
}

/// Ports of peons: `druid.indexer.runner.ports`, else from `startPort` to `endPort`.
#[derive(Debug, Clone)]
pub struct PeonPorts {
    pub start: u16,
    pub end: u16,
    pub list: Vec<u16>,
}

impl Default for PeonPorts {
    fn default() -> Self {
        PeonPorts { start: 8100, end: u16::MAX, list: Vec::new() }
    }
}

impl PeonPorts {
    /// Ports to try, in order.
    fn candidates(&self) -> Box<dyn Iterator<Item = u16> + '_> {
        if self.list.is_empty() { Box::new(self.start..=self.end) } else { Box::new(self.list.iter().copied()) }
    }
}

/// Runs tasks as child processes, or as threads of its own. Cheap to share; all methods may be called at any time.
pub struct Worker {
    config: WorkerConfig,
    changes: watch::Sender<u64>,
    entries: Mutex<HashMap<String, Entry>>,
}

struct Entry {
    task: WorkerTask,
    /// The task's directory.
    dir: PathBuf,
    /// Asks the task to stop, for a reason; `None` once asked or ended.
    stop: Option<oneshot::Sender<String>>,
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

impl WorkerTask {
    /// The envelope of a stored task, running.
    fn of(json: &Value, created_ms: i64) -> Result<WorkerTask> {
        let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        let id = text("id");
        if id.is_empty() || id.contains('/') || id.starts_with('.') || id.contains('\0') {
            return Err(DruidError::invalid_input(format!("task id [{id}] cannot name a directory")));
        }
        let (data_source, task_type, group_id) = (text("dataSource"), text("type"), text("groupId"));
        Ok(WorkerTask { status: TaskStatus::running(&id), id, data_source, task_type, group_id, created_ms })
    }
}

impl Worker {
    /// A worker over its directory; tasks that were running when the last one ended are reported as failed, finished ones
    /// are reported again.
    pub async fn start(config: WorkerConfig) -> Result<Arc<Worker>> {
        if config.base_task_dirs.is_empty() {
            return Err(DruidError::invalid_input("a worker needs a task directory (druid.worker.baseTaskDirs)"));
        }
        let worker = Worker { config, changes: watch::Sender::new(0), entries: Mutex::default() };
        for dir in &worker.config.base_task_dirs {
            let failed = |e: std::io::Error| DruidError::runtime(format!("cannot use task directory [{}]: {e}", dir.display()));
            std::fs::create_dir_all(dir).map_err(failed)?;
            for entry in std::fs::read_dir(dir).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                if path.is_dir() {
                    worker.recover(&path);
                }
            }
        }
        Ok(Arc::new(worker))
    }

    /// Takes up the directory of a task of the last worker. Its peon has died with that worker.
    fn recover(&self, dir: &Path) {
        let files = PeonFiles::in_dir(dir);
        let created_ms = process::modified_ms(&files.task);
        let read = |file: &Path| std::fs::read(file).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let Some(mut task) = read(&files.task).and_then(|json| WorkerTask::of(&json, created_ms).ok()) else {
            // A directory without a task was made by a worker that died before it told anyone.
            let _ = std::fs::remove_dir_all(dir);
            return;
        };
        task.status = match read(&files.status).and_then(|json| TaskStatus::from_json(&json).ok()) {
            Some(status) => status,
            None => {
                let status = TaskStatus::failed(&task.id, 0, ENDED_MEANWHILE);
                if let Err(error) = write_status(&files.status, &status) {
                    tracing::warn!("{error}");
                }
                status
            }
        };
        let _ = std::fs::remove_dir_all(&files.work);
        self.entries.lock().insert(task.id.clone(), Entry { task, dir: dir.to_owned(), stop: None });
    }

    /// Starts a task. An error when no slot is free; assigning a known task again is no error.
    pub async fn assign(self: &Arc<Self>, task: &Value) -> Result<()> {
        let mut new = WorkerTask::of(task, process::now_ms())?;
        let listener = process::listen(&self.config)?;
        let port = listener.local_addr().map_or(-1, |address| i32::from(address.port()));
        new.status.location = TaskLocation { host: Some(self.config.host.clone()), port, tls_port: -1 };
        let (stop, stopped) = oneshot::channel();
        let id = new.id.clone();
        let dir;
        {
            let mut entries = self.entries.lock();
            if entries.contains_key(&id) {
                return Ok(());
            }
            let running = entries.values().filter(|e| !e.task.status.state.is_complete()).count();
            if running >= self.config.capacity {
                let message = format!("all [{}] task slots (druid.worker.capacity) are in use", self.config.capacity);
                return Err(DruidError::new(Persona::Operator, Category::CapacityExceeded, "general", message));
            }
            dir = self.directory(&entries).join(&id);
            entries.insert(id.clone(), Entry { task: new, dir: dir.clone(), stop: Some(stop) });
        }
        match self.launch(&id, &dir, task, listener, stopped) {
            Ok(()) => {
                self.changed();
                Ok(())
            }
            Err(error) => {
                self.entries.lock().remove(&id);
                let _ = std::fs::remove_dir_all(&dir);
                Err(error)
            }
        }
    }

    /// The base directory with the fewest tasks, the first of them at a tie.
    fn directory(&self, entries: &HashMap<String, Entry>) -> &Path {
        let tasks_below = |base: &PathBuf| entries.values().filter(|entry| entry.dir.parent() == Some(base.as_path())).count();
        let dirs = &self.config.base_task_dirs;
        dirs.iter().min_by_key(|base| tasks_below(base)).unwrap_or(&dirs[0])
    }

    /// Starts the task's process or thread, and somebody who waits for its end.
    fn launch(
        self: &Arc<Self>,
        id: &str,
        dir: &Path,
        task: &Value,
        listener: TcpListener,
        stopped: oneshot::Receiver<String>,
    ) -> Result<()> {
        let (worker, id, files) = (self.clone(), id.to_owned(), PeonFiles::in_dir(dir));
        match &self.config.threads {
            Some(threads) => {
                let peon = thread::start(threads, dir, task, listener)?;
                tokio::spawn(async move {
                    let status = thread::watch(peon, stopped, &id, &files).await;
                    worker.ended(&id, status);
                });
            }
            None => {
                let peon = process::start(&self.config, dir, task, listener)?;
                tokio::spawn(async move {
                    let status = process::watch(peon, stopped, &id, &files).await;
                    worker.ended(&id, status);
                });
            }
        }
        Ok(())
    }

    fn ended(&self, id: &str, mut status: TaskStatus) {
        if let Some(entry) = self.entries.lock().get_mut(id) {
            status.location = entry.task.status.location.clone();
            entry.task.status = status;
            entry.stop = None;
        }
        self.changed();
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Stops a task; it will be `FAILED` with this reason. Unknown tasks are no error.
    pub async fn shutdown(&self, task_id: &str, reason: &str) {
        let stop = self.entries.lock().get_mut(task_id).and_then(|entry| entry.stop.take());
        if let Some(stop) = stop {
            // The watcher is gone only when the task has ended by itself.
            let _ = stop.send(reason.to_owned());
        }
    }

    /// Stops all tasks and waits for their ends.
    pub async fn stop(&self) {
        let mut changes = self.changes();
        let ids: Vec<String> = self.entries.lock().keys().cloned().collect();
        for id in ids {
            self.shutdown(&id, STOPPING).await;
        }
        while self.tasks().iter().any(|task| !task.status.state.is_complete()) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// All tasks, running and finished, until they are forgotten.
    pub fn tasks(&self) -> Vec<WorkerTask> {
        let mut tasks: Vec<WorkerTask> = self.entries.lock().values().map(|entry| entry.task.clone()).collect();
        tasks.sort_by(|a, b| (a.created_ms, &a.id).cmp(&(b.created_ms, &b.id)));
        tasks
    }

    /// Drops a finished task and its directory, once the overlord knows its end.
    pub fn forget(&self, task_id: &str) {
        let mut entries = self.entries.lock();
        if !entries.get(task_id).is_some_and(|entry| entry.task.status.state.is_complete()) {
            return;
        }
        let removed = entries.remove(task_id);
        drop(entries);
        if let Some(Err(error)) = removed.map(|entry| std::fs::remove_dir_all(entry.dir)) {
            tracing::warn!("cannot remove a task's directory. task={task_id} error={error}");
        }
        self.changed();
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
        self.dir_of(task_id).join("log")
    }

    /// Where the task's report stands, live or final.
    pub fn report_file(&self, task_id: &str) -> PathBuf {
        self.dir_of(task_id).join("report.json")
    }

    /// The directory of a task; for one that is not known, a path where nothing is.
    fn dir_of(&self, task_id: &str) -> PathBuf {
        let known = self.entries.lock().get(task_id).map(|entry| entry.dir.clone());
        known.unwrap_or_else(|| self.config.base_task_dirs[0].join(".unknown"))
    }
}

/// Writes a status so that a reader sees all of it or nothing.
fn write_status(file: &Path, status: &TaskStatus) -> Result<()> {
    write_atomically(file, status.to_json().to_string().as_bytes())
}
