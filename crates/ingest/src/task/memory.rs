//! Task actions without an overlord: locks, allocations and published segments in memory. For tests, of this room and of
//! others; one instance is one metadata store.

use async_trait::async_trait;
use ovate_base::segment::{DataSegment, SegmentId, ShardSpec};
use ovate_base::timeline::Timeline;
use ovate_base::{Granularity, Interval, Result};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::actions::{SegmentAllocate, TaskAction, TaskActions};
use super::lock::{LockType, TaskLock};
use crate::spec::iso;

/// The state behind the actions.
#[derive(Default)]
pub struct MemoryActions {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    used: Vec<DataSegment>,
    unused: Vec<DataSegment>,
    allocated: Vec<SegmentId>,
    locks: u64,
    refuse_publish: Option<String>,
}

impl MemoryActions {
    /// All used segments, in order of publication.
    pub fn used(&self) -> Vec<DataSegment> {
        self.state.lock().used.clone()
    }

    /// Used segments that no other hides.
    pub fn visible(&self) -> Vec<DataSegment> {
        let state = self.state.lock();
        let mut timeline = Timeline::new();
        for segment in &state.used {
            timeline.add(segment.interval, segment.version.clone(), segment.shard_spec.clone(), segment.clone());
        }
        let visible = timeline.visible();
        visible.iter().flat_map(|holder| holder.chunks.iter().map(|chunk| chunk.object.clone())).collect()
    }

    /// Marks everything as unused.
    pub fn retire_all(&self) {
        let mut state = self.state.lock();
        let used = std::mem::take(&mut state.used);
        state.unused.extend(used);
    }

    /// Makes the next publication fail for this reason.
    pub fn refuse_publish(&self, why: &str) {
        self.state.lock().refuse_publish = Some(why.to_owned());
    }
}

impl State {
    fn lock(&mut self, lock_type: LockType, interval: Interval) -> Value {
        self.locks += 1;
        let version = match lock_type {
            LockType::Append => iso::instant(0),
            _ => iso::instant(1_700_000_000_000 + self.locks as i64),
        };
        let (group_id, data_source) = ("group".to_owned(), String::new());
        TaskLock { lock_type, group_id, data_source, interval, version, priority: 50, revoked: false }.to_json()
    }

    fn allocate(&mut self, ask: &SegmentAllocate) -> Result<Value> {
        let at = ask.timestamp_ms;
        let existing: Vec<&DataSegment> = self.used.iter().filter(|s| s.interval.contains(at)).collect();
        let newest = existing.iter().map(|s| s.version.clone()).max();
        let current: Vec<&&DataSegment> = existing.iter().filter(|s| Some(&s.version) == newest.as_ref()).collect();
        let (interval, version, partitions) = match (current.first(), newest) {
            (Some(first), Some(version)) => (first.interval, version, first.shard_spec.core_partitions().unwrap_or(0)),
            _ => {
                let interval = Granularity::from_json(&ask.preferred_segment_granularity)?.bucket(at);
                (interval, iso::instant(1_600_000_000_000).into(), 0)
            }
        };
        let taken = current.iter().map(|s| s.shard_spec.partition_num());
        let pending = self.allocated.iter().filter(|id| id.interval == interval).map(|id| id.partition);
        let partition_num = taken.chain(pending).max().map_or(0, |n| n + 1);
        let shard_spec = ShardSpec::Numbered { partition_num, partitions };
        self.allocated.push(SegmentId::new(ask.data_source.as_str(), interval, version.clone(), partition_num));
        Ok(
            json!({"dataSource": ask.data_source, "interval": interval.to_string(), "version": &*version, "shardSpec": shard_spec.to_json()}),
        )
    }

    fn publish(&mut self, segments: &[Value]) -> Result<Value> {
        if let Some(why) = self.refuse_publish.take() {
            return Ok(json!({"segments": [], "success": false, "retryable": false, "errorMsg": why}));
        }
        for segment in segments {
            self.used.push(DataSegment::from_json(segment)?);
        }
        Ok(json!({"segments": segments, "success": true, "retryable": false, "errorMsg": null}))
    }
}

fn list<'a>(segments: impl Iterator<Item = &'a DataSegment>) -> Value {
    Value::Array(segments.map(DataSegment::to_json).collect())
}

#[async_trait]
impl TaskActions for MemoryActions {
    async fn is_served(&self, segment: &DataSegment) -> Result<bool> {
        Ok(self.state.lock().used.iter().any(|used| used.id() == segment.id()))
    }

    async fn submit(&self, action: TaskAction) -> Result<Value> {
        let mut state = self.state.lock();
        match action {
            TaskAction::LockTryAcquire { lock_type, interval } | TaskAction::LockAcquire { lock_type, interval, .. } => {
                Ok(state.lock(lock_type, interval))
            }
            TaskAction::LockList => Ok(json!([])),
            TaskAction::LockRelease { .. } => Ok(Value::Null),
            TaskAction::SegmentAllocate(ask) => state.allocate(&ask),
            TaskAction::SegmentTransactionalInsert { segments, .. }
            | TaskAction::SegmentTransactionalAppend { segments, .. }
            | TaskAction::SegmentTransactionalReplace { segments } => state.publish(&segments),
            TaskAction::SegmentListUsed { intervals, .. } => {
                Ok(list(state.used.iter().filter(|s| intervals.iter().any(|i| i.overlaps(&s.interval)))))
            }
            TaskAction::SegmentListUnused { interval, limit, .. } => {
                let limit = limit.unwrap_or(u64::MAX) as usize;
                Ok(list(state.unused.iter().filter(|s| interval.encloses(&s.interval)).take(limit)))
            }
            TaskAction::MarkSegmentsAsUnused { interval, .. } => {
                let (gone, kept): (Vec<_>, Vec<_>) =
                    std::mem::take(&mut state.used).into_iter().partition(|s| interval.encloses(&s.interval));
                state.used = kept;
                let count = gone.len();
                state.unused.extend(gone);
                Ok(json!(count))
            }
            TaskAction::SegmentNuke { segments } => {
                let ids: Vec<String> =
                    segments.iter().map(|s| DataSegment::from_json(s).map(|s| s.id().to_string())).collect::<Result<_>>()?;
                state.unused.retain(|s| !ids.contains(&s.id().to_string()));
                Ok(json!(ids.len()))
            }
            TaskAction::RetrieveUpgradedToSegmentIds { segment_ids, .. } => {
                let map: serde_json::Map<String, Value> = segment_ids.into_iter().map(|id| (id.clone(), json!([id]))).collect();
                Ok(json!({"upgradedToSegmentIds": map}))
            }
            TaskAction::RetrieveUpgradedFromSegmentIds { .. } => Ok(json!({"upgradedFromSegmentIds": {}})),
        }
    }
}
