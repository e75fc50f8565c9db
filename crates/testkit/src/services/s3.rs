//! An S3 server: `moto` from PyPI, in a virtual environment.

use std::process::Command;

use super::{Service, free_port, installed, listens, make_bucket, pairs, start};

/// Starts the server with the bucket `deep`.
pub async fn s3() -> Result<Service, String> {
    let program = installed("moto/bin/moto_server")?;
    let port = free_port();
    let command = |_: &std::path::Path| {
        let mut command = Command::new(&program);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        command
    };
    let mut service = start(command, |_| listens(port).then(|| format!("http://127.0.0.1:{port}")))?;
    make_bucket(&service.url).await?;
    service.properties = pairs([
        ("druid.storage.type", "s3".to_owned()),
        ("druid.storage.bucket", "deep".to_owned()),
        ("druid.storage.baseKey", "druid/segments".to_owned()),
        ("druid.s3.accessKey", "test".to_owned()),
        ("druid.s3.secretKey", "secret".to_owned()),
        ("druid.s3.endpoint.url", service.url.clone()),
        ("druid.s3.endpoint.signingRegion", "us-east-1".to_owned()),
        ("druid.s3.enablePathStyleAccess", "true".to_owned()),
        ("druid.indexer.logs.type", "s3".to_owned()),
        ("druid.indexer.logs.s3Bucket", "deep".to_owned()),
        ("druid.indexer.logs.s3Prefix", "druid/logs".to_owned()),
    ]);
    Ok(service)
}
