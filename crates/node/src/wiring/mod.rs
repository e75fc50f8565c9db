//! Puts roles together: opens what outlives the process, starts each role's service and HTTP server, announces it, and takes
//! everything down again in order.

mod control;
mod discovery;
mod external;
pub mod peon;
mod query;
pub mod runtime;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use ovate_base::time::format_iso;
use ovate_base::{Budget, DruidError, Result};
use ovate_control::SegmentBell;
use ovate_net::discovery::DruidNode;
use ovate_net::server::BoundServer;
use ovate_net::status::StatusInfo;
use ovate_net::{Coordination, DiscoveredNode, Discovery, HttpClient, LeaderSelector, NodeRole, status};
use ovate_serve::cache::Cache;
use ovate_serve::data_server::DataServer;
use ovate_serve::running::RunningQueries;
use ovate_store::{MetadataStore, now_ms};
use parking_lot::RwLock;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{error, info};

use crate::config::Settings;

/// The release of Druid whose interfaces we follow; clients compare it.
pub const DRUID_VERSION: &str = "38.0.0";
/// How long a start waits for an election.
const ELECTION: Duration = Duration::from_secs(2);
/// How long a stopping process is still asked by others, which look for announcements every other second.
const PROPAGATION_MS: i64 = 3_000;
/// How long it waits for the queries that it works on.
const GRACEFUL_MS: i64 = 30_000;
/// How long shutdown waits for the servers.
const STOP: Duration = Duration::from_secs(10);

/// What the roles of one process share.
pub struct Shared {
    pub settings: Settings,
    pub client: HttpClient,
    /// Open in processes that lead, or that meet the others there.
    metadata: Option<MetadataStore>,
    pub coordination: Arc<dyn Coordination>,
    /// The same, for what only lists and announces.
    pub discovery: Arc<dyn Discovery>,
    /// What all queries of this process may hold together.
    pub query_budget: Budget,
    /// Queries that roles of this process work on.
    pub running: parking_lot::Mutex<Vec<Arc<RunningQueries>>>,
    /// The cache that roles share, once one of them uses it.
    pub cache: parking_lot::Mutex<Option<Arc<dyn Cache>>>,
    /// Data servers of this process by `host:port`, for the broker beside them.
    pub data_servers: Arc<RwLock<HashMap<String, Arc<dyn DataServer>>>>,
    /// Rings when this process publishes segments.
    pub bell: SegmentBell,
    pub shutdown: watch::Receiver<bool>,
}

impl Shared {
    /// The metadata store, of a process that takes a leading role.
    pub fn store(&self) -> Result<&MetadataStore> {
        self.metadata.as_ref().ok_or_else(|| DruidError::defensive("this process has no business with the metadata store"))
    }

    /// `host:port` of a role of this process.
    pub fn name(&self, role: NodeRole) -> String {
        format!("{}:{}", self.settings.host, self.settings.port(role).unwrap_or_else(|| role.default_port()))
    }

    /// `http://host:port` of a role of this process.
    pub fn url(&self, role: NodeRole) -> String {
        format!("http://{}", self.name(role))
    }
}

/// One role, ready to be served.
#[derive(Clone)]
pub struct RoleService {
    pub role: NodeRole,
    pub routes: Router,
    /// `dataNodeService` and the like, for the announcement.
    pub services: Map<String, Value>,
    /// Of an elected role.
    pub election: Option<Arc<dyn LeaderSelector>>,
}

/// A running process.
pub struct Process {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    servers: Vec<JoinHandle<()>>,
    ready: Vec<Arc<StatusInfo>>,
    /// Stops tasks and the like, in the order given.
    tasks: control::TaskHandles,
}

impl Process {
    /// Starts every role of the settings. Ports are bound before anything else happens, so that a second process fails fast.
    pub async fn start(settings: Settings) -> Result<Process> {
        let mut bound: Vec<(u16, BoundServer)> = Vec::new();
        for (_, port) in &settings.roles {
            if !bound.iter().any(|(other, _)| other == port) {
                bound.push((*port, BoundServer::bind(&settings.bind, *port).await?));
            }
        }
        let (stop, shutdown) = watch::channel(false);
        let (coordination, metadata) = discovery::join(&settings).await?;
        let shared = Arc::new(Shared {
            client: HttpClient::new()?,
            metadata,
            discovery: coordination.clone(),
            coordination,
            query_budget: Budget::new("druid.ovate.memory", settings.query_memory_bytes),
            running: parking_lot::Mutex::default(),
            cache: parking_lot::Mutex::default(),
            data_servers: Arc::default(),
            bell: SegmentBell::default(),
            shutdown,
            settings,
        });
        let mut process =
            Process { shared, stop, servers: Vec::new(), ready: Vec::new(), tasks: control::TaskHandles::default() };
        let services = process.services().await?;
        let status = status::routes(process.status()?);
        let local = |s: &RoleService| (s.role, s.routes.clone().merge(status.clone()), s.election.clone());
        let local = services.iter().map(local).collect::<Vec<_>>();
        for (port, server) in bound {
            let here = |service: &RoleService| process.shared.settings.port(service.role) == Some(port);
            let here: Vec<RoleService> = services.iter().filter(|service| here(service)).cloned().collect();
            process.serve(here, &local, server).await?;
        }
        Ok(process)
    }

    /// What `/status` shows.
    fn status(&mut self) -> Result<Arc<StatusInfo>> {
        let info = Arc::new(StatusInfo {
            version: DRUID_VERSION.to_owned(),
            properties: self.shared.settings.shown_properties()?,
            ready: AtomicBool::new(true),
        });
        self.ready.push(info.clone());
        Ok(info)
    }

    async fn services(&mut self) -> Result<Vec<RoleService>> {
        let mut services = Vec::new();
        for (role, _) in &self.shared.settings.roles {
            services.push(match role {
                NodeRole::Historical => query::historical(&self.shared).await?,
                NodeRole::Broker => query::broker(&self.shared).await?,
                NodeRole::Router => RoleService { role: *role, routes: Router::new(), services: Map::new(), election: None },
                NodeRole::Coordinator => control::coordinator(&self.shared).await?,
                NodeRole::Overlord => control::overlord(&self.shared, &mut self.tasks).await?,
                NodeRole::MiddleManager | NodeRole::Indexer => control::worker_role(&self.shared, *role, &mut self.tasks).await?,
                NodeRole::Peon => {
                    return Err(DruidError::unsupported(format!("role {} as a server of its own", role.name())));
                }
            });
        }
        Ok(services)
    }

    /// Serves the roles of one port: mostly one, but a Coordinator may be an Overlord too.
    async fn serve(&mut self, services: Vec<RoleService>, local: &[query::LocalRole], server: BoundServer) -> Result<()> {
        let mut routes = status::routes(self.status()?);
        for service in &services {
            routes = routes.merge(match service.role {
                NodeRole::Router => query::router(&self.shared, local),
                _ => service.routes.clone(),
            });
            wait_for_leader(service).await;
        }
        let names = services.iter().map(|service| service.role.name()).collect::<Vec<_>>().join("+");
        let (address, shutdown) = (server.address, self.shared.shutdown.clone());
        info!("listening. role={names} address={address}");
        self.servers.push(tokio::spawn(async move {
            if let Err(failure) = server.serve(routes, shutdown).await {
                error!("server ended. role={names} error={failure}");
            }
        }));
        for service in services {
            self.shared.discovery.announce(announcement(&self.shared, service)).await?;
        }
        Ok(())
    }

    /// Takes announcements back, lets open requests finish for a bounded time, stops tasks, releases leases.
    pub async fn stop(mut self) {
        info!("stopping");
        self.ready.iter().for_each(|info| info.ready.store(false, Ordering::Release));
        for (role, _) in &self.shared.settings.roles {
            if let Err(failure) = self.shared.discovery.withdraw(*role, &self.shared.name(*role)).await {
                error!("cannot withdraw an announcement, it will run out. role={} error={failure}", role.name());
            }
        }
        if let Err(failure) = self.drain().await {
            error!("stopping without waiting for queries. error={failure}");
        }
        self.tasks.stop().await;
        self.stop.send_replace(true);
        // Resigns, so that the next leader need not wait for our lease or session to run out.
        self.shared.coordination.close().await;
        for server in self.servers.drain(..) {
            let _ = tokio::time::timeout(STOP, server).await;
        }
        if let Some(store) = &self.shared.metadata {
            store.close().await;
        }
    }
}

impl Process {
    /// Goes on answering until the others have noticed that this process is gone, and its queries are done; bounded (HA-04).
    async fn drain(&self) -> Result<()> {
        let properties = &self.shared.settings.properties;
        let usual = if self.has_neighbours().await { PROPAGATION_MS } else { 0 };
        let delay = properties.millis("druid.server.http.unannouncePropagationDelay", usual)?;
        tokio::time::sleep(Duration::from_millis(delay.max(0).unsigned_abs())).await;
        let limit = properties.millis("druid.server.http.gracefulShutdownTimeout", GRACEFUL_MS)?;
        let limit = Duration::from_millis(limit.max(0).unsigned_abs());
        let end = tokio::time::Instant::now() + limit;
        let running: Vec<_> = self.shared.running.lock().clone();
        while running.iter().any(|queries| queries.count() > 0) && tokio::time::Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// True when processes elsewhere are announced.
    async fn has_neighbours(&self) -> bool {
        let mine: Vec<String> = self.shared.settings.roles.iter().map(|(role, _)| self.shared.name(*role)).collect();
        for role in [NodeRole::Broker, NodeRole::Router, NodeRole::Historical, NodeRole::Coordinator] {
            let nodes = self.shared.discovery.nodes(role).await.unwrap_or_default();
            if nodes.iter().any(|node| !mine.contains(&node.druid_node.host_and_port())) {
                return true;
            }
        }
        false
    }
}

/// Gives an election a moment to be decided, so that a role that answers can also work.
async fn wait_for_leader(service: &RoleService) {
    let Some(election) = &service.election else { return };
    let end = tokio::time::Instant::now() + ELECTION;
    while election.leader_url().is_none() && tokio::time::Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn announcement(shared: &Shared, service: RoleService) -> DiscoveredNode {
    let role = service.role;
    DiscoveredNode {
        druid_node: DruidNode {
            service: shared.settings.properties.text("druid.service", &role.default_service()).to_owned(),
            host: shared.settings.host.clone(),
            plaintext_port: shared.settings.port(role).unwrap_or_else(|| role.default_port()),
            tls_port: -1,
            bind_on_host: false,
            enable_plaintext_port: true,
            enable_tls_port: false,
            version: Some(DRUID_VERSION.to_owned()),
            labels: shared.settings.labels.clone(),
        },
        node_type: role,
        services: service.services,
        start_time: Some(format_iso(now_ms())),
        available_processors: i64::try_from(shared.settings.processing_threads).ok(),
        total_memory: None,
    }
}
