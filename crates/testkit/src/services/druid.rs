//! Processes of a real Apache Druid 33, put together from Maven by `../shared/druid/assemble.sh` (once; the result is kept in
//! the cache folder). Each runs in one directory, on a free port, with its data there.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::free_port;
use crate::shared_dir;

/// How long a process may take to be healthy: some ten seconds, on a machine that does nothing else.
const START: Duration = Duration::from_secs(240);

/// What Druid's own scripts open to it on Java 17.
const JAVA: [&str; 13] = [
    "--add-exports=java.base/jdk.internal.misc=ALL-UNNAMED",
    "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/jdk.internal.ref=ALL-UNNAMED",
    "--add-opens=java.base/java.io=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=jdk.management/com.sun.management.internal=ALL-UNNAMED",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Duser.timezone=UTC",
    "-Dfile.encoding=UTF-8",
    "-Djava.io.tmpdir=var/tmp",
];

/// A folder with Druid in it and what its processes keep.
pub struct Druid {
    dir: TempDir,
    zookeeper: String,
    derby_port: u16,
}

/// One running process; killed when dropped.
pub struct DruidProcess {
    pub role: &'static str,
    pub port: u16,
    child: Option<Child>,
    log: PathBuf,
}

impl Druid {
    /// Puts Druid in a folder of its own; the error says why there is none.
    pub fn new(zookeeper: &str) -> Result<Druid, String> {
        let home = assembled()?;
        let mut dir = TempDir::new().map_err(|e| e.to_string())?;
        dir.disable_cleanup(std::env::var_os("OVATE_KEEP").is_some());
        for part in ["lib", "extensions", "conf"] {
            std::os::unix::fs::symlink(home.join(part), dir.path().join(part)).map_err(|e| e.to_string())?;
        }
        for folder in
            ["tmp", "log", "druid/segments", "druid/indexing-logs", "druid/task", "druid/processing", "druid/segment-cache"]
        {
            std::fs::create_dir_all(dir.path().join("var").join(folder)).map_err(|e| e.to_string())?;
        }
        Ok(Druid { dir, zookeeper: zookeeper.to_owned(), derby_port: free_port() })
    }

    /// Where everything is.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The last lines of its processes' logs that are warnings or worse.
    pub fn complaints(&self) -> String {
        let mut text = String::new();
        for role in ["coordinator-overlord", "broker", "historical", "indexer"] {
            let log = std::fs::read_to_string(self.dir.path().join(format!("var/log/{role}.log"))).unwrap_or_default();
            let lines =
                log.lines().filter(|line| line.contains(" WARN ") || line.contains(" ERROR ") || line.contains("Caused by"));
            let last: Vec<&str> = lines.rev().take(8).collect();
            text.push_str(&format!("--- Druid's {role}\n{}\n", last.into_iter().rev().collect::<Vec<_>>().join("\n")));
        }
        text
    }

    /// Its local deep storage.
    pub fn deep_storage(&self) -> PathBuf {
        self.dir.path().join("var/druid/segments")
    }

    /// Starts a process by the folder of its settings: `coordinator-overlord`, `broker`, `historical`, `indexer`.
    pub fn start(&self, role: &'static str, more: &[(&str, &str)]) -> DruidProcess {
        let port = free_port();
        let main = if role == "coordinator-overlord" { "coordinator" } else { role };
        let log = self.dir.path().join(format!("var/log/{role}.out"));
        let out = std::fs::File::options().create(true).append(true).open(&log).expect("a log");
        let mut command = Command::new("java");
        command.current_dir(self.dir.path()).args(JAVA).args(["-Xms128m", "-Xmx700m", "-XX:MaxDirectMemorySize=600m"]);
        let mut set = |name: &str, value: &str| {
            command.arg(format!("-D{name}={value}"));
        };
        set("druid.node.type", role);
        set("druid.log.path", "var/log");
        set("derby.stream.error.file", "var/log/derby.log");
        set("druid.zk.service.host", &self.zookeeper);
        set("druid.plaintextPort", &port.to_string());
        set("druid.processing.buffer.sizeBytes", "25MiB");
        set("druid.processing.numMergeBuffers", "4");
        set("druid.storage.storageDirectory", &self.deep_storage().display().to_string());
        let derby = format!("jdbc:derby://localhost:{}/var/druid/metadata.db;create=true", self.derby_port);
        set("druid.metadata.storage.connector.connectURI", &derby);
        set("druid.metadata.storage.connector.port", &self.derby_port.to_string());
        more.iter().for_each(|(name, value)| set(name, value));
        command.arg("-cp").arg(format!("conf/_common:conf/{role}:lib/*"));
        command.args(["org.apache.druid.cli.Main", "server", main]);
        command.stdin(Stdio::null()).stdout(out.try_clone().expect("a second handle")).stderr(out);
        DruidProcess { role, port, child: Some(command.spawn().expect("java starts")), log }
    }
}

impl DruidProcess {
    /// `host:port` that others know it by.
    pub fn name(&self) -> String {
        format!("localhost:{}", self.port)
    }

    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// Waits until it is healthy; panics with the end of its log.
    pub async fn ready(&mut self) {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let end = Instant::now() + START;
        let url = format!("{}/status/health", self.url());
        loop {
            let answer = client.get(&url).timeout(Duration::from_secs(5)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            let ended = self.child.as_mut().is_none_or(|child| child.try_wait().ok().flatten().is_some());
            if ended || Instant::now() > end {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(40).collect();
                panic!("Druid's {} is not healthy:\n{}", self.role, tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Asks it to stop, and kills it when it does not within half a minute.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let _ = Command::new("kill").arg(child.id().to_string()).status();
        let end = Instant::now() + Duration::from_secs(30);
        while Instant::now() < end {
            if child.try_wait().ok().flatten().is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for DruidProcess {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The folder with Druid's jars, made when it is not there: `OVATE_DRUID_HOME`, else one in the user's cache.
fn assembled() -> Result<PathBuf, String> {
    if let Some(home) = std::env::var_os("OVATE_DRUID_HOME") {
        return Ok(PathBuf::from(home));
    }
    let script = shared_dir().map(|dir| dir.join("druid/assemble.sh")).filter(|script| script.exists());
    let script = script.ok_or("no ../shared/druid")?;
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache =
        cache.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"))).ok_or("no cache folder")?;
    let home = cache.join("ovate/druid-33.0.0");
    if home.join("complete").exists() {
        return Ok(home);
    }
    let made = Command::new(script).arg(&home).stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
    if !made.status.success() {
        return Err(format!("Druid could not be put together: {}", String::from_utf8_lossy(&made.stderr)));
    }
    std::fs::write(home.join("complete"), "").map_err(|e| e.to_string())?;
    Ok(home)
}
