//! A row's whole journey: posted by a task, stored as a segment, answered by SQL and native queries.

use std::time::Duration;

use ovate_testkit::{shared_dir, skip};
use serde_json::json;

use crate::tasks::{inline, rows, single};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn rows_of_a_task_are_answered_by_sql_and_native_queries() {
    let sandbox = single().await;
    let id = sandbox.submit(&inline("t", &rows(1000, 3), false)).await.expect("a task id");
    let status = sandbox.wait_task(&id, MINUTE).await;
    assert_eq!(status["statusCode"], "SUCCESS", "{status}");
    assert_eq!(sandbox.wait_count("t", 1000, MINUTE).await, Some(1000));
    let sums = sandbox
        .sql("SELECT lang, COUNT(*), SUM(added) FROM t WHERE page <> 'page3' GROUP BY lang ORDER BY lang")
        .await
        .expect("rows");
    let expected = |which: usize| {
        let kept = (0..1000usize).filter(|i| i % 3 == which && i % 17 != 3);
        (kept.clone().count(), kept.sum::<usize>())
    };
    let (de, en, fr) = (expected(1), expected(0), expected(2));
    assert_eq!(json!(sums), json!([["de", de.0, de.1], ["en", en.0, en.1], ["fr", fr.0, fr.1]]));
    let native = json!({"queryType": "timeseries", "dataSource": "t", "intervals": "2024-01-01/2024-01-05", "granularity": "day",
        "aggregations": [{"type": "count", "name": "n"}]});
    let answer = sandbox.post("router", "/druid/v2", &native).await.expect("an answer");
    let counts: Vec<_> = answer.as_array().expect("rows").iter().map(|row| row["result"]["n"].clone()).collect();
    assert_eq!(json!(counts), json!([334, 333, 333]));
    let report = sandbox.get("router", &format!("/druid/indexer/v1/task/{id}/reports")).await.expect("a report");
    assert_eq!(report["ingestionStatsAndErrors"]["payload"]["rowStats"]["buildSegments"]["processed"], 1000, "{report}");
}

#[tokio::test]
async fn appending_adds_and_overwriting_replaces() {
    let sandbox = single().await;
    for (rows, append, wanted) in [(rows(100, 2), false, 100), (rows(50, 2), true, 150), (rows(10, 1), false, 85)] {
        let id = sandbox.submit(&inline("t", &rows, append)).await.expect("a task id");
        let status = sandbox.wait_task(&id, MINUTE).await;
        assert_eq!(status["statusCode"], "SUCCESS", "{status}");
        assert_eq!(sandbox.wait_count("t", wanted, MINUTE).await, Some(wanted));
    }
}

#[tokio::test]
async fn the_quickstart_file_has_its_rows() {
    let Some(shared) = shared_dir() else { return skip("the_quickstart_file_has_its_rows", "../shared is absent") };
    let file = shared.join("conformance/data/wikiticker-2015-09-12-sampled.json.gz");
    let sandbox = single().await;
    let task = json!({"type": "index_parallel", "spec": {
        "dataSchema": {"dataSource": "wikiticker", "timestampSpec": {"column": "time", "format": "iso"},
            "dimensionsSpec": {"useSchemaDiscovery": true},
            "granularitySpec": {"segmentGranularity": "day", "queryGranularity": "none", "rollup": false}},
        "ioConfig": {"type": "index_parallel", "inputSource": {"type": "local", "files": [file]}, "inputFormat": {"type": "json"}},
        "tuningConfig": {"type": "index_parallel"}}});
    let id = sandbox.submit(&task).await.expect("a task id");
    let status = sandbox.wait_task(&id, MINUTE).await;
    assert_eq!(status["statusCode"], "SUCCESS", "{status}");
    assert_eq!(sandbox.wait_count("wikiticker", 39_244, MINUTE).await, Some(39_244));
    let top =
        sandbox.sql("SELECT page, COUNT(*) AS n FROM wikiticker GROUP BY page ORDER BY n DESC LIMIT 1").await.expect("rows");
    assert_eq!(json!(top), json!([["Wikipedia:Vandalismusmeldung", 33]]));
}

#[tokio::test]
async fn a_second_start_serves_what_the_first_one_loaded() {
    let mut sandbox = single().await;
    let id = sandbox.submit(&inline("t", &rows(500, 5), false)).await.expect("a task id");
    sandbox.wait_task(&id, MINUTE).await;
    assert_eq!(sandbox.wait_count("t", 500, MINUTE).await, Some(500));
    sandbox.kill(0);
    sandbox.spawn(0);
    sandbox.wait_ready(MINUTE).await;
    assert_eq!(sandbox.wait_count("t", 500, MINUTE).await, Some(500));
}
