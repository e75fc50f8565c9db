//! An Azure Blob server: Azurite from npm. Account and key are the emulator's well-known ones.

use std::path::Path;
use std::process::Command;

use super::{Service, free_port, installed, listens, pairs, start};

const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Makes the container, by a request that is signed with the key; Azurite comes with node, which can sign.
const MAKE_CONTAINER: &str = r#"
const [port, account, key] = process.argv.slice(1), date = new Date().toUTCString(), version = "2021-08-06";
const text = `PUT${"\n".repeat(12)}x-ms-date:${date}\nx-ms-version:${version}\n/${account}/${account}/deep\nrestype:container`;
const signature = require("crypto").createHmac("sha256", Buffer.from(key, "base64")).update(text).digest("base64");
const headers = {"x-ms-date": date, "x-ms-version": version, authorization: `SharedKey ${account}:${signature}`, "content-length": 0};
const options = {host: "127.0.0.1", port, method: "PUT", path: `/${account}/deep?restype=container`, headers};
require("http").request(options, answer => process.exit(answer.statusCode === 201 ? 0 : answer.statusCode)).end();
"#;

/// Starts the server with the container `deep`.
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
    let port = port.to_string();
    let made = Command::new("node").args(["-e", MAKE_CONTAINER, &port, ACCOUNT, KEY]).status().map_err(|e| e.to_string())?;
    if !made.success() {
        return Err(format!("cannot make a container: {made}"));
    }
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
