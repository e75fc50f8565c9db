//! Real servers that tests speak to: found in the user's cache folder, where `bin/test` puts them, started on a free port
//! over a temporary directory and killed when dropped. One that is not there gives the reason, for `skip`.

mod azurite;
mod client;
mod database;
pub mod druid;
mod gcs;
mod hdfs;
mod mariadb;
mod postgres;
mod s3;
pub mod zookeeper;

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use azurite::azurite;
pub use client::{client, run_client};
pub use database::{Database, DatabaseKind};
pub use gcs::gcs;
pub use hdfs::hdfs;
pub use s3::s3;

/// A running server.
pub struct Service {
    child: Child,
    dir: TempDir,
    /// Its address, such as `http://127.0.0.1:4711`.
    pub url: String,
    /// Druid's properties that lead to it; storage and logs are in a bucket of their own, which exists.
    pub properties: Vec<(String, String)>,
}

impl Service {
    /// The directory of its files and of the configuration made for it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What it printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("service.log")).unwrap_or_default()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("end of the server's log:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        }
    }
}

/// How long a server may take to listen; a busy machine starts a JVM slowly.
const START_LIMIT: Duration = Duration::from_secs(90);

/// `ovate/services` in the user's cache folder.
pub fn services_dir() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    cache.unwrap_or_default().join("ovate/services")
}

/// A program below the services' folder, or why there is none.
fn installed(path: &str) -> Result<PathBuf, String> {
    let file = services_dir().join(path);
    if file.exists() { Ok(file) } else { Err(format!("{} is not installed; bin/test installs it", file.display())) }
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> u16 {
    crate::sandbox::free_ports(1)[0]
}

/// Starts a command in a fresh directory and waits until `ready` gives its address.
fn start(mut command: impl FnMut(&Path) -> Command, ready: impl Fn(&Path) -> Option<String>) -> Result<Service, String> {
    let dir = TempDir::new().map_err(|e| e.to_string())?;
    let log = std::fs::File::create(dir.path().join("service.log")).map_err(|e| e.to_string())?;
    let mut command = command(dir.path());
    command.current_dir(dir.path()).stdin(Stdio::null()).stderr(log.try_clone().map_err(|e| e.to_string())?).stdout(log);
    let child = command.spawn().map_err(|e| format!("cannot start {:?}: {e}", command.get_program()))?;
    let mut service = Service { child, dir, url: String::new(), properties: Vec::new() };
    let end = Instant::now() + START_LIMIT;
    while Instant::now() < end {
        if let Some(url) = ready(service.dir()) {
            service.url = url;
            return Ok(service);
        }
        if let Ok(Some(status)) = service.child.try_wait() {
            return Err(format!("it stopped with {status}: {}", service.log()));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(format!("it was not ready within {START_LIMIT:?}: {}", service.log()))
}

/// True once somebody listens on the port.
fn listens(port: u16) -> bool {
    TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), Duration::from_millis(200)).is_ok()
}

fn pairs<const N: usize>(values: [(&str, String); N]) -> Vec<(String, String)> {
    values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Makes the bucket `deep`.
async fn make_bucket(url: &str) -> Result<(), String> {
    let made = reqwest::Client::new().put(format!("{url}/deep")).send().await.map_err(|e| e.to_string())?;
    if made.status().is_success() { Ok(()) } else { Err(format!("cannot make a bucket: {}", made.status())) }
}

/// The first of these programs that exists; plain names are looked for on the PATH.
pub(crate) fn program(candidates: &[&str]) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    for candidate in candidates {
        let found = match candidate.contains('/') {
            true => Some(PathBuf::from(candidate)).filter(|file| file.is_file()),
            false => std::env::split_paths(&path).map(|dir| dir.join(candidate)).find(|file| file.is_file()),
        };
        if let Some(found) = found {
            return Ok(found);
        }
    }
    Err(format!("{} is not installed", candidates.first().unwrap_or(&"program")))
}

/// Database servers refuse to run as root; as root they run as `nobody`.
pub(crate) fn unprivileged(program: &Path) -> Command {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// Gives a folder to whoever `unprivileged` programs run as.
pub(crate) fn give(dir: &Path) -> Result<(), String> {
    if is_root() {
        std::os::unix::fs::chown(dir, Some(NOBODY), Some(NOBODY)).map_err(|e| format!("cannot chown {}: {e}", dir.display()))?;
    }
    Ok(())
}

/// Runs a program to its end; its output is the error when it fails.
pub(crate) fn finish(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|e| format!("cannot start {name}: {e}"))?;
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(text) } else { Err(format!("{name}: {text}")) }
}

const NOBODY: u32 = 65534;

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
