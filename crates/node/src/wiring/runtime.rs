//! Runtimes, logging, signals and the temporary folder of the process.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use ovate_base::{DruidError, Result};
use tokio::runtime::{Builder, Runtime};
use tracing_subscriber::EnvFilter;

/// Threads that may wait on disks or compute at the same time.
const BLOCKING_THREADS_MAX: usize = 64;

/// Stack of a thread: statements and documents nest as deep as their parsers allow, and are walked by recursion.
const STACK_BYTES: usize = 64 << 20;

/// The runtime of a server process, with logging on standard error.
pub fn server() -> Result<Runtime> {
    log_to_stderr();
    Builder::new_multi_thread()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .map_err(|e| DruidError::runtime(format!("cannot start the runtime: {e}")))
}

/// A runtime for a client command.
pub fn small() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().map_err(|e| DruidError::runtime(format!("cannot start the runtime: {e}")))
}

/// Logs at `info`, or as `OVATE_LOG` says (`debug`, `ovate_serve=trace`, …).
pub fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("OVATE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .try_init();
}

/// Waits for Ctrl-C or a polite kill.
pub async fn until_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// Makes `dir` the folder for temporary files, here and in every process started from here. Rust, like C, takes it from
/// the environment, which a running process must not change: so the program starts itself once more, under the same id.
pub fn use_tmp_dir(dir: Option<&Path>) -> Result<()> {
    let Some(dir) = dir else { return Ok(()) };
    std::fs::create_dir_all(dir).map_err(|e| DruidError::runtime(format!("cannot create {}: {e}", dir.display())))?;
    if std::env::var_os("TMPDIR").is_some_and(|now| now == dir.as_os_str()) {
        return Ok(());
    }
    let program = std::env::current_exe().map_err(|e| DruidError::runtime(format!("cannot find our own program file: {e}")))?;
    let error = Command::new(program).args(std::env::args_os().skip(1)).env("TMPDIR", dir).exec();
    Err(DruidError::runtime(format!("cannot start again with the temporary folder {}: {error}", dir.display())))
}
