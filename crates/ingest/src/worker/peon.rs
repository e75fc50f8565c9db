//! The peon: one task in a process of its own. Dies with its parent, writes report and status before it exits.

use std::collections::HashMap;
use std::io::Read;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::BoxFuture;
use ovate_base::{DruidError, Result};
use ovate_compute::LookupMap;
use ovate_store::deep::DeepStorage;
use serde_json::Value;

use super::chat;
use super::process::{INHERITS, now_ms};
use super::write_status;
use crate::spec::{TaskSpec, TaskStatus};
use crate::task::parallel::Chat;
use crate::task::{StopFlag, TaskActions, TaskEnv, run_task, write_atomically};

/// The files of a task's directory.
#[derive(Debug, Clone)]
pub struct PeonFiles {
    /// The task as the overlord stores it.
    pub task: PathBuf,
    /// `TaskStatus`, written when the task has ended, by rename.
    pub status: PathBuf,
    /// The report, written now and then by rename, and at the end.
    pub report: PathBuf,
    /// Intermediate files.
    pub work: PathBuf,
}

impl PeonFiles {
    /// The files below a task's directory.
    pub fn in_dir(dir: &Path) -> PeonFiles {
        PeonFiles {
            task: dir.join("task.json"),
            status: dir.join("status.json"),
            report: dir.join("report.json"),
            work: dir.join("work"),
        }
    }
}

/// Makes a task's door to the overlord.
pub type ActionsMaker = Box<dyn FnOnce(&TaskSpec) -> Arc<dyn TaskActions> + Send>;

/// What the binary gives a peon besides its files.
pub struct PeonServices {
    /// Makes the task's door to the overlord.
    pub actions: ActionsMaker,
    pub storage: Arc<dyn DeepStorage>,
    pub threads: usize,
    pub memory_bytes: usize,
    /// Loads the lookups; called for tasks that name one.
    pub lookups: LookupsLoader,
}

/// Lookups by name.
pub type Lookups = Arc<HashMap<String, LookupMap>>;

/// Loads all lookups of the task's tier.
pub type LookupsLoader = Arc<dyn Fn() -> BoxFuture<'static, Result<Lookups>> + Send + Sync>;

/// Exit status of a peon whose parent has gone.
const PARENT_GONE: i32 = 3;

/// Runs the task of `ovate internal peon <dir>`. The exit status is 0 when a status was written, whatever it says.
pub async fn run_peon(files: &PeonFiles, services: PeonServices) -> Result<i32> {
    let listener = match std::env::var_os(INHERITS) {
        Some(_) => {
            die_with_parent()?;
            Some(inherited_listener()?)
        }
        None => None,
    };
    run_task_in(files, services, listener, StopFlag::default()).await?;
    Ok(0)
}

/// Runs the task in a directory until it ends or is stopped, and leaves its report and status there.
pub async fn run_task_in(files: &PeonFiles, services: PeonServices, listener: Option<TcpListener>, stop: StopFlag) -> Result<()> {
    let json = read_task(&files.task)?;
    let spec = match TaskSpec::from_json(&json, now_ms(), 0) {
        Ok(spec) => spec,
        Err(error) => {
            let id = json["id"].as_str().unwrap_or_default();
            return write_status(&files.status, &TaskStatus::failed(id, 0, &error.message));
        }
    };
    tracing::info!("task starts. task={} type={} datasource={}", spec.id, spec.task_type, spec.data_source);
    let chat = Chat::default();
    if let Some(listener) = listener {
        serve_chat(listener, chat::ChatState { task_id: spec.id.clone(), chat: chat.clone(), report: files.report.clone() })?;
    }
    let lookups = if names_lookup(&json) {
        match (services.lookups)().await {
            Ok(lookups) => lookups,
            Err(error) => {
                let message = format!("cannot load lookups: {}", error.message);
                return write_status(&files.status, &TaskStatus::failed(&spec.id, 0, &message));
            }
        }
    } else {
        Lookups::default()
    };
    let env = TaskEnv {
        lookups,
        chat,
        work_dir: files.work.clone(),
        actions: (services.actions)(&spec),
        storage: services.storage,
        threads: services.threads,
        memory_bytes: services.memory_bytes,
        stop,
        report_file: Some(files.report.clone()),
    };
    let outcome = run_task(&spec, &env).await;
    tracing::info!(
        "task ended. task={} status={} duration_ms={}",
        spec.id,
        outcome.status.state.name(),
        outcome.status.duration_ms
    );
    write_atomically(&files.report, outcome.report.to_string().as_bytes())?;
    write_status(&files.status, &outcome.status)?;
    let _ = std::fs::remove_dir_all(&files.work);
    Ok(())
}

/// True when an expression or an extraction function of the task may use a lookup (`lookupLoadingMode` ONLY_REQUIRED).
fn names_lookup(task: &Value) -> bool {
    match task {
        Value::String(text) => text.contains("lookup(") || text == "registeredLookup",
        Value::Array(items) => items.iter().any(names_lookup),
        Value::Object(fields) => fields.values().any(names_lookup),
        _ => false,
    }
}

fn read_task(file: &Path) -> Result<Value> {
    let failed =
        |e: &dyn std::fmt::Display| DruidError::invalid_input(format!("cannot read task file [{}]: {e}", file.display()));
    let bytes = std::fs::read(file).map_err(|e| failed(&e))?;
    serde_json::from_slice(&bytes).map_err(|e| failed(&e))
}

/// The socket that is our standard input.
fn inherited_listener() -> Result<TcpListener> {
    let failed = |e: std::io::Error| DruidError::runtime(format!("the peon's standard input is no listening socket: {e}"));
    std::io::stdin().as_fd().try_clone_to_owned().map(TcpListener::from).map_err(failed)
}

/// Serves what others say to the task until its runtime ends.
fn serve_chat(listener: TcpListener, state: chat::ChatState) -> Result<()> {
    let failed = |e: std::io::Error| DruidError::runtime(format!("the peon cannot serve its port: {e}"));
    listener.set_nonblocking(true).map_err(failed)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
    let routes = ovate_net::server::shell(chat::routes(state));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!("the peon's server ended. error={error}");
        }
    });
    Ok(())
}

/// Ends this process as soon as the socket that is its standard output closes at the other end, which happens when the
/// parent dies in whatever way.
fn die_with_parent() -> Result<()> {
    let failed = |e: std::io::Error| DruidError::runtime(format!("cannot watch the parent: {e}"));
    let mut life = UnixStream::from(std::io::stdout().as_fd().try_clone_to_owned().map_err(failed)?);
    let watch = move || {
        let mut buffer = [0u8; 64];
        loop {
            match life.read(&mut buffer) {
                Ok(0) => std::process::exit(PARENT_GONE),
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => std::process::exit(PARENT_GONE),
                Ok(_) | Err(_) => {}
            }
        }
    };
    let thread = std::thread::Builder::new().name("parent-watch".to_owned()).spawn(watch);
    thread.map(|_| ()).map_err(failed)
}
