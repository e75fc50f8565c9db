//! Payloads of the store in Druid's JSON: task status, task locks, allocated segment ids.

use std::sync::Arc;

use ovate_base::{Interval, Result, SegmentId, ShardSpec};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// `TaskState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TaskState {
    Running,
    Success,
    Failed,
}

/// Where a task runs; `host` null when it is not known (`TaskLocation`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskLocation {
    pub host: Option<String>,
    #[serde(default = "no_port")]
    pub port: i32,
    #[serde(default = "no_port")]
    pub tls_port: i32,
}

fn no_port() -> i32 {
    -1
}

impl TaskLocation {
    pub fn unknown() -> TaskLocation {
        TaskLocation { host: None, port: -1, tls_port: -1 }
    }
}

impl Default for TaskLocation {
    fn default() -> Self {
        TaskLocation::unknown()
    }
}

/// `TaskStatus`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskStatus {
    pub id: String,
    pub status: TaskState,
    /// Milliseconds; -1 while running.
    #[serde(default = "no_duration")]
    pub duration: i64,
    #[serde(default)]
    pub error_msg: Option<String>,
    #[serde(default)]
    pub location: TaskLocation,
    /// Ours, while the task is active: its segments are published.
    #[serde(default, skip_serializing_if = "is_false")]
    pub published: bool,
    /// Ours, while the task is active: how often it was started over because its worker went away.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: u32,
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

fn no_duration() -> i64 {
    -1
}

/// Druid cuts messages so that a status fits into a ZooKeeper node.
const ERROR_CHARS_MAX: usize = 1_000;

impl TaskStatus {
    pub fn running(id: impl Into<String>) -> TaskStatus {
        TaskStatus {
            id: id.into(),
            status: TaskState::Running,
            duration: -1,
            error_msg: None,
            location: TaskLocation::unknown(),
            published: false,
            restarts: 0,
        }
    }

    pub fn success(id: impl Into<String>, duration_ms: i64) -> TaskStatus {
        TaskStatus { status: TaskState::Success, duration: duration_ms, ..TaskStatus::running(id) }
    }

    pub fn failed(id: impl Into<String>, duration_ms: i64, error: impl Into<String>) -> TaskStatus {
        let error: String = error.into().chars().take(ERROR_CHARS_MAX).collect();
        TaskStatus { status: TaskState::Failed, duration: duration_ms, error_msg: Some(error), ..TaskStatus::running(id) }
    }

    pub fn is_complete(&self) -> bool {
        self.status != TaskState::Running
    }
}

/// A row of the tasks table.
#[derive(Debug, Clone)]
pub struct TaskRow {
    pub id: String,
    pub created_date: String,
    pub data_source: String,
    pub payload: Value,
    pub status: TaskStatus,
    pub active: bool,
    pub task_type: Option<String>,
    pub group_id: Option<String>,
}

impl TaskRow {
    /// What lists show of the task, with the status that is known now.
    pub fn summary(&self, status: &TaskStatus) -> TaskSummary {
        TaskSummary {
            id: self.id.clone(),
            created_date: self.created_date.clone(),
            data_source: self.data_source.clone(),
            status: status.clone(),
            task_type: self.task_type.clone(),
            group_id: self.group_id.clone(),
        }
    }
}

/// A row of the tasks table without its payload, which may be megabytes (`TaskInfo` of `TaskIdentifier`s).
#[derive(Debug, Clone)]
pub struct TaskSummary {
    pub id: String,
    pub created_date: String,
    pub data_source: String,
    pub status: TaskStatus,
    pub task_type: Option<String>,
    pub group_id: Option<String>,
}

/// `TaskLockType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LockType {
    Exclusive,
    Shared,
    Replace,
    Append,
}

/// `TimeChunkLock`. Stored with `granularity`; task actions answer without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskLock {
    #[serde(rename = "type")]
    pub lock_type: LockType,
    pub group_id: String,
    pub data_source: String,
    pub interval: Interval,
    pub version: String,
    #[serde(default)]
    pub priority: i32,
    #[serde(default)]
    pub revoked: bool,
}

impl TaskLock {
    /// As the tasklocks table holds it.
    pub fn to_stored_json(&self) -> Value {
        let mut out = serde_json::Map::new();
        out.insert("granularity".into(), json!("timeChunk"));
        if let Ok(Value::Object(fields)) = serde_json::to_value(self) {
            out.extend(fields);
        }
        Value::Object(out)
    }
}

/// A lock with its row id and task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockRow {
    pub row_id: i64,
    pub task_id: String,
    pub lock: TaskLock,
}

/// `SegmentIdWithShardSpec`: what an allocation gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SegmentIdWithShardSpec {
    pub data_source: Arc<str>,
    pub interval: Interval,
    pub version: Arc<str>,
    pub shard_spec: ShardSpec,
}

impl SegmentIdWithShardSpec {
    pub fn id(&self) -> SegmentId {
        SegmentId::new(self.data_source.clone(), self.interval, self.version.clone(), self.shard_spec.partition_num())
    }
}

/// A row of pendingSegments (`PendingSegmentRecord`).
#[derive(Debug, Clone, PartialEq)]
pub struct PendingSegment {
    pub id: SegmentIdWithShardSpec,
    pub sequence_name: String,
    pub sequence_prev_id: String,
    pub upgraded_from_segment_id: Option<String>,
    pub task_allocator_id: Option<String>,
}

impl TaskLock {
    pub(super) fn from_stored(bytes: &[u8]) -> Result<TaskLock> {
        super::parse_json(bytes, "task lock")
    }
}
