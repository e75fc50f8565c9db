//! `constant`, `fieldAccess` and `finalizingFieldAccess`.

use ovate_base::Result;
use serde_json::{Value as Json, json};

use super::{PostAggregatorFactory, PostAggregatorSpec, PostInputs};
use crate::aggregate::AggregatorSpec;
use crate::aggregate::json::Fields;
use crate::types::ColumnType;
use crate::vector::Vector;

#[derive(Debug)]
struct Constant {
    name: Option<String>,
    value: Json,
}

pub(super) fn parse_constant(fields: &Fields<'_>) -> Result<PostAggregatorSpec> {
    let value = fields.require("value")?.clone();
    if !value.is_number() {
        return Err(fields.bad("value", "must be a number"));
    }
    Ok(PostAggregatorSpec::new(Constant { name: fields.string_or_none("name")?.map(str::to_owned), value }))
}

impl PostAggregatorFactory for Constant {
    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
    fn to_json(&self) -> Json {
        json!({"type": "constant", "name": self.name, "value": self.value})
    }
    fn required_columns(&self) -> Vec<String> {
        Vec::new()
    }
    fn result_type(&self, _: &dyn Fn(&str) -> Option<ColumnType>, _: &[AggregatorSpec]) -> Option<ColumnType> {
        Some(if self.value.is_i64() { ColumnType::Long } else { ColumnType::Double })
    }
    fn compute(&self, inputs: &PostInputs<'_>) -> Result<Vector> {
        Ok(match self.value.as_i64() {
            Some(value) => Vector::Long { values: vec![value; inputs.len], nulls: None },
            None => Vector::Double { values: vec![self.value.as_f64().unwrap_or(f64::NAN); inputs.len], nulls: None },
        })
    }
}

#[derive(Debug)]
struct FieldAccess {
    name: Option<String>,
    field_name: String,
    finalizing: bool,
}

pub(super) fn parse_access(fields: &Fields<'_>) -> Result<PostAggregatorSpec> {
    let name = fields.string_or_none("name")?.map(str::to_owned);
    let (field_name, finalizing) = (fields.string("fieldName")?.to_owned(), fields.kind()? == "finalizingFieldAccess");
    Ok(PostAggregatorSpec::new(FieldAccess { name, field_name, finalizing }))
}

impl PostAggregatorFactory for FieldAccess {
    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
    fn to_json(&self) -> Json {
        let kind = if self.finalizing { "finalizingFieldAccess" } else { "fieldAccess" };
        json!({"type": kind, "name": self.name, "fieldName": self.field_name})
    }
    fn required_columns(&self) -> Vec<String> {
        vec![self.field_name.clone()]
    }
    fn result_type(&self, column: &dyn Fn(&str) -> Option<ColumnType>, aggregators: &[AggregatorSpec]) -> Option<ColumnType> {
        match aggregators.iter().find(|aggregator| aggregator.name() == self.field_name) {
            Some(aggregator) if self.finalizing => Some(aggregator.result_type()),
            Some(aggregator) => Some(aggregator.intermediate_type()),
            None => column(&self.field_name),
        }
    }
    fn compute(&self, inputs: &PostInputs<'_>) -> Result<Vector> {
        if self.finalizing { inputs.finalized(&self.field_name) } else { Ok(inputs.raw(&self.field_name)) }
    }
}
