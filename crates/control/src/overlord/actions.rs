//! Task actions (`TaskActionClient` on the leader's side): what running tasks ask for. Only active tasks are heard.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ovate_base::{DataSegment, DruidError, Granularity, Interval, Result, Timeline};
use ovate_ingest::{SegmentAllocate, TaskAction};
use ovate_store::meta::{
    AllocateRequest, LockRow, LockType, MetadataChange, PublishRequest, PublishResult, TaskLock, UnusedFilter,
};
use ovate_store::now_ms;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::lockbox::{Decision, LockRequest};
use super::queue::Entry;
use super::{Overlord, Term};

/// How often a waiting `lockAcquire` looks whether its task is still active.
const LOCK_WAIT_STEP: Duration = Duration::from_secs(5);
/// How long one allocation waits for its lock before it has the task ask again.
const ALLOCATE_WAIT_MS: u64 = 90_000;

impl Overlord {
    /// Performs `{"task":…,"action":…}`; gives what stands under `result`.
    pub async fn perform(&self, body: &Value) -> Result<Value> {
        let term = self.term()?;
        let task_id = body["task"]["id"].as_str().ok_or_else(|| DruidError::invalid_input("task action without a task id"))?;
        let action = TaskAction::from_json(&body["action"])?;
        let asked = self.active(&term, task_id)?;
        match action {
            TaskAction::LockTryAcquire { lock_type, interval } => {
                Ok(match self.try_lock(&term, &asked, stored_type(lock_type), interval).await? {
                    Attempt::Granted(lock) => json!(lock),
                    Attempt::Conflict(_) => Value::Null,
                })
            }
            TaskAction::LockAcquire { lock_type, interval, timeout_ms } => {
                Ok(match self.wait_for_lock(&term, &asked, stored_type(lock_type), interval, timeout_ms).await? {
                    Wait::Granted(lock) => json!(lock),
                    Wait::TimedOut | Wait::Deadlock => Value::Null,
                })
            }
            TaskAction::LockList => {
                let lockbox = term.lockbox.lock().await;
                Ok(json!(lockbox.of_task(task_id).iter().map(|row| &row.lock).collect::<Vec<_>>()))
            }
            TaskAction::LockRelease { interval } => self.release_lock(&term, task_id, interval).await,
            TaskAction::SegmentAllocate(allocate) => self.allocate(&term, &asked, &allocate).await,
            TaskAction::SegmentTransactionalInsert { segments, start_metadata, end_metadata, .. } => {
                let metadata = metadata_change(start_metadata, end_metadata);
                self.publish(&term, &asked, Kind::Insert, &segments, metadata).await
            }
            TaskAction::SegmentTransactionalAppend { segments, start_metadata, end_metadata } => {
                let metadata = metadata_change(start_metadata, end_metadata);
                self.publish(&term, &asked, Kind::Append, &segments, metadata).await
            }
            TaskAction::SegmentTransactionalReplace { segments } => {
                self.publish(&term, &asked, Kind::Replace, &segments, None).await
            }
            TaskAction::SegmentListUsed { data_source, intervals, include_overshadowed } => {
                let segments = term.store.used_segments(&data_source, &intervals).await?;
                Ok(json!(if include_overshadowed { segments } else { visible(segments, &intervals) }))
            }
            TaskAction::SegmentListUnused { data_source, interval, versions, limit, max_used_status_last_updated } => {
                let filter = UnusedFilter {
                    interval: Some(interval),
                    versions,
                    limit: limit.map(|limit| limit as usize),
                    updated_before: max_used_status_last_updated,
                    ..UnusedFilter::default()
                };
                Ok(json!(term.store.unused_segments(&data_source, &filter).await?))
            }
            TaskAction::MarkSegmentsAsUnused { data_source, interval } => {
                let changed = term.store.mark_interval_unused(&data_source, interval, None).await?;
                self.bell.ring();
                Ok(json!(changed))
            }
            TaskAction::SegmentNuke { segments } => {
                let segments = parse_segments(&segments)?;
                let ids: Vec<String> = segments.iter().map(|segment| segment.id().to_string()).collect();
                Ok(json!(term.store.delete_unused_segments(&ids).await?.len()))
            }
            TaskAction::RetrieveUpgradedToSegmentIds { data_source, segment_ids } => {
                let pairs = term.store.upgraded_from(&data_source, &segment_ids).await?;
                let upgraded: BTreeMap<&String, BTreeSet<&String>> = segment_ids
                    .iter()
                    .map(|id| (id, pairs.iter().filter(|(_, from)| from == id).map(|(to, _)| to).chain([id]).collect()))
                    .collect();
                Ok(json!({"upgradedToSegmentIds": upgraded}))
            }
            TaskAction::RetrieveUpgradedFromSegmentIds { data_source, segment_ids } => {
                let pairs = term.store.upgraded_from(&data_source, &segment_ids).await?;
                let upgraded: BTreeMap<String, String> = pairs.into_iter().filter(|(to, _)| segment_ids.contains(to)).collect();
                Ok(json!({"upgradedFromSegmentIds": upgraded}))
            }
        }
    }

    fn active(&self, term: &Term, task_id: &str) -> Result<Entry> {
        let entry = term.queue.lock().entries.get(task_id).cloned();
        entry.ok_or_else(|| DruidError::invalid_input(format!("Task [{task_id}] is not active")))
    }

    async fn try_lock(&self, term: &Term, entry: &Entry, lock_type: LockType, interval: Interval) -> Result<Attempt> {
        let request = LockRequest {
            task_id: entry.row.id.clone(),
            group_id: entry.group_id().to_owned(),
            data_source: entry.row.data_source.clone(),
            interval,
            lock_type,
            priority: entry.priority,
        };
        let mut lockbox = term.lockbox.lock().await;
        // Under the lockbox, so that a task that is being ended cannot take new locks.
        self.active(term, &entry.row.id)?;
        match lockbox.decide(&request, now_ms()) {
            Decision::Held(lock) => Ok(Attempt::Granted(lock)),
            Decision::Grant { lock, revoke } => {
                let row_id = term.store.add_lock(&request.task_id, &lock, &revoke).await?;
                lockbox.granted(LockRow { row_id, task_id: request.task_id, lock: lock.clone() }, &revoke);
                Ok(Attempt::Granted(lock))
            }
            Decision::Conflict(holders) => Ok(Attempt::Conflict(holders)),
            Decision::Revoked => {
                Err(DruidError::conflict(format!("The lock of task [{}] on [{interval}] was revoked", entry.row.id)))
            }
        }
    }

    /// Waits until a lock is granted or the time is over (0: for ever), unless waiting could never end.
    async fn wait_for_lock(
        &self,
        term: &Term,
        entry: &Entry,
        lock_type: LockType,
        interval: Interval,
        timeout_ms: u64,
    ) -> Result<Wait> {
        let deadline = (timeout_ms > 0).then(|| Instant::now() + Duration::from_millis(timeout_ms));
        let waiter = Waiter { term, task_id: &entry.row.id };
        loop {
            let released = term.lock_released.notified();
            let holders = match self.try_lock(term, entry, lock_type, interval).await? {
                Attempt::Granted(lock) => return Ok(Wait::Granted(lock)),
                Attempt::Conflict(holders) => holders,
            };
            if !waiter.may_wait_for(holders) {
                return Ok(Wait::Deadlock);
            }
            let step = Instant::now() + LOCK_WAIT_STEP;
            let until = deadline.map_or(step, |deadline| deadline.min(step));
            let _ = tokio::time::timeout_at(until, released).await;
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(Wait::TimedOut);
            }
        }
    }

    async fn release_lock(&self, term: &Term, task_id: &str, interval: Interval) -> Result<Value> {
        let mut lockbox = term.lockbox.lock().await;
        let rows = lockbox.on_interval(task_id, interval);
        for row_id in &rows {
            term.store.remove_lock(*row_id).await?;
        }
        lockbox.remove_rows(&rows);
        term.lock_released.notify_waiters();
        Ok(Value::Null)
    }

    /// The chunk is that of the segments that are there, else the first of the preferred granularity and finer ones
    /// that can be locked and appended to (`SegmentAllocateAction`).
    async fn allocate(&self, term: &Term, entry: &Entry, allocate: &SegmentAllocate) -> Result<Value> {
        let query_granularity = Granularity::from_json(&allocate.query_granularity)?;
        let preferred = Granularity::from_json(&allocate.preferred_segment_granularity)?;
        let row = if query_granularity == Granularity::All {
            Interval { start: allocate.timestamp_ms, end: allocate.timestamp_ms + 1 }
        } else {
            query_granularity.bucket(allocate.timestamp_ms)
        };
        let used = term.store.used_segments(&allocate.data_source, &[row]).await?;
        let chunks: Vec<Interval> = match visible(used, &[row]).first() {
            Some(segment) => vec![segment.interval],
            None => candidates(&preferred, allocate.timestamp_ms),
        };
        let lock_type = stored_type(allocate.lock_type);
        for chunk in chunks.into_iter().filter(|chunk| chunk.encloses(&row)) {
            let lock = match self.wait_for_lock(term, entry, lock_type, chunk, ALLOCATE_WAIT_MS).await? {
                Wait::Granted(lock) => lock,
                Wait::Deadlock => return Ok(Value::Null),
                // Tasks ask again for as long as they want to wait.
                Wait::TimedOut => {
                    return Err(DruidError::service_unavailable(format!("another task holds the lock for interval [{chunk}]")));
                }
            };
            let request = AllocateRequest {
                data_source: allocate.data_source.as_str().into(),
                interval: chunk,
                sequence_name: allocate.sequence_name.clone(),
                previous_segment_id: allocate.previous_segment_id.clone(),
                skip_lineage_check: allocate.skip_segment_lineage_check,
                lock_version: lock.version.as_str().into(),
                task_allocator_id: Some(entry.group_id().to_owned()),
            };
            if let Some(id) = term.store.allocate(&request).await? {
                return Ok(json!(id));
            }
        }
        Ok(Value::Null)
    }

    async fn publish(
        &self,
        term: &Arc<Term>,
        entry: &Entry,
        kind: Kind,
        segments: &[Value],
        metadata: Option<MetadataChange>,
    ) -> Result<Value> {
        let mut segments = parse_segments(segments)?;
        let task_id = &entry.row.id;
        // Compaction marks what it has made, so that it is not compacted again.
        if let Some(fingerprint) = entry.row.payload["context"]["indexingStateFingerprint"].as_str() {
            for segment in &mut segments {
                segment.indexing_state_fingerprint.get_or_insert_with(|| fingerprint.to_owned());
            }
        }
        // Held until the transaction ends: nobody can revoke or release the locks meanwhile.
        let lockbox = term.lockbox.lock().await;
        self.active(term, task_id)?;
        let held = lockbox.of_task(task_id);
        let mut row_ids = BTreeSet::new();
        for segment in &segments {
            match covering(&held, segment, kind) {
                Some(row_id) => row_ids.insert(row_id),
                None => {
                    return Ok(json!(PublishResult::fail(format!(
                        "Task [{task_id}] holds no lock for segment [{}]",
                        segment.id()
                    ))));
                }
            };
        }
        let mut request = PublishRequest {
            data_source: entry.row.data_source.clone(),
            lock_row_ids: row_ids.into_iter().collect(),
            metadata,
            publishing_task_id: Some(task_id.clone()),
            ..PublishRequest::default()
        };
        match kind {
            Kind::Insert => {}
            Kind::Append => {
                request.task_allocator_id = Some(entry.group_id().to_owned());
                for segment in &segments {
                    let locks = lockbox.replacing(&segment.data_source, segment.interval, entry.group_id());
                    let newer = locks.into_iter().filter(|(_, version)| version.as_str() > &*segment.version);
                    request.replaced_by.extend(newer.map(|(task, version)| (segment.id(), task, version)));
                }
            }
            Kind::Replace => request.replacing_task_id = Some(task_id.clone()),
        }
        request.segments = segments;
        let result = term.store.publish(&request).await?;
        drop(lockbox);
        if result.success {
            self.bell.ring();
        }
        Ok(json!(result))
    }
}

/// The answer to one request for a lock.
enum Attempt {
    Granted(TaskLock),
    /// The tasks that hold what conflicts.
    Conflict(Vec<String>),
}

/// The end of waiting for a lock.
enum Wait {
    Granted(TaskLock),
    TimedOut,
    /// A holder waits for a lock of the asking task.
    Deadlock,
}

/// A task that waits; it is noted until dropped.
struct Waiter<'a> {
    term: &'a Term,
    task_id: &'a str,
}

impl Waiter<'_> {
    /// Notes whom the task waits for; false when one of them waits for it, by however many steps.
    fn may_wait_for(&self, holders: Vec<String>) -> bool {
        let mut waiting = self.term.waiting.lock();
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let mut next = holders.clone();
        while let Some(task) = next.pop() {
            if task == self.task_id {
                return false;
            }
            if seen.insert(task.clone()) {
                next.extend(waiting.get(&task).into_iter().flatten().cloned());
            }
        }
        waiting.insert(self.task_id.to_owned(), holders);
        true
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.term.waiting.lock().remove(self.task_id);
    }
}

/// How segments are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Insert,
    Append,
    Replace,
}

/// The row of the lock that allows a segment (`TaskLocks.checkLockCoversSegments`).
fn covering(held: &[&LockRow], segment: &DataSegment, kind: Kind) -> Option<i64> {
    let allowed = |lock: &TaskLock| match kind {
        Kind::Insert => lock.version.as_str() >= &*segment.version || lock.lock_type == LockType::Append,
        Kind::Append => lock.lock_type == LockType::Append,
        Kind::Replace => lock.lock_type == LockType::Replace && lock.version.as_str() >= &*segment.version,
    };
    let row = held.iter().find(|row| {
        let lock = &row.lock;
        !lock.revoked && *lock.data_source == *segment.data_source && lock.interval.encloses(&segment.interval) && allowed(lock)
    });
    row.map(|row| row.row_id)
}

/// Segments that are not hidden by newer ones.
pub(super) fn visible(segments: Vec<DataSegment>, intervals: &[Interval]) -> Vec<DataSegment> {
    let mut timeline = Timeline::new();
    for segment in segments {
        timeline.add(segment.interval, segment.version.clone(), segment.shard_spec.clone(), segment);
    }
    let everything = [Interval { start: i64::MIN, end: i64::MAX }];
    let mut seen = BTreeSet::new();
    let mut result = Vec::new();
    for interval in if intervals.is_empty() { &everything[..] } else { intervals } {
        for holder in timeline.lookup(*interval) {
            let fresh = holder.chunks.iter().filter(|chunk| seen.insert(chunk.object.id()));
            result.extend(fresh.map(|chunk| chunk.object.clone()));
        }
    }
    result
}

/// The bucket of the preferred granularity, then those of finer standard ones (`Granularity.granularitiesFinerThan`).
fn candidates(preferred: &Granularity, timestamp_ms: i64) -> Vec<Interval> {
    const FINER: [&str; 13] = [
        "YEAR",
        "QUARTER",
        "MONTH",
        "DAY",
        "EIGHT_HOUR",
        "SIX_HOUR",
        "HOUR",
        "THIRTY_MINUTE",
        "FIFTEEN_MINUTE",
        "TEN_MINUTE",
        "FIVE_MINUTE",
        "MINUTE",
        "SECOND",
    ];
    let mut intervals = vec![preferred.bucket(timestamp_ms)];
    for name in FINER {
        let granularity = Granularity::from_name(name).expect("the names are Druid's");
        if granularity.is_finer_than(preferred) {
            intervals.push(granularity.bucket(timestamp_ms));
        }
    }
    intervals
}

fn parse_segments(segments: &[Value]) -> Result<Vec<DataSegment>> {
    segments.iter().map(DataSegment::from_json).collect()
}

fn metadata_change(start: Value, end: Value) -> Option<MetadataChange> {
    (!end.is_null()).then(|| MetadataChange { expected: (!start.is_null()).then_some(start), new: end })
}

fn stored_type(lock_type: ovate_ingest::LockType) -> LockType {
    match lock_type {
        ovate_ingest::LockType::Exclusive => LockType::Exclusive,
        ovate_ingest::LockType::Shared => LockType::Shared,
        ovate_ingest::LockType::Replace => LockType::Replace,
        ovate_ingest::LockType::Append => LockType::Append,
    }
}
