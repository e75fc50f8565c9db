//! One peon's process: started with its log as output and with an input that closes when this process dies, watched until
//! it ends.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ovate_base::{DruidError, Result};
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use super::{PeonFiles, WorkerConfig, write_status};
use crate::spec::TaskStatus;
use crate::task::write_atomically;

/// Tells a peon that its standard input is the thread of life to its parent.
pub const WATCH_STDIN: &str = "OVATE_PEON_WATCH_STDIN";

/// Milliseconds since the epoch.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

/// When a file was last written, now when that is unknown.
pub fn modified_ms(file: &Path) -> i64 {
    let modified = std::fs::metadata(file).and_then(|meta| meta.modified()).ok();
    modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or_else(now_ms, |d| d.as_millis() as i64)
}

/// Makes the task's directory and starts its peon.
pub fn start(config: &WorkerConfig, dir: &Path, task: &Value) -> Result<Child> {
    let failed =
        |what: &str, e: std::io::Error| DruidError::runtime(format!("cannot {what} for a task in [{}]: {e}", dir.display()));
    std::fs::create_dir_all(dir).map_err(|e| failed("make a directory", e))?;
    let files = PeonFiles::in_dir(dir);
    write_atomically(&files.task, task.to_string().as_bytes())?;
    let log = File::create(dir.join("log")).map_err(|e| failed("open a log", e))?;
    let errors = log.try_clone().map_err(|e| failed("open a log", e))?;
    let (program, arguments) =
        config.peon_command.split_first().ok_or_else(|| DruidError::runtime("the peon's command is empty"))?;
    let mut command = Command::new(program);
    command.args(arguments).arg(dir).stdin(Stdio::piped()).stdout(log).stderr(errors).env(WATCH_STDIN, "1").kill_on_drop(true);
    command.envs(config.peon_env.iter().map(|(name, value)| (name, value)));
    command.spawn().map_err(|e| failed("start a peon", e))
}

/// Waits for the end and tells how it was.
pub async fn watch(mut child: Child, stopped: oneshot::Receiver<String>, id: &str, files: &PeonFiles) -> TaskStatus {
    let started = Instant::now();
    // Kept open as long as we live.
    let input = child.stdin.take();
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
    drop(input);
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

fn read_status(file: &Path, id: &str) -> Option<TaskStatus> {
    let json: Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    TaskStatus::from_json(&json).ok().filter(|status| status.id == id && status.state.is_complete())
}
