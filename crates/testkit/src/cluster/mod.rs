//! The cluster of Druid's clustering page on one machine: Master, Data and Query servers, each a host of its own, over the real
//! binary. Hosts and processes can be killed, paused, cut off from each other and started again over their directories.

pub mod load;
pub mod network;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

pub use load::{Fate, Load, Outcome, Question};
pub use network::Network;

/// One server of the page.
#[derive(Debug, Clone)]
pub struct HostSettings {
    pub name: &'static str,
    /// Roles of each process.
    pub processes: Vec<Vec<&'static str>>,
    /// Properties of this host alone.
    pub properties: Vec<(String, String)>,
    /// The segment cache stands on a disk of its own of so many bytes, where the machine allows to mount one.
    pub cache_disk_bytes: Option<u64>,
}

/// A cluster before it starts.
pub struct ClusterSettings {
    /// The program, `env!("CARGO_BIN_EXE_ovate")` in tests of `node`.
    pub program: PathBuf,
    pub hosts: Vec<HostSettings>,
    /// Properties of every process; `{outside}` is the machine's address as hosts see it, `{shared}` a folder that all see.
    pub properties: Vec<(String, String)>,
}

impl ClusterSettings {
    /// Two Masters, two Data servers and one Query server over shared folders, with leases in a metadata store that all reach.
    pub fn page(program: impl Into<PathBuf>) -> Self {
        let host = |name, processes| HostSettings { name, processes, properties: Vec::new(), cache_disk_bytes: None };
        let master = || vec![vec!["coordinator", "overlord"]];
        let data = || vec![vec!["historical"], vec!["middleManager"]];
        let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        ClusterSettings {
            program: program.into(),
            hosts: vec![
                host("master1", master()),
                host("master2", master()),
                host("data1", data()),
                host("data2", data()),
                host("query", vec![vec!["broker"], vec!["router"]]),
            ],
            properties: vec![
                own("druid.metadata.storage.connector.connectURI", "jdbc:sqlite:{shared}/metadata.db"),
                own("druid.storage.storageDirectory", "{shared}/segments"),
                own("druid.indexer.logs.directory", "{shared}/indexing-logs"),
                own("druid.coordinator.period", "PT1S"),
                own("druid.segmentCache.locations", r#"[{"path":"var/druid/segment-cache","maxSize":"1g"}]"#),
            ],
        }
    }
}

struct Process {
    host: usize,
    roles: Vec<&'static str>,
    ports: Vec<u16>,
    child: Option<Child>,
}

/// A running cluster.
pub struct Cluster {
    settings: ClusterSettings,
    processes: Vec<Process>,
    client: reqwest::Client,
    mounted: Vec<PathBuf>,
    // Last, so that they outlive the processes.
    pub network: Network,
    dir: TempDir,
}

impl Cluster {
    /// Prepares hosts; nothing runs yet.
    pub fn prepare(settings: ClusterSettings) -> Cluster {
        let names: Vec<&str> = settings.hosts.iter().map(|host| host.name).collect();
        let network = Network::for_hosts(&names);
        let dir = TempDir::new().expect("a temporary directory");
        let mut processes = Vec::new();
        for (host, spec) in settings.hosts.iter().enumerate() {
            for roles in &spec.processes {
                let ports =
                    roles.iter().map(|role| if network.has_own_ports() { standard_port(role) } else { free_port() }).collect();
                processes.push(Process { host, roles: roles.clone(), ports, child: None });
            }
        }
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let mut cluster = Cluster { settings, processes, client, mounted: Vec::new(), network, dir };
        for host in 0..cluster.settings.hosts.len() {
            std::fs::create_dir_all(cluster.host_dir(host)).expect("a host's directory");
            cluster.mount_cache(host);
        }
        std::fs::create_dir_all(cluster.shared_dir()).expect("a shared directory");
        cluster
    }

    /// Starts everything and waits until queries are answered and tasks are taken.
    pub async fn start(settings: ClusterSettings) -> Cluster {
        let mut cluster = Cluster::prepare(settings);
        cluster.spawn_all().await;
        cluster
    }

    /// Sets a property of every process that is started from now on; the last setting of a name wins.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.properties.retain(|(other, _)| other != name);
        self.settings.properties.push((name.to_owned(), value.to_owned()));
    }

    /// Starts all processes of a prepared cluster and waits until queries are answered and tasks are taken.
    pub async fn spawn_all(&mut self) {
        for process in 0..self.processes.len() {
            self.spawn(process);
        }
        self.wait_ready(Duration::from_secs(60)).await;
    }

    /// The folder that all hosts see.
    pub fn shared_dir(&self) -> PathBuf {
        self.dir.path().join("shared")
    }

    /// A host's own folder.
    pub fn host_dir(&self, host: usize) -> PathBuf {
        self.dir.path().join(self.settings.hosts[host].name)
    }

    /// A host's number by its name.
    pub fn host(&self, name: &str) -> usize {
        self.settings.hosts.iter().position(|host| host.name == name).expect("a host of this name")
    }

    /// The processes of a host.
    pub fn processes_of(&self, host: usize) -> Vec<usize> {
        (0..self.processes.len()).filter(|n| self.processes[*n].host == host).collect()
    }

    /// The process that takes a role on a host.
    pub fn process(&self, host: &str, role: &str) -> usize {
        let host = self.host(host);
        self.processes_of(host).into_iter().find(|n| self.processes[*n].roles.contains(&role)).expect("a process with this role")
    }

    /// Number of processes.
    pub fn process_count(&self) -> usize {
        self.processes.len()
    }

    /// `http://address:port` of a role on a host.
    pub fn url(&self, host: &str, role: &str) -> String {
        let process = &self.processes[self.process(host, role)];
        let position = process.roles.iter().position(|r| *r == role).expect("its role");
        format!("http://{}:{}", self.network.address(process.host), process.ports[position])
    }

    /// Starts one process that is not running.
    pub fn spawn(&mut self, process: usize) {
        let (host, roles, ports) =
            (self.processes[process].host, self.processes[process].roles.clone(), self.processes[process].ports.clone());
        let mut command = self.network.command(host, &self.settings.program);
        command.arg("server").args(&roles).arg("--base-dir").arg(self.host_dir(host));
        command.arg("-P").arg(format!("druid.host={}", self.network.address(host)));
        for (role, port) in roles.iter().zip(&ports) {
            command.arg("-P").arg(format!("druid.{role}.plaintextPort={port}"));
        }
        let shared = self.shared_dir().display().to_string();
        for (name, value) in self.settings.properties.iter().chain(&self.settings.hosts[host].properties) {
            let value = value.replace("{shared}", &shared).replace("{outside}", &self.network.outside());
            command.arg("-P").arg(format!("{name}={value}"));
        }
        let log = std::fs::File::options().create(true).append(true).open(self.log_file(process)).expect("a log file");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log);
        self.processes[process].child = Some(command.spawn().expect("the program starts"));
    }

    /// Kills one process with -9.
    pub fn kill(&mut self, process: usize) {
        if let Some(mut child) = self.processes[process].child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks a process to end (SIGTERM) and waits for that; false when it had to be killed.
    pub async fn stop(&mut self, process: usize, limit: Duration) -> bool {
        let Some(child) = &mut self.processes[process].child else { return true };
        signal(child.id(), "TERM");
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if child.try_wait().ok().flatten().is_some() {
                self.processes[process].child = None;
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.kill(process);
        false
    }

    /// Stops a process in its tracks (SIGSTOP) until [`Cluster::resume`].
    pub fn pause(&self, process: usize) {
        self.processes[process].child.iter().for_each(|child| signal(child.id(), "STOP"));
    }

    pub fn resume(&self, process: usize) {
        self.processes[process].child.iter().for_each(|child| signal(child.id(), "CONT"));
    }

    fn log_file(&self, process: usize) -> PathBuf {
        let Process { host, roles, .. } = &self.processes[process];
        self.host_dir(*host).join(format!("{}.log", roles.join("-")))
    }

    /// The log of one process.
    pub fn log(&self, process: usize) -> String {
        std::fs::read_to_string(self.log_file(process)).unwrap_or_default()
    }

    /// All logs, for a failing test.
    pub fn logs(&self) -> String {
        let log = |n: usize| {
            format!("--- {} {:?}\n{}", self.settings.hosts[self.processes[n].host].name, self.processes[n].roles, self.log(n))
        };
        (0..self.processes.len()).map(log).collect::<Vec<_>>().join("\n")
    }

    /// The segment cache of a Data server.
    pub fn cache_dir(&self, host: &str) -> PathBuf {
        self.host_dir(self.host(host)).join("var/druid/segment-cache")
    }

    /// Whether a host's cache is a disk of its own.
    pub fn has_cache_disk(&self, host: &str) -> bool {
        self.mounted.contains(&self.cache_dir(host))
    }

    fn mount_cache(&mut self, host: usize) {
        let Some(bytes) = self.settings.hosts[host].cache_disk_bytes else { return };
        let dir = self.host_dir(host).join("var/druid/segment-cache");
        std::fs::create_dir_all(&dir).expect("a cache directory");
        let size = format!("size={bytes}");
        let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", &size, "ovate-test"]).arg(&dir).status();
        if mounted.is_ok_and(|status| status.success()) {
            self.mounted.push(dir);
        }
    }

    /// The Router's address.
    pub fn router(&self) -> String {
        self.url("query", "router")
    }

    /// Waits until SQL is answered through the Router and tasks are taken; panics with the logs when it takes too long.
    pub async fn wait_ready(&self, limit: Duration) {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            let overlord = self.get("/druid/indexer/v1/runningTasks").await;
            if overlord.is_ok() && self.sql("SELECT 1").await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not ready within {limit:?}; logs:\n{}", self.logs());
    }

    /// Rows of a statement as arrays; the error document when it fails.
    pub async fn sql(&self, statement: &str) -> Result<Vec<Vec<Value>>, Value> {
        let answer = self.post("/druid/v2/sql", &json!({"query": statement, "resultFormat": "array"})).await?;
        serde_json::from_value(answer).map_err(|e| json!(e.to_string()))
    }

    /// The one number of a statement.
    pub async fn number(&self, statement: &str) -> Option<i64> {
        self.sql(statement).await.ok()?.first()?.first()?.as_i64()
    }

    /// POST through the Router; the body of an answer of status 400 or more is the error.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Value> {
        let request = self.client.post(format!("{}{path}", self.router())).json(body);
        crate::sandbox::read(request.timeout(Duration::from_secs(60)).send().await).await
    }

    /// GET through the Router.
    pub async fn get(&self, path: &str) -> Result<Value, Value> {
        let request = self.client.get(format!("{}{path}", self.router()));
        crate::sandbox::read(request.timeout(Duration::from_secs(60)).send().await).await
    }

    /// Waits until a statement gives this number; the last one seen when it does not.
    pub async fn wait_number(&self, statement: &str, wanted: i64, limit: Duration) -> Result<(), Option<i64>> {
        let end = Instant::now() + limit;
        loop {
            let seen = self.number(statement).await;
            if seen == Some(wanted) {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(seen);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Submits a task and waits for its end; gives the status document.
    pub async fn run_task(&self, task: &Value, limit: Duration) -> Value {
        let id = self.post("/druid/indexer/v1/task", task).await.expect("the task is taken")["task"].clone();
        let path = format!("/druid/indexer/v1/task/{}/status", id.as_str().expect("a task id"));
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if let Ok(answer) = self.get(&path).await
                && matches!(answer["status"]["statusCode"].as_str(), Some("SUCCESS" | "FAILED"))
            {
                return answer["status"].clone();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("task {id} did not end within {limit:?}; logs:\n{}", self.logs());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in 0..self.processes.len() {
            self.resume(process);
            self.kill(process);
        }
        for dir in &self.mounted {
            let _ = std::process::Command::new("umount").args(["-l"]).arg(dir).status();
        }
    }
}

fn signal(process: u32, name: &str) {
    let _ = std::process::Command::new("kill").arg(format!("-{name}")).arg(process.to_string()).status();
}

fn standard_port(role: &str) -> u16 {
    match role {
        "coordinator" => 8081,
        "overlord" => 8090,
        "broker" => 8082,
        "historical" => 8083,
        "middleManager" | "indexer" => 8091,
        _ => 8888,
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

/// Overwrites the middle of every file below `dir` that has more than `least` bytes; gives how many were.
pub fn corrupt_files(dir: &Path, least: u64) -> usize {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let mut count = 0;
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            count += corrupt_files(&path, least);
        } else if let Ok(mut bytes) = std::fs::read(&path)
            && bytes.len() as u64 > least
        {
            let (from, to) = (bytes.len() / 4, bytes.len() * 3 / 4);
            bytes[from..to].iter_mut().for_each(|byte| *byte ^= 0x5a);
            count += usize::from(std::fs::write(&path, bytes).is_ok());
        }
    }
    count
}
