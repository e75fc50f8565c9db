//! What other processes may ask a task that runs (`ChatHandler`): its subtasks report to it, users look at its progress.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use ovate_base::{DruidError, Result};
use parking_lot::{Mutex, RwLock};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::Board;

/// Reports that may wait for the supervisor; those beyond are refused and sent again.
const REPORTS_WAITING_MAX: usize = 256;
/// How long a subtask waits for the supervisor to take its report.
const TAKE: Duration = Duration::from_secs(60);

/// A report on its way to the supervising thread.
pub struct Told {
    pub task_id: String,
    pub report: Value,
    pub answer: oneshot::Sender<Result<()>>,
}

/// A supervisor's phase, shared between its thread and the chat handler.
pub struct Supervision {
    pub phase: &'static str,
    pub board: Mutex<Board>,
    told: SyncSender<Told>,
}

impl Supervision {
    /// A phase and the end that its thread listens at.
    pub fn new(phase: &'static str, board: Board) -> (Arc<Supervision>, std::sync::mpsc::Receiver<Told>) {
        let (told, reports) = sync_channel(REPORTS_WAITING_MAX);
        (Arc::new(Supervision { phase, board: Mutex::new(board), told }), reports)
    }
}

/// The door of one task's process. Empty until the task supervises others.
#[derive(Clone, Default)]
pub struct Chat {
    supervision: Arc<RwLock<Option<Arc<Supervision>>>>,
}

impl Chat {
    /// The task goes on to a phase.
    pub fn open(&self, supervision: Arc<Supervision>) {
        *self.supervision.write() = Some(supervision);
    }

    /// The phase that the task is in or was in last.
    pub fn supervision(&self) -> Option<Arc<Supervision>> {
        self.supervision.read().clone()
    }

    /// `POST report`: a subtask has done its work. An error means that the work does not count.
    pub async fn report(&self, report: Value) -> Result<()> {
        let busy = || DruidError::service_unavailable("the supervising task cannot take reports at the moment");
        let supervision = self.supervision().ok_or_else(busy)?;
        let task_id = report["taskId"].as_str().ok_or_else(|| DruidError::invalid_input("a report needs [taskId]"))?.to_owned();
        let (answer, taken) = oneshot::channel();
        supervision.told.try_send(Told { task_id, report, answer }).map_err(|_| busy())?;
        let late = |_| DruidError::timeout("the supervising task did not take the report in time");
        tokio::time::timeout(TAKE, taken).await.map_err(late)?.map_err(|_| busy())?
    }

    /// `GET` of a path below the chat's root that shows subtasks (`ParallelIndexSupervisorTask`'s resources).
    pub fn look(&self, path: &str) -> Result<Value> {
        let unknown = || DruidError::not_found(format!("no such endpoint of a task: {path}"));
        let supervision = self.supervision();
        if path == "mode" {
            return Ok(json!(if supervision.is_some() { "parallel" } else { "sequential" }));
        }
        let sequential = || DruidError::not_found("the task has no subtasks");
        let supervision = supervision.ok_or_else(sequential)?;
        let board = supervision.board.lock();
        let spec = |id: &str| board.spec(id).ok_or_else(|| DruidError::not_found(format!("no subtask spec [{id}]")));
        match path.split('/').collect::<Vec<_>>()[..] {
            ["phase"] => Ok(json!(supervision.phase)),
            ["progress"] => Ok(board.progress()),
            ["subtasks", "running"] => Ok(json!(board.running())),
            ["subtaskspecs"] => Ok(json!(board.specs(None))),
            ["subtaskspecs", "running"] => Ok(json!(board.specs(Some(true)))),
            ["subtaskspecs", "complete"] => Ok(json!(board.specs(Some(false)))),
            ["subtaskspec", id] => Ok(spec(id)?["spec"].take()),
            ["subtaskspec", id, "state"] => spec(id),
            ["subtaskspec", id, "history"] => Ok(spec(id)?["taskHistory"].take()),
            _ => Err(unknown()),
        }
    }
}
