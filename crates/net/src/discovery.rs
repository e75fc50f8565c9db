//! Who is there: every process announces itself under its roles, and anybody may list them. The announcement is
//! Druid's JSON (`DiscoveryDruidNode`, `formats/cluster-protocols.md` 1.2), whatever carries it.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use ovate_base::{DruidError, Result};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::watch;

/// Druid's process roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NodeRole {
    Coordinator,
    Overlord,
    Broker,
    Historical,
    MiddleManager,
    Indexer,
    Peon,
    Router,
}

impl NodeRole {
    /// camelCase name, as in `nodeType` and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            NodeRole::Coordinator => "coordinator",
            NodeRole::Overlord => "overlord",
            NodeRole::Broker => "broker",
            NodeRole::Historical => "historical",
            NodeRole::MiddleManager => "middleManager",
            NodeRole::Indexer => "indexer",
            NodeRole::Peon => "peon",
            NodeRole::Router => "router",
        }
    }

    /// Druid's default plaintext port.
    pub fn default_port(self) -> u16 {
        match self {
            NodeRole::Coordinator => 8081,
            NodeRole::Overlord => 8090,
            NodeRole::Broker => 8082,
            NodeRole::Historical => 8083,
            NodeRole::MiddleManager | NodeRole::Indexer => 8091,
            NodeRole::Peon => 8100,
            NodeRole::Router => 8888,
        }
    }

    /// Druid's default service name, for example `druid/broker`.
    pub fn default_service(self) -> String {
        format!("druid/{}", self.name())
    }
}

impl FromStr for NodeRole {
    type Err = DruidError;

    fn from_str(text: &str) -> Result<Self> {
        const ALL: [NodeRole; 8] = [
            NodeRole::Coordinator,
            NodeRole::Overlord,
            NodeRole::Broker,
            NodeRole::Historical,
            NodeRole::MiddleManager,
            NodeRole::Indexer,
            NodeRole::Peon,
            NodeRole::Router,
        ];
        ALL.into_iter()
            .find(|role| role.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| DruidError::invalid_input(format!("unknown role [{text}]")))
    }
}

/// Where a process listens (`DruidNode`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DruidNode {
    pub service: String,
    /// Without the port.
    pub host: String,
    pub plaintext_port: u16,
    #[serde(default = "minus_one")]
    pub tls_port: i32,
    #[serde(default)]
    pub bind_on_host: bool,
    #[serde(default = "yes")]
    pub enable_plaintext_port: bool,
    #[serde(default)]
    pub enable_tls_port: bool,
    #[serde(default)]
    pub version: Option<String>,
}

fn minus_one() -> i32 {
    -1
}

fn yes() -> bool {
    true
}

impl DruidNode {
    /// `host:port`, the name Druid knows a process by.
    pub fn host_and_port(&self) -> String {
        format!("{}:{}", self.host, self.plaintext_port)
    }

    /// `http://host:port`.
    pub fn url(&self) -> String {
        format!("http://{}:{}", self.host, self.plaintext_port)
    }
}

/// One announcement (`DiscoveryDruidNode`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiscoveredNode {
    pub druid_node: DruidNode,
    pub node_type: NodeRole,
    /// `dataNodeService`, `lookupNodeService`, `workerNodeService` by key.
    #[serde(default)]
    pub services: Map<String, Value>,
    #[serde(default)]
    pub start_time: Option<String>,
    #[serde(default)]
    pub available_processors: Option<i64>,
    #[serde(default)]
    pub total_memory: Option<i64>,
}

/// Announce and list. Implementations: [`EmbeddedDiscovery`], and the metadata store's in `node`.
#[async_trait]
pub trait Discovery: Send + Sync {
    /// Announces a node until it is withdrawn or the process ends; announcing again replaces.
    async fn announce(&self, node: DiscoveredNode) -> Result<()>;
    /// Takes an announcement back.
    async fn withdraw(&self, role: NodeRole, host_and_port: &str) -> Result<()>;
    /// All live nodes of a role, ordered by host and port.
    async fn nodes(&self, role: NodeRole) -> Result<Vec<DiscoveredNode>>;
    /// Ticks when the set of nodes may have changed.
    fn changes(&self) -> watch::Receiver<u64>;
}

type Nodes = BTreeMap<(NodeRole, String), DiscoveredNode>;

/// Discovery within one process.
#[derive(Clone)]
pub struct EmbeddedDiscovery {
    nodes: Arc<RwLock<Nodes>>,
    ticks: watch::Sender<u64>,
}

impl Default for EmbeddedDiscovery {
    fn default() -> Self {
        EmbeddedDiscovery { nodes: Arc::default(), ticks: watch::channel(0).0 }
    }
}

impl EmbeddedDiscovery {
    fn tick(&self) {
        self.ticks.send_modify(|count| *count += 1);
    }
}

#[async_trait]
impl Discovery for EmbeddedDiscovery {
    async fn announce(&self, node: DiscoveredNode) -> Result<()> {
        self.nodes.write().insert((node.node_type, node.druid_node.host_and_port()), node);
        self.tick();
        Ok(())
    }

    async fn withdraw(&self, role: NodeRole, host_and_port: &str) -> Result<()> {
        self.nodes.write().remove(&(role, host_and_port.to_owned()));
        self.tick();
        Ok(())
    }

    async fn nodes(&self, role: NodeRole) -> Result<Vec<DiscoveredNode>> {
        Ok(self.nodes.read().iter().filter(|((r, _), _)| *r == role).map(|(_, node)| node.clone()).collect())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.ticks.subscribe()
    }
}
