//! `arrayOfDoublesSketch` (`ArrayOfDoublesSketchAggregatorFactory`): with `metricColumns` it builds tuple sketches of the keys
//! in `fieldName` and the sums of those columns; without, it merges stored sketches.

use std::sync::Arc;

use bytes::Bytes;
use ovate_base::Result;
use serde_json::{Map, Value as Json, json};

use super::input::Input;
use super::json::Fields;
use super::sketched::{map_sketches, sketch_bytes};
use super::{Aggregator, AggregatorFactory, AggregatorSpec, Groups};
use crate::column::{ColumnReader, ColumnSource, Rows};
use crate::context::EvalContext;
use crate::sketch::canonical_double;
use crate::sketch::theta::hash;
use crate::sketch::tuple::TupleSketch;
use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

/// Complex type name.
pub(crate) const NAME: &str = "arrayOfDoublesSketch";

#[derive(Debug, Clone)]
struct Tuple {
    name: String,
    field_name: String,
    nominal_entries: usize,
    metric_columns: Option<Vec<String>>,
    number_of_values: usize,
}

/// `nominalEntries`: a power of two.
pub(crate) fn nominal_entries(fields: &Fields<'_>) -> Result<usize> {
    match usize::try_from(fields.long("nominalEntries", 16384)?) {
        Ok(entries @ 16..=67_108_864) if entries.is_power_of_two() => Ok(entries),
        _ => Err(fields.bad("nominalEntries", "must be a power of 2 between 16 and 67108864")),
    }
}

/// `numberOfValues`: doubles of an entry.
pub(crate) fn number_of_values(fields: &Fields<'_>, default: usize) -> Result<usize> {
    match fields.long("numberOfValues", default as i64)? {
        values @ 1..=255 => Ok(values as usize),
        _ => Err(fields.bad("numberOfValues", "must be between 1 and 255")),
    }
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    let metric_columns = if fields.get("metricColumns").is_some() { Some(fields.strings("metricColumns")?) } else { None };
    let number_of_values = number_of_values(fields, metric_columns.as_ref().map_or(1, Vec::len))?;
    if metric_columns.as_ref().is_some_and(|columns| columns.len() != number_of_values) {
        return Err(fields.bad("metricColumns", "must be as many as numberOfValues"));
    }
    Ok(AggregatorSpec::new(Tuple {
        name: fields.string("name")?.to_owned(),
        field_name: fields.string("fieldName")?.to_owned(),
        nominal_entries: nominal_entries(fields)?,
        metric_columns,
        number_of_values,
    }))
}

impl Tuple {
    fn state(&self, key: Option<Box<dyn ColumnReader>>, metrics: Vec<Input>) -> Box<dyn Aggregator> {
        let (nominal, values) = (self.nominal_entries, self.number_of_values);
        Box::new(TupleState { nominal, values, key, metrics, sketches: Vec::new() })
    }
}

impl AggregatorFactory for Tuple {
    fn name(&self) -> &str {
        &self.name
    }
    fn to_json(&self) -> Json {
        let mut json = Map::new();
        json.insert("type".into(), json!(NAME));
        json.insert("name".into(), json!(self.name));
        json.insert("fieldName".into(), json!(self.field_name));
        json.insert("nominalEntries".into(), json!(self.nominal_entries));
        json.insert("metricColumns".into(), json!(self.metric_columns));
        json.insert("numberOfValues".into(), json!(self.number_of_values));
        Json::Object(json)
    }
    fn required_columns(&self) -> Vec<String> {
        let mut columns = vec![self.field_name.clone()];
        columns.extend(self.metric_columns.iter().flatten().cloned());
        columns
    }
    fn bind(&self, source: &Arc<dyn ColumnSource>, _: &EvalContext) -> Result<Box<dyn Aggregator>> {
        let key = source.column(&self.field_name)?.map(|column| column.reader()).transpose()?;
        let metrics = self.metric_columns.iter().flatten().map(|name| Input::column(source, name)).collect::<Result<_>>()?;
        Ok(self.state(key, metrics))
    }
    fn merger(&self) -> Result<Box<dyn Aggregator>> {
        Ok(self.state(None, Vec::new()))
    }
    fn combining(&self) -> AggregatorSpec {
        AggregatorSpec::new(Tuple { field_name: self.name.clone(), metric_columns: None, ..self.clone() })
    }
    fn with_name(&self, name: &str) -> AggregatorSpec {
        AggregatorSpec::new(Tuple { name: name.to_owned(), ..self.clone() })
    }
    fn intermediate_type(&self) -> ColumnType {
        ColumnType::complex(NAME)
    }
    fn result_type(&self) -> ColumnType {
        ColumnType::Double
    }
    fn finalize(&self, partial: &Vector) -> Result<Vector> {
        let estimate = |bytes: &[u8]| {
            let sketch = TupleSketch::from_bytes(bytes, self.nominal_entries, self.number_of_values)?;
            Ok(Value::Double(sketch.estimate()))
        };
        map_sketches(partial, &ColumnType::Double, estimate, &Value::Double(0.0))
    }
}

struct TupleState {
    nominal: usize,
    values: usize,
    key: Option<Box<dyn ColumnReader>>,
    /// Empty: the key column holds sketches.
    metrics: Vec<Input>,
    sketches: Vec<Option<TupleSketch>>,
}

/// The hash of a key; nulls and empty text have none.
fn key_hash(key: &Value) -> Option<u64> {
    match key {
        Value::String(text) => hash(text.as_bytes()),
        Value::Long(value) => hash(&value.to_le_bytes()),
        Value::Float(value) => hash(&canonical_double(f64::from(*value)).to_le_bytes()),
        Value::Double(value) => hash(&canonical_double(*value).to_le_bytes()),
        _ => None,
    }
}

impl TupleState {
    fn sketch(&mut self, group: usize) -> &mut TupleSketch {
        let (nominal, values) = (self.nominal, self.values);
        self.sketches[group].get_or_insert_with(|| TupleSketch::new(nominal, values))
    }

    fn merge_one(&mut self, value: &Value, group: usize) -> Result<()> {
        if let Some(bytes) = sketch_bytes(value)?.filter(|bytes| !bytes.is_empty()) {
            let other = TupleSketch::from_bytes(&bytes, self.nominal, self.values)?;
            self.sketch(group).merge(&other)?;
        }
        Ok(())
    }
}

impl Aggregator for TupleState {
    fn resize(&mut self, groups: usize) {
        if groups > self.sketches.len() {
            self.sketches.resize(groups, None);
        }
    }
    fn add(&mut self, rows: Rows<'_>, groups: Groups<'_>) -> Result<()> {
        let Some(key) = &mut self.key else { return Ok(()) };
        let keys = key.values(rows.clone())?.to_vec();
        if self.metrics.is_empty() {
            return keys.iter().enumerate().try_for_each(|(row, value)| self.merge_one(value, groups.of(row)));
        }
        let mut entries = vec![0.0; keys.len() * self.values];
        for (index, metric) in self.metrics.iter_mut().enumerate() {
            let read = metric.doubles(rows.clone())?;
            for (position, value) in read.numbers.values.iter().enumerate() {
                let row = read.positions.map_or(position, |positions| positions[position] as usize);
                if read.numbers.nulls.is_none_or(|nulls| !nulls[position]) {
                    entries[row * self.values + index] += value;
                }
            }
        }
        for (row, key) in keys.iter().enumerate() {
            let entry = &entries[row * self.values..(row + 1) * self.values];
            let parts = if let Value::Array(parts) = key { parts.as_ref() } else { std::slice::from_ref(key) };
            for hash in parts.iter().filter_map(key_hash) {
                self.sketch(groups.of(row)).add(hash, entry);
            }
        }
        Ok(())
    }
    fn merge(&mut self, partial: &Vector, groups: &[u32]) -> Result<()> {
        groups.iter().enumerate().try_for_each(|(row, group)| self.merge_one(&partial.value(row), *group as usize))
    }
    fn take_partial(&mut self) -> Result<Vector> {
        let name: Arc<str> = Arc::from(NAME);
        let nothing = TupleSketch::new(self.nominal, self.values);
        let bytes = |sketch: Option<TupleSketch>| Bytes::from(sketch.as_ref().unwrap_or(&nothing).to_bytes());
        let values = std::mem::take(&mut self.sketches).into_iter().map(|sketch| Value::Complex(name.clone(), bytes(sketch)));
        Ok(Vector::Any { column_type: ColumnType::complex(NAME), values: values.collect() })
    }
    fn memory_bytes(&self) -> usize {
        self.sketches.iter().flatten().map(TupleSketch::memory_bytes).sum()
    }
}
