//! The contract of [`Coordination`], held against every implementation. A handle stands for a process; `join` makes another
//! one in the same cluster.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ovate_net::{Coordination, DiscoveredNode, LeaderSelector, NodeRole};

/// Longest wait for something to become known everywhere.
const SOON: Duration = Duration::from_secs(15);

/// An announcement of a role at `host:port`.
pub fn node(role: NodeRole, host: &str, port: u16) -> DiscoveredNode {
    let text = format!(
        r#"{{"druidNode":{{"service":"druid/{role}","host":"{host}","bindOnHost":false,"plaintextPort":{port},"port":-1,
        "tlsPort":-1,"enablePlaintextPort":true,"enableTlsPort":false}},"nodeType":"{role}","services":{{}},
        "startTime":"2026-01-01T00:00:00.000Z","availableProcessors":2,"totalMemory":1000}}"#,
        role = role.name()
    );
    DiscoveredNode::parse(text.as_bytes()).expect("a valid announcement")
}

/// Waits until a fact holds; panics with its name when it takes too long.
pub async fn eventually<F: Future<Output = bool>>(fact: &str, mut holds: impl FnMut() -> F) {
    let end = Instant::now() + SOON;
    while !holds().await {
        assert!(Instant::now() < end, "does not hold after {SOON:?}: {fact}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Names of the nodes of a role that a process sees.
pub async fn names(process: &dyn Coordination, role: NodeRole) -> Vec<String> {
    process.nodes(role).await.unwrap_or_default().iter().map(|node| node.druid_node.host_and_port()).collect()
}

/// Every fact of the contract.
pub async fn check(join: impl Fn() -> Arc<dyn Coordination>) {
    announcements_are_seen_replaced_and_withdrawn(&join).await;
    closing_takes_announcements_back(&join).await;
    one_leads_and_the_next_has_a_higher_term(&join).await;
    small_keys_are_shared(&join).await;
}

async fn announcements_are_seen_replaced_and_withdrawn(join: &impl Fn() -> Arc<dyn Coordination>) {
    let (a, b) = (join(), join());
    let mut changes = b.changes();
    a.announce(node(NodeRole::Historical, "h1", 1)).await.expect("announced");
    a.announce(node(NodeRole::Historical, "h2", 1)).await.expect("announced");
    b.announce(node(NodeRole::Broker, "b1", 1)).await.expect("announced");
    eventually("both see both historicals", || async {
        names(&*a, NodeRole::Historical).await == ["h1:1", "h2:1"] && names(&*b, NodeRole::Historical).await == ["h1:1", "h2:1"]
    })
    .await;
    eventually("the broker is seen", || async { names(&*a, NodeRole::Broker).await == ["b1:1"] }).await;
    assert!(changes.has_changed().expect("open"), "a change ticks");
    changes.borrow_and_update();
    let mut other = node(NodeRole::Historical, "h1", 1);
    other.services.insert("dataNodeService".to_owned(), serde_json::json!({"type": "dataNodeService", "tier": "hot"}));
    a.announce(other.clone()).await.expect("announced again");
    eventually("the new announcement is seen", || async {
        b.nodes(NodeRole::Historical).await.is_ok_and(|nodes| nodes.len() == 2 && nodes[0].services == other.services)
    })
    .await;
    assert!(changes.has_changed().expect("open"), "a new announcement ticks");
    a.withdraw(NodeRole::Historical, "h1:1").await.expect("withdrawn");
    assert_eq!(names(&*a, NodeRole::Historical).await, ["h2:1"], "withdrawn for its own process at once");
    eventually("withdrawn for all", || async { names(&*b, NodeRole::Historical).await == ["h2:1"] }).await;
    a.close().await;
    b.close().await;
}

async fn closing_takes_announcements_back(join: &impl Fn() -> Arc<dyn Coordination>) {
    let (a, b) = (join(), join());
    a.announce(node(NodeRole::Router, "r1", 1)).await.expect("announced");
    b.announce(node(NodeRole::Router, "r2", 1)).await.expect("announced");
    eventually("both are seen", || async { names(&*b, NodeRole::Router).await == ["r1:1", "r2:1"] }).await;
    a.close().await;
    eventually("one is gone", || async { names(&*b, NodeRole::Router).await == ["r2:1"] }).await;
    b.close().await;
}

fn leading(candidates: &[Arc<dyn LeaderSelector>]) -> Vec<usize> {
    (0..candidates.len()).filter(|i| candidates[*i].leadership().is_some()).collect()
}

async fn one_leads_and_the_next_has_a_higher_term(join: &impl Fn() -> Arc<dyn Coordination>) {
    let processes = [join(), join(), join()];
    let urls = ["http://m1:1", "http://m2:1", "http://m3:1"];
    let stand = |i: usize| processes[i].elect(NodeRole::Overlord, urls[i]).expect("stands");
    let candidates: Vec<_> = (0..3).map(stand).collect();
    let mut term = 0;
    let mut gone = Vec::new();
    for round in 0..3 {
        eventually("somebody leads", || async { leading(&candidates).len() == 1 }).await;
        let leader = leading(&candidates)[0];
        assert!(!gone.contains(&leader), "who left does not lead");
        let now = candidates[leader].leadership().expect("leads").term;
        assert!(now > term, "terms grow: {now} after {term}");
        term = now;
        assert_eq!(candidates[leader].leader_url().as_deref(), Some(urls[leader]));
        for other in (0..3).filter(|other| !gone.contains(other)) {
            eventually("everybody knows who leads", || async {
                candidates[other].leader_url().as_deref() == Some(urls[leader])
                    && processes[other].leader(NodeRole::Overlord).await.is_ok_and(|url| url.as_deref() == Some(urls[leader]))
            })
            .await;
        }
        let mut watched = candidates[leader].watch();
        watched.borrow_and_update();
        processes[leader].close().await;
        assert_eq!(candidates[leader].leadership(), None, "round {round}: closed means out of office");
        assert_eq!(*watched.borrow_and_update(), None);
        gone.push(leader);
    }
    let late = join();
    eventually("nobody leads", || async { late.leader(NodeRole::Overlord).await.is_ok_and(|url| url.is_none()) }).await;
    late.close().await;
}

async fn small_keys_are_shared(join: &impl Fn() -> Arc<dyn Coordination>) {
    let (a, b) = (join(), join());
    assert_eq!(b.key("worker.h1:1").await.expect("read"), None);
    a.put_key("worker.h1:1", Some("off")).await.expect("written");
    assert_eq!(b.key("worker.h1:1").await.expect("read").as_deref(), Some("off"));
    b.put_key("worker.h1:1", Some("on")).await.expect("written");
    assert_eq!(a.key("worker.h1:1").await.expect("read").as_deref(), Some("on"));
    a.close().await;
    assert_eq!(b.key("worker.h1:1").await.expect("read").as_deref(), Some("on"), "a key outlives who wrote it");
    b.put_key("worker.h1:1", None).await.expect("removed");
    assert_eq!(b.key("worker.h1:1").await.expect("read"), None);
    for bad in ["", "..", "a/b", "a b"] {
        assert!(b.put_key(bad, Some("x")).await.is_err(), "[{bad}] is refused");
    }
    assert!(b.put_key("big", Some(&"x".repeat(65_537))).await.is_err(), "a large value is refused");
    b.close().await;
}
