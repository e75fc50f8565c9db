//! Task actions (`TaskAction`, LCK-04): what a task asks of the overlord, as one type that the peon writes and the overlord
//! reads. Bodies are `{"task":{…},"action":{…}}`, answers `{"result":…}`.

use async_trait::async_trait;
use ovate_base::segment::DataSegment;
use ovate_base::{DruidError, Interval, Result};
use serde_json::{Map, Value, json};

use super::cluster::TaskCluster;
use super::lock::{LockType, TaskLock};
use crate::spec::iso;

/// One request. Segments are `DataSegment` JSON, verbatim.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskAction {
    /// Grants a lock or answers null at once.
    LockTryAcquire {
        lock_type: LockType,
        interval: Interval,
    },
    /// Waits for a lock, `timeout_ms` 0 for ever.
    LockAcquire {
        lock_type: LockType,
        interval: Interval,
        timeout_ms: u64,
    },
    LockList,
    LockRelease {
        interval: Interval,
    },
    /// Allocates the next partition of the time chunk that holds `timestamp`; answers `SegmentIdWithShardSpec` or null.
    SegmentAllocate(SegmentAllocate),
    /// Publishes segments in one transaction, under the locks that the task holds.
    SegmentTransactionalInsert {
        segments: Vec<Value>,
        data_source: Option<String>,
        start_metadata: Value,
        end_metadata: Value,
    },
    /// The same under `APPEND` locks.
    SegmentTransactionalAppend {
        segments: Vec<Value>,
        start_metadata: Value,
        end_metadata: Value,
    },
    /// The same under `REPLACE` locks.
    SegmentTransactionalReplace {
        segments: Vec<Value>,
    },
    SegmentListUsed {
        data_source: String,
        intervals: Vec<Interval>,
        include_overshadowed: bool,
    },
    SegmentListUnused {
        data_source: String,
        interval: Interval,
        versions: Option<Vec<String>>,
        limit: Option<u64>,
        max_used_status_last_updated: Option<i64>,
    },
    MarkSegmentsAsUnused {
        data_source: String,
        interval: Interval,
    },
    /// Deletes the records of unused segments; the files are the task's affair.
    SegmentNuke {
        segments: Vec<Value>,
    },
    /// For each id the ids of all segments whose files are shared with it, itself at least.
    RetrieveUpgradedToSegmentIds {
        data_source: String,
        segment_ids: Vec<String>,
    },
    RetrieveUpgradedFromSegmentIds {
        data_source: String,
        segment_ids: Vec<String>,
    },
}

/// `SegmentAllocateAction`.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentAllocate {
    pub data_source: String,
    pub timestamp_ms: i64,
    /// Granularities stay as Druid writes them: a name or an object.
    pub query_granularity: Value,
    pub preferred_segment_granularity: Value,
    pub sequence_name: String,
    pub previous_segment_id: Option<String>,
    pub skip_segment_lineage_check: bool,
    /// `PartialShardSpec`, for example `{"type":"numbered"}`.
    pub partial_shard_spec: Value,
    pub lock_type: LockType,
}

/// Answers task actions for one task. The peon's speaks HTTP to the overlord; a test's keeps everything in memory.
#[async_trait]
pub trait TaskActions: Send + Sync {
    /// Performs the action; the answer is what stands under `result`.
    async fn submit(&self, action: TaskAction) -> Result<Value>;

    /// Whether a published segment is served by now (`handoffComplete` of the Coordinator).
    async fn is_served(&self, segment: &DataSegment) -> Result<bool>;

    /// The cluster's tasks; `None` where there is no cluster, so that a task does all of its work itself.
    fn cluster(&self) -> Option<&dyn TaskCluster> {
        None
    }
}

/// Typed reading of the answers.
impl dyn TaskActions + '_ {
    /// `lockTryAcquire`, `None` when another task holds a conflicting lock.
    pub async fn lock_try_acquire(&self, lock_type: LockType, interval: Interval) -> Result<Option<TaskLock>> {
        optional_lock(&self.submit(TaskAction::LockTryAcquire { lock_type, interval }).await?)
    }

    /// `lockAcquire`, `None` after the timeout.
    pub async fn lock_acquire(&self, lock_type: LockType, interval: Interval, timeout_ms: u64) -> Result<Option<TaskLock>> {
        optional_lock(&self.submit(TaskAction::LockAcquire { lock_type, interval, timeout_ms }).await?)
    }

    /// All locks of the task.
    pub async fn lock_list(&self) -> Result<Vec<TaskLock>> {
        self.submit(TaskAction::LockList).await?.as_array().into_iter().flatten().map(TaskLock::from_json).collect()
    }

    /// Publishes by one of the three transactional actions; an error carries the overlord's `errorMsg`.
    pub async fn publish(&self, action: TaskAction) -> Result<()> {
        let answer = self.submit(action).await?;
        if answer["success"].as_bool() == Some(true) {
            return Ok(());
        }
        let message = answer["errorMsg"].as_str().unwrap_or("the overlord gave no reason");
        Err(DruidError::runtime(format!("failed to publish segments: {message}")))
    }
}

fn optional_lock(answer: &Value) -> Result<Option<TaskLock>> {
    if answer.is_null() { Ok(None) } else { TaskLock::from_json(answer).map(Some) }
}

impl TaskAction {
    /// The action's `type`.
    pub fn name(&self) -> &'static str {
        match self {
            TaskAction::LockTryAcquire { .. } => "lockTryAcquire",
            TaskAction::LockAcquire { .. } => "lockAcquire",
            TaskAction::LockList => "lockList",
            TaskAction::LockRelease { .. } => "lockRelease",
            TaskAction::SegmentAllocate(_) => "segmentAllocate",
            TaskAction::SegmentTransactionalInsert { .. } => "segmentTransactionalInsert",
            TaskAction::SegmentTransactionalAppend { .. } => "segmentTransactionalAppend",
            TaskAction::SegmentTransactionalReplace { .. } => "segmentTransactionalReplace",
            TaskAction::SegmentListUsed { .. } => "segmentListUsed",
            TaskAction::SegmentListUnused { .. } => "segmentListUnused",
            TaskAction::MarkSegmentsAsUnused { .. } => "markSegmentsAsUnused",
            TaskAction::SegmentNuke { .. } => "segmentNuke",
            TaskAction::RetrieveUpgradedToSegmentIds { .. } => "retrieveUpgradedToSegmentIds",
            TaskAction::RetrieveUpgradedFromSegmentIds { .. } => "retrieveUpgradedFromSegmentIds",
        }
    }

    /// Druid's JSON.
    pub fn to_json(&self) -> Value {
        let mut out = match self {
            TaskAction::LockTryAcquire { lock_type, interval } => {
                json!({"lockType": lock_type.name(), "interval": iso::interval(interval)})
            }
            TaskAction::LockAcquire { lock_type, interval, timeout_ms } => {
                json!({"lockType": lock_type.name(), "interval": iso::interval(interval), "timeoutMs": timeout_ms})
            }
            TaskAction::LockList => json!({}),
            TaskAction::LockRelease { interval } => json!({"interval": iso::interval(interval)}),
            TaskAction::SegmentAllocate(a) => json!({
                "dataSource": a.data_source, "timestamp": iso::instant(a.timestamp_ms), "queryGranularity": a.query_granularity,
                "preferredSegmentGranularity": a.preferred_segment_granularity, "sequenceName": a.sequence_name,
                "previousSegmentId": a.previous_segment_id, "skipSegmentLineageCheck": a.skip_segment_lineage_check,
                "shardSpecFactory": a.partial_shard_spec, "lockGranularity": "TIME_CHUNK", "taskLockType": a.lock_type.name()}),
            TaskAction::SegmentTransactionalInsert { segments, data_source, start_metadata, end_metadata } => json!({
                "segmentsToBeOverwritten": null, "segments": segments, "startMetadata": start_metadata, "endMetadata": end_metadata,
                "dataSource": data_source, "segmentSchemaMapping": no_schemas()}),
            TaskAction::SegmentTransactionalAppend { segments, start_metadata, end_metadata } => json!({
                "segments": segments, "startMetadata": start_metadata, "endMetadata": end_metadata, "segmentSchemaMapping": no_schemas()}),
            TaskAction::SegmentTransactionalReplace { segments } => {
                json!({"segments": segments, "segmentSchemaMapping": no_schemas()})
            }
            TaskAction::SegmentListUsed { data_source, intervals, include_overshadowed } => json!({
                "dataSource": data_source, "intervals": intervals.iter().map(iso::interval).collect::<Vec<_>>(),
                "visibility": if *include_overshadowed { "INCLUDING_OVERSHADOWED" } else { "ONLY_VISIBLE" }}),
            TaskAction::SegmentListUnused { data_source, interval, versions, limit, max_used_status_last_updated } => json!({
                "dataSource": data_source, "interval": iso::interval(interval), "versions": versions, "limit": limit,
                "maxUsedStatusLastUpdatedTime": max_used_status_last_updated.map(iso::instant)}),
            TaskAction::MarkSegmentsAsUnused { data_source, interval } => {
                json!({"dataSource": data_source, "interval": iso::interval(interval)})
            }
            TaskAction::SegmentNuke { segments } => json!({"segments": segments}),
            TaskAction::RetrieveUpgradedToSegmentIds { data_source, segment_ids }
            | TaskAction::RetrieveUpgradedFromSegmentIds { data_source, segment_ids } => {
                json!({"dataSource": data_source, "segmentIds": segment_ids})
            }
        };
        let mut object = Map::new();
        object.insert("type".into(), json!(self.name()));
        object.append(out.as_object_mut().expect("each arm makes an object"));
        Value::Object(object)
    }

    /// Reads Druid's JSON; unknown actions are refused by name.
    pub fn from_json(json: &Value) -> Result<TaskAction> {
        let name = json["type"].as_str().unwrap_or("");
        let at = Fields { name, json };
        Ok(match name {
            "lockTryAcquire" => {
                TaskAction::LockTryAcquire { lock_type: at.lock_type("lockType")?, interval: at.interval("interval")? }
            }
            "lockAcquire" => TaskAction::LockAcquire {
                lock_type: at.lock_type("lockType")?,
                interval: at.interval("interval")?,
                timeout_ms: json["timeoutMs"].as_u64().unwrap_or(0),
            },
            "lockList" => TaskAction::LockList,
            "lockRelease" => TaskAction::LockRelease { interval: at.interval("interval")? },
            "segmentAllocate" => TaskAction::SegmentAllocate(at.allocate()?),
            "segmentTransactionalInsert" => {
                if json["segmentsToBeOverwritten"].as_array().is_some_and(|list| !list.is_empty()) {
                    return Err(DruidError::unsupported("segmentsToBeOverwritten of segment locks is not supported"));
                }
                TaskAction::SegmentTransactionalInsert {
                    segments: at.segments()?,
                    data_source: json["dataSource"].as_str().map(str::to_owned),
                    start_metadata: json["startMetadata"].clone(),
                    end_metadata: json["endMetadata"].clone(),
                }
            }
            "segmentTransactionalAppend" => TaskAction::SegmentTransactionalAppend {
                segments: at.segments()?,
                start_metadata: json["startMetadata"].clone(),
                end_metadata: json["endMetadata"].clone(),
            },
            "segmentTransactionalReplace" => TaskAction::SegmentTransactionalReplace { segments: at.segments()? },
            "segmentListUsed" => TaskAction::SegmentListUsed {
                data_source: at.text("dataSource")?,
                intervals: match &json["intervals"] {
                    Value::Array(list) => list.iter().map(parse_interval).collect::<Result<_>>()?,
                    _ => vec![at.interval("interval")?],
                },
                include_overshadowed: json["visibility"].as_str() == Some("INCLUDING_OVERSHADOWED"),
            },
            "segmentListUnused" => TaskAction::SegmentListUnused {
                data_source: at.text("dataSource")?,
                interval: at.interval("interval")?,
                versions: json["versions"]
                    .as_array()
                    .map(|list| list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()),
                limit: json["limit"].as_u64(),
                max_used_status_last_updated: json["maxUsedStatusLastUpdatedTime"]
                    .as_str()
                    .map(iso::parse_instant)
                    .transpose()?,
            },
            "markSegmentsAsUnused" => {
                TaskAction::MarkSegmentsAsUnused { data_source: at.text("dataSource")?, interval: at.interval("interval")? }
            }
            "segmentNuke" => TaskAction::SegmentNuke { segments: at.segments()? },
            "retrieveUpgradedToSegmentIds" => TaskAction::RetrieveUpgradedToSegmentIds {
                data_source: at.text("dataSource")?,
                segment_ids: at.texts("segmentIds")?,
            },
            "retrieveUpgradedFromSegmentIds" => TaskAction::RetrieveUpgradedFromSegmentIds {
                data_source: at.text("dataSource")?,
                segment_ids: at.texts("segmentIds")?,
            },
            _ => return Err(DruidError::unsupported(format!("task action [{name}] is not supported"))),
        })
    }
}

fn no_schemas() -> Value {
    json!({"segmentIdToMetadataMap": {}, "schemaFingerprintToPayloadMap": {}, "schemaVersion": 1})
}

fn parse_interval(json: &Value) -> Result<Interval> {
    iso::parse_interval(json.as_str().ok_or_else(|| DruidError::invalid_input("interval is not a string"))?)
}

/// The fields of one action, with errors that name both.
struct Fields<'a> {
    name: &'a str,
    json: &'a Value,
}

impl Fields<'_> {
    fn text(&self, field: &str) -> Result<String> {
        let missing = || DruidError::invalid_input(format!("task action [{}] has no [{field}]", self.name));
        self.json[field].as_str().map(str::to_owned).ok_or_else(missing)
    }

    fn texts(&self, field: &str) -> Result<Vec<String>> {
        let missing = || DruidError::invalid_input(format!("task action [{}] has no list [{field}]", self.name));
        let list = self.json[field].as_array().ok_or_else(missing)?;
        Ok(list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect())
    }

    fn interval(&self, field: &str) -> Result<Interval> {
        iso::parse_interval(&self.text(field)?)
    }

    fn lock_type(&self, field: &str) -> Result<LockType> {
        self.json[field].as_str().map_or(Ok(LockType::Exclusive), LockType::parse)
    }

    fn segments(&self) -> Result<Vec<Value>> {
        let missing = || DruidError::invalid_input(format!("task action [{}] has no [segments]", self.name));
        self.json["segments"].as_array().cloned().ok_or_else(missing)
    }

    fn allocate(&self) -> Result<SegmentAllocate> {
        if self.json["lockGranularity"].as_str() == Some("SEGMENT") {
            return Err(DruidError::unsupported("segment locks are not supported"));
        }
        let timestamp_ms = match &self.json["timestamp"] {
            Value::Number(n) => {
                n.as_i64().ok_or_else(|| DruidError::invalid_input("segmentAllocate timestamp is out of range"))?
            }
            _ => iso::parse_instant(&self.text("timestamp")?)?,
        };
        Ok(SegmentAllocate {
            data_source: self.text("dataSource")?,
            timestamp_ms,
            query_granularity: self.json["queryGranularity"].clone(),
            preferred_segment_granularity: self.json["preferredSegmentGranularity"].clone(),
            sequence_name: self.text("sequenceName")?,
            previous_segment_id: self.json["previousSegmentId"].as_str().map(str::to_owned),
            skip_segment_lineage_check: self.json["skipSegmentLineageCheck"].as_bool().unwrap_or(false),
            partial_shard_spec: match &self.json["shardSpecFactory"] {
                Value::Null => json!({"type": "numbered"}),
                other => other.clone(),
            },
            lock_type: self.lock_type("taskLockType")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_read_what_they_write() {
        let interval = Interval { start: 0, end: 86_400_000 };
        let list = [
            TaskAction::LockTryAcquire { lock_type: LockType::Replace, interval },
            TaskAction::LockAcquire { lock_type: LockType::Exclusive, interval, timeout_ms: 5 },
            TaskAction::LockList,
            TaskAction::LockRelease { interval },
            TaskAction::SegmentTransactionalInsert {
                segments: vec![json!({"dataSource": "a"})],
                data_source: Some("a".into()),
                start_metadata: Value::Null,
                end_metadata: Value::Null,
            },
            TaskAction::SegmentListUsed { data_source: "a".into(), intervals: vec![interval], include_overshadowed: true },
            TaskAction::SegmentNuke { segments: vec![] },
        ];
        for action in list {
            assert_eq!(TaskAction::from_json(&action.to_json()).unwrap(), action);
        }
    }

    #[test]
    fn unknown_action_is_refused_by_name() {
        let error = TaskAction::from_json(&json!({"type": "teleport"})).unwrap_err();
        assert!(error.message.contains("teleport"), "{error}");
    }
}
