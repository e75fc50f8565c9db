//! Keeps the view up to date: finds data servers, follows each one's announcements by long polls, and asks the Coordinator
//! for the used segments and the lookups.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use ovate_base::segment::DataSegment;
use ovate_base::{Category, DruidError, Properties, Result};
use ovate_net::{DiscoveredNode, Discovery, HttpClient, NodeRole};
use parking_lot::RwLock;
use serde_json::Value;
use tokio::sync::watch;
use tracing::{debug, info, warn};

use super::server::{KnownServer, Placement};
use super::used::UsedSegments;
use super::view::ServerView;
use crate::data_server::{DataServer, RemoteDataServer};
use crate::jvm::JvmDataServer;
use crate::lookup::LookupStore;

/// How long a long poll is held open.
const POLL: Duration = Duration::from_secs(60);
/// Longest wait for a server's word on what it speaks.
const CONNECT: Duration = Duration::from_secs(10);
/// How often a server is asked whether it is alive.
const PROBE: Duration = Duration::from_millis(500);
/// How long it may take to say so.
const PROBE_DEADLINE: Duration = Duration::from_secs(1);
/// Segments whose columns are asked for in one call, which may have to open them all.
const SCHEMAS_AT_A_TIME: usize = 2000;
/// Wait after a failed call.
const RETRY: Duration = Duration::from_millis(500);
/// How often used segments and lookups are asked for.
const REFRESH: Duration = Duration::from_secs(1);
/// How often discovery is read when it does not tick.
const REDISCOVER: Duration = Duration::from_secs(2);

/// `druid.broker.segment.*`: what a broker looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    /// `watchedTiers`; `None` for all.
    pub tiers: Option<HashSet<String>>,
    /// `ignoredTiers`.
    pub ignored_tiers: HashSet<String>,
    /// `watchedDataSources`; `None` for all.
    pub data_sources: Option<HashSet<String>>,
    /// `watchRealtimeTasks` is false.
    pub ignores_tasks: bool,
}

impl Watched {
    /// Reads the properties (`BrokerSegmentWatcherConfig`).
    pub fn from_properties(properties: &Properties) -> Result<Self> {
        let set = |name: &str| -> Result<Option<HashSet<String>>> {
            let name = format!("druid.broker.segment.{name}");
            if properties.get(&name).is_none() { Ok(None) } else { Ok(Some(properties.list(&name)?.into_iter().collect())) }
        };
        let (tiers, ignored) = (set("watchedTiers")?, set("ignoredTiers")?);
        if tiers.is_some() && ignored.is_some() {
            return Err(DruidError::invalid_input(
                "at most one of druid.broker.segment.watchedTiers and druid.broker.segment.ignoredTiers may be set",
            ));
        }
        if tiers.as_ref().is_some_and(HashSet::is_empty) {
            return Err(DruidError::invalid_input("druid.broker.segment.watchedTiers must not be empty"));
        }
        let (ignored_tiers, data_sources) = (ignored.unwrap_or_default(), set("watchedDataSources")?);
        let ignores_tasks = !properties.flag("druid.broker.segment.watchRealtimeTasks", true)?;
        Ok(Watched { tiers, ignored_tiers, data_sources, ignores_tasks })
    }

    fn has_tier(&self, tier: &str) -> bool {
        self.tiers.as_ref().is_none_or(|tiers| tiers.contains(tier)) && !self.ignored_tiers.contains(tier)
    }

    pub(super) fn has_table(&self, table: &str) -> bool {
        self.data_sources.as_ref().is_none_or(|tables| tables.contains(table))
    }
}

/// Follows everything a broker must know.
pub struct Follower {
    pub view: Arc<ServerView>,
    pub lookups: Arc<LookupStore>,
    pub client: HttpClient,
    pub discovery: Arc<dyn Discovery>,
    /// The used segments, which are asked for here.
    pub used: Arc<UsedSegments>,
    /// Which servers and tables this broker cares about.
    pub watched: Watched,
    /// How often the columns of running tasks' segments are asked for again (`druid.sql.planner.metadataRefreshPeriod`).
    pub metadata_refresh: Duration,
    /// Data servers of this very process by `host:port`; the others are reached over HTTP.
    pub local: Arc<RwLock<HashMap<String, Arc<dyn DataServer>>>>,
}

impl Follower {
    /// Runs until `shutdown` turns true.
    pub async fn run(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => {}
            () = self.clone().follow_servers() => {}
            () = self.clone().follow_coordinator() => {}
        }
    }

    async fn follow_servers(self: Arc<Self>) {
        let mut followed: HashMap<String, tokio::task::JoinHandle<()>> = HashMap::new();
        let mut changes = self.discovery.changes();
        loop {
            match self.data_nodes().await {
                Ok(nodes) => {
                    let found: HashMap<String, (String, Placement)> = nodes.iter().map(placed).collect();
                    let found: HashMap<_, _> =
                        found.into_iter().filter(|(_, (_, placement))| self.watched.has_tier(&placement.tier)).collect();
                    followed.retain(|name, task| {
                        let there = found.contains_key(name);
                        if !there {
                            task.abort();
                            self.view.remove_server(name);
                            info!("data server is gone. server={name}");
                        }
                        there
                    });
                    for (name, (url, placement)) in found {
                        let follow = || tokio::spawn(self.clone().follow_server(name.clone(), url, placement));
                        followed.entry(name.clone()).or_insert_with(follow);
                    }
                }
                Err(error) => warn!("cannot list data servers. error={error}"),
            }
            let _ = tokio::time::timeout(REDISCOVER, changes.changed()).await;
        }
    }

    /// Everything that serves segments: Historicals, and tasks and Indexers that announce a data node's service.
    async fn data_nodes(&self) -> Result<Vec<DiscoveredNode>> {
        let mut nodes = self.discovery.nodes(NodeRole::Historical).await?;
        let tasks: &[NodeRole] = if self.watched.ignores_tasks { &[] } else { &[NodeRole::Peon, NodeRole::Indexer] };
        for role in tasks.iter().copied() {
            let serves = |node: &DiscoveredNode| node.services.contains_key("dataNodeService");
            nodes.extend(self.discovery.nodes(role).await?.into_iter().filter(serves));
        }
        Ok(nodes)
    }

    /// The server in the protocol that it speaks: ours, or Druid's.
    async fn connect(&self, name: &str, url: &str) -> Result<Arc<dyn DataServer>> {
        if let Some(server) = self.local.read().get(name) {
            return Ok(server.clone());
        }
        let (client, name) = (self.client.clone(), name.to_owned());
        let path = format!("{url}/druid-internal/v1/ovate");
        match self.client.get_json::<Value>(&path, CONNECT).await {
            Ok(_) => Ok(Arc::new(RemoteDataServer::new(client, name, url.to_owned()))),
            Err(error) if matches!(error.http_status(), 401 | 403 | 404 | 405) => {
                info!("data server speaks Druid's own protocol. server={name}");
                Ok(Arc::new(JvmDataServer::new(client, name, url.to_owned())))
            }
            Err(error) => Err(error),
        }
    }

    async fn follow_server(self: Arc<Self>, name: String, url: String, placement: Placement) {
        let server = loop {
            match self.connect(&name, &url).await {
                Ok(server) => break server,
                Err(error) => debug!("cannot reach a data server, trying again. server={name} error={error}"),
            }
            tokio::time::sleep(RETRY).await;
        };
        let server = Arc::new(KnownServer::new(server, placement));
        if self.local.read().contains_key(&name) {
            return self.poll_server(&server, &url).await;
        }
        tokio::select! {
            () = self.poll_server(&server, &url) => {}
            () = self.probe(&server, &url) => {}
            () = self.look_again(&server) => {}
        }
    }

    /// Asks a running task now and then what columns its segments have by now.
    async fn look_again(&self, server: &KnownServer) {
        if !server.grows() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(self.metadata_refresh).await;
            let mut tables: HashMap<Arc<str>, Vec<Arc<DataSegment>>> = HashMap::new();
            for segment in self.view.growing_at(server.name()) {
                tables.entry(segment.data_source.clone()).or_default().push(segment);
            }
            for (table, segments) in tables {
                let descriptors: Vec<_> = segments.iter().map(|segment| super::descriptor(segment, segment.interval)).collect();
                match server.server.schemas(&table, &descriptors).await {
                    Ok(schemas) => {
                        let told = segments.into_iter().zip(schemas).filter_map(|(segment, schema)| Some((segment, schema?)));
                        self.view.set_schemas(told.collect());
                    }
                    Err(error) => {
                        debug!("cannot ask for the columns of a task's segments. server={} error={error}", server.name())
                    }
                }
            }
        }
    }

    /// Asks every moment whether the server answers at all, so that queries do not wait for one that does not.
    async fn probe(&self, server: &KnownServer, url: &str) {
        let path = format!("{url}/status/health");
        loop {
            let answered = self.client.get_text(&path, PROBE_DEADLINE).await;
            // Any answer shows that it is alive, also "not allowed".
            let silent = |e: &DruidError| matches!(e.category, Category::ServiceUnavailable | Category::Timeout);
            let stable = !answered.as_ref().is_err_and(silent);
            if stable != server.is_stable() {
                info!("a data server {}. server={}", if stable { "answers again" } else { "does not answer" }, server.name());
            }
            server.set_stable(stable);
            tokio::time::sleep(PROBE).await;
        }
    }

    async fn poll_server(&self, server: &Arc<KnownServer>, url: &str) {
        let name = server.name();
        let mut position: Option<(i64, i64)> = None;
        loop {
            match self.poll(server, url, position).await {
                Ok(next) => position = next,
                Err(error) => {
                    warn!("cannot follow the segments of a data server, trying again. server={name} error={error}");
                    position = None;
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// One poll: the full list when there is no position yet, else what changed since. Gives the next position.
    async fn poll(&self, server: &Arc<KnownServer>, url: &str, position: Option<(i64, i64)>) -> Result<Option<(i64, i64)>> {
        let (counter, hash) = position.unwrap_or((-1, 0));
        let path = format!("{url}/druid-internal/v1/segments?counter={counter}&hash={hash}&timeout={}", POLL.as_millis());
        let bytes = self.client.send(self.client.raw().get(&path), &path, POLL + Duration::from_secs(10)).await?;
        if bytes.is_empty() {
            return Ok(position);
        }
        let answer: Value = ovate_net::body::parse_json(&bytes)?;
        if answer["resetCounter"].as_bool() == Some(true) {
            return Ok(None);
        }
        self.apply(server, &answer).await?;
        if position.is_none() {
            // The full list: what is not in it is gone. The rest was never out of sight meanwhile.
            let loads = answer["requests"].as_array().into_iter().flatten();
            let listed = loads.map(|request| DataSegment::from_json(request).map(|segment| segment.id()));
            self.view.retain(server.name(), &listed.collect::<Result<_>>()?);
        }
        let number = |key: &str| answer["counter"][key].as_i64();
        Ok(number("counter").zip(number("hash")))
    }

    async fn apply(&self, server: &Arc<KnownServer>, answer: &Value) -> Result<()> {
        let mut loads: HashMap<String, Vec<DataSegment>> = HashMap::new();
        let mut drops = Vec::new();
        for request in answer["requests"].as_array().into_iter().flatten() {
            let action = request["action"].as_str().unwrap_or_default();
            if !matches!(action, "load" | "drop") {
                continue;
            }
            let segment = DataSegment::from_json(request)?;
            if !self.watched.has_table(&segment.data_source) {
                continue;
            }
            if action == "load" {
                loads.entry(segment.data_source.to_string()).or_default().push(segment);
            } else {
                // A load and a drop of one segment in one answer leave it dropped: the log is in order.
                loads.values_mut().for_each(|list| list.retain(|other| *other != segment));
                drops.push(segment);
            }
        }
        if !drops.is_empty() {
            self.view.remove(server.name(), &drops);
        }
        for (table, segments) in loads {
            // What any server told before is not asked for again: a server that has started anew need not open its segments.
            let told = segments.into_iter().map(|segment| (self.view.schema_of(&segment), segment));
            let (known, unknown): (Vec<_>, Vec<_>) = told.partition(|(schema, _)| schema.is_some());
            let known: Vec<_> = known.into_iter().filter_map(|(schema, segment)| Some((segment, schema?))).collect();
            if !known.is_empty() {
                self.view.add(server, known);
            }
            for part in unknown.chunks(SCHEMAS_AT_A_TIME) {
                let descriptors: Vec<_> = part.iter().map(|(_, segment)| super::descriptor(segment, segment.interval)).collect();
                let schemas = server.server.schemas(&table, &descriptors).await?;
                let told =
                    part.iter().zip(schemas).filter_map(|((_, segment), schema)| Some((segment.clone(), Arc::new(schema?))));
                self.view.add(server, told.collect());
            }
        }
        Ok(())
    }

    async fn follow_coordinator(self: Arc<Self>) {
        let mut reported = None;
        loop {
            if let Err(error) = self.refresh().await {
                let text = error.to_string();
                // Said once until it changes: a coordinator may be away for long, and queries go on.
                if reported.as_ref() != Some(&text) {
                    warn!("cannot refresh used segments and lookups from the coordinator, trying again. error={text}");
                    reported = Some(text);
                }
            } else {
                reported = None;
            }
            tokio::time::sleep(REFRESH).await;
        }
    }

    async fn refresh(&self) -> Result<()> {
        match self.used.refresh().await? {
            Some(coordinator) => self.lookups.refresh(&self.client, &coordinator).await,
            None => Ok(()),
        }
    }
}

/// Name, address and place of an announced server.
fn placed(node: &DiscoveredNode) -> (String, (String, Placement)) {
    let data = node.services.get("dataNodeService").unwrap_or(&Value::Null);
    let default = Placement::default();
    let text = |key: &str, default: String| data[key].as_str().map_or(default, str::to_owned);
    let placement = Placement {
        tier: text("tier", default.tier),
        priority: data["priority"].as_i64().unwrap_or(default.priority),
        server_type: text("serverType", default.server_type),
        max_bytes: data["maxSize"].as_i64().unwrap_or(default.max_bytes),
    };
    (node.druid_node.host_and_port(), (node.druid_node.url(), placement))
}
