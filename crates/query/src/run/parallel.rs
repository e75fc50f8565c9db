//! Running over many segments of one server with several threads. Each thread takes the next segment as it gets free
//! and merges what it finds into its own state; the threads' states merge at the end.

use std::sync::atomic::{AtomicUsize, Ordering};

use ovate_base::{DruidError, Result};

use super::grouped::{GroupedPlan, run, run_once};
use super::{QueryContext, SegmentRef, run_segment};
use crate::document::NativeQuery;
use crate::group::GroupMerger;
use crate::merge::merge;
use crate::partial::{GroupsPartial, Partial};

/// Runs over all segments on up to `threads` threads and merges.
pub fn run_segments(query: &NativeQuery, segments: &[SegmentRef], context: &QueryContext, threads: usize) -> Result<Partial> {
    let next = AtomicUsize::new(0);
    let take = || segments.get(next.fetch_add(1, Ordering::Relaxed));
    let threads = threads.clamp(1, segments.len().max(1));
    let groups = matches!(query, NativeQuery::Timeseries(_) | NativeQuery::TopN(_) | NativeQuery::GroupBy(_));
    let work = || -> Result<Vec<Partial>> {
        if groups {
            return Ok(vec![Partial::Groups(grouped_worker(query, &take, context)?)]);
        }
        let mut partials = Vec::new();
        while let Some(segment) = take() {
            partials.push(run_segment(query, segment, context)?);
        }
        Ok(partials)
    };
    if threads == 1 {
        return merge(query, work()?, context);
    }
    let results: Vec<Result<Vec<Partial>>> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut results = vec![work()];
        results.extend(
            others
                .into_iter()
                .map(|handle| handle.join().unwrap_or_else(|_| Err(DruidError::runtime("a query thread panicked")))),
        );
        results
    });
    let mut partials = Vec::new();
    for result in results {
        partials.extend(result?);
    }
    merge(query, partials, context)
}

fn grouped_worker<'a>(
    query: &NativeQuery,
    take: &dyn Fn() -> Option<&'a SegmentRef>,
    context: &QueryContext,
) -> Result<GroupsPartial> {
    let plan = GroupedPlan::of(query)?;
    let mut reservation = context.reservation();
    let mut first: Option<GroupsPartial> = None;
    let mut merger: Option<GroupMerger> = None;
    while let Some(segment) = take() {
        let Some(merging) = merger.as_mut() else {
            match first.take() {
                None => first = Some(run(query, segment, context)?),
                Some(before) => {
                    let merging = GroupMerger::new(plan.key_count(), plan.aggregations)?;
                    let mut merging = merging.with_dictionaries(&context.dictionaries);
                    merging.push(&before)?;
                    merging.push(&run_once(&plan, segment, context)?.0)?;
                    merger = Some(merging);
                }
            }
            continue;
        };
        merging.push(&run_once(&plan, segment, context)?.0)?;
        reservation.set(merging.memory_bytes())?;
    }
    match (merger, first) {
        (Some(merging), _) => merging.finish(),
        (None, Some(only)) => Ok(only),
        (None, None) => GroupMerger::new(plan.key_count(), plan.aggregations)?.finish(),
    }
}
