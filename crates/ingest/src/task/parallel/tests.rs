//! Supervising tasks whose subtasks run in the same process: what is published is the whole input, once, whatever attempts
//! fail.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ovate_base::segment::DataSegment;
use ovate_base::{DruidError, Result};
use ovate_store::deep::LocalDeepStorage;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::Chat;
use crate::spec::{TaskSpec, TaskStatus};
use crate::task::memory::MemoryActions;
use crate::task::{StopFlag, TaskAction, TaskActions, TaskCluster, TaskEnv, TaskOutcome, run_task};

/// A cluster in one process: one store, one group of tasks that shares its locks.
struct World {
    dir: tempfile::TempDir,
    memory: MemoryActions,
    locks: Mutex<HashMap<String, Value>>,
    /// One request for a lock at a time, as in the Overlord.
    acquiring: tokio::sync::Mutex<()>,
    chat: Chat,
    statuses: Mutex<HashMap<String, TaskStatus>>,
    submitted: Mutex<Vec<Value>>,
    /// So many submissions end as failures that do nothing.
    failures: Mutex<usize>,
    /// How long subtasks still run after they have reported.
    lingering: Mutex<Duration>,
}

#[derive(Clone)]
struct Door(Arc<World>);

impl Door {
    fn new() -> Door {
        Door(Arc::new(World {
            dir: tempfile::tempdir().unwrap(),
            memory: MemoryActions::default(),
            locks: Mutex::default(),
            acquiring: tokio::sync::Mutex::default(),
            chat: Chat::default(),
            statuses: Mutex::default(),
            submitted: Mutex::default(),
            failures: Mutex::new(0),
            lingering: Mutex::default(),
        }))
    }

    fn env(&self, name: &str, chat: Chat) -> TaskEnv {
        TaskEnv {
            lookups: Default::default(),
            work_dir: self.0.dir.path().join("work").join(name),
            actions: Arc::new(self.clone()),
            storage: Arc::new(LocalDeepStorage::new(self.0.dir.path().join("deep"), false)),
            threads: 2,
            memory_bytes: 64 << 20,
            stop: StopFlag::default(),
            report_file: None,
            chat,
        }
    }

    async fn run(&self, task: &Value) -> TaskOutcome {
        self.0.locks.lock().clear();
        let spec = TaskSpec::from_json(task, 0, 7).unwrap_or_else(|e| panic!("{e}"));
        run_task(&spec, &self.env("supervisor", self.0.chat.clone())).await
    }

    async fn succeed(&self, task: &Value) -> Value {
        let outcome = self.run(task).await;
        assert_eq!(outcome.status.state, crate::TaskState::Success, "{:?}", outcome.status.error_message);
        outcome.report["ingestionStatsAndErrors"]["payload"].clone()
    }

    /// `day/partition of core partitions: rows` of the visible segments.
    fn segments(&self) -> Vec<String> {
        let show = |segment: &DataSegment| {
            let json = segment.shard_spec.to_json();
            let day = &segment.interval.to_string()[8..10];
            format!("{day}/{} of {}: {}", json["partitionNum"], json["partitions"], segment.total_rows.unwrap_or(-1))
        };
        let mut out: Vec<String> = self.0.memory.visible().iter().map(show).collect();
        out.sort();
        out
    }

    fn rows(&self) -> i64 {
        self.0.memory.visible().iter().filter_map(|segment| segment.total_rows).sum()
    }

    fn files(&self, files: usize, rows: usize) -> String {
        let dir = self.0.dir.path().join("input");
        std::fs::create_dir_all(&dir).unwrap();
        for file in 0..files {
            let line = |row: usize| {
                format!("{{\"t\":\"2024-01-0{}T00:00:00Z\",\"page\":\"p{}\",\"added\":{row}}}\n", 1 + row % 2, row % 5)
            };
            std::fs::write(dir.join(format!("{file}.json")), (0..rows).map(line).collect::<String>()).unwrap();
        }
        dir.display().to_string()
    }
}

#[async_trait]
impl TaskActions for Door {
    async fn submit(&self, action: TaskAction) -> Result<Value> {
        if let TaskAction::LockAcquire { interval, .. } = &action {
            let key = interval.to_string();
            let _acquiring = self.0.acquiring.lock().await;
            if let Some(lock) = self.0.locks.lock().get(&key) {
                return Ok(lock.clone());
            }
            let lock = self.0.memory.submit(action).await?;
            self.0.locks.lock().insert(key, lock.clone());
            return Ok(lock);
        }
        self.0.memory.submit(action).await
    }

    async fn is_served(&self, segment: &DataSegment) -> Result<bool> {
        self.0.memory.is_served(segment).await
    }

    fn cluster(&self) -> Option<&dyn TaskCluster> {
        Some(self)
    }
}

#[async_trait]
impl TaskCluster for Door {
    async fn submit_task(&self, task: &Value) -> Result<()> {
        self.0.submitted.lock().push(task.clone());
        let id = task["id"].as_str().unwrap().to_owned();
        let fails = {
            let mut failures = self.0.failures.lock();
            let fails = *failures > 0;
            *failures = failures.saturating_sub(1);
            fails
        };
        if fails {
            self.0.statuses.lock().insert(id.clone(), TaskStatus::failed(&id, 1, "its worker is gone"));
            return Ok(());
        }
        self.0.statuses.lock().insert(id.clone(), TaskStatus::running(&id));
        let (door, spec) = (self.clone(), TaskSpec::from_json(task, 0, 0)?);
        tokio::spawn(async move {
            let outcome = run_task(&spec, &door.env(&id, Chat::default())).await;
            let lingering = *door.0.lingering.lock();
            tokio::time::sleep(lingering).await;
            door.0.statuses.lock().insert(id, outcome.status);
        });
        Ok(())
    }

    async fn statuses(&self, ids: &[String]) -> Result<HashMap<String, TaskStatus>> {
        let all = self.0.statuses.lock();
        Ok(ids.iter().filter_map(|id| all.get(id).map(|status| (id.clone(), status.clone()))).collect())
    }

    async fn shutdown_task(&self, _id: &str) -> Result<()> {
        Ok(())
    }

    async fn report(&self, _id: &str) -> Result<Option<Value>> {
        Ok(None)
    }

    async fn chat(&self, _id: &str, path: &str, body: &Value, _deadline: Duration) -> Result<Value> {
        assert_eq!(path, "report");
        self.0.chat.report(body.clone()).await.map(|()| Value::Null)
    }

    async fn fetch(&self, url: &str, file: &Path, _deadline: Duration) -> Result<u64> {
        let from = url.strip_prefix("file://").ok_or_else(|| DruidError::invalid_input("not a file"))?;
        std::fs::copy(from, file).map_err(|e| DruidError::runtime(e.to_string()))
    }
}

fn task(dir: &str, append: bool, tuning: Value) -> Value {
    json!({"type": "index_parallel", "id": "sup", "spec": {
        "dataSchema": {"dataSource": "wiki", "timestampSpec": {"column": "t", "format": "iso"},
                       "dimensionsSpec": {"dimensions": ["page"]}, "metricsSpec": [{"type": "longSum", "name": "added", "fieldName": "added"}],
                       "granularitySpec": {"segmentGranularity": "day", "queryGranularity": "none", "rollup": false}},
        "ioConfig": {"type": "index_parallel", "inputSource": {"type": "local", "baseDir": dir, "filter": "*.json"},
                     "inputFormat": {"type": "json"}, "appendToExisting": append},
        "tuningConfig": tuning}})
}

fn dynamic() -> Value {
    json!({"type": "index_parallel", "maxNumConcurrentSubTasks": 2, "taskStatusCheckPeriodMs": 20,
           "splitHintSpec": {"type": "maxSize", "maxNumFiles": 2}})
}

#[tokio::test(flavor = "multi_thread")]
async fn subtasks_read_the_splits_and_the_supervisor_publishes_once() {
    let door = Door::new();
    let dir = door.files(5, 20);
    let report = door.succeed(&task(&dir, false, dynamic())).await;
    assert_eq!(
        door.segments(),
        ["01/0 of 3: 20", "01/1 of 3: 20", "01/2 of 3: 10", "02/0 of 3: 20", "02/1 of 3: 20", "02/2 of 3: 10"]
    );
    assert_eq!(report["rowStats"]["buildSegments"]["processed"], 100);
    assert_eq!(report["segmentsPublished"], 6);
    let submitted = door.0.submitted.lock();
    assert_eq!(submitted.len(), 3);
    assert_eq!((&submitted[0]["type"], &submitted[0]["groupId"]), (&json!("single_phase_sub_task"), &json!("sup")));
    assert_eq!(door.0.chat.look("mode").unwrap(), "parallel");
    assert_eq!(door.0.chat.look("progress").unwrap()["succeeded"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_ends_after_its_subtasks() {
    let door = Door::new();
    let dir = door.files(3, 5);
    *door.0.lingering.lock() = Duration::from_millis(300);
    door.succeed(&task(&dir, false, dynamic())).await;
    let statuses = door.0.statuses.lock();
    assert_eq!(statuses.len(), door.0.submitted.lock().len());
    assert!(statuses.values().all(|status| status.state == crate::TaskState::Success), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_subtask_runs_again_and_nothing_is_doubled() {
    let door = Door::new();
    let dir = door.files(4, 10);
    *door.0.failures.lock() = 3;
    door.succeed(&task(&dir, false, dynamic())).await;
    assert_eq!((door.rows(), door.0.submitted.lock().len()), (40, 5));
    door.succeed(&task(&dir, true, dynamic())).await;
    assert_eq!(door.rows(), 80);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subtask_that_fails_too_often_fails_its_supervisor() {
    let door = Door::new();
    let dir = door.files(1, 10);
    *door.0.failures.lock() = 2;
    let mut tuning = dynamic();
    tuning["maxRetry"] = json!(1);
    let outcome = door.run(&task(&dir, false, tuning)).await;
    assert!(outcome.status.error_message.unwrap().contains("its worker is gone"));
    assert_eq!(door.rows(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_spreads_over_segments() {
    let door = Door::new();
    let dir = door.files(4, 20);
    door.succeed(&task(&dir, false, dynamic())).await;
    let before = door.0.submitted.lock().len();
    let tuning = json!({"maxNumConcurrentSubTasks": 2, "taskStatusCheckPeriodMs": 20,
        "splitHintSpec": {"type": "segments", "maxInputSegmentsPerTask": 2}});
    let compact = json!({"type": "compact", "id": "sup", "dataSource": "wiki", "tuningConfig": tuning,
        "ioConfig": {"type": "compact", "inputSpec": {"type": "interval", "interval": "2024-01-01/2024-02-01"}}});
    door.succeed(&compact).await;
    assert_eq!(door.segments(), ["01/0 of 1: 40", "02/0 of 1: 40"]);
    assert_eq!(door.0.submitted.lock().len() - before, 2);
}

fn rollup(partitions: Value) -> Value {
    let mut tuning = dynamic();
    tuning["forceGuaranteedRollup"] = json!(true);
    tuning["partitionsSpec"] = partitions;
    tuning["totalNumMergeTasks"] = json!(2);
    tuning
}

#[tokio::test(flavor = "multi_thread")]
async fn perfect_rollup_is_spread_in_phases() {
    let types = |door: &Door| -> Vec<String> {
        let mut types: Vec<String> = door.0.submitted.lock().iter().map(|t| t["type"].as_str().unwrap().to_owned()).collect();
        types.dedup();
        types
    };
    for (partitions, wanted) in [
        (json!({"type": "hashed", "numShards": 2}), vec!["partial_index_generate", "partial_index_generic_merge"]),
        (
            json!({"type": "hashed", "targetRowsPerSegment": 3}),
            vec!["partial_dimension_cardinality", "partial_index_generate", "partial_index_generic_merge"],
        ),
        (
            json!({"type": "range", "partitionDimensions": ["page"], "targetRowsPerSegment": 3}),
            vec!["partial_dimension_distribution", "partial_range_index_generate", "partial_index_generic_merge"],
        ),
    ] {
        let door = Door::new();
        let dir = door.files(4, 20);
        *door.0.failures.lock() = 1;
        let mut spread = task(&dir, false, rollup(partitions.clone()));
        spread["spec"]["dataSchema"]["granularitySpec"]["rollup"] = json!(true);
        let report = door.succeed(&spread).await;
        assert_eq!(types(&door), wanted, "{partitions}");
        // Five pages a day, whatever file their rows stood in.
        assert_eq!(door.rows(), 10, "{partitions} {:?}", door.segments());
        assert_eq!(report["rowStats"]["buildSegments"]["processed"], 80);
        assert!(door.0.memory.visible().len() > 2, "{partitions}");
        let left = std::fs::read_dir(door.0.dir.path().join("deep/shuffle-data")).map_or(0, |entries| entries.count());
        assert_eq!(left, 0, "parts are deleted");
    }
}
