//! A store and deep storage that a JVM Druid filled are taken over as they are: every recorded question gets Druid's answer,
//! every document is there, and merely starting changes nothing.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ovate_testkit::services::{Database, DatabaseKind};
use ovate_testkit::{Sandbox, SandboxSettings, shared_dir, skip};
use serde_json::{Value, json};

/// Segments of the store that no other hides; 49 are used.
const VISIBLE: i64 = 33;
/// Where Druid had its files.
const RECORDED: &str = "/var/ovate-takeover";
const TABLES: [&str; 11] = [
    "audit",
    "config",
    "dataSource",
    "indexingStates",
    "pendingSegments",
    "rules",
    "segments",
    "supervisors",
    "tasklocks",
    "tasks",
    "upgradeSegments",
];

pub fn fixture() -> Option<PathBuf> {
    shared_dir().map(|dir| dir.join("fixtures/druid/takeover")).filter(|dir| dir.join("answers.jsonl").is_file())
}

/// Unpacks Druid's deep storage into `dir`.
pub fn unpack(fixture: &Path, dir: &Path) {
    let status = std::process::Command::new("tar")
        .arg("-xzf")
        .arg(fixture.join("deep-storage.tar.gz"))
        .arg("-C")
        .arg(dir)
        .status()
        .expect("tar runs");
    assert!(status.success());
}

/// The PostgreSQL dump with every path below `dir`; payloads are hexadecimal.
fn moved_dump(fixture: &Path, dir: &Path) -> PathBuf {
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let dump = std::fs::read_to_string(fixture.join("postgresql/metadata.sql")).expect("the dump");
    let file = dir.join("metadata.sql");
    std::fs::write(&file, dump.replace(&hex(RECORDED), &hex(&dir.display().to_string()))).expect("written");
    file
}

/// All roles over a database and the unpacked files.
pub async fn start_over(database: &Database, dir: &Path) -> Sandbox {
    let mut settings = SandboxSettings::single(crate::binary::ovate());
    settings.properties = database.properties();
    settings.properties.push(("druid.storage.storageDirectory".to_owned(), dir.join("segments").display().to_string()));
    settings.properties.push(("druid.indexer.logs.directory".to_owned(), dir.join("indexing-logs").display().to_string()));
    settings.properties.push(("druid.indexer.storage.recentlyFinishedThreshold".to_owned(), "P3650D".to_owned()));
    Sandbox::start(settings).await
}

/// Waits until every segment is served that no other hides: Druid does not load those anew either.
pub async fn wait_loaded(sandbox: &Sandbox, count: i64) {
    let end = Instant::now() + Duration::from_secs(60);
    let mut seen = None;
    while Instant::now() < end {
        let rows = sandbox.sql("SELECT COUNT(*) FROM sys.segments WHERE is_available = 1").await;
        seen = Some(rows.clone());
        if rows.is_ok_and(|rows| rows[0][0].as_i64() == Some(count)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not all segments are served: {seen:?}\n{}", sandbox.log(0));
}

/// Asks every recorded question; gives those whose answer differs.
pub async fn differences(sandbox: &Sandbox, fixture: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(fixture.join("answers.jsonl")).expect("answers");
    let mut wrong = Vec::new();
    for line in text.lines() {
        let recorded: Value = serde_json::from_str(line).expect("a record");
        let name = recorded["name"].as_str().expect("a name");
        let path = if recorded["kind"] == "sql" { "/druid/v2/sql" } else { "/druid/v2" };
        let answer = sandbox.post("router", path, &recorded["request"]).await;
        let answer = match (recorded["status"].as_i64(), answer) {
            (Some(200), Ok(answer)) => answer,
            (Some(400), Err(error)) => error,
            (status, answer) => {
                wrong.push(format!("{name}: status {status:?} was recorded, now {answer:?}"));
                continue;
            }
        };
        let (ours, druids) = (comparable(name, answer), comparable(name, recorded["answer"].clone()));
        if let Some(difference) = first_difference(&ours, &druids, "") {
            wrong.push(format!("{name}: {} {difference}", recorded["request"]));
        }
    }
    wrong
}

/// What depends on the machine is left out: names and ports of servers; and the Indexer is a MiddleManager with us.
fn comparable(name: &str, answer: Value) -> Value {
    let rows = || answer.as_array().cloned().unwrap_or_default();
    let columns = |from: usize| -> Value {
        let mut rows: Vec<Value> = rows().iter().skip(3).map(|row| json!(row.as_array().map(|row| &row[from..]))).collect();
        rows.sort_by_key(Value::to_string);
        json!(rows)
    };
    match name {
        "sys-servers" => {
            // Druid ran an Indexer, we run a MiddleManager.
            let others = |row: &&Value| row[0] != "indexer" && row[0] != "middle_manager";
            columns(4).as_array().into_iter().flatten().filter(others).cloned().collect()
        }
        "sys-server-segments" => Value::Null,
        // Hidden segments were still on Druid's Historical; they are not loaded anew.
        "sys-segments" => {
            let mut rows = rows();
            for row in rows.iter_mut().skip(3) {
                // 39's cache drops what compaction left in a payload.
                row[17] = Value::Null;
                if row[13] == 1 {
                    [7, 8, 11].into_iter().for_each(|column| row[column] = Value::Null);
                }
            }
            json!(rows)
        }
        // A position's end is not in the error.
        "dropped" => json!([answer["error"], answer["errorCode"], answer["category"], answer["errorMessage"]]),
        // Paths come in the order of Java's hashes.
        "events-json-paths" => {
            let mut rows = rows();
            for row in rows.iter_mut().skip(3) {
                let mut paths: Vec<String> = row[0].as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
                paths.sort();
                row[0] = json!(paths);
            }
            json!(rows)
        }
        // The lookup says `isOneToOne`; Druid then groups by the key and leaves groups apart whose value is one.
        "events-lookup" | "events-lookup-default" => {
            merged(rows().into_iter().skip(3).map(|row| (row[0].clone(), row[1].clone())))
        }
        "groupby-extraction" => merged(rows().into_iter().map(|row| (row["event"]["n"].clone(), row["event"]["c"].clone()))),
        // An ordered scan comes in batches of one row from Druid, in one batch from us.
        "scan" => rows().iter().flat_map(|batch| batch["events"].as_array().cloned().unwrap_or_default()).collect(),
        // A suspended stream that cannot be reached has no state worth comparing.
        "sys-supervisors" => {
            let mut rows = rows();
            for row in rows.iter_mut().filter(|row| row[0] == "tk_stream") {
                [1, 2].into_iter().for_each(|column| row[column] = Value::Null);
            }
            json!(rows)
        }
        _ => answer,
    }
}

/// Sums by key, in the order of the keys.
fn merged(rows: impl Iterator<Item = (Value, Value)>) -> Value {
    let mut sums = std::collections::BTreeMap::new();
    rows.for_each(|(key, count)| *sums.entry(key.to_string()).or_insert(0) += count.as_i64().unwrap_or(0));
    json!(sums)
}

/// Equal, floating-point numbers to 1e-9.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => match (x.as_f64(), y.as_f64()) {
            (Some(x), Some(y)) => x == y || (x - y).abs() <= 1e-9 * x.abs().max(y.abs()),
            _ => x == y,
        },
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(name, x)| y.get(name).is_some_and(|y| same(x, y)))
        }
        _ => a == b,
    }
}

/// Where two answers differ first, and how.
fn first_difference(ours: &Value, druids: &Value, path: &str) -> Option<String> {
    let inside = |name: String, x: &Value, y: &Value| first_difference(x, y, &format!("{path}/{name}"));
    match (ours, druids) {
        _ if same(ours, druids) => None,
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            x.iter().zip(y).enumerate().find_map(|(at, (x, y))| inside(at.to_string(), x, y))
        }
        (Value::Object(x), Value::Object(y)) if x.len() == y.len() && x.keys().all(|name| y.contains_key(name)) => {
            x.iter().find_map(|(name, x)| inside(name.clone(), x, &y[name]))
        }
        _ => {
            let cut = |value: &Value| value.to_string().chars().take(1500).collect::<String>();
            Some(format!("at {path}\n  Druid: {}\n  ours:  {}", cut(druids), cut(ours)))
        }
    }
}

/// A digest of each of Druid's tables.
fn digests(database: &Database) -> Vec<(String, String)> {
    let digest = |table: &&str| {
        let sql = format!("SELECT COUNT(*), MD5(STRING_AGG(t::text, '|' ORDER BY t::text)) FROM druid_{table} t");
        ((*table).to_owned(), database.run(&sql).expect("a digest").trim().to_owned())
    };
    TABLES.iter().map(digest).collect()
}

#[tokio::test]
async fn what_a_jvm_druid_left_behind_is_answered_as_it_answered() {
    const NAME: &str = "what_a_jvm_druid_left_behind_is_answered_as_it_answered";
    let Some(fixture) = fixture() else { return skip(NAME, "../shared is absent") };
    let database = match Database::postgres() {
        Ok(database) => database,
        Err(reason) => return skip(NAME, &reason),
    };
    let dir = tempfile::tempdir().expect("a directory");
    unpack(&fixture, dir.path());
    database.load(&moved_dump(&fixture, dir.path())).expect("the dump loads");
    let before = digests(&database);
    let sandbox = start_over(&database, dir.path()).await;
    wait_loaded(&sandbox, VISIBLE).await;
    let wrong = differences(&sandbox, &fixture).await;
    assert!(wrong.is_empty(), "{} of 60 answers differ:\n{}", wrong.len(), wrong.join("\n"));
    documents_are_there(&sandbox, &database).await;
    assert_eq!(digests(&database), before, "merely starting changes nothing");
    drop(sandbox);
    the_same_from_mariadb(&fixture, dir.path(), &database).await;
}

/// The store moves on to MariaDB by our tools, and everything is answered again.
async fn the_same_from_mariadb(fixture: &Path, dir: &Path, database: &Database) {
    let mariadb = match Database::mariadb() {
        Ok(mariadb) => mariadb,
        Err(reason) => return skip("the same from MariaDB", &reason),
    };
    let csv = dir.join("csv").display().to_string();
    for (tool, folder, at) in [("export-metadata", "-o", database), ("import-metadata", "-i", &mariadb)] {
        let mut command = std::process::Command::new(crate::binary::ovate());
        command.args(["tools", tool, "--connectURI", &at.uri(), "--user", "druid", "--password", "diurd", folder, &csv]);
        command.args(if tool == "export-metadata" { &["--with-history"][..] } else { &[] });
        let output = command.output().expect("the tool runs");
        assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let sandbox = start_over(&mariadb, dir).await;
    wait_loaded(&sandbox, VISIBLE).await;
    let wrong = differences(&sandbox, fixture).await;
    assert!(wrong.is_empty(), "{} of 60 answers differ:\n{}", wrong.len(), wrong.join("\n"));
    documents_are_there(&sandbox, &mariadb).await;
}

/// The MariaDB dump holds the same documents, and users of druid-basic-security; its segments were not kept.
#[tokio::test]
async fn the_documents_of_a_jvm_druids_mariadb_are_there() {
    const NAME: &str = "the_documents_of_a_jvm_druids_mariadb_are_there";
    let Some(fixture) = fixture() else { return skip(NAME, "../shared is absent") };
    let database = match Database::mariadb() {
        Ok(database) => database,
        Err(reason) => return skip(NAME, &reason),
    };
    let dir = tempfile::tempdir().expect("a directory");
    database.load(&fixture.join("mysql/metadata.sql")).expect("the dump loads");
    unpack(&fixture, dir.path());
    let sandbox = start_over(&database, dir.path()).await;
    documents_are_there(&sandbox, &database).await;
}

/// Rules, configurations, lookups, supervisors, tasks and audit entries, as the leaders' interfaces give them.
async fn documents_are_there(sandbox: &Sandbox, database: &Database) {
    let get = async |role: &str, path: &str| sandbox.get(role, path).await.unwrap_or_else(|error| panic!("{path}: {error}"));
    let payload = |sql: &str| -> Value {
        let text = match database.kind() {
            DatabaseKind::Postgres => "convert_from(payload, 'UTF8')",
            DatabaseKind::Mariadb => "CONVERT(payload USING utf8mb4)",
        };
        let text = database.run(&format!("SELECT {text} FROM {sql}")).expect("a payload");
        serde_json::from_str(text.trim()).expect("JSON")
    };
    let rules = get("coordinator", "/druid/coordinator/v1/rules").await;
    for name in ["_default", "tk_rollup", "tk_sparse"] {
        assert_eq!(
            rules[name],
            payload(&format!("druid_rules WHERE datasource = '{name}' ORDER BY version DESC LIMIT 1")),
            "{name}"
        );
    }
    let history = get("coordinator", "/druid/coordinator/v1/rules/tk_sparse/history?count=10").await;
    assert_eq!(history.as_array().map(Vec::len), Some(2), "{history}");
    let config = get("coordinator", "/druid/coordinator/v1/config").await;
    let stored = payload("druid_config WHERE name = 'coordinator.config'");
    for (name, value) in stored.as_object().expect("an object") {
        assert_eq!(config[name], *value, "{name} of the coordinator's configuration");
    }
    let lookups = get("coordinator", "/druid/coordinator/v1/lookups/config/__default").await;
    assert_eq!(lookups, json!(["tk_country"]));
    let worker = get("overlord", "/druid/indexer/v1/worker").await;
    assert_eq!(worker, payload("druid_config WHERE name = 'worker.config'"));
    let supervisors = get("overlord", "/druid/indexer/v1/supervisor").await;
    assert_eq!(supervisors.as_array().map(Vec::len), Some(3), "{supervisors}");
    let stream = get("overlord", "/druid/indexer/v1/supervisor/tk_stream").await;
    assert_eq!(stream, payload("druid_supervisors WHERE spec_id = 'tk_stream' ORDER BY id DESC LIMIT 1"));
    let versions = get("overlord", "/druid/indexer/v1/supervisor/history").await;
    let count: usize = versions.as_object().into_iter().flatten().map(|(_, list)| list.as_array().map_or(0, Vec::len)).sum();
    assert_eq!(count.to_string(), database.run("SELECT COUNT(*) FROM druid_supervisors").expect("a count").trim());
    let tasks = get("overlord", "/druid/indexer/v1/tasks?state=complete&createdTimeInterval=2026-01-01/2027-01-01").await;
    let stored = database.run("SELECT COUNT(*) FROM druid_tasks").expect("a count");
    assert_eq!(tasks.as_array().map_or(0, Vec::len).to_string(), stored.trim());
    let report = get("overlord", "/druid/indexer/v1/task/tk_events_1/reports").await;
    assert_eq!(report["ingestionStatsAndErrors"]["payload"]["ingestionState"], "COMPLETED", "{report}");
    let audit = get("coordinator", "/druid/coordinator/v1/config/history?count=100").await;
    assert!(
        audit.as_array().is_some_and(|entries| entries.iter().any(|entry| entry["auditInfo"]["author"] == "takeover")),
        "{audit}"
    );
}
