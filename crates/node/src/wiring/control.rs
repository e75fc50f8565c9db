//! The roles that decide and the role that works: Coordinator, Overlord, MiddleManager.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ovate_base::{DruidError, Properties, Result};
use ovate_control::overlord::{RemoteRunner, RunnerSettings};
use ovate_control::{Coordinator, CoordinatorSettings, LocalRunner, Overlord, OverlordSettings, TaskRunner};
use ovate_ingest::worker::http::WorkerState;
use ovate_ingest::worker::{PeonPorts, Worker, WorkerConfig};
use ovate_net::{LeaderSelector, NodeRole};
use ovate_store::now_ms;
use serde_json::{Map, json};

use super::{RoleService, Shared};

/// Workers that must end before the process does.
#[derive(Default)]
pub struct TaskHandles {
    worker: Option<Arc<Worker>>,
}

impl TaskHandles {
    /// Stops the peons of this process.
    pub async fn stop(&self) {
        if let Some(worker) = &self.worker {
            worker.stop().await;
        }
    }
}

/// Takes part in a role's election until the process stops.
fn election(shared: &Shared, role: NodeRole) -> Result<Arc<dyn LeaderSelector>> {
    shared.coordination.elect(role, &shared.url(role))
}

pub async fn coordinator(shared: &Arc<Shared>) -> Result<RoleService> {
    let role = NodeRole::Coordinator;
    let election = election(shared, role)?;
    let coordinator = Coordinator::new(
        CoordinatorSettings::from_properties(&shared.settings.properties)?,
        shared.store()?.clone(),
        election.clone(),
        shared.discovery.clone(),
        shared.client.clone(),
        shared.bell.clone(),
    );
    tokio::spawn(coordinator.clone().run(shared.shutdown.clone()));
    let routes = ovate_control::coordinator::routes(coordinator);
    Ok(RoleService { role, routes, services: Map::new(), election: Some(election) })
}

pub async fn overlord(shared: &Arc<Shared>, handles: &mut TaskHandles) -> Result<RoleService> {
    let role = NodeRole::Overlord;
    let election = election(shared, role)?;
    let logs = shared.settings.storage().task_logs()?;
    let runner: Arc<dyn TaskRunner> = if shared.settings.port(NodeRole::MiddleManager).is_some() {
        let worker = worker(shared, handles).await?;
        Arc::new(LocalRunner::new(worker, logs.clone(), shared.name(NodeRole::MiddleManager)))
    } else {
        let settings = RunnerSettings::from_properties(&shared.settings.properties)?;
        RemoteRunner::start(settings, shared.client.clone(), shared.discovery.clone(), logs.clone(), shared.shutdown.clone())
    };
    let store = shared.store()?.clone();
    let overlord = Overlord::new(
        OverlordSettings::from_properties(&shared.settings.properties)?,
        store,
        election.clone(),
        runner,
        logs,
        shared.settings.storage().deep_storage()?,
        shared.bell.clone(),
    );
    tokio::spawn(overlord.clone().run(shared.shutdown.clone()));
    let routes = ovate_control::overlord::routes(overlord);
    Ok(RoleService { role, routes, services: Map::new(), election: Some(election) })
}

/// A MiddleManager, whose tasks are processes, or an Indexer, whose tasks are threads.
pub async fn worker_role(shared: &Arc<Shared>, role: NodeRole, handles: &mut TaskHandles) -> Result<RoleService> {
    let worker = worker(shared, handles).await?;
    let capacity = worker.capacity();
    let state = WorkerState { worker, name: shared.name(role), disabled: AtomicBool::new(false), life: now_ms() };
    let routes = ovate_ingest::worker::http::routes(Arc::new(state));
    let mut services = Map::new();
    let service = json!({"type": "workerNodeService", "ip": shared.settings.host, "capacity": capacity, "version": "0",
        "category": shared.settings.properties.text("druid.worker.category", "_default_worker_category")});
    services.insert("workerNodeService".to_owned(), service);
    Ok(RoleService { role, routes, services, election: None })
}

/// `druid.indexer.runner.startPort`, `endPort`, and `ports`, a JSON list.
fn peon_ports(properties: &Properties) -> Result<PeonPorts> {
    let port = |name: &str, default: u16| -> Result<u16> {
        let number = properties.int(name, i64::from(default))?;
        u16::try_from(number).map_err(|_| DruidError::invalid_input(format!("property {name} must be a port, but is {number}")))
    };
    const PORTS: &str = "druid.indexer.runner.ports";
    let list = match properties.get(PORTS).map(str::trim) {
        None | Some("") => Vec::new(),
        Some(text) => serde_json::from_str(text)
            .map_err(|error| DruidError::invalid_input(format!("property {PORTS} must be a JSON list of ports: {error}")))?,
    };
    let defaults = PeonPorts::default();
    let start = port("druid.indexer.runner.startPort", defaults.start)?;
    Ok(PeonPorts { start, end: port("druid.indexer.runner.endPort", defaults.end)?.max(start), list })
}

/// The process's one worker, shared by an Overlord and a MiddleManager in it.
async fn worker(shared: &Shared, handles: &mut TaskHandles) -> Result<Arc<Worker>> {
    if let Some(worker) = &handles.worker {
        return Ok(worker.clone());
    }
    let settings = &shared.settings;
    let program = std::env::current_exe().map_err(|e| DruidError::runtime(format!("cannot find our own program file: {e}")))?;
    let mut command = vec![program.display().to_string(), "internal".to_owned(), "peon".to_owned()];
    command.extend(super::peon::arguments(shared));
    let config = WorkerConfig {
        capacity: settings.worker_capacity,
        base_task_dirs: settings.task_dirs.clone(),
        peon_command: command,
        threads: if settings.port(NodeRole::Indexer).is_some() { Some(super::peon::threads(shared).await?) } else { None },
        peon_env: super::peon::environment(shared),
        host: settings.host.clone(),
        bind: settings.bind.clone(),
        ports: peon_ports(&settings.properties)?,
    };
    let worker = Worker::start(config).await?;
    handles.worker = Some(worker.clone());
    Ok(worker)
}
