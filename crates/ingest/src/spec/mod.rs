//! Task specs as they are posted (`Task` and its subclasses), checked at the door: what is unknown or contradictory is an
//! error that names it. The overlord keeps the JSON with the defaults of the envelope filled in; the peon parses it again.

pub mod iso;
mod status;

use ovate_base::{DruidError, Result};
use serde_json::{Map, Value, json};

pub use status::{TaskLocation, TaskState, TaskStatus};

/// One task: its envelope, and the work itself in [`TaskKind`].
#[derive(Debug, Clone)]
pub struct TaskSpec {
    pub id: String,
    /// Tasks of one group share locks (LCK-02).
    pub group_id: String,
    pub data_source: String,
    pub task_type: String,
    pub context: Map<String, Value>,
    pub kind: TaskKind,
    json: Value,
}

/// What a task does.
#[derive(Debug, Clone)]
pub enum TaskKind {
    /// `index_parallel` or `index` (ING-01, ING-02).
    Index,
    /// `kill` (ING-06).
    Kill,
    /// `compact` (ING-05).
    Compact,
    /// `noop` (ING-08).
    Noop { run_time_ms: u64 },
}

impl TaskSpec {
    /// Checks a posted task and fills in the envelope. `now_ms` and `chance` make the id of a task that comes without one,
    /// as `AbstractTask.getOrMakeId` does: `<type>_<dataSource>_<8 letters>_<time>`.
    pub fn from_json(json: &Value, now_ms: i64, chance: u64) -> Result<TaskSpec> {
        let _ = (json, now_ms, chance);
        Err(DruidError::unsupported("task specs are not read yet"))
    }

    /// The task as it is stored and sent to workers.
    pub fn to_json(&self) -> &Value {
        &self.json
    }

    /// `priority` of the context, else the default of the type (LCK-02: compaction 25, batch 50).
    pub fn priority(&self) -> i64 {
        match self.context.get("priority") {
            Some(Value::Number(n)) => n.as_i64().unwrap_or(0),
            Some(Value::String(text)) => text.parse().unwrap_or(0),
            _ => match self.kind {
                TaskKind::Index => 50,
                TaskKind::Compact => 25,
                TaskKind::Kill | TaskKind::Noop { .. } => 0,
            },
        }
    }

    /// The status payload of a task that has just been accepted.
    pub fn running_status(&self) -> Value {
        json!({"id": self.id, "status": "RUNNING", "duration": -1, "errorMsg": null, "location": TaskLocation::UNKNOWN.to_json()})
    }
}
