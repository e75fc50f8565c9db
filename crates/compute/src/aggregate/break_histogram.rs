//! `histogram` (`HistogramAggregatorFactory`), the oldest of Druid's histograms: counts between breaks that the query gives.

use std::sync::Arc;

use ovate_base::Result;
use serde_json::{Map, Value as Json, json};

use super::AggregatorSpec;
use super::json::Fields;
use super::number::parse as parse_number;
use super::sketched::{SketchAggregator, SketchKind, SketchSpec};
use crate::sketch::breaks::Breaks;
use crate::types::ColumnType;
use crate::value::{Value, double_to_text};

#[derive(Debug, Clone)]
struct Histogram {
    breaks: Arc<[f32]>,
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    let breaks: Vec<f32> = fields.doubles("breaks")?.into_iter().map(|value| value as f32).collect();
    if breaks.is_empty() || !breaks.is_sorted() {
        return Err(fields.bad("breaks", "must be one or more ascending numbers"));
    }
    SketchAggregator::parse(fields, Histogram { breaks: breaks.into() })
}

/// Numbers that JSON has not are text.
fn number(value: f32) -> Json {
    let value = f64::from(value);
    if value.is_finite() { json!(value) } else { json!(double_to_text(value)) }
}

impl SketchSpec for Histogram {
    type Kind = Histogram;
    fn type_name(&self) -> &str {
        "histogram"
    }
    fn kind(&self) -> Histogram {
        self.clone()
    }
    fn write_json(&self, json: &mut Map<String, Json>) {
        json.insert("breaks".into(), json!(self.breaks.to_vec()));
    }
    fn final_type(&self) -> Option<ColumnType> {
        Some(ColumnType::complex("json"))
    }
    fn finalize(&self, bytes: &[u8]) -> Result<Value> {
        let histogram = Breaks::from_bytes(bytes)?;
        let (breaks, counts, ends): (&[f32], &[i64], [f32; 2]) = histogram.visual();
        let breaks: Vec<Json> = breaks.iter().map(|value| number(*value)).collect();
        let counts: Vec<f64> = counts.iter().map(|count| *count as f64).collect();
        Ok(Value::Json(json!({"breaks": breaks, "counts": counts, "quantiles": [number(ends[0]), number(ends[1])]}).into()))
    }
    fn finalize_nothing(&self) -> Value {
        Value::Null
    }
}

impl SketchKind for Histogram {
    type State = Breaks;
    type Item = f32;
    const IDEMPOTENT: bool = false;
    fn column_type(&self) -> &'static str {
        "histogram"
    }
    fn empty(&self) -> Result<Breaks> {
        Ok(Breaks::new(&self.breaks))
    }
    fn text(&self, value: &str) -> Option<f32> {
        parse_number::<f64>(value).map(|value| value as f32)
    }
    fn long(&self, value: i64) -> Option<f32> {
        Some(value as f32)
    }
    fn double(&self, value: f64) -> Option<f32> {
        Some(value as f32)
    }
    fn update(&self, state: &mut Breaks, item: f32) {
        state.add(item);
    }
    fn merge(&self, state: &mut Breaks, bytes: &[u8]) -> Result<()> {
        state.merge(&Breaks::from_bytes(bytes)?)
    }
    fn encode(&self, state: &Breaks) -> Vec<u8> {
        state.to_bytes()
    }
    fn memory_bytes(&self, state: &Breaks) -> usize {
        state.memory_bytes()
    }
}
