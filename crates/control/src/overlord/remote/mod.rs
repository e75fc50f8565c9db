//! Runs tasks on middle managers over HTTP (`HttpRemoteTaskRunner`): follows every announced worker, gives a task to the one
//! that the configuration chooses, and calls a task lost when its worker stays away too long. A worker on which one task after
//! the other fails gets none for a while.

#[cfg(test)]
mod tests;
mod worker;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ovate_base::time::format_iso;
use ovate_base::{Category, DruidError, Result};
use ovate_net::{DiscoveredNode, Discovery, HttpClient, NodeRole};
use ovate_store::meta::{TaskState, TaskStatus};
use ovate_store::{TaskLogs, now_ms};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;
use tracing::{info, warn};

use super::RunnerSettings;
use super::runner::{RunnerTask, TaskRunner, WorkerInfo};
use super::select::{Candidate, SelectConfig, TaskNeed};
use worker::{Offer, WorkerState};

/// How long a long poll is held open.
const POLL: Duration = Duration::from_secs(60);
/// Deadline of an ordinary call.
const CALL: Duration = Duration::from_secs(30);
/// Wait after a failed call, and between two looks at discovery.
const RETRY: Duration = Duration::from_millis(500);
/// How long workers have to be announced before it is believed that there are no others.
const SETTLING: Duration = Duration::from_secs(5);

/// The runner; its followers run until the process stops.
pub struct RemoteRunner {
    settings: RunnerSettings,
    client: HttpClient,
    discovery: Arc<dyn Discovery>,
    logs: Arc<dyn TaskLogs>,
    workers: Mutex<HashMap<String, WorkerState>>,
    changes: watch::Sender<u64>,
    started: Instant,
}

impl RemoteRunner {
    /// Starts to follow workers until `shutdown` turns true.
    pub fn start(
        settings: RunnerSettings,
        client: HttpClient,
        discovery: Arc<dyn Discovery>,
        logs: Arc<dyn TaskLogs>,
        mut shutdown: watch::Receiver<bool>,
    ) -> Arc<RemoteRunner> {
        let runner = Arc::new(RemoteRunner {
            settings,
            client,
            discovery,
            logs,
            workers: Mutex::default(),
            changes: watch::channel(0).0,
            started: Instant::now(),
        });
        let following = runner.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => {}
                () = following.follow_all() => {}
            }
        });
        runner
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Every worker: MiddleManagers, and Indexers, which speak the same protocol.
    async fn announced(&self) -> Result<Vec<DiscoveredNode>> {
        let mut nodes = self.discovery.nodes(NodeRole::MiddleManager).await?;
        nodes.extend(self.discovery.nodes(NodeRole::Indexer).await?);
        Ok(nodes)
    }

    async fn follow_all(self: Arc<Self>) {
        let mut followed: HashMap<String, tokio::task::JoinHandle<()>> = HashMap::new();
        loop {
            if let Ok(nodes) = self.announced().await {
                let names: HashSet<String> = nodes.iter().map(|node| node.druid_node.host_and_port()).collect();
                followed.retain(|name, following| {
                    let gone = !names.contains(name) && self.drop_worker(name);
                    if gone {
                        following.abort();
                        info!(worker = %name, "the worker is gone");
                    }
                    !gone
                });
                for node in &nodes {
                    let name = node.druid_node.host_and_port();
                    let offer = Offer::of(node);
                    if followed.get(&name).is_none_or(|task| task.is_finished()) {
                        let work = self.clone().follow(name.clone(), offer);
                        followed.insert(name, tokio::spawn(work));
                    }
                }
            }
            self.give_up_on_lost();
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Forgets a worker that is not announced any more; false while it still answers, or its tasks are waited for.
    fn drop_worker(&self, name: &str) -> bool {
        let mut workers = self.workers.lock();
        let gone = workers.get(name).is_none_or(|worker| worker.away_since.is_some() && worker.tasks.is_empty());
        if gone {
            workers.remove(name);
        }
        gone
    }

    /// Tasks of a worker that stays away fail, once, and so do those that it never told of; a peon that still runs is refused
    /// by the overlord from then on.
    fn give_up_on_lost(&self) {
        let mut lost = false;
        for (name, worker) in self.workers.lock().iter_mut() {
            for (id, reason) in worker.lost_tasks(name, &self.settings) {
                warn!(task = %id, worker = %name, "the task is lost: {reason}");
                worker.unconfirmed.remove(&id);
                if let Some(status) = worker.tasks.get_mut(&id) {
                    status.status = TaskState::Failed;
                    status.error_msg = Some(reason);
                    lost = true;
                }
            }
        }
        if lost {
            self.changed();
        }
    }

    async fn follow(self: Arc<Self>, name: String, offer: Offer) {
        let mut position: Option<(i64, i64)> = None;
        let mut failing = false;
        loop {
            match self.poll(&name, &offer, position).await {
                Ok(next) => (position, failing) = (next, false),
                Err(error) => {
                    if let Some(worker) = self.workers.lock().get_mut(&name) {
                        worker.away_since.get_or_insert_with(Instant::now);
                    }
                    // Said once: a worker may be away for long.
                    if !failing {
                        warn!(worker = %name, "cannot follow the worker, trying again: {error}");
                    }
                    (position, failing) = (None, true);
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    async fn poll(&self, name: &str, offer: &Offer, position: Option<(i64, i64)>) -> Result<Option<(i64, i64)>> {
        let (counter, hash) = position.unwrap_or((-1, 0));
        let url = &offer.url;
        let path = format!("{url}/druid-internal/v1/worker?counter={counter}&hash={hash}&timeout={}", POLL.as_millis());
        let bytes = self.client.send(self.client.raw().get(&path), &path, POLL + CALL).await?;
        if bytes.is_empty() {
            return Ok(position);
        }
        let answer: Value = ovate_net::body::parse_json(&bytes)?;
        if answer["resetCounter"].as_bool() == Some(true) {
            return Ok(None);
        }
        let items = answer["requests"].as_array().map_or(&[][..], Vec::as_slice);
        self.take_list(name, offer, items, position.is_none())?;
        let number = |key: &str| answer["counter"][key].as_i64();
        Ok(number("counter").zip(number("hash")))
    }

    /// What a worker told: everything, or what has changed since it did (as JVM workers do).
    fn take_list(&self, name: &str, offer: &Offer, items: &[Value], is_full: bool) -> Result<()> {
        let mut workers = self.workers.lock();
        let worker = workers.entry(name.to_owned()).or_insert_with(|| WorkerState::new(offer));
        worker.take(name, offer, items, is_full)?;
        drop(workers);
        self.changed();
        Ok(())
    }

    /// Name and address of the worker for a task.
    fn choose(&self, task: &Value, select: &SelectConfig) -> Option<(String, String)> {
        let workers = self.workers.lock();
        let now = Instant::now();
        let able = workers.iter().filter(|(_, worker)| {
            !worker.disabled && worker.away_since.is_none() && worker.blacklisted_until.is_none_or(|until| until <= now)
        });
        let candidates: Vec<Candidate> = able.map(|(name, worker)| worker.candidate(name)).collect();
        let task_type = task["type"].as_str().unwrap_or_default();
        let need = TaskNeed {
            task_type,
            data_source: task["dataSource"].as_str().unwrap_or_default(),
            slots: task["resource"]["requiredCapacity"].as_u64().map_or(1, |n| usize::try_from(n).unwrap_or(usize::MAX)),
        };
        let of_type: usize = workers.values().map(|worker| worker.running_of(task_type)).sum();
        let chosen = select.choose(&candidates, need, of_type, self.settings.parallel_ratio)?;
        Some((chosen.name.clone(), workers[&chosen.name].url.clone()))
    }

    /// A worker on which tasks fail again and again is passed over for a while, unless too many are already.
    fn judge(&self, name: &str, status: &TaskStatus) {
        let mut workers = self.workers.lock();
        let now = Instant::now();
        let (all, listed) =
            (workers.len(), workers.values().filter(|w| w.blacklisted_until.is_some_and(|until| until > now)).count());
        let Some(worker) = workers.get_mut(name) else { return };
        if status.status != TaskState::Failed {
            worker.failures = 0;
            worker.blacklisted_until = None;
            return;
        }
        worker.failures += 1;
        let allowed = (listed + 1) * 100 <= all * self.settings.blacklist_percent_max as usize;
        if worker.failures >= self.settings.failures_max && allowed {
            warn!(worker = %name, failures = worker.failures, "the worker gets no tasks for {:?}", self.settings.backoff);
            worker.blacklisted_until = Some(now + self.settings.backoff);
            worker.failures = 0;
        }
    }

    /// Name and address of the worker that has a task.
    fn worker_of(&self, task_id: &str) -> Option<(String, String)> {
        let workers = self.workers.lock();
        let (name, worker) = workers.iter().find(|(_, worker)| worker.tasks.contains_key(task_id))?;
        Some((name.clone(), worker.url.clone()))
    }

    async fn fetch(&self, url: String) -> Result<Option<Vec<u8>>> {
        match self.client.send(self.client.raw().get(&url), &url, CALL).await {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(error) if error.http_status() == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn keep_files(&self, task_id: &str, url: &str) -> Result<()> {
        if let Some(log) = self.log(task_id, 0).await? {
            let file = std::env::temp_dir().join(format!("ovate-log-{}", uuid::Uuid::new_v4()));
            let wrote = tokio::fs::write(&file, log).await;
            wrote.map_err(|e| DruidError::runtime(format!("cannot write [{}]: {e}", file.display())))?;
            let kept = self.logs.push_log(task_id, &file).await;
            let _ = tokio::fs::remove_file(&file).await;
            kept?;
        }
        if let Some(report) = self.report(task_id).await? {
            self.logs.push_report(task_id, &report).await?;
        }
        let forget = format!("{url}/druid-internal/v1/worker/forget/{task_id}");
        self.client.send(self.client.raw().post(&forget), &forget, CALL).await.map(|_| ())
    }
}

#[async_trait]
impl TaskRunner for RemoteRunner {
    async fn assign(&self, task: &Value, select: &SelectConfig) -> Result<bool> {
        let id = task["id"].as_str().unwrap_or_default().to_owned();
        if self.worker_of(&id).is_some() {
            return Ok(true);
        }
        let chosen = self.choose(task, select);
        let Some((name, url)) = chosen else { return Ok(false) };
        let path = format!("{url}/druid-internal/v1/worker/assignTask");
        // The answer may get lost after the worker took the task; asking again, anywhere, must not run it twice, so a
        // failed call leaves the task with this worker until it says otherwise.
        let status = TaskStatus {
            id: id.clone(),
            status: TaskState::Running,
            duration: -1,
            error_msg: None,
            location: Default::default(),
            published: false,
            restarts: 0,
        };
        if let Some(worker) = self.workers.lock().get_mut(&name) {
            worker.types.insert(id.clone(), task["type"].as_str().unwrap_or_default().to_owned());
            worker.tasks.insert(id.clone(), status);
            worker.unconfirmed.insert(id.clone(), Instant::now());
        }
        match self.client.post_json::<Value>(&path, task, CALL).await {
            Ok(_) => {
                if let Some(worker) = self.workers.lock().get_mut(&name) {
                    worker.unconfirmed.remove(&id);
                }
                Ok(true)
            }
            // It said no, so it does not have the task: full by its own count, or just disabled.
            Err(error) if matches!(error.category, Category::CapacityExceeded) => {
                if let Some(worker) = self.workers.lock().get_mut(&name) {
                    worker.tasks.remove(&id);
                }
                Ok(false)
            }
            // It may have taken the task before it went away. When it is back and does not tell of the task, that is lost, and
            // started over like any other whose worker went away.
            Err(error) if matches!(error.category, Category::ServiceUnavailable | Category::Timeout) => {
                warn!(task = %id, worker = %name, "the worker did not answer when it was given the task: {error}");
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    async fn shutdown(&self, task_id: &str, reason: &str) {
        let Some((name, url)) = self.worker_of(task_id) else { return };
        let path = format!("{url}/druid/worker/v1/task/{task_id}/shutdown");
        if let Err(error) = self.client.send(self.client.raw().post(&path), &path, CALL).await {
            warn!(task = task_id, worker = %name, reason, "cannot stop the task: {error}");
        }
    }

    async fn tasks(&self) -> Vec<RunnerTask> {
        let workers = self.workers.lock();
        let all = workers.values().flat_map(|worker| worker.tasks.iter());
        all.map(|(id, status)| RunnerTask { id: id.clone(), status: status.clone() }).collect()
    }

    /// When every announced worker has told its tasks, and workers that are starting had time to be announced.
    async fn settled(&self) -> bool {
        let since = self.started.elapsed();
        if since >= self.settings.lost_after {
            return true;
        }
        let Ok(nodes) = self.announced().await else { return false };
        let workers = self.workers.lock();
        let told = |name: String| workers.get(&name).is_some_and(|worker| worker.away_since.is_none());
        since >= SETTLING && nodes.iter().all(|node| told(node.druid_node.host_and_port()))
    }

    async fn forget(&self, task_id: &str) {
        let Some((name, url)) = self.worker_of(task_id) else { return };
        if let Err(error) = self.keep_files(task_id, &url).await {
            warn!(task = task_id, worker = %name, "cannot keep the task's log and report: {error}");
        }
        let ended = self.workers.lock().get_mut(&name).and_then(|worker| {
            worker.last_completed = format_iso(now_ms());
            worker.types.remove(task_id);
            worker.tasks.remove(task_id)
        });
        if let Some(status) = ended {
            self.judge(&name, &status);
        }
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    async fn workers(&self) -> Vec<WorkerInfo> {
        let workers = self.workers.lock();
        let info = |(name, worker): (&String, &WorkerState)| WorkerInfo {
            host: name.clone(),
            capacity: worker.capacity,
            running: worker.tasks.values().filter(|s| s.status == TaskState::Running).map(|s| s.id.clone()).collect(),
            disabled: worker.disabled,
            last_completed: worker.last_completed.clone(),
            category: worker.category.clone(),
            version: worker.version.clone(),
            parallel: worker.candidate(name).parallel_used,
            blacklisted_until: worker
                .blacklisted_until
                .and_then(|until| until.checked_duration_since(Instant::now()))
                .map(|left| now_ms() + left.as_millis() as i64),
        };
        workers.iter().map(info).collect()
    }

    async fn log(&self, task_id: &str, offset: i64) -> Result<Option<Vec<u8>>> {
        let Some((_, url)) = self.worker_of(task_id) else { return Ok(None) };
        self.fetch(format!("{url}/druid/worker/v1/task/{task_id}/log?offset={offset}")).await
    }

    async fn report(&self, task_id: &str) -> Result<Option<Vec<u8>>> {
        let Some((_, url)) = self.worker_of(task_id) else { return Ok(None) };
        self.fetch(format!("{url}/druid/worker/v1/chat/{task_id}/liveReports")).await
    }

    async fn set_enabled(&self, worker_host: &str, enabled: bool) -> bool {
        let url = self.workers.lock().get(worker_host).map(|worker| worker.url.clone());
        let Some(url) = url else { return false };
        let path = format!("{url}/druid/worker/v1/{}", if enabled { "enable" } else { "disable" });
        self.client.send(self.client.raw().post(&path), &path, CALL).await.is_ok()
    }
}
