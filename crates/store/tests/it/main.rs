//! Deep storage and task logs against real servers of every kind, under one contract.

mod contract;

use contract::{check_logs, check_segments, sources};
use ovate_testkit::services::{self, Service};
use ovate_testkit::skip;

/// The whole contract on one server; a server that is not there is a test that says so.
async fn check(test: &str, service: Result<Service, String>) {
    match service {
        Ok(service) => {
            check_segments(&service).await;
            check_logs(&service).await;
        }
        Err(reason) => skip(test, &reason),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_keeps_the_contract() {
    check("s3_keeps_the_contract", services::s3().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_keeps_files_that_are_not_zipped() {
    match services::s3().await {
        Ok(mut service) => {
            service.properties.push(("druid.storage.zip".to_owned(), "false".to_owned()));
            check_segments(&service).await;
        }
        Err(reason) => skip("s3_keeps_files_that_are_not_zipped", &reason),
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_an_error_within_bounds() {
    let mut service_properties = vec![("druid.storage.type", "s3"), ("druid.storage.bucket", "deep")];
    service_properties.extend([
        ("druid.s3.accessKey", "a"),
        ("druid.s3.secretKey", "b"),
        ("druid.s3.endpoint.url", "http://127.0.0.1:9"),
    ]);
    let properties = service_properties.into_iter().collect();
    let dir = tempfile::tempdir().expect("a directory");
    let deep = sources(&properties, dir.path()).deep_storage().expect("settings are complete");
    let begin = std::time::Instant::now();
    let error = deep.pull(&contract::named("s3_zip", "deep", "a/b/c/index.zip"), dir.path()).await.expect_err("nobody listens");
    assert!(error.message.contains("s3://deep"), "{error}");
    assert!(begin.elapsed().as_secs() < 90);
}

#[tokio::test(flavor = "multi_thread")]
async fn hdfs_keeps_the_contract() {
    check("hdfs_keeps_the_contract", services::hdfs().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_keeps_the_contract() {
    check("azure_keeps_the_contract", services::azurite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn google_keeps_the_contract() {
    let service = services::gcs().await;
    if let Ok(service) = &service {
        // SAFETY: nothing else in this program writes the environment, and only this test opens Google's buckets.
        unsafe { std::env::set_var("GOOGLE_APPLICATION_CREDENTIALS", service.dir().join("account.json")) };
    }
    check("google_keeps_the_contract", service).await;
}
