//! Sorting within the budget of queries. Where the order and the sorted rows have no room beside the rows that came, runs of
//! sorted rows go to a file, the rows that came are given up, and the runs are merged: so that there is never more than the rows
//! once, and a block of each run.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

use ovate_base::{DruidError, Result};
use ovate_compute::{ColumnType, Value, Vector};
use ovate_query::partial::ScanPartial;
use ovate_query::{Partial, Piece, QueryContext, RowBatch, Spill, SpillPieces};

use super::{SortColumn, first_sorted, order_of_nulls};
use crate::relation::Relation;

/// Bytes that sorting by way of the disk takes if it can, and at least.
const BYTES_MAX: u64 = 64 << 20;
const BYTES_MIN: u64 = 256 << 10;
/// Bytes of the rows that are read of a run at a time, at most; and how few rows are still worth reading.
const BLOCK_BYTES_MAX: u64 = 256 << 10;
const BLOCK_ROWS_MIN: u64 = 16;
/// Rows that are put together at a time.
const BATCH_ROWS: usize = 4096;

/// Which rows are wanted of the order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    pub offset: u64,
    pub limit: Option<u64>,
}

impl Wanted {
    /// The first rows that have to be known, of so many.
    fn first(self, rows: usize) -> usize {
        let whole = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        self.limit.map_or(rows, |limit| whole(limit.saturating_add(self.offset)).min(rows))
    }

    fn skipped(self) -> usize {
        usize::try_from(self.offset).unwrap_or(usize::MAX)
    }
}

/// The wanted rows in order; rows that compare equal keep theirs.
pub fn sort_within(relation: Relation, keys: &[SortColumn], wanted: Wanted, context: &QueryContext) -> Result<Relation> {
    let first = wanted.first(relation.rows);
    let bytes: usize = relation.columns.iter().map(Vector::memory_bytes).sum();
    let row_bytes = bytes.div_ceil(relation.rows.max(1)) as u64;
    // Row numbers, twice as many while the first few are looked for, and the rows that are given back.
    let order_bytes = if first < relation.rows / 4 { 8 * first } else { 4 * relation.rows } as u64;
    let needed = order_bytes + row_bytes * first.saturating_sub(wanted.skipped()) as u64;
    let short = match context.budget().reserve(needed) {
        Ok(_held) => {
            let mut order = first_sorted(&relation.columns, 0..relation.rows as u32, keys, first);
            order.drain(..order.len().min(wanted.skipped()));
            return Ok(relation.gather(&order));
        }
        Err(short) => short,
    };
    let rows = relation.rows;
    let refused = |error: DruidError| {
        let message = format!("Not enough memory to sort {rows} rows, narrow the query: {}", error.message);
        if error.is_resource_limit() { DruidError::resource_limit(message) } else { error }
    };
    match context.spill() {
        Some(spill) => by_disk(relation, keys, first, row_bytes, spill, context)
            .map(|sorted| sorted.slice(wanted.offset, None))
            .map_err(refused),
        None => Err(refused(short)),
    }
}

/// Sorted rows in a file.
struct Run {
    blocks: std::vec::IntoIter<Piece>,
    block: RowBatch,
    row: usize,
}

/// The first `first` rows, through a file.
fn by_disk(
    relation: Relation,
    keys: &[SortColumn],
    first: usize,
    row_bytes: u64,
    spill: &Spill,
    context: &QueryContext,
) -> Result<Relation> {
    let types: Vec<ColumnType> =
        relation.columns.iter().map(|column| column.column_type().unwrap_or(ColumnType::String)).collect();
    let mut file = spill.pieces()?;
    let mut bytes = BYTES_MAX;
    let _held = loop {
        match context.budget().reserve(bytes) {
            Ok(held) => break held,
            Err(error) if bytes <= BYTES_MIN => return Err(error),
            Err(_) => bytes /= 4,
        }
    };
    // An eighth is for the order of a run; the rest for a block of each run, as bytes, decoded and by value.
    let run_rows = usize::try_from(bytes / 32).unwrap_or(usize::MAX);
    let run_count = relation.rows.div_ceil(run_rows).max(1) as u64;
    let block_rows = (bytes / 8 * 7 / 3 / run_count).min(BLOCK_BYTES_MAX) / row_bytes.max(1);
    if block_rows < BLOCK_ROWS_MIN {
        let wanted = BLOCK_ROWS_MIN * row_bytes * run_count * 24 / 7;
        return Err(DruidError::resource_limit(format!(
            "{wanted} bytes wanted to merge {run_count} sorted runs, {bytes} are free. Raise druid.ovate.memory"
        )));
    }
    let block_rows = block_rows as usize;
    let mut runs = Vec::new();
    for start in (0..relation.rows).step_by(run_rows) {
        let end = relation.rows.min(start + run_rows);
        let order = first_sorted(&relation.columns, start as u32..end as u32, keys, first);
        let mut blocks = Vec::with_capacity(order.len().div_ceil(block_rows));
        for rows in order.chunks(block_rows) {
            context.check()?;
            let block = relation.gather(rows);
            blocks.push(file.write(&encode(RowBatch { columns: block.columns, rows: block.rows })?)?);
        }
        runs.push(Run { blocks: blocks.into_iter(), block: RowBatch { columns: Vec::new(), rows: 0 }, row: 0 });
    }
    drop(relation);
    merge(runs, &file, keys, first, &types, context)
}

fn encode(batch: RowBatch) -> Result<Vec<u8>> {
    let signature = batch.columns.iter().enumerate().map(|(at, column)| (Arc::from(format!("c{at}")), column.column_type()));
    let (signature, batches) = (signature.collect(), vec![(Arc::from(""), batch)]);
    Partial::Scan(ScanPartial { signature, batches }).encode()
}

fn decode(bytes: &[u8]) -> Result<RowBatch> {
    match Partial::decode(bytes)? {
        Partial::Scan(scan) => {
            scan.batches.into_iter().next().map(|(_, batch)| batch).ok_or_else(|| DruidError::runtime("a sorted block is empty"))
        }
        _ => Err(DruidError::runtime("a sorted block is of another kind")),
    }
}

impl Run {
    /// Makes the next row the current one; false at the end.
    fn advance(&mut self, file: &SpillPieces) -> Result<bool> {
        self.row += 1;
        if self.row < self.block.rows {
            return Ok(true);
        }
        let Some(piece) = self.blocks.next() else { return Ok(false) };
        self.block = decode(&file.read(piece)?)?;
        self.row = 0;
        Ok(self.block.rows > 0)
    }

    fn head(&self, number: usize, keys: &Arc<[SortColumn]>) -> Head {
        let values = keys.iter().map(|key| self.block.columns[key.column].value(self.row)).collect();
        Head { values, run: number, keys: keys.clone() }
    }
}

/// The sort keys of a run's current row.
struct Head {
    values: Vec<Value>,
    run: usize,
    keys: Arc<[SortColumn]>,
}

impl Ord for Head {
    /// Reversed, because the heap gives its greatest; of equal rows the earlier run's comes first.
    fn cmp(&self, other: &Self) -> Ordering {
        let by_key = |((key, a), b): ((&SortColumn, &Value), &Value)| {
            order_of_nulls(a.is_null(), b.is_null(), key.nulls_first).unwrap_or_else(|| {
                let order = a.compare(b);
                if key.descending { order.reverse() } else { order }
            })
        };
        let pairs = self.keys.iter().zip(&self.values).zip(&other.values);
        let differs = pairs.map(by_key).find(|order| order.is_ne());
        differs.unwrap_or_else(|| self.run.cmp(&other.run)).reverse()
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

fn merge(
    mut runs: Vec<Run>,
    file: &SpillPieces,
    keys: &[SortColumn],
    first: usize,
    types: &[ColumnType],
    context: &QueryContext,
) -> Result<Relation> {
    let keys: Arc<[SortColumn]> = keys.into();
    let mut heads = BinaryHeap::new();
    for (number, run) in runs.iter_mut().enumerate() {
        if run.advance(file)? {
            heads.push(run.head(number, &keys));
        }
    }
    let mut columns: Vec<Vec<Vector>> = vec![Vec::new(); types.len()];
    let mut values: Vec<Vec<Value>> = vec![Vec::new(); types.len()];
    let flush = |values: &mut Vec<Vec<Value>>, columns: &mut Vec<Vec<Vector>>| {
        for ((values, columns), column_type) in values.iter_mut().zip(columns.iter_mut()).zip(types) {
            columns.push(vector_of(column_type, std::mem::take(values)));
        }
    };
    let mut rows = 0;
    while rows < first
        && let Some(head) = heads.pop()
    {
        let run = &mut runs[head.run];
        values.iter_mut().zip(&run.block.columns).for_each(|(values, column)| values.push(column.value(run.row)));
        rows += 1;
        if rows % BATCH_ROWS == 0 {
            context.check()?;
            flush(&mut values, &mut columns);
        }
        if run.advance(file)? {
            heads.push(run.head(head.run, &keys));
        }
    }
    flush(&mut values, &mut columns);
    let columns =
        columns.into_iter().zip(types).map(|(parts, column_type)| crate::relation::concat(column_type, parts)).collect();
    Ok(Relation { columns, rows })
}

/// Values as a vector of a type; multi-value strings stay arrays in a STRING column.
fn vector_of(column_type: &ColumnType, values: Vec<Value>) -> Vector {
    match column_type {
        ColumnType::String if values.iter().any(|value| matches!(value, Value::Array(_))) => {
            Vector::Any { column_type: ColumnType::String, values }
        }
        other => Vector::from_values(other, values),
    }
}
