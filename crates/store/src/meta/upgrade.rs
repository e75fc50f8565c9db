//! Concurrent append and replace: appended segments move to the version of a replace that overlaps them, so that
//! neither loses rows. Three cases: appends recorded before the replace publishes, allocations still pending when it
//! does, and appends that publish after it.

use std::collections::BTreeMap;
use std::sync::Arc;

use ovate_base::{DataSegment, Interval, Result, SegmentId, ShardSpec};

use super::db::Tx;
use super::publish::with_version;
use super::segments::segment_of;
use super::{MetadataStore, PendingSegment, SegmentIdWithShardSpec};

/// New segment id and the id it was upgraded from.
pub(super) type Upgraded = Vec<(SegmentId, String)>;

impl MetadataStore {
    /// Adds copies in the new version of the segments that were appended under the task's replace lock; the core
    /// partition set then counts both.
    pub(super) async fn upgrade_recorded_appends(
        &self,
        tx: &mut Tx,
        task_id: &str,
        segments: &mut Vec<DataSegment>,
    ) -> Result<Upgraded> {
        let sql = "SELECT s.payload FROM {upgradeSegments} u JOIN {segments} s ON s.id = u.segment_id WHERE u.task_id = ? ORDER BY s.id";
        let rows = self.q(sql).bind(task_id).all_in(tx).await?;
        let appended = rows.iter().map(segment_of).collect::<Result<Vec<DataSegment>>>()?;
        let sql = "DELETE FROM {upgradeSegments} WHERE task_id = ?";
        self.q(sql).bind(task_id).run_in(tx).await?;

        let mut upgraded = Vec::new();
        let mut counts: BTreeMap<Interval, i32> = BTreeMap::new();
        for segment in segments.iter().filter(|segment| !segment.is_tombstone()) {
            *counts.entry(segment.interval).or_default() += 1;
        }
        let mut added = Vec::new();
        for segment in &appended {
            let home = segments.iter().find(|new| new.interval.encloses(&segment.interval) && new.version > segment.version);
            let Some((interval, version)) = home.map(|new| (new.interval, new.version.clone())) else { continue };
            let number = counts.entry(interval).or_default();
            let mut copy = with_version(segment, &version, *number, 0);
            copy.interval = interval;
            *number += 1;
            upgraded.push((copy.id(), segment.id().to_string()));
            added.push(copy);
        }
        if added.is_empty() {
            return Ok(upgraded);
        }
        // A tombstone has the partition number that the first upgraded segment gets, and hides nothing more.
        segments.retain(|segment| !segment.is_tombstone() || !added.iter().any(|new| new.interval == segment.interval));
        segments.extend(added);
        for segment in segments.iter_mut().filter(|segment| !segment.is_tombstone()) {
            let core = counts.get(&segment.interval).copied().unwrap_or(0);
            segment.shard_spec = segment.shard_spec.renumbered(segment.shard_spec.partition_num(), core);
        }
        Ok(upgraded)
    }

    /// Allocations that are pending inside the replaced intervals get a second id in the new version.
    pub(super) async fn upgrade_pending_segments(&self, tx: &mut Tx, data_source: &str, segments: &[DataSegment]) -> Result<()> {
        let mut next: BTreeMap<(Interval, Arc<str>), (i32, i32)> = BTreeMap::new();
        for segment in segments {
            let entry = next.entry((segment.interval, segment.version.clone())).or_insert((0, 0));
            let used = if segment.is_tombstone() { 1 } else { segment.shard_spec.partition_num() + 1 };
            *entry = (entry.0.max(used), entry.1.max(segment.shard_spec.core_partitions().unwrap_or(0)));
        }
        for pending in self.pending_in(tx, data_source).await? {
            let home = next.iter_mut().find(|((interval, version), _)| {
                interval.encloses(&pending.id.interval)
                    && *version > pending.id.version
                    && pending.upgraded_from_segment_id.is_none()
            });
            let Some(((interval, version), (number, core))) = home else { continue };
            let id = SegmentIdWithShardSpec {
                interval: *interval,
                version: version.clone(),
                shard_spec: ShardSpec::Numbered { partition_num: *number, partitions: *core },
                ..pending.id.clone()
            };
            *number += 1;
            let upgraded = PendingSegment {
                id,
                sequence_name: pending.id.id().to_string(),
                sequence_prev_id: pending.id.id().to_string(),
                upgraded_from_segment_id: Some(pending.id.id().to_string()),
                task_allocator_id: pending.task_allocator_id.clone(),
            };
            self.insert_pending(tx, &upgraded, false).await?;
        }
        Ok(())
    }

    /// Adds, for appended segments whose allocation was upgraded meanwhile, the copy in the new version.
    pub(super) async fn upgraded_versions_of_appends(
        &self,
        tx: &mut Tx,
        allocator: &str,
        segments: &mut Vec<DataSegment>,
    ) -> Result<Upgraded> {
        let Some(data_source) = segments.first().map(|segment| segment.data_source.clone()) else { return Ok(Vec::new()) };
        let pending = self.pending_in(tx, &data_source).await?;
        let (mut upgraded, mut added) = (Vec::new(), Vec::new());
        for segment in segments.iter() {
            let id = segment.id().to_string();
            let newer = pending.iter().filter(|pending| {
                pending.task_allocator_id.as_deref() == Some(allocator)
                    && pending.upgraded_from_segment_id.as_deref() == Some(&id)
            });
            for pending in newer {
                let shard = &pending.id.shard_spec;
                let mut copy =
                    with_version(segment, &pending.id.version, shard.partition_num(), shard.core_partitions().unwrap_or(0));
                copy.interval = pending.id.interval;
                upgraded.push((copy.id(), id.clone()));
                added.push(copy);
            }
        }
        segments.extend(added);
        Ok(upgraded)
    }

    /// Forgets what was recorded for a replacing task that ended.
    pub async fn delete_upgrade_segments(&self, task_id: &str) -> Result<()> {
        self.retry(|| async {
            let mut tx = self.write().await?;
            let sql = "DELETE FROM {upgradeSegments} WHERE task_id = ?";
            self.q(sql).bind(task_id).run_in(&mut tx).await?;
            tx.commit().await
        })
        .await
    }

    /// How many appends are recorded for a replacing task.
    pub async fn upgrade_segment_count(&self, task_id: &str) -> Result<i64> {
        let sql = "SELECT COUNT(*) FROM {upgradeSegments} WHERE task_id = ?";
        self.count_of(self.q(sql).bind(task_id)).await
    }
}
