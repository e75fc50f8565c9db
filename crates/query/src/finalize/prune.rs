//! Cutting a partial before it travels to another process: what cannot come into the answer stays at home.
//! topN keeps `max(threshold, minTopNThreshold)` values a bucket, which is where Druid is approximate too
//! (`TopNQueryQueryToolChest.preMergeQueryDecoration`); groupBy keeps the first rows when its order is by dimensions alone
//! (limit push-down, exact).

use ovate_base::{Granularity, Result};

use super::{group_by, top_n};
use crate::document::{GroupByQuery, NativeQuery, TopNQuery};
use crate::partial::{GroupsPartial, Partial};
use crate::run::QueryContext;

/// The same partial without groups that the answer will not need.
pub fn prune_for_transfer(query: &NativeQuery, partial: Partial, context: &QueryContext) -> Result<Partial> {
    match (query, partial) {
        (NativeQuery::TopN(q), Partial::Groups(groups)) => top_n_rows(q, groups, context).map(Partial::Groups),
        (NativeQuery::GroupBy(q), Partial::Groups(groups)) => group_by_rows(q, groups, context).map(Partial::Groups),
        (_, partial) => Ok(partial),
    }
}

/// Of complete groups, a part of all, those that can come into the answer; exact.
pub(crate) fn keep_needed(query: &NativeQuery, groups: GroupsPartial, context: &QueryContext) -> Result<GroupsPartial> {
    match query {
        NativeQuery::GroupBy(q) => group_by_rows(q, groups, context),
        _ => Ok(groups),
    }
}

fn picked(groups: GroupsPartial, rows: &[u32]) -> GroupsPartial {
    let kept = groups.pick(rows);
    GroupsPartial { buckets: groups.buckets, ..kept }
}

fn top_n_rows(query: &TopNQuery, groups: GroupsPartial, context: &QueryContext) -> Result<GroupsPartial> {
    let threshold = query.threshold.max(query.base.context.min_top_n_threshold()?);
    if groups.rows as u64 <= threshold {
        return Ok(groups);
    }
    let (chosen, _, _) = top_n::choose(query, groups.clone(), threshold, context)?;
    Ok(picked(groups, &chosen))
}

fn group_by_rows(query: &GroupByQuery, groups: GroupsPartial, context: &QueryContext) -> Result<GroupsPartial> {
    let limit = &query.limit_spec;
    let is_dimension = |name: &String| query.dimensions.iter().any(|spec| spec.output_name() == name);
    let exact = query.having.is_none() && query.subtotals.is_none() && limit.columns.iter().all(|c| is_dimension(&c.dimension));
    let Some(needed) = limit.limit.filter(|_| exact).map(|n| n.saturating_add(limit.offset)) else { return Ok(groups) };
    if groups.rows as u64 <= needed {
        return Ok(groups);
    }
    let all = query.base.granularity == Granularity::All;
    let columns = group_by::columns_of(query, groups.clone(), all, context)?;
    let chosen = group_by::first_rows(query, &columns, all)?;
    Ok(picked(groups, &chosen))
}
