//! Native query documents: Druid's JSON in, checked values, and the same JSON out again. Parsing is the only place that
//! sees raw fields; everything after works on these types. SQL builds them too.

mod base;
mod context;
mod datasource;
pub(crate) mod fields;
mod group_by;
mod having;
mod metadata;
mod metric;
mod moving_average;
mod operator;
mod order;
mod scan;
mod search;
mod segments;
mod timeseries;
mod top_n;
mod window_operator;

pub use base::QueryBase;
pub use context::Context;
pub use datasource::{DataSource, InlineRows, JoinClause, JoinKind};
pub use group_by::GroupByQuery;
pub use having::HavingSpec;
pub use metadata::{
    AggregatorMergeStrategy, AnalysisType, DataSourceMetadataQuery, SegmentMetadataQuery, TimeBoundaryQuery, ToInclude,
};
pub use metric::MetricSpec;
pub use moving_average::{AveragerKind, AveragerSpec, MovingAverageQuery};
pub use operator::{ColumnWithDirection, OperatorSpec, ProcessorSpec, ScanOperator, WindowFrame};
pub use order::{Direction, LimitSpec, OrderByColumn};
pub use ovate_base::SegmentDescriptor;
pub use scan::{ScanOrder, ScanQuery, ScanResultFormat};
pub use search::{SearchQuery, SearchSort, SearchSpec};
pub use segments::QuerySegments;
pub use timeseries::TimeseriesQuery;
pub use top_n::TopNQuery;
pub use window_operator::{UnionQuery, WindowOperatorQuery};

use ovate_base::{DruidError, Interval, Result};
use serde_json::Value;

use fields::{Fields, unknown_type};

/// One native query (`Query`, https://druid.apache.org/docs/latest/querying/).
#[derive(Debug, Clone)]
pub enum NativeQuery {
    Timeseries(TimeseriesQuery),
    TopN(TopNQuery),
    GroupBy(GroupByQuery),
    Scan(ScanQuery),
    Search(SearchQuery),
    TimeBoundary(TimeBoundaryQuery),
    SegmentMetadata(SegmentMetadataQuery),
    DataSourceMetadata(DataSourceMetadataQuery),
    WindowOperator(WindowOperatorQuery),
    Union(UnionQuery),
    MovingAverage(Box<MovingAverageQuery>),
}

const KNOWN: &[&str] = &[
    "timeseries",
    "topN",
    "groupBy",
    "scan",
    "search",
    "timeBoundary",
    "segmentMetadata",
    "dataSourceMetadata",
    "windowOperator",
    "union",
    "movingAverage",
];

/// How deep queries may lie inside each other; guards the stack against hostile documents.
const DEPTH_MAX: usize = 64;

impl NativeQuery {
    /// Reads a query document.
    pub fn from_json(value: &Value) -> Result<Self> {
        Self::parse(value, 0)
    }

    pub(crate) fn parse(value: &Value, depth: usize) -> Result<Self> {
        if depth > DEPTH_MAX {
            return Err(DruidError::invalid_input(format!("queries are nested deeper than {DEPTH_MAX}")));
        }
        let name = Fields::new(value, "query")?.str("queryType")?;
        match name.as_str() {
            "timeseries" => TimeseriesQuery::parse(value, depth).map(NativeQuery::Timeseries),
            "topN" => TopNQuery::parse(value, depth).map(NativeQuery::TopN),
            "groupBy" => GroupByQuery::parse(value, depth).map(NativeQuery::GroupBy),
            "scan" => ScanQuery::parse(value, depth).map(NativeQuery::Scan),
            "search" => SearchQuery::parse(value, depth).map(NativeQuery::Search),
            "timeBoundary" => TimeBoundaryQuery::parse(value, depth).map(NativeQuery::TimeBoundary),
            "segmentMetadata" => SegmentMetadataQuery::parse(value, depth).map(NativeQuery::SegmentMetadata),
            "dataSourceMetadata" => DataSourceMetadataQuery::parse(value, depth).map(NativeQuery::DataSourceMetadata),
            "windowOperator" => WindowOperatorQuery::parse(value, depth).map(NativeQuery::WindowOperator),
            "union" => UnionQuery::parse(value, depth).map(NativeQuery::Union),
            "movingAverage" => MovingAverageQuery::parse(value, depth).map(|q| NativeQuery::MovingAverage(Box::new(q))),
            _ => Err(unknown_type("query", &name, KNOWN)),
        }
    }

    /// The document that `from_json` reads back.
    pub fn to_json(&self) -> Value {
        match self {
            NativeQuery::Timeseries(q) => q.to_json(),
            NativeQuery::TopN(q) => q.to_json(),
            NativeQuery::GroupBy(q) => q.to_json(),
            NativeQuery::Scan(q) => q.to_json(),
            NativeQuery::Search(q) => q.to_json(),
            NativeQuery::TimeBoundary(q) => q.to_json(),
            NativeQuery::SegmentMetadata(q) => q.to_json(),
            NativeQuery::DataSourceMetadata(q) => q.to_json(),
            NativeQuery::WindowOperator(q) => q.to_json(),
            NativeQuery::Union(q) => q.to_json(),
            NativeQuery::MovingAverage(q) => q.to_json(),
        }
    }

    /// Druid's `queryType`.
    pub fn query_type(&self) -> &'static str {
        match self {
            NativeQuery::Timeseries(_) => "timeseries",
            NativeQuery::TopN(_) => "topN",
            NativeQuery::GroupBy(_) => "groupBy",
            NativeQuery::Scan(_) => "scan",
            NativeQuery::Search(_) => "search",
            NativeQuery::TimeBoundary(_) => "timeBoundary",
            NativeQuery::SegmentMetadata(_) => "segmentMetadata",
            NativeQuery::DataSourceMetadata(_) => "dataSourceMetadata",
            NativeQuery::WindowOperator(_) => "windowOperator",
            NativeQuery::Union(_) => "union",
            NativeQuery::MovingAverage(_) => "movingAverage",
        }
    }

    /// What every query type has.
    pub fn base(&self) -> &QueryBase {
        match self {
            NativeQuery::Timeseries(q) => &q.base,
            NativeQuery::TopN(q) => &q.base,
            NativeQuery::GroupBy(q) => &q.base,
            NativeQuery::Scan(q) => &q.base,
            NativeQuery::Search(q) => &q.base,
            NativeQuery::TimeBoundary(q) => &q.base,
            NativeQuery::SegmentMetadata(q) => &q.base,
            NativeQuery::DataSourceMetadata(q) => &q.base,
            NativeQuery::WindowOperator(q) => &q.base,
            NativeQuery::Union(q) => &q.base,
            NativeQuery::MovingAverage(q) => &q.base,
        }
    }

    /// The same, to change it.
    pub fn base_mut(&mut self) -> &mut QueryBase {
        match self {
            NativeQuery::Timeseries(q) => &mut q.base,
            NativeQuery::TopN(q) => &mut q.base,
            NativeQuery::GroupBy(q) => &mut q.base,
            NativeQuery::Scan(q) => &mut q.base,
            NativeQuery::Search(q) => &mut q.base,
            NativeQuery::TimeBoundary(q) => &mut q.base,
            NativeQuery::SegmentMetadata(q) => &mut q.base,
            NativeQuery::DataSourceMetadata(q) => &mut q.base,
            NativeQuery::WindowOperator(q) => &mut q.base,
            NativeQuery::Union(q) => &mut q.base,
            NativeQuery::MovingAverage(q) => &mut q.base,
        }
    }

    /// Where the rows come from.
    pub fn data_source(&self) -> &DataSource {
        &self.base().data_source
    }

    /// The same query over another datasource.
    pub fn with_data_source(mut self, data_source: DataSource) -> Self {
        self.base_mut().data_source = data_source;
        self
    }

    /// The intervals asked for, condensed and ascending.
    pub fn intervals(&self) -> &[Interval] {
        &self.base().segments.intervals
    }

    /// Exactly these segments are asked for, rather than all in the intervals.
    pub fn specific_segments(&self) -> Option<&[SegmentDescriptor]> {
        self.base().segments.segments.as_deref()
    }

    /// The same query over other intervals.
    pub fn with_segments(mut self, segments: QuerySegments) -> Self {
        self.base_mut().segments = segments;
        self
    }

    /// The query context.
    pub fn context(&self) -> &Context {
        &self.base().context
    }

    /// The query context, to change it.
    pub fn context_mut(&mut self) -> &mut Context {
        &mut self.base_mut().context
    }
}
