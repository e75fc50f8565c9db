//! Submitting compaction tasks (`CompactSegments`): newest chunks first, no more tasks at a time than the slots allow, and
//! never the same segments twice within a while.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ovate_base::time::format_iso;
use ovate_base::{DataSegment, Interval, Result};
use ovate_store::meta::indexing_state_fingerprint;
use ovate_store::{MetadataStore, now_ms};
use parking_lot::Mutex;
use serde_json::Value;
use tracing::{info, warn};

use super::{ChunkState, ClusterConfig, DataSourceConfig, chunks};

/// The same segments are not compacted again within this, whatever became of the last task.
const AGAIN_AFTER: Duration = Duration::from_secs(600);
/// What the compactor needs of the Overlord.
#[async_trait::async_trait]
pub(crate) trait CompactionTasks: Send + Sync {
    /// Active `compact` tasks: id and data source.
    async fn active(&self) -> Result<Vec<(String, String)>>;
    /// Task slots of the cluster.
    async fn capacity(&self) -> Result<u64>;
    async fn submit(&self, task: &Value) -> Result<()>;
}

/// A chunk of a data source.
type ChunkKey = (String, Interval);

/// Remembers what was submitted.
#[derive(Debug, Default)]
pub(crate) struct Compactor {
    /// Which segments of a chunk were submitted and when.
    submitted: Mutex<HashMap<ChunkKey, (u64, Instant)>>,
}

impl Compactor {
    /// Submits what is due. `visible` gives the visible segments of a data source.
    pub async fn run(
        &self,
        store: &MetadataStore,
        tasks: &dyn CompactionTasks,
        visible: &(dyn Fn(&str) -> Vec<Arc<DataSegment>> + Send + Sync),
    ) -> Result<usize> {
        let configs = DataSourceConfig::active(store).await?;
        if configs.is_empty() {
            return Ok(0);
        }
        let cluster = ClusterConfig::read(store).await?;
        let active = tasks.active().await?;
        let slots = ((tasks.capacity().await? as f64 * cluster.slot_ratio) as u64).max(1).min(cluster.slots_max);
        let mut free = slots.saturating_sub(active.len() as u64);
        let mut count = 0;
        for config in configs.values() {
            // Tasks of an earlier term may be at work on any chunk.
            if free == 0 || active.iter().any(|(_, data_source)| *data_source == config.data_source) {
                continue;
            }
            let state = config.state();
            let fingerprint = indexing_state_fingerprint(&config.data_source, &state);
            let found = chunks(&visible(&config.data_source), config, &fingerprint);
            for chunk in found.iter().filter(|chunk| chunk.state == ChunkState::Needed) {
                if free == 0 || !self.is_due(&config.data_source, chunk.interval, &chunk.segments) {
                    continue;
                }
                let id = format!("auto_compact_{}_{}_{}", config.data_source, letters(), format_iso(now_ms()));
                store.put_indexing_state(&config.data_source, &fingerprint, &state).await?;
                let reason = if chunk.segments.iter().any(|s| s.indexing_state_fingerprint.is_some()) {
                    "configuration changed"
                } else {
                    "not compacted yet"
                };
                let task = config.task(&id, &chunk.interval.to_string(), &fingerprint, reason);
                match tasks.submit(&task).await {
                    Ok(()) => info!(task = %id, interval = %chunk.interval, "compaction submitted"),
                    Err(error) => warn!(data_source = %config.data_source, "cannot submit a compaction task: {error}"),
                }
                (free, count) = (free - 1, count + 1);
            }
        }
        Ok(count)
    }

    /// Notes the segments; false when they were noted a short while ago.
    fn is_due(&self, data_source: &str, interval: Interval, segments: &[Arc<DataSegment>]) -> bool {
        let mut hasher = DefaultHasher::new();
        segments.iter().for_each(|segment| segment.id().hash(&mut hasher));
        let hash = hasher.finish();
        let mut submitted = self.submitted.lock();
        submitted.retain(|_, (_, since)| since.elapsed() < AGAIN_AFTER);
        let key = (data_source.to_owned(), interval);
        if submitted.get(&key).is_some_and(|(known, _)| *known == hash) {
            return false;
        }
        submitted.insert(key, (hash, Instant::now()));
        true
    }
}

fn letters() -> String {
    (0..8).map(|_| (b'a' + rand::random_range(0..16u8)) as char).collect()
}

#[cfg(test)]
mod tests {
    use ovate_base::{SegmentId, ShardSpec};
    use ovate_store::meta::AuditInfo;
    use serde_json::json;

    use super::*;

    #[derive(Default)]
    struct Fake {
        active: Vec<(String, String)>,
        submitted: Mutex<Vec<Value>>,
    }

    #[async_trait::async_trait]
    impl CompactionTasks for Fake {
        async fn active(&self) -> Result<Vec<(String, String)>> {
            Ok(self.active.clone())
        }

        async fn capacity(&self) -> Result<u64> {
            Ok(4)
        }

        async fn submit(&self, task: &Value) -> Result<()> {
            self.submitted.lock().push(task.clone());
            Ok(())
        }
    }

    fn visible(_: &str) -> Vec<Arc<DataSegment>> {
        let segment = |day: i64| {
            let interval = Interval { start: day * 86_400_000, end: (day + 1) * 86_400_000 };
            let shard = ShardSpec::Numbered { partition_num: 0, partitions: 1 };
            Arc::new(DataSegment::new(SegmentId::new("wiki", interval, "v", 0), shard))
        };
        (0..4).map(segment).collect()
    }

    #[tokio::test]
    async fn due_chunks_are_submitted_once_within_the_slots() {
        let store = MetadataStore::in_memory().await.unwrap();
        let config = json!({"dataSource": "wiki", "skipOffsetFromLatest": "P1D", "taskPriority": 17});
        DataSourceConfig::from_json(&config).unwrap().put_listed(&store, &AuditInfo::default()).await.unwrap();
        let given = json!({"compactionTaskSlotRatio": 0.5});
        ClusterConfig::update(&store, given.as_object().unwrap(), &AuditInfo::default()).await.unwrap();
        let (compactor, tasks) = (Compactor::default(), Fake::default());
        assert_eq!(compactor.run(&store, &tasks, &visible).await.unwrap(), 2);
        assert_eq!(compactor.run(&store, &tasks, &visible).await.unwrap(), 1);
        assert_eq!(compactor.run(&store, &tasks, &visible).await.unwrap(), 0);
        let submitted = tasks.submitted.lock().clone();
        let intervals: Vec<&str> =
            submitted.iter().map(|task| &task["ioConfig"]["inputSpec"]["interval"].as_str().unwrap()[..10]).collect();
        assert_eq!(intervals, ["1970-01-03", "1970-01-02", "1970-01-01"], "newest first, the latest left alone");
        for task in &submitted {
            ovate_ingest::TaskSpec::from_json(task, 0, 0).unwrap();
            assert_eq!(task["context"]["priority"], 17);
            let fingerprint = task["context"]["indexingStateFingerprint"].as_str().unwrap();
            assert!(store.indexing_state(fingerprint).await.unwrap().is_some());
        }
        let busy = Fake { active: vec![("t".to_owned(), "wiki".to_owned())], ..Fake::default() };
        assert_eq!(Compactor::default().run(&store, &busy, &visible).await.unwrap(), 0);
    }

    #[test]
    fn what_this_build_cannot_do_is_refused() {
        for bad in [
            json!({"dataSource": "a", "engine": "msq"}),
            json!({"dataSource": "a", "type": "reindexCascade"}),
            json!({"dataSource": "a", "projections": [{}]}),
            json!({"x": 1}),
            json!({"dataSource": "a", "skipOffsetFromLatest": "soon"}),
        ] {
            assert!(DataSourceConfig::from_json(&bad).is_err(), "{bad}");
        }
    }
}
