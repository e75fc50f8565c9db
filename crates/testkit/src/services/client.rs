//! Clients that people have, as `bin/install-clients` puts them into the user's cache folder.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// A file below the clients' folder, or why there is none.
pub fn client(path: &str) -> Result<PathBuf, String> {
    let folder = super::services_dir().with_file_name("clients");
    let file = folder.join(path);
    if file.exists() { Ok(file) } else { Err(format!("{} is not installed; bin/install-clients installs it", file.display())) }
}

/// Runs a client to its end and gives what it printed; that is the error when it fails or takes longer than `limit`.
pub async fn run_client(command: &mut Command, limit: Duration) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let (out, err) = (tempfile::NamedTempFile::new(), tempfile::NamedTempFile::new());
    let (out, err) = (out.map_err(|e| e.to_string())?, err.map_err(|e| e.to_string())?);
    command.stdout(out.reopen().map_err(|e| e.to_string())?).stderr(err.reopen().map_err(|e| e.to_string())?);
    let mut child = command.spawn().map_err(|e| format!("cannot start {name}: {e}"))?;
    let end = Instant::now() + limit;
    let status = loop {
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(status) => break Some(status),
            None if Instant::now() > end => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let text = |file: &tempfile::NamedTempFile| std::fs::read_to_string(file.path()).unwrap_or_default();
    match status {
        Some(status) if status.success() => Ok(text(&out)),
        Some(status) => Err(format!("{name} ended with {status}:\n{}{}", text(&out), text(&err))),
        None => Err(format!("{name} did not end within {limit:?}:\n{}{}", text(&out), text(&err))),
    }
}
