//! The last known set of announced nodes, whatever carries announcements. It outlives an outage of the carrier: nodes are
//! dropped from it only by a carrier that is well, and not in the moment after it came back, when others have not yet
//! announced themselves again.

use std::collections::BTreeMap;

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio::time::{Duration, Instant};

use crate::announcement::DiscoveredNode;
use crate::discovery::NodeRole;

type ByName = BTreeMap<String, DiscoveredNode>;

/// Known nodes by role and name.
pub struct NodeView {
    roles: RwLock<BTreeMap<NodeRole, ByName>>,
    hold_until: Mutex<Option<Instant>>,
    ticks: watch::Sender<u64>,
}

impl Default for NodeView {
    fn default() -> Self {
        NodeView { roles: RwLock::default(), hold_until: Mutex::new(None), ticks: watch::channel(0).0 }
    }
}

impl NodeView {
    /// The nodes of a role by name; `None` while the role was never listed.
    pub fn nodes(&self, role: NodeRole) -> Option<Vec<DiscoveredNode>> {
        self.roles.read().get(&role).map(|nodes| nodes.values().cloned().collect())
    }

    /// Roles that were listed once.
    pub fn roles(&self) -> Vec<NodeRole> {
        self.roles.read().keys().copied().collect()
    }

    /// What the carrier lists now. While the view is held, nodes that are missing stay.
    pub fn replace(&self, role: NodeRole, listed: impl IntoIterator<Item = (String, DiscoveredNode)>) {
        let mut listed: ByName = listed.into_iter().collect();
        let held = self.held_until().is_some();
        let mut roles = self.roles.write();
        let known = roles.entry(role).or_default();
        if held {
            for (name, node) in known.iter() {
                listed.entry(name.clone()).or_insert_with(|| node.clone());
            }
        }
        let changed = *known != listed;
        *known = listed;
        drop(roles);
        if changed {
            self.tick();
        }
    }

    /// Adds a node of this process at once, before the carrier shows it. A role that was never listed stays unknown.
    pub fn add(&self, name: &str, node: &DiscoveredNode) {
        if let Some(known) = self.roles.write().get_mut(&node.node_type) {
            known.insert(name.to_owned(), node.clone());
        }
        self.tick();
    }

    /// Removes a node of this process at once.
    pub fn remove(&self, role: NodeRole, name: &str) {
        if let Some(known) = self.roles.write().get_mut(&role) {
            known.remove(name);
        }
        self.tick();
    }

    /// Keeps missing nodes for a while, from now: the carrier was away.
    pub fn hold(&self, length: Duration) {
        *self.hold_until.lock() = Some(Instant::now() + length);
    }

    /// Until when missing nodes are kept, if they are.
    pub fn held_until(&self) -> Option<Instant> {
        self.hold_until.lock().filter(|until| *until > Instant::now())
    }

    /// Ticks with every change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.ticks.subscribe()
    }

    fn tick(&self) {
        self.ticks.send_modify(|count| *count += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(host: &str) -> (String, DiscoveredNode) {
        let text =
            format!(r#"{{"druidNode":{{"service":"s","host":"{host}","plaintextPort":1}},"nodeType":"broker","services":{{}}}}"#);
        (format!("{host}:1"), DiscoveredNode::parse(text.as_bytes()).expect("valid"))
    }

    #[tokio::test]
    async fn a_held_view_keeps_missing_nodes_until_the_hold_is_over() {
        let view = NodeView::default();
        assert!(view.nodes(NodeRole::Broker).is_none());
        view.replace(NodeRole::Broker, [node("a"), node("b")]);
        view.hold(Duration::from_millis(50));
        view.replace(NodeRole::Broker, [node("b")]);
        assert_eq!(view.nodes(NodeRole::Broker).map(|n| n.len()), Some(2));
        tokio::time::sleep(Duration::from_millis(60)).await;
        view.replace(NodeRole::Broker, [node("b")]);
        assert_eq!(view.nodes(NodeRole::Broker).map(|n| n.len()), Some(1));
    }
}
