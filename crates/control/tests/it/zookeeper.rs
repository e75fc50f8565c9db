//! What ZooKeeper's faults do to a cluster, and that a JVM process and ours see one another in it.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use ovate_base::Properties;
use ovate_control::StoreTerms;
use ovate_net::{Coordination, Discovery, LeaderSelector, NodeRole, ZkCoordination, ZkSettings};
use ovate_store::MetadataStore;
use ovate_store::meta::Fence;
use ovate_testkit::coordination::{eventually, names, node};
use ovate_testkit::proxy::Proxy;
use ovate_testkit::services::zookeeper::ZooKeeper;
use ovate_testkit::{shared_dir, skip};
use serde_json::Value;
use zookeeper_client::{Acls, Client, CreateMode};

pub fn settings(hosts: &str, more: &str) -> ZkSettings {
    let text = format!(
        "druid.zk.service.host={hosts}\ndruid.zk.service.sessionTimeoutMs=2000\ndruid.zk.service.connectionTimeoutMs=800\n{more}"
    );
    ZkSettings::from_properties(&Properties::parse(&text).expect("parses")).expect("valid")
}

struct Member {
    zk: ZkCoordination,
    seat: Arc<dyn LeaderSelector>,
}

async fn member(hosts: &str, store: &MetadataStore, port: u16) -> Member {
    let terms = Arc::new(StoreTerms::new(store.clone(), Duration::from_secs(6)));
    let zk = ZkCoordination::start(settings(hosts, ""), Some(terms));
    let seat = zk.elect(NodeRole::Coordinator, &format!("http://m:{port}")).expect("stands");
    zk.announce(node(NodeRole::Coordinator, "m", port)).await.expect("announced");
    Member { zk, seat }
}

fn fence(term: i64) -> Fence {
    Fence { role: "coordinator".to_owned(), term }
}

async fn may_write(store: &MetadataStore, term: i64) -> bool {
    store.fenced(fence(term)).set_config("test", b"{}", None).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_steps_down_before_the_next_one_leads_and_comes_back_as_a_follower() {
    let Ok(server) = ZooKeeper::start().map_err(|reason| skip("a_leader_that_is_cut_off", &reason)) else { return };
    let store = MetadataStore::in_memory().await.expect("a store");
    let proxy = Proxy::start(server.hosts()).await;
    let first = member(&proxy.address(), &store, 1).await;
    eventually("the first leads", || async { first.seat.leadership().is_some() }).await;
    let second = member(&server.hosts(), &store, 2).await;
    eventually("both see both", || async { names(&first.zk, NodeRole::Coordinator).await.len() == 2 }).await;
    let old = first.seat.leadership().expect("leads").term;
    assert!(may_write(&store, old).await);
    proxy.cut();
    let began = Instant::now();
    eventually("the second leads", || async {
        assert!(first.seat.leadership().is_none() || second.seat.leadership().is_none(), "two lead");
        second.seat.leadership().is_some()
    })
    .await;
    println!("leadership moved {:?} after the cut, session timeout 2 s", began.elapsed());
    assert!(!may_write(&store, old).await, "the old term may not write");
    assert!(may_write(&store, second.seat.leadership().expect("leads").term).await);
    assert_eq!(names(&first.zk, NodeRole::Coordinator).await, ["m:1", "m:2"], "who is cut off keeps its view");
    eventually("the others see that it is gone", || async { names(&second.zk, NodeRole::Coordinator).await == ["m:2"] }).await;
    proxy.heal();
    eventually("it is announced again", || async { names(&second.zk, NodeRole::Coordinator).await == ["m:1", "m:2"] }).await;
    eventually("it follows", || async { first.seat.leader_url().as_deref() == Some("http://m:2") }).await;
    assert_eq!(first.seat.leadership(), None);
    second.zk.close().await;
    eventually("the first leads again", || async { first.seat.leadership().is_some_and(|now| now.term > old + 1) }).await;
    first.zk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_zookeeper_is_down_the_view_stays_nobody_leads_twice_and_all_is_announced_again() {
    let Ok(mut server) = ZooKeeper::start().map_err(|reason| skip("while_zookeeper_is_down", &reason)) else { return };
    let store = MetadataStore::in_memory().await.expect("a store");
    let (a, b) = (member(&server.hosts(), &store, 1).await, member(&server.hosts(), &store, 2).await);
    eventually("one leads", || async { a.seat.leadership().is_some() != b.seat.leadership().is_some() }).await;
    eventually("both see both", || async { names(&a.zk, NodeRole::Coordinator).await.len() == 2 }).await;
    server.kill();
    // Longer than the session timeout, and than the time after which a client gives its session up.
    let end = Instant::now() + Duration::from_secs(4);
    while Instant::now() < end {
        assert!(a.seat.leadership().is_none() || b.seat.leadership().is_none(), "two lead");
        assert_eq!(names(&a.zk, NodeRole::Coordinator).await.len(), 2, "the view stays");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(a.seat.leadership().is_none() && b.seat.leadership().is_none(), "nobody leads without ZooKeeper");
    let late = ZkCoordination::start(settings(&server.hosts(), ""), None);
    late.announce(node(NodeRole::Broker, "late", 1)).await.expect("taken, though nobody can see it yet");
    server.up().expect("starts again");
    let back = Instant::now();
    eventually("one leads again", || async {
        let (x, y) = (a.seat.leadership(), b.seat.leadership());
        assert!(x.is_none() || y.is_none(), "two lead");
        assert_eq!(names(&a.zk, NodeRole::Coordinator).await.len(), 2, "the view stays");
        x.is_some() || y.is_some()
    })
    .await;
    println!("one leads {:?} after ZooKeeper is back", back.elapsed());
    eventually("a new process sees all", || async { names(&late, NodeRole::Coordinator).await == ["m:1", "m:2"] }).await;
    eventually("a process of the outage is seen", || async { names(&a.zk, NodeRole::Broker).await == ["late:1"] }).await;
    // The sessions of before the outage end now, if they were not resumed; that must take nothing along.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(names(&late, NodeRole::Coordinator).await, ["m:1", "m:2"]);
    for member in [a, b] {
        member.zk.close().await;
    }
    late.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn announcements_of_jvm_processes_are_read_and_ours_look_like_theirs() {
    const NAME: &str = "announcements_of_jvm_processes_are_read_and_ours_look_like_theirs";
    let Some(fixture) = shared_dir().map(|dir| dir.join("fixtures/druid/takeover/zookeeper.json")).filter(|f| f.exists()) else {
        return skip(NAME, "no fixtures");
    };
    let Ok(server) = ZooKeeper::start().map_err(|reason| skip(NAME, &reason)) else { return };
    let nodes: Vec<Value> = serde_json::from_slice(&std::fs::read(fixture).expect("read")).expect("JSON");
    let raw = Client::connect(&server.hosts()).await.expect("connected");
    let mut roles = Vec::new();
    for entry in nodes.iter().filter(|entry| entry["path"] != "/") {
        let path = entry["path"].as_str().expect("a path");
        let data = match entry["gzip_base64"].as_str() {
            Some(text) => base64::engine::general_purpose::STANDARD.decode(text).expect("base64"),
            None => entry["text"].as_str().unwrap_or_default().as_bytes().to_vec(),
        };
        let mode = if entry["ephemeral"] == true { CreateMode::Ephemeral } else { CreateMode::Persistent };
        raw.create(path, &data, &mode.with_acls(Acls::anyone_all())).await.expect("created");
        if let Some(role) = entry["json"]["nodeType"].as_str() {
            roles.push((role.parse::<NodeRole>().expect("a role"), entry["json"].clone()));
        }
    }
    assert!(roles.len() >= 5, "{roles:?}");
    let store = MetadataStore::in_memory().await.expect("a store");
    let ours = member(&server.hosts(), &store, 1).await;
    for (role, document) in &roles {
        eventually(&format!("the {} of the fixture is seen", role.name()), || async {
            let seen = ours.zk.nodes(*role).await.unwrap_or_default();
            seen.iter().any(|node| {
                let text: Value = serde_json::from_slice(&node.to_json()).expect("JSON");
                node.druid_node.host != "m"
                    && text["druidNode"]["service"] == document["druidNode"]["service"]
                    && text["services"] == document["services"]
                    && text["startTime"] == document["startTime"]
            })
        })
        .await;
    }
    eventually("the JVM leads", || async { ours.seat.leader_url().as_deref() == Some("http://localhost:8081") }).await;
    assert_eq!(ours.seat.leadership(), None);
    // Ours: gzipped JSON, and a latch after the JVM's.
    let (data, stat) = raw.get_data("/druid/internal-discovery/COORDINATOR/m:1").await.expect("announced");
    assert_ne!(stat.ephemeral_owner, 0);
    let mut text = String::new();
    flate2::read::GzDecoder::new(&data[..]).read_to_string(&mut text).expect("gzip");
    let document: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(document["druidNode"]["port"], -1);
    assert_eq!(document["nodeType"], "coordinator");
    let latches = raw.list_children("/druid/coordinator/_COORDINATOR").await.expect("listed");
    let own = latches.iter().find(|name| name.starts_with("_c_") && name.ends_with("-latch-0000000001")).expect("our latch");
    let (id, _) = raw.get_data(&format!("/druid/coordinator/_COORDINATOR/{own}")).await.expect("read");
    assert_eq!(id, b"http://m:1");
    drop(raw);
    eventually("we lead when the JVM is gone", || async { ours.seat.leadership().is_some() }).await;
    ours.zk.close().await;
}
