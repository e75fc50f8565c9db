//! Discovery and election over the metadata store, for several processes without ZooKeeper: announcements with an expiry
//! that are prolonged in the background, and a fenced lease an elected role.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ovate_base::{DruidError, Result};
use ovate_net::{DiscoveredNode, Discovery, LeaderSelector, Leadership, NodeRole};
use ovate_store::meta::Lease;
use ovate_store::{MetadataStore, now_ms};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tracing::{info, warn};

/// How long an announcement or a lease lives without being prolonged.
const TTL_MS: i64 = 10_000;
/// How often both are prolonged, and the others looked at.
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
        let payload = serde_json::to_string(node).map_err(|e| DruidError::runtime(format!("cannot write an announcement: {e}")))?;
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

/// The election of one role by its lease in the metadata store.
pub struct LeaseElection {
    role: NodeRole,
    /// `http://host:port` of this process for the role.
    url: String,
    store: MetadataStore,
    state: watch::Sender<Option<Leadership>>,
    leader: RwLock<Option<String>>,
}

impl LeaseElection {
    /// Takes part from now on; gives the lease up when `shutdown` turns true.
    pub async fn start(role: NodeRole, url: String, store: MetadataStore, shutdown: watch::Receiver<bool>) -> Result<Arc<Self>> {
        let election = Arc::new(LeaseElection { role, url, store, state: watch::channel(None).0, leader: RwLock::new(None) });
        let held = election.round(None).await?;
        tokio::spawn(election.clone().campaign(held, shutdown));
        Ok(election)
    }

    async fn campaign(self: Arc<Self>, mut held: Option<Lease>, mut shutdown: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => break,
                () = tokio::time::sleep(BEAT) => {}
            }
            let expired = held.as_ref().is_some_and(|lease| lease.expires_ms <= now_ms());
            match self.round(held.clone()).await {
                Ok(lease) => held = lease,
                // Leading goes on until the lease runs out by the clock: the fence refuses what comes later.
                Err(error) if !expired => warn!("cannot reach the lease, trying again. role={} error={error}", self.role.name()),
                Err(error) => {
                    warn!("lease ran out while the metadata store was away: leading no more. role={} error={error}", self.role.name());
                    held = None;
                    self.state.send_replace(None);
                }
            }
        }
        self.state.send_replace(None);
        if let Some(lease) = held
            && let Err(error) = self.store.release_lease(&lease).await
        {
            warn!("cannot release the lease, it will run out. role={} error={error}", self.role.name());
        }
    }

    /// One try to get or keep the lease.
    async fn round(&self, held: Option<Lease>) -> Result<Option<Lease>> {
        let lease = match held {
            Some(mut lease) => {
                let now = now_ms();
                let kept = self.store.renew_lease(&lease, TTL_MS, now).await?;
                lease.expires_ms = now + TTL_MS;
                kept.then_some(lease)
            }
            None => self.store.acquire_lease(self.role.name(), &self.url, TTL_MS, now_ms()).await?,
        };
        let leadership = lease.as_ref().map(|lease| Leadership { term: lease.term });
        if *self.state.borrow() != leadership {
            match leadership {
                Some(leadership) => info!("leading. role={} term={}", self.role.name(), leadership.term),
                None => info!("not leading. role={}", self.role.name()),
            }
            self.state.send_replace(leadership);
        }
        let holder = match &lease {
            Some(_) => Some(self.url.clone()),
            None => self.store.leader(self.role.name(), now_ms()).await?.map(|lease| lease.holder),
        };
        *self.leader.write() = holder;
        Ok(lease)
    }
}

impl LeaderSelector for LeaseElection {
    fn leadership(&self) -> Option<Leadership> {
        *self.state.borrow()
    }

    fn leader_url(&self) -> Option<String> {
        self.leader.read().clone()
    }

    fn watch(&self) -> watch::Receiver<Option<Leadership>> {
        self.state.subscribe()
    }
}
