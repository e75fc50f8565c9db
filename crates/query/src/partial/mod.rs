//! What one segment, one thread or one server has worked out so far: columns of keys and of aggregators' intermediate
//! values. Partials of one query merge in any order, and cross processes in a compact versioned form.

mod analysis;
mod combine;
mod decode;
mod dictionary;
pub mod druid;
mod encode;
mod held;
mod wire;

use std::sync::Arc;

use ovate_base::Interval;
use ovate_compute::{ColumnType, Vector};

use crate::result::RowBatch;

/// A result that can still be merged with others of the same query.
#[derive(Clone)]
pub enum Partial {
    /// timeseries, topN, groupBy.
    Groups(GroupsPartial),
    Scan(ScanPartial),
    Search(SearchPartial),
    /// timeBoundary and dataSourceMetadata.
    TimeBoundary(BoundaryPartial),
    SegmentMetadata(Vec<SegmentAnalysis>),
}

/// Groups of an aggregation. `keys` are the time bucket (when the granularity is not `all`), then the dimensions;
/// `aggregates` the intermediate values in the order of the query's aggregations.
#[derive(Clone, Default)]
pub struct GroupsPartial {
    pub keys: Vec<Vector>,
    pub aggregates: Vec<Vector>,
    pub rows: usize,
    /// Buckets that were looked at, also those without rows (timeseries and topN), ascending.
    /// For granularity `all` it is the first instant looked at.
    pub buckets: Vec<i64>,
    /// What the process's budget counts for it.
    pub memory: Held,
}

/// Rows of a scan: batches with their segment's id, not yet cut to offset and limit.
#[derive(Clone, Default)]
pub struct ScanPartial {
    pub signature: Vec<(Arc<str>, Option<ColumnType>)>,
    pub batches: Vec<(Arc<str>, RowBatch)>,
}

/// Hits of a search by bucket, dimension and value.
#[derive(Clone, Default, Debug, PartialEq)]
pub struct SearchPartial {
    pub hits: Vec<SearchHit>,
    pub buckets: Vec<i64>,
}

/// One value found.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchHit {
    pub bucket: i64,
    pub dimension: Arc<str>,
    /// `None` is null.
    pub value: Option<Arc<str>>,
    pub count: u64,
}

/// First and last timestamp met.
#[derive(Clone, Copy, Default, Debug, PartialEq)]
pub struct BoundaryPartial {
    pub min: Option<i64>,
    pub max: Option<i64>,
}

/// What segmentMetadata tells of one segment, or of several merged (`SegmentAnalysis`).
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SegmentAnalysis {
    pub id: String,
    pub intervals: Option<Vec<Interval>>,
    pub columns: Vec<(String, ColumnAnalysis)>,
    pub size: u64,
    pub row_count: u64,
    /// Druid's JSON of each aggregator by name; `None` when not asked for or not mergeable.
    pub aggregators: Option<Vec<(String, serde_json::Value)>>,
    pub timestamp_spec: Option<serde_json::Value>,
    pub query_granularity: Option<serde_json::Value>,
    pub rollup: Option<bool>,
}

/// What segmentMetadata tells of one column (`ColumnAnalysis`).
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnAnalysis {
    pub column_type: ColumnType,
    pub multi_value: bool,
    pub has_nulls: bool,
    pub size: u64,
    pub cardinality: Option<u64>,
    pub min: Option<serde_json::Value>,
    pub max: Option<serde_json::Value>,
    pub error: Option<String>,
}

pub(crate) use analysis::merge_analyses;
pub use held::Held;
pub use wire::FORMAT_VERSION;
pub(crate) use wire::{encode_key, encode_value};
