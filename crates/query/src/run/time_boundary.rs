//! timeBoundary and dataSourceMetadata over one segment.

use ovate_base::Result;
use ovate_compute::column::convert::LongReader;
use ovate_compute::{Rows, TIME_COLUMN};

use super::cursor::{Selection, TimeRows};
use super::{QueryContext, SegmentRef};
use crate::document::TimeBoundaryQuery;
use crate::partial::BoundaryPartial;

/// First and last timestamp of the rows that the query selects.
pub(super) fn run(query: &TimeBoundaryQuery, segment: &SegmentRef, context: &QueryContext) -> Result<BoundaryPartial> {
    let mut selection = Selection::open(&query.base, segment, context)?;
    let column = selection.source.column(TIME_COLUMN)?;
    let mut reader = LongReader::open(column.as_ref())?;
    let sorted = selection.source.is_time_sorted();
    let mut bounds = BoundaryPartial::default();
    if column.is_none() {
        return Ok(bounds);
    }
    let ranges = selection.ranges.clone();
    for range in &ranges {
        let all = selection.count_without_reading(range) == Some(range.len() as u64);
        if sorted && all {
            for row in [range.start, range.end - 1] {
                let at = reader.read(Rows::Range(row..row + 1))?.values[0];
                bounds.add(BoundaryPartial { min: Some(at), max: Some(at) });
            }
            continue;
        }
        let only_first = sorted && !query.wants_max();
        selection.batches(range.clone(), context, &mut |rows| {
            let values = reader.read(rows)?.values;
            bounds.add(BoundaryPartial { min: values.iter().min().copied(), max: values.iter().max().copied() });
            Ok(!only_first)
        })?;
        if only_first && bounds.min.is_some() {
            break;
        }
    }
    Ok(bounds)
}

/// The last timestamp of the segment (`DataSourceMetadataQueryRunnerFactory`).
pub(super) fn run_data_source(segment: &SegmentRef, context: &QueryContext) -> Result<BoundaryPartial> {
    context.check()?;
    let bounds = match TimeRows::open(&segment.source)? {
        Some(mut times) => times.bounds(segment.source.is_time_sorted())?,
        None => None,
    };
    Ok(bounds.map_or_else(BoundaryPartial::default, |(min, max)| BoundaryPartial { min: Some(min), max: Some(max) }))
}
