//! Clients that people have, unmodified, against a running server: each is a program beside this file that asserts what it
//! sees; here it is started and must say that all its parts passed. `bin/install-clients` brings the packages.

mod http;

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

/// Runs `psql` and gives what it printed, without headings and alignment.
async fn psql(address: &[String; 2], input: &str) -> Result<String, String> {
    let mut psql = Command::new("psql");
    let [host, port] = address;
    psql.args(["-X", "-A", "-t", "-h", host, "-p", port, "-U", "alice", "-d", "druid", "-v", "VERBOSITY=verbose", "-c", input]);
    run_client(psql.env("PGPASSWORD", "any").stdin(Stdio::null()), MINUTE).await
}

/// A server with the listener `property` on a port that is free now; gives `host` and `port`.
async fn listening(property: &str) -> (Sandbox, [String; 2]) {
    let port = ovate_testkit::sandbox::free_ports(1)[0].to_string();
    (server(&[(property, port.clone())]).await, ["127.0.0.1".to_owned(), port])
}

#[tokio::test]
async fn psql_queries_describes_lists_and_fails_with_sqlstates() {
    if run_client(Command::new("psql").arg("--version").stdin(Stdio::null()), MINUTE).await.is_err() {
        return skip("psql_queries_describes_lists_and_fails_with_sqlstates", "psql is not installed");
    }
    let (_sandbox, at) = listening("druid.ovate.postgres.port").await;
    let mut transcript = String::new();
    let mut ask = async |input: &str| {
        let answer = psql(&at, input).await.unwrap_or_else(|error| error);
        transcript += &format!("druid=> {input}\n{answer}\n");
        answer
    };
    assert_eq!(ask("SELECT lang, COUNT(*) FROM t GROUP BY 1 ORDER BY 1").await, "de|333\nen|334\nfr|333\n");
    assert_eq!(ask("SELECT __time, score FROM t WHERE added = 3").await, "2024-01-01 00:00:03+00|1.5\n");
    let described = ask("\\d t").await;
    let columns = "__time|timestamp with time zone||not null|\npage|text|||\nlang|text|||\nadded|bigint|||\nscore|double precision|||\ntags|text|||\n";
    assert_eq!(described, columns);
    assert_eq!(ask("\\dt").await, "druid|t|table|alice\n");
    assert!(ask("\\dn").await.contains("druid|alice\n"));
    assert!(ask("\\l").await.starts_with("druid|alice|UTF8|"));
    assert!(ask("\\dv sys.*").await.contains("sys|segments|view|alice\n"));
    assert!(ask("\\d+ sys.segments").await.contains("segment_id|text|"));
    assert!(ask("\\du").await.contains("alice"));
    for command in ["\\df", "\\di", "\\dT", "\\dx", "\\dp", "\\ds", "\\dm", "\\db", "\\dS pg_class", "\\dt+ *.*", "\\conninfo"] {
        let answer = ask(command).await;
        assert!(!answer.contains("ERROR:  42") && !answer.contains("0A000"), "{command}: {answer}");
    }
    assert!(ask("SELECT 1 FROM absent").await.contains("ERROR:  42P01"));
    assert!(ask("SELECT nothing FROM t").await.contains("ERROR:  42703"));
    assert!(ask("SELECT FROM WHERE").await.contains("ERROR:  42601"));
    assert!(ask("INSERT INTO t SELECT * FROM t").await.contains("ERROR:  "));
    assert_eq!(ask("BEGIN; SELECT COUNT(*)::int FROM t; COMMIT").await, "BEGIN\n1000\nCOMMIT\n");
    // What Grafana's macros become.
    let time_series = "SELECT floor(extract(epoch from __time)/86400)*86400 AS \"time\", lang AS metric, COUNT(*) AS value FROM t \
        WHERE __time BETWEEN '2024-01-01T00:00:00Z' AND '2024-01-02T00:00:00Z' GROUP BY 1, 2 ORDER BY 1, 2";
    assert_eq!(ask(time_series).await, "1704067200|en|334\n");
    println!("{transcript}");
}

#[tokio::test]
async fn psycopg_prepares_binds_streams_and_cancels() {
    let python = match client("psycopg/bin/python") {
        Ok(python) => python,
        Err(reason) => return skip("psycopg_prepares_binds_streams_and_cancels", &reason),
    };
    let (_sandbox, [host, port]) = listening("druid.ovate.postgres.port").await;
    passes(Command::new(&python).arg(beside("psycopg_client.py")).args([&host, &port]), "8 parts passed").await;
}

#[tokio::test]
async fn sqlalchemy_inspects_reflects_and_streams_over_psycopg() {
    let python = match client("sqlalchemy/bin/python") {
        Ok(python) => python,
        Err(reason) => return skip("sqlalchemy_inspects_reflects_and_streams_over_psycopg", &reason),
    };
    let (_sandbox, [host, port]) = listening("druid.ovate.postgres.port").await;
    passes(Command::new(&python).arg(beside("sqlalchemy_client.py")).args([&host, &port]), "3 parts passed").await;
}

#[tokio::test]
async fn postgresqls_jdbc_driver_walks_the_catalogue_prepares_pages_and_cancels() {
    const TEST: &str = "postgresqls_jdbc_driver_walks_the_catalogue_prepares_pages_and_cancels";
    let lib = match client("pgjdbc/lib") {
        Ok(lib) => lib,
        Err(reason) => return skip(TEST, &reason),
    };
    let (_sandbox, [host, port]) = listening("druid.ovate.postgres.port").await;
    let classes = format!("{}/*", lib.display());
    let mut java = Command::new("java");
    passes(java.args(["-cp", &classes]).arg(beside("PostgresClient.java")).args([&host, &port]), "4 parts passed").await;
}

#[tokio::test]
async fn the_shell_reads_completes_shows_progress_and_cancels_in_a_terminal() {
    const TEST: &str = "the_shell_reads_completes_shows_progress_and_cancels_in_a_terminal";
    if run_client(Command::new("python3").arg("--version").stdin(Stdio::null()), MINUTE).await.is_err() {
        return skip(TEST, "python3 is not installed");
    }
    let sandbox = server(&[]).await;
    let mut python = Command::new("python3");
    passes(python.arg(beside("shell_client.py")).arg(crate::binary::ovate()).arg(sandbox.url("broker")), "6 parts passed").await;
}

#[tokio::test]
async fn adbcs_flight_sql_driver_queries_binds_describes_and_cancels() {
    let python = match client("adbc/bin/python") {
        Ok(python) => python,
        Err(reason) => return skip("adbcs_flight_sql_driver_queries_binds_describes_and_cancels", &reason),
    };
    let (_sandbox, [host, port]) = listening("druid.ovate.flight.port").await;
    passes(Command::new(&python).arg(beside("adbc_client.py")).args([&host, &port]), "6 parts passed").await;
}
