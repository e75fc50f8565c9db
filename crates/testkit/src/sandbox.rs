//! The real binary in a temporary directory, on ports of its own, killed when dropped. One sandbox may be stopped, killed
//! with -9 and started again over the same directory.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// How a process of a sandbox is started.
#[derive(Debug, Clone)]
pub struct SandboxSettings {
    /// The program, `env!("CARGO_BIN_EXE_ovate")` in tests of `node`.
    pub program: PathBuf,
    /// Roles of each process; every process shares the directory.
    pub processes: Vec<Vec<&'static str>>,
    /// Further properties.
    pub properties: Vec<(String, String)>,
}

impl SandboxSettings {
    /// All roles in one process.
    pub fn single(program: impl Into<PathBuf>) -> Self {
        let roles = vec!["coordinator", "overlord", "historical", "middleManager", "broker", "router"];
        SandboxSettings { program: program.into(), processes: vec![roles], properties: Vec::new() }
    }

    /// Every role in a process of its own.
    pub fn spread(program: impl Into<PathBuf>) -> Self {
        let mut settings = Self::single(program);
        settings.processes = settings.processes[0].iter().map(|role| vec![*role]).collect();
        settings
    }
}

/// Roles with a port.
const ROLES: [&str; 6] = ["coordinator", "overlord", "historical", "middleManager", "broker", "router"];

/// A running set of processes.
pub struct Sandbox {
    settings: SandboxSettings,
    dir: TempDir,
    ports: Vec<(&'static str, u16)>,
    children: Vec<Option<Child>>,
    client: reqwest::Client,
}

impl Sandbox {
    /// Starts all processes and waits until the router answers SQL and an overlord takes tasks.
    pub async fn start(settings: SandboxSettings) -> Sandbox {
        let dir = TempDir::new().expect("a temporary directory");
        let ports = ROLES.iter().copied().zip(free_ports(ROLES.len())).collect();
        let children = settings.processes.iter().map(|_| None).collect();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let mut sandbox = Sandbox { settings, dir, ports, children, client };
        for process in 0..sandbox.children.len() {
            sandbox.spawn(process);
        }
        sandbox.wait_ready(Duration::from_secs(60)).await;
        sandbox
    }

    /// Starts one process that is not running.
    pub fn spawn(&mut self, process: usize) {
        let mut command = Command::new(&self.settings.program);
        command.arg("server").args(&self.settings.processes[process]).arg("--base-dir").arg(self.dir.path());
        for (role, port) in &self.ports {
            command.arg("-P").arg(format!("druid.{role}.plaintextPort={port}"));
        }
        for (name, value) in &self.settings.properties {
            command.arg("-P").arg(format!("{name}={value}"));
        }
        let log = self.dir.path().join(format!("process-{process}.log"));
        let log = std::fs::File::options().create(true).append(true).open(log).expect("a log file");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log);
        self.children[process] = Some(command.spawn().expect("the program starts"));
    }

    /// Kills one process with -9.
    pub fn kill(&mut self, process: usize) {
        if let Some(mut child) = self.children[process].take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Number of processes.
    pub fn process_count(&self) -> usize {
        self.children.len()
    }

    /// `http://127.0.0.1:port` of a role.
    pub fn url(&self, role: &str) -> String {
        let port = self.ports.iter().find(|(name, _)| *name == role).map(|(_, port)| *port).expect("a role with a port");
        format!("http://127.0.0.1:{port}")
    }

    /// The directory that holds everything.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The log of one process.
    pub fn log(&self, process: usize) -> String {
        std::fs::read_to_string(self.dir.path().join(format!("process-{process}.log"))).unwrap_or_default()
    }

    /// Waits until SQL is answered through the router, and tasks are taken; panics with the logs when it takes too long.
    pub async fn wait_ready(&self, limit: Duration) {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            // SQL is answered a moment before the overlord's term begins; a test wants both.
            let overlord = self.get("router", "/druid/indexer/v1/runningTasks").await;
            if overlord.is_ok() && self.sql("SELECT 1").await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let logs: Vec<String> = (0..self.process_count()).map(|p| self.log(p)).collect();
        panic!("not ready within {limit:?}; logs:\n{}", logs.join("\n---\n"));
    }

    /// Rows of a statement as arrays; the error document when it fails.
    pub async fn sql(&self, statement: &str) -> Result<Vec<Vec<Value>>, Value> {
        let body = json!({"query": statement, "resultFormat": "array"});
        let answer = self.post("router", "/druid/v2/sql", &body).await?;
        serde_json::from_value(answer).map_err(|e| json!(e.to_string()))
    }

    /// POST through a role; the body of an answer of status 400 or more is the error.
    pub async fn post(&self, role: &str, path: &str, body: &Value) -> Result<Value, Value> {
        let sent =
            self.client.post(format!("{}{path}", self.url(role))).json(body).timeout(Duration::from_secs(120)).send().await;
        read(sent).await
    }

    /// GET through a role.
    pub async fn get(&self, role: &str, path: &str) -> Result<Value, Value> {
        read(self.client.get(format!("{}{path}", self.url(role))).timeout(Duration::from_secs(60)).send().await).await
    }

    /// Submits a task through the router and gives its id.
    pub async fn submit(&self, task: &Value) -> Result<String, Value> {
        let answer = self.post("router", "/druid/indexer/v1/task", task).await?;
        answer["task"].as_str().map(str::to_owned).ok_or(answer)
    }

    /// Waits for a task's end and gives its status document.
    pub async fn wait_task(&self, id: &str, limit: Duration) -> Value {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if let Ok(answer) = self.get("router", &format!("/druid/indexer/v1/task/{id}/status")).await {
                let status = &answer["status"];
                if matches!(status["statusCode"].as_str(), Some("SUCCESS" | "FAILED")) {
                    return status.clone();
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("task {id} did not end within {limit:?}");
    }

    /// Waits until a count reaches what is wanted; gives the last one seen.
    pub async fn wait_count(&self, table: &str, wanted: i64, limit: Duration) -> Option<i64> {
        let end = Instant::now() + limit;
        let mut seen = None;
        while Instant::now() < end {
            let rows = self.sql(&format!("SELECT COUNT(*) FROM \"{table}\"")).await.ok();
            seen = rows.and_then(|rows| rows.first().and_then(|row| row[0].as_i64()));
            if seen == Some(wanted) {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        seen
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        for process in 0..self.children.len() {
            self.kill(process);
        }
    }
}

/// The document of an answer, as an error when its status is one.
pub(crate) async fn read(sent: reqwest::Result<reqwest::Response>) -> Result<Value, Value> {
    let answer = sent.map_err(|e| json!(e.to_string()))?;
    let ok = answer.status().is_success();
    let text = answer.text().await.map_err(|e| json!(e.to_string()))?;
    let document = serde_json::from_str(&text).unwrap_or(Value::String(text));
    if ok { Ok(document) } else { Err(document) }
}

/// Ports that nobody listens on now; all are held until all are found. They lie below those that the system gives to
/// outgoing connections, which would take one in the moment before the server does.
pub fn free_ports(count: usize) -> Vec<u16> {
    let mut held: Vec<TcpListener> = Vec::new();
    let mut tries = 0;
    while held.len() < count && tries < 10_000 {
        tries += 1;
        held.extend(TcpListener::bind(("127.0.0.1", rand::random_range(12_000..32_000))));
    }
    let ports: Vec<u16> = held.iter().filter_map(|listener| listener.local_addr().ok()).map(|address| address.port()).collect();
    assert_eq!(ports.len(), count, "free ports");
    ports
}
