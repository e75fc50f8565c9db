//! Coordination by the metadata store, for a cluster without ZooKeeper: announcements are rows with an expiry that their
//! process prolongs, offices are leases ([`StoreElection`]). Readers keep the last known view while the store is away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ovate_base::{DruidError, Result};
use ovate_net::coordination::check_key;
use ovate_net::{Coordination, DiscoveredNode, Discovery, LeaderSelector, NodeRole, NodeView};
use ovate_store::meta::Announcement;
use ovate_store::{MetadataStore, now_ms};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::warn;

use crate::leader::StoreElection;

/// Default length of leases and of announcements.
pub const LEASE: Duration = Duration::from_secs(6);
/// Longest wait for the end of an election or of the heartbeat.
const CLOSE: Duration = Duration::from_secs(5);

/// A process's membership in a cluster that its metadata store coordinates.
pub struct StoreCoordination {
    inner: Arc<Inner>,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    leaders: Mutex<BTreeMap<NodeRole, Option<String>>>,
}

struct Inner {
    store: MetadataStore,
    length: Duration,
    view: NodeView,
    mine: Mutex<BTreeMap<(NodeRole, String), DiscoveredNode>>,
    /// One writer at a time, so that a withdrawal is not overtaken by a prolongation.
    writing: tokio::sync::Mutex<()>,
}

impl StoreCoordination {
    /// Begins the heartbeat. `length`: of leases and announcements.
    pub fn start(store: MetadataStore, length: Duration) -> StoreCoordination {
        let (view, mine, writing) = (NodeView::default(), Mutex::default(), tokio::sync::Mutex::default());
        let inner = Arc::new(Inner { store, length, view, mine, writing });
        let stop = watch::channel(false).0;
        let beating = tokio::spawn(inner.clone().beat(stop.subscribe()));
        StoreCoordination { inner, stop, tasks: Mutex::new(vec![beating]), leaders: Mutex::default() }
    }
}

impl Inner {
    /// Prolongs what is ours and looks at the others, four times in the life of an announcement.
    async fn beat(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut well = true;
        loop {
            let began = tokio::time::Instant::now();
            let round = tokio::time::timeout(self.length, self.round());
            let done = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                done = round => done.unwrap_or_else(|_| Err(DruidError::timeout("the metadata store does not answer"))),
            };
            match done {
                Ok(()) if !well => {
                    // Nobody could prolong anything meanwhile; give them the time to.
                    self.view.hold(self.length);
                    well = true;
                    continue;
                }
                Ok(()) => {}
                Err(error) => {
                    warn!("cannot prolong or read announcements, going on with the last known view: {error}");
                    well = false;
                }
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep_until(began + self.length / 4) => {}
            }
        }
    }

    async fn round(&self) -> Result<()> {
        self.write_all().await?;
        // Roles that somebody asked for once; a peon, say, asks for none.
        let mut lists = Vec::new();
        for role in self.view.roles() {
            let listing = self.view.begin_listing();
            lists.push((role, self.list(role).await?, listing));
        }
        for (role, list, listing) in lists {
            self.view.replace(role, list, listing);
        }
        Ok(())
    }

    /// Writes what is ours, all in one transaction: a process of many roles must not wait for the disk once for each.
    async fn write_all(&self) -> Result<()> {
        let _writing = self.writing.lock().await;
        let mine: Vec<DiscoveredNode> = self.mine.lock().values().cloned().collect();
        if mine.is_empty() {
            return Ok(());
        }
        let announcement = |node: &DiscoveredNode| Announcement {
            role: node.node_type.name().to_owned(),
            name: node.druid_node.host_and_port(),
            payload: String::from_utf8_lossy(&node.to_json()).into_owned(),
        };
        let expires = now_ms() + self.length.as_millis() as i64;
        self.store.announce_nodes(&mine.iter().map(announcement).collect::<Vec<_>>(), expires).await?;
        for node in mine {
            self.view.settle(node.node_type, &node.druid_node.host_and_port());
        }
        Ok(())
    }

    async fn list(&self, role: NodeRole) -> Result<Vec<(String, DiscoveredNode)>> {
        let payloads = self.store.nodes(role.name(), now_ms()).await?;
        let parse = |text: String| match DiscoveredNode::parse(text.as_bytes()) {
            Ok(node) => Some((node.druid_node.host_and_port(), node)),
            Err(error) => {
                warn!("an announcement is left out. role={} error={error}", role.name());
                None
            }
        };
        Ok(payloads.into_iter().filter_map(parse).collect())
    }
}

#[async_trait]
impl Discovery for StoreCoordination {
    async fn announce(&self, node: DiscoveredNode) -> Result<()> {
        let (role, name) = (node.node_type, node.druid_node.host_and_port());
        self.inner.view.add(&name, &node);
        self.inner.mine.lock().insert((role, name.clone()), node);
        if let Err(error) = self.inner.write_all().await {
            warn!("not announced yet, trying again. role={} name={name} error={error}", role.name());
        }
        Ok(())
    }

    async fn withdraw(&self, role: NodeRole, host_and_port: &str) -> Result<()> {
        self.inner.mine.lock().remove(&(role, host_and_port.to_owned()));
        self.inner.view.remove(role, host_and_port);
        let _writing = self.inner.writing.lock().await;
        let withdrawn = self.inner.store.withdraw_node(role.name(), host_and_port).await;
        self.inner.view.settle(role, host_and_port);
        withdrawn
    }

    async fn nodes(&self, role: NodeRole) -> Result<Vec<DiscoveredNode>> {
        if let Some(nodes) = self.inner.view.nodes(role) {
            return Ok(nodes);
        }
        let listing = self.inner.view.begin_listing();
        self.inner.view.replace(role, self.inner.list(role).await?, listing);
        Ok(self.inner.view.nodes(role).unwrap_or_default())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.inner.view.changes()
    }
}

#[async_trait]
impl Coordination for StoreCoordination {
    fn elect(&self, role: NodeRole, url: &str) -> Result<Arc<dyn LeaderSelector>> {
        let election = StoreElection::new(self.inner.store.clone(), role.name(), url, self.inner.length);
        self.tasks.lock().push(tokio::spawn(election.clone().run(self.stop.subscribe())));
        Ok(election)
    }

    async fn leader(&self, role: NodeRole) -> Result<Option<String>> {
        match self.inner.store.leader(role.name(), now_ms()).await {
            Ok(lease) => {
                let leader = lease.map(|lease| lease.holder);
                self.leaders.lock().insert(role, leader.clone());
                Ok(leader)
            }
            Err(error) => self.leaders.lock().get(&role).cloned().ok_or(error),
        }
    }

    async fn put_key(&self, key: &str, value: Option<&str>) -> Result<()> {
        check_key(key, value)?;
        let role = format!("key:{key}");
        match value {
            Some(value) => self.inner.store.announce_node(&role, "", value, i64::MAX).await,
            None => self.inner.store.withdraw_node(&role, "").await,
        }
    }

    async fn key(&self, key: &str) -> Result<Option<String>> {
        check_key(key, None)?;
        Ok(self.inner.store.nodes(&format!("key:{key}"), now_ms()).await?.pop())
    }

    async fn close(&self) {
        self.stop.send_replace(true);
        let mine: Vec<(NodeRole, String)> = self.inner.mine.lock().keys().cloned().collect();
        let withdrawn = async {
            for (role, name) in mine {
                if let Err(error) = self.withdraw(role, &name).await {
                    warn!("cannot withdraw an announcement, it will run out. role={} error={error}", role.name());
                }
            }
        };
        let _ = tokio::time::timeout(CLOSE, withdrawn).await;
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            let abort = task.abort_handle();
            if tokio::time::timeout(CLOSE, task).await.is_err() {
                abort.abort();
            }
        }
    }
}

impl Drop for StoreCoordination {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}
