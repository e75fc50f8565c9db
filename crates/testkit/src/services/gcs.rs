//! A server of Google Cloud Storage's XML interface, which our client speaks: the S3 server, whose requests are the same
//! but for signatures. `fake-gcs-server` knows no uploads of that interface, in one request or in parts.

use std::fs;

use serde_json::json;

use super::{Service, pairs, s3};

/// Starts the server with the bucket `deep`. `account.json` in its directory is for `GOOGLE_APPLICATION_CREDENTIALS`.
pub async fn gcs() -> Result<Service, String> {
    let mut service = s3().await?;
    let account = json!({"type": "service_account", "gcs_base_url": service.url, "disable_oauth": true,
        "client_email": "", "private_key": "", "private_key_id": ""});
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
