//! `singleValue` (`SingleValueAggregatorFactory`): the one row's value of a scalar subquery; more than one is an error.

use std::sync::Arc;

use ovate_base::{DruidError, Result};
use serde_json::{Value as Json, json};

use super::json::Fields;
use super::{Aggregator, AggregatorFactory, AggregatorSpec, Groups};
use crate::column::{ColumnReader, ColumnSource, Rows};
use crate::context::EvalContext;
use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

#[derive(Debug, Clone)]
struct SingleValue {
    name: String,
    field_name: String,
    column_type: ColumnType,
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    let (name, field_name) = (fields.string("name")?.to_owned(), fields.string("fieldName")?.to_owned());
    let column_type = ColumnType::parse(fields.string_or_none("columnType")?.unwrap_or("STRING"))?;
    Ok(AggregatorSpec::new(SingleValue { name, field_name, column_type }))
}

impl AggregatorFactory for SingleValue {
    fn name(&self) -> &str {
        &self.name
    }
    fn to_json(&self) -> Json {
        let column_type = self.column_type.to_string();
        json!({"type": "singleValue", "name": self.name, "fieldName": self.field_name, "columnType": column_type})
    }
    fn required_columns(&self) -> Vec<String> {
        vec![self.field_name.clone()]
    }
    fn bind(&self, source: &Arc<dyn ColumnSource>, _: &EvalContext) -> Result<Box<dyn Aggregator>> {
        let reader = source.column(&self.field_name)?.map(|column| column.reader()).transpose()?;
        Ok(Box::new(SingleState { reader, column_type: self.column_type.clone(), values: Vec::new() }))
    }
    fn merger(&self) -> Result<Box<dyn Aggregator>> {
        Ok(Box::new(SingleState { reader: None, column_type: self.column_type.clone(), values: Vec::new() }))
    }
    fn combining(&self) -> AggregatorSpec {
        AggregatorSpec::new(SingleValue { field_name: self.name.clone(), ..self.clone() })
    }
    fn with_name(&self, name: &str) -> AggregatorSpec {
        AggregatorSpec::new(SingleValue { name: name.to_owned(), ..self.clone() })
    }
    fn intermediate_type(&self) -> ColumnType {
        self.column_type.clone()
    }
    fn result_type(&self) -> ColumnType {
        self.column_type.clone()
    }
}

struct SingleState {
    reader: Option<Box<dyn ColumnReader>>,
    column_type: ColumnType,
    /// `None`: no row yet.
    values: Vec<Option<Value>>,
}

impl SingleState {
    fn put(&mut self, group: usize, value: &Value) -> Result<()> {
        if self.values[group].is_some() {
            return Err(DruidError::invalid_input("Subquery expression returned more than one row"));
        }
        self.values[group] = Some(value.clone());
        Ok(())
    }
}

impl Aggregator for SingleState {
    fn resize(&mut self, groups: usize) {
        if groups > self.values.len() {
            self.values.resize(groups, None);
        }
    }
    fn add(&mut self, rows: Rows<'_>, groups: Groups<'_>) -> Result<()> {
        let count = rows.len();
        let values = match &mut self.reader {
            Some(reader) => reader.values(rows)?.to_vec(),
            None => vec![Value::Null; count],
        };
        values.iter().enumerate().try_for_each(|(row, value)| self.put(groups.of(row), value))
    }
    /// Partials come from one segment each, of which only one has a row; an empty one comes as null.
    fn merge(&mut self, partial: &Vector, groups: &[u32]) -> Result<()> {
        for (row, group) in groups.iter().enumerate() {
            let value = partial.value(row);
            if !value.is_null() {
                self.put(*group as usize, &value)?;
            }
        }
        Ok(())
    }
    fn take_partial(&mut self) -> Result<Vector> {
        let values = std::mem::take(&mut self.values).into_iter().map(Option::unwrap_or_default).collect();
        Ok(Vector::from_values(&self.column_type, values))
    }
    fn memory_bytes(&self) -> usize {
        self.values.capacity() * size_of::<Option<Value>>()
    }
}
