//! From a single server to a cluster as on Druid's pages: metadata is exported from SQLite, imported into PostgreSQL and
//! MariaDB, segments move to another folder, and the same questions get the same answers. The other tools beside.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ovate_testkit::services::{Database, DatabaseKind};
use ovate_testkit::{Sandbox, SandboxSettings, skip};
use serde_json::{Value, json};

use crate::tasks::{inline, rows, single};

const MINUTE: Duration = Duration::from_secs(60);
const QUESTION: &str = "SELECT lang, page, COUNT(*), SUM(added) FROM t GROUP BY 1, 2 ORDER BY 1, 2";

/// Runs `ovate tools …`; what it printed, and whether it went well.
fn tool(arguments: &[&str]) -> (String, bool) {
    let output = Command::new(crate::binary::ovate()).arg("tools").args(arguments).output().expect("the program runs");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (text, output.status.success())
}

fn done(arguments: &[&str]) -> String {
    let (text, well) = tool(arguments);
    assert!(well, "{arguments:?}: {text}");
    text
}

/// A single server that has loaded something; it is down when this returns.
async fn loaded() -> (Sandbox, Vec<Vec<Value>>) {
    let mut sandbox = single().await;
    let id = sandbox.submit(&inline("t", &rows(400, 4), false)).await.expect("a task id");
    assert_eq!(sandbox.wait_task(&id, MINUTE).await["statusCode"], "SUCCESS");
    assert_eq!(sandbox.wait_count("t", 400, MINUTE).await, Some(400));
    let rules = json!([{"type": "loadForever", "tieredReplicants": {"_default_tier": 1}}]);
    sandbox.post("coordinator", "/druid/coordinator/v1/rules/t", &rules).await.expect("rules are set");
    let answer = sandbox.sql(QUESTION).await.expect("an answer");
    sandbox.kill(0);
    (sandbox, answer)
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-r").arg(from).arg(to).status().expect("cp runs");
    assert!(status.success());
}

#[tokio::test]
async fn a_single_server_becomes_a_cluster_and_answers_the_same() {
    let (sandbox, answer) = loaded().await;
    let work = tempfile::tempdir().expect("a directory");
    let path = |name: &str| work.path().join(name).display().to_string();
    let sqlite = format!("jdbc:sqlite:{}", sandbox.dir().join("var/druid/metadata/ovate.db").display());
    let (segments, csv) = (path("segments"), path("csv"));
    copy(&sandbox.dir().join("var/druid/segments"), Path::new(&segments));
    let text = done(&["export-metadata", "--connectURI", &sqlite, "-o", &csv, "--newLocalPath", &segments, "--with-history"]);
    assert!(text.contains("exported 4 rows of druid_segments"), "{text}");
    // The old place is gone: whatever is answered comes from the new one.
    std::fs::remove_dir_all(sandbox.dir().join("var/druid")).expect("deleted");
    for kind in [DatabaseKind::Postgres, DatabaseKind::Mariadb] {
        let database = match Database::start(kind) {
            Ok(database) => database,
            Err(reason) => {
                skip(&format!("a_single_server_becomes_a_cluster_and_answers_the_same ({kind:?})"), &reason);
                continue;
            }
        };
        let uri = database.uri();
        let store = ["--connectURI", uri.as_str(), "--user", "druid", "--password", "diurd"];
        done(&[&["metadata-init"], &store[..]].concat());
        let text = done(&[&["import-metadata", "-i", csv.as_str()], &store[..]].concat());
        assert!(text.contains("imported 4 rows into druid_segments, 0 were there"), "{text}");
        let text = done(&[&["import-metadata", "-i", csv.as_str()], &store[..]].concat());
        assert!(text.contains("imported 0 rows into druid_segments, 4 were there"), "{text}");
        done(&[&["metadata-update", "--action", "add-used-flag-last-updated-to-segments"], &store[..]].concat());

        let mut settings = SandboxSettings::spread(crate::binary::ovate());
        settings.properties = database.properties();
        settings.properties.push(("druid.storage.storageDirectory".to_owned(), segments.clone()));
        let cluster = Sandbox::start(settings).await;
        assert_eq!(cluster.wait_count("t", 400, MINUTE).await, Some(400), "{kind:?}: {}", cluster.log(0));
        assert_eq!(cluster.sql(QUESTION).await.expect("an answer"), answer, "{kind:?}");
        let rules = cluster.get("coordinator", "/druid/coordinator/v1/rules/t").await.expect("rules");
        assert_eq!(rules[0]["tieredReplicants"]["_default_tier"], 1, "{rules}");
        // A supervisor's or an audit entry's number goes on after the imported ones.
        let id = cluster.submit(&inline("t", &rows_of_one_more_day(), true)).await.expect("a task id");
        assert_eq!(cluster.wait_task(&id, MINUTE).await["statusCode"], "SUCCESS");
        let rules = json!([{"type": "loadForever", "tieredReplicants": {"_default_tier": 1}}]);
        cluster.post("coordinator", "/druid/coordinator/v1/rules/t", &rules).await.expect("an audit entry is added");
    }
}

fn rows_of_one_more_day() -> Vec<Value> {
    vec![json!({"time": "2024-02-01T00:00:00Z", "page": "p", "lang": "en", "added": 1})]
}

#[tokio::test]
async fn segments_are_dumped_compared_inserted_and_a_cluster_is_reset() {
    let (sandbox, _) = loaded().await;
    let base = sandbox.dir().display().to_string();
    let segments = sandbox.dir().join("var/druid/segments");
    let day = |day: u32| {
        let chunk = segments.join("t").join(format!("2024-01-{day:02}T00:00:00.000Z_2024-01-{:02}T00:00:00.000Z", day + 1));
        let version = std::fs::read_dir(chunk).expect("a chunk").next().expect("a version").expect("readable").path();
        version.join("0/index").display().to_string()
    };
    let (first, second) = (day(1), day(2));
    let dump = done(&["dump-segment", "-d", &first, "--time-iso8601", "--column", "__time", "--column", "added"]);
    assert_eq!(dump.lines().count(), 100, "{dump}");
    assert!(dump.lines().next().is_some_and(|line| line.starts_with("{\"__time\":\"2024-01-01T")), "{dump}");
    let filter = r#"{"type": "selector", "dimension": "lang", "value": "en"}"#;
    let filtered = done(&["dump-segment", "-d", &first, "--filter", filter]);
    assert!(filtered.lines().count() < 100 && filtered.lines().all(|line| line.contains("\"lang\":\"en\"")), "{filtered}");
    let metadata: Value = serde_json::from_str(&done(&["dump-segment", "-d", &first, "--dump", "metadata"])).expect("JSON");
    assert_eq!(metadata["numRows"], 100, "{metadata}");
    let bitmaps = done(&["dump-segment", "-d", &first, "--dump", "bitmaps", "--column", "lang"]);
    let bitmaps: Value = serde_json::from_str(&bitmaps).expect("JSON");
    assert_eq!(bitmaps["bitmaps"]["lang"].as_object().map(|values| values.len()), Some(3), "{bitmaps}");

    assert!(done(&["validate-segments", "-1", &first, "-2", &first]).contains("equal: 100 rows"));
    let (text, well) = tool(&["validate-segments", "-1", &first, "-2", &second]);
    assert!(!well && text.contains("row 0"), "{text}");

    let fresh = format!("jdbc:sqlite:{}", sandbox.dir().join("fresh.db").display());
    done(&["metadata-init", "--connectURI", &fresh]);
    let folder = segments.display().to_string();
    let inserted = done(&["insert-segment-to-db", "--connectURI", &fresh, "--workingDir", &folder]);
    assert!(inserted.contains("4 segments were missing, 0 are known"), "{inserted}");
    let again = done(&["insert-segment-to-db", "--connectURI", &fresh, "--workingDir", &folder]);
    assert!(again.contains("0 segments were missing, 4 are known"), "{again}");

    let (text, well) = tool(&["reset-cluster", "--base-dir", &base]);
    assert!(!well && text.contains("--all"), "{text}");
    let text = done(&["reset-cluster", "--all", "--base-dir", &base]);
    assert!(text.contains("deleted 4 rows of druid_segments"), "{text}");
    assert_eq!(std::fs::read_dir(&segments).expect("the folder stays").count(), 0);
}
