//! scan over one segment (`ScanQueryEngine`): row numbers first, ordered and cut to the limit, columns read last.

use std::sync::Arc;

use ovate_base::{DruidError, Result};
use ovate_compute::column::convert::VectorReader;
use ovate_compute::{ColumnType, Rows, Vector};

use super::cursor::Selection;
use super::{QueryContext, SegmentRef};
use crate::document::{Direction, ScanQuery};
use crate::partial::ScanPartial;
use crate::result::RowBatch;
use crate::result::sort::{SortColumn, order_rows};

/// The rows of one segment: at most offset + limit, in the query's order.
pub(super) fn run(query: &ScanQuery, segment: &SegmentRef, context: &QueryContext) -> Result<ScanPartial> {
    let mut selection = Selection::open(&query.base, segment, context)?;
    let names = if query.columns.is_empty() { selection.source.column_names() } else { query.columns.clone() };
    if let Some(order) = query.order_by.iter().find(|order| !names.contains(&order.column)) {
        return Err(DruidError::invalid_input(format!(
            "Column[{}] from orderBy must be one of the scan's columns",
            order.column
        )));
    }
    let needed = query.limit.map(|limit| limit.saturating_add(query.offset).min(u64::from(u32::MAX)) as usize);
    let ids = selected(query, &mut selection, needed, context)?;
    let signature: Vec<(Arc<str>, Option<ColumnType>)> =
        names.iter().map(|name| (Arc::from(name.as_str()), selection.source.capabilities(name).map(|c| c.column_type))).collect();
    let open = |name: &String| {
        let column = selection.source.column(name)?;
        let shown = column.as_ref().and_then(|column| column.shown());
        VectorReader::open(shown.or(column).as_ref())
    };
    let mut readers = names.iter().map(open).collect::<Result<Vec<_>>>()?;
    let mut partial = ScanPartial { signature, batches: Vec::new() };
    for chunk in ids.chunks(query.batch_size.clamp(1, 65536) as usize) {
        context.check()?;
        let columns = readers.iter_mut().map(|reader| read_in_order(reader, chunk)).collect::<Result<_>>()?;
        partial.batches.push((segment.id.clone(), RowBatch { columns, rows: chunk.len() }));
    }
    Ok(partial)
}

/// Row numbers in result order.
fn selected(query: &ScanQuery, selection: &mut Selection, needed: Option<usize>, context: &QueryContext) -> Result<Vec<u32>> {
    let sorted = selection.source.is_time_sorted();
    let time_order = if sorted { query.time_order() } else { None };
    let in_place = query.order_by.is_empty() || time_order == Some(Direction::Ascending);
    let stop_at = if in_place { needed.unwrap_or(usize::MAX) } else { usize::MAX };
    let mut ids: Vec<u32> = Vec::new();
    for range in selection.ranges.clone() {
        selection.batches(range, context, &mut |rows| {
            match rows {
                Rows::Range(range) => ids.extend(range),
                Rows::Ids(more) => ids.extend_from_slice(more),
            }
            Ok(ids.len() < stop_at)
        })?;
        if ids.len() >= stop_at {
            break;
        }
    }
    if in_place {
        ids.truncate(needed.unwrap_or(usize::MAX));
        return Ok(ids);
    }
    if time_order == Some(Direction::Descending) {
        ids.reverse();
        ids.truncate(needed.unwrap_or(usize::MAX));
        return Ok(ids);
    }
    let mut columns = Vec::with_capacity(query.order_by.len());
    for order in &query.order_by {
        let mut reader = VectorReader::open(selection.source.column(&order.column)?.as_ref())?;
        columns.push(SortColumn::natural(reader.read(Rows::Ids(&ids))?, order.direction));
    }
    let order = order_rows(ids.len(), &columns, needed);
    Ok(order.into_iter().map(|at| ids[at as usize]).collect())
}

/// Reads rows given in any order; readers themselves want them ascending.
fn read_in_order(reader: &mut VectorReader, ids: &[u32]) -> Result<Vector> {
    if ids.is_sorted() {
        let run = ids.last().map_or(0, |last| (last - ids[0]) as usize + 1) == ids.len();
        return reader.read(if run && !ids.is_empty() { Rows::Range(ids[0]..ids[0] + ids.len() as u32) } else { Rows::Ids(ids) });
    }
    let mut places: Vec<u32> = (0..ids.len() as u32).collect();
    places.sort_by_key(|place| ids[*place as usize]);
    let ascending: Vec<u32> = places.iter().map(|place| ids[*place as usize]).collect();
    let vector = reader.read(Rows::Ids(&ascending))?;
    let mut back = vec![0u32; ids.len()];
    for (at, place) in places.iter().enumerate() {
        back[*place as usize] = at as u32;
    }
    Ok(vector.gather(&back))
}
