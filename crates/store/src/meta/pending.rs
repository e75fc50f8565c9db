//! Allocating segment ids for appends (`allocatePendingSegment`). The same sequence and previous id always give the
//! same answer, also after a crash; two tasks never get one id.

use std::sync::Arc;

use ovate_base::time::{format_iso, parse_instant};
use ovate_base::{Interval, Result, ShardSpec};

use super::db::{Row, Tx};
use super::publish::sha1_hex;
use super::{MetadataStore, PendingSegment, SegmentIdWithShardSpec, now_text, parse_json, to_bytes};

/// A request for the next segment id of a time chunk.
#[derive(Debug, Clone)]
pub struct AllocateRequest {
    pub data_source: Arc<str>,
    /// The time chunk.
    pub interval: Interval,
    pub sequence_name: String,
    pub previous_segment_id: Option<String>,
    pub skip_lineage_check: bool,
    /// The version of the task's lock: used for a chunk that has no segments yet.
    pub lock_version: Arc<str>,
    pub task_allocator_id: Option<String>,
}

impl MetadataStore {
    /// The id, or `None` when no segment can be appended to the chunk: its segments have another interval, or are
    /// newer than the lock.
    pub async fn allocate(&self, request: &AllocateRequest) -> Result<Option<SegmentIdWithShardSpec>> {
        self.retry(|| async {
            let mut tx = self.write().await?;
            let used = self.used_in(&mut tx, &request.data_source, request.interval).await?;
            if used.iter().any(|segment| segment.interval != request.interval) {
                return Ok(None);
            }
            let pending = self.pending_in(&mut tx, &request.data_source).await?;
            let of_chunk: Vec<&PendingSegment> =
                pending.iter().filter(|pending| pending.id.interval == request.interval).collect();
            let versions = used.iter().map(|segment| &segment.version).chain(of_chunk.iter().map(|pending| &pending.id.version));
            let newest = versions.max().cloned();
            let version = newest.clone().unwrap_or_else(|| request.lock_version.clone());
            let previous = request.previous_segment_id.clone().unwrap_or_default();
            let sha1 = sequence_sha1(request, &previous, &version);
            if let Some(found) = self.pending_by_sha1(&mut tx, &sha1).await? {
                return Ok((found.id.interval == request.interval).then_some(found.id));
            }
            if newest.is_some_and(|newest| newest > request.lock_version && request.lock_version.as_ref() != APPEND_VERSION) {
                return Ok(None);
            }
            // Unused segments count too: an id must never be given twice.
            let known = self.known_partitions(&mut tx, &request.data_source, request.interval, &version).await?;
            let allocated = of_chunk.iter().filter(|pending| pending.id.version == version);
            let numbers = known.into_iter().chain(allocated.map(|pending| pending.id.shard_spec.partition_num()));
            let partition_num = numbers.max().map_or(0, |last| last.saturating_add(1));
            let of_version = used.iter().filter(|segment| segment.version == version);
            let partitions = of_version.filter_map(|segment| segment.shard_spec.core_partitions()).max().unwrap_or(0);
            let id = SegmentIdWithShardSpec {
                data_source: request.data_source.clone(),
                interval: request.interval,
                version,
                shard_spec: ShardSpec::Numbered { partition_num, partitions },
            };
            let row = PendingSegment {
                id: id.clone(),
                sequence_name: request.sequence_name.clone(),
                sequence_prev_id: previous,
                upgraded_from_segment_id: None,
                task_allocator_id: request.task_allocator_id.clone(),
            };
            self.insert_pending_with_sha1(&mut tx, &row, &sha1).await?;
            tx.commit().await?;
            Ok(Some(id))
        })
        .await
    }

    /// Pending segments of a data source.
    pub async fn pending_segments(&self, data_source: &str) -> Result<Vec<PendingSegment>> {
        let rows = self.q(SELECT_PENDING).bind(data_source).all().await?;
        rows.iter().map(pending_of).collect()
    }

    /// Deletes the allocations of a task that ended.
    pub async fn delete_pending_of_task(&self, data_source: &str, task_allocator_id: &str) -> Result<u64> {
        self.retry(|| async {
            let mut tx = self.write().await?;
            let sql = "DELETE FROM {pendingSegments} WHERE dataSource = ? AND task_allocator_id = ?";
            let query = self.q(sql).bind(data_source).bind(task_allocator_id);
            let deleted = query.run_in(&mut tx).await?;
            tx.commit().await?;
            Ok(deleted)
        })
        .await
    }

    /// Deletes allocations of a data source created inside an interval (`DELETE …/pendingSegments/{ds}`).
    pub async fn delete_pending_created_in(&self, data_source: &str, created: Interval) -> Result<u64> {
        self.retry(|| async {
            let mut tx = self.write().await?;
            let sql = "SELECT id, created_date FROM {pendingSegments} WHERE dataSource = ?";
            let rows = self.q(sql).bind(data_source).all_in(&mut tx).await?;
            let mut deleted = 0;
            for row in rows {
                let (id, date): (String, String) = (row.get(0)?, row.get(1)?);
                if created.contains(parse_instant(&date)?) {
                    let sql = "DELETE FROM {pendingSegments} WHERE id = ?";
                    deleted += self.q(sql).bind(id).run_in(&mut tx).await?;
                }
            }
            tx.commit().await?;
            Ok(deleted)
        })
        .await
    }

    /// Partition numbers of all segments, used or not, of a chunk.
    async fn known_partitions(&self, tx: &mut Tx, data_source: &str, interval: Interval, version: &str) -> Result<Vec<i32>> {
        let sql = "SELECT payload FROM {segments} WHERE dataSource = ? AND start = ? AND {end} = ? AND version = ?";
        let query = self.q(sql).bind(data_source).bind(format_iso(interval.start)).bind(format_iso(interval.end)).bind(version);
        let rows = query.all_in(tx).await?;
        rows.iter().map(|row| Ok(super::segments::segment_of(row)?.shard_spec.partition_num())).collect()
    }

    pub(super) async fn pending_in(&self, tx: &mut Tx, data_source: &str) -> Result<Vec<PendingSegment>> {
        let rows = self.q(SELECT_PENDING).bind(data_source).all_in(tx).await?;
        rows.iter().map(pending_of).collect()
    }

    async fn pending_by_sha1(&self, tx: &mut Tx, sha1: &str) -> Result<Option<PendingSegment>> {
        let sql = "SELECT payload, sequence_name, sequence_prev_id, upgraded_from_segment_id, task_allocator_id \
                   FROM {pendingSegments} WHERE sequence_name_prev_id_sha1 = ?";
        let row = self.q(sql).bind(sha1).one_in(tx).await?;
        row.as_ref().map(pending_of).transpose()
    }

    pub(super) async fn insert_pending(&self, tx: &mut Tx, pending: &PendingSegment, skip_lineage: bool) -> Result<()> {
        let sha1 = record_sha1(
            &pending.sequence_name,
            &pending.sequence_prev_id,
            pending.id.interval,
            &pending.id.version,
            skip_lineage,
        );
        self.insert_pending_with_sha1(tx, pending, &sha1).await
    }

    async fn insert_pending_with_sha1(&self, tx: &mut Tx, pending: &PendingSegment, sha1: &str) -> Result<()> {
        let sql = "INSERT INTO {pendingSegments} (id, dataSource, created_date, start, {end}, sequence_name, sequence_prev_id, \
                   sequence_name_prev_id_sha1, payload, upgraded_from_segment_id, task_allocator_id) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) {keep:id}";
        let query = self
            .q(sql)
            .bind(pending.id.id().to_string())
            .bind(&*pending.id.data_source)
            .bind(now_text())
            .bind(format_iso(pending.id.interval.start))
            .bind(format_iso(pending.id.interval.end))
            .bind(&pending.sequence_name)
            .bind(&pending.sequence_prev_id)
            .bind(sha1)
            .bind(to_bytes(&pending.id))
            .bind(pending.upgraded_from_segment_id.as_deref())
            .bind(pending.task_allocator_id.as_deref());
        query.run_in(tx).await?;
        Ok(())
    }
}

/// The version of every append lock (`TaskLocks`).
pub const APPEND_VERSION: &str = "1970-01-01T00:00:00.000Z";

const SELECT_PENDING: &str = "SELECT payload, sequence_name, sequence_prev_id, upgraded_from_segment_id, task_allocator_id \
                              FROM {pendingSegments} WHERE dataSource = ?";

fn pending_of(row: &Row) -> Result<PendingSegment> {
    Ok(PendingSegment {
        id: parse_json(row.bytes(0)?, "pending segment")?,
        sequence_name: row.get(1)?,
        sequence_prev_id: row.get(2)?,
        upgraded_from_segment_id: row.get(3)?,
        task_allocator_id: row.get(4)?,
    })
}

fn sequence_sha1(request: &AllocateRequest, previous: &str, version: &str) -> String {
    record_sha1(&request.sequence_name, previous, request.interval, version, request.skip_lineage_check)
}

/// `PendingSegmentRecord.computeSequenceNamePrevIdSha1`; longs are little endian, as Guava's hasher writes them.
fn record_sha1(sequence_name: &str, previous: &str, interval: Interval, version: &str, skip_lineage: bool) -> String {
    let (start, end) = (interval.start.to_le_bytes(), interval.end.to_le_bytes());
    let mut parts: Vec<&[u8]> = vec![sequence_name.as_bytes(), &[0xff]];
    if skip_lineage {
        parts.extend([&start[..], &end[..]]);
    } else {
        parts.push(previous.as_bytes());
    }
    parts.extend([&[0xff][..], version.as_bytes()]);
    sha1_hex(&parts)
}
