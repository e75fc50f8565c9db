//! Where a request may go: a role in this very process, without a socket between, or another process over HTTP.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use ovate_base::{Category, DruidError, Persona, Result};
use ovate_net::{DiscoveredNode, Discovery, HttpClient, LeaderSelector, NodeRole};
use parking_lot::RwLock;
use tower::ServiceExt;

use super::proxy;
use super::spread::rendezvous;

/// One place to send a request to.
pub enum Backend {
    /// Another role's routes in this process.
    Local(Router),
    /// Another process, by `http://host:port`.
    Remote(HttpClient, String),
}

impl Backend {
    /// Sends the request on and gives the answer back as it streams in.
    pub async fn forward(self, mut request: Request<Body>) -> Response {
        match self {
            Backend::Local(router) => {
                // Path parameters of our own route would be taken for the other router's.
                request.extensions_mut().clear();
                match router.oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
            Backend::Remote(client, url) => proxy::forward(&client, &url, request).await,
        }
    }
}

/// All that the Router may send requests to.
pub struct Backends {
    client: HttpClient,
    discovery: Arc<dyn Discovery>,
    local: RwLock<HashMap<NodeRole, (Router, Option<Arc<dyn LeaderSelector>>)>>,
    turn: AtomicUsize,
    leaders: RwLock<HashMap<NodeRole, (String, Instant)>>,
}

/// How long an answer about who leads is believed.
const LEADER_KNOWN: Duration = Duration::from_secs(1);
/// One node has to say within this who leads.
const LEADER_DEADLINE: Duration = Duration::from_secs(2);

impl Backends {
    /// Nothing local yet; everything is found through `discovery`.
    pub fn new(client: HttpClient, discovery: Arc<dyn Discovery>) -> Self {
        Backends { client, discovery, local: RwLock::default(), turn: AtomicUsize::new(0), leaders: RwLock::default() }
    }

    /// Serves `role` from this process; for an elected role only while `selector` says that this process leads.
    pub fn add_local(&self, role: NodeRole, router: Router, selector: Option<Arc<dyn LeaderSelector>>) {
        self.local.write().insert(role, (router, selector));
    }

    /// `host:port` of every live node of a role.
    pub async fn list(&self, role: NodeRole) -> Result<Vec<String>> {
        Ok(self.discovery.nodes(role).await?.iter().map(|node| node.druid_node.host_and_port()).collect())
    }

    /// A Broker by turns, or the leader of an elected role.
    pub async fn choose(&self, role: NodeRole) -> Result<Backend> {
        let local = self.local.read().get(&role).cloned();
        if let Some((router, selector)) = &local {
            let leads = selector.as_ref().is_none_or(|s| s.leadership().is_some());
            if leads {
                return Ok(Backend::Local(router.clone()));
            }
            if let Some(url) = selector.as_ref().and_then(|s| s.leader_url()) {
                return Ok(Backend::Remote(self.client.clone(), url));
            }
        }
        let nodes = self.discovery.nodes(role).await?;
        if nodes.is_empty() {
            let message = format!("no {} is announced; is one running?", role.name());
            return Err(DruidError::new(Persona::Operator, Category::ServiceUnavailable, "general", message));
        }
        if matches!(role, NodeRole::Coordinator | NodeRole::Overlord)
            && let Some(url) = self.leader(role, &nodes).await
        {
            return Ok(Backend::Remote(self.client.clone(), url));
        }
        // Nobody tells of a leader yet; any node of the role answers that as well as we could.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % nodes.len();
        Ok(Backend::Remote(self.client.clone(), nodes[turn].druid_node.url()))
    }

    /// The node of a role that a key belongs to; without a key, or when none is announced, as [`Self::choose`].
    pub async fn choose_by(&self, role: NodeRole, key: Option<&str>) -> Result<Backend> {
        let urls: Vec<String> = self.discovery.nodes(role).await?.iter().map(|node| node.druid_node.url()).collect();
        match key.and_then(|key| rendezvous(&urls, key)) {
            Some(url) if urls.len() > 1 => Ok(Backend::Remote(self.client.clone(), url.clone())),
            _ => self.choose(role).await,
        }
    }

    /// Every node of a role.
    pub async fn every(&self, role: NodeRole) -> Result<Vec<Backend>> {
        let nodes = self.discovery.nodes(role).await?;
        if nodes.len() < 2 {
            return Ok(vec![self.choose(role).await?]);
        }
        Ok(nodes.iter().map(|node| Backend::Remote(self.client.clone(), node.druid_node.url())).collect())
    }

    /// The leader that the first node to answer names; asked for again when the answer is old.
    async fn leader(&self, role: NodeRole, nodes: &[DiscoveredNode]) -> Option<String> {
        if let Some((url, since)) = self.leaders.read().get(&role)
            && since.elapsed() < LEADER_KNOWN
        {
            return Some(url.clone());
        }
        let path = if role == NodeRole::Coordinator { "coordinator" } else { "indexer" };
        for node in nodes {
            let url = format!("{}/druid/{path}/v1/leader", node.druid_node.url());
            match self.client.get_text(&url, LEADER_DEADLINE).await {
                Ok(leader) if leader.trim().starts_with("http") => {
                    let leader = leader.trim().to_owned();
                    self.leaders.write().insert(role, (leader.clone(), Instant::now()));
                    return Some(leader);
                }
                _ => {}
            }
        }
        None
    }
}
