//! The last known set of announced nodes, whatever carries announcements. It outlives an outage of the carrier: nodes are
//! dropped from it only by a carrier that is well, and not in the moment after it came back, when others have not yet
//! announced themselves again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio::time::{Duration, Instant};

use crate::announcement::DiscoveredNode;
use crate::discovery::NodeRole;

type ByName = BTreeMap<String, DiscoveredNode>;

/// What this process did to an announcement of its own, and until which listing that outdoes what the carrier shows.
struct Own {
    /// `None`: withdrawn.
    node: Option<DiscoveredNode>,
    /// Listings that began up to here may be older than the deed; `u64::MAX` while the carrier has not taken it.
    until: u64,
}

/// Known nodes by role and name.
pub struct NodeView {
    roles: RwLock<BTreeMap<NodeRole, ByName>>,
    own: Mutex<BTreeMap<(NodeRole, String), Own>>,
    listings: AtomicU64,
    hold_until: Mutex<Option<Instant>>,
    ticks: watch::Sender<u64>,
}

impl Default for NodeView {
    fn default() -> Self {
        let (roles, own, listings) = (RwLock::default(), Mutex::default(), AtomicU64::new(0));
        NodeView { roles, own, listings, hold_until: Mutex::new(None), ticks: watch::channel(0).0 }
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

    /// Says that the carrier is about to be asked; the number goes with the answer to [`NodeView::replace`].
    pub fn begin_listing(&self) -> u64 {
        self.listings.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// What the carrier listed. While the view is held, nodes that are missing stay. `listing`: from
    /// [`NodeView::begin_listing`]; what this process announced or withdrew since then stands.
    pub fn replace(&self, role: NodeRole, listed: impl IntoIterator<Item = (String, DiscoveredNode)>, listing: u64) {
        let mut listed: ByName = listed.into_iter().collect();
        let held = self.held_until().is_some();
        let mut roles = self.roles.write();
        let mut own = self.own.lock();
        for ((_, name), deed) in own.iter().filter(|((of, _), deed)| *of == role && deed.until >= listing) {
            match &deed.node {
                Some(node) => listed.insert(name.clone(), node.clone()),
                None => listed.remove(name),
            };
        }
        let known = roles.entry(role).or_default();
        if held {
            for (name, node) in known.iter() {
                listed.entry(name.clone()).or_insert_with(|| node.clone());
            }
        }
        own.retain(|(of, _), deed| *of != role || deed.until >= listing);
        drop(own);
        let changed = *known != listed;
        *known = listed;
        drop(roles);
        if changed {
            self.tick();
        }
    }

    /// Adds a node of this process at once, before the carrier shows it. A role that was never listed stays unknown.
    pub fn add(&self, name: &str, node: &DiscoveredNode) {
        let mut roles = self.roles.write();
        self.own.lock().insert((node.node_type, name.to_owned()), Own { node: Some(node.clone()), until: u64::MAX });
        if let Some(known) = roles.get_mut(&node.node_type) {
            known.insert(name.to_owned(), node.clone());
        }
        drop(roles);
        self.tick();
    }

    /// Removes a node of this process at once.
    pub fn remove(&self, role: NodeRole, name: &str) {
        let mut roles = self.roles.write();
        self.own.lock().insert((role, name.to_owned()), Own { node: None, until: u64::MAX });
        if let Some(known) = roles.get_mut(&role) {
            known.remove(name);
        }
        drop(roles);
        self.tick();
    }

    /// The carrier has taken the last [`NodeView::add`] or [`NodeView::remove`] of a name, or it will never: listings that
    /// begin from now on are believed.
    pub fn settle(&self, role: NodeRole, name: &str) {
        let _roles = self.roles.write();
        if let Some(deed) = self.own.lock().get_mut(&(role, name.to_owned())) {
            deed.until = self.listings.load(Ordering::SeqCst);
        }
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
        view.replace(NodeRole::Broker, [node("a"), node("b")], view.begin_listing());
        view.hold(Duration::from_millis(50));
        view.replace(NodeRole::Broker, [node("b")], view.begin_listing());
        assert_eq!(view.nodes(NodeRole::Broker).map(|n| n.len()), Some(2));
        tokio::time::sleep(Duration::from_millis(60)).await;
        view.replace(NodeRole::Broker, [node("b")], view.begin_listing());
        assert_eq!(view.nodes(NodeRole::Broker).map(|n| n.len()), Some(1));
    }

    #[test]
    fn a_listing_that_began_before_a_deed_of_this_process_does_not_undo_it() {
        let view = NodeView::default();
        let names =
            || view.nodes(NodeRole::Broker).unwrap_or_default().iter().map(|n| n.druid_node.host_and_port()).collect::<Vec<_>>();
        view.replace(NodeRole::Broker, [node("a")], view.begin_listing());
        let before = view.begin_listing();
        view.remove(NodeRole::Broker, "a:1");
        let between = view.begin_listing();
        view.replace(NodeRole::Broker, [node("a")], before);
        assert!(names().is_empty(), "the list is older than the withdrawal");
        view.settle(NodeRole::Broker, "a:1");
        view.replace(NodeRole::Broker, [node("a")], between);
        assert!(names().is_empty(), "the list may be older than the carrier's end of the withdrawal");
        view.replace(NodeRole::Broker, [node("a")], view.begin_listing());
        assert_eq!(names(), ["a:1"], "somebody else announced it since");
        let before = view.begin_listing();
        view.add("b:1", &node("b").1);
        view.settle(NodeRole::Broker, "b:1");
        view.replace(NodeRole::Broker, [node("a")], before);
        assert_eq!(names(), ["a:1", "b:1"], "the list is older than the announcement");
        view.replace(NodeRole::Broker, [node("a")], view.begin_listing());
        assert_eq!(names(), ["a:1"], "the carrier lost it");
    }
}
