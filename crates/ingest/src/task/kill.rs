//! `kill` (ING-06, `KillUnusedSegmentsTask`): records first, then files, so that no record ever points to a missing file.

use std::collections::HashSet;

use ovate_base::Result;
use ovate_base::segment::DataSegment;
use serde_json::Value;

use super::actions::TaskAction;
use super::lock::LockType;
use super::{TaskEnv, TaskLock};
use crate::spec::KillSpec;

/// Deletes in batches until nothing is left or the limit is reached; gives the number of segments.
pub async fn run(spec: &KillSpec, env: &TaskEnv) -> Result<u64> {
    let lock = env.actions.lock_acquire(LockType::Exclusive, spec.interval, 300_000).await?;
    let missing = || ovate_base::DruidError::runtime(format!("failed to get a lock for interval [{}]", spec.interval));
    let lock = lock.ok_or_else(missing)?;
    let mut killed = 0u64;
    loop {
        env.stop.check()?;
        let left = spec.limit.map(|limit| limit.saturating_sub(killed));
        if left == Some(0) {
            return Ok(killed);
        }
        let batch = unused(spec, left.unwrap_or(u64::MAX).min(spec.batch_size), env).await?;
        if batch.is_empty() {
            return Ok(killed);
        }
        kill_batch(spec, &batch, &lock, env).await?;
        killed += batch.len() as u64;
    }
}

async fn unused(spec: &KillSpec, limit: u64, env: &TaskEnv) -> Result<Vec<DataSegment>> {
    let action = TaskAction::SegmentListUnused {
        data_source: spec.data_source.clone(),
        interval: spec.interval,
        versions: spec.versions.clone(),
        limit: Some(limit),
        max_used_status_last_updated: spec.max_used_status_last_updated,
    };
    let answer = env.actions.submit(action).await?;
    answer.as_array().into_iter().flatten().map(DataSegment::from_json).collect()
}

async fn kill_batch(spec: &KillSpec, batch: &[DataSegment], lock: &TaskLock, env: &TaskEnv) -> Result<()> {
    if let Some(newer) = batch.iter().find(|segment| *segment.version > *lock.version) {
        let message = format!("segment [{}] is newer than the task's lock [{}]", newer.id(), lock.version);
        return Err(ovate_base::DruidError::runtime(message));
    }
    // Upgraded segments share their files with the ones they came from (deep-storage document 6.5).
    let list = TaskAction::SegmentListUsed {
        data_source: spec.data_source.clone(),
        intervals: vec![spec.interval],
        include_overshadowed: true,
    };
    let used = env.actions.submit(list).await?;
    let shared: HashSet<String> = used.as_array().into_iter().flatten().map(|segment| segment["loadSpec"].to_string()).collect();
    let segments: Vec<Value> = batch.iter().map(DataSegment::to_json).collect();
    env.actions.submit(TaskAction::SegmentNuke { segments }).await?;
    for segment in batch {
        let load_spec = segment.load_spec.clone().unwrap_or(Value::Null);
        if !segment.is_tombstone() && !load_spec.is_null() && !shared.contains(&load_spec.to_string()) {
            env.storage.kill(segment).await?;
        }
    }
    Ok(())
}
