//! Lookups from the Coordinator's API to queries and tasks: written out, read from a file and from a database; versions, status,
//! contents, and what becomes of them when they are changed or deleted.

use std::time::{Duration, Instant};

use ovate_testkit::Sandbox;
use serde_json::{Value, json};

use crate::tasks::{inline, rows, single};

const MINUTE: Duration = Duration::from_secs(60);

/// Asks until the answer is as wanted, for a bounded time.
async fn until(what: &str, wanted: &Value, mut ask: impl AsyncFnMut() -> Value) {
    let end = Instant::now() + Duration::from_secs(20);
    let mut seen = Value::Null;
    while Instant::now() < end {
        seen = ask().await;
        if seen == *wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}: wanted {wanted}, seen {seen}");
}

async fn sql(sandbox: &Sandbox, statement: &str) -> Value {
    sandbox.sql(statement).await.map_or_else(|error| error, |rows| json!(rows))
}

fn namespace(version: &str, spec: &Value) -> Value {
    json!({"version": version, "lookupExtractorFactory": {"type": "cachedNamespace", "extractionNamespace": spec}})
}

#[tokio::test]
async fn lookups_are_loaded_changed_shown_used_by_tasks_and_dropped() {
    let sandbox = single().await;
    let file = sandbox.dir().join("names.csv");
    std::fs::write(&file, "en,English\nde,German\n").expect("written");
    let database = sandbox.dir().join("codes.db");
    let store = ovate_store::MetadataStore::open_sqlite(&database).await.expect("a database");
    store.swap_config("one", None, b"1", None).await.expect("a row");
    store.close().await;
    let csv = json!({"format": "csv", "columns": ["k", "v"]});
    let config = json!({"__default": {
        "letters": {"version": "v1", "lookupExtractorFactory": {"type": "map", "map": {"en": "E", "de": "D"}}},
        "names": namespace("v1", &json!({"type": "uri", "uri": file, "namespaceParseSpec": csv, "pollPeriod": "PT1S"})),
        "configs": namespace("v1", &json!({"type": "jdbc", "connectorConfig": {"connectURI": format!("jdbc:sqlite:{}", database.display())},
            "table": "druid_config", "keyColumn": "name", "valueColumn": "payload", "pollPeriod": "PT1H"})),
    }});
    sandbox.post("router", "/druid/coordinator/v1/lookups/config", &json!({})).await.expect("initialised");
    sandbox.post("router", "/druid/coordinator/v1/lookups/config", &config).await.expect("taken");
    let all = "SELECT LOOKUP('en', 'letters'), LOOKUP('de', 'names'), LOOKUP('one', 'configs')";
    until("three lookups", &json!([["E", "German", "1"]]), async || sql(&sandbox, all).await).await;
    // Both servers of the tier have them.
    let loaded = json!({"letters": {"loaded": true}, "names": {"loaded": true}, "configs": {"loaded": true}});
    let status = "/druid/coordinator/v1/lookups/status/__default";
    until("status", &loaded, async || sandbox.get("router", status).await.unwrap_or_default()).await;
    let one = sandbox.get("router", &format!("{status}/names?detailed=true")).await.expect("a status");
    assert_eq!(one, json!({"loaded": true, "pendingNodes": []}));
    let nodes = sandbox.get("router", "/druid/coordinator/v1/lookups/nodeStatus/__default?detailed=false").await.expect("nodes");
    assert_eq!(nodes.as_object().map(serde_json::Map::len), Some(2), "{nodes}");
    let versions = json!({"letters": "v1", "names": "v1", "configs": "v1"});
    assert!(nodes.as_object().expect("nodes").values().all(|node| node["current"] == versions), "{nodes}");
    let inside = sandbox.get("broker", "/druid/v1/lookups/introspect/names").await.expect("contents");
    assert_eq!(inside, json!({"en": "English", "de": "German"}));
    assert_eq!(sandbox.get("historical", "/druid/v1/lookups/introspect/letters/version").await, Ok(json!({"version": "v1"})));

    // A task's expressions see them.
    let mut task = inline("t", &rows(30, 1), false);
    task["spec"]["dataSchema"]["transformSpec"] =
        json!({"transforms": [{"type": "expression", "name": "page", "expression": "lookup(lang, 'names')"}]});
    let id = sandbox.submit(&task).await.expect("a task id");
    let ended = sandbox.wait_task(&id, MINUTE).await;
    assert_eq!(ended["statusCode"], "SUCCESS", "{ended}");
    sandbox.wait_count("t", 30, MINUTE).await;
    let grouped = sql(&sandbox, "SELECT page, COUNT(*) FROM t GROUP BY page ORDER BY 2, 1").await;
    assert_eq!(grouped, json!([[null, 10], ["English", 10], ["German", 10]]));

    // A changed file is read again, an older version is refused, a newer one replaces.
    std::fs::write(&file, "de,Deutsch\n").expect("written");
    until("the changed file", &json!([["Deutsch", null]]), async || {
        sql(&sandbox, "SELECT LOOKUP('de', 'names'), LOOKUP('en', 'names')").await
    })
    .await;
    let path = "/druid/coordinator/v1/lookups/config/__default/letters";
    let map = |version: &str| json!({"version": version, "lookupExtractorFactory": {"type": "map", "map": {"en": "e"}}});
    assert!(sandbox.post("router", path, &map("v0")).await.is_err());
    sandbox.post("router", path, &map("v2")).await.expect("taken");
    until("the new version", &json!([["e"]]), async || sql(&sandbox, "SELECT LOOKUP('en', 'letters')").await).await;

    // One of a kind that there is not is listed as not loaded, and does not hold up the others.
    let kafka = json!({"version": "v1", "lookupExtractorFactory": {"type": "kafka", "kafkaTopic": "x"}});
    sandbox.post("router", "/druid/coordinator/v1/lookups/config/__default/topics", &kafka).await.expect("taken");
    let topics = async || sandbox.get("router", &format!("{status}/topics")).await.unwrap_or_default();
    until("not loaded", &json!({"loaded": false}), topics).await;
    let gone = reqwest::Client::new().delete(format!("{}/druid/coordinator/v1/lookups/config/__default", sandbox.url("router")));
    assert!(gone.send().await.expect("an answer").status().is_success());
    let left = "SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'lookup'";
    until("none left", &json!([]), async || sql(&sandbox, left).await).await;
}
