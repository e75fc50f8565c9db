//! Real servers for tests, each with a folder and a free port of its own on loopback, ended when its handle is dropped.
//! A server that cannot be had is an `Err` with the reason, which a test shows as it skips itself.

mod database;
mod mariadb;
mod postgres;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub use database::{Database, DatabaseKind};

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

/// A port that nobody listens on now.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

const NOBODY: u32 = 65534;

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
