//! `topN`: the values of one dimension that rank first by a metric (NQ-02, `TopNQuery`).

use ovate_base::{DruidError, Result};
use ovate_compute::aggregate::AggregatorSpec;
use ovate_compute::dimension::DimensionSpec;
use ovate_compute::post_aggregate::PostAggregatorSpec;
use serde_json::{Value, json};

use super::base::{parse_aggregations, write_aggregations};
use super::fields::Fields;
use super::{MetricSpec, QueryBase};

/// At most `threshold` values a time bucket.
#[derive(Debug, Clone)]
pub struct TopNQuery {
    pub base: QueryBase,
    pub dimension: DimensionSpec,
    pub metric: MetricSpec,
    pub threshold: u64,
    pub aggregations: Vec<AggregatorSpec>,
    pub post_aggregations: Vec<PostAggregatorSpec>,
}

impl TopNQuery {
    pub(crate) fn parse(value: &Value, depth: usize) -> Result<Self> {
        let fields = Fields::new(value, "topN query")?;
        let dimension = DimensionSpec::from_json(fields.required("dimension")?)?;
        let (aggregations, post_aggregations) = parse_aggregations(&fields, &[dimension.output_name()])?;
        let metric = MetricSpec::from_json(fields.required("metric")?)?;
        let threshold = fields.opt_long("threshold")?.unwrap_or(0);
        if threshold <= 0 {
            return Err(DruidError::invalid_input("Threshold cannot be equal to 0."));
        }
        let query = TopNQuery {
            base: QueryBase::parse(&fields, depth, true)?,
            dimension,
            metric,
            threshold: threshold as u64,
            aggregations,
            post_aggregations,
        };
        query.check_metric(&query.metric)?;
        Ok(query)
    }

    fn check_metric(&self, metric: &MetricSpec) -> Result<()> {
        match metric {
            MetricSpec::Dimension { .. } => Ok(()),
            MetricSpec::Inverted(inner) => self.check_metric(inner),
            MetricSpec::Numeric(name) => {
                let known =
                    self.aggregations.iter().any(|a| a.name() == name) || self.post_aggregations.iter().any(|p| p.name() == name);
                if known {
                    return Ok(());
                }
                Err(DruidError::invalid_input(format!(
                    "metric [{name}] of the topN query is neither an aggregation nor a postAggregation"
                )))
            }
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut map = self.base.write("topN");
        map.insert("dimension".into(), self.dimension.to_json());
        map.insert("metric".into(), self.metric.to_json());
        map.insert("threshold".into(), json!(self.threshold));
        write_aggregations(&mut map, &self.aggregations, &self.post_aggregations);
        Value::Object(map)
    }
}
