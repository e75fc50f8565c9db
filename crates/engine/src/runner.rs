//! How a planned statement has its native queries run; the broker implements it over its timeline of segments.

use async_trait::async_trait;
use ovate_base::Result;
use ovate_compute::EvalContext;
use ovate_query::{NativeQuery, QueryContext, QueryRows};

/// Runs one native query over everything that is served, merged and finalised. Implemented by the broker.
#[async_trait]
pub trait NativeRunner: Send + Sync {
    /// Runs the query with the context it carries (`queryId`, `timeout`, `useCache`, …).
    async fn run(&self, query: NativeQuery) -> Result<QueryRows>;
    /// The surroundings of queries over rows in memory: what of the process's memory and disk they may take.
    fn context(&self, eval: EvalContext) -> QueryContext {
        QueryContext::new(eval)
    }
}
