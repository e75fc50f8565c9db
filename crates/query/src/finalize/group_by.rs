//! groupBy: subtotals, post-aggregators, having, order and limit (`GroupingEngine`, `DefaultLimitSpec`).

use std::sync::Arc;

use ovate_base::{DruidError, Granularity, Result};
use ovate_compute::ordering::StringOrder;
use ovate_compute::{ColumnType, TIME_COLUMN, Vector};

use super::columns::{ResultColumns, empty_aggregates};
use super::having::kept_rows;
use crate::document::{Direction, GroupByQuery};
use crate::group::GroupMerger;
use crate::partial::{GroupsPartial, Held};
use crate::result::sort::{SortColumn, order_some, prepare};
use crate::result::{QueryRows, ResultExtra, RowBatch};
use crate::run::QueryContext;

pub(super) fn finalize(query: &GroupByQuery, groups: GroupsPartial, context: &QueryContext) -> Result<QueryRows> {
    let all = query.base.granularity == Granularity::All;
    let Some(subtotals) = &query.subtotals else {
        // Groups and, for a while, the rows made of them.
        let memory = rows_memory(query, &groups, context)?;
        let groups = with_summary_row(query, groups, all)?;
        let columns = columns_of(query, groups, all, context)?;
        let signature = columns.signature();
        let batch = ordered(query, columns, all)?.into_batch()?;
        return Ok(QueryRows { signature, batches: vec![batch], extra: ResultExtra::None, memory });
    };
    let memory = rows_memory(query, &groups, context)?;
    let mut batches: Vec<RowBatch> = Vec::new();
    let mut signature = Vec::new();
    for set in subtotals {
        context.check()?;
        let subset = subtotal(query, &groups, set, all)?;
        let columns = columns_of(query, subset, all, context)?;
        signature = columns.signature();
        batches.push(ordered_without_limit(query, columns, all)?.into_batch()?);
    }
    if !query.limit_spec.columns.is_empty() || query.limit_spec.limit.is_some() || query.limit_spec.offset > 0 {
        batches = vec![limited(query, &signature, batches, all)?];
    }
    Ok(QueryRows { signature, batches, extra: ResultExtra::None, memory })
}

/// Counts the rows that groups become: as many as the limit lets through, for each of the subtotals, with what sorting takes.
fn rows_memory(query: &GroupByQuery, groups: &GroupsPartial, context: &QueryContext) -> Result<Held> {
    let sets = query.subtotals.as_ref().map_or(1, Vec::len).max(1) as u64;
    let limit = query.limit_spec.limit.map_or(u64::MAX, |limit| limit.saturating_add(query.limit_spec.offset));
    let rows = groups.rows as u64;
    let bytes = (groups.memory_bytes() as u64).saturating_mul(sets);
    let kept = bytes.checked_div(rows).unwrap_or(0) * rows.min(limit);
    let bytes = kept.saturating_add(rows * 4);
    Held::reserve(context.budget(), bytes).map_err(|error| {
        DruidError::resource_limit(format!(
            "Not enough memory for the rows of the answer, add a limit or narrow the query: {}",
            error.message
        ))
    })
}

/// Without dimensions there is a row even for no input (`GroupingEngine.wrapSummaryRowIfNeeded`).
fn with_summary_row(query: &GroupByQuery, groups: GroupsPartial, all: bool) -> Result<GroupsPartial> {
    if !all || !query.dimensions.is_empty() || groups.rows > 0 || query.limit_spec.offset > 0 {
        return Ok(groups);
    }
    Ok(GroupsPartial { aggregates: empty_aggregates(&query.aggregations, 1)?, rows: 1, ..groups })
}

pub(super) fn columns_of<'a>(
    query: &'a GroupByQuery,
    groups: GroupsPartial,
    all: bool,
    context: &'a QueryContext,
) -> Result<ResultColumns<'a>> {
    let time = (!all).then(|| (Arc::from(TIME_COLUMN), ColumnType::Long));
    let dimensions = query.dimensions.iter().map(|spec| (Arc::from(spec.output_name()), spec.output_type()));
    let named = time.into_iter().chain(dimensions);
    let keys = named.zip(groups.keys).map(|((name, kind), vector)| (name, kind, vector)).collect();
    let specs = (query.aggregations.as_slice(), query.post_aggregations.as_slice());
    Ok(ResultColumns::new(keys, groups.aggregates, groups.rows, specs, query.base.context.finalize()?, context))
}

/// Rows that pass `having`, ordered and cut.
pub(super) fn ordered<'a>(query: &GroupByQuery, columns: ResultColumns<'a>, all: bool) -> Result<ResultColumns<'a>> {
    let mut chosen = first_rows(query, &columns, all)?;
    chosen.drain(..chosen.len().min(usize::try_from(query.limit_spec.offset).unwrap_or(usize::MAX)));
    Ok(columns.pick(&chosen))
}

/// The first offset + limit rows in order.
pub(super) fn first_rows(query: &GroupByQuery, columns: &ResultColumns<'_>, all: bool) -> Result<Vec<u32>> {
    let rows = having_rows(query, columns)?;
    let limit = &query.limit_spec;
    let needed = limit.limit.map(|n| usize::try_from(n.saturating_add(limit.offset)).unwrap_or(usize::MAX));
    let mut sort = Vec::new();
    // Brokers of Druid that push a limit down merge by time first (`getRowOrderingForPushDown`).
    let pushed = query.base.segments.segments.is_some() && query.base.context.bool("applyLimitPushDown", false)?;
    if pushed && !all && !query.base.context.sort_by_dims_first()? {
        sort.push(SortColumn::natural(columns.key(0).clone(), Direction::Ascending));
    }
    for order in &limit.columns {
        let Some(vector) = columns.get(&order.dimension)? else { return Err(unknown_order(&order.dimension)) };
        let is_dimension = query.dimensions.iter().any(|spec| spec.output_name() == order.dimension);
        let comparator = if is_dimension { order.order } else { natural_unless_text(&vector, order.order) };
        sort.push(SortColumn::new(vector, order.direction, comparator));
    }
    // Without a limitSpec order, and within its ties, the keys decide.
    sort.extend(key_order(query, columns, all)?);
    prepare(&mut sort, rows.len(), needed);
    Ok(order_some(rows, &sort, needed))
}

fn ordered_without_limit<'a>(query: &GroupByQuery, columns: ResultColumns<'a>, all: bool) -> Result<ResultColumns<'a>> {
    let rows = having_rows(query, &columns)?;
    let mut sort = key_order(query, &columns, all)?;
    prepare(&mut sort, rows.len(), None);
    let chosen = order_some(rows, &sort, None);
    Ok(columns.pick(&chosen))
}

fn having_rows(query: &GroupByQuery, columns: &ResultColumns<'_>) -> Result<Vec<u32>> {
    match &query.having {
        None => Ok((0..columns.rows as u32).collect()),
        Some(having) => kept_rows(having, columns),
    }
}

fn unknown_order(column: &str) -> DruidError {
    DruidError::invalid_input(format!("Unknown column in order clause[{column}]"))
}

/// Aggregators and post-aggregators have their own order; only texts follow the comparator.
fn natural_unless_text(vector: &Vector, order: StringOrder) -> StringOrder {
    if vector.column_type() == Some(ColumnType::String) { order } else { StringOrder::Natural }
}

/// Time and then the dimensions, or the other way round with `sortByDimsFirst`.
fn key_order(query: &GroupByQuery, columns: &ResultColumns<'_>, all: bool) -> Result<Vec<SortColumn>> {
    let first = usize::from(!all);
    let mut order: Vec<usize> = (0..query.dimensions.len() + first).collect();
    if first == 1 && query.base.context.sort_by_dims_first()? {
        order.rotate_left(1);
    }
    Ok(order.into_iter().map(|key| SortColumn::natural(columns.key(key).clone(), Direction::Ascending)).collect())
}

/// The groups by fewer dimensions; the others are null.
fn subtotal(query: &GroupByQuery, groups: &GroupsPartial, set: &[String], all: bool) -> Result<GroupsPartial> {
    let mut reduced = groups.clone();
    let first = usize::from(!all);
    for (index, spec) in query.dimensions.iter().enumerate() {
        if !set.iter().any(|name| name == spec.output_name()) {
            reduced.keys[first + index] = Vector::Null { len: groups.rows };
        }
    }
    let mut merger = GroupMerger::new(reduced.keys.len(), &query.aggregations)?;
    merger.push(&reduced)?;
    let mut merged = merger.finish()?;
    // `grouping` tells which dimensions this set left out; that is known only here.
    for (column, spec) in merged.aggregates.iter_mut().zip(&query.aggregations) {
        if spec.to_json()["type"] == "grouping" {
            let mut constant = spec.with_key_dimensions(set).merger()?;
            constant.resize(merged.rows);
            *column = constant.take_partial()?;
        }
    }
    Ok(merged)
}

/// Order and limit over all grouping sets together.
fn limited(
    query: &GroupByQuery,
    signature: &[(Arc<str>, Option<ColumnType>)],
    batches: Vec<RowBatch>,
    all: bool,
) -> Result<RowBatch> {
    let whole = crate::result::concatenate(signature, batches);
    let limit = &query.limit_spec;
    let needed = limit.limit.map(|n| usize::try_from(n.saturating_add(limit.offset)).unwrap_or(usize::MAX));
    let mut sort = Vec::new();
    for order in &limit.columns {
        let Some(at) = signature.iter().position(|(name, _)| name.as_ref() == order.dimension) else {
            return Err(unknown_order(&order.dimension));
        };
        let is_dimension = at < query.dimensions.len() + usize::from(!all);
        let vector = whole.columns[at].clone();
        let comparator = if is_dimension { order.order } else { natural_unless_text(&vector, order.order) };
        sort.push(SortColumn::new(vector, order.direction, comparator));
    }
    prepare(&mut sort, whole.rows, needed);
    let mut chosen = order_some((0..whole.rows as u32).collect(), &sort, needed);
    chosen.drain(..chosen.len().min(usize::try_from(limit.offset).unwrap_or(usize::MAX)));
    Ok(RowBatch { columns: whole.columns.iter().map(|column| column.gather(&chosen)).collect(), rows: chosen.len() })
}
