//! `cardinality` (`CardinalityAggregatorFactory`): distinct values, or with `byRow` distinct combinations, of dimensions.
//! It hashes UTF-16 code units where `hyperUnique` hashes UTF-8, so the two do not mix.

use std::sync::Arc;

use ovate_base::{DruidError, Result};
use serde_json::{Value as Json, json};

use super::hyper_unique::{estimate, estimate_type};
use super::json::Fields;
use super::sketched::{DerivedKind, SketchKind, SketchState, map_sketches};
use super::{Aggregator, AggregatorFactory, AggregatorSpec, Groups, hyper_unique};
use crate::column::{Column, ColumnReader, ColumnSource, Rows};
use crate::context::EvalContext;
use crate::dimension::DimensionSpec;
use crate::sketch::distinct::DistinctState;
use crate::sketch::hyperloglog::{HyperLogLog, Observation};
use crate::sketch::{append_utf16, utf16_bytes};
use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

#[derive(Debug, Clone)]
struct Cardinality {
    name: String,
    fields: Vec<DimensionSpec>,
    by_row: bool,
    round: bool,
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    let list = if fields.get("fields").is_some() { fields.list("fields")? } else { fields.list("fieldNames")? };
    let dimensions: Vec<DimensionSpec> = list.iter().map(DimensionSpec::from_json).collect::<Result<_>>()?;
    if dimensions.is_empty() {
        return Err(fields.bad("fields", "must be given"));
    }
    let (by_row, round) = (fields.bool("byRow", false)?, fields.bool("round", false)?);
    Ok(AggregatorSpec::new(Cardinality { name: fields.string("name")?.to_owned(), fields: dimensions, by_row, round }))
}

impl AggregatorFactory for Cardinality {
    fn name(&self) -> &str {
        &self.name
    }
    fn to_json(&self) -> Json {
        let fields: Vec<Json> = self.fields.iter().map(DimensionSpec::to_json).collect();
        json!({"type": "cardinality", "name": self.name, "fields": fields, "byRow": self.by_row, "round": self.round})
    }
    fn required_columns(&self) -> Vec<String> {
        let mut columns: Vec<String> = self.fields.iter().map(|field| field.dimension().to_owned()).collect();
        columns.dedup();
        columns
    }
    fn bind(&self, source: &Arc<dyn ColumnSource>, context: &EvalContext) -> Result<Box<dyn Aggregator>> {
        // Complex columns have no dimension values (`DimensionHandlerUtils`); they count nothing.
        let simple = |column: &Arc<dyn Column>| !matches!(column.capabilities().column_type, ColumnType::Complex(_));
        let open = |field: &DimensionSpec| Ok(field.column(source, context)?.filter(simple));
        let columns: Vec<Option<Arc<dyn Column>>> = self.fields.iter().map(open).collect::<Result<_>>()?;
        if self.by_row { RowState::boxed(&columns) } else { SketchState::boxed(CardinalityKind, columns) }
    }
    fn merger(&self) -> Result<Box<dyn Aggregator>> {
        SketchState::boxed(CardinalityKind, Vec::new())
    }
    fn combining(&self) -> AggregatorSpec {
        hyper_unique::combining(&self.name, self.round)
    }
    fn with_name(&self, name: &str) -> AggregatorSpec {
        AggregatorSpec::new(Cardinality { name: name.to_owned(), ..self.clone() })
    }
    fn intermediate_type(&self) -> ColumnType {
        ColumnType::complex("hyperUnique")
    }
    fn result_type(&self) -> ColumnType {
        estimate_type(self.round)
    }
    fn finalize(&self, partial: &Vector) -> Result<Vector> {
        let nothing = if self.round { Value::Long(0) } else { Value::Double(0.0) };
        map_sketches(partial, &self.result_type(), |bytes| estimate(bytes, self.round), &nothing)
    }
}

/// Hashes single values: Guava's `hashUnencodedChars`, `hashLong` and `hashInt`.
#[derive(Clone)]
struct CardinalityKind;

impl SketchKind for CardinalityKind {
    type State = DistinctState;
    type Item = Observation;
    const IDEMPOTENT: bool = true;
    fn derived_kind(&self) -> Option<DerivedKind> {
        Some(DerivedKind::Cardinality)
    }
    fn column_type(&self) -> &'static str {
        "hyperUnique"
    }
    fn empty(&self) -> Result<DistinctState> {
        Ok(DistinctState::default())
    }
    fn text(&self, value: &str) -> Option<Observation> {
        Some(Observation::of_bytes(&utf16_bytes(value)))
    }
    fn long(&self, value: i64) -> Option<Observation> {
        Some(Observation::of_bytes(&value.to_le_bytes()))
    }
    fn float(&self, value: f32) -> Option<Observation> {
        Some(Observation::of_bytes(&value.to_bits().to_le_bytes()))
    }
    fn double(&self, value: f64) -> Option<Observation> {
        Some(Observation::of_bytes(&value.to_bits().to_le_bytes()))
    }
    fn update(&self, state: &mut DistinctState, item: Observation) {
        state.add(item);
    }
    fn merge(&self, state: &mut DistinctState, bytes: &[u8]) -> Result<()> {
        state.merge(bytes)
    }
    fn encode(&self, state: &DistinctState) -> Vec<u8> {
        state.to_bytes()
    }
    fn memory_bytes(&self, state: &DistinctState) -> usize {
        state.memory_bytes()
    }
}

/// `byRow`: one hash a row over all columns, a zero byte between them.
struct RowState {
    readers: Vec<Option<Box<dyn ColumnReader>>>,
    states: Box<dyn Aggregator>,
    collectors: Vec<HyperLogLog>,
}

impl RowState {
    fn boxed(columns: &[Option<Arc<dyn Column>>]) -> Result<Box<dyn Aggregator>> {
        let open = |column: &Option<Arc<dyn Column>>| column.as_ref().map(|column| column.reader()).transpose();
        let readers = columns.iter().map(open).collect::<Result<_>>()?;
        let states = SketchState::boxed(CardinalityKind, Vec::new())?;
        Ok(Box::new(RowState { readers, states, collectors: Vec::new() }))
    }
}

/// What Druid hashes of one column of one row.
fn hash_row(value: &Value, out: &mut Vec<u8>) -> Result<()> {
    match value {
        Value::Null => append_utf16("\u{0}", out),
        Value::String(text) => append_utf16(text, out),
        Value::Long(value) => out.extend_from_slice(&value.to_le_bytes()),
        Value::Float(value) => out.extend_from_slice(&value.to_bits().to_le_bytes()),
        Value::Double(value) => out.extend_from_slice(&value.to_bits().to_le_bytes()),
        Value::Array(values) => {
            let text = |value: &Value| value.as_text().map_or_else(|| "\u{0}".to_owned(), |text| text.to_string());
            let mut texts: Vec<String> = values.iter().map(text).collect();
            texts.sort_by(|left, right| left.encode_utf16().cmp(right.encode_utf16()));
            append_utf16(&texts.join("\u{1}"), out);
        }
        Value::Json(_) | Value::Complex(..) => {
            return Err(DruidError::invalid_input("cardinality by row does not work on complex columns"));
        }
    }
    Ok(())
}

impl Aggregator for RowState {
    fn resize(&mut self, groups: usize) {
        if groups > self.collectors.len() {
            self.collectors.resize_with(groups, HyperLogLog::default);
        }
        self.states.resize(groups);
    }
    fn add(&mut self, rows: Rows<'_>, groups: Groups<'_>) -> Result<()> {
        let mut texts: Vec<Vec<u8>> = vec![Vec::new(); rows.len()];
        for (index, reader) in self.readers.iter_mut().enumerate() {
            if index > 0 {
                texts.iter_mut().for_each(|text| text.push(0));
            }
            match reader {
                Some(reader) => {
                    for (text, value) in texts.iter_mut().zip(reader.values(rows.clone())?) {
                        hash_row(value, text)?;
                    }
                }
                None => texts.iter_mut().try_for_each(|text| hash_row(&Value::Null, text))?,
            }
        }
        for (row, text) in texts.iter().enumerate() {
            self.collectors[groups.of(row)].add(Observation::of_bytes(text));
        }
        Ok(())
    }
    fn merge(&mut self, partial: &Vector, groups: &[u32]) -> Result<()> {
        self.states.merge(partial, groups)
    }
    fn take_partial(&mut self) -> Result<Vector> {
        // What was merged and what was added meet as partials.
        let own = std::mem::take(&mut self.collectors);
        let column_type = ColumnType::complex("hyperUnique");
        let name: Arc<str> = Arc::from("hyperUnique");
        let values = own.iter().map(|collector| Value::Complex(name.clone(), collector.to_bytes().into())).collect();
        let groups: Vec<u32> = (0..own.len() as u32).collect();
        self.states.merge(&Vector::Any { column_type, values }, &groups)?;
        self.states.take_partial()
    }
    fn memory_bytes(&self) -> usize {
        self.collectors.len() * HyperLogLog::MEMORY + self.states.memory_bytes()
    }
}
