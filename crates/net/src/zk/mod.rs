//! Coordination by a real ZooKeeper in Druid's own layout (`CuratorDruidNodeAnnouncer`, `CuratorDruidLeaderSelector`), so
//! that JVM processes and ours see one another. One session a process; when it is lost, a new one is made with a bounded
//! backoff and everything is announced again. Whatever happens to ZooKeeper, the last known view of the cluster stays.

mod client;
mod follow;
mod latch;
mod session;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use ovate_base::{DruidError, Result};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant};
use tracing::warn;
use zookeeper_client::{CreateMode, Error};

use crate::coordination::{Coordination, TermSource, check_key};
use crate::discovery::{DiscoveredNode, Discovery, NodeRole};
use crate::election::LeaderSelector;
use crate::view::NodeView;
use client::{decode, make_folder, options, put_ephemeral, remove, within, zk_error};
use session::Link;
pub use settings::ZkSettings;

/// How long a caller waits for ZooKeeper before it is told that there is none.
const FIRST_CONTACT: Duration = Duration::from_secs(15);
/// How long closing may take.
const CLOSE: Duration = Duration::from_secs(5);

/// A process's membership in a cluster that ZooKeeper coordinates.
pub struct ZkCoordination {
    inner: Arc<Inner>,
    terms: Option<Arc<dyn TermSource>>,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// What the tasks of one membership share.
struct Inner {
    settings: ZkSettings,
    link: watch::Sender<Link>,
    /// Announcements of this process by role and name.
    mine: Mutex<BTreeMap<(NodeRole, String), DiscoveredNode>>,
    /// One writer of announcements at a time, so that a withdrawal is not overtaken by the keeper.
    writing: tokio::sync::Mutex<()>,
    /// Wakes the keeper of announcements.
    wanted: Notify,
    view: NodeView,
    /// Roles that somebody asked for; they are followed from then on.
    asked: watch::Sender<BTreeSet<NodeRole>>,
    leaders: RwLock<BTreeMap<NodeRole, Option<String>>>,
    leader_ticks: watch::Sender<u64>,
}

impl ZkCoordination {
    /// Begins to connect; does not wait for it. `terms` fence what this process writes as a leader; a process that takes part
    /// in no election needs none.
    pub fn start(settings: ZkSettings, terms: Option<Arc<dyn TermSource>>) -> ZkCoordination {
        let inner = Arc::new(Inner {
            settings,
            link: watch::channel(Link::Lost).0,
            mine: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            wanted: Notify::new(),
            view: NodeView::default(),
            asked: watch::Sender::default(),
            leaders: RwLock::default(),
            leader_ticks: watch::channel(0).0,
        });
        let stop = watch::channel(false).0;
        let running = tokio::spawn(session::run(inner.clone(), stop.subscribe()));
        ZkCoordination { inner, terms, stop, tasks: Mutex::new(vec![running]) }
    }

    /// The session now, or after a wait for the first contact.
    async fn client(&self) -> Result<zookeeper_client::Client> {
        let mut link = self.inner.link.subscribe();
        let up = tokio::time::timeout(FIRST_CONTACT, link.wait_for(|link| matches!(link, Link::Up { .. }))).await;
        match up.ok().and_then(std::result::Result::ok).as_deref() {
            Some(Link::Up { client, .. }) => Ok(client.clone()),
            _ => Err(self.unreachable()),
        }
    }

    fn unreachable(&self) -> DruidError {
        DruidError::service_unavailable(format!("ZooKeeper is not reachable at [{}]", self.inner.settings.hosts))
    }
}

impl Inner {
    fn announcement_path(&self, role: NodeRole, name: &str) -> String {
        format!("{}/{name}", self.settings.announcements(role))
    }

    /// Writes one of this process's announcements, unless it was withdrawn meanwhile.
    async fn write(&self, client: &zookeeper_client::Client, role: NodeRole, name: &str) -> std::result::Result<(), Error> {
        let _writing = self.writing.lock().await;
        let Some(node) = self.mine.lock().get(&(role, name.to_owned())).cloned() else { return Ok(()) };
        let data = client::encode(&self.settings, &node.to_json());
        put_ephemeral(client, &self.settings, &self.announcement_path(role, name), &data).await?;
        self.view.settle(role, name);
        Ok(())
    }
}

#[async_trait]
impl Discovery for ZkCoordination {
    async fn announce(&self, node: DiscoveredNode) -> Result<()> {
        let (role, name) = (node.node_type, node.druid_node.host_and_port());
        self.inner.view.add(&name, &node);
        self.inner.mine.lock().insert((role, name.clone()), node);
        let written = match self.client().await {
            Ok(client) => self.inner.write(&client, role, &name).await.map_err(|e| zk_error("cannot announce", &e)),
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            warn!("not announced yet, trying again. role={} name={name} error={error}", role.name());
            self.inner.wanted.notify_one();
        }
        Ok(())
    }

    async fn withdraw(&self, role: NodeRole, host_and_port: &str) -> Result<()> {
        self.inner.mine.lock().remove(&(role, host_and_port.to_owned()));
        self.inner.view.remove(role, host_and_port);
        let Link::Up { client, .. } = self.inner.link.borrow().clone() else {
            self.inner.view.settle(role, host_and_port);
            return Ok(());
        };
        let _writing = self.inner.writing.lock().await;
        let path = self.inner.announcement_path(role, host_and_port);
        let removed = remove(&client, &path).await;
        self.inner.view.settle(role, host_and_port);
        removed.map_err(|e| zk_error("cannot withdraw an announcement", &e))
    }

    async fn nodes(&self, role: NodeRole) -> Result<Vec<DiscoveredNode>> {
        if let Some(nodes) = self.inner.view.nodes(role) {
            return Ok(nodes);
        }
        self.inner.asked.send_if_modified(|asked| asked.insert(role));
        let mut changes = self.inner.view.changes();
        let end = Instant::now() + FIRST_CONTACT;
        loop {
            if let Some(nodes) = self.inner.view.nodes(role) {
                return Ok(nodes);
            }
            // A role without nodes is listed without a tick, so look again now and then.
            let _ = tokio::time::timeout(Duration::from_millis(50), changes.changed()).await;
            if Instant::now() > end {
                return Err(self.unreachable());
            }
        }
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.inner.view.changes()
    }
}

#[async_trait]
impl Coordination for ZkCoordination {
    fn elect(&self, role: NodeRole, url: &str) -> Result<Arc<dyn LeaderSelector>> {
        let Some(folder) = self.inner.settings.latch(role) else {
            return Err(DruidError::unsupported(format!("an election of the role {}", role.name())));
        };
        let terms = self.terms.clone().ok_or_else(|| DruidError::defensive("an election without a source of terms"))?;
        let (selector, running) = latch::start(self.inner.clone(), terms, role, folder, url, self.stop.subscribe());
        self.tasks.lock().push(running);
        Ok(selector)
    }

    async fn leader(&self, role: NodeRole) -> Result<Option<String>> {
        let mut ticks = self.inner.leader_ticks.subscribe();
        let known = tokio::time::timeout(FIRST_CONTACT, async {
            loop {
                if let Some(leader) = self.inner.leaders.read().get(&role).cloned() {
                    return leader;
                }
                if ticks.changed().await.is_err() {
                    return None;
                }
            }
        });
        known.await.map_err(|_| self.unreachable())
    }

    async fn put_key(&self, key: &str, value: Option<&str>) -> Result<()> {
        check_key(key, value)?;
        let client = self.client().await?;
        let settings = &self.inner.settings;
        let path = format!("{}/{key}", settings.keys());
        let put = async {
            let Some(value) = value else { return remove(&client, &path).await };
            make_folder(&client, settings, &settings.keys()).await?;
            let mode = options(settings, CreateMode::Persistent);
            match within(client.create(&path, value.as_bytes(), &mode)).await {
                Err(Error::NodeExists) => within(client.set_data(&path, value.as_bytes(), None)).await.map(drop),
                other => other.map(drop),
            }
        };
        put.await.map_err(|e| zk_error(&format!("cannot write the key [{key}]"), &e))
    }

    async fn key(&self, key: &str) -> Result<Option<String>> {
        check_key(key, None)?;
        let client = self.client().await?;
        let path = format!("{}/{key}", self.inner.settings.keys());
        match within(client.get_data(&path)).await {
            Ok((data, _)) => Ok(Some(String::from_utf8_lossy(&decode(&data)?).into_owned())),
            Err(Error::NoNode) => Ok(None),
            Err(error) => Err(zk_error(&format!("cannot read the key [{key}]"), &error)),
        }
    }

    async fn close(&self) {
        self.inner.mine.lock().clear();
        self.stop.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks.lock());
        // Elections first: the session is the first task and waits for nobody, but its end releases everything anyway.
        for task in tasks.into_iter().rev() {
            let abort = task.abort_handle();
            if tokio::time::timeout(CLOSE, task).await.is_err() {
                abort.abort();
            }
        }
    }
}

impl Drop for ZkCoordination {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}
