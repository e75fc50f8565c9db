//! timeseries: a row a bucket, also for buckets without rows, in time order, with a grand total when asked for
//! (`TimeseriesQueryQueryToolChest`).

use std::sync::Arc;

use ovate_base::{Granularity, Result};
use ovate_compute::{ColumnType, TIME_COLUMN, Vector};

use super::columns::{ResultColumns, empty_aggregates};
use crate::document::TimeseriesQuery;
use crate::group::GroupMerger;
use crate::partial::GroupsPartial;
use crate::result::{QueryRows, ResultExtra};
use crate::run::QueryContext;

pub(super) fn finalize(query: &TimeseriesQuery, groups: GroupsPartial, context: &QueryContext) -> Result<QueryRows> {
    let settings = &query.base.context;
    let skip_empty = settings.skip_empty_buckets()?;
    let all = query.base.granularity == Granularity::All;
    let mut groups = if all { one_bucket(query, groups, skip_empty)? } else { filled(query, groups, skip_empty)? };
    let times = match groups.keys.pop() {
        Some(Vector::Long { values, .. }) => values,
        _ => Vec::new(),
    };
    let mut order: Vec<u32> = (0..groups.rows as u32).collect();
    order.sort_by_key(|row| times[*row as usize]);
    if query.descending {
        order.reverse();
    }
    order.truncate(query.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX)));
    let mut time = Vector::Long { values: order.iter().map(|row| times[*row as usize]).collect(), nulls: None };
    let mut aggregates: Vec<Vector> = groups.aggregates.iter().map(|column| column.gather(&order)).collect();
    let mut rows = order.len();
    let grand_total = settings.grand_total()?;
    if grand_total {
        aggregates = with_total(query, aggregates, rows)?;
        if let Vector::Long { values, nulls } = &mut time {
            values.push(0);
            *nulls = Some((0..=rows).map(|row| row == rows).collect());
        }
        rows += 1;
    }
    let mut keys = vec![(Arc::from(TIME_COLUMN), ColumnType::Long, time.clone())];
    if let Some(field) = settings.timestamp_result_field() {
        keys.push((Arc::from(field), ColumnType::Long, time));
    }
    let specs = (query.aggregations.as_slice(), query.post_aggregations.as_slice());
    let columns = ResultColumns::new(keys, aggregates, rows, specs, settings.finalize()?, context);
    let extra = if grand_total { ResultExtra::GrandTotal } else { ResultExtra::None };
    Ok(QueryRows { signature: columns.signature(), batches: vec![columns.into_batch()?], extra, ..QueryRows::default() })
}

/// Granularity `all`: one row at the first instant looked at; without any segment at the start of the query's interval.
fn one_bucket(query: &TimeseriesQuery, groups: GroupsPartial, skip_empty: bool) -> Result<GroupsPartial> {
    let start = query.base.segments.intervals.first().map_or(0, |interval| interval.start);
    let time = groups.buckets.first().copied().unwrap_or(start);
    let (aggregates, rows) = match groups.rows {
        0 if skip_empty => (empty_aggregates(&query.aggregations, 0)?, 0),
        0 => (empty_aggregates(&query.aggregations, 1)?, 1),
        rows => (groups.aggregates, rows),
    };
    let keys = vec![Vector::Long { values: vec![time; rows], nulls: None }];
    Ok(GroupsPartial { keys, aggregates, rows, ..GroupsPartial::default() })
}

/// Adds empty buckets for those that were looked at and have no rows.
fn filled(query: &TimeseriesQuery, groups: GroupsPartial, skip_empty: bool) -> Result<GroupsPartial> {
    let known: std::collections::HashSet<i64> = match groups.keys.first() {
        Some(Vector::Long { values, .. }) => values.iter().copied().collect(),
        _ => Default::default(),
    };
    let missing: Vec<i64> = groups.buckets.iter().copied().filter(|bucket| !known.contains(bucket)).collect();
    if skip_empty || missing.is_empty() {
        return Ok(groups);
    }
    let rows = missing.len();
    let mut merger = GroupMerger::new(1, &query.aggregations)?;
    let keys = vec![Vector::Long { values: missing, nulls: None }];
    merger.push(&groups)?;
    merger.push(&GroupsPartial {
        keys,
        aggregates: empty_aggregates(&query.aggregations, rows)?,
        rows,
        ..GroupsPartial::default()
    })?;
    merger.finish()
}

/// The aggregates with one more group, of everything.
fn with_total(query: &TimeseriesQuery, aggregates: Vec<Vector>, rows: usize) -> Result<Vec<Vector>> {
    let each: Vec<u32> = (0..rows as u32).collect();
    let total = vec![rows as u32; rows];
    let one = |(spec, column): (&ovate_compute::aggregate::AggregatorSpec, Vector)| {
        let mut merger = spec.merger()?;
        merger.resize(rows + 1);
        merger.merge(&column, &each)?;
        merger.merge(&column, &total)?;
        merger.take_partial()
    };
    query.aggregations.iter().zip(aggregates).map(one).collect()
}
