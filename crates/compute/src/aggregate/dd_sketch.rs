//! `ddSketch` of Druid's ddsketch extension (`DDSketchAggregatorFactory`): quantiles within a relative error; the final value is
//! the number of values.

use ovate_base::Result;
use serde_json::{Map, Value as Json, json};

use super::AggregatorSpec;
use super::json::Fields;
use super::number::parse as parse_number;
use super::sketched::{SketchAggregator, SketchKind, SketchSpec};
use crate::sketch::dd_sketch::DdSketch;
use crate::types::ColumnType;
use crate::value::Value;

#[derive(Debug, Clone)]
struct Dd {
    relative_error: f64,
    bins: usize,
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    let relative_error = if fields.get("relativeError").is_some() { fields.double("relativeError")? } else { 0.01 };
    let bins = fields.long("numBins", 1000)?;
    if !(relative_error > 0.0 && relative_error < 1.0) {
        return Err(fields.bad("relativeError", "must be between 0 and 1"));
    }
    if !(1..=1_000_000).contains(&bins) {
        return Err(fields.bad("numBins", "must be at least 1"));
    }
    SketchAggregator::parse(fields, Dd { relative_error, bins: bins as usize })
}

impl SketchSpec for Dd {
    type Kind = Dd;
    fn type_name(&self) -> &str {
        "ddSketch"
    }
    fn kind(&self) -> Dd {
        self.clone()
    }
    fn write_json(&self, json: &mut Map<String, Json>) {
        json.insert("relativeError".into(), json!(self.relative_error));
        json.insert("numBins".into(), json!(self.bins));
    }
    fn final_type(&self) -> Option<ColumnType> {
        Some(ColumnType::Double)
    }
    fn finalize(&self, bytes: &[u8]) -> Result<Value> {
        Ok(Value::Double(DdSketch::from_bytes(bytes, self.bins)?.count()))
    }
    fn finalize_nothing(&self) -> Value {
        Value::Double(0.0)
    }
}

impl SketchKind for Dd {
    type State = DdSketch;
    type Item = f64;
    const IDEMPOTENT: bool = false;
    fn column_type(&self) -> &'static str {
        "ddSketch"
    }
    fn empty(&self) -> Result<DdSketch> {
        Ok(DdSketch::new(self.relative_error, self.bins))
    }
    fn text(&self, value: &str) -> Option<f64> {
        parse_number(value)
    }
    fn long(&self, value: i64) -> Option<f64> {
        Some(value as f64)
    }
    fn double(&self, value: f64) -> Option<f64> {
        Some(value)
    }
    fn update(&self, state: &mut DdSketch, item: f64) {
        state.add(item);
    }
    fn merge(&self, state: &mut DdSketch, bytes: &[u8]) -> Result<()> {
        state.merge(&DdSketch::from_bytes(bytes, self.bins)?)
    }
    fn encode(&self, state: &DdSketch) -> Vec<u8> {
        state.to_bytes()
    }
    fn memory_bytes(&self, state: &DdSketch) -> usize {
        state.memory_bytes()
    }
}
