//! `groupBy`: aggregates by dimensions and time bucket (NQ-03, `GroupByQuery`).

use ovate_base::{DruidError, Result};
use ovate_compute::aggregate::AggregatorSpec;
use ovate_compute::dimension::DimensionSpec;
use ovate_compute::post_aggregate::PostAggregatorSpec;
use serde_json::{Value, json};

use super::base::{parse_aggregations, write_aggregations};
use super::fields::Fields;
use super::{HavingSpec, LimitSpec, QueryBase};

/// One row a distinct combination of the dimensions' values.
#[derive(Debug, Clone)]
pub struct GroupByQuery {
    pub base: QueryBase,
    pub dimensions: Vec<DimensionSpec>,
    pub aggregations: Vec<AggregatorSpec>,
    pub post_aggregations: Vec<PostAggregatorSpec>,
    pub having: Option<HavingSpec>,
    pub limit_spec: LimitSpec,
    /// Grouping sets by the dimensions' output names.
    pub subtotals: Option<Vec<Vec<String>>>,
}

impl GroupByQuery {
    pub(crate) fn parse(value: &Value, depth: usize) -> Result<Self> {
        let fields = Fields::new(value, "groupBy query")?;
        let dimensions = fields.parsed("dimensions", DimensionSpec::from_json)?;
        let names: Vec<&str> = dimensions.iter().map(DimensionSpec::output_name).collect();
        if let Some(name) = names.iter().enumerate().find_map(|(i, name)| names[..i].contains(name).then_some(name)) {
            return Err(DruidError::invalid_input(format!("output name [{name}] is used more than once in groupBy query")));
        }
        if names.contains(&"__time") {
            return Err(DruidError::invalid_input(
                "'__time' cannot be used as an output name for dimensions, aggregators, or post-aggregators.",
            ));
        }
        let (aggregations, post_aggregations) = parse_aggregations(&fields, &names)?;
        let subtotals = match fields.opt("subtotalsSpec") {
            None => None,
            Some(_) => Some(fields.parsed("subtotalsSpec", |set| parse_subtotal(set, &names))?),
        };
        Ok(GroupByQuery {
            base: QueryBase::parse(&fields, depth, true)?,
            having: fields.opt_parsed("having", HavingSpec::from_json)?,
            limit_spec: fields.opt_parsed("limitSpec", LimitSpec::from_json)?.unwrap_or_default(),
            dimensions,
            aggregations,
            post_aggregations,
            subtotals,
        })
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut map = self.base.write("groupBy");
        map.insert("dimensions".into(), self.dimensions.iter().map(DimensionSpec::to_json).collect());
        write_aggregations(&mut map, &self.aggregations, &self.post_aggregations);
        if let Some(having) = &self.having {
            map.insert("having".into(), having.to_json());
        }
        map.insert("limitSpec".into(), self.limit_spec.to_json());
        if let Some(subtotals) = &self.subtotals {
            map.insert("subtotalsSpec".into(), json!(subtotals));
        }
        Value::Object(map)
    }
}

fn parse_subtotal(set: &Value, names: &[&str]) -> Result<Vec<String>> {
    let Value::Array(items) = set else {
        return Err(DruidError::invalid_input("a grouping set must be a list of dimension names"));
    };
    let one = |item: &Value| match item.as_str() {
        Some(name) if names.contains(&name) => Ok(name.to_owned()),
        _ => Err(DruidError::invalid_input(format!("Subtotal spec {item} is either not a subset of top level dimensions."))),
    };
    items.iter().map(one).collect()
}
