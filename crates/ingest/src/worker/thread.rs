//! A peon as a thread of the worker's own process, for the Indexer role (`ThreadingTaskRunner`): the same directory, port and
//! files as a peon's process has, with a runtime of its own, so that a task that ends takes all of its work along.

use std::fmt;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ovate_base::{DruidError, Result};
use serde_json::Value;
use tokio::sync::oneshot;

use super::process::read_status;
use super::{PeonFiles, PeonServices, peon, write_status};
use crate::spec::{TaskState, TaskStatus};
use crate::task::{StopFlag, write_atomically};

/// Stack of a task's threads, as in the server's own runtime.
const STACK_BYTES: usize = 64 << 20;
/// Threads of one task that may read, parse and index at a time.
const BLOCKING_THREADS_MAX: usize = 32;
/// How long a task may take to see that it has to stop.
const STOP: Duration = Duration::from_secs(60);

/// Makes what one task is given; connections belong to a task's runtime, so every task has its own.
#[derive(Clone)]
pub struct PeonThreads(pub Arc<dyn Fn() -> Result<PeonServices> + Send + Sync>);

impl fmt::Debug for PeonThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeonThreads")
    }
}

/// A task that runs in a thread.
pub struct ThreadPeon {
    stop: StopFlag,
    ended: oneshot::Receiver<Result<()>>,
}

/// Makes the task's directory and starts its thread.
pub fn start(threads: &PeonThreads, dir: &Path, task: &Value, listener: TcpListener) -> Result<ThreadPeon> {
    let failed =
        |what: &str, e: std::io::Error| DruidError::runtime(format!("cannot {what} for a task in [{}]: {e}", dir.display()));
    std::fs::create_dir_all(dir).map_err(|e| failed("make a directory", e))?;
    let files = PeonFiles::in_dir(dir);
    write_atomically(&files.task, task.to_string().as_bytes())?;
    std::fs::write(dir.join("log"), "The task runs in an Indexer's process; its lines are in that process's log.\n")
        .map_err(|e| failed("open a log", e))?;
    let (stop, threads) = (StopFlag::default(), threads.clone());
    let (tell, ended) = oneshot::channel();
    let asked = stop.clone();
    let work = move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build();
        let outcome =
            runtime.map_err(|e| DruidError::runtime(format!("cannot start the task's runtime: {e}"))).and_then(|runtime| {
                runtime.block_on(async { peon::run_task_in(&files, (threads.0)()?, Some(listener), asked).await })
            });
        let _ = tell.send(outcome);
    };
    let thread = std::thread::Builder::new().name("task".to_owned()).stack_size(STACK_BYTES).spawn(work);
    thread.map_err(|e| failed("start a thread", e))?;
    Ok(ThreadPeon { stop, ended })
}

/// Waits for the end and tells how it was.
pub async fn watch(peon: ThreadPeon, stopped: oneshot::Receiver<String>, id: &str, files: &PeonFiles) -> TaskStatus {
    let started = Instant::now();
    let ThreadPeon { stop, mut ended } = peon;
    let mut reason = None;
    let outcome = tokio::select! {
        outcome = &mut ended => outcome.ok(),
        Ok(asked) = stopped => {
            reason = Some(asked);
            stop.stop();
            tokio::time::timeout(STOP, ended).await.ok().and_then(|outcome| outcome.ok())
        }
    };
    let _ = tokio::fs::remove_dir_all(&files.work).await;
    let status = read_status(&files.status, id);
    if let Some(status) = status.filter(|status| reason.is_none() || status.state == TaskState::Success) {
        return status;
    }
    let message = match (reason, outcome) {
        (Some(reason), _) => reason,
        (None, Some(Err(error))) => error.message,
        (None, _) => "the task's thread failed; see the Indexer's log".to_owned(),
    };
    let status = TaskStatus::failed(id, started.elapsed().as_millis() as i64, &message);
    if let Err(error) = write_status(&files.status, &status) {
        tracing::warn!("{error}");
    }
    status
}
