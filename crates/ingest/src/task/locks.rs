//! Where new segments of a task may go: locked time chunks for a replacement, allocated segment ids for an append.

use std::sync::Arc;

use hashbrown::HashMap;
use ovate_base::segment::{SegmentId, ShardSpec};
use ovate_base::{DruidError, Interval, Result};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::actions::{SegmentAllocate, TaskAction, TaskActions};
use super::lock::{LockType, TaskLock};
use crate::spec::granularity::GranularitySpec;
use crate::spec::{TaskSpec, iso};
use crate::transform::Rows;

/// A task may not spread its rows over more time chunks; a guard against broken timestamps.
pub const TIME_CHUNKS_MAX: usize = 20_000;
/// `taskLockTimeout` of the context.
const LOCK_TIMEOUT_MS: u64 = 300_000;

/// An id that the overlord gave out (`SegmentIdWithShardSpec`).
#[derive(Debug, Clone)]
pub struct Allocated {
    pub id: SegmentId,
    pub shard_spec: ShardSpec,
}

/// Claims time chunks for a task. Blocks, so it is for the task's own threads.
pub struct ChunkClaims {
    actions: Arc<dyn TaskActions>,
    handle: Handle,
    task_id: String,
    data_source: String,
    lock_type: LockType,
    timeout_ms: u64,
    segment_granularity: Value,
    query_granularity: Value,
    locks: Mutex<HashMap<Interval, TaskLock>>,
    allocated: Mutex<Vec<Allocated>>,
    sequence: Mutex<u64>,
    locks_max: usize,
}

impl ChunkClaims {
    /// Claims for a task over one datasource.
    pub fn new(
        task: &TaskSpec,
        granularity: &GranularitySpec,
        append: bool,
        actions: Arc<dyn TaskActions>,
        handle: Handle,
    ) -> ChunkClaims {
        let concurrent = task.context_flag("useConcurrentLocks");
        let named = task.context.get("taskLockType").and_then(Value::as_str).and_then(|name| LockType::parse(name).ok());
        let lock_type = match (named, concurrent, append) {
            (Some(named), _, _) => named,
            (None, true, true) => LockType::Append,
            (None, true, false) => LockType::Replace,
            (None, false, true) if task.context_flag("useSharedLock") => LockType::Shared,
            (None, false, _) => LockType::Exclusive,
        };
        ChunkClaims {
            actions,
            handle,
            task_id: task.id.clone(),
            data_source: task.data_source.clone(),
            lock_type,
            timeout_ms: task.context.get("taskLockTimeout").and_then(Value::as_u64).unwrap_or(LOCK_TIMEOUT_MS),
            segment_granularity: granularity.segment.as_ref().map_or(json!("ALL"), |g| g.to_json()),
            query_granularity: granularity.query.to_json(),
            locks: Mutex::default(),
            allocated: Mutex::default(),
            sequence: Mutex::default(),
            locks_max: TIME_CHUNKS_MAX,
        }
    }

    /// No more locks than `maxAllowedLockCount`.
    pub fn limited_to(mut self, locks_max: Option<usize>) -> ChunkClaims {
        self.locks_max = locks_max.map_or(TIME_CHUNKS_MAX, |max| max.min(TIME_CHUNKS_MAX));
        self
    }

    /// The kind of lock that the task works under.
    pub fn lock_type(&self) -> LockType {
        self.lock_type
    }

    /// Locks a chunk for replacement, once.
    pub fn lock(&self, chunk: Interval) -> Result<TaskLock> {
        let mut locks = self.locks.lock();
        if let Some(lock) = locks.get(&chunk) {
            return Ok(lock.clone());
        }
        if locks.len() >= self.locks_max {
            let message = format!("rows of the task lie in more than [{}] time chunks (maxAllowedLockCount)", self.locks_max);
            return Err(DruidError::resource_limit(message));
        }
        let wait = self.actions.lock_acquire(self.lock_type, chunk, self.timeout_ms);
        let lock = self
            .handle
            .block_on(wait)?
            .ok_or_else(|| DruidError::runtime(format!("failed to get a lock for interval [{chunk}]")))?;
        if lock.revoked {
            return Err(DruidError::runtime(format!("lock for interval [{chunk}] was revoked")));
        }
        locks.insert(chunk, lock.clone());
        Ok(lock)
    }

    /// Puts rows to be appended under the intervals of allocated segments, which existing ones may dictate.
    pub fn place(&self, rows: &mut Rows) -> Result<()> {
        let mut placed: Vec<(Interval, Vec<u32>)> = Vec::new();
        for (_, selection) in std::mem::take(&mut rows.chunks) {
            for row in selection {
                let time = rows.timestamps[row as usize];
                let at = match placed.iter().rposition(|(interval, _)| interval.contains(time)) {
                    Some(at) => at,
                    None => {
                        placed.push((self.first(time)?, Vec::new()));
                        placed.len() - 1
                    }
                };
                placed[at].1.push(row);
            }
        }
        placed.iter_mut().for_each(|(_, rows)| rows.sort_unstable());
        rows.chunks = placed;
        Ok(())
    }

    /// The interval of the first segment allocated for an instant.
    fn first(&self, time: i64) -> Result<Interval> {
        let mut allocated = self.allocated.lock();
        if let Some(known) = allocated.iter().find(|a| a.id.interval.contains(time)) {
            return Ok(known.id.interval);
        }
        if allocated.len() >= TIME_CHUNKS_MAX {
            return Err(DruidError::resource_limit(format!("rows of the task lie in more than [{TIME_CHUNKS_MAX}] time chunks")));
        }
        let new = self.allocate(time)?;
        let interval = new.id.interval;
        allocated.push(new);
        Ok(interval)
    }

    /// Ids for so many segments of an interval that rows were placed under.
    pub fn ids(&self, interval: Interval, count: usize) -> Result<Vec<Allocated>> {
        let mut ids: Vec<Allocated> = Vec::with_capacity(count);
        let first = self.allocated.lock().iter().find(|a| a.id.interval == interval).cloned();
        ids.extend(first);
        while ids.len() < count {
            let next = self.allocate(interval.start)?;
            if next.id.interval != interval {
                let message = format!("allocated [{}] where a segment of [{interval}] was wanted", next.id);
                return Err(DruidError::runtime(message));
            }
            ids.push(next);
        }
        Ok(ids)
    }

    fn allocate(&self, timestamp_ms: i64) -> Result<Allocated> {
        let number = {
            let mut sequence = self.sequence.lock();
            *sequence += 1;
            *sequence
        };
        let action = TaskAction::SegmentAllocate(SegmentAllocate {
            data_source: self.data_source.clone(),
            timestamp_ms,
            query_granularity: self.query_granularity.clone(),
            preferred_segment_granularity: self.segment_granularity.clone(),
            sequence_name: format!("{}_{number}", self.task_id),
            previous_segment_id: None,
            skip_segment_lineage_check: true,
            partial_shard_spec: json!({"type": "numbered"}),
            lock_type: self.lock_type,
        });
        let answer = self.handle.block_on(self.actions.submit(action))?;
        if answer.is_null() {
            return Err(DruidError::runtime(format!("could not allocate a segment for [{}]", iso::instant(timestamp_ms))));
        }
        read_allocated(&answer)
    }
}

fn read_allocated(json: &Value) -> Result<Allocated> {
    let text = |name: &str| {
        json[name].as_str().ok_or_else(|| DruidError::runtime(format!("the overlord allocated a segment without [{name}]")))
    };
    let shard_spec = ShardSpec::from_json(&json["shardSpec"])?;
    let interval = iso::parse_interval(text("interval")?)?;
    let id = SegmentId::new(text("dataSource")?, interval, text("version")?, shard_spec.partition_num());
    Ok(Allocated { id, shard_spec })
}
