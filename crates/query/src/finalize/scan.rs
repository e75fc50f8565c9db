//! scan: batches in order, cut to offset and limit.

use std::sync::Arc;

use ovate_base::Result;
use ovate_compute::{ColumnType, Value, Vector};

use crate::document::ScanQuery;
use crate::partial::ScanPartial;
use crate::result::sort::{SortColumn, order_rows, prepare};
use crate::result::{QueryRows, ResultExtra, RowBatch};
use crate::run::QueryContext;

pub(super) fn finalize(query: &ScanQuery, partial: ScanPartial, context: &QueryContext) -> Result<QueryRows> {
    let signature = partial.signature.clone();
    let (segments, batches): (Vec<_>, Vec<_>) = if query.order_by.is_empty() || partial.batches.len() < 2 {
        partial.batches.into_iter().unzip()
    } else {
        context.check()?;
        let segment = partial.batches[0].0.clone();
        let batch = sorted(query, partial);
        (vec![segment], vec![batch])
    };
    let mut skip = usize::try_from(query.offset).unwrap_or(usize::MAX);
    let mut left = query.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let (mut kept_segments, mut kept) = (Vec::new(), Vec::new());
    for (segment, batch) in segments.into_iter().zip(batches) {
        let start = skip.min(batch.rows);
        let end = batch.rows.min(start.saturating_add(left));
        skip -= start;
        if start == end {
            continue;
        }
        left -= end - start;
        kept_segments.push(segment);
        kept.push(slice(batch, start, end));
    }
    Ok(QueryRows { signature, batches: kept, extra: ResultExtra::ScanSegments(kept_segments) })
}

fn slice(batch: RowBatch, start: usize, end: usize) -> RowBatch {
    if start == 0 && end == batch.rows {
        return batch;
    }
    let rows: Vec<u32> = (start as u32..end as u32).collect();
    RowBatch { columns: batch.columns.iter().map(|column| column.gather(&rows)).collect(), rows: end - start }
}

fn sorted(query: &ScanQuery, partial: ScanPartial) -> RowBatch {
    let whole = concatenate(&partial.signature, partial.batches.into_iter().map(|(_, batch)| batch).collect());
    let needed = query.limit.map(|n| usize::try_from(n.saturating_add(query.offset)).unwrap_or(usize::MAX));
    let mut sort = Vec::new();
    for order in &query.order_by {
        if let Some(at) = partial.signature.iter().position(|(name, _)| name.as_ref() == order.column) {
            sort.push(SortColumn::natural(whole.columns[at].clone(), order.direction));
        }
    }
    prepare(&mut sort, whole.rows, needed);
    let order = order_rows(whole.rows, &sort, needed);
    RowBatch { columns: whole.columns.iter().map(|column| column.gather(&order)).collect(), rows: order.len() }
}

/// All rows in one batch.
pub(super) fn concatenate(signature: &[(Arc<str>, Option<ColumnType>)], mut batches: Vec<RowBatch>) -> RowBatch {
    if batches.len() == 1 {
        return batches.remove(0);
    }
    let rows = batches.iter().map(|batch| batch.rows).sum();
    let columns = (0..signature.len()).map(|at| join(batches.iter().map(|batch| &batch.columns[at]).collect())).collect();
    RowBatch { columns, rows }
}

fn join(parts: Vec<&Vector>) -> Vector {
    let rows: usize = parts.iter().map(|part| part.len()).sum();
    if parts.iter().all(|part| matches!(part, Vector::Long { .. })) {
        let (mut all, mut nulls) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        for part in &parts {
            if let Vector::Long { values, nulls: own } = part {
                all.extend_from_slice(values);
                match own {
                    Some(own) => nulls.extend_from_slice(own),
                    None => nulls.resize(all.len(), false),
                }
            }
        }
        return Vector::Long { values: all, nulls: nulls.contains(&true).then_some(nulls) };
    }
    let values: Vec<Value> = parts.iter().flat_map(|part| part.to_values()).collect();
    match parts.iter().find_map(|part| part.column_type()) {
        None => Vector::Null { len: rows },
        // Multi-value strings stay arrays in a STRING column.
        Some(ColumnType::String) if values.iter().any(|v| matches!(v, Value::Array(_))) => {
            Vector::Any { column_type: ColumnType::String, values }
        }
        Some(column_type) => Vector::from_values(&column_type, values),
    }
}
