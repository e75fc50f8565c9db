//! Deep storage and task logs against real servers of every kind, under one contract.

mod contract;

use contract::{check_logs, check_segments, sources};
use ovate_base::Properties;
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
async fn s3_takes_every_kind_of_encryption() {
    let service = match services::s3().await {
        Ok(service) => service,
        Err(reason) => return skip("s3_takes_every_kind_of_encryption", &reason),
    };
    // Keys of ours (`custom`) are only sent over TLS, which this server does not have.
    for (kind, more) in [("s3", None), ("kms", None), ("kms", Some("druid.storage.sse.kms.keyId"))] {
        let mut properties = with(&service, &[("druid.storage.sse.type", kind)]);
        if let Some(name) = more {
            properties.set(name, "1234abcd-12ab-34cd-56ef-1234567890ab");
        }
        contract::check_small(&properties, service.dir()).await;
    }
}

fn with(service: &Service, more: &[(&str, &str)]) -> Properties {
    let own = service.properties.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    own.chain(more.iter().copied()).collect()
}

/// The contract; then paths of the default file system, which is a name service whose first name node is away.
#[tokio::test(flavor = "multi_thread")]
async fn hdfs_keeps_the_contract() {
    let service = match services::hdfs().await {
        Ok(service) => service,
        Err(reason) => return skip("hdfs_keeps_the_contract", &reason),
    };
    check_segments(&service).await;
    check_logs(&service).await;
    let alive = service.url.strip_prefix("hdfs://").expect("an address");
    let values = [
        ("dfs.nameservices", "ns"),
        ("dfs.ha.namenodes.ns", "a,b"),
        ("dfs.namenode.rpc-address.ns.a", "localhost:9"),
        ("dfs.namenode.rpc-address.ns.b", alive),
        ("dfs.client.failover.proxy.provider.ns", "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider"),
    ];
    let site = |values: &[(&str, &str)]| {
        let property = |(name, value): &(&str, &str)| format!("<property><name>{name}</name><value>{value}</value></property>");
        format!("<configuration>{}</configuration>", values.iter().map(property).collect::<String>())
    };
    let conf = service.dir().join("conf");
    std::fs::write(conf.join("core-site.xml"), site(&[("fs.defaultFS", "hdfs://ns")])).expect("a file");
    std::fs::write(conf.join("hdfs-site.xml"), site(&values)).expect("a file");
    contract::check_small(&with(&service, &[("druid.storage.storageDirectory", "/by/default")]), service.dir()).await;
    contract::check_small(&with(&service, &[("druid.storage.storageDirectory", "hdfs://ns/by/name")]), service.dir()).await;
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
