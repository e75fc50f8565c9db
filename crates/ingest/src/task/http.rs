//! Task actions over HTTP: `POST /druid/indexer/v1/action` on the leading overlord, which is asked for again when it moves
//! or restarts. Locks are known to the overlord by the task, so an action may be repeated. The same door serves what a
//! supervising task asks about its subtasks.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ovate_base::segment::DataSegment;
use ovate_base::{Category, DruidError, Result};
use ovate_net::HttpClient;
use serde_json::{Value, json};

use super::actions::{TaskAction, TaskActions};
use super::cluster::TaskCluster;
use crate::spec::{TaskSpec, TaskStatus};

/// Tells the base address of the leading overlord, `None` while there is none.
pub type OverlordFinder = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// An answer has to come within this; waiting for a lock takes as long as the action says besides.
const DEADLINE: Duration = Duration::from_secs(120);
/// One question about a hand-off has to be answered within this.
const HANDOFF_DEADLINE: Duration = Duration::from_secs(10);
/// How long an overlord may be away before the task gives up (`druid.peon.taskActionClient.retry`).
const AWAY_MAX: Duration = Duration::from_secs(300);
/// Deadline of one question about tasks.
const ASK: Duration = Duration::from_secs(30);
/// Longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Sends the actions of one task.
pub struct HttpTaskActions {
    client: HttpClient,
    overlord: OverlordFinder,
    task: Value,
}

impl HttpTaskActions {
    /// For a task; `overlord` is asked before every attempt.
    pub fn new(client: HttpClient, overlord: OverlordFinder, task: &TaskSpec) -> HttpTaskActions {
        HttpTaskActions { client, overlord, task: task.to_json().clone() }
    }

    async fn attempt(&self, body: &Value, deadline: Duration) -> Result<Value> {
        let url = format!("{}/action", self.base()?);
        let mut answer: Value = self.client.post_json(&url, body, deadline).await?;
        Ok(answer["result"].take())
    }

    /// The API of the leading overlord.
    fn base(&self) -> Result<String> {
        let base = (self.overlord)().ok_or_else(|| DruidError::service_unavailable("no overlord leads at the moment"))?;
        Ok(format!("{}/druid/indexer/v1", base.trim_end_matches('/')))
    }

    /// Does something again and again while the overlord is away.
    async fn persist<T, F: Future<Output = Result<T>>>(&self, what: &str, attempt: impl Fn() -> F) -> Result<T> {
        let started = Instant::now();
        let mut pause = Duration::from_millis(200);
        loop {
            let error = match attempt().await {
                Ok(result) => return Ok(result),
                Err(error) => error,
            };
            let away = matches!(error.category, Category::ServiceUnavailable | Category::Timeout);
            if !away || started.elapsed() > AWAY_MAX {
                return Err(error.prefixed(what));
            }
            tracing::warn!("{what} failed, trying again. error={error}");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

#[async_trait]
impl TaskCluster for HttpTaskActions {
    async fn submit_task(&self, task: &Value) -> Result<()> {
        let once = || async move {
            let url = format!("{}/task", self.base()?);
            match self.client.post_json::<Value>(&url, task, ASK).await {
                // The answer to an earlier attempt was lost.
                Err(error) if error.message.contains("already exists") => Ok(()),
                other => other.map(|_| ()),
            }
        };
        self.persist("submission of a subtask", once).await
    }

    async fn statuses(&self, ids: &[String]) -> Result<HashMap<String, TaskStatus>> {
        let once = || async move {
            let url = format!("{}/taskStatus", self.base()?);
            let answer: HashMap<String, Value> = self.client.post_json(&url, &ids, ASK).await?;
            answer.into_iter().map(|(id, json)| TaskStatus::from_json(&json).map(|status| (id, status))).collect()
        };
        self.persist("question about subtasks", once).await
    }

    async fn shutdown_task(&self, id: &str) -> Result<()> {
        let url = format!("{}/task/{id}/shutdown", self.base()?);
        self.client.send(self.client.raw().post(&url), &url, ASK).await.map(|_| ())
    }

    async fn report(&self, id: &str) -> Result<Option<Value>> {
        let url = format!("{}/task/{id}/reports", self.base()?);
        match self.client.get_json::<Value>(&url, ASK).await {
            Ok(report) => Ok(Some(report)),
            Err(error) if error.http_status() == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn chat(&self, id: &str, path: &str, body: &Value, deadline: Duration) -> Result<Value> {
        let url = format!("{}/task/{id}/status", self.base()?);
        let answer: Value = self.client.get_json(&url, ASK).await?;
        let location = &answer["status"]["location"];
        let (host, port) = match (location["host"].as_str(), location["port"].as_u64()) {
            (Some(host), Some(port)) => (host, port),
            _ => return Err(DruidError::service_unavailable(format!("task [{id}] runs nowhere at the moment"))),
        };
        let url = format!("http://{host}:{port}/druid/worker/v1/chat/{id}/{path}");
        self.client.post_json(&url, body, deadline).await
    }

    async fn fetch(&self, url: &str, file: &Path, deadline: Duration) -> Result<u64> {
        let fetching = async {
            let away = |e: reqwest::Error| DruidError::service_unavailable(format!("cannot fetch [{url}]: {e}"));
            let broken = |e: std::io::Error| DruidError::runtime(format!("cannot write [{}]: {e}", file.display()));
            let mut answer = self.client.raw().get(url).send().await.map_err(away)?;
            if !answer.status().is_success() {
                let (status, body) = (answer.status().as_u16(), answer.bytes().await.map_err(away)?);
                return Err(ovate_net::client::remote_error(url, status, &body));
            }
            let mut out = tokio::fs::File::create(file).await.map_err(broken)?;
            let mut size = 0;
            while let Some(bytes) = answer.chunk().await.map_err(away)? {
                tokio::io::AsyncWriteExt::write_all(&mut out, &bytes).await.map_err(broken)?;
                size += bytes.len() as u64;
            }
            tokio::io::AsyncWriteExt::flush(&mut out).await.map_err(broken)?;
            Ok(size)
        };
        let late = |_| DruidError::timeout(format!("no answer from [{url}] within its deadline"));
        tokio::time::timeout(deadline, fetching).await.map_err(late)?
    }
}

#[async_trait]
impl TaskActions for HttpTaskActions {
    fn cluster(&self) -> Option<&dyn TaskCluster> {
        Some(self)
    }

    async fn is_served(&self, segment: &DataSegment) -> Result<bool> {
        let Some(base) = (self.overlord)() else { return Ok(false) };
        // A Coordinator that leads beside the Overlord answers; elsewhere this fails and the wait ends by its timeout.
        let url =
            format!("{}/druid/coordinator/v1/datasources/{}/handoffComplete", base.trim_end_matches('/'), segment.data_source);
        let interval = segment.interval.to_string();
        let number = segment.shard_spec.partition_num().to_string();
        let query = [("interval", interval.as_str()), ("partitionNumber", &number), ("version", &segment.version)];
        let address =
            reqwest::Url::parse_with_params(&url, query).map_err(|e| DruidError::runtime(format!("bad address [{url}]: {e}")))?;
        self.client.get_json(address.as_str(), HANDOFF_DEADLINE).await
    }

    async fn submit(&self, action: TaskAction) -> Result<Value> {
        let body = json!({"task": self.task, "action": action.to_json()});
        let wait_ms = match &action {
            TaskAction::LockAcquire { timeout_ms, .. } => *timeout_ms,
            _ => 0,
        };
        let deadline = DEADLINE + Duration::from_millis(wait_ms);
        let what = format!("task action [{}]", action.name());
        self.persist(&what, || self.attempt(&body, deadline)).await
    }
}
