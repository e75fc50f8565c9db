//! The subtasks of `index_parallel` (ING-09, `AbstractBatchSubtask`): an index spec over one split, and whose work it is a part
//! of. They are made by supervising tasks, not by users.

use ovate_base::{DruidError, Result};

use super::fields::Fields;
use super::index::IndexSpecs;

/// Checked subtask.
#[derive(Debug, Clone)]
pub struct SubTaskSpec {
    pub kind: SubTaskKind,
    pub supervisor_task_id: String,
    /// The unit of work; its attempts have ids of their own.
    pub subtask_spec_id: String,
    pub specs: Box<IndexSpecs>,
}

/// What a subtask does.
#[derive(Debug, Clone)]
pub enum SubTaskKind {
    /// `single_phase_sub_task`: rows into segments that are pushed.
    SinglePhase,
}

impl SubTaskSpec {
    /// Reads the properties of the task itself.
    pub(super) fn from_fields(task_type: &str, fields: &Fields<'_>) -> Result<SubTaskSpec> {
        fields.ignore(&["numAttempts"]);
        let specs = Box::new(IndexSpecs::from_json(fields.need("spec")?)?);
        let kind = match task_type {
            "single_phase_sub_task" => SubTaskKind::SinglePhase,
            other => return Err(DruidError::unsupported(format!("task type [{other}] is not supported"))),
        };
        Ok(SubTaskSpec {
            kind,
            supervisor_task_id: fields.need_text("supervisorTaskId")?.to_owned(),
            subtask_spec_id: fields.text("subtaskSpecId")?.unwrap_or_default().to_owned(),
            specs,
        })
    }
}
