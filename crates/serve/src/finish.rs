//! Merging partials and finalising, on a thread that may work.

use std::sync::Arc;

use ovate_base::Result;
use ovate_compute::Vector;
use ovate_query::{NativeQuery, Partial, QueryContext, QueryRows};

use crate::work::compute;

/// A few groups with numbers are merged sooner than another thread has begun.
const FEW_GROUPS: usize = 256;

fn is_small(partial: &Partial) -> bool {
    let Partial::Groups(groups) = partial else { return false };
    groups.rows <= FEW_GROUPS && groups.aggregates.iter().all(|column| !matches!(column, Vector::Any { .. }))
}

/// Merges the servers' partials and makes the final rows.
pub async fn finish(query: Arc<NativeQuery>, partials: Vec<Partial>, context: QueryContext) -> Result<QueryRows> {
    let few = partials.iter().all(is_small);
    let work = move || {
        let merged = ovate_query::merge(&query, partials, &context)?;
        ovate_query::finalize(&query, merged, &context)
    };
    if few { work() } else { compute(true, work).await? }
}
