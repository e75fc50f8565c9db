//! Bad input is ordinary: an error in Druid's JSON that names the thing, nothing half published, and the server goes on.

use std::time::Duration;

use serde_json::{Value, json};

use crate::tasks::{inline, rows, single, with_data};

const MINUTE: Duration = Duration::from_secs(60);

/// Category and message of a refused request.
fn refused(answer: Result<Value, Value>) -> (String, String) {
    let error = answer.expect_err("must be refused");
    let text = |key: &str| error[key].as_str().unwrap_or_else(|| panic!("no {key} in {error}")).to_owned();
    (text("category"), text("errorMessage"))
}

#[tokio::test]
async fn malformed_requests_name_what_is_wrong_and_the_server_goes_on() {
    let sandbox = single().await;
    let id = sandbox.submit(&inline("t", &rows(10, 1), false)).await.expect("a task id");
    sandbox.wait_task(&id, MINUTE).await;
    assert_eq!(sandbox.wait_count("t", 10, MINUTE).await, Some(10));
    let cases = [
        ("/druid/v2", json!({"queryType": "nope", "dataSource": "t"}), "nope"),
        ("/druid/v2", json!({"queryType": "timeseries", "dataSource": "t"}), "intervals"),
        ("/druid/v2", json!({"queryType": "timeseries", "dataSource": "t", "intervals": "tomorrow/never"}), "tomorrow"),
        (
            "/druid/v2",
            json!({"queryType": "scan", "dataSource": "t", "intervals": "2024/2025", "filter": {"type": "odd"}}),
            "odd",
        ),
        ("/druid/v2/sql", json!({"query": "SELECT nothing FROM t"}), "nothing"),
        ("/druid/v2/sql", json!({"query": "SELECT 1 FROM absent"}), "absent"),
        ("/druid/v2/sql", json!({"query": "SELEC 1"}), "SELEC"),
        ("/druid/v2/sql", json!({"query": "SELECT 1", "resultFormat": "xml"}), "xml"),
        ("/druid/indexer/v1/task", json!({"type": "index_parallel"}), "spec"),
        ("/druid/indexer/v1/task", json!({"type": "unheard_of"}), "unheard_of"),
    ];
    for (path, body, named) in cases {
        let (category, message) = refused(sandbox.post("router", path, &body).await);
        assert_eq!(category, "INVALID_INPUT", "{body}: {message}");
        assert!(message.contains(named), "{body}: [{message}] does not name [{named}]");
    }
    assert_eq!(sandbox.sql("SELECT COUNT(*) FROM t").await, Ok(vec![vec![json!(10)]]));
}

#[tokio::test]
async fn huge_and_deeply_nested_requests_are_refused_and_the_server_goes_on() {
    let sandbox = single().await;
    let chain = |n: usize| format!("SELECT {}1", "1+".repeat(n));
    let nested = |n: usize| format!("SELECT {}1{}", "(".repeat(n), ")".repeat(n));
    for statement in [chain(5_000), chain(20 << 20), nested(10_000), format!("SELECT 1 {}", "UNION ALL SELECT 1 ".repeat(9_000))]
    {
        let error = sandbox.sql(&statement).await.expect_err("must be refused");
        assert_eq!(error["category"], "INVALID_INPUT", "{error}");
    }
    for statement in [chain(1_900), format!("SELECT COUNT(*) FROM (VALUES (1)) WHERE {} TRUE", "1 = 2 OR ".repeat(1_900))] {
        // Answered or refused, but by a server that lives.
        let _ = sandbox.sql(&statement).await;
        assert_eq!(sandbox.sql("SELECT 1").await, Ok(vec![vec![json!(1)]]));
    }
    let mut filter = json!({"type": "true"});
    for _ in 0..100 {
        filter = json!({"type": "not", "field": filter});
    }
    let native = json!({"queryType": "timeseries", "dataSource": "t", "intervals": "2024/2025", "filter": filter});
    let _ = sandbox.post("router", "/druid/v2", &native).await;
    assert_eq!(sandbox.sql("SELECT 1").await, Ok(vec![vec![json!(1)]]));
}

#[tokio::test]
async fn a_task_over_rows_that_cannot_be_parsed_counts_them_and_one_with_too_many_fails_whole() {
    let sandbox = single().await;
    let mut lines: Vec<String> = rows(20, 1).iter().map(Value::to_string).collect();
    lines.insert(3, "{\"time\": \"2024-01-01\", broken".to_owned());
    lines.insert(9, "{\"page\": \"no time\"}".to_owned());
    let id = sandbox.submit(&with_data("t", &lines.join("\n"), false)).await.expect("a task id");
    let status = sandbox.wait_task(&id, MINUTE).await;
    assert_eq!(status["statusCode"], "SUCCESS", "{status}");
    assert_eq!(sandbox.wait_count("t", 20, MINUTE).await, Some(20));
    let report = sandbox.get("router", &format!("/druid/indexer/v1/task/{id}/reports")).await.expect("a report");
    assert_eq!(report["ingestionStatsAndErrors"]["payload"]["rowStats"]["buildSegments"]["unparseable"], 2, "{report}");

    let mut strict = with_data("strict", &lines.join("\n"), false);
    strict["spec"]["tuningConfig"]["maxParseExceptions"] = json!(1);
    let id = sandbox.submit(&strict).await.expect("a task id");
    let status = sandbox.wait_task(&id, MINUTE).await;
    assert_eq!(status["statusCode"], "FAILED", "{status}");
    assert!(sandbox.sql("SELECT COUNT(*) FROM strict").await.is_err(), "nothing may be half published");
}

#[tokio::test]
async fn a_truncated_file_fails_its_task_and_publishes_nothing() {
    let sandbox = single().await;
    let file = sandbox.dir().join("cut.json.gz");
    std::fs::write(&file, [0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0, 3, 0xab, 0x56]).expect("written");
    let mut task = inline("cut", &[], false);
    task["spec"]["ioConfig"]["inputSource"] = json!({"type": "local", "files": [file]});
    let id = sandbox.submit(&task).await.expect("a task id");
    let status = sandbox.wait_task(&id, MINUTE).await;
    assert_eq!(status["statusCode"], "FAILED", "{status}");
    assert!(status["errorMsg"].as_str().is_some_and(|m| m.contains("cut.json.gz")), "{status}");
    assert!(sandbox.sql("SELECT COUNT(*) FROM cut").await.is_err());
}
