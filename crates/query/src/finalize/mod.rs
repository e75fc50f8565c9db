//! From a merged partial to the answer: post-aggregators, having, order and limit, zero-filled buckets, totals.

mod columns;
mod group_by;
mod having;
mod moving_average;
mod prune;
mod scan;
mod timeseries;
mod top_n;

pub use moving_average::moving_average;
pub(crate) use prune::keep_needed;
pub use prune::prune_for_transfer;

use std::sync::Arc;

use ovate_base::time::format_iso;
use ovate_base::{DruidError, Result};
use ovate_compute::ordering::StringOrder;
use ovate_compute::{ColumnType, TIME_COLUMN, Vector};
use serde_json::{Value, json};

use crate::document::{NativeQuery, SearchQuery, TimeBoundaryQuery};
use crate::partial::{BoundaryPartial, Partial, SearchPartial, SegmentAnalysis};
use crate::result::{QueryRows, ResultExtra, RowBatch};
use crate::run::{QueryContext, Stage};

/// The answer of a query whose partials have all been merged.
pub fn finalize(query: &NativeQuery, partial: Partial, context: &QueryContext) -> Result<QueryRows> {
    context.check()?;
    let _timer = context.timer(Stage::Finalize);
    match (query, partial) {
        (NativeQuery::Timeseries(q), Partial::Groups(groups)) => timeseries::finalize(q, groups, context),
        (NativeQuery::TopN(q), Partial::Groups(groups)) => top_n::finalize(q, groups, context),
        (NativeQuery::GroupBy(q), Partial::Groups(groups)) => group_by::finalize(q, groups, context),
        (NativeQuery::Scan(q), Partial::Scan(scan)) => scan::finalize(q, scan, context),
        (NativeQuery::Search(q), Partial::Search(search)) => search_rows(q, search),
        (NativeQuery::TimeBoundary(q), Partial::TimeBoundary(bounds)) => time_boundary_rows(q, bounds),
        (NativeQuery::DataSourceMetadata(q), Partial::TimeBoundary(bounds)) => {
            let Some(max) = bounds.max else { return Ok(json_rows(Vec::new())) };
            let result = json!({"maxIngestedEventTime": timestamp(max, q.base.context.date_time_as_long()?)});
            Ok(json_rows(vec![json!({"timestamp": timestamp(max, q.base.context.date_time_as_long()?), "result": result})]))
        }
        (NativeQuery::SegmentMetadata(_), Partial::SegmentMetadata(analyses)) => {
            Ok(json_rows(analyses.iter().map(SegmentAnalysis::to_json).collect()))
        }
        (query, _) => Err(DruidError::runtime(format!("partial result of another query type than [{}]", query.query_type()))),
    }
}

fn json_rows(results: Vec<Value>) -> QueryRows {
    QueryRows { signature: Vec::new(), batches: Vec::new(), extra: ResultExtra::Json(results), ..QueryRows::default() }
}

fn timestamp(millis: i64, as_long: bool) -> Value {
    if as_long { json!(millis) } else { json!(format_iso(millis)) }
}

fn time_boundary_rows(query: &TimeBoundaryQuery, bounds: BoundaryPartial) -> Result<QueryRows> {
    let as_long = query.base.context.date_time_as_long()?;
    let min = bounds.min.filter(|_| query.wants_min());
    let max = bounds.max.filter(|_| query.wants_max());
    let mut rows = json_rows(Vec::new());
    if let Some(at) = min.or(max) {
        let mut result = serde_json::Map::new();
        if let Some(min) = min {
            result.insert("minTime".into(), timestamp(min, as_long));
        }
        if let Some(max) = max {
            result.insert("maxTime".into(), timestamp(max, as_long));
        }
        rows.extra = ResultExtra::Json(vec![json!({"timestamp": timestamp(at, as_long), "result": result})]);
    }
    // As rows (`resultsAsArrays`): the bounds asked for.
    let column =
        |value: Option<i64>| Vector::Long { values: vec![value.unwrap_or(0)], nulls: value.is_none().then(|| vec![true]) };
    let (mut signature, mut columns) = (Vec::new(), Vec::new());
    for (name, wanted, value) in [("minTime", query.wants_min(), min), ("maxTime", query.wants_max(), max)] {
        if wanted {
            signature.push((Arc::from(name), Some(ColumnType::Long)));
            columns.push(column(value));
        }
    }
    rows.signature = signature;
    rows.batches = vec![RowBatch { columns, rows: 1 }];
    Ok(rows)
}

fn search_rows(query: &SearchQuery, partial: SearchPartial) -> Result<QueryRows> {
    let as_long = query.base.context.date_time_as_long()?;
    let partial = partial.compacted();
    let Some(first) = partial.buckets.first() else { return Ok(json_rows(Vec::new())) };
    let mut counts = std::collections::BTreeMap::new();
    for hit in partial.hits {
        let total = counts.entry((hit.dimension, hit.value)).or_insert(0u64);
        *total = total.saturating_add(hit.count);
    }
    let mut hits: Vec<_> = counts.into_iter().collect();
    let compare = |a: Option<&str>, b: Option<&str>| match query.sort.order {
        StringOrder::Natural | StringOrder::Lexicographic => a.cmp(&b),
        order => order.compare_nullable(a, b),
    };
    hits.sort_by(|((dim_a, a), _), ((dim_b, b), _)| compare(a.as_deref(), b.as_deref()).then_with(|| dim_a.cmp(dim_b)));
    hits.truncate(usize::try_from(query.limit).unwrap_or(usize::MAX));
    let list: Vec<Value> = hits
        .iter()
        .map(|((dimension, value), count)| json!({"dimension": dimension.as_ref(), "value": value.as_deref(), "count": count}))
        .collect();
    let mut rows = json_rows(vec![json!({"timestamp": timestamp(*first, as_long), "result": list})]);
    rows.signature = vec![
        (Arc::from(TIME_COLUMN), Some(ColumnType::Long)),
        (Arc::from("dimension"), Some(ColumnType::String)),
        (Arc::from("value"), Some(ColumnType::String)),
        (Arc::from("count"), Some(ColumnType::Long)),
    ];
    let columns = vec![
        Vector::Long { values: vec![*first; hits.len()], nulls: None },
        Vector::String(hits.iter().map(|((dimension, _), _)| Some(dimension.clone())).collect()),
        Vector::String(hits.iter().map(|((_, value), _)| value.clone()).collect()),
        Vector::Long { values: hits.iter().map(|(_, count)| *count as i64).collect(), nulls: None },
    ];
    rows.batches = vec![RowBatch { rows: hits.len(), columns }];
    Ok(rows)
}
