//! Puts a segment directory together: columns are encoded by several threads, written in order by one.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use ovate_base::{DruidError, Granularity, Interval, Result};

use super::column::{self, EncodedColumn};
use super::data::ColumnData;
use super::metadata::{ListedColumn, SegmentMetadata, index_drd, metadata_json};
use super::smoosh::{Smoosher, io_error};
use super::{IndexSpec, WriteReport};

/// What to write; `column(i)` gives the `i`th column's rows, metrics first, then dimensions. It is called once for each,
/// from several threads, so that only a few columns are in memory at a time.
pub struct SegmentRows<'a> {
    /// `__time`, ascending.
    pub times: &'a [i64],
    /// Metrics by name, ascending.
    pub metrics: &'a [String],
    pub dimensions: &'a [String],
    pub column: &'a (dyn Fn(usize) -> Result<ColumnData> + Sync),
}

/// Writes a segment into `dir`, which is made if needed and must be empty.
pub fn write_segment(dir: &Path, rows: &SegmentRows<'_>, metadata: &SegmentMetadata, spec: &IndexSpec) -> Result<WriteReport> {
    let (Some(first), Some(last)) = (rows.times.first(), rows.times.last()) else {
        return Err(DruidError::invalid_input("a segment without rows cannot be written"));
    };
    if rows.times.len() > i32::MAX as usize {
        return Err(DruidError::unsupported("a segment of more than 2^31 rows"));
    }
    let interval = Interval { start: *first, end: end_of(*last, &metadata.query_granularity) };
    std::fs::create_dir_all(dir).map_err(|e| io_error(dir, &e))?;
    let mut smoosher = Smoosher::new(dir);
    let time = column::encode_longs("__time", rows.times, None, spec)?;
    add_files(&mut smoosher, &time)?;
    let null_only = write_columns(&mut smoosher, rows, spec)?;

    let listed = |names: &'_ [String], first: usize| -> Vec<(usize, String)> {
        names.iter().enumerate().map(|(i, name)| (first + i, name.clone())).collect()
    };
    let (metrics, dimensions) = (listed(rows.metrics, 0), listed(rows.dimensions, rows.metrics.len()));
    fn list<'a>(names: &'a [(usize, String)], null_only: &[bool]) -> Vec<ListedColumn<'a>> {
        names.iter().map(|(i, name)| ListedColumn { name, null_only: null_only[*i] }).collect()
    }
    smoosher.add("index.drd", &index_drd(&list(&metrics, &null_only), &list(&dimensions, &null_only), interval)?)?;
    let dimension_names: Vec<&str> = rows.dimensions.iter().map(String::as_str).collect();
    smoosher.add("metadata.drd", metadata_json(metadata, &dimension_names).to_string().as_bytes())?;
    Ok(WriteReport {
        row_count: rows.times.len() as u64,
        dimensions: rows.dimensions.to_vec(),
        metrics: rows.metrics.to_vec(),
        interval: Some(interval),
        size_bytes: smoosher.finish()?,
    })
}

/// The data interval ends where the last row's bucket does (`IncrementalIndex.getInterval`).
fn end_of(last: i64, granularity: &Granularity) -> i64 {
    match granularity {
        Granularity::All | Granularity::None => last.saturating_add(1),
        other => other.increment(last),
    }
}

fn add_files(smoosher: &mut Smoosher, column: &EncodedColumn) -> Result<()> {
    column.files.iter().try_for_each(|(name, bytes)| smoosher.add(name, bytes))
}

/// Encodes columns on as many threads as there are cores; says which columns are null only.
fn write_columns(smoosher: &mut Smoosher, rows: &SegmentRows<'_>, spec: &IndexSpec) -> Result<Vec<bool>> {
    let count = rows.metrics.len() + rows.dimensions.len();
    let name = |i: usize| rows.metrics.get(i).unwrap_or_else(|| &rows.dimensions[i - rows.metrics.len()]);
    let mut null_only = vec![false; count];
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let encode = |i: usize| -> Result<EncodedColumn> {
        let data = (rows.column)(i)?;
        if data.row_count() != rows.times.len() {
            return Err(DruidError::runtime(format!(
                "column [{}] has {} rows of {}",
                name(i),
                data.row_count(),
                rows.times.len()
            )));
        }
        column::encode(name(i), &data, spec)
    };
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(count);
    std::thread::scope(|scope| {
        // At most one finished column waits for each thread.
        let (sender, receiver) = mpsc::sync_channel::<(usize, Result<EncodedColumn>)>(threads.max(1));
        for _ in 0..threads {
            let (sender, next, stop, encode) = (sender.clone(), &next, &stop, &encode);
            scope.spawn(move || {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= count || stop.load(Ordering::Relaxed) || sender.send((i, encode(i))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        // Files may stand in any order, but equal input shall give equal bytes.
        let mut waiting: Vec<Option<EncodedColumn>> = (0..count).map(|_| None).collect();
        let mut written = 0;
        for (i, column) in receiver {
            match column {
                Ok(column) => waiting[i] = Some(column),
                Err(error) => {
                    stop.store(true, Ordering::Relaxed);
                    return Err(error.prefixed(format!("column [{}]", name(i))));
                }
            }
            while let Some(column) = waiting.get_mut(written).and_then(Option::take) {
                null_only[written] = column.null_only;
                if let Err(error) = add_files(smoosher, &column) {
                    stop.store(true, Ordering::Relaxed);
                    return Err(error);
                }
                written += 1;
            }
        }
        Ok(())
    })?;
    Ok(null_only)
}
