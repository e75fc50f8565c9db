//! `timeseries`: aggregates by time bucket (NQ-01, `TimeseriesQuery`).

use ovate_base::{DruidError, Result};
use ovate_compute::aggregate::AggregatorSpec;
use ovate_compute::post_aggregate::PostAggregatorSpec;
use serde_json::{Value, json};

use super::QueryBase;
use super::base::{parse_aggregations, write_aggregations};
use super::fields::Fields;

/// One row a bucket of the granularity.
#[derive(Debug, Clone)]
pub struct TimeseriesQuery {
    pub base: QueryBase,
    pub descending: bool,
    pub aggregations: Vec<AggregatorSpec>,
    pub post_aggregations: Vec<PostAggregatorSpec>,
    pub limit: Option<u64>,
}

impl TimeseriesQuery {
    pub(crate) fn parse(value: &Value, depth: usize) -> Result<Self> {
        let fields = Fields::new(value, "timeseries query")?;
        let (aggregations, post_aggregations) = parse_aggregations(&fields, &[])?;
        let limit = fields.opt_long("limit")?;
        if limit.is_some_and(|limit| limit < 0) {
            return Err(DruidError::invalid_input("limit of a timeseries query must not be negative"));
        }
        Ok(TimeseriesQuery {
            base: QueryBase::parse(&fields, depth, true)?,
            descending: fields.bool("descending", false)?,
            aggregations,
            post_aggregations,
            limit: limit.map(|l| l as u64).filter(|l| *l > 0 && *l < i32::MAX as u64),
        })
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut map = self.base.write("timeseries");
        map.insert("descending".into(), json!(self.descending));
        write_aggregations(&mut map, &self.aggregations, &self.post_aggregations);
        if let Some(limit) = self.limit {
            map.insert("limit".into(), json!(limit));
        }
        Value::Object(map)
    }
}
