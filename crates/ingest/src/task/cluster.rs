//! What a supervising task asks about other tasks (`OverlordClient`), and how a subtask speaks to its supervisor
//! (`ParallelIndexSupervisorTaskClient`). The peon's speaks HTTP; a test's runs subtasks in its own process.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use ovate_base::Result;
use serde_json::Value;

use crate::spec::TaskStatus;

/// The tasks of a cluster, as one task sees them.
#[async_trait]
pub trait TaskCluster: Send + Sync {
    /// Submits a task; one that is there already is no error, so a submission may be repeated.
    async fn submit_task(&self, task: &Value) -> Result<()>;

    /// The states of those tasks that exist.
    async fn statuses(&self, ids: &[String]) -> Result<HashMap<String, TaskStatus>>;

    /// Asks for a task's end; unknown ones are no error.
    async fn shutdown_task(&self, id: &str) -> Result<()>;

    /// The report of a task, live or final; `None` when there is none yet.
    async fn report(&self, id: &str) -> Result<Option<Value>>;

    /// Posts to a task's chat handler: `/druid/worker/v1/chat/<id>/<path>`, wherever it runs now.
    async fn chat(&self, id: &str, path: &str, body: &Value, deadline: Duration) -> Result<Value>;

    /// Streams what a GET of a worker answers into a file; gives its size.
    async fn fetch(&self, url: &str, file: &std::path::Path, deadline: Duration) -> Result<u64>;
}
