//! Publishing segments (`IndexerSQLMetadataStorageCoordinator.commitSegments…`): one transaction checks the task's locks
//! and the commit metadata, inserts the rows that are not there yet, and does the upgrades of concurrent appends.

use std::sync::Arc;

use ovate_base::{DataSegment, Result, SegmentId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha1::{Digest, Sha1};

use super::db::Tx;
use super::{MetadataStore, TaskLock, now_text, parse_json, to_bytes};

/// What to publish and under which conditions.
#[derive(Debug, Clone, Default)]
pub struct PublishRequest {
    pub data_source: String,
    pub segments: Vec<DataSegment>,
    /// Rows of the tasklocks table that must be there, unrevoked, when the transaction runs.
    pub lock_row_ids: Vec<i64>,
    /// Compare-and-swap of the commit metadata.
    pub metadata: Option<MetadataChange>,
    /// For an append: the replacing task and lock version for each appended segment that such a lock covers.
    pub replaced_by: Vec<(SegmentId, String, String)>,
    /// For an append: whose pending segments tell of upgraded versions.
    pub task_allocator_id: Option<String>,
    /// The task that publishes; its status remembers it, should the task's process die before it can say so.
    pub publishing_task_id: Option<String>,
    /// For a replace: the task, whose recorded appends get the new version.
    pub replacing_task_id: Option<String>,
}

/// Commit metadata of a data source: `start` must match what is stored, `end` replaces it.
#[derive(Debug, Clone)]
pub struct MetadataChange {
    /// `None`: nothing may be stored.
    pub expected: Option<Value>,
    pub new: Value,
}

/// `SegmentPublishResult`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishResult {
    pub segments: Vec<DataSegment>,
    pub success: bool,
    #[serde(default)]
    pub retryable: bool,
    #[serde(default)]
    pub error_msg: Option<String>,
}

impl PublishResult {
    pub fn ok(segments: Vec<DataSegment>) -> PublishResult {
        PublishResult { segments, success: true, retryable: false, error_msg: None }
    }

    pub fn fail(message: impl Into<String>) -> PublishResult {
        PublishResult { segments: Vec::new(), success: false, retryable: false, error_msg: Some(message.into()) }
    }
}

impl MetadataStore {
    /// Publishes all segments or none.
    pub async fn publish(&self, request: &PublishRequest) -> Result<PublishResult> {
        self.retry(|| async {
            let mut tx = self.write().await?;
            if let Some(problem) = self.lock_problem(&mut tx, &request.lock_row_ids).await? {
                return Ok(PublishResult::fail(problem));
            }
            if let Some(change) = &request.metadata
                && let Some(problem) = self.swap_metadata(&mut tx, &request.data_source, change, &request.segments).await?
            {
                return Ok(PublishResult::fail(problem));
            }
            let mut segments = request.segments.clone();
            let mut upgraded_from = Vec::new();
            if let Some(task_id) = &request.replacing_task_id {
                upgraded_from = self.upgrade_recorded_appends(&mut tx, task_id, &mut segments).await?;
                self.upgrade_pending_segments(&mut tx, &request.data_source, &segments).await?;
            }
            if let Some(allocator) = &request.task_allocator_id {
                upgraded_from = self.upgraded_versions_of_appends(&mut tx, allocator, &mut segments).await?;
            }
            for segment in &segments {
                let from = upgraded_from
                    .iter()
                    .find(|(id, _): &&(SegmentId, String)| *id == segment.id())
                    .map(|(_, from)| from.as_str());
                if !self.insert_segment(&mut tx, segment, from).await? {
                    return Ok(PublishResult::fail(format!("Segment [{}] exists already and is not used", segment.id())));
                }
            }
            for (segment, task_id, version) in &request.replaced_by {
                // Recorded twice, the segment would be upgraded twice.
                let sql = "SELECT id FROM {upgradeSegments} WHERE task_id = ? AND segment_id = ?";
                if self.q(sql).bind(task_id).bind(segment.to_string()).one_in(&mut tx).await?.is_none() {
                    let sql = "INSERT INTO {upgradeSegments} (task_id, segment_id, lock_version) VALUES (?, ?, ?)";
                    self.q(sql).bind(task_id).bind(segment.to_string()).bind(version).run_in(&mut tx).await?;
                }
            }
            if let Some(task_id) = &request.publishing_task_id {
                self.note_published(&mut tx, task_id).await?;
            }
            tx.commit().await?;
            Ok(PublishResult::ok(segments))
        })
        .await
    }

    /// The commit metadata of a data source.
    pub async fn data_source_metadata(&self, data_source: &str) -> Result<Option<Value>> {
        let sql = "SELECT commit_metadata_payload FROM {dataSource} WHERE dataSource = ?";
        let row = self.q(sql).bind(data_source).one().await?;
        row.map(|row| parse_json(row.bytes(0)?, "commit metadata")).transpose()
    }

    /// Sets or, with `None`, deletes the commit metadata; true when something changed.
    pub async fn reset_data_source_metadata(&self, data_source: &str, metadata: Option<&Value>) -> Result<bool> {
        self.retry(|| async {
            let mut tx = self.write().await?;
            let changed = match metadata {
                None => {
                    let sql = "DELETE FROM {dataSource} WHERE dataSource = ?";
                    self.q(sql).bind(data_source).run_in(&mut tx).await? > 0
                }
                Some(metadata) => {
                    self.put_metadata(&mut tx, data_source, metadata).await?;
                    true
                }
            };
            tx.commit().await?;
            Ok(changed)
        })
        .await
    }

    async fn lock_problem(&self, tx: &mut Tx, row_ids: &[i64]) -> Result<Option<String>> {
        for row_id in row_ids {
            let sql = "SELECT lock_payload FROM {tasklocks} WHERE id = ?";
            let row = self.q(sql).bind(row_id).one_in(tx).await?;
            let Some(row) = row else { return Ok(Some(format!("Task lock [{row_id}] is not held any more"))) };
            let lock = TaskLock::from_stored(row.bytes(0)?)?;
            if lock.revoked {
                return Ok(Some(format!("Task lock over interval [{}] was revoked", lock.interval)));
            }
        }
        Ok(None)
    }

    /// `None` when the swap was done, else why not.
    async fn swap_metadata(
        &self,
        tx: &mut Tx,
        data_source: &str,
        change: &MetadataChange,
        segments: &[DataSegment],
    ) -> Result<Option<String>> {
        let sql = "SELECT commit_metadata_payload FROM {dataSource} WHERE dataSource = ?";
        let row = self.q(sql).bind(data_source).one_in(tx).await?;
        let stored: Option<Value> = row.map(|row| parse_json(row.bytes(0)?, "commit metadata")).transpose()?;
        if stored.as_ref() == Some(&change.new) && stored != change.expected && self.all_known(tx, segments).await? {
            // A try of ours whose answer was lost has done all this.
            return Ok(None);
        }
        if stored != change.expected {
            let show = |value: &Option<Value>| value.as_ref().map_or_else(|| "null".to_owned(), Value::to_string);
            let message = format!(
                "Inconsistency between stored metadata state[{}] and target state[{}]. Try resetting the supervisor.",
                show(&stored),
                show(&change.expected)
            );
            return Ok(Some(message));
        }
        self.put_metadata(tx, data_source, &change.new).await?;
        Ok(None)
    }

    async fn all_known(&self, tx: &mut Tx, segments: &[DataSegment]) -> Result<bool> {
        for segment in segments {
            let query = self.q("SELECT id FROM {segments} WHERE id = ?").bind(segment.id().to_string());
            if query.one_in(tx).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn put_metadata(&self, tx: &mut Tx, data_source: &str, metadata: &Value) -> Result<()> {
        let bytes = to_bytes(metadata);
        let sha1 = sha1_hex(&[&bytes]);
        let sql = "UPDATE {dataSource} SET commit_metadata_payload = ?, commit_metadata_sha1 = ? WHERE dataSource = ?";
        let updated = self.q(sql).bind(&bytes).bind(&sha1).bind(data_source).run_in(tx).await?;
        if updated == 0 {
            let sql = "INSERT INTO {dataSource} (dataSource, created_date, commit_metadata_payload, commit_metadata_sha1) VALUES (?, ?, ?, ?)";
            let query = self.q(sql).bind(data_source).bind(now_text()).bind(&bytes).bind(&sha1);
            query.run_in(tx).await?;
        }
        Ok(())
    }

    /// Inserts a used segment. One that is there already is left as it is, which makes a repeated publication harmless;
    /// false when it is there with other contents and unused.
    pub(super) async fn insert_segment(&self, tx: &mut Tx, segment: &DataSegment, upgraded_from: Option<&str>) -> Result<bool> {
        let id = segment.id().to_string();
        let payload = to_bytes(segment);
        let existing = "SELECT payload, used FROM {segments} WHERE id = ?";
        if let Some(row) = self.q(existing).bind(&id).one_in(tx).await? {
            let used: bool = row.get(1)?;
            return Ok(used || row.bytes(0)? == payload);
        }
        let sql = "INSERT INTO {segments} (id, dataSource, created_date, start, {end}, partitioned, version, used, payload, \
                   used_status_last_updated, indexing_state_fingerprint, upgraded_from_segment_id) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let now = now_text();
        let query = self
            .q(sql)
            .bind(id)
            .bind(&*segment.data_source)
            .bind(&now)
            .bind(ovate_base::time::format_iso(segment.interval.start))
            .bind(ovate_base::time::format_iso(segment.interval.end))
            .bind(segment.shard_spec.is_partitioned())
            .bind(&*segment.version)
            .bind(true)
            .bind(payload)
            .bind(&now)
            .bind(segment.indexing_state_fingerprint.as_deref())
            .bind(upgraded_from);
        query.run_in(tx).await?;
        Ok(true)
    }
}

/// Upper-case hex SHA-1 of the parts, one after the other.
pub(super) fn sha1_hex(parts: &[&[u8]]) -> String {
    let mut hasher = Sha1::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Same segment under another version and number.
pub(super) fn with_version(segment: &DataSegment, version: &Arc<str>, partition_num: i32, partitions: i32) -> DataSegment {
    let shard_spec = segment.shard_spec.renumbered(partition_num, partitions);
    DataSegment { version: version.clone(), shard_spec, ..segment.clone() }
}
