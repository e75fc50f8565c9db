//! Merging partials and finalising, on a thread that may work.

use std::sync::Arc;

use ovate_base::{DruidError, Result};
use ovate_query::{NativeQuery, Partial, QueryContext, QueryRows};

/// Merges the servers' partials and makes the final rows.
pub async fn finish(query: Arc<NativeQuery>, partials: Vec<Partial>, context: QueryContext) -> Result<QueryRows> {
    let work = tokio::task::spawn_blocking(move || {
        let merged = ovate_query::merge(&query, partials, &context)?;
        ovate_query::finalize(&query, merged, &context)
    });
    work.await.map_err(|e| DruidError::runtime(format!("the query's thread failed: {e}")))?
}
