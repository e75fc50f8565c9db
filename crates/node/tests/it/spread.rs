//! `index_parallel` over two Data servers: subtasks run on both, a lost one runs again, and every row is there once.

use std::time::Duration;

use ovate_testkit::{Cluster, ClusterSettings};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(90);
const FILES: usize = 8;
const ROWS: usize = 2_000;

/// Files in the shared folder, each with rows of every day.
pub fn write_files(cluster: &Cluster, name: &str, files: usize, rows: usize) -> String {
    let dir = cluster.shared_dir().join(name);
    std::fs::create_dir_all(&dir).expect("a folder");
    for file in 0..files {
        let line = |row: usize| {
            let (day, n) = (1 + row % 4, file * rows + row);
            format!(
                "{{\"time\":\"2024-01-{day:02}T00:{:02}:00Z\",\"page\":\"{name}\",\"lang\":\"en\",\"added\":{n}}}\n",
                row % 60
            )
        };
        std::fs::write(dir.join(format!("{file:03}.json")), (0..rows).map(line).collect::<String>()).expect("a file");
    }
    dir.display().to_string()
}

/// A load of such a folder, one file a subtask.
pub fn parallel_load(id: &str, dir: &str, append: bool, tuning: Value) -> Value {
    let mut all = json!({"type": "index_parallel", "maxNumConcurrentSubTasks": 4, "taskStatusCheckPeriodMs": 200,
        "splitHintSpec": {"type": "maxSize", "maxNumFiles": 1}});
    for (name, value) in tuning.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    json!({"type": "index_parallel", "id": id, "spec": {
        "dataSchema": {"dataSource": "t", "timestampSpec": {"column": "time", "format": "iso"},
            "dimensionsSpec": {"dimensions": ["page", "lang", {"type": "long", "name": "added"}]},
            "granularitySpec": {"segmentGranularity": "DAY", "queryGranularity": "NONE", "rollup": false}},
        "ioConfig": {"type": "index_parallel", "inputSource": {"type": "local", "baseDir": dir, "filter": "*.json"},
            "inputFormat": {"type": "json"}, "appendToExisting": append},
        "tuningConfig": all}})
}

fn settings() -> ClusterSettings {
    let mut settings = ClusterSettings::page(crate::binary::ovate());
    settings.properties.push(("druid.worker.capacity".to_owned(), "3".to_owned()));
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parallel_load_runs_on_both_data_servers() {
    let cluster = Cluster::start(settings()).await;
    let dir = write_files(&cluster, "a", FILES, ROWS);
    let status = cluster.run_task(&parallel_load("load_a", &dir, false, json!({})), LIMIT).await;
    assert_eq!(status["statusCode"], "SUCCESS", "{status}\n{}", cluster.logs());
    let count = (FILES * ROWS) as i64;
    cluster.wait_number("SELECT COUNT(*) FROM t", count, LIMIT).await.expect("all rows");
    cluster.wait_number("SELECT SUM(added) FROM t", count * (count - 1) / 2, LIMIT).await.expect("each row once");
    let tasks = cluster.get("/druid/indexer/v1/completeTasks").await.expect("tasks");
    let subtasks: Vec<&Value> =
        tasks.as_array().expect("a list").iter().filter(|t| t["type"] == "single_phase_sub_task").collect();
    assert_eq!(subtasks.len(), FILES);
    let mut hosts: Vec<String> =
        subtasks.iter().map(|task| format!("{}:{}", task["location"]["host"], cluster.network.has_own_ports())).collect();
    hosts.sort();
    hosts.dedup();
    assert!(hosts.len() == 2 || !cluster.network.has_own_ports(), "{subtasks:?}");
    let report = cluster.get("/druid/indexer/v1/task/load_a/reports").await.expect("a report");
    assert_eq!(report["ingestionStatsAndErrors"]["payload"]["rowStats"]["buildSegments"]["processed"], count);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_workers_subtasks_run_again_elsewhere() {
    let mut cluster = Cluster::start(settings()).await;
    let dir = write_files(&cluster, "b", FILES, ROWS);
    let task = parallel_load("load_b", &dir, true, json!({}));
    cluster.post("/druid/indexer/v1/task", &task).await.expect("the task is taken");
    // The worker that does not run the supervisor is killed as soon as it has subtasks, and comes back later.
    let end = std::time::Instant::now() + LIMIT;
    let victim = loop {
        assert!(std::time::Instant::now() < end, "no subtask was seen running\n{}", cluster.logs());
        let running = cluster.get("/druid/indexer/v1/runningTasks").await.expect("tasks");
        let place = |task: &Value| format!("{}:{}", task["location"]["host"], task["location"]["port"]);
        let of = |kind: &str| -> Vec<String> {
            running.as_array().into_iter().flatten().filter(|t| t["type"] == kind).map(place).collect()
        };
        if let (Some(_), true) = (of("index_parallel").first(), !of("single_phase_sub_task").is_empty()) {
            let at = cluster.get("/druid/indexer/v1/workers").await.expect("workers");
            let idle = at.as_array().into_iter().flatten().find(|w| !w["runningTasks"].to_string().contains("load_b"));
            let host = idle.expect("a second worker")["worker"]["host"].as_str().expect("a name").to_owned();
            let name = ["data1", "data2"].into_iter().find(|name| cluster.url(name, "middleManager").ends_with(&host));
            break cluster.process(name.expect("a data server"), "middleManager");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    cluster.kill(victim);
    tokio::time::sleep(Duration::from_secs(2)).await;
    cluster.spawn(victim);
    let count = (FILES * ROWS) as i64;
    cluster.wait_number("SELECT COUNT(*) FROM t", count, LIMIT).await.unwrap_or_else(|n| panic!("{n:?}\n{}", cluster.logs()));
    cluster.wait_number("SELECT SUM(added) FROM t", count * (count - 1) / 2, LIMIT).await.expect("each row once");
}

#[tokio::test(flavor = "multi_thread")]
async fn partitioned_loads_exchange_parts_between_both_data_servers() {
    let cluster = Cluster::start(settings()).await;
    let dir = cluster.shared_dir().join("p");
    std::fs::create_dir_all(&dir).expect("a folder");
    for file in 0..4 {
        let line = |n: usize| format!("{{\"time\":\"2024-01-01T00:00:00Z\",\"page\":\"page{:03}\",\"added\":{n}}}\n", n % 300);
        std::fs::write(dir.join(format!("{file}.json")), (file * 500..(file + 1) * 500).map(line).collect::<String>())
            .expect("a file");
    }
    let kinds = [
        ("hashed_load", json!({"type": "hashed", "numShards": 3, "partitionDimensions": ["page"]}), "partial_index_generate"),
        (
            "range_load",
            json!({"type": "range", "targetRowsPerSegment": 700, "partitionDimensions": ["page"]}),
            "partial_range_index_generate",
        ),
    ];
    for (id, partitions, generates) in kinds {
        let tuning = json!({"partitionsSpec": partitions, "forceGuaranteedRollup": true, "totalNumMergeTasks": 2});
        let task = parallel_load(id, &dir.display().to_string(), false, tuning);
        let status = cluster.run_task(&task, LIMIT).await;
        assert_eq!(status["statusCode"], "SUCCESS", "{id} {status}\n{}", cluster.logs());
        cluster.wait_number("SELECT COUNT(*) FROM t", 2000, LIMIT).await.expect("all rows");
        cluster.wait_number("SELECT SUM(added) FROM t", 1999 * 1000, LIMIT).await.expect("each row once");
        let tasks = cluster.get("/druid/indexer/v1/completeTasks").await.expect("tasks");
        let of = |kind: &str| -> Vec<Value> {
            let all = tasks.as_array().into_iter().flatten();
            all.filter(|task| task["type"] == kind && task["groupId"] == id)
                .map(|task| task["location"]["host"].clone())
                .collect()
        };
        let (generated, merged) = (of(generates), of("partial_index_generic_merge"));
        assert_eq!((generated.len(), merged.len()), (4, 2), "{tasks}");
        let mut hosts: Vec<String> = generated.iter().chain(&merged).map(Value::to_string).collect();
        hosts.sort();
        hosts.dedup();
        assert!(hosts.len() == 2 || !cluster.network.has_own_ports(), "{hosts:?}");
    }
    // Each value of the partition dimension is in one segment, whichever worker read it.
    let count = "SELECT COUNT(*) FROM (SELECT page FROM t GROUP BY page HAVING COUNT(DISTINCT added) > 0)";
    cluster.wait_number(count, 300, LIMIT).await.expect("all pages");
}
