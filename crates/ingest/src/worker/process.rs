//! One peon's process: its standard error is the task's log, its standard input the listening socket of its HTTP server, its
//! standard output a socket to us that closes when this process dies; watched until it ends.

use std::fs::File;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ovate_base::{DruidError, Result};
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use super::{PeonFiles, WorkerConfig, write_status};
use crate::spec::TaskStatus;
use crate::task::write_atomically;

/// Tells a peon that its standard input is a listening socket and its standard output the thread of life to its parent.
pub const INHERITS: &str = "OVATE_PEON_INHERITS";

/// Milliseconds since the epoch.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

/// When a file was last written, now when that is unknown.
pub fn modified_ms(file: &Path) -> i64 {
    let modified = std::fs::metadata(file).and_then(|meta| meta.modified()).ok();
    modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or_else(now_ms, |d| d.as_millis() as i64)
}

/// A peon that runs.
pub struct Peon {
    child: Child,
    /// Kept open as long as we live.
    life: UnixStream,
}

/// Finds a free port for a peon (`PortFinder`).
pub fn listen(config: &WorkerConfig) -> Result<TcpListener> {
    let mut last = None;
    for port in config.ports.candidates() {
        match TcpListener::bind((config.bind.as_str(), port)) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = Some(format!("{}:{port}: {error}", config.bind)),
        }
    }
    let last = last.unwrap_or_else(|| "druid.indexer.runner.ports is empty".to_owned());
    Err(DruidError::runtime(format!("no port is free for a peon (druid.indexer.runner.startPort), last tried {last}")))
}

/// Makes the task's directory and starts its peon.
pub fn start(config: &WorkerConfig, dir: &Path, task: &Value, listener: TcpListener) -> Result<Peon> {
    let failed =
        |what: &str, e: std::io::Error| DruidError::runtime(format!("cannot {what} for a task in [{}]: {e}", dir.display()));
    std::fs::create_dir_all(dir).map_err(|e| failed("make a directory", e))?;
    let files = PeonFiles::in_dir(dir);
    write_atomically(&files.task, task.to_string().as_bytes())?;
    let log = File::create(dir.join("log")).map_err(|e| failed("open a log", e))?;
    let (life, theirs) = UnixStream::pair().map_err(|e| failed("make a socket", e))?;
    let (program, arguments) =
        config.peon_command.split_first().ok_or_else(|| DruidError::runtime("the peon's command is empty"))?;
    let mut command = Command::new(program);
    command.args(arguments).arg(dir).env(INHERITS, "1").kill_on_drop(true);
    command.stdin(OwnedFd::from(listener)).stdout(OwnedFd::from(theirs)).stderr(log);
    command.envs(config.peon_env.iter().map(|(name, value)| (name, value)));
    let child = command.spawn().map_err(|e| failed("start a peon", e))?;
    Ok(Peon { child, life })
}

/// Waits for the end and tells how it was.
pub async fn watch(peon: Peon, stopped: oneshot::Receiver<String>, id: &str, files: &PeonFiles) -> TaskStatus {
    let started = Instant::now();
    let Peon { mut child, life } = peon;
    let mut reason = None;
    let mut stopped = std::pin::pin!(stopped);
    let exit = tokio::select! {
        exit = child.wait() => exit,
        Ok(asked) = &mut stopped => {
            reason = Some(asked);
            // Nothing is half done at any instant, so there is nothing to wait for.
            if let Err(error) = child.start_kill() {
                tracing::warn!("cannot kill a peon. task={id} error={error}");
            }
            child.wait().await
        }
    };
    drop(life);
    let _ = tokio::fs::remove_dir_all(&files.work).await;
    let duration_ms = started.elapsed().as_millis() as i64;
    if let Some(status) = read_status(&files.status, id) {
        return status;
    }
    let message = match (reason, exit) {
        (Some(reason), _) => reason,
        (None, Ok(exit)) => {
            format!("Task execution process exited unsuccessfully with {exit}. See the task's log for more details.")
        }
        (None, Err(error)) => format!("cannot wait for the task's process: {error}"),
    };
    let status = TaskStatus::failed(id, duration_ms, &message);
    if let Err(error) = write_status(&files.status, &status) {
        tracing::warn!("{error}");
    }
    status
}

/// The status that a peon left, if it ended.
pub fn read_status(file: &Path, id: &str) -> Option<TaskStatus> {
    let json: Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    TaskStatus::from_json(&json).ok().filter(|status| status.id == id && status.state.is_complete())
}
