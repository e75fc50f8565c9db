//! Who is there: every process announces itself under its roles, and anybody may list them. The announcement is
//! Druid's JSON (`DiscoveryDruidNode`, `formats/cluster-protocols.md` 1.2), whatever carries it.

use std::str::FromStr;

use async_trait::async_trait;
use ovate_base::{DruidError, Result};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use crate::announcement::{DiscoveredNode, DruidNode};

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
    /// Every role.
    pub const ALL: [NodeRole; 8] = [
        NodeRole::Coordinator,
        NodeRole::Overlord,
        NodeRole::Broker,
        NodeRole::Historical,
        NodeRole::MiddleManager,
        NodeRole::Indexer,
        NodeRole::Peon,
        NodeRole::Router,
    ];

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
        NodeRole::ALL
            .into_iter()
            .find(|role| role.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| DruidError::invalid_input(format!("unknown role [{text}]")))
    }
}

/// Announce, list and watch; the half of [`crate::Coordination`] that most of a process needs.
#[async_trait]
pub trait Discovery: Send + Sync {
    /// Announces a node until it is withdrawn or the process ends; announcing again replaces. When the service that carries
    /// announcements is away, the node is announced as soon as it is back.
    async fn announce(&self, node: DiscoveredNode) -> Result<()>;
    /// Takes an announcement back.
    async fn withdraw(&self, role: NodeRole, host_and_port: &str) -> Result<()>;
    /// All live nodes of a role, ordered by host and port; the last known ones while the service is away.
    async fn nodes(&self, role: NodeRole) -> Result<Vec<DiscoveredNode>>;
    /// Ticks when the set of nodes may have changed.
    fn changes(&self) -> watch::Receiver<u64>;
}
