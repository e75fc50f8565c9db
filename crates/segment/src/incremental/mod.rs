//! The mutable index that rows are ingested into, and that becomes a segment (`OnheapIncrementalIndex`). Everything is
//! columnar: batches come as columns, dimensions are codes and numbers, rollup compares codes. One thread adds;
//! [`IncrementalIndex::snapshot`] gives queries a table that no longer changes.

pub mod batch;
mod batch_source;
pub(crate) mod dimension;
pub(crate) mod metric;
pub(crate) mod packed_rows;
pub(crate) mod prepared;
mod rollup;
pub mod schema;
pub(crate) mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use ovate_base::{DruidError, Interval, Result};
use ovate_compute::{ColumnSource, Dictionary, Value, Vector};

pub use batch::{AddResult, InputColumn, RowBatch, RowProblem};
pub use schema::{DimensionKind, DimensionSchema, Discovery, IndexSchema, MultiValueHandling};

use crate::write::data::{ColumnData, StringColumn, StringTable};
use crate::write::{IndexSpec, SegmentMetadata, SegmentRows, WriteReport, write_segment};
use batch::Selection;
use batch_source::BatchSource;
use dimension::{Dimension, DimensionStore};
use metric::{Metric, MetricBatch};
use packed_rows::PackedRows;
use rollup::RowTable;
use snapshot::{ArrivalDictionary, SnapshotSource, TableDictionary};

/// Rows being ingested.
pub struct IncrementalIndex {
    schema: IndexSchema,
    times: PackedRows<i64>,
    /// The first and the last time.
    bounds: Option<(i64, i64)>,
    dimensions: Vec<Dimension>,
    /// By name, ascending, as segments store them.
    metrics: Vec<Metric>,
    rollup: Option<RowTable>,
    /// Input fields that are dimensions already, or never become one.
    known: std::collections::HashSet<String>,
    input_rows: u64,
    /// A batch failed halfway: some columns have rows that others lack.
    broken: bool,
    /// The last snapshot, good until rows are added.
    snapshot: Option<Arc<dyn ColumnSource>>,
}

impl IncrementalIndex {
    /// An empty index.
    pub fn new(schema: IndexSchema) -> Result<Self> {
        let mut known = schema.exclusions.clone();
        known.insert("__time".to_owned());
        for metric in &schema.metrics {
            known.insert(metric.name().to_owned());
            known.extend(metric.required_columns());
        }
        let mut metrics = schema.metrics.iter().map(|spec| Metric::new(spec, schema.rollup)).collect::<Result<Vec<Metric>>>()?;
        metrics.sort_by(|a, b| a.name.cmp(&b.name));
        let dimensions: Vec<Dimension> = schema.dimensions.iter().map(|d| Dimension::new(d.clone(), 0)).collect();
        let mut names = std::collections::HashSet::from(["__time"]);
        for name in dimensions.iter().map(|d| &*d.schema.name).chain(metrics.iter().map(|m| m.name.as_str())) {
            if !names.insert(name) {
                return Err(DruidError::invalid_input(format!("column [{name}] is specified more than once")));
            }
        }
        known.extend(dimensions.iter().map(|dimension| dimension.schema.name.to_string()));
        let rollup = schema.rollup.then(RowTable::default);
        Ok(IncrementalIndex {
            schema,
            times: PackedRows::default(),
            bounds: None,
            dimensions,
            metrics,
            rollup,
            known,
            input_rows: 0,
            broken: false,
            snapshot: None,
        })
    }

    /// Number of rows stored; with rollup fewer than were added.
    pub fn row_count(&self) -> usize {
        self.times.len()
    }

    /// Number of rows added.
    pub fn input_row_count(&self) -> u64 {
        self.input_rows
    }

    /// Names of the dimensions so far, in order.
    pub fn dimension_names(&self) -> Vec<String> {
        self.dimensions.iter().map(|d| d.schema.name.to_string()).collect()
    }

    /// Schemas of the dimensions so far, discovered ones at the end.
    pub fn dimension_schemas(&self) -> Vec<DimensionSchema> {
        self.dimensions.iter().map(|d| d.schema.clone()).collect()
    }

    /// The schema it was made with.
    pub fn schema(&self) -> &IndexSchema {
        &self.schema
    }

    /// From the first row's time to just after the last one's.
    pub fn interval(&self) -> Option<Interval> {
        self.bounds.map(|(first, last)| Interval { start: first, end: last.saturating_add(1) })
    }

    /// Bytes held, for `maxBytesInMemory`.
    pub fn memory_bytes(&self) -> usize {
        let dimensions: usize = self.dimensions.iter().map(Dimension::memory_bytes).sum();
        let metrics: usize = self.metrics.iter().map(Metric::memory_bytes).sum();
        let rollup = self.rollup.as_ref().map_or(0, RowTable::memory_bytes);
        self.times.memory_bytes() + dimensions + metrics + rollup
    }

    /// Adds one row. Slow beside `add_batch`.
    pub fn add_row(&mut self, timestamp: i64, fields: &[(&str, Value)]) -> Result<AddResult> {
        let columns: Vec<(&str, InputColumn<'_>)> =
            fields.iter().map(|(name, value)| (*name, InputColumn::Values(std::slice::from_ref(value)))).collect();
        self.add_batch(&RowBatch { timestamps: &[timestamp], columns: &columns, selection: None })
    }

    /// Adds the batch's selected rows.
    pub fn add_batch(&mut self, batch: &RowBatch<'_>) -> Result<AddResult> {
        self.check_whole()?;
        let selection = check(batch)?;
        let mut result = AddResult { rows: selection.len(), problems: Vec::new() };
        if selection.len() == 0 {
            return Ok(result);
        }
        self.snapshot = None;
        let inputs: HashMap<&str, InputColumn<'_>> = batch.columns.iter().copied().collect();
        let input = |name: &str| inputs.get(name).copied().unwrap_or(InputColumn::Null);
        self.discover(batch);
        for dimension in &mut self.dimensions {
            let column = input(&dimension.schema.name);
            dimension.stage(column, selection, &mut result.problems)?;
        }
        let mut original = Vec::with_capacity(selection.len());
        selection.for_each(|row| original.push(batch.timestamps[row]));
        let mut times = Vec::new();
        self.schema.query_granularity.bucket_starts(&original, &mut times);
        // A bucket may begin before the segment does.
        times.iter_mut().for_each(|time| *time = (*time).max(self.schema.min_timestamp));
        self.broken = true;
        let rows = self.commit(&times)?;
        self.add_metrics(&input, selection, &original, &rows, &mut result.problems)?;
        self.broken = false;
        self.input_rows += selection.len() as u64;
        Ok(result)
    }

    fn check_whole(&self) -> Result<()> {
        if self.broken {
            return Err(DruidError::runtime("an earlier batch failed halfway; the in-memory index cannot be used any more"));
        }
        Ok(())
    }

    /// Columns that the schema does not know become dimensions, if it says so.
    fn discover(&mut self, batch: &RowBatch<'_>) {
        let kind = match self.schema.discovery {
            Discovery::Off => return,
            Discovery::Strings => DimensionKind::STRING,
            Discovery::Auto => DimensionKind::Auto { cast_to: None },
        };
        for (name, _) in batch.columns {
            if self.known.contains(*name) {
                continue;
            }
            self.known.insert((*name).to_owned());
            self.dimensions.push(Dimension::new(DimensionSchema::new(name, kind.clone()), self.times.len()));
        }
    }

    /// Takes the staged rows; gives the index row of each.
    fn commit(&mut self, times: &[i64]) -> Result<Vec<u32>> {
        if self.times.len() + times.len() > i32::MAX as usize {
            return Err(DruidError::resource_limit("an in-memory index holds at most 2^31 rows; lower maxRowsInMemory"));
        }
        let bounds = |bounds: (i64, i64), time: &i64| (bounds.0.min(*time), bounds.1.max(*time));
        self.bounds = times.first().map(|first| times.iter().fold(self.bounds.unwrap_or((*first, *first)), bounds));
        let Some(table) = &mut self.rollup else {
            let first = self.times.len() as u32;
            self.times.extend_from_slice(times);
            self.dimensions.iter_mut().for_each(Dimension::commit_all);
            return Ok((first..first + times.len() as u32).collect());
        };
        let mut hashes: Vec<u64> = times.iter().map(|time| dimension::mix(*time as u64, rollup::TIME_SALT)).collect();
        for (index, dimension) in self.dimensions.iter().enumerate() {
            dimension.hash_staged(rollup::salt(index), &mut hashes);
        }
        let mut rows = Vec::with_capacity(times.len());
        for (staged, time) in times.iter().enumerate() {
            let (stored, dimensions) = (&self.times, &self.dimensions);
            let hash_of = |row: u32| {
                let parts = dimensions.iter().enumerate().map(|(at, d)| d.hash_row(rollup::salt(at), row as usize));
                parts.fold(dimension::mix(stored.get(row as usize) as u64, rollup::TIME_SALT), u64::wrapping_add)
            };
            let same = |row: u32| {
                let row = row as usize;
                stored.get(row) == *time && dimensions.iter().all(|dimension| dimension.staged_equals(staged, row))
            };
            let new = self.times.len() as u32;
            let row = table.find_or_add(hashes[staged], new, same, hash_of);
            if row == new {
                self.times.push(*time);
                self.dimensions.iter_mut().for_each(|dimension| dimension.commit(staged));
            }
            rows.push(row);
        }
        Ok(rows)
    }

    fn add_metrics<'a>(
        &mut self,
        input: &dyn Fn(&str) -> InputColumn<'a>,
        selection: Selection<'_>,
        times: &[i64],
        rows: &[u32],
        problems: &mut Vec<RowProblem>,
    ) -> Result<()> {
        let needs_source = self.metrics.iter().any(Metric::needs_source);
        let source = if needs_source { Some(self.batch_table(input, selection, times)?) } else { None };
        let (local_groups, local_rows) = if needs_source { local_groups(rows) } else { Default::default() };
        let batch = MetricBatch {
            selection,
            rows,
            row_count: self.times.len(),
            source: source.as_ref(),
            local_groups: &local_groups,
            local_rows: &local_rows,
        };
        self.metrics.iter_mut().try_for_each(|metric| metric.add(input, &batch, problems))
    }

    /// The selected rows of the columns that metrics read, as a table. `__time` is the time as it came.
    fn batch_table<'a>(
        &self,
        input: &dyn Fn(&str) -> InputColumn<'a>,
        selection: Selection<'_>,
        times: &[i64],
    ) -> Result<Arc<dyn ColumnSource>> {
        let mut columns = vec![("__time".to_owned(), Vector::Long { values: times.to_vec(), nulls: None })];
        for metric in self.metrics.iter().filter(|metric| metric.needs_source()) {
            for name in metric.spec.required_columns() {
                if !columns.iter().any(|(known, _)| *known == name) {
                    let vector = batch::vector_of(input(&name), selection);
                    columns.push((name, vector));
                }
            }
        }
        Ok(Arc::new(BatchSource::new(selection.len(), columns)?))
    }

    /// The rows as a table in the order and with the dictionaries of a segment: what `persist` would write, as an input of
    /// `merge` without the way over the disk.
    pub fn freeze(&mut self) -> Result<Arc<dyn ColumnSource>> {
        self.check_whole()?;
        let prepared = prepare_strings(&self.dimensions);
        let times = self.times.to_vec();
        let order = segment_order(&times, &self.dimensions, &prepared);
        let order = order.as_deref();
        let times = pick_times(times, order);
        let dimensions = &self.dimensions;
        let data = crate::parallel::map(dimensions.len(), |index| {
            prepared::dimension_column(&dimensions[index], prepared[index].as_ref(), order)
        });
        let mut columns = Vec::with_capacity(data.len() + self.metrics.len());
        for (dimension, data) in dimensions.iter().zip(data) {
            let dictionary = match &data {
                ColumnData::String(column) => Some(Arc::new(TableDictionary(column.table.clone())) as Arc<dyn Dictionary>),
                _ => None,
            };
            columns.push((dimension.schema.name.to_string(), data, dictionary));
        }
        let row_count = self.times.len();
        for metric in &mut self.metrics {
            columns.push((metric.name.clone(), metric.column(order, row_count)?, None));
        }
        Ok(Arc::new(SnapshotSource::new(times, columns)))
    }

    /// The rows as a table that no longer changes, ordered by time only. Costs a copy, unless nothing was added since.
    pub fn snapshot(&mut self) -> Result<Arc<dyn ColumnSource>> {
        self.check_whole()?;
        if let Some(snapshot) = &self.snapshot {
            return Ok(snapshot.clone());
        }
        let times = self.times.to_vec();
        let order = prepared::time_sorted_rows(&times);
        let times = pick_times(times, order.as_deref());
        let mut columns = Vec::with_capacity(self.dimensions.len() + self.metrics.len());
        for dimension in &self.dimensions {
            let (data, dictionary) = snapshot_dimension(dimension, order.as_deref());
            columns.push((dimension.schema.name.to_string(), data, dictionary));
        }
        let row_count = self.times.len();
        for metric in &mut self.metrics {
            columns.push((metric.name.clone(), metric.column(order.as_deref(), row_count)?, None));
        }
        let snapshot: Arc<dyn ColumnSource> = Arc::new(SnapshotSource::new(times, columns));
        self.snapshot = Some(snapshot.clone());
        Ok(snapshot)
    }

    /// Writes the rows as a segment into `dir`, sorted by time and dimensions. The index stays as it is.
    pub fn persist(&mut self, dir: &Path, spec: &IndexSpec) -> Result<WriteReport> {
        self.check_whole()?;
        let prepared = prepare_strings(&self.dimensions);
        let times = self.times.to_vec();
        let order = segment_order(&times, &self.dimensions, &prepared);
        let order = order.as_deref();
        let times = &*pick_times(times, order);
        let metadata = SegmentMetadata {
            aggregators: self.schema.metrics.clone(),
            timestamp_spec: self.schema.timestamp_spec.clone(),
            query_granularity: self.schema.query_granularity.clone(),
            rollup: self.schema.rollup,
        };
        let metric_names: Vec<String> = self.metrics.iter().map(|metric| metric.name.clone()).collect();
        let dimension_names = self.dimension_names();
        let (dimensions, row_count) = (&self.dimensions, self.times.len());
        let metrics: Vec<Mutex<&mut Metric>> = self.metrics.iter_mut().map(Mutex::new).collect();
        let column = |index: usize| -> Result<ColumnData> {
            match metrics.get(index) {
                Some(metric) => {
                    let mut metric = metric.lock().map_err(|_| DruidError::runtime("a metric's writer failed"))?;
                    metric.column(order, row_count)
                }
                None => {
                    let index = index - metrics.len();
                    Ok(prepared::dimension_column(&dimensions[index], prepared[index].as_ref(), order))
                }
            }
        };
        let rows = SegmentRows { times, metrics: &metric_names, dimensions: &dimension_names, column: &column };
        write_segment(dir, &rows, &metadata, spec)
    }
}

/// Sorts the dictionaries of string dimensions, on all cores.
fn prepare_strings(dimensions: &[Dimension]) -> Vec<Option<prepared::PreparedStrings>> {
    crate::parallel::map(dimensions.len(), |index| match &dimensions[index].store {
        DimensionStore::String(store) => Some(prepared::prepare_strings(store)),
        _ => None,
    })
}

/// Rows by time and then by each dimension; `None` when they stand so already.
fn segment_order(times: &[i64], dimensions: &[Dimension], prepared: &[Option<prepared::PreparedStrings>]) -> Option<Vec<u32>> {
    let keys: Vec<_> = dimensions.iter().zip(prepared).map(|(d, strings)| prepared::sort_keys(d, strings.as_ref())).collect();
    prepared::sorted_rows(times, &keys)
}

/// Times in this order.
fn pick_times(times: Vec<i64>, order: Option<&[u32]>) -> Vec<i64> {
    match order {
        Some(order) => order.iter().map(|row| times[*row as usize]).collect(),
        None => times,
    }
}

/// The rows a batch selects, once its columns are known to fit.
fn check<'a>(batch: &RowBatch<'a>) -> Result<Selection<'a>> {
    let count = batch.timestamps.len();
    for (name, column) in batch.columns {
        if column.row_count().is_some_and(|rows| rows != count) {
            return Err(DruidError::runtime(format!("batch column [{name}] does not have the batch's {count} rows")));
        }
    }
    match batch.selection {
        None => Ok(Selection::All(count)),
        Some(ids) if ids.iter().all(|id| (*id as usize) < count) => Ok(Selection::Ids(ids)),
        Some(_) => Err(DruidError::runtime("batch selects a row beyond its end")),
    }
}

/// Groups of a batch numbered from 0, and the index row of each.
fn local_groups(rows: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let mut local_rows: Vec<u32> = rows.to_vec();
    local_rows.sort_unstable();
    local_rows.dedup();
    let groups = match (local_rows.first(), local_rows.last()) {
        // New rows only: their numbers follow each other.
        (Some(first), Some(last)) if (last - first) as usize + 1 == local_rows.len() => {
            rows.iter().map(|row| row - first).collect()
        }
        _ => rows.iter().map(|row| local_rows.binary_search(row).unwrap_or_default() as u32).collect(),
    };
    (groups, local_rows)
}

fn snapshot_dimension(dimension: &Dimension, order: Option<&[u32]>) -> (ColumnData, Option<Arc<dyn Dictionary>>) {
    let DimensionStore::String(store) = &dimension.store else {
        return (prepared::dimension_column(dimension, None, order), None);
    };
    let identity: Vec<u32> = (0..=store.texts.len() as u32).collect();
    let rows = prepared::code_rows(store, &identity, order);
    let dictionary: Arc<dyn Dictionary> = Arc::new(ArrivalDictionary(store.texts.clone()));
    let column = StringColumn { table: Arc::new(StringTable::default()), rows, bitmap_index: false };
    (ColumnData::String(column), Some(dictionary))
}
