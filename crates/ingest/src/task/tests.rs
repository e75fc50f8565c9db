//! Whole tasks against actions in memory and a local directory: what they publish reads back.

use std::path::Path;
use std::sync::Arc;

use ovate_compute::{ColumnSource, Rows};
use ovate_segment::Segment;
use ovate_store::deep::LocalDeepStorage;
use serde_json::{Value, json};

use super::memory::MemoryActions;
use super::*;

/// A metadata store, a deep storage and a directory, for one test.
struct World {
    dir: tempfile::TempDir,
    actions: Arc<MemoryActions>,
    threads: usize,
}

impl World {
    fn new() -> World {
        World { dir: tempfile::tempdir().unwrap(), actions: Arc::default(), threads: 2 }
    }

    async fn run(&self, task: Value) -> TaskOutcome {
        let spec = TaskSpec::from_json(&task, 0, 7).unwrap_or_else(|e| panic!("{e}"));
        let env = TaskEnv {
            lookups: Default::default(),
            work_dir: self.dir.path().join("work"),
            actions: self.actions.clone(),
            storage: Arc::new(LocalDeepStorage::new(self.dir.path().join("deep"), false)),
            threads: self.threads,
            memory_bytes: 256 << 20,
            stop: StopFlag::default(),
            report_file: None,
            chat: Default::default(),
        };
        let outcome = run_task(&spec, &env).await;
        let _ = std::fs::remove_dir_all(&env.work_dir);
        outcome
    }

    async fn succeed(&self, task: Value) -> Value {
        let outcome = self.run(task).await;
        assert_eq!(outcome.status.state, crate::TaskState::Success, "{:?}", outcome.status.error_message);
        outcome.report["ingestionStatsAndErrors"]["payload"].clone()
    }

    async fn fail(&self, task: Value) -> String {
        let outcome = self.run(task).await;
        assert_eq!(outcome.status.state, crate::TaskState::Failed);
        assert!(self.dir.path().join("work").read_dir().is_err(), "the task's directory is gone");
        outcome.status.error_message.unwrap()
    }

    /// All visible rows as `time|value|…` of these columns, sorted.
    fn rows(&self, columns: &[&str]) -> Vec<String> {
        let mut out = Vec::new();
        for segment in self.actions.visible() {
            if segment.is_tombstone() {
                continue;
            }
            let path = segment.load_spec.as_ref().unwrap()["path"].as_str().unwrap().to_owned();
            let source = Segment::open(Path::new(&path)).unwrap();
            let rows = source.row_count();
            let values = |name: &str| match source.column(name).unwrap() {
                Some(column) => column.reader().unwrap().values(Rows::Range(0..rows)).unwrap().to_vec(),
                None => vec![ovate_compute::Value::Null; rows as usize],
            };
            let table: Vec<_> = columns.iter().map(|name| values(name)).collect();
            for row in 0..rows as usize {
                let cells: Vec<String> =
                    table.iter().map(|c| crate::format::column::value_text(&c[row]).unwrap_or("-".into())).collect();
                out.push(cells.join("|"));
            }
        }
        out.sort();
        out
    }
}

fn task(data: &str) -> Value {
    json!({"type": "index_parallel", "spec": {
        "dataSchema": {"dataSource": "wiki", "timestampSpec": {"column": "t", "format": "auto"},
                       "dimensionsSpec": {"dimensions": ["page", {"type": "long", "name": "added"}]}, "metricsSpec": [],
                       "granularitySpec": {"type": "uniform", "segmentGranularity": "day", "queryGranularity": "none", "rollup": false}},
        "ioConfig": {"type": "index_parallel", "inputSource": {"type": "inline", "data": data}, "inputFormat": {"type": "json"}},
        "tuningConfig": {"type": "index_parallel"}}})
}

fn set(mut task: Value, path: &str, value: Value) -> Value {
    *task.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
    task
}

fn with(mut task: Value, object: &str, key: &str, value: Value) -> Value {
    task.pointer_mut(object).unwrap_or_else(|| panic!("{object}"))[key] = value;
    task
}

const THREE: &str = "{\"t\":\"2024-01-01T01:00:00Z\",\"page\":\"a\",\"added\":1}\n{\"t\":\"2024-01-02T01:00:00Z\",\"page\":\"b\",\"added\":\"2\"}\n{\"t\":\"2024-01-01T02:00:00Z\",\"page\":null,\"added\":3}\n";

#[tokio::test(flavor = "multi_thread")]
async fn rows_become_segments_by_day() {
    let world = World::new();
    let report = world.succeed(task(THREE)).await;
    assert_eq!(world.rows(&["__time", "page", "added"]), ["1704070800000|a|1", "1704074400000|-|3", "1704157200000|b|2"]);
    assert_eq!(report["ingestionState"], "COMPLETED");
    assert_eq!(report["rowStats"]["buildSegments"]["processed"], 3);
    assert_eq!(report["segmentsPublished"], 2);
    let used = world.actions.used();
    assert_eq!(
        used.iter().map(|s| s.shard_spec.to_json().to_string()).collect::<Vec<_>>().join(" "),
        r#"{"type":"numbered","partitionNum":0,"partitions":1} {"type":"numbered","partitionNum":0,"partitions":1}"#
    );
    assert_eq!(used[0].dimensions, ["page", "added"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn replacing_hides_and_appending_adds() {
    let world = World::new();
    world.succeed(task(THREE)).await;
    let more = task("{\"t\":\"2024-01-01T05:00:00Z\",\"page\":\"c\",\"added\":5}");
    world.succeed(with(more.clone(), "/spec/ioConfig", "appendToExisting", json!(true))).await;
    assert_eq!(world.rows(&["page", "added"]), ["-|3", "a|1", "b|2", "c|5"]);
    assert_eq!(
        world.actions.used().last().unwrap().shard_spec.to_json(),
        json!({"type": "numbered", "partitionNum": 1, "partitions": 1})
    );
    world.succeed(more).await;
    assert_eq!(world.rows(&["page", "added"]), ["b|2", "c|5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn drop_existing_leaves_tombstones_where_nothing_came() {
    let world = World::new();
    world.succeed(task(THREE)).await;
    let drop = with(task("{\"t\":\"2024-01-01\",\"page\":\"z\"}"), "/spec/ioConfig", "dropExisting", json!(true));
    let drop = with(drop, "/spec/dataSchema/granularitySpec", "intervals", json!(["2024-01-01/2024-01-04"]));
    world.succeed(drop).await;
    assert_eq!(world.rows(&["page"]), ["z"]);
    assert_eq!(world.actions.used().iter().filter(|s| s.is_tombstone()).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rollup_merges_equal_rows() {
    let world = World::new();
    let data = (0..50)
        .map(|i| format!("{{\"t\":\"2024-01-01T00:00:{i:02}Z\",\"page\":\"p{}\",\"n\":{i}}}\n", i % 2))
        .collect::<String>();
    let task = set(
        task(&data),
        "/spec/dataSchema/granularitySpec",
        json!({"segmentGranularity": "DAY", "queryGranularity": "HOUR", "rollup": true}),
    );
    let task = set(task, "/spec/dataSchema/dimensionsSpec/dimensions", json!(["page"]));
    let task = set(
        task,
        "/spec/dataSchema/metricsSpec",
        json!([{"type": "count", "name": "count"}, {"type": "longSum", "name": "n", "fieldName": "n"}]),
    );
    world.succeed(task).await;
    assert_eq!(world.rows(&["page", "count", "n"]), ["p0|25|600", "p1|25|625"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_rows_are_counted_saved_and_limited() {
    let world = World::new();
    let data = format!("{THREE}not json\n{{\"t\":\"never\"}}\n{{\"t\":\"2024-01-01\",\"page\":\"q\",\"added\":\"many\"}}\n");
    let saved = with(task(&data), "/spec/tuningConfig", "maxSavedParseExceptions", json!(10));
    let report = world.succeed(saved.clone()).await;
    let stats = &report["rowStats"]["buildSegments"];
    assert_eq!((&stats["processed"], &stats["unparseable"], &stats["processedWithError"]), (&json!(3), &json!(2), &json!(1)));
    assert_eq!(report["unparseableEvents"]["buildSegments"].as_array().unwrap().len(), 3);
    let message = world.fail(with(saved, "/spec/tuningConfig", "maxParseExceptions", json!(1))).await;
    assert!(message.contains("Max parse exceptions[1] exceeded"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_tasks_publish_nothing() {
    let world = World::new();
    world.actions.refuse_publish("lock was revoked");
    assert!(world.fail(task(THREE)).await.contains("lock was revoked"));
    let gone = set(task(""), "/spec/ioConfig/inputSource", json!({"type": "local", "baseDir": "/nowhere", "filter": "*"}));
    assert!(world.fail(gone).await.contains("/nowhere"));
    let truncated = world.dir.path().join("a.json.gz");
    std::fs::write(&truncated, [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2]).unwrap();
    let broken = set(task(""), "/spec/ioConfig/inputSource", json!({"type": "local", "files": [truncated]}));
    assert!(world.fail(broken).await.contains("a.json.gz"));
    assert!(world.actions.used().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_deletes_records_and_files() {
    let world = World::new();
    world.succeed(task(THREE)).await;
    world.actions.retire_all();
    world.succeed_kill().await;
    assert!(!world.dir.path().join("deep/wiki").exists() || walk_files(&world.dir.path().join("deep/wiki")) == 0);
}

impl World {
    async fn succeed_kill(&self) {
        let outcome = self.run(json!({"type": "kill", "dataSource": "wiki", "interval": "2024-01-01/2024-02-01"})).await;
        assert_eq!(outcome.status.error_message, None);
    }
}

fn walk_files(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).map(|p| if p.is_dir() { walk_files(&p) } else { 1 }).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn spilled_parts_are_merged() {
    let world = World::new();
    let data: String = (0..1000).map(|i| format!("{{\"t\":{},\"page\":\"p{}\",\"added\":{i}}}\n", i * 1000, i % 7)).collect();
    let small = with(task(&data), "/spec/tuningConfig", "maxRowsInMemory", json!(100));
    world.succeed(small).await;
    assert_eq!(world.rows(&["added"]).len(), 1000);
    assert_eq!(world.actions.used().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_cut_at_the_segment_limit() {
    let world = World::new();
    let data: String = (0..1000).map(|i| format!("{{\"t\":{},\"page\":\"p\",\"added\":{i}}}\n", i * 1000)).collect();
    let task = with(task(&data), "/spec/tuningConfig", "partitionsSpec", json!({"type": "dynamic", "maxRowsPerSegment": 300}));
    world.succeed(task).await;
    assert_eq!(world.rows(&["added"]).len(), 1000);
    let used = world.actions.used();
    assert_eq!(used.len(), 4);
    assert!(used.iter().all(|s| s.total_rows.unwrap() <= 300 && s.shard_spec.core_partitions() == Some(4)));
}

#[tokio::test(flavor = "multi_thread")]
async fn range_and_hash_partitions_divide_rows() {
    let world = World::new();
    let data: String =
        (0..1000).map(|i| format!("{{\"t\":{},\"page\":\"p{:03}\",\"added\":{i}}}\n", i * 1000, i % 100)).collect();
    let perfect = with(task(&data), "/spec/tuningConfig", "forceGuaranteedRollup", json!(true));
    let range = json!({"type": "range", "partitionDimensions": ["page"], "targetRowsPerSegment": 250});
    world.succeed(with(perfect.clone(), "/spec/tuningConfig", "partitionsSpec", range)).await;
    assert_eq!(world.rows(&["added"]).len(), 1000);
    let shards: Vec<Value> = world.actions.used().iter().map(|s| s.shard_spec.to_json()).collect();
    assert_eq!(shards.len(), 4);
    assert_eq!((&shards[0]["start"], &shards[0]["end"]), (&json!(null), &json!(["p025"])));
    assert_eq!((&shards[3]["start"], &shards[3]["end"]), (&json!(["p075"]), &json!(null)));
    let hashed = json!({"type": "hashed", "numShards": 3, "partitionDimensions": ["page"]});
    world.succeed(with(perfect.clone(), "/spec/tuningConfig", "partitionsSpec", hashed)).await;
    assert_eq!(world.rows(&["added"]).len(), 1000);
    assert_eq!(world.actions.visible().len(), 3);
    let counted = json!({"type": "hashed", "targetRowsPerSegment": 400});
    world.succeed(with(perfect, "/spec/tuningConfig", "partitionsSpec", counted)).await;
    assert_eq!(world.rows(&["added"]).len(), 1000);
    assert_eq!(world.actions.visible().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_joins_segments_and_keeps_their_rows() {
    let world = World::new();
    let spec = json!({"segmentGranularity": "HOUR", "queryGranularity": "MINUTE", "rollup": true});
    let metrics = json!([{"type": "count", "name": "count"}, {"type": "longSum", "name": "sum", "fieldName": "added"},
                         {"type": "hyperUnique", "name": "pages", "fieldName": "page"}]);
    let hourly = set(task(THREE), "/spec/dataSchema/granularitySpec", spec);
    let hourly = set(hourly, "/spec/dataSchema/metricsSpec", metrics);
    let hourly = set(hourly, "/spec/dataSchema/dimensionsSpec/dimensions", json!(["page"]));
    world.succeed(hourly.clone()).await;
    world.succeed(with(hourly, "/spec/ioConfig", "appendToExisting", json!(true))).await;
    assert_eq!(world.actions.visible().len(), 6);
    let compact = json!({"type": "compact", "dataSource": "wiki", "interval": "2024-01-01/2024-01-03", "tuningConfig": {"type": "index_parallel"}});
    world.succeed(with(compact.clone(), "", "context", json!({"storeCompactionState": true}))).await;
    assert_eq!(world.actions.visible().len(), 3);
    let state = world.actions.visible()[0].last_compaction_state.clone().unwrap();
    assert_eq!(state["partitionsSpec"], json!({"type": "dynamic", "maxRowsPerSegment": 5_000_000, "maxTotalRows": null}));
    assert_eq!(world.rows(&["page", "count", "sum"]), ["-|2|6", "a|2|2", "b|2|4"]);
    world.succeed(with(compact, "", "granularitySpec", json!({"segmentGranularity": "MONTH", "queryGranularity": "DAY"}))).await;
    assert_eq!(world.actions.visible().len(), 1);
    assert_eq!(
        world.rows(&["__time", "page", "count", "sum"]),
        ["1704067200000|-|2|6", "1704067200000|a|2|2", "1704153600000|b|2|4"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_are_an_input_source() {
    let world = World::new();
    world.succeed(task(THREE)).await;
    let again = set(
        task(""),
        "/spec/ioConfig/inputSource",
        json!({"type": "druid", "dataSource": "wiki", "interval": "2024-01-01/2024-01-02",
        "filter": {"type": "selector", "dimension": "page", "value": "a"}}),
    );
    let again = set(again, "/spec/dataSchema/timestampSpec", json!({"column": "__time", "format": "millis"}));
    world.succeed(again).await;
    assert_eq!(world.rows(&["page", "added"]), ["a|1", "b|2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_files_are_read_whole_by_one_thread_each() {
    let world = World::new();
    let dir = world.dir.path().join("in");
    std::fs::create_dir_all(&dir).unwrap();
    for day in 1..=9 {
        let rows: String =
            (0..400).map(|i| format!("{{\"t\":\"2024-01-0{day}T00:00:00Z\",\"page\":\"p{i}\",\"added\":{day}}}\n")).collect();
        std::fs::write(dir.join(format!("{day}.json")), rows).unwrap();
    }
    let source = json!({"type": "local", "baseDir": dir, "filter": "*.json", "systemFields": ["__file_path"]});
    let task = set(task(""), "/spec/ioConfig/inputSource", source);
    let task = set(
        task,
        "/spec/dataSchema/dimensionsSpec/dimensions",
        json!(["page", {"type": "long", "name": "added"}, "__file_path"]),
    );
    let small = with(task, "/spec/tuningConfig", "maxRowsInMemory", json!(1000));
    world.succeed(small.clone()).await;
    assert_eq!(world.rows(&["added"]).len(), 3600);
    assert_eq!(world.actions.used().len(), 9);
    assert!(world.rows(&["added", "__file_path"])[0].ends_with("/in/1.json"));
    std::fs::write(dir.join("a.json"), "{\"t\":1,\n".repeat(100)).unwrap();
    assert!(world.fail(with(small, "/spec/tuningConfig", "maxParseExceptions", json!(3))).await.contains("Max parse"));
}
