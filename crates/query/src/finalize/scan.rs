//! scan: batches in order, cut to offset and limit.

use std::sync::Arc;

use ovate_base::Result;

use crate::document::ScanQuery;
use crate::partial::ScanPartial;
use crate::result::sort::{SortColumn, order_rows, prepare};
use crate::result::{QueryRows, ResultExtra, RowBatch, concatenate};
use crate::run::QueryContext;

pub(super) fn finalize(query: &ScanQuery, partial: ScanPartial, context: &QueryContext) -> Result<QueryRows> {
    let signature = partial.signature.clone();
    let (segments, batches): (Vec<_>, Vec<_>) =
        if query.order_by.is_empty() || (partial.batches.len() < 2 && query.base.segments.segments.is_none()) {
            partial.batches.into_iter().unzip()
        } else {
            context.check()?;
            let segment = partial.batches.first().map_or_else(|| Arc::from(""), |batch| batch.0.clone());
            let batches = sorted(query, partial);
            (vec![segment; batches.len()], batches)
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
    Ok(QueryRows { signature, batches: kept, extra: ResultExtra::ScanSegments(kept_segments), ..QueryRows::default() })
}

fn slice(batch: RowBatch, start: usize, end: usize) -> RowBatch {
    if start == 0 && end == batch.rows {
        return batch;
    }
    let rows: Vec<u32> = (start as u32..end as u32).collect();
    RowBatch { columns: batch.columns.iter().map(|column| column.gather(&rows)).collect(), rows: end - start }
}

fn sorted(query: &ScanQuery, partial: ScanPartial) -> Vec<RowBatch> {
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
    let batch =
        |rows: &[u32]| RowBatch { columns: whole.columns.iter().map(|column| column.gather(rows)).collect(), rows: rows.len() };
    // A Broker of Druid merges ordered answers of data servers by the first row of each element.
    let rows_max = if query.base.segments.segments.is_some() { 1 } else { query.batch_size.clamp(1, 1 << 20) as usize };
    order.chunks(rows_max).map(batch).collect()
}
