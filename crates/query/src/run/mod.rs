//! Running a query over segments. The caller schedules: [`run_segment`] works on the thread it is called on, and
//! [`run_segments`] on as many as it is told.

mod carried;
mod context;
mod cursor;
mod grouped;
mod keys;
mod metadata;
mod parallel;
mod pieces;
mod profile;
mod projected;
mod scan;
mod search;
mod segment_ref;
mod spilling;
mod time_boundary;

pub use context::QueryContext;
pub(crate) use cursor::Selection;
pub(crate) use grouped::GroupedPlan;
pub(crate) use parallel::spill_all;
pub use parallel::{on_threads, run_each, run_segments};
pub use profile::Profile;
pub(crate) use profile::Stage;
pub use segment_ref::{SegmentMeta, SegmentRef};
pub(crate) use spilling::{is_short_of_memory, merge_spilled};

use std::borrow::Cow;

use ovate_base::Result;

use crate::document::NativeQuery;
use crate::partial::Partial;
use crate::source::{Layers, push_filter_down};

/// Runs the query over one segment of its base table, on this thread.
pub fn run_segment(query: &NativeQuery, segment: &SegmentRef, context: &QueryContext) -> Result<Partial> {
    let query = push_filter_down(query.clone());
    let layers = Layers::of(query.data_source(), &context.eval)?;
    let segment = layered(segment, &layers, context)?;
    run_layered(&query, &segment, context)
}

/// The segment with what the datasource puts on top of it.
fn layered<'a>(segment: &'a SegmentRef, layers: &Layers, context: &QueryContext) -> Result<Cow<'a, SegmentRef>> {
    if layers.is_empty() {
        return Ok(Cow::Borrowed(segment));
    }
    let source = layers.over(segment.source.clone(), &context.eval)?;
    Ok(Cow::Owned(SegmentRef { source, ..segment.clone() }))
}

/// Runs the query over a segment that has its layers.
fn run_layered(query: &NativeQuery, segment: &SegmentRef, context: &QueryContext) -> Result<Partial> {
    context.check()?;
    match query {
        NativeQuery::Timeseries(_) | NativeQuery::TopN(_) | NativeQuery::GroupBy(_) => {
            grouped::run(query, segment, context).map(Partial::Groups)
        }
        NativeQuery::Scan(scan) => scan::run(scan, segment, context).map(Partial::Scan),
        NativeQuery::Search(search) => search::run(search, segment, context).map(Partial::Search),
        NativeQuery::TimeBoundary(boundary) => time_boundary::run(boundary, segment, context).map(Partial::TimeBoundary),
        NativeQuery::SegmentMetadata(metadata) => metadata::run(metadata, segment).map(Partial::SegmentMetadata),
        NativeQuery::WindowOperator(_) | NativeQuery::Union(_) | NativeQuery::MovingAverage(_) => {
            Err(crate::merge::not_over_segments(query))
        }
        NativeQuery::DataSourceMetadata(_) => time_boundary::run_data_source(segment, context).map(Partial::TimeBoundary),
    }
}
