//! SQL over plain HTTP as a client sees it on the socket: pieces while they are written, the trailer, compression, timeouts, and what
//! becomes of a statement whose client goes away. And JDBC through a Router with two Brokers.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ovate_testkit::services::client;
use ovate_testkit::{Sandbox, skip};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{MINUTE, address, beside, passes, server};

/// A request on a socket of its own.
async fn send(sandbox: &Sandbox, role: &str, headers: &str, body: &Value) -> TcpStream {
    let (host, port) = address(sandbox, role);
    let mut socket = TcpStream::connect(format!("{host}:{port}")).await.expect("a connection");
    let body = body.to_string();
    let request = format!(
        "POST /druid/v2/sql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.expect("sent");
    socket
}

async fn all(mut socket: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    tokio::time::timeout(MINUTE, socket.read_to_end(&mut answer)).await.expect("in time").expect("an answer");
    answer
}

/// The parts of a chunked answer: its head in lower case, its body, and what follows the last chunk.
fn parts(answer: &[u8]) -> (String, Vec<u8>, String) {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("a head");
    let (head, mut rest) = (String::from_utf8_lossy(&answer[..end]).to_lowercase(), &answer[end + 4..]);
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|w| w == b"\r\n").expect("a chunk's size");
        let size = usize::from_str_radix(&String::from_utf8_lossy(&rest[..line]), 16).expect("a size");
        rest = &rest[line + 2..];
        if size == 0 {
            return (head, body, String::from_utf8_lossy(rest).to_lowercase());
        }
        body.extend_from_slice(&rest[..size]);
        rest = &rest[size + 2..];
    }
}

async fn running(sandbox: &Sandbox) -> Vec<Vec<Value>> {
    sandbox.sql("SELECT id, state, info FROM sys.queries WHERE info NOT LIKE '%sys.queries%'").await.expect("rows")
}

#[tokio::test]
async fn answers_are_streamed_whole_compressed_and_stopped_when_their_client_goes() {
    let sandbox = server(&[("druid.sql.planner.enableSysQueriesTable", "true".to_owned())]).await;
    // Whole, with the trailer that says so.
    let scan =
        json!({"query": "SELECT __time, page, added FROM t", "resultFormat": "arrayLines", "context": {"sqlQueryId": "mine"}});
    let (head, body, trailer) = parts(&all(send(&sandbox, "broker", "TE: trailers\r\n", &scan).await).await);
    assert!(head.contains("x-druid-sql-query-id: mine") && head.contains("x-druid-response-context: {}"), "{head}");
    assert!(trailer.contains("x-druid-response-complete: true"), "{trailer}");
    let lines = String::from_utf8(body.clone()).expect("text");
    assert_eq!(lines.lines().filter(|line| !line.is_empty()).count(), 1000);
    assert!(lines.ends_with("]\n\n"));
    // The same compressed, for whoever accepts that; through the Router as well.
    for role in ["broker", "router"] {
        let (head, packed, _) = parts(&all(send(&sandbox, role, "Accept-Encoding: gzip\r\n", &scan).await).await);
        assert!(head.contains("content-encoding: gzip"), "{head}");
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut plain).expect("gzip");
        assert!(plain == body && packed.len() * 3 < plain.len(), "{} of {} bytes", packed.len(), plain.len());
    }
    // Limits hold over the parts of a streamed scan.
    let cut = sandbox.sql("SELECT added FROM t LIMIT 600 OFFSET 399").await.expect("rows");
    assert_eq!(cut.len(), 600);
    assert_eq!(sandbox.sql("SELECT added FROM t WHERE added >= 990 LIMIT 600 OFFSET 3").await.expect("rows").len(), 7);
    // A statement that is late is an error in time, though its thread may still work.
    let pairs: Vec<String> = (0..100)
        .map(|i| format!("(SELECT SUM(CHAR_LENGTH(CONCAT(a.page, b.page, '{i}'))) FROM t a, t b WHERE b.page = 'page3')"))
        .collect();
    let slow = format!("SELECT {}", pairs.join(" + "));
    let began = Instant::now();
    let late = json!({"query": slow, "context": {"timeout": 300}});
    let refused = sandbox.post("broker", "/druid/v2/sql", &late).await.expect_err("late");
    assert!(
        refused.to_string().contains("300 ms") && began.elapsed() < Duration::from_secs(5),
        "{refused} {:?}",
        began.elapsed()
    );
    // One whose client goes away is stopped: while it works, and while it is written.
    let big = "SELECT a.page, b.page FROM t a CROSS JOIN t b";
    for statement in [slow.as_str(), big] {
        let body = json!({"query": statement, "context": {"sqlQueryId": "gone"}});
        let mut socket = send(&sandbox, "broker", "", &body).await;
        if statement == big {
            let mut piece = [0u8; 4096];
            let read = tokio::time::timeout(MINUTE, socket.read(&mut piece)).await.expect("in time").expect("a piece");
            assert!(String::from_utf8_lossy(&piece[..read]).starts_with("HTTP/1.1 200"));
        } else {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let listed = running(&sandbox).await;
        assert!(listed.iter().any(|row| row[0] == "gone" && row[1] == "RUNNING"), "{statement:.40}: {listed:?}");
        drop(socket);
        let end = Instant::now() + Duration::from_secs(15);
        while running(&sandbox).await.iter().any(|row| row[0] == "gone") {
            assert!(Instant::now() < end, "{statement:.40} still runs");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test]
async fn a_jdbc_connection_stays_at_one_of_two_brokers() {
    const TEST: &str = "a_jdbc_connection_stays_at_one_of_two_brokers";
    let lib = match client("avatica/lib") {
        Ok(lib) => lib,
        Err(reason) => return skip(TEST, &reason),
    };
    let sandbox = server(&[]).await;
    let port = ovate_testkit::sandbox::free_ports(1)[0];
    let mut second = Command::new(crate::binary::ovate())
        .args(["server", "broker", "--base-dir"])
        .arg(sandbox.dir())
        .args(["-P", &format!("druid.broker.plaintextPort={port}")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a second broker");
    let end = Instant::now() + MINUTE;
    let sees = json!({"query": "SELECT COUNT(*) FROM t", "resultFormat": "array"});
    let url = format!("http://127.0.0.1:{port}/druid/v2/sql");
    let direct = reqwest::Client::new();
    loop {
        let brokers = sandbox.get("router", "/druid/router/v1/brokers").await.unwrap_or_default();
        let both = brokers["druid/broker"].as_array().map_or(0, Vec::len) == 2;
        let answer = direct.post(&url).json(&sees).send().await.ok();
        let ready = match answer {
            Some(answer) => answer.text().await.is_ok_and(|text| text.trim() == "[[1000]]"),
            None => false,
        };
        if both && ready {
            break;
        }
        assert!(Instant::now() < end, "two brokers that answer: {brokers}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (host, port) = address(&sandbox, "router");
    for form in ["json", "protobuf"] {
        let mut java = Command::new("java");
        java.args(["-cp", &format!("{}/*", lib.display())]).arg(beside("AvaticaClient.java"));
        passes(java.args([&host, &port, form]), &format!("6 parts passed over {form}")).await;
    }
    let _ = second.kill();
    let _ = second.wait();
}
