//! Coordination within one process: a shared world, and one handle for each taker-part. The first to stand for an office
//! holds it; when its handle closes, the next one does, in a higher term.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use ovate_base::Result;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::coordination::{Coordination, check_key};
use crate::discovery::{DiscoveredNode, Discovery, NodeRole};
use crate::election::{LeaderSelector, Leadership};

#[derive(Default)]
struct World {
    nodes: Mutex<BTreeMap<(NodeRole, String), DiscoveredNode>>,
    elections: Mutex<BTreeMap<NodeRole, Election>>,
    keys: Mutex<BTreeMap<String, String>>,
    ticks: watch::Sender<u64>,
    handles: AtomicU64,
}

/// Candidates in their order; the first leads.
#[derive(Default)]
struct Election {
    term: i64,
    candidates: Vec<Candidate>,
}

struct Candidate {
    handle: u64,
    url: String,
    state: watch::Sender<Option<Leadership>>,
}

impl Election {
    /// Gives the office to the first candidate unless it has it.
    fn settle(&mut self) {
        if let Some(first) = self.candidates.first()
            && first.state.borrow().is_none()
        {
            self.term += 1;
            first.state.send_replace(Some(Leadership { term: self.term }));
        }
    }
}

/// One taker-part in the coordination of a process.
#[derive(Default)]
pub struct EmbeddedCoordination {
    world: Arc<World>,
    handle: u64,
    announced: Mutex<BTreeSet<(NodeRole, String)>>,
}

/// Discovery alone, for what does not elect.
pub type EmbeddedDiscovery = EmbeddedCoordination;

impl EmbeddedCoordination {
    /// Another handle on the same world.
    pub fn join(&self) -> Self {
        let handle = self.world.handles.fetch_add(1, Ordering::Relaxed) + 1;
        EmbeddedCoordination { world: self.world.clone(), handle, announced: Mutex::default() }
    }

    fn tick(&self) {
        self.world.ticks.send_modify(|count| *count += 1);
    }
}

#[async_trait]
impl Discovery for EmbeddedCoordination {
    async fn announce(&self, node: DiscoveredNode) -> Result<()> {
        let key = (node.node_type, node.druid_node.host_and_port());
        self.announced.lock().insert(key.clone());
        self.world.nodes.lock().insert(key, node);
        self.tick();
        Ok(())
    }

    async fn withdraw(&self, role: NodeRole, host_and_port: &str) -> Result<()> {
        let key = (role, host_and_port.to_owned());
        self.announced.lock().remove(&key);
        self.world.nodes.lock().remove(&key);
        self.tick();
        Ok(())
    }

    async fn nodes(&self, role: NodeRole) -> Result<Vec<DiscoveredNode>> {
        Ok(self.world.nodes.lock().iter().filter(|((r, _), _)| *r == role).map(|(_, node)| node.clone()).collect())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.world.ticks.subscribe()
    }
}

#[async_trait]
impl Coordination for EmbeddedCoordination {
    fn elect(&self, role: NodeRole, url: &str) -> Result<Arc<dyn LeaderSelector>> {
        let state = watch::channel(None).0;
        let selector = EmbeddedSelector { world: self.world.clone(), role, state: state.clone() };
        let mut elections = self.world.elections.lock();
        let election = elections.entry(role).or_default();
        election.candidates.push(Candidate { handle: self.handle, url: url.to_owned(), state });
        election.settle();
        Ok(Arc::new(selector))
    }

    async fn leader(&self, role: NodeRole) -> Result<Option<String>> {
        Ok(self.world.leader(role))
    }

    async fn put_key(&self, key: &str, value: Option<&str>) -> Result<()> {
        check_key(key, value)?;
        match value {
            Some(value) => self.world.keys.lock().insert(key.to_owned(), value.to_owned()),
            None => self.world.keys.lock().remove(key),
        };
        Ok(())
    }

    async fn key(&self, key: &str) -> Result<Option<String>> {
        check_key(key, None)?;
        Ok(self.world.keys.lock().get(key).cloned())
    }

    async fn close(&self) {
        let announced = std::mem::take(&mut *self.announced.lock());
        self.world.nodes.lock().retain(|key, _| !announced.contains(key));
        for election in self.world.elections.lock().values_mut() {
            for candidate in election.candidates.extract_if(.., |candidate| candidate.handle == self.handle) {
                candidate.state.send_replace(None);
            }
            election.settle();
        }
        self.tick();
    }
}

impl World {
    fn leader(&self, role: NodeRole) -> Option<String> {
        self.elections.lock().get(&role).and_then(|election| election.candidates.first()).map(|first| first.url.clone())
    }
}

struct EmbeddedSelector {
    world: Arc<World>,
    role: NodeRole,
    state: watch::Sender<Option<Leadership>>,
}

impl LeaderSelector for EmbeddedSelector {
    fn leadership(&self) -> Option<Leadership> {
        *self.state.borrow()
    }

    fn leader_url(&self) -> Option<String> {
        self.world.leader(self.role)
    }

    fn watch(&self) -> watch::Receiver<Option<Leadership>> {
        self.state.subscribe()
    }
}
