//! `spectatorHistogram`, `spectatorHistogramTimer` and `spectatorHistogramDistribution`
//! (`SpectatorHistogramAggregatorFactory`): of numbers, of objects of counts, or of stored histograms; the final value is an
//! object of counts by bucket.

use std::sync::Arc;

use ovate_base::{DruidError, Result};
use serde_json::{Map, Value as Json};

use super::AggregatorSpec;
use super::json::Fields;
use super::sketched::{SketchAggregator, SketchKind, SketchSpec};
use crate::sketch::spectator::Spectator;
use crate::types::ColumnType;
use crate::value::Value;

#[derive(Debug, Clone)]
struct Histogram(&'static str);

/// The aggregators, which are the types of their columns too.
const TYPES: [&str; 3] = ["spectatorHistogram", "spectatorHistogramTimer", "spectatorHistogramDistribution"];

pub(super) fn parse(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    let kind = fields.kind()?;
    let kind = TYPES.into_iter().find(|known| *known == kind).unwrap_or(TYPES[0]);
    SketchAggregator::parse(fields, Histogram(kind))
}

impl SketchSpec for Histogram {
    type Kind = Histogram;
    fn type_name(&self) -> &str {
        self.0
    }
    fn kind(&self) -> Histogram {
        self.clone()
    }
    fn write_json(&self, _: &mut Map<String, Json>) {}
    fn final_type(&self) -> Option<ColumnType> {
        Some(ColumnType::complex("json"))
    }
    fn finalize(&self, bytes: &[u8]) -> Result<Value> {
        Ok(Value::Json(Arc::new(Spectator::from_bytes(bytes)?.to_json())))
    }
    fn finalize_nothing(&self) -> Value {
        Value::Null
    }
}

impl SketchKind for Histogram {
    type State = Spectator;
    type Item = i64;
    const IDEMPOTENT: bool = false;
    fn column_type(&self) -> &'static str {
        self.0
    }
    fn empty(&self) -> Result<Spectator> {
        Ok(Spectator::default())
    }
    fn text(&self, _: &str) -> Option<i64> {
        None
    }
    fn text_is_sketch(&self) -> bool {
        true
    }
    /// Text that begins with a digit is a whole number, other text an object.
    fn text_sketch(&self, text: &str) -> Result<Option<Vec<u8>>> {
        let bad = |why: String| DruidError::invalid_input(format!("[{text:.40}] is no Spectator Histogram: {why}"));
        if text.trim().is_empty() {
            return Ok(None);
        }
        let mut histogram = Spectator::default();
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            histogram.add(text.parse().map_err(|_| bad("not a whole number".to_owned()))?);
        } else {
            let json: Json = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
            histogram = Spectator::from_json(&json)?;
        }
        Ok(Some(histogram.to_bytes()))
    }
    fn json_sketch(&self, json: &Json) -> Result<Option<Vec<u8>>> {
        Spectator::from_json(json).map(|histogram| Some(histogram.to_bytes()))
    }
    fn long(&self, value: i64) -> Option<i64> {
        Some(value)
    }
    fn double(&self, value: f64) -> Option<i64> {
        Some(value as i64)
    }
    fn update(&self, state: &mut Spectator, item: i64) {
        state.add(item);
    }
    fn merge(&self, state: &mut Spectator, bytes: &[u8]) -> Result<()> {
        state.merge(&Spectator::from_bytes(bytes)?);
        Ok(())
    }
    fn encode(&self, state: &Spectator) -> Vec<u8> {
        state.to_bytes()
    }
    fn memory_bytes(&self, state: &Spectator) -> usize {
        state.memory_bytes()
    }
}
