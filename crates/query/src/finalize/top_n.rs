//! topN: the first values of every bucket by the metric; ties by the dimension's value (`TopNNumericResultBuilder`,
//! `TopNLexicographicResultBuilder`).

use std::sync::Arc;

use ovate_base::{Granularity, Result};
use ovate_compute::ordering::StringOrder;
use ovate_compute::{ColumnType, TIME_COLUMN, Value, Vector};

use super::columns::ResultColumns;
use crate::document::{Direction, MetricSpec, TopNQuery};
use crate::partial::GroupsPartial;
use crate::result::sort::{SortColumn, order_some};
use crate::result::{QueryRows, ResultExtra};
use crate::run::QueryContext;

pub(super) fn finalize(query: &TopNQuery, groups: GroupsPartial, context: &QueryContext) -> Result<QueryRows> {
    if groups.keys.is_empty() {
        return Ok(QueryRows::default());
    }
    let (chosen, columns, buckets) = choose(query, groups, query.threshold, context)?;
    let columns = columns.pick(&chosen);
    Ok(QueryRows {
        signature: columns.signature(),
        batches: vec![columns.into_batch()?],
        extra: ResultExtra::Buckets(buckets),
        ..QueryRows::default()
    })
}

/// The first `threshold` rows of every bucket in order, with all columns and buckets.
pub(super) fn choose<'a>(
    query: &'a TopNQuery,
    groups: GroupsPartial,
    threshold: u64,
    context: &'a QueryContext,
) -> Result<(Vec<u32>, ResultColumns<'a>, Vec<i64>)> {
    let GroupsPartial { mut keys, aggregates, rows, buckets, .. } = groups;
    let dimension = keys.pop().unwrap_or(Vector::Null { len: rows });
    let all = query.base.granularity == Granularity::All;
    let start = query.base.segments.intervals.first().map_or(0, |interval| interval.start);
    let first = buckets.first().copied().unwrap_or(start);
    let times = match keys.pop() {
        Some(Vector::Long { values, .. }) => values,
        _ => vec![first; rows],
    };
    let mut buckets = if all { buckets.first().copied().into_iter().collect() } else { buckets };
    if all && rows > 0 && buckets.is_empty() {
        buckets.push(first);
    } else if !all {
        buckets.extend_from_slice(&times);
        buckets.sort_unstable();
        buckets.dedup();
    }
    let keys = vec![
        (Arc::from(TIME_COLUMN), ColumnType::Long, Vector::Long { values: times.clone(), nulls: None }),
        (Arc::from(query.dimension.output_name()), query.dimension.output_type(), dimension.clone()),
    ];
    let specs = (query.aggregations.as_slice(), query.post_aggregations.as_slice());
    let columns = ResultColumns::new(keys, aggregates, rows, specs, query.base.context.finalize()?, context);
    let sort = sort_columns(&query.metric, &columns, &dimension)?;
    let stop = stop_of(&query.metric);
    let threshold = usize::try_from(threshold).unwrap_or(usize::MAX);
    let mut by_bucket: Vec<Vec<u32>> = vec![Vec::new(); buckets.len()];
    for row in 0..rows as u32 {
        if stop.as_ref().is_some_and(|stop| !stop.passes(&dimension.value(row as usize))) {
            continue;
        }
        let at = if buckets.len() == 1 { Ok(0) } else { buckets.binary_search(&times[row as usize]) };
        if let Ok(at) = at {
            by_bucket[at].push(row);
        }
    }
    let mut chosen = Vec::new();
    for rows in by_bucket {
        context.check()?;
        chosen.extend(order_some(rows, &sort, Some(threshold)));
    }
    Ok((chosen, columns, buckets))
}

fn sort_columns(metric: &MetricSpec, columns: &ResultColumns<'_>, dimension: &Vector) -> Result<Vec<SortColumn>> {
    let tie = || SortColumn::natural(dimension.clone(), Direction::Ascending);
    let (inner, inverted) = match metric {
        MetricSpec::Inverted(inner) => (inner.as_ref(), true),
        plain => (plain, false),
    };
    let direction = |descending: bool| if descending { Direction::Descending } else { Direction::Ascending };
    // `InvertedTopNMetricSpec` counts nulls as least whichever way the values go: last of metrics, first of dimensions.
    let nulls = |vector: &Vector, first: bool| {
        let flags = (0..vector.len()).map(|row| i64::from(vector.is_null(row))).collect();
        SortColumn::natural(Vector::Long { values: flags, nulls: None }, direction(first))
    };
    Ok(match inner {
        MetricSpec::Numeric(name) => {
            let values = columns.order_value(name)?.unwrap_or(Vector::Null { len: columns.rows });
            if inverted {
                return Ok(vec![nulls(&values, false), SortColumn::natural(values, Direction::Ascending), tie()]);
            }
            vec![SortColumn::natural(values, Direction::Descending), tie()]
        }
        MetricSpec::Dimension { order, .. } if inverted => {
            vec![nulls(dimension, true), SortColumn::new(dimension.clone(), Direction::Descending, *order), tie()]
        }
        MetricSpec::Dimension { order, .. } => vec![SortColumn::new(dimension.clone(), direction(inverted), *order), tie()],
        MetricSpec::Inverted(_) => vec![tie()],
    })
}

/// Values up to and including this one are left out.
struct Stop {
    text: Arc<str>,
    order: StringOrder,
    inverted: bool,
}

impl Stop {
    fn passes(&self, value: &Value) -> bool {
        let text = value.as_text();
        let order = match self.order {
            StringOrder::Natural => StringOrder::Lexicographic,
            order => order,
        };
        let ordering = order.compare_nullable(text.as_deref(), Some(&self.text));
        if self.inverted { ordering.is_lt() } else { ordering.is_gt() }
    }
}

fn stop_of(metric: &MetricSpec) -> Option<Stop> {
    let (inner, inverted) = match metric {
        MetricSpec::Inverted(inner) => (inner.as_ref(), true),
        plain => (plain, false),
    };
    match inner {
        MetricSpec::Dimension { order, previous_stop: Some(text) } => {
            Some(Stop { text: Arc::from(text.as_str()), order: *order, inverted })
        }
        _ => None,
    }
}
