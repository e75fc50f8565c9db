//! A Data server that joins takes its share of the segments while queries go on: none fails, none is wrong, and each segment
//! is loaded anew before the old copy goes.

use std::time::{Duration, Instant};

use ovate_testkit::cluster::{HostSettings, Load, Question};
use ovate_testkit::{Cluster, ClusterSettings};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(60);
const DAYS: usize = 12;
const ROWS_PER_DAY: usize = 500;

#[tokio::test(flavor = "multi_thread")]
async fn a_data_server_that_joins_takes_its_share_without_a_failed_query() {
    let mut settings = ClusterSettings::page(crate::binary::ovate());
    settings.hosts.retain(|host| host.name != "master2" && host.name != "data2");
    let (name, processes) = ("data3", vec![vec!["historical"]]);
    settings.hosts.push(HostSettings { name, processes, properties: Vec::new(), cache_disk_bytes: None });
    let mut cluster = Cluster::prepare(settings);
    let joining = cluster.process("data3", "historical");
    (0..cluster.process_count()).filter(|process| *process != joining).for_each(|process| cluster.spawn(process));
    cluster.wait_ready(LIMIT).await;
    // One copy of each, so that the newcomer's share has to move.
    let rule = json!([{"type": "loadForever", "tieredReplicants": {"_default_tier": 1}}]);
    cluster.post("/druid/coordinator/v1/rules/_default", &rule).await.expect("rules are taken");
    let status = cluster.run_task(&task(&cluster), LIMIT).await;
    assert_eq!(status["statusCode"], "SUCCESS", "{status}\n{}", cluster.logs());
    let total = (DAYS * ROWS_PER_DAY) as i64;
    cluster.wait_number("SELECT COUNT(*) FROM t", total, LIMIT).await.expect("all rows");
    for (offset, limit, wanted) in [(0, None, total), (total - 70, None, 70), (750, Some(1200), 1200), (total, None, 0)] {
        assert_eq!(scanned(&cluster, offset, limit).await, wanted, "offset {offset} limit {limit:?}\n{}", cluster.logs());
    }
    let sql = "SELECT FLOOR(__time TO DAY), COUNT(*), SUM(n) FROM t GROUP BY 1 ORDER BY 1";
    let (path, body) = ("/druid/v2/sql", json!({"query": sql, "resultFormat": "array"}));
    let answer = cluster.post(path, &body).await.expect("a healthy cluster answers");
    let load = Load::start(&cluster.router(), &[Question { path, body, answer }], 4);
    let at = Instant::now();
    cluster.spawn(joining);
    let (here, copies) = (cluster.url("data3", "historical"), "SELECT COUNT(*) FROM sys.server_segments");
    let server = here.trim_start_matches("http://");
    let share = format!("{copies} WHERE \"server\" = '{server}'");
    let end = Instant::now() + LIMIT;
    loop {
        let (taken, all) = (cluster.number(&share).await, cluster.number(copies).await);
        if taken.is_some_and(|taken| taken >= DAYS as i64 / 3) && all == Some(DAYS as i64) {
            break;
        }
        assert!(Instant::now() < end, "{taken:?} of {all:?} segments moved\n{}", cluster.logs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let outcome = load.finish(at).await;
    println!("a Data server joined: right {}, failed {}, slowest {:?}", outcome.right, outcome.failed, outcome.slowest);
    assert!(outcome.wrong.is_empty() && outcome.failed == 0 && outcome.flagged == 0, "{outcome:?}\n{}", cluster.logs());
    assert!(outcome.right > 10, "{outcome:?}");
}

/// Rows that a scan, which is streamed, gives.
async fn scanned(cluster: &Cluster, offset: i64, limit: Option<i64>) -> i64 {
    let mut query = json!({"queryType": "scan", "dataSource": "t", "intervals": "2024/2025", "columns": ["n"], "offset": offset,
        "resultFormat": "compactedList"});
    if let Some(limit) = limit {
        query["limit"] = json!(limit);
    }
    let answer = cluster.post("/druid/v2", &query).await.expect("rows");
    let elements = answer.as_array().expect("a list").iter();
    elements.map(|element| element["events"].as_array().map_or(0, Vec::len) as i64).sum()
}

/// Rows in the document, a segment a day.
fn task(cluster: &Cluster) -> serde_json::Value {
    let dir = cluster.shared_dir().join("rows");
    std::fs::create_dir_all(&dir).expect("a folder");
    let row = |day: usize, n: usize| json!({"time": format!("2024-01-{:02}T00:00:00Z", day + 1), "n": n}).to_string();
    let text: Vec<String> = (0..DAYS).flat_map(|day| (0..ROWS_PER_DAY).map(move |n| row(day, n))).collect();
    std::fs::write(dir.join("rows.json"), text.join("\n")).expect("rows are written");
    json!({"type": "index", "spec": {
        "dataSchema": {"dataSource": "t", "timestampSpec": {"column": "time", "format": "iso"},
            "dimensionsSpec": {"dimensions": [{"type": "long", "name": "n"}]},
            "granularitySpec": {"segmentGranularity": "day", "queryGranularity": "none", "rollup": false}},
        "ioConfig": {"type": "index", "inputSource": {"type": "local", "baseDir": dir, "filter": "*.json"}, "inputFormat": {"type": "json"}},
        "tuningConfig": {"type": "index"}}})
}
