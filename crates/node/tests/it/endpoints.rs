//! What the endpoints of all roles answer, statuses and bodies, held against what Apache Druid 33 answered to the same calls.

use std::time::Duration;

use serde_json::{Value, json};

use crate::tasks::{inline, rows, single};

const MINUTE: Duration = Duration::from_secs(60);

struct Caller {
    client: reqwest::Client,
    base: String,
}

impl Caller {
    /// Status and body; a body that is no JSON comes as a text.
    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self.client.request(method, format!("{}{path}", self.base)).timeout(MINUTE);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.call("GET", path, None).await
    }
}

/// The body's message, wherever it stands.
fn told(body: &Value) -> &str {
    ["errorMessage", "error"].iter().find_map(|key| body[*key].as_str()).or(body.as_str()).unwrap_or_default()
}

#[tokio::test]
async fn endpoints_answer_as_druids_do() {
    let sandbox = single().await;
    let task = sandbox.submit(&inline("t", &rows(30, 3), false)).await.expect("a task id");
    assert_eq!(sandbox.wait_task(&task, MINUTE).await["statusCode"], "SUCCESS");
    assert_eq!(sandbox.wait_count("t", 30, MINUTE).await, Some(30));
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let role = |role: &str| Caller { client: client.clone(), base: sandbox.url(role) };
    let (router, historical) = (role("router"), role("historical"));

    what_is_not_there_is_told(&router).await;
    bad_requests_are_told(&router).await;
    segments_are_shown(&router, historical.base.trim_start_matches("http://")).await;
    supervisors_are_controlled(&router).await;

    assert_eq!(router.get("/proxy/coordinator/status/health").await, (200, json!(true)));
    assert_eq!(router.get("/proxy/overlord/status/selfDiscovered/status").await.1, json!({"selfDiscovered": true}));
    let (status, body) = router.get("/proxy/nowhere/status").await;
    assert_eq!((status, told(&body)), (400, "Unsupported proxy destination[/proxy/nowhere/status]"));
    let (status, body) = historical.get("/druid-internal/v1/segments/loadCapabilities").await;
    assert!(status == 200 && body["numLoadingThreads"].is_u64() && body["numTurboLoadingThreads"].is_u64(), "{body}");
}

async fn what_is_not_there_is_told(router: &Caller) {
    let (coordinator, overlord) = ("/druid/coordinator/v1", "/druid/indexer/v1");
    let cases = [
        ("GET", format!("{overlord}/task/nope"), 404, "Cannot find any task with id: [nope]"),
        ("GET", format!("{overlord}/task/nope/status"), 404, "Cannot find any task with id: [nope]"),
        ("GET", format!("{overlord}/task/nope/log"), 404, "Cannot find any task with id: [nope]"),
        ("GET", format!("{overlord}/task/nope/reports"), 404, "Cannot find any task with id: [nope]"),
        ("POST", format!("{overlord}/task/nope/shutdown"), 404, "Cannot find any task with id: [nope]"),
        ("POST", format!("{overlord}/datasources/nope/shutdownAllTasks"), 404, ""),
        ("GET", format!("{overlord}/supervisor/nope"), 404, "Cannot find any supervisor with id: [nope]"),
        ("POST", format!("{overlord}/supervisor/nope/suspend"), 404, "Cannot find any supervisor with id: [nope]"),
        ("GET", format!("{overlord}/supervisor/nope/history"), 404, "No history for [nope]."),
        ("GET", format!("{coordinator}/config/compaction/nope"), 404, "Datasource compaction config does not exist"),
        ("DELETE", format!("{coordinator}/config/compaction/nope"), 404, "Datasource compaction config does not exist"),
        ("GET", format!("{coordinator}/compaction/status?dataSource=nope"), 404, "Unknown DataSource"),
        ("GET", format!("{coordinator}/metadata/datasources/nope"), 404, ""),
        ("GET", format!("{coordinator}/datasources/nope"), 204, ""),
        ("GET", format!("{coordinator}/servers/nope:1"), 404, ""),
        ("GET", format!("{coordinator}/servers/nope:1/segments/nope"), 404, ""),
    ];
    for (method, path, status, message) in cases {
        let (seen, body) = router.call(method, &path, None).await;
        assert_eq!((seen, told(&body)), (status, message), "{method} {path}");
    }
    assert_eq!(router.get(&format!("{coordinator}/cluster/nobody")).await, (200, json!([])));
}

async fn bad_requests_are_told(router: &Caller) {
    let (coordinator, overlord) = ("/druid/coordinator/v1", "/druid/indexer/v1");
    let config = format!("{coordinator}/config");
    assert_eq!(router.call("POST", &config, Some(json!({"ofAnotherRelease": 1, "maxSegmentsToMove": 7}))).await.0, 200);
    let (_, kept) = router.get(&config).await;
    assert!(kept.get("ofAnotherRelease").is_none() && kept["maxSegmentsToMove"] == 7, "{kept}");
    let unused = format!("{coordinator}/metadata/datasources/t/unusedSegments");
    let cases = [
        ("GET", format!("{unused}?limit=-1"), None, "Invalid limit[-1] specified. Limit must be > 0."),
        ("GET", format!("{unused}?sortOrder=up"), None, "Unexpected value[up] for SortOrder. Possible values are: [ASC, DESC]"),
        ("GET", format!("{coordinator}/config/history?count=0"), None, "Limit must be greater than zero!"),
        ("GET", format!("{coordinator}/rules/t/history?count=-1"), None, "Limit must be greater than zero!"),
        ("GET", format!("{coordinator}/compaction/progress?dataSource="), None, "No DataSource specified"),
        (
            "GET",
            format!("{coordinator}/datasources/t/loadstatus"),
            None,
            "Invalid request. forceMetadataRefresh must be specified",
        ),
        ("POST", format!("{overlord}/taskStatus"), Some(json!([])), "No Task IDs provided."),
        ("POST", format!("{overlord}/lockedIntervals/v2"), Some(json!([])), "No filter provided"),
        ("POST", format!("{overlord}/activeLocks"), Some(json!([])), "No filter provided"),
        ("POST", format!("{overlord}/sampler"), Some(json!({})), "a sampler spec needs a [type]"),
        ("POST", format!("{overlord}/supervisor"), Some(json!({"type": "x"})), "unknown supervisor type [x]"),
    ];
    for (method, path, body, message) in cases {
        let (seen, body) = router.call(method, &path, body).await;
        assert_eq!((seen, told(&body)), (400, message), "{method} {path}");
    }
    let (status, body) = router.call("POST", &format!("{overlord}/supervisor"), Some(json!({"type": "kafka"}))).await;
    assert_eq!((status, told(&body)), (501, "supervisors of type [kafka] are not supported"));
    let deleted = router.call("DELETE", &format!("{overlord}/pendingSegments/t"), None).await;
    assert_eq!((deleted.0, deleted.1["numDeleted"].is_u64()), (200, true), "{deleted:?}");
}

async fn segments_are_shown(router: &Caller, historical: &str) {
    let coordinator = "/druid/coordinator/v1";
    let (_, ids) = router.get(&format!("{coordinator}/metadata/datasources/t/segments")).await;
    let id = ids[0].as_str().expect("a segment").to_owned();
    // The Broker may hear of what is loaded before the Coordinator does.
    let end = std::time::Instant::now() + MINUTE;
    let tier = loop {
        let tier = router.get(&format!("{coordinator}/datasources/t")).await.1["tiers"]["_default_tier"].clone();
        if tier["segmentCount"] == 3 {
            break tier;
        }
        assert!(std::time::Instant::now() < end, "the Coordinator does not hear of three segments: {tier}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(tier["replicatedSize"], tier["size"]);
    let (_, segment) = router.get(&format!("{coordinator}/servers/{historical}/segments/{id}")).await;
    assert_eq!(segment["identifier"], json!(id));
    let (_, by_time) = router.get(&format!("{coordinator}/datasources/t/intervals?full")).await;
    let shown = by_time.as_object().expect("intervals").values().find_map(|segments| segments.get(&id)).expect("the segment");
    assert_eq!((&shown["metadata"]["identifier"], &shown["servers"]), (&json!(id), &json!([historical])));
    let (_, nodes) = router.get(&format!("{coordinator}/cluster")).await;
    assert!(nodes["historical"][0].get("tlsPort").is_none() && nodes.get("indexer").is_none(), "{nodes}");
    // A segment that nobody has heard of is on its way; one behind newer ones never is.
    let handed = |version: &str| {
        format!("{coordinator}/datasources/t/handoffComplete?interval=2024-01-01/2024-01-02&partitionNumber=0&version={version}")
    };
    assert_eq!(router.get(&handed("9999")).await, (200, json!(false)));
    assert_eq!(router.get(&handed("1999")).await, (200, json!(true)));

    let (_, located) = router.get("/druid/v2/datasources/t/candidates?intervals=2024-01-01/2024-01-03").await;
    assert_eq!(located.as_array().map(Vec::len), Some(2));
    assert_eq!((&located[0]["partitionNumber"], &located[0]["locations"][0]["host"]), (&json!(0), &json!(historical)));
    let query = json!({"queryType": "timeseries", "dataSource": "t", "granularity": "all", "intervals": "2024-01-01/2024-01-03",
        "aggregations": [{"type": "count", "name": "n"}]});
    assert_eq!(router.call("POST", "/druid/v2/candidates", Some(query)).await, (200, located));
    let columns = json!({"dimensions": ["page", "lang", "added"], "metrics": []});
    assert_eq!(router.get("/druid/v2/datasources/t?interval=2024-01-01/2024-01-02").await, (200, columns));
    assert_eq!(router.get("/druid/v2/datasources/t").await.1, json!({"dimensions": [], "metrics": []}), "none of last week");
    let (_, full) = router.get("/druid/v2/datasources/t?full&interval=2024-01-01/2025-01-01").await;
    let intervals: Vec<&String> = full.as_object().expect("intervals").keys().collect();
    assert_eq!(intervals, ["2024-01-01T00:00:00.000Z/2024-01-04T00:00:00.000Z"]);
}

async fn supervisors_are_controlled(router: &Caller) {
    let base = "/druid/indexer/v1/supervisor";
    let spec = json!({"type": "autocompact", "spec": {"dataSource": "t", "skipOffsetFromLatest": "P7000D"}});
    let (status, made) = router.call("POST", base, Some(spec)).await;
    assert_eq!((status, &made["id"]), (200, &json!("autocompact__t")));
    let one = format!("{base}/autocompact__t");
    let (_, running) = router.get(&format!("{one}/status")).await;
    assert_eq!((&running["payload"]["dataSource"], &running["payload"]["scheduleStatus"]), (&json!("t"), &json!("RUNNING")));
    assert_eq!(router.call("POST", &format!("{one}/suspend"), None).await.1["suspended"], true);
    let (status, body) = router.call("POST", &format!("{one}/suspend"), None).await;
    assert_eq!((status, told(&body)), (400, "[autocompact__t] is already suspended"));
    assert_eq!(router.get(&format!("{one}/status")).await.1["payload"]["scheduleStatus"], "NOT_ENABLED");
    assert_eq!(router.call("POST", &format!("{one}/resume"), None).await.0, 200);
    for (path, status) in [("resetOffsets", 501), ("taskGroups/handoff", 501), ("reset", 200)] {
        assert_eq!(router.call("POST", &format!("{one}/{path}"), Some(json!({}))).await.0, status, "{path}");
    }
    let (status, body) = router.get(&format!("{one}/health")).await;
    assert_eq!((status, told(&body)), (404, "[autocompact__t] does not exist or health check not implemented"));
    assert_eq!(router.get(&format!("{one}/history?count=2")).await.1.as_array().map(Vec::len), Some(2));
    assert_eq!(router.call("POST", &format!("{one}/terminate"), None).await, (200, json!({"id": "autocompact__t"})));
    assert_eq!(router.get(&one).await.0, 404);
    let (_, history) = router.get(&format!("{one}/history?count=1")).await;
    assert_eq!(history[0]["spec"]["type"], "NoopSupervisorSpec", "the name that Druid's Overlord knows");
}
