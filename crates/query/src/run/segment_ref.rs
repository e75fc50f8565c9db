//! A segment as a query sees it.

use std::ops::Range;
use std::sync::Arc;

use ovate_base::Interval;
use ovate_compute::ColumnSource;

/// One segment (or other table) with the part of time that the query reads of it.
#[derive(Clone)]
pub struct SegmentRef {
    /// The segment's id in results, for example `wiki_2015-09-12T…_2015-…_v1`.
    pub id: Arc<str>,
    /// The query's intervals clipped to the part for which this segment is authoritative; ascending, not overlapping.
    pub intervals: Vec<Interval>,
    pub source: Arc<dyn ColumnSource>,
    /// Only these rows of it, where a segment is cut for several threads.
    pub(crate) rows: Option<Range<u32>>,
    /// A piece of a segment whose first piece is another one; the profile counts the segment there.
    pub(crate) continued: bool,
    /// What segmentMetadata tells beyond the columns.
    pub meta: Option<Arc<SegmentMeta>>,
}

/// Facts of a segment that are not columns (`org.apache.druid.segment.Metadata`).
#[derive(Debug, Clone, Default)]
pub struct SegmentMeta {
    /// The segment's whole interval.
    pub interval: Option<Interval>,
    pub size_bytes: u64,
    pub rollup: Option<bool>,
    /// Druid's JSON for each aggregator.
    pub aggregators: Option<Vec<serde_json::Value>>,
    pub query_granularity: Option<serde_json::Value>,
    pub timestamp_spec: Option<serde_json::Value>,
}

impl SegmentRef {
    /// A source without more facts.
    pub fn new(id: &str, intervals: Vec<Interval>, source: Arc<dyn ColumnSource>) -> Self {
        SegmentRef { id: Arc::from(id), intervals, source, rows: None, continued: false, meta: None }
    }
}
