//! Merging partials and finalising, on a thread that may work.

use std::sync::Arc;

use ovate_base::Result;
use ovate_query::{NativeQuery, Partial, QueryContext, QueryRows};

use crate::work::compute;

/// Merges the servers' partials and makes the final rows.
pub async fn finish(query: Arc<NativeQuery>, partials: Vec<Partial>, context: QueryContext) -> Result<QueryRows> {
    let work = move || {
        let merged = ovate_query::merge(&query, partials, &context)?;
        ovate_query::finalize(&query, merged, &context)
    };
    compute(true, work).await?
}
