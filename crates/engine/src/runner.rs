//! How a planned statement has its native queries run; the broker implements it over its timeline of segments.

use async_trait::async_trait;
use ovate_base::{DruidError, Result};
use ovate_compute::EvalContext;
use ovate_query::{NativeQuery, QueryContext, QueryRows};
use tokio::sync::mpsc;

/// Runs one native query over everything that is served, merged and finalised. Implemented by the broker.
#[async_trait]
pub trait NativeRunner: Send + Sync {
    /// Runs the query with the context it carries (`queryId`, `timeout`, `useCache`, …).
    async fn run(&self, query: NativeQuery) -> Result<QueryRows>;
    /// The surroundings of queries over rows in memory: what of the process's memory and disk they may take.
    fn context(&self, eval: EvalContext) -> QueryContext {
        QueryContext::new(eval)
    }

    /// Hands on the rows of a scan part by part as they come, if it can; else all at once. Waits for whoever takes them, and ends
    /// when nobody does any more.
    async fn stream(&self, query: NativeQuery, parts: mpsc::Sender<QueryRows>) -> Result<()> {
        let rows = self.run(query).await?;
        parts.send(rows).await.map_err(|_| DruidError::cancelled("nobody wants the rows any more"))
    }
}
