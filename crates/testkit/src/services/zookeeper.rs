//! A real ZooKeeper of one server: Debian's `zookeeper` package, or the class path in `OVATE_ZOOKEEPER_CLASSPATH`. Short ticks, so
//! that sessions may be short. Its data stays over a kill and a restart.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{free_port, listens};

/// Debian's jar; it names what it needs in its manifest.
const DEBIAN_JAR: &str = "/usr/share/java/zookeeper.jar";
/// How long a start may take.
const START: Duration = Duration::from_secs(60);

/// A running server.
pub struct ZooKeeper {
    dir: TempDir,
    port: u16,
    class_path: String,
    child: Option<Child>,
}

impl ZooKeeper {
    /// Starts a server; the error says why there is none.
    pub fn start() -> Result<ZooKeeper, String> {
        let class_path = match std::env::var("OVATE_ZOOKEEPER_CLASSPATH") {
            Ok(class_path) => class_path,
            Err(_) if Path::new(DEBIAN_JAR).exists() => DEBIAN_JAR.to_owned(),
            Err(_) => return Err(format!("no {DEBIAN_JAR} (Debian package zookeeper)")),
        };
        let dir = TempDir::new().map_err(|e| e.to_string())?;
        let mut server = ZooKeeper { dir, port: free_port(), class_path, child: None };
        server.up()?;
        Ok(server)
    }

    /// `host:port`, for `druid.zk.service.host`.
    pub fn hosts(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts the server again over its data.
    pub fn up(&mut self) -> Result<(), String> {
        let file = self.dir.path().join("zoo.cfg");
        let settings = format!(
            "tickTime=200\nminSessionTimeout=400\nmaxSessionTimeout=60000\ndataDir={}\nclientPort={}\nclientPortAddress=127.0.0.1\n\
             admin.enableServer=false\nmaxClientCnxns=0\n",
            self.dir.path().join("data").display(),
            self.port
        );
        std::fs::write(&file, settings).map_err(|e| e.to_string())?;
        let log =
            std::fs::File::options().create(true).append(true).open(self.dir.path().join("log")).map_err(|e| e.to_string())?;
        let mut command = Command::new("java");
        command.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dzookeeper.jmx.log4j.disable=true", "-cp"]);
        command.arg(&self.class_path).arg("org.apache.zookeeper.server.ZooKeeperServerMain").arg(&file);
        command.stdin(Stdio::null()).stdout(log.try_clone().map_err(|e| e.to_string())?).stderr(log);
        self.child = Some(command.spawn().map_err(|e| format!("cannot start java: {e}"))?);
        let end = Instant::now() + START;
        while Instant::now() < end {
            if listens(self.port) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        self.kill();
        Err(format!("ZooKeeper does not listen after {START:?}: {log}"))
    }

    /// Kills the server with -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for ZooKeeper {
    fn drop(&mut self) {
        self.kill();
    }
}
