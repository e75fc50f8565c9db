//! The runner with workers that say what the test says.

use std::collections::VecDeque;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ovate_net::EmbeddedDiscovery;
use ovate_net::server::BoundServer;
use ovate_store::LocalTaskLogs;
use serde_json::json;

use super::*;

/// A worker with lists to tell, one a poll, that takes tasks but answers no assignment.
#[derive(Default)]
struct Mute {
    lists: Mutex<VecDeque<Value>>,
}

async fn tell(State(worker): State<Arc<Mute>>, Query(params): Query<HashMap<String, String>>) -> Response {
    let full = params["counter"] == "-1";
    for _ in 0..100 {
        if let Some(requests) = worker.lists.lock().pop_front() {
            return Json(json!({"resetCounter": false, "counter": {"counter": 1, "hash": 1}, "requests": requests}))
                .into_response();
        }
        if full {
            return Json(json!({"resetCounter": false, "counter": {"counter": 1, "hash": 1}, "requests": []})).into_response();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    StatusCode::NO_CONTENT.into_response()
}

struct World {
    runner: Arc<RemoteRunner>,
    worker: Arc<Mute>,
    discovery: Arc<EmbeddedDiscovery>,
    /// `host:port` of the worker.
    name: String,
    stop_worker: watch::Sender<bool>,
    stop: watch::Sender<bool>,
}

async fn world(settings: RunnerSettings) -> World {
    let worker = Arc::new(Mute::default());
    let routes = Router::new()
        .route("/druid-internal/v1/worker", get(tell))
        .route("/druid-internal/v1/worker/assignTask", post(async || StatusCode::SERVICE_UNAVAILABLE))
        .with_state(worker.clone());
    let server = BoundServer::bind("127.0.0.1", 0).await.unwrap();
    let port = server.address.port();
    let (stop, stop_worker) = (watch::channel(false).0, watch::channel(false).0);
    tokio::spawn(server.serve(routes, stop_worker.subscribe()));
    let node = json!({
        "druidNode": {"service": "druid/middleManager", "host": "127.0.0.1", "plaintextPort": port}, "nodeType": "middleManager",
        "services": {"workerNodeService": {"type": "workerNodeService", "capacity": 2, "version": "0"}}});
    let node = DiscoveredNode::parse(node.to_string().as_bytes()).unwrap();
    let name = node.druid_node.host_and_port();
    let discovery = Arc::new(EmbeddedDiscovery::default());
    discovery.announce(node).await.unwrap();
    let (client, logs) = (HttpClient::new().unwrap(), Arc::new(LocalTaskLogs::new("/nonexistent")));
    let runner = RemoteRunner::start(settings, client, discovery.clone(), logs, stop.subscribe());
    World { runner, worker, discovery, name, stop_worker, stop }
}

impl World {
    async fn assign(&self, id: &str) {
        let task = json!({"type": "noop", "id": id, "dataSource": "d"});
        for _ in 0..500 {
            if self.runner.assign(&task, &SelectConfig::default()).await.unwrap() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no worker is known");
    }

    async fn wait_for(&self, what: impl Fn(&HashMap<String, TaskStatus>) -> bool) {
        for _ in 0..1000 {
            if what(&crate::overlord::runner::by_id(self.runner.tasks().await)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?}", self.runner.tasks().await);
    }
}

fn update(id: &str) -> Value {
    json!({"type": "taskUpdate", "taskAnnouncement": {"type": "noop", "taskStatus": {"id": id, "status": "RUNNING", "duration": -1}}})
}

#[tokio::test]
async fn a_task_that_its_worker_never_tells_of_fails_after_the_assignment_timeout() {
    let world = world(RunnerSettings { assign_within: Duration::from_millis(300), ..RunnerSettings::default() }).await;
    world.assign("told").await;
    world.assign("silent").await;
    world.worker.lists.lock().push_back(json!([update("told")]));
    world.wait_for(|tasks| tasks.get("silent").is_some_and(|status| status.status == TaskState::Failed)).await;
    world.wait_for(|tasks| tasks.get("told").is_some_and(|status| status.status == TaskState::Running)).await;
    let tasks = crate::overlord::runner::by_id(world.runner.tasks().await);
    assert!(tasks["silent"].error_msg.as_deref().is_some_and(|text| text.contains("did not say within")), "{tasks:?}");
    world.stop.send_replace(true);
}

#[tokio::test]
async fn changes_that_a_jvm_worker_tells_add_and_remove_tasks_and_leave_the_others() {
    let world = world(RunnerSettings::default()).await;
    world.worker.lists.lock().push_back(json!([update("a"), update("b"), {"type": "metadata", "disabled": false}]));
    world.wait_for(|tasks| tasks.len() == 2).await;
    world.worker.lists.lock().push_back(json!([update("c"), {"type": "taskRemoval", "taskId": "a"}]));
    world.wait_for(|tasks| tasks.len() == 2 && tasks.contains_key("b") && tasks.contains_key("c")).await;
    world.worker.lists.lock().push_back(json!([{"type": "metadata", "disabled": true}]));
    for _ in 0..500 {
        if world.runner.workers().await.iter().all(|worker| worker.disabled) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let workers = world.runner.workers().await;
    assert!(workers.len() == 1 && workers[0].disabled && workers[0].running.len() == 2, "{workers:?}");
    world.stop.send_replace(true);
}

#[tokio::test]
async fn a_worker_that_left_is_listed_until_nothing_of_it_is_waited_for() {
    let world = world(RunnerSettings::default()).await;
    world.worker.lists.lock().push_back(json!([update("a")]));
    world.wait_for(|tasks| tasks.contains_key("a")).await;
    world.discovery.withdraw(NodeRole::MiddleManager, &world.name).await.unwrap();
    let away = || world.runner.workers.lock().values().all(|worker| worker.away_since.is_some());
    assert!(!away() && world.runner.workers().await.len() == 1, "it answers, so it is only not announced");
    world.stop_worker.send_replace(true);
    for _ in 0..1000 {
        if away() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(world.runner.workers().await.len(), 1, "its task may come back");
    world.runner.forget("a").await;
    for _ in 0..1000 {
        if world.runner.workers().await.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", world.runner.workers().await);
}
