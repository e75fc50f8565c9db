//! `grouping` (`GroupingAggregatorFactory`): for each of `groupings`, first to last, one bit that is 0 when the dimension
//! is a key of the result row and 1 when a subtotal left it out. The engine tells the keys through `with_key_dimensions`.

use std::sync::Arc;

use ovate_base::Result;
use serde_json::{Value as Json, json};

use super::json::Fields;
use super::number::for_each_number;
use super::{Aggregator, AggregatorFactory, AggregatorSpec, Groups};
use crate::column::{ColumnSource, Rows};
use crate::context::EvalContext;
use crate::types::ColumnType;
use crate::vector::Vector;

#[derive(Debug, Clone)]
struct Grouping {
    name: String,
    groupings: Vec<String>,
    value: i64,
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    let groupings = fields.strings("groupings")?;
    if groupings.is_empty() {
        return Err(fields.bad("groupings", "must be a non-empty grouping dimensions"));
    }
    if groupings.len() > 63 {
        return Err(fields.bad("groupings", "must hold at most 63 dimensions"));
    }
    Ok(AggregatorSpec::new(Grouping { name: fields.string("name")?.to_owned(), groupings, value: 0 }))
}

impl AggregatorFactory for Grouping {
    fn name(&self) -> &str {
        &self.name
    }
    fn to_json(&self) -> Json {
        json!({"type": "grouping", "name": self.name, "groupings": self.groupings})
    }
    fn required_columns(&self) -> Vec<String> {
        Vec::new()
    }
    fn bind(&self, _: &Arc<dyn ColumnSource>, _: &EvalContext) -> Result<Box<dyn Aggregator>> {
        Ok(Box::new(GroupingState { value: self.value, values: Vec::new() }))
    }
    fn merger(&self) -> Result<Box<dyn Aggregator>> {
        Ok(Box::new(GroupingState { value: self.value, values: Vec::new() }))
    }
    fn combining(&self) -> AggregatorSpec {
        AggregatorSpec::new(self.clone())
    }
    fn with_name(&self, name: &str) -> AggregatorSpec {
        AggregatorSpec::new(Grouping { name: name.to_owned(), ..self.clone() })
    }
    fn with_key_dimensions(&self, keys: &[String]) -> Option<AggregatorSpec> {
        let bit = |value: i64, name: &String| (value << 1) | i64::from(!keys.contains(name));
        let value = self.groupings.iter().fold(0, bit);
        Some(AggregatorSpec::new(Grouping { value, ..self.clone() }))
    }
    fn intermediate_type(&self) -> ColumnType {
        ColumnType::Long
    }
    fn result_type(&self) -> ColumnType {
        ColumnType::Long
    }
}

struct GroupingState {
    value: i64,
    values: Vec<i64>,
}

impl Aggregator for GroupingState {
    fn resize(&mut self, groups: usize) {
        if groups > self.values.len() {
            self.values.resize(groups, self.value);
        }
    }
    fn add(&mut self, _: Rows<'_>, _: Groups<'_>) -> Result<()> {
        Ok(())
    }
    fn merge(&mut self, partial: &Vector, groups: &[u32]) -> Result<()> {
        for_each_number(partial, |row, value: i64| self.values[groups[row] as usize] = value)
    }
    fn take_partial(&mut self) -> Result<Vector> {
        Ok(Vector::Long { values: std::mem::take(&mut self.values), nulls: None })
    }
    fn memory_bytes(&self) -> usize {
        self.values.capacity() * 8
    }
}
