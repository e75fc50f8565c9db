//! Task specs as they are posted (`Task` and its subclasses), checked at the door: what is unknown or contradictory is an
//! error that names it. The overlord keeps the JSON with the defaults of the envelope filled in; the peon parses it again.

pub mod cloud;
pub mod compact;
pub mod dimensions;
mod fields;
pub mod flatten;
pub mod granularity;
pub mod index;
pub mod io;
pub mod iso;
mod kill;
mod projection;
mod status;
pub mod subtask;
#[cfg(test)]
mod tests;
pub mod timestamp;
pub mod transform;
pub mod tuning;

use ovate_base::{DruidError, Result};
use serde_json::{Map, Value, json};

pub use compact::CompactSpec;
pub use index::{DataSchema, IndexSpecs};
pub use io::{InputFormat, InputSource, IoConfig};
pub use kill::KillSpec;
pub use projection::ProjectionSpec;
pub use status::{TaskLocation, TaskState, TaskStatus};
pub use subtask::{MergeSpec, SubTaskKind, SubTaskSpec};
pub use tuning::{PartitionsSpec, TuningConfig};

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
    Index(Box<IndexSpecs>),
    /// A subtask of `index_parallel` or `compact` (ING-09).
    SubTask(Box<SubTaskSpec>),
    /// `compact` (ING-05).
    Compact(Box<CompactSpec>),
    /// `kill` (ING-06).
    Kill(KillSpec),
    /// `noop` (ING-08).
    Noop { run_time_ms: u64 },
}

impl TaskSpec {
    /// Checks a posted task and fills in the envelope. `now_ms` and `chance` make the id of a task that comes without one,
    /// as `AbstractTask.getOrMakeId` does: `<type>_<dataSource>_<8 letters>_<time>`.
    pub fn from_json(json: &Value, now_ms: i64, chance: u64) -> Result<TaskSpec> {
        let fields = fields::Fields::new(json, "task")?;
        let task_type = fields.need_text("type")?.to_owned();
        let context = match fields.get("context") {
            None => Map::new(),
            Some(Value::Object(map)) => map.clone(),
            Some(_) => return Err(DruidError::invalid_input("[context] of a task must be an object")),
        };
        let (data_source, kind) = kind(&task_type, &fields)?;
        check_lock_type(&context, &kind)?;
        if let Some(given) = fields.text("dataSource")?.filter(|given| *given != data_source) {
            return Err(DruidError::invalid_input(format!(
                "[dataSource] of the task is [{given}], that of its spec [{data_source}]"
            )));
        }
        let id = match fields.text("id")? {
            Some("") => return Err(DruidError::invalid_input("[id] of a task cannot be empty")),
            Some(id) if id.contains('/') || id.starts_with('.') || id.chars().any(char::is_control) => {
                return Err(DruidError::invalid_input(format!("[id] of a task cannot be [{id}]")));
            }
            Some(id) => id.to_owned(),
            None => format!("{task_type}_{data_source}_{}_{}", letters(chance), iso::instant(now_ms)),
        };
        let group_id = fields.text("groupId")?.unwrap_or(&id).to_owned();
        fields.ignore(&["resource"]);
        if matches!(kind, TaskKind::Index(_) | TaskKind::SubTask(_)) {
            fields.ignore(&["spec"]);
        }
        fields.finish()?;
        let mut spec = TaskSpec { id, group_id, data_source, task_type, context, kind, json: Value::Null };
        spec.json = spec.envelope(json);
        Ok(spec)
    }

    /// The stored form: the envelope in Druid's order, then what was posted.
    fn envelope(&self, posted: &Value) -> Value {
        let mut out = Map::new();
        out.insert("type".into(), json!(self.task_type));
        out.insert("id".into(), json!(self.id));
        out.insert("groupId".into(), json!(self.group_id));
        let resource = match &posted["resource"] {
            Value::Null => json!({"availabilityGroup": self.id, "requiredCapacity": 1}),
            given => given.clone(),
        };
        out.insert("resource".into(), resource);
        for (name, value) in posted.as_object().into_iter().flatten() {
            if !matches!(name.as_str(), "type" | "id" | "groupId" | "resource" | "context" | "dataSource") {
                out.insert(name.clone(), value.clone());
            }
        }
        let mut context = self.context.clone();
        if matches!(self.kind, TaskKind::Index(_) | TaskKind::SubTask(_) | TaskKind::Compact(_)) {
            for (name, value) in index::default_context().as_object().into_iter().flatten() {
                context.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        out.insert("context".into(), Value::Object(context));
        out.insert("dataSource".into(), json!(self.data_source));
        Value::Object(out)
    }

    /// The task as it is stored and sent to workers.
    pub fn to_json(&self) -> &Value {
        &self.json
    }

    /// `priority` of the context, else the default of the type (LCK-02: batch 50, compaction 25).
    pub fn priority(&self) -> i64 {
        match self.context.get("priority") {
            Some(Value::Number(n)) => n.as_i64().unwrap_or(0),
            Some(Value::String(text)) => text.parse().unwrap_or(0),
            _ => match self.kind {
                TaskKind::Index(_) | TaskKind::SubTask(_) => 50,
                TaskKind::Compact(_) => 25,
                TaskKind::Kill(_) | TaskKind::Noop { .. } => 0,
            },
        }
    }

    /// A true or false of the context.
    pub fn context_flag(&self, name: &str) -> bool {
        matches!(self.context.get(name), Some(Value::Bool(true)))
            || self.context.get(name).and_then(Value::as_str) == Some("true")
    }

    /// The task whose work this one is a part of.
    pub fn supervisor(&self) -> Option<&str> {
        match &self.kind {
            TaskKind::SubTask(spec) => Some(&spec.supervisor_task_id),
            TaskKind::Index(_) | TaskKind::Compact(_) | TaskKind::Kill(_) | TaskKind::Noop { .. } => None,
        }
    }

    /// The status of a task that has just been accepted.
    pub fn running_status(&self) -> TaskStatus {
        TaskStatus::running(&self.id)
    }
}

fn kind(task_type: &str, fields: &fields::Fields<'_>) -> Result<(String, TaskKind)> {
    match task_type {
        "index_parallel" | "index" => {
            let specs = IndexSpecs::from_json(fields.need("spec")?)?;
            Ok((specs.schema.data_source.clone(), TaskKind::Index(Box::new(specs))))
        }
        "single_phase_sub_task"
        | "partial_index_generate"
        | "partial_dimension_cardinality"
        | "partial_dimension_distribution"
        | "partial_range_index_generate"
        | "partial_index_generic_merge" => {
            let subtask = SubTaskSpec::from_fields(task_type, fields)?;
            Ok((subtask.specs.schema.data_source.clone(), TaskKind::SubTask(Box::new(subtask))))
        }
        "compact" => {
            let compact = CompactSpec::from_fields(fields)?;
            Ok((compact.data_source.clone(), TaskKind::Compact(Box::new(compact))))
        }
        "kill" => {
            let kill = KillSpec::from_fields(fields)?;
            Ok((kill.data_source.clone(), TaskKind::Kill(kill)))
        }
        "noop" => {
            let run_time_ms = fields.whole("runTime")?.unwrap_or(2500).max(0) as u64;
            fields.ignore(&["isReadyTime", "isReadyResult"]);
            fields.refuse(&["firehose"])?;
            Ok((fields.text("dataSource")?.unwrap_or("none").to_owned(), TaskKind::Noop { run_time_ms }))
        }
        "query_controller" | "query_worker" | "index_kafka" | "index_kinesis" | "index_rabbit" | "archive" | "move"
        | "restore" | "index_hadoop" | "index_realtime" => {
            Err(DruidError::unsupported(format!("task type [{task_type}] is not supported")))
        }
        other => Err(DruidError::invalid_input(format!("unknown task type [{other}]"))),
    }
}

/// `taskLockType` of the context has to suit what the task does.
fn check_lock_type(context: &Map<String, Value>, kind: &TaskKind) -> Result<()> {
    let Some(name) = context.get("taskLockType").filter(|name| !name.is_null()) else { return Ok(()) };
    let lock_type = crate::task::LockType::parse(name.as_str().unwrap_or_default())
        .map_err(|_| DruidError::invalid_input(format!("unknown [taskLockType] {name} in [context]")))?;
    let append = match kind {
        TaskKind::Index(specs) => specs.io.append_to_existing,
        TaskKind::SubTask(subtask) => subtask.specs.io.append_to_existing,
        TaskKind::Compact(_) | TaskKind::Kill(_) | TaskKind::Noop { .. } => false,
    };
    match (lock_type, append) {
        (crate::task::LockType::Append, false) => {
            Err(DruidError::invalid_input("[taskLockType] APPEND in [context] needs [appendToExisting] in [ioConfig]"))
        }
        (crate::task::LockType::Replace, true) => Err(DruidError::invalid_input(
            "[taskLockType] REPLACE in [context] and [appendToExisting] in [ioConfig] exclude each other",
        )),
        _ => Ok(()),
    }
}

/// Eight letters `a` to `p`, as in Druid's generated ids.
pub(crate) fn letters(chance: u64) -> String {
    (0..8).map(|at| (b'a' + ((chance >> (4 * at)) & 15) as u8) as char).collect()
}
