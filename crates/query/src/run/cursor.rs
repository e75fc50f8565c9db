//! Which rows of a segment a query reads: its intervals as row ranges, the indexed part of its filter as a bitmap, and the
//! rest of the filter batch by batch.

use std::ops::Range;
use std::sync::Arc;

use ovate_base::{Granularity, Interval, Result};
use ovate_compute::column::convert::LongReader;
use ovate_compute::filter::{FilterSpec, Matcher};
use ovate_compute::virtual_column::with_virtual_columns;
use ovate_compute::{Bitmap, ColumnSource, Rows, TIME_COLUMN};

use super::{QueryContext, SegmentRef, Stage};
use crate::document::QueryBase;

/// Rows a batch; a segment's blocks of 64 KiB hold as many longs.
pub(crate) const BATCH_ROWS: u32 = 8192;

/// The rows of one segment that a query reads.
pub(crate) struct Selection {
    /// The segment with the query's virtual columns.
    pub source: Arc<dyn ColumnSource>,
    /// Row ranges inside the query's intervals, ascending; all rows when the segment is not sorted by time.
    pub ranges: Vec<Range<u32>>,
    bitmap: Option<Bitmap>,
    residual: Option<Box<dyn Matcher>>,
    /// Where rows are not sorted by time, their timestamps have to be looked at.
    time_check: Option<(LongReader, Vec<Interval>)>,
    ids: Vec<u32>,
    kept: Vec<u32>,
}

impl Selection {
    /// Opens a segment for a query.
    pub fn open(base: &QueryBase, segment: &SegmentRef, context: &QueryContext) -> Result<Self> {
        let source = with_virtual_columns(segment.source.clone(), &base.virtual_columns, &context.eval)?;
        let mut selection = Self::bound(source, base.filter.as_ref(), &segment.intervals, context, !segment.continued)?;
        if let Some(rows) = &segment.rows {
            selection.ranges.iter_mut().for_each(|range| *range = range.start.max(rows.start)..range.end.min(rows.end));
            selection.ranges.retain(|range| !range.is_empty());
        }
        Ok(selection)
    }

    /// Opens a source with a filter.
    pub fn over(
        source: Arc<dyn ColumnSource>,
        filter: Option<&FilterSpec>,
        intervals: &[Interval],
        context: &QueryContext,
    ) -> Result<Self> {
        Self::bound(source, filter, intervals, context, true)
    }

    /// `counted`: the profile counts the segment here, and not with another of its pieces.
    fn bound(
        source: Arc<dyn ColumnSource>,
        filter: Option<&FilterSpec>,
        intervals: &[Interval],
        context: &QueryContext,
        counted: bool,
    ) -> Result<Self> {
        let _timer = context.timer(Stage::Select);
        let bound = filter.map(|filter| filter.bind(&source, &context.eval)).transpose()?;
        let (bitmap, residual) = bound.map_or((None, None), |bound| (bound.bitmap, bound.residual));
        let (ranges, time_check) = time_ranges(&source, intervals)?;
        if let Some(profile) = context.profile.as_ref().filter(|_| counted) {
            profile.opened(u64::from(source.row_count()), bitmap.is_some(), residual.is_some());
        }
        Ok(Selection { source, ranges, bitmap, residual, time_check, ids: Vec::new(), kept: Vec::new() })
    }

    /// Leaves out the rows outside of these.
    pub fn restrict(&mut self, only: Range<u32>) {
        for range in &mut self.ranges {
            *range = range.start.max(only.start)..range.end.min(only.end);
        }
        self.ranges.retain(|range| range.start < range.end);
    }

    /// How many rows of a range are selected, where that is known without reading columns.
    pub fn count_without_reading(&self, range: &Range<u32>) -> Option<u64> {
        match (&self.bitmap, &self.residual, &self.time_check) {
            (None, None, None) => Some(range.len() as u64),
            (Some(bitmap), None, None) => Some(if range.is_empty() { 0 } else { bitmap.range_cardinality(range.clone()) }),
            _ => None,
        }
    }

    /// Hands the selected rows of a range to `take`, batch by batch, ascending. Stops early when `take` says false.
    pub fn batches(
        &mut self,
        range: Range<u32>,
        context: &QueryContext,
        take: &mut dyn FnMut(Rows<'_>) -> Result<bool>,
    ) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let mut counted = |rows: Rows<'_>| {
            if let Some(profile) = &context.profile {
                profile.selected(rows.len() as u64);
            }
            take(rows)
        };
        let take = &mut counted;
        let Selection { bitmap, residual, time_check, ids, kept, .. } = self;
        let mut filtered = |rows: Rows<'_>| -> Result<bool> {
            context.check()?;
            let rows = match residual {
                None => rows,
                Some(matcher) => {
                    kept.clear();
                    matcher.keep(rows, kept)?;
                    Rows::Ids(kept)
                }
            };
            if rows.is_empty() {
                return Ok(true);
            }
            match time_check {
                None => take(rows),
                Some((reader, intervals)) => {
                    let numbers = reader.read(rows.clone())?;
                    let inside = |at: usize| intervals.iter().any(|interval| interval.contains(numbers.values[at]));
                    let passed: Vec<u32> = match &rows {
                        Rows::Range(range) => {
                            range.clone().enumerate().filter(|(at, _)| inside(*at)).map(|(_, row)| row).collect()
                        }
                        Rows::Ids(ids) => ids.iter().enumerate().filter(|(at, _)| inside(*at)).map(|(_, row)| *row).collect(),
                    };
                    if passed.is_empty() { Ok(true) } else { take(Rows::Ids(&passed)) }
                }
            }
        };
        let Some(bitmap) = bitmap else {
            let mut start = range.start;
            while start < range.end {
                // Ends on a multiple of the batch, so that batches line up with stored blocks.
                let end = ((start / BATCH_ROWS + 1).saturating_mul(BATCH_ROWS)).min(range.end);
                if !filtered(Rows::Range(start..end))? {
                    return Ok(());
                }
                start = end;
            }
            return Ok(());
        };
        let mut iterator = bitmap.iter();
        iterator.reset_at_or_after(range.start);
        loop {
            ids.resize(BATCH_ROWS as usize, 0);
            let count = iterator.next_many(ids);
            let count = ids[..count].partition_point(|row| *row < range.end);
            if count == 0 {
                return Ok(());
            }
            let batch = &ids[..count];
            let run = (batch[count - 1] - batch[0]) as usize + 1 == count;
            let rows = if run { Rows::Range(batch[0]..batch[0] + count as u32) } else { Rows::Ids(batch) };
            if !filtered(rows)? || count < BATCH_ROWS as usize {
                return Ok(());
            }
        }
    }
}

/// The row ranges that these intervals select, as far as the order of the rows tells.
pub(super) fn row_ranges(source: &Arc<dyn ColumnSource>, intervals: &[Interval]) -> Result<Vec<Range<u32>>> {
    Ok(time_ranges(source, intervals)?.0)
}

type TimeCheck = Option<(LongReader, Vec<Interval>)>;

fn time_ranges(source: &Arc<dyn ColumnSource>, intervals: &[Interval]) -> Result<(Vec<Range<u32>>, TimeCheck)> {
    let all = 0..source.row_count();
    if all.is_empty() {
        return Ok((Vec::new(), None));
    }
    if intervals.iter().any(|interval| interval.encloses(&source.interval())) {
        return Ok((vec![all], None));
    }
    let Some(mut times) = TimeRows::open(source)? else {
        return Ok((vec![all], None));
    };
    if !source.is_time_sorted() {
        return Ok((vec![all], Some((times.reader, intervals.to_vec()))));
    }
    let mut ranges = Vec::new();
    for interval in intervals {
        let start = times.lower_bound(all.clone(), interval.start)?;
        let end = times.lower_bound(start..all.end, interval.end)?;
        if start < end {
            ranges.push(start..end);
        }
    }
    Ok((ranges, None))
}

/// The timestamps of a segment's rows.
pub(crate) struct TimeRows {
    reader: LongReader,
    row_count: u32,
}

impl TimeRows {
    /// Opens `__time`; `None` where there is no such column.
    pub fn open(source: &Arc<dyn ColumnSource>) -> Result<Option<Self>> {
        let Some(column) = source.column(TIME_COLUMN)? else { return Ok(None) };
        Ok(Some(TimeRows { reader: LongReader::open(Some(&column))?, row_count: source.row_count() }))
    }

    fn get(&mut self, row: u32) -> Result<i64> {
        Ok(self.reader.read(Rows::Range(row..row + 1))?.values[0])
    }

    /// First row of a sorted range whose timestamp is not before `millis`.
    pub fn lower_bound(&mut self, range: Range<u32>, millis: i64) -> Result<u32> {
        let (mut low, mut high) = (range.start, range.end);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle)? < millis { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    /// First and last timestamp of all rows.
    pub fn bounds(&mut self, sorted: bool) -> Result<Option<(i64, i64)>> {
        if self.row_count == 0 {
            return Ok(None);
        }
        if sorted {
            return Ok(Some((self.get(0)?, self.get(self.row_count - 1)?)));
        }
        let (mut min, mut max) = (i64::MAX, i64::MIN);
        for start in (0..self.row_count).step_by(BATCH_ROWS as usize) {
            let end = (start + BATCH_ROWS).min(self.row_count);
            for value in self.reader.read(Rows::Range(start..end))?.values {
                (min, max) = (min.min(*value), max.max(*value));
            }
        }
        Ok(Some((min, max)))
    }

    /// Cuts a sorted range at the bucket borders: bucket starts with their rows, only buckets that have rows.
    pub fn buckets(&mut self, range: Range<u32>, granularity: &Granularity) -> Result<Vec<(i64, Range<u32>)>> {
        Ok(self.buckets_up_to(range, granularity, usize::MAX)?.unwrap_or_default())
    }

    /// The same; `None` as soon as there are more than `most`.
    pub fn buckets_up_to(
        &mut self,
        range: Range<u32>,
        granularity: &Granularity,
        most: usize,
    ) -> Result<Option<Vec<(i64, Range<u32>)>>> {
        let mut buckets: Vec<(i64, Range<u32>)> = Vec::new();
        if range.is_empty() {
            return Ok(Some(buckets));
        }
        let (first, last) = (self.get(range.start)?, self.get(range.end - 1)?);
        let mut bucket = granularity.bucket(first);
        let mut start = range.start;
        // Few buckets: search each border. Many: read all timestamps once.
        let few = last.saturating_sub(first) / bucket.millis().max(1) < (range.len() as i64 / 2048).max(8);
        if few {
            while start < range.end {
                let end = if last < bucket.end { range.end } else { self.border(start..range.end, bucket.end)? };
                buckets.push((bucket.start, start..end));
                if buckets.len() > most {
                    return Ok(None);
                }
                if end < range.end {
                    bucket = granularity.bucket(self.get(end)?);
                }
                start = end;
            }
            return Ok(Some(buckets));
        }
        let mut block = range.start;
        while block < range.end {
            let block_end = ((block / BATCH_ROWS + 1).saturating_mul(BATCH_ROWS)).min(range.end);
            let values = self.reader.read(Rows::Range(block..block_end))?.values;
            let mut at = 0;
            loop {
                at += values[at..].partition_point(|value| *value < bucket.end);
                if at == values.len() {
                    break;
                }
                let row = block + at as u32;
                if start < row {
                    buckets.push((bucket.start, start..row));
                }
                if buckets.len() > most {
                    return Ok(None);
                }
                (start, bucket) = (row, granularity.bucket(values[at]));
            }
            block = block_end;
        }
        buckets.push((bucket.start, start..range.end));
        Ok(Some(buckets))
    }

    /// First row whose timestamp is not before `millis`, looked for from the start in growing strides.
    fn border(&mut self, range: Range<u32>, millis: i64) -> Result<u32> {
        let (mut low, mut stride) = (range.start, 1024u32);
        while range.end - low > stride {
            if self.get(low + stride)? >= millis {
                return self.lower_bound(low..low + stride, millis);
            }
            low += stride;
            stride = stride.saturating_mul(2);
        }
        self.lower_bound(low..range.end, millis)
    }
}
