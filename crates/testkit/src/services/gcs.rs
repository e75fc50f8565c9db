//! A server of Google Cloud Storage's XML interface, which our client speaks: the S3 server, whose requests are the same
//! but for signatures. `fake-gcs-server` knows no uploads of that interface, in one request or in parts.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::{Service, free_port, installed, listens, make_bucket, pairs, start};

/// The S3 server, with a signature (which it does not verify) in place of Bearer tokens.
const SIGNED: &str = "
import sys
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
app = DomainDispatcherApplication(create_backend_app)
def signed(environ, answer):
    environ['HTTP_AUTHORIZATION'] = 'AWS4-HMAC-SHA256 Credential=t/20240101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0'
    return app(environ, answer)
run_simple('127.0.0.1', int(sys.argv[1]), signed, threaded=True)
";

/// Starts the server with the bucket `deep`. `account.json` in its directory is for `GOOGLE_APPLICATION_CREDENTIALS`.
pub async fn gcs() -> Result<Service, String> {
    let python = installed("moto/bin/python")?;
    let port = free_port();
    let command = |_: &Path| {
        let mut command = Command::new(&python);
        command.args(["-c", SIGNED, &port.to_string()]);
        command
    };
    let mut service = start(command, |_| listens(port).then(|| format!("http://127.0.0.1:{port}")))?;
    make_bucket(&service.url).await?;
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
