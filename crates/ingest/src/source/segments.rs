//! The `druid` input source (SRC-05, `DruidInputSource`): rows of a datasource's visible segments, as batches of columns.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use ovate_base::segment::DataSegment;
use ovate_base::timeline::Timeline;
use ovate_base::{DruidError, Interval, Result};
use ovate_compute::filter::FilterSpec;
use ovate_compute::{ColumnSource, ColumnType, EvalContext, Rows};
use ovate_segment::Segment;
use ovate_store::deep::DeepStorage;
use tokio::runtime::Handle;

use crate::format::column::{Column, Nulls};
use crate::format::{Batch, Wanted};

/// One visible segment, pulled, with the part of its interval that is wanted.
#[derive(Clone)]
pub struct SegmentInput {
    pub descriptor: DataSegment,
    pub segment: Segment,
    pub interval: Interval,
}

/// Rows of one batch.
const BATCH_ROWS: u32 = 16_384;

/// What of `used` is visible inside `interval`, clipped to it; tombstones hide others and have no rows.
pub fn visible(used: &[DataSegment], interval: Interval) -> Vec<(DataSegment, Interval)> {
    let mut timeline = Timeline::new();
    for segment in used {
        timeline.add(segment.interval, segment.version.clone(), segment.shard_spec.clone(), segment.clone());
    }
    let mut out = Vec::new();
    for holder in timeline.lookup(interval) {
        let Some(part) = holder.interval.intersect(&interval) else { continue };
        for chunk in &holder.chunks {
            if !chunk.object.is_tombstone() {
                out.push((chunk.object.clone(), part));
            }
        }
    }
    out
}

/// Brings segments from deep storage into `dir` and opens them. A segment that is visible in two parts is pulled once.
pub fn pull(
    list: Vec<(DataSegment, Interval)>,
    dir: &Path,
    storage: &dyn DeepStorage,
    handle: &Handle,
) -> Result<Vec<SegmentInput>> {
    let mut opened: HashMap<String, Segment> = HashMap::new();
    let mut out = Vec::with_capacity(list.len());
    for (descriptor, interval) in list {
        let id = descriptor.id().to_string();
        let segment = match opened.get(&id) {
            Some(segment) => segment.clone(),
            None => {
                let into = dir.join(format!("pulled-{}", opened.len()));
                std::fs::create_dir_all(&into)
                    .map_err(|e| DruidError::runtime(format!("cannot create [{}]: {e}", into.display())))?;
                handle.block_on(storage.pull(&descriptor, &into))?;
                let segment = Segment::open_named(&into, &id)?;
                opened.insert(id, segment.clone());
                segment
            }
        };
        out.push(SegmentInput { descriptor, segment, interval });
    }
    Ok(out)
}

/// Reads the wanted rows of one segment.
pub struct SegmentReader {
    source: Arc<dyn ColumnSource>,
    interval: Interval,
    names: Vec<String>,
    residual: Option<Box<dyn ovate_compute::filter::Matcher>>,
    bitmap: Option<ovate_compute::Bitmap>,
    next: u32,
    bytes_per_row: f64,
}

impl SegmentReader {
    /// A reader for the columns that are wanted; `filter` is that of the input source.
    pub fn new(input: &SegmentInput, wanted: &Wanted, filter: Option<&FilterSpec>, now_ms: i64) -> Result<SegmentReader> {
        let source: Arc<dyn ColumnSource> = Arc::new(input.segment.clone());
        let is_wanted = |name: &String| name == "__time" || wanted.columns.as_ref().is_none_or(|names| names.contains(name));
        let names = source.column_names().into_iter().filter(is_wanted).collect();
        let bound = filter.map(|filter| filter.bind(&source, &EvalContext::at(now_ms))).transpose()?;
        let (bitmap, residual) = bound.map_or((None, None), |bound| (bound.bitmap, bound.residual));
        let bytes_per_row = input.descriptor.size.max(0) as f64 / f64::from(source.row_count().max(1));
        Ok(SegmentReader { source, interval: input.interval, names, residual, bitmap, next: 0, bytes_per_row })
    }

    /// The next batch, `None` at the end.
    pub fn next_batch(&mut self) -> Result<Option<Batch>> {
        while self.next < self.source.row_count() {
            let range = self.next..(self.next + BATCH_ROWS).min(self.source.row_count());
            self.next = range.end;
            let rows = self.select(range)?;
            if !rows.is_empty() {
                return self.batch(&rows).map(Some);
            }
        }
        Ok(None)
    }

    /// Rows of a range inside the interval that pass the filter.
    fn select(&mut self, range: std::ops::Range<u32>) -> Result<Vec<u32>> {
        let time = self.source.column("__time")?.ok_or_else(|| DruidError::runtime("a segment has no [__time]"))?;
        let mut reader = time.reader()?;
        let times = reader.longs(Rows::Range(range.clone()))?;
        let inside = range.zip(times.values).filter(|(_, time)| self.interval.contains(**time)).map(|(row, _)| row);
        let rows: Vec<u32> = inside.filter(|row| self.bitmap.as_ref().is_none_or(|bitmap| bitmap.contains(*row))).collect();
        match &mut self.residual {
            None => Ok(rows),
            Some(matcher) => {
                let mut kept = Vec::new();
                matcher.keep(Rows::Ids(&rows), &mut kept)?;
                Ok(kept)
            }
        }
    }

    fn batch(&self, rows: &[u32]) -> Result<Batch> {
        let mut batch = Batch { rows: rows.len(), bytes: (rows.len() as f64 * self.bytes_per_row) as u64, ..Batch::default() };
        for name in &self.names {
            if let Some(column) = self.source.column(name)? {
                batch.columns.push((Arc::from(name.as_str()), read_column(&*column, rows)?));
            }
        }
        Ok(batch)
    }
}

fn read_column(column: &dyn ovate_compute::Column, rows: &[u32]) -> Result<Column> {
    let capabilities = column.capabilities();
    let mut reader = column.reader()?;
    let flags = |nulls: Option<&[bool]>| Nulls::from_flags(nulls.map(<[bool]>::to_vec));
    Ok(match capabilities.column_type {
        ColumnType::Long => {
            let numbers = reader.longs(Rows::Ids(rows))?;
            Column::Longs { values: numbers.values.to_vec(), nulls: flags(numbers.nulls) }
        }
        ColumnType::Float => {
            let numbers = reader.floats(Rows::Ids(rows))?;
            Column::Floats { values: numbers.values.to_vec(), nulls: flags(numbers.nulls) }
        }
        ColumnType::Double => {
            let numbers = reader.doubles(Rows::Ids(rows))?;
            Column::Doubles { values: numbers.values.to_vec(), nulls: flags(numbers.nulls) }
        }
        ColumnType::String if capabilities.dictionary && !capabilities.multi_value => {
            let dictionary = column.dictionary().ok_or_else(|| DruidError::runtime("a string column has no dictionary"))?;
            let mut local: HashMap<u32, u32> = HashMap::new();
            let mut values: Vec<Option<Arc<str>>> = Vec::new();
            let mut codes = Vec::with_capacity(rows.len());
            for code in reader.codes(Rows::Ids(rows))? {
                let own = match local.get(code) {
                    Some(own) => *own,
                    None => {
                        values.push(dictionary.get(*code)?.map(|text| Arc::from(text.as_ref())));
                        local.insert(*code, values.len() as u32 - 1);
                        values.len() as u32 - 1
                    }
                };
                codes.push(own);
            }
            Column::Coded { values, codes }
        }
        _ => Column::Values(reader.values(Rows::Ids(rows))?.to_vec()),
    })
}
