//! Data servers and what they serve: followed by long polls (`HttpServerInventoryView`), and told to load and drop
//! through their load queues (`HttpLoadQueuePeon`). A server that disappears from discovery is forgotten.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use ovate_base::{DataSegment, Result, SegmentId};
use ovate_net::{DiscoveredNode, Discovery, HttpClient, NodeRole};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::plan::ServerSnapshot;
use super::rules::DEFAULT_TIER;

/// How long one long poll lasts.
const POLL: Duration = Duration::from_secs(60);
/// Waits after a failed call.
const RETRY: Duration = Duration::from_secs(1);
/// How often discovery is asked, besides when it ticks.
const DISCOVER: Duration = Duration::from_secs(5);
/// Changes sent in one request.
const BATCH_MAX: usize = 32;
/// How long a server may take for a batch of loads.
const LOAD_TIMEOUT: Duration = Duration::from_secs(300);

/// All data servers.
pub struct Inventory {
    client: HttpClient,
    discovery: Arc<dyn Discovery>,
    servers: Mutex<BTreeMap<String, Arc<Server>>>,
    /// Ticks when what is served has changed.
    changes: watch::Sender<u64>,
    /// Servers that load as fast as they can.
    turbo: Turbo,
}

/// Names shared with the queue workers.
type Turbo = Arc<Mutex<std::collections::BTreeSet<String>>>;

/// One data server.
pub struct Server {
    pub node: DiscoveredNode,
    pub name: String,
    pub tier: String,
    pub max_bytes: i64,
    pub priority: i64,
    pub server_type: String,
    state: Mutex<ServerState>,
    queued: Notify,
}

#[derive(Default)]
struct ServerState {
    /// The full list has been read once.
    synced: bool,
    served: Arc<HashMap<SegmentId, Arc<DataSegment>>>,
    loads: HashMap<SegmentId, Arc<DataSegment>>,
    drops: HashMap<SegmentId, Arc<DataSegment>>,
    /// Loads that failed; they are tried again after a while.
    failed: HashMap<SegmentId, (Arc<DataSegment>, tokio::time::Instant)>,
}

/// A failed load is not asked for again before this.
const FAILED_WAIT: Duration = Duration::from_secs(10);

impl Inventory {
    pub fn new(client: HttpClient, discovery: Arc<dyn Discovery>) -> Inventory {
        Inventory { client, discovery, servers: Mutex::default(), changes: watch::channel(0).0, turbo: Turbo::default() }
    }

    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The servers, by name.
    pub fn servers(&self) -> Vec<Arc<Server>> {
        self.servers.lock().values().cloned().collect()
    }

    /// Servers that serve a segment.
    pub fn serving(&self, id: &SegmentId) -> Vec<Arc<Server>> {
        self.servers().into_iter().filter(|server| server.state.lock().served.contains_key(id)).collect()
    }

    /// Follows all servers until dropped. What an earlier run knew is forgotten: nobody followed the servers since, and what it
    /// had asked of them was an earlier term's wish.
    pub async fn run(&self) {
        self.servers.lock().clear();
        let mut followers = JoinSet::new();
        let mut changes = self.discovery.changes();
        loop {
            changes.borrow_and_update();
            match self.discovery.nodes(NodeRole::Historical).await {
                Ok(nodes) => self.update(nodes, &mut followers),
                Err(error) => warn!("cannot list data servers: {error}"),
            }
            let _ = tokio::time::timeout(DISCOVER, changes.changed()).await;
        }
    }

    fn update(&self, nodes: Vec<DiscoveredNode>, followers: &mut JoinSet<()>) {
        let mut servers = self.servers.lock();
        let names: HashSet<String> = nodes.iter().map(|node| node.druid_node.host_and_port()).collect();
        servers.retain(|name, _| names.contains(name));
        for node in nodes {
            let name = node.druid_node.host_and_port();
            if servers.get(&name).is_some_and(|known| known.node == node) {
                continue;
            }
            info!(server = %name, "data server joins");
            let server = Arc::new(Server::new(name.clone(), node));
            // Followers end when the map holds another server, or none, under their name.
            followers.spawn(follow(self.client.clone(), server.clone(), self.changes.clone()));
            followers.spawn(work_queue(self.client.clone(), server.clone(), self.changes.clone(), self.turbo.clone()));
            servers.insert(name, server);
        }
        while followers.try_join_next().is_some() {}
        self.changes.send_modify(|count| *count += 1);
    }

    /// Names the servers that load as fast as they can (`turboLoadingNodes`).
    pub fn set_turbo(&self, names: std::collections::BTreeSet<String>) {
        *self.turbo.lock() = names;
    }

    /// Asks a server to load a segment.
    pub fn queue_load(&self, name: &str, segment: Arc<DataSegment>) {
        if let Some(server) = self.servers.lock().get(name) {
            server.state.lock().loads.insert(segment.id(), segment);
            server.queued.notify_one();
        }
    }

    /// Asks a server to drop a segment.
    pub fn queue_drop(&self, name: &str, segment: Arc<DataSegment>) {
        if let Some(server) = self.servers.lock().get(name) {
            server.state.lock().drops.insert(segment.id(), segment);
            server.queued.notify_one();
        }
    }
}

impl Server {
    fn new(name: String, node: DiscoveredNode) -> Server {
        let data = node.services.get("dataNodeService").cloned().unwrap_or(Value::Null);
        let text = |key: &str, default: &str| data.get(key).and_then(Value::as_str).unwrap_or(default).to_owned();
        let number = |key: &str, default: i64| data.get(key).and_then(Value::as_i64).unwrap_or(default);
        Server {
            name,
            tier: text("tier", DEFAULT_TIER),
            max_bytes: number("maxSize", i64::MAX),
            priority: number("priority", 0),
            server_type: text("serverType", "historical"),
            node,
            state: Mutex::default(),
            queued: Notify::new(),
        }
    }

    /// What the planner needs; `None` until the server's list is known.
    pub fn snapshot(&self, decommissioning: bool) -> Option<ServerSnapshot> {
        let state = self.state.lock();
        let failed = state.failed.iter().filter(|(_, (_, since))| since.elapsed() < FAILED_WAIT);
        let failed = failed.map(|(id, (segment, _))| (id.clone(), segment.clone()));
        state.synced.then(|| ServerSnapshot {
            name: self.name.clone(),
            tier: self.tier.clone(),
            max_bytes: self.max_bytes,
            served: state.served.clone(),
            // What has just failed counts as asked for, so that it is not asked for again at once.
            loading: state.loads.iter().map(|(id, segment)| (id.clone(), segment.clone())).chain(failed).collect(),
            dropping: state.drops.keys().cloned().collect(),
            decommissioning,
        })
    }

    pub fn served(&self) -> Vec<Arc<DataSegment>> {
        self.state.lock().served.values().cloned().collect()
    }

    pub fn used_bytes(&self) -> i64 {
        self.state.lock().served.values().map(|segment| segment.size).sum()
    }

    /// Segments asked to be loaded, and to be dropped.
    pub fn queue(&self) -> (Vec<Arc<DataSegment>>, Vec<Arc<DataSegment>>) {
        let state = self.state.lock();
        (state.loads.values().cloned().collect(), state.drops.values().cloned().collect())
    }

    /// Applies one answer of the segment list; gives the position to ask from next.
    fn apply(&self, answer: &Value) -> Option<(i64, i64)> {
        if answer["resetCounter"].as_bool() == Some(true) {
            return None;
        }
        let position = (answer["counter"]["counter"].as_i64()?, answer["counter"]["hash"].as_i64().unwrap_or(0));
        let state = &mut *self.state.lock();
        for request in answer["requests"].as_array().into_iter().flatten() {
            let Ok(segment) = DataSegment::from_json(request) else { continue };
            let id = segment.id();
            match request["action"].as_str() {
                Some("load") => {
                    state.loads.remove(&id);
                    Arc::make_mut(&mut state.served).insert(id, Arc::new(segment));
                }
                Some("drop") => {
                    state.drops.remove(&id);
                    Arc::make_mut(&mut state.served).remove(&id);
                }
                _ => {}
            }
        }
        state.synced = true;
        Some(position)
    }
}

/// Follows a server's list until the task is aborted.
async fn follow(client: HttpClient, server: Arc<Server>, changes: watch::Sender<u64>) {
    let mut position: Option<(i64, i64)> = None;
    let mut failing = false;
    while !is_forgotten(&server) {
        let query = match position {
            None => "counter=-1".to_owned(),
            Some((counter, hash)) => format!("counter={counter}&hash={hash}"),
        };
        let url = format!("{}/druid-internal/v1/segments?{query}&timeout={}", server.node.druid_node.url(), POLL.as_millis());
        let answer = client.send(client.raw().get(&url), &url, POLL + Duration::from_secs(10)).await;
        match answer {
            Ok(bytes) if bytes.is_empty() => {}
            Ok(bytes) => {
                failing = false;
                if position.is_none() {
                    server.state.lock().served = Arc::default();
                }
                position = serde_json::from_slice::<Value>(&bytes).ok().and_then(|answer| server.apply(&answer));
                changes.send_modify(|count| *count += 1);
            }
            Err(error) => {
                if !failing {
                    warn!(server = %server.name, "cannot follow the data server, trying again: {error}");
                }
                failing = true;
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Sends a server its changes until the task is aborted.
async fn work_queue(client: HttpClient, server: Arc<Server>, changes: watch::Sender<u64>, turbo: Turbo) {
    while !is_forgotten(&server) {
        let batch = {
            let state = server.state.lock();
            let drops = state.drops.values().map(|segment| ("drop", segment.clone()));
            let mut loads: Vec<_> = state.loads.values().map(|segment| ("load", segment.clone())).collect();
            loads.sort_by_key(|(_, segment)| std::cmp::Reverse(segment.interval));
            drops.chain(loads).take(BATCH_MAX).collect::<Vec<_>>()
        };
        if batch.is_empty() {
            let _ = tokio::time::timeout(POLL, server.queued.notified()).await;
            continue;
        }
        let mode = if turbo.lock().contains(&server.name) { "TURBO" } else { "NORMAL" };
        if let Err(error) = send(&client, &server, &batch, mode).await {
            warn!(server = %server.name, "cannot change the data server's segments: {error}");
            tokio::time::sleep(RETRY).await;
        }
        changes.send_modify(|count| *count += 1);
    }
}

async fn send(client: &HttpClient, server: &Server, batch: &[(&str, Arc<DataSegment>)], mode: &str) -> Result<()> {
    let request = |(action, segment): &(&str, Arc<DataSegment>)| {
        let mut request = serde_json::Map::new();
        request.insert("action".into(), json!(action));
        if let Value::Object(fields) = segment.to_json() {
            request.extend(fields);
        }
        Value::Object(request)
    };
    let body: Vec<Value> = batch.iter().map(request).collect();
    let path = "druid-internal/v1/segments/changeRequests";
    let url = format!("{}/{path}?timeout={}&loadingMode={mode}", server.node.druid_node.url(), LOAD_TIMEOUT.as_millis());
    let answer: Value = client.post_json(&url, &body, LOAD_TIMEOUT + Duration::from_secs(10)).await?;
    let state = &mut *server.state.lock();
    for one in answer.as_array().into_iter().flatten() {
        let Ok(segment) = DataSegment::from_json(&one["request"]) else { continue };
        let id = segment.id();
        let status = one["status"]["state"].as_str().unwrap_or_default();
        match (one["request"]["action"].as_str(), status) {
            (_, "PENDING") => {}
            (Some("load"), "SUCCESS") => {
                state.loads.remove(&id);
                state.failed.remove(&id);
                Arc::make_mut(&mut state.served).insert(id, Arc::new(segment));
            }
            (Some("load"), _) => {
                warn!(server = %server.name, segment = %id, "load failed: {}", one["status"]["failureCause"]);
                state.loads.remove(&id);
                state.failed.insert(id, (Arc::new(segment), tokio::time::Instant::now()));
            }
            (Some("drop"), _) => {
                state.drops.remove(&id);
                if status == "SUCCESS" {
                    Arc::make_mut(&mut state.served).remove(&id);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Only the follower, the queue worker and this check hold it: the inventory has let it go.
fn is_forgotten(server: &Arc<Server>) -> bool {
    Arc::strong_count(server) <= 2
}
