//! A Google Cloud Storage server: `fake-gcs-server`, a Go module.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::{Service, free_port, installed, listens, pairs, start};

/// Starts the server with the bucket `deep`. `account.json` in its directory is for `GOOGLE_APPLICATION_CREDENTIALS`.
pub async fn gcs() -> Result<Service, String> {
    let program = installed("gcs/fake-gcs-server")?;
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let command = |_: &Path| {
        let mut command = Command::new(&program);
        command.args(["-scheme", "http", "-host", "127.0.0.1", "-port", &port.to_string(), "-backend", "memory"]);
        command.args(["-public-host", &format!("127.0.0.1:{port}"), "-external-url", &url, "-log-level", "error"]);
        command
    };
    let mut service = start(command, |_| listens(port).then(|| url.clone()))?;
    let bucket = reqwest::Client::new().post(format!("{url}/storage/v1/b?project=p")).json(&json!({"name": "deep"})).send();
    let made = bucket.await.map_err(|e| e.to_string())?;
    if !made.status().is_success() {
        return Err(format!("cannot make a bucket: {}", made.status()));
    }
    let account = json!({"gcs_base_url": url, "disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""});
    fs::write(service.dir().join("account.json"), account.to_string()).map_err(|e| e.to_string())?;
    service.properties = pairs([
        ("druid.storage.type", "google".to_owned()),
        ("druid.google.bucket", "deep".to_owned()),
        ("druid.google.prefix", "druid/segments".to_owned()),
        ("druid.indexer.logs.type", "google".to_owned()),
        ("druid.indexer.logs.bucket", "deep".to_owned()),
        ("druid.indexer.logs.prefix", "druid/logs".to_owned()),
    ]);
    Ok(service)
}
