//! `longAny`, `stringAny` and the like (`LongAnyAggregatorFactory`, `StringAnyAggregatorFactory`): the value of the first
//! row that comes, null included; partials that are not null win over null ones.

use std::sync::Arc;

use ovate_base::Result;
use serde_json::{Map, Value as Json, json};

use super::json::Fields;
use super::{Aggregator, AggregatorFactory, AggregatorSpec, Groups};
use crate::column::{ColumnReader, ColumnSource, Rows};
use crate::context::EvalContext;
use crate::sketch::pair::PairValue;
use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

#[derive(Debug, Clone)]
struct Any {
    kind: String,
    name: String,
    field_name: String,
    max_string_bytes: Option<usize>,
    aggregate_multiple_values: bool,
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    let kind = fields.kind()?.to_owned();
    let max_string_bytes = if kind == "stringAny" {
        let bytes = usize::try_from(fields.long("maxStringBytes", 1024)?);
        Some(bytes.map_err(|_| fields.bad("maxStringBytes", "must be greater than 0"))?)
    } else {
        None
    };
    Ok(AggregatorSpec::new(Any {
        kind,
        name: fields.string("name")?.to_owned(),
        field_name: fields.string("fieldName")?.to_owned(),
        max_string_bytes,
        aggregate_multiple_values: fields.bool("aggregateMultipleValues", true)?,
    }))
}

impl Any {
    fn build(&self, reader: Option<Box<dyn ColumnReader>>) -> Box<dyn Aggregator> {
        match self.kind.as_str() {
            "longAny" => AnyState::<i64>::boxed(reader, self),
            "floatAny" => AnyState::<f32>::boxed(reader, self),
            "doubleAny" => AnyState::<f64>::boxed(reader, self),
            _ => AnyState::<Arc<str>>::boxed(reader, self),
        }
    }
}

impl AggregatorFactory for Any {
    fn shows_order(&self, grouped: bool) -> bool {
        !grouped
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn to_json(&self) -> Json {
        let mut json = Map::new();
        json.insert("type".into(), json!(self.kind));
        json.insert("name".into(), json!(self.name));
        json.insert("fieldName".into(), json!(self.field_name));
        if let Some(bytes) = self.max_string_bytes {
            json.insert("maxStringBytes".into(), json!(bytes));
            json.insert("aggregateMultipleValues".into(), json!(self.aggregate_multiple_values));
        }
        Json::Object(json)
    }
    fn required_columns(&self) -> Vec<String> {
        vec![self.field_name.clone()]
    }
    fn bind(&self, source: &Arc<dyn ColumnSource>, _: &EvalContext) -> Result<Box<dyn Aggregator>> {
        let column = source.column(&self.field_name)?;
        let reader = column.map(|column| column.reader()).transpose()?;
        Ok(self.build(Some(reader.unwrap_or_else(|| Box::new(NoColumn::default())))))
    }
    fn merger(&self) -> Result<Box<dyn Aggregator>> {
        Ok(self.build(None))
    }
    fn combining(&self) -> AggregatorSpec {
        AggregatorSpec::new(Any { field_name: self.name.clone(), ..self.clone() })
    }
    fn with_name(&self, name: &str) -> AggregatorSpec {
        AggregatorSpec::new(Any { name: name.to_owned(), ..self.clone() })
    }
    fn intermediate_type(&self) -> ColumnType {
        match self.kind.as_str() {
            "longAny" => ColumnType::Long,
            "floatAny" => ColumnType::Float,
            "doubleAny" => ColumnType::Double,
            _ => ColumnType::String,
        }
    }
    fn result_type(&self) -> ColumnType {
        self.intermediate_type()
    }
}

/// A column that is not there.
#[derive(Default)]
struct NoColumn {
    nulls: Vec<Value>,
}

impl ColumnReader for NoColumn {
    fn values(&mut self, rows: Rows<'_>) -> Result<&[Value]> {
        self.nulls.resize(rows.len(), Value::Null);
        Ok(&self.nulls)
    }
}

struct AnyState<V> {
    reader: Option<Box<dyn ColumnReader>>,
    found: Vec<bool>,
    values: Vec<Option<V>>,
    max_bytes: Option<usize>,
    all_values: bool,
}

impl<V: PairValue> AnyState<V> {
    fn boxed(reader: Option<Box<dyn ColumnReader>>, spec: &Any) -> Box<dyn Aggregator> {
        let (max_bytes, all_values) = (spec.max_string_bytes, spec.aggregate_multiple_values);
        Box::new(AnyState::<V> { reader, found: Vec::new(), values: Vec::new(), max_bytes, all_values })
    }

    fn convert(&self, value: &Value) -> Option<V> {
        let value = match value {
            Value::Array(values) if !self.all_values => values.first().unwrap_or(&Value::Null),
            value => value,
        };
        V::from_value(value).map(|value| value.chopped(self.max_bytes))
    }
}

impl<V: PairValue> Aggregator for AnyState<V> {
    fn resize(&mut self, groups: usize) {
        if groups > self.found.len() {
            self.found.resize(groups, false);
            self.values.resize(groups, None);
        }
    }
    fn add(&mut self, rows: Rows<'_>, groups: Groups<'_>) -> Result<()> {
        // Only the first row of each new group is read.
        let mut ids: Vec<u32> = Vec::new();
        let mut wanted: Vec<usize> = Vec::new();
        let mut want = |position: usize, group: usize, found: &mut Vec<bool>| {
            if !found[group] {
                found[group] = true;
                wanted.push(group);
                ids.push(match &rows {
                    Rows::Range(range) => range.start + position as u32,
                    Rows::Ids(ids) => ids[position],
                });
            }
        };
        match groups {
            Groups::One(_) if rows.is_empty() => {}
            Groups::One(group) => want(0, group as usize, &mut self.found),
            Groups::Each(groups) => {
                groups.iter().enumerate().for_each(|(row, group)| want(row, *group as usize, &mut self.found));
            }
        }
        if ids.is_empty() {
            return Ok(());
        }
        let Some(reader) = &mut self.reader else { return Err(super::merge_only()) };
        let values = reader.values(Rows::Ids(&ids))?.to_vec();
        for (value, group) in values.iter().zip(wanted) {
            self.values[group] = self.convert(value);
        }
        Ok(())
    }
    fn merge(&mut self, partial: &Vector, groups: &[u32]) -> Result<()> {
        for (row, group) in groups.iter().enumerate() {
            let group = *group as usize;
            if self.values[group].is_none() {
                self.values[group] = self.convert(&partial.value(row));
            }
            self.found[group] = true;
        }
        Ok(())
    }
    fn take_partial(&mut self) -> Result<Vector> {
        self.found.clear();
        Ok(V::vector(std::mem::take(&mut self.values)))
    }
    fn memory_bytes(&self) -> usize {
        self.found.capacity() + self.values.capacity() * size_of::<Option<V>>()
    }
}
