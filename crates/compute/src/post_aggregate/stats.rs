//! `hyperUniqueCardinality` and `stddev`: a number out of one aggregator's state, which `fieldName` names.

use ovate_base::Result;
use serde_json::{Map, Value as Json, json};

use super::{PostAggregatorFactory, PostAggregatorSpec, PostInputs};
use crate::aggregate::AggregatorSpec;
use crate::aggregate::hyper_unique::estimate;
use crate::aggregate::json::Fields;
use crate::aggregate::sketched::map_sketches;
use crate::aggregate::variance::{Moments, is_population};
use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

#[derive(Debug)]
struct HyperUniqueCardinality {
    name: Option<String>,
    field_name: String,
}

pub(super) fn parse_cardinality(fields: &Fields<'_>) -> Result<PostAggregatorSpec> {
    let (name, field_name) = (fields.string_or_none("name")?.map(str::to_owned), fields.string("fieldName")?.to_owned());
    Ok(PostAggregatorSpec::new(HyperUniqueCardinality { name, field_name }))
}

impl PostAggregatorFactory for HyperUniqueCardinality {
    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
    fn to_json(&self) -> Json {
        json!({"type": "hyperUniqueCardinality", "name": self.name, "fieldName": self.field_name})
    }
    fn required_columns(&self) -> Vec<String> {
        vec![self.field_name.clone()]
    }
    fn result_type(&self, _: &dyn Fn(&str) -> Option<ColumnType>, aggregators: &[AggregatorSpec]) -> Option<ColumnType> {
        let aggregator = aggregators.iter().find(|aggregator| aggregator.name() == self.field_name);
        Some(aggregator.map_or(ColumnType::Double, AggregatorSpec::result_type))
    }
    fn compute(&self, inputs: &PostInputs<'_>) -> Result<Vector> {
        match inputs.aggregator(&self.field_name) {
            Some(_) => inputs.finalized(&self.field_name),
            None => {
                let sketches = inputs.raw(&self.field_name);
                map_sketches(&sketches, &ColumnType::Double, |bytes| estimate(bytes, false), &Value::Double(0.0))
            }
        }
    }
}

#[derive(Debug)]
struct StandardDeviation {
    name: Option<String>,
    field_name: String,
    estimator: Option<String>,
}

pub(super) fn parse_stddev(fields: &Fields<'_>) -> Result<PostAggregatorSpec> {
    let (name, field_name) = (fields.string_or_none("name")?.map(str::to_owned), fields.string("fieldName")?.to_owned());
    let estimator = fields.string_or_none("estimator")?.map(str::to_owned);
    Ok(PostAggregatorSpec::new(StandardDeviation { name, field_name, estimator }))
}

impl PostAggregatorFactory for StandardDeviation {
    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
    fn to_json(&self) -> Json {
        let mut json = Map::new();
        json.insert("type".into(), json!("stddev"));
        json.insert("name".into(), json!(self.name));
        json.insert("fieldName".into(), json!(self.field_name));
        if let Some(estimator) = &self.estimator {
            json.insert("estimator".into(), json!(estimator));
        }
        Json::Object(json)
    }
    fn required_columns(&self) -> Vec<String> {
        vec![self.field_name.clone()]
    }
    fn result_type(&self, _: &dyn Fn(&str) -> Option<ColumnType>, _: &[AggregatorSpec]) -> Option<ColumnType> {
        Some(ColumnType::Double)
    }
    fn compute(&self, inputs: &PostInputs<'_>) -> Result<Vector> {
        let population = is_population(self.estimator.as_deref());
        let deviation = |bytes: &[u8]| {
            let variance = Moments::from_bytes(bytes)?.variance(population);
            Ok(variance.map_or(Value::Null, |variance| Value::Double(variance.sqrt())))
        };
        map_sketches(&inputs.raw(&self.field_name), &ColumnType::Double, deviation, &Value::Null)
    }
}
