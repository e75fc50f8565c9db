//! Discovery over the metadata store, for several processes without ZooKeeper: announcements with an expiry that are
//! prolonged in the background. Elections are `control`'s, by leases in the same store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ovate_base::{DruidError, Result};
use ovate_net::{DiscoveredNode, Discovery, NodeRole};
use ovate_store::{MetadataStore, now_ms};
use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::warn;

/// How long an announcement lives without being prolonged.
const TTL_MS: i64 = 10_000;
/// How often it is prolonged, and the others looked at.
const BEAT: Duration = Duration::from_millis(1500);

/// Announcements in the metadata store.
pub struct StoreDiscovery {
    store: MetadataStore,
    mine: Mutex<BTreeMap<(NodeRole, String), DiscoveredNode>>,
    ticks: watch::Sender<u64>,
}

impl StoreDiscovery {
    /// Starts the heartbeat, which ends with `shutdown`.
    pub fn start(store: MetadataStore, shutdown: watch::Receiver<bool>) -> Arc<Self> {
        let discovery = Arc::new(StoreDiscovery { store, mine: Mutex::default(), ticks: watch::channel(0).0 });
        tokio::spawn(discovery.clone().beat(shutdown));
        discovery
    }

    async fn beat(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(BEAT) => {}
            }
            let mine: Vec<DiscoveredNode> = self.mine.lock().values().cloned().collect();
            for node in mine {
                if let Err(error) = self.write(&node).await {
                    warn!("cannot prolong an announcement. role={} error={error}", node.node_type.name());
                }
            }
            self.ticks.send_modify(|count| *count += 1);
        }
    }

    async fn write(&self, node: &DiscoveredNode) -> Result<()> {
        let payload =
            serde_json::to_string(node).map_err(|e| DruidError::runtime(format!("cannot write an announcement: {e}")))?;
        let name = node.druid_node.host_and_port();
        self.store.announce_node(node.node_type.name(), &name, &payload, now_ms() + TTL_MS).await
    }
}

#[async_trait]
impl Discovery for StoreDiscovery {
    async fn announce(&self, node: DiscoveredNode) -> Result<()> {
        self.write(&node).await?;
        self.mine.lock().insert((node.node_type, node.druid_node.host_and_port()), node);
        self.ticks.send_modify(|count| *count += 1);
        Ok(())
    }

    async fn withdraw(&self, role: NodeRole, host_and_port: &str) -> Result<()> {
        self.mine.lock().remove(&(role, host_and_port.to_owned()));
        self.store.withdraw_node(role.name(), host_and_port).await
    }

    async fn nodes(&self, role: NodeRole) -> Result<Vec<DiscoveredNode>> {
        let payloads = self.store.nodes(role.name(), now_ms()).await?;
        let parse = |text: &String| {
            serde_json::from_str(text).map_err(|e| DruidError::runtime(format!("damaged announcement of a {}: {e}", role.name())))
        };
        payloads.iter().map(parse).collect()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.ticks.subscribe()
    }
}
