//! Task actions over HTTP: `POST /druid/indexer/v1/action` on the leading overlord, which is asked for again when it moves
//! or restarts. Locks are known to the overlord by the task, so an action may be repeated.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ovate_base::segment::DataSegment;
use ovate_base::{Category, DruidError, Result};
use ovate_net::HttpClient;
use serde_json::{Value, json};

use super::actions::{TaskAction, TaskActions};
use crate::spec::TaskSpec;

/// Tells the base address of the leading overlord, `None` while there is none.
pub type OverlordFinder = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// An answer has to come within this; waiting for a lock takes as long as the action says besides.
const DEADLINE: Duration = Duration::from_secs(120);
/// One question about a hand-off has to be answered within this.
const HANDOFF_DEADLINE: Duration = Duration::from_secs(10);
/// How long an overlord may be away before the task gives up (`druid.peon.taskActionClient.retry`).
const AWAY_MAX: Duration = Duration::from_secs(300);

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
        let base = (self.overlord)().ok_or_else(|| {
            DruidError::new(
                ovate_base::Persona::Operator,
                Category::ServiceUnavailable,
                "general",
                "no overlord leads at the moment",
            )
        })?;
        let url = format!("{}/druid/indexer/v1/action", base.trim_end_matches('/'));
        let mut answer: Value = self.client.post_json(&url, body, deadline).await?;
        Ok(answer["result"].take())
    }
}

#[async_trait]
impl TaskActions for HttpTaskActions {
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
        let started = Instant::now();
        let mut pause = Duration::from_millis(200);
        loop {
            let error = match self.attempt(&body, deadline).await {
                Ok(result) => return Ok(result),
                Err(error) => error,
            };
            let away = matches!(error.category, Category::ServiceUnavailable | Category::Timeout);
            if !away || started.elapsed() > AWAY_MAX {
                return Err(error.prefixed(format!("task action [{}]", action.name())));
            }
            tracing::warn!("task action failed, trying again. action={} error={error}", action.name());
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(10));
        }
    }
}
