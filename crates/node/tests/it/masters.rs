//! Two Masters under a load of calls to either: a follower sends every call on to the leader, whoever that is by then, and no
//! task that was acknowledged is lost when the leader is killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ovate_testkit::{Cluster, ClusterSettings};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);
const CLIENTS: usize = 6;

/// What one client saw.
#[derive(Debug, Default)]
struct Seen {
    /// Tasks that were acknowledged.
    taken: Vec<String>,
    /// Reads that were answered.
    read: usize,
    /// Calls that found no leader or nobody at all, with the time of the last one.
    refused: usize,
    last_refused: Option<Instant>,
    /// Anything else.
    wrong: Vec<String>,
}

/// Calls the two Masters in turn until it is stopped: a task for the Overlord, then a read of the Coordinator.
async fn call(client: reqwest::Client, masters: [(String, String); 2], number: usize, stop: Arc<AtomicBool>) -> Seen {
    let mut seen = Seen::default();
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (coordinator, overlord) = &masters[(n + number) % 2];
        let id = format!("task_{number}_{n}");
        let task = json!({"type": "noop", "id": id, "dataSource": "none", "runTime": 1});
        let post = client.post(format!("{overlord}/druid/indexer/v1/task")).json(&task).timeout(LIMIT);
        let get = client.get(format!("{coordinator}/druid/coordinator/v1/rules?full")).timeout(LIMIT);
        for (request, is_task) in [(post, true), (get, false)] {
            match request.send().await {
                Ok(answer) if answer.status().is_success() => {
                    let document: Value = answer.json().await.unwrap_or_default();
                    match is_task {
                        true if document["task"] == json!(id) => seen.taken.push(id.clone()),
                        false if document["_default"].is_array() => seen.read += 1,
                        _ => seen.wrong.push(document.to_string()),
                    }
                }
                // Nobody leads at the moment, or not there yet where we were sent to.
                Ok(answer) if answer.status() == 503 => seen.refuse(),
                Ok(answer) => seen.wrong.push(format!("{}: {}", answer.status(), answer.text().await.unwrap_or_default())),
                Err(error) if error.is_connect() || error.is_request() || error.is_body() || error.is_decode() => seen.refuse(),
                Err(error) => seen.wrong.push(error.to_string()),
            }
        }
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    seen
}

impl Seen {
    fn refuse(&mut self) {
        self.refused += 1;
        self.last_refused = Some(Instant::now());
    }
}

/// Waits until an address answers, by itself or by sending on.
async fn answers(client: &reqwest::Client, url: &str, cluster: &Cluster) {
    let end = Instant::now() + LIMIT;
    loop {
        match client.get(url).timeout(LIMIT).send().await {
            Ok(answer) if answer.status().is_success() => return,
            other => assert!(Instant::now() < end, "{url}: {other:?}\n{}", cluster.logs()),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_sends_every_call_to_the_leader_and_no_acknowledged_task_is_lost_when_that_is_killed() {
    let mut settings = ClusterSettings::page(crate::binary::ovate());
    settings.hosts.retain(|host| !host.name.starts_with("data"));
    settings.properties.push(("druid.ovate.coordination.leaseMs".to_owned(), "3000".to_owned()));
    let mut cluster = Cluster::start(settings).await;
    let masters = ["master1", "master2"].map(|host| (cluster.url(host, "coordinator"), cluster.url(host, "overlord")));
    // A follower's redirect names the same path and query at the leader.
    let plain = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    let leader = cluster.get("/druid/indexer/v1/leader").await.expect("a leader");
    let follower = masters.iter().find(|(_, overlord)| json!(overlord) != leader).expect("a follower");
    let answer = plain.get(format!("{}/druid/indexer/v1/tasks?state=running", follower.1)).send().await.expect("an answer");
    assert_eq!(answer.status(), 307);
    let location = answer.headers()["location"].to_str().expect("a text");
    assert_eq!(json!(location), json!(format!("{}/druid/indexer/v1/tasks?state=running", leader.as_str().expect("a text"))));

    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let stop = Arc::new(AtomicBool::new(false));
    let calls: Vec<_> =
        (0..CLIENTS).map(|number| tokio::spawn(call(client.clone(), masters.clone(), number, stop.clone()))).collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let host = if leader == json!(masters[0].1) { "master1" } else { "master2" };
    let (process, at) = (cluster.process(host, "overlord"), Instant::now());
    cluster.kill(process);
    tokio::time::sleep(Duration::from_secs(5)).await;
    cluster.spawn(process);
    cluster.wait_ready(LIMIT).await;
    for (coordinator, overlord) in &masters {
        answers(&client, &format!("{coordinator}/druid/coordinator/v1/rules?full"), &cluster).await;
        answers(&client, &format!("{overlord}/druid/indexer/v1/tasks?max=1"), &cluster).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.store(true, Ordering::Relaxed);
    let mut all = Seen::default();
    for seen in calls {
        let seen = seen.await.expect("a client does not panic");
        all.taken.extend(seen.taken);
        all.read += seen.read;
        all.refused += seen.refused;
        all.last_refused = all.last_refused.max(seen.last_refused);
        all.wrong.extend(seen.wrong);
    }
    let refused_for = all.last_refused.map(|last| last.saturating_duration_since(at));
    println!("taken {}, read {}, refused {} (for {refused_for:?} after the kill)", all.taken.len(), all.read, all.refused);
    assert!(all.wrong.is_empty(), "{:?}\n{}", &all.wrong[..all.wrong.len().min(5)], cluster.logs());
    // A loaded machine gives few calls in its seconds, but every client has its turn before the kill.
    assert!(all.taken.len() >= CLIENTS && all.read >= CLIENTS, "{all:?}");
    for id in &all.taken {
        let stored = cluster.get(&format!("/druid/indexer/v1/task/{id}")).await;
        assert_eq!(stored.map(|stored| stored["task"].clone()), Ok(json!(id)), "an acknowledged task is lost");
    }
}
