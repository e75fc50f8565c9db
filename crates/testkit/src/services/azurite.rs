//! An Azure Blob server: Azurite from npm. Account and key are the emulator's well-known ones.

use std::path::Path;
use std::process::Command;

use super::{Service, free_port, installed, listens, pairs, start};

const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Starts the server; the container `deep` is made by whoever can sign a request for it (`AZURITE_CONTAINER_SAS`).
pub async fn azurite() -> Result<Service, String> {
    let program = installed("azurite/node_modules/.bin/azurite-blob")?;
    let port = free_port();
    let command = |dir: &Path| {
        let mut command = Command::new(&program);
        command.args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string(), "--location"]).arg(dir);
        command.args(["--skipApiVersionCheck", "--disableTelemetry", "--loose", "--silent"]);
        command
    };
    let mut service = start(command, |_| listens(port).then(|| format!("http://127.0.0.1:{port}/{ACCOUNT}")))?;
    service.properties = pairs([
        ("druid.storage.type", "azure".to_owned()),
        ("druid.azure.account", ACCOUNT.to_owned()),
        ("druid.azure.key", KEY.to_owned()),
        ("druid.azure.container", "deep".to_owned()),
        ("druid.azure.prefix", "druid/segments".to_owned()),
        ("druid.ovate.azure.endpoint", service.url.clone()),
        ("druid.indexer.logs.type", "azure".to_owned()),
        ("druid.indexer.logs.container", "deep".to_owned()),
        ("druid.indexer.logs.prefix", "druid/logs".to_owned()),
    ]);
    Ok(service)
}
