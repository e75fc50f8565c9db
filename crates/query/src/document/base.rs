//! The fields that query types share.

use ovate_base::{Granularity, Result};
use ovate_compute::aggregate::AggregatorSpec;
use ovate_compute::filter::FilterSpec;
use ovate_compute::post_aggregate::PostAggregatorSpec;
use ovate_compute::virtual_column::VirtualColumnSpec;
use serde_json::{Map, Value, json};

use super::fields::Fields;
use super::{Context, DataSource, QuerySegments};

/// Datasource, intervals, filter, virtual columns, granularity and context.
#[derive(Debug, Clone)]
pub struct QueryBase {
    pub data_source: DataSource,
    pub segments: QuerySegments,
    pub granularity: Granularity,
    pub filter: Option<FilterSpec>,
    pub virtual_columns: Vec<VirtualColumnSpec>,
    pub context: Context,
}

impl QueryBase {
    /// A query over all of a datasource, without filter, of granularity `all`.
    pub fn over(data_source: DataSource) -> Self {
        QueryBase {
            data_source,
            segments: QuerySegments::eternity(),
            granularity: Granularity::All,
            filter: None,
            virtual_columns: Vec::new(),
            context: Context::default(),
        }
    }

    /// Reads the shared fields; `intervals` may be left out where `intervals_required` is false.
    pub(crate) fn parse(fields: &Fields<'_>, depth: usize, intervals_required: bool) -> Result<Self> {
        let data_source = DataSource::parse(fields.required("dataSource")?, depth)?;
        let segments = match fields.opt("intervals") {
            Some(value) => QuerySegments::from_json(value)?,
            None if intervals_required => return Err(fields.required("intervals").err().unwrap_or_else(unreachable_missing)),
            None => QuerySegments::eternity(),
        };
        Ok(QueryBase {
            data_source,
            segments,
            granularity: fields.opt_parsed("granularity", Granularity::from_json)?.unwrap_or(Granularity::All),
            filter: fields.opt_parsed("filter", FilterSpec::from_json)?,
            virtual_columns: fields.parsed("virtualColumns", VirtualColumnSpec::from_json)?,
            context: Context(fields.map("context")?),
        })
    }

    /// Writes the shared fields.
    pub(crate) fn write(&self, query_type: &str) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("queryType".into(), json!(query_type));
        map.insert("dataSource".into(), self.data_source.to_json());
        map.insert("intervals".into(), self.segments.to_json());
        if let Some(filter) = &self.filter {
            map.insert("filter".into(), filter.to_json());
        }
        if !self.virtual_columns.is_empty() {
            map.insert("virtualColumns".into(), self.virtual_columns.iter().map(VirtualColumnSpec::to_json).collect());
        }
        map.insert("granularity".into(), self.granularity.to_json());
        map.insert("context".into(), Value::Object(self.context.0.clone()));
        map
    }
}

fn unreachable_missing() -> ovate_base::DruidError {
    ovate_base::DruidError::invalid_input("intervals are missing")
}

/// Reads `aggregations` and `postAggregations` and checks that output names are used once
/// (`Queries.prepareAggregations`).
pub(crate) fn parse_aggregations(
    fields: &Fields<'_>,
    other_names: &[&str],
) -> Result<(Vec<AggregatorSpec>, Vec<PostAggregatorSpec>)> {
    let aggregations = fields.parsed("aggregations", AggregatorSpec::from_json)?;
    let post_aggregations = fields.parsed("postAggregations", PostAggregatorSpec::from_json)?;
    let mut seen: std::collections::HashSet<&str> = other_names.iter().copied().collect();
    for name in aggregations.iter().map(AggregatorSpec::name).chain(post_aggregations.iter().map(PostAggregatorSpec::name)) {
        if !seen.insert(name) {
            return Err(ovate_base::DruidError::invalid_input(format!(
                "output name [{name}] is used more than once in {}",
                fields.place
            )));
        }
    }
    Ok((aggregations, post_aggregations))
}

/// Writes `aggregations` and `postAggregations`.
pub(crate) fn write_aggregations(map: &mut Map<String, Value>, aggs: &[AggregatorSpec], posts: &[PostAggregatorSpec]) {
    map.insert("aggregations".into(), aggs.iter().map(AggregatorSpec::to_json).collect());
    map.insert("postAggregations".into(), posts.iter().map(PostAggregatorSpec::to_json).collect());
}
