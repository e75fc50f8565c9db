//! A cluster whose segments and task logs are on another server's storage: it ingests, loses its cache, starts again and
//! answers; nothing of a segment is below its own directory but the cache.

use std::time::Duration;

use ovate_base::Properties;
use ovate_store::deep::StorageSources;
use ovate_store::deep::services::ServiceKind;
use ovate_testkit::services::{self, Service};
use ovate_testkit::{Sandbox, SandboxSettings, skip};

use serde_json::{Value, json};

use crate::tasks::{inline, rows};

const MINUTE: Duration = Duration::from_secs(60);

/// Two files of rows, one that no pattern takes, and an empty one, on the server itself.
async fn put_files(service: &Service, kind: ServiceKind, bucket: &str, folder: &str) {
    let properties: Properties = service.properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let sources = StorageSources { properties: &properties, base_dir: service.dir(), conf_dirs: Vec::new() };
    let blobs = sources.services().bucket(kind, bucket).expect("a bucket");
    let lines = |rows: &[Value]| rows.iter().map(|row| format!("{row}\n")).collect::<String>();
    let all = rows(1000, 4);
    for (name, text) in [
        ("a 1.json", lines(&all[..400])),
        ("sub/b.json", lines(&all[400..])),
        ("c.txt", "no rows".to_owned()),
        ("empty.json", String::new()),
    ] {
        blobs.put(&format!("{folder}/{name}"), text.into()).await.expect("a file");
    }
}

/// Reads the files by a source and counts.
async fn check_source(sandbox: &Sandbox, table: &str, source: Value) {
    let mut task = inline(table, &[], false);
    task["spec"]["ioConfig"]["inputSource"] = source;
    let id = sandbox.submit(&task).await.expect("a task id");
    let status = sandbox.wait_task(&id, MINUTE).await;
    assert_eq!(status["statusCode"], "SUCCESS", "{status} {}", sandbox.log(0));
    assert_eq!(sandbox.wait_count(table, 1000, MINUTE).await, Some(1000));
}

async fn check(service: &Service, kind: ServiceKind) {
    let mut settings = SandboxSettings::single(crate::binary::ovate());
    settings.properties = service.properties.clone();
    let mut sandbox = Sandbox::start(settings).await;
    let id = sandbox.submit(&inline("t", &rows(1000, 4), false)).await.expect("a task id");
    let status = sandbox.wait_task(&id, MINUTE).await;
    assert_eq!(status["statusCode"], "SUCCESS", "{status} {}", sandbox.log(0));
    assert_eq!(sandbox.wait_count("t", 1000, MINUTE).await, Some(1000));
    let log = sandbox.get("router", &format!("/druid/indexer/v1/task/{id}/log")).await.expect("a log");
    assert!(!log.to_string().is_empty(), "{log}");
    let source = match kind {
        ServiceKind::Hdfs => {
            put_files(service, kind, &service.url, "/in").await;
            json!({"type": "hdfs", "paths": [format!("{}/in/{{*,sub/*}}.json", service.url)]})
        }
        _ => {
            put_files(service, kind, "deep", "in").await;
            json!({"type": "s3", "prefixes": ["s3://deep/in/"], "objectGlob": "**.json"})
        }
    };
    check_source(&sandbox, "from_files", source).await;
    sandbox.kill(0);
    let var = sandbox.dir().join("var/druid");
    assert!(!var.join("segments/t").exists() && !var.join("indexing-logs").exists());
    std::fs::remove_dir_all(var.join("segment-cache")).expect("there was a cache");
    sandbox.spawn(0);
    sandbox.wait_ready(MINUTE).await;
    assert_eq!(sandbox.wait_count("t", 1000, MINUTE).await, Some(1000));
    let report = sandbox.get("router", &format!("/druid/indexer/v1/task/{id}/reports")).await.expect("a report");
    assert!(report.is_object(), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_on_s3_come_back_to_an_empty_cache() {
    match services::s3().await {
        Ok(service) => check(&service, ServiceKind::S3).await,
        Err(reason) => skip("segments_on_s3_come_back_to_an_empty_cache", &reason),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_on_hdfs_come_back_to_an_empty_cache() {
    match services::hdfs().await {
        Ok(service) => check(&service, ServiceKind::Hdfs).await,
        Err(reason) => skip("segments_on_hdfs_come_back_to_an_empty_cache", &reason),
    }
}
