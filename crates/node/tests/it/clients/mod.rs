//! Clients that people have, unmodified, against a running server: each is a program beside this file that asserts what it
//! sees; here it is started and must say that all its parts passed. `bin/install-clients` brings the packages.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ovate_testkit::services::{client, run_client};
use ovate_testkit::{Sandbox, SandboxSettings, skip};
use serde_json::{Value, json};

const MINUTE: Duration = Duration::from_secs(60);

/// A server with the table `t`: 1000 rows over three days, `added` counts from 0, `score` is half of it, `tags` has two values.
async fn server(properties: &[(&str, String)]) -> Sandbox {
    let mut settings = SandboxSettings::single(crate::binary::ovate());
    settings.properties = properties.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let sandbox = Sandbox::start(settings).await;
    let row = |(i, mut row): (usize, Value)| {
        row["score"] = json!(i as f64 / 2.0);
        row["tags"] = json!(["x", "y"]);
        row.to_string()
    };
    let data: Vec<String> = crate::tasks::rows(1000, 3).into_iter().enumerate().map(row).collect();
    let mut task = crate::tasks::with_data("t", &data.join("\n"), false);
    task["spec"]["dataSchema"]["dimensionsSpec"]["dimensions"] =
        json!(["page", "lang", {"type": "long", "name": "added"}, {"type": "double", "name": "score"}, "tags"]);
    let id = sandbox.submit(&task).await.expect("a task id");
    let status = sandbox.wait_task(&id, MINUTE).await;
    assert_eq!(status["statusCode"], "SUCCESS", "{status}");
    assert_eq!(sandbox.wait_count("t", 1000, MINUTE).await, Some(1000));
    sandbox
}

fn beside(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients").join(file)
}

/// `host` and `port` of a role.
fn address(sandbox: &Sandbox, role: &str) -> (String, String) {
    let url = sandbox.url(role);
    let (host, port) = url.trim_start_matches("http://").rsplit_once(':').expect("host and port");
    (host.to_owned(), port.to_owned())
}

/// Runs a client and looks for its last line.
async fn passes(command: &mut Command, last: &str) -> String {
    match run_client(command.stdin(Stdio::null()), MINUTE).await {
        Ok(text) if text.lines().last().is_some_and(|line| line.contains(last)) => {
            println!("{text}");
            text
        }
        Ok(text) => panic!("[{last}] is not its last line:\n{text}"),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn pydruid_reads_describes_and_reflects() {
    let python = match client("pydruid/bin/python") {
        Ok(python) => python,
        Err(reason) => return skip("pydruid_reads_describes_and_reflects", &reason),
    };
    let sandbox = server(&[]).await;
    let (host, port) = address(&sandbox, "broker");
    passes(Command::new(&python).arg(beside("pydruid_client.py")).args([&host, &port]), "4 parts passed").await;
}

#[tokio::test]
async fn avaticas_jdbc_driver_walks_the_catalogue_prepares_pages_and_cancels() {
    const TEST: &str = "avaticas_jdbc_driver_walks_the_catalogue_prepares_pages_and_cancels";
    let lib = match client("avatica/lib") {
        Ok(lib) => lib,
        Err(reason) => return skip(TEST, &reason),
    };
    let sandbox = server(&[]).await;
    let classes = format!("{}/*", lib.display());
    for (role, form) in [("broker", "json"), ("router", "protobuf")] {
        let (host, port) = address(&sandbox, role);
        let mut java = Command::new("java");
        // Compiles the one file and runs it.
        java.args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-cp", &classes]).arg(beside("AvaticaClient.java"));
        passes(java.args([&host, &port, form]), &format!("6 parts passed over {form}")).await;
    }
}

#[tokio::test]
async fn plywood_introspects_and_computes_over_native_queries_and_sql() {
    let ready = match client("plywood/ready") {
        Ok(ready) => ready,
        Err(reason) => return skip("plywood_introspects_and_computes_over_native_queries_and_sql", &reason),
    };
    let sandbox = server(&[]).await;
    let (host, port) = address(&sandbox, "broker");
    let mut node = Command::new("node");
    node.env("NODE_PATH", ready.with_file_name("node_modules")).arg(beside("plywood_client.js"));
    passes(node.arg(format!("{host}:{port}")), "2 parts passed").await;
}
