//! The subtasks of `index_parallel` (ING-09, `AbstractBatchSubtask`): an index spec over one split, and whose work it is a part
//! of. They are made by supervising tasks, not by users.

use ovate_base::segment::{DataSegment, ShardSpec};
use ovate_base::{DruidError, Interval, Result};
use serde_json::{Value, json};

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
    /// `partial_dimension_cardinality` and `partial_dimension_distribution`: what the rows' partitions depend on.
    Collect,
    /// `partial_index_generate` and `partial_range_index_generate`: rows into parts of segments, by this partitioning.
    Generate(Value),
    /// `partial_index_generic_merge`: parts into segments that are pushed.
    Merge(Vec<MergeSpec>),
}

/// A segment to be merged of its parts.
#[derive(Debug, Clone)]
pub struct MergeSpec {
    pub interval: Interval,
    pub version: String,
    pub shard_spec: ShardSpec,
    /// Where the parts are in deep storage.
    pub parts: Vec<DataSegment>,
}

impl MergeSpec {
    pub fn to_json(&self) -> Value {
        let parts: Vec<Value> = self.parts.iter().map(DataSegment::to_json).collect();
        json!({"interval": self.interval, "version": self.version, "shardSpec": self.shard_spec.to_json(), "parts": parts})
    }

    fn from_json(json: &Value) -> Result<MergeSpec> {
        let fields = Fields::new(json, "partitions")?;
        let merge = MergeSpec {
            interval: Interval::parse(fields.need_text("interval")?)?,
            version: fields.need_text("version")?.to_owned(),
            shard_spec: ShardSpec::from_json(fields.need("shardSpec")?)?,
            parts: fields.list("parts")?.iter().map(DataSegment::from_json).collect::<Result<_>>()?,
        };
        fields.finish()?;
        Ok(merge)
    }
}

impl SubTaskSpec {
    /// Reads the properties of the task itself.
    pub(super) fn from_fields(task_type: &str, fields: &Fields<'_>) -> Result<SubTaskSpec> {
        fields.ignore(&["numAttempts"]);
        let specs = Box::new(IndexSpecs::from_json(fields.need("spec")?)?);
        let kind = match task_type {
            "single_phase_sub_task" => SubTaskKind::SinglePhase,
            "partial_dimension_cardinality" | "partial_dimension_distribution" => SubTaskKind::Collect,
            "partial_index_generate" | "partial_range_index_generate" => {
                SubTaskKind::Generate(fields.need("partitioning")?.clone())
            }
            "partial_index_generic_merge" => {
                SubTaskKind::Merge(fields.list("partitions")?.iter().map(MergeSpec::from_json).collect::<Result<_>>()?)
            }
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
