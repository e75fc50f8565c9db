//! Merging partial results of one query, in any order and any number of times.

use ovate_base::{DruidError, Result};

use crate::document::NativeQuery;
use crate::group::GroupMerger;
use crate::partial::{BoundaryPartial, GroupsPartial, Partial, ScanPartial, SearchPartial, merge_analyses};
use crate::run::{GroupedPlan, QueryContext, Stage, is_short_of_memory, merge_spilled, spill_all};

/// Merges partials of `query` into one. Of none it makes the partial of no rows.
pub fn merge(query: &NativeQuery, partials: Vec<Partial>, context: &QueryContext) -> Result<Partial> {
    context.check()?;
    let _timer = context.timer(Stage::Merge);
    match query {
        NativeQuery::Timeseries(_) | NativeQuery::TopN(_) | NativeQuery::GroupBy(_) => {
            let groups = partials.into_iter().map(|partial| match partial {
                Partial::Groups(groups) => Ok(groups),
                _ => Err(mismatch(query)),
            });
            merge_groups(query, groups.collect::<Result<_>>()?, context).map(Partial::Groups)
        }
        NativeQuery::Scan(_) => {
            let mut all = ScanPartial::default();
            for partial in partials {
                let Partial::Scan(scan) = partial else { return Err(mismatch(query)) };
                all.append(scan);
            }
            Ok(Partial::Scan(all))
        }
        NativeQuery::Search(_) => {
            let mut all = SearchPartial::default();
            for partial in partials {
                let Partial::Search(search) = partial else { return Err(mismatch(query)) };
                all.append(search);
            }
            Ok(Partial::Search(all.compacted()))
        }
        NativeQuery::TimeBoundary(_) | NativeQuery::DataSourceMetadata(_) => {
            let mut all = BoundaryPartial::default();
            for partial in partials {
                let Partial::TimeBoundary(boundary) = partial else { return Err(mismatch(query)) };
                all.add(boundary);
            }
            Ok(Partial::TimeBoundary(all))
        }
        NativeQuery::WindowOperator(_) | NativeQuery::Union(_) | NativeQuery::MovingAverage(_) => Err(not_over_segments(query)),
        NativeQuery::SegmentMetadata(metadata) => {
            let mut all = Vec::new();
            for partial in partials {
                let Partial::SegmentMetadata(analyses) = partial else { return Err(mismatch(query)) };
                all.extend(analyses);
            }
            Ok(Partial::SegmentMetadata(if metadata.merge { merge_analyses(metadata, all)? } else { all }))
        }
    }
}

/// Queries that read rows in memory have no partial results.
pub(crate) fn not_over_segments(query: &NativeQuery) -> DruidError {
    DruidError::unsupported(format!("query type [{}] over segments; a Broker answers it", query.query_type()))
}

fn mismatch(query: &NativeQuery) -> DruidError {
    DruidError::runtime(format!("partial result of another query type than [{}]", query.query_type()))
}

fn merge_groups(query: &NativeQuery, mut groups: Vec<GroupsPartial>, context: &QueryContext) -> Result<GroupsPartial> {
    if groups.len() == 1 {
        return Ok(groups.remove(0));
    }
    let plan = GroupedPlan::of(query)?;
    // Large ones first: tables then grow once.
    groups.sort_by_key(|partial| std::cmp::Reverse(partial.rows));
    match merge_in_memory(&plan, &groups, context) {
        Err(short) if context.spill().is_some() && is_short_of_memory(&short) => {
            let spilled = spill_all(groups, context)?;
            merge_spilled(&plan, spilled, context, 1, &|part| crate::finalize::keep_needed(query, part, context))
        }
        other => other,
    }
}

fn merge_in_memory(plan: &GroupedPlan<'_>, groups: &[GroupsPartial], context: &QueryContext) -> Result<GroupsPartial> {
    let mut merger = GroupMerger::new(plan.key_count(), &plan.aggregations)?.with_dictionaries(&context.dictionaries);
    let mut reservation = context.reservation();
    for partial in groups {
        context.check()?;
        merger.push(partial)?;
        reservation.set(merger.memory_bytes())?;
    }
    let mut groups = merger.finish()?;
    drop(reservation);
    groups.memory = context.hold(&groups)?;
    Ok(groups)
}
