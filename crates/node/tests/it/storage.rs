//! A cluster whose segments and task logs are on another server's storage: it ingests, loses its cache, starts again and
//! answers; nothing of a segment is below its own directory but the cache.

use std::time::Duration;

use ovate_testkit::services::{self, Service};
use ovate_testkit::{Sandbox, SandboxSettings, skip};

use crate::tasks::{inline, rows};

const MINUTE: Duration = Duration::from_secs(60);

async fn check(service: &Service) {
    let mut settings = SandboxSettings::single(env!("CARGO_BIN_EXE_ovate"));
    settings.properties = service.properties.clone();
    let mut sandbox = Sandbox::start(settings).await;
    let id = sandbox.submit(&inline("t", &rows(1000, 4), false)).await.expect("a task id");
    let status = sandbox.wait_task(&id, MINUTE).await;
    assert_eq!(status["statusCode"], "SUCCESS", "{status} {}", sandbox.log(0));
    assert_eq!(sandbox.wait_count("t", 1000, MINUTE).await, Some(1000));
    let log = sandbox.get("router", &format!("/druid/indexer/v1/task/{id}/log")).await.expect("a log");
    assert!(!log.to_string().is_empty(), "{log}");
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
        Ok(service) => check(&service).await,
        Err(reason) => skip("segments_on_s3_come_back_to_an_empty_cache", &reason),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_on_hdfs_come_back_to_an_empty_cache() {
    match services::hdfs().await {
        Ok(service) => check(&service).await,
        Err(reason) => skip("segments_on_hdfs_come_back_to_an_empty_cache", &reason),
    }
}
