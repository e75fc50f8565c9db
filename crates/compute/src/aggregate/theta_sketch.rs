//! `thetaSketch` (`SketchMergeAggregatorFactory`): distinct counts that set operations work on.

use ovate_base::Result;
use serde_json::{Map, Value as Json, json};

use super::AggregatorSpec;
use super::json::Fields;
use super::sketched::{DerivedKind, SketchAggregator, SketchKind, SketchSpec};
use crate::sketch::theta::{ThetaSketch, ThetaState, hash};
use crate::sketch::{canonical_double, theta};
use crate::types::ColumnType;
use crate::value::Value;

#[derive(Debug, Clone)]
struct ThetaAggregator {
    size: usize,
    should_finalize: bool,
    is_input_theta_sketch: bool,
    error_bounds_std_dev: Option<u8>,
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    let error_bounds_std_dev = match fields.get("errorBoundsStdDev") {
        None => None,
        Some(_) => Some(fields.long("errorBoundsStdDev", 0)?.clamp(0, 255) as u8),
    };
    let spec = ThetaAggregator {
        size: size(fields)?,
        should_finalize: fields.bool("shouldFinalize", true)?,
        is_input_theta_sketch: fields.bool("isInputThetaSketch", false)?,
        error_bounds_std_dev,
    };
    SketchAggregator::parse(fields, spec)
}

/// Nominal entries: a power of two.
pub(crate) fn size(fields: &Fields<'_>) -> Result<usize> {
    match usize::try_from(fields.long("size", 16384)?) {
        Ok(size @ 16..=67_108_864) if size.is_power_of_two() => Ok(size),
        _ => Err(fields.bad("size", "must be a power of 2 between 16 and 67108864")),
    }
}

/// The estimate, with bounds where they are asked for (`SketchEstimateWithErrorBounds`).
pub(crate) fn estimate(sketch: &ThetaSketch, error_bounds_std_dev: Option<u8>) -> Result<Value> {
    let Some(deviations) = error_bounds_std_dev else { return Ok(Value::Double(sketch.estimate())) };
    let (low, high) = sketch.bounds(deviations)?;
    let json = json!({"estimate": sketch.estimate(), "highBound": high, "lowBound": low, "numStdDev": deviations});
    Ok(Value::Json(json.into()))
}

/// Type of what `estimate` gives.
pub(crate) fn estimate_type(error_bounds_std_dev: Option<u8>) -> ColumnType {
    if error_bounds_std_dev.is_some() { ColumnType::complex("thetaSketchEstimateWithErrorBounds") } else { ColumnType::Double }
}

impl SketchSpec for ThetaAggregator {
    type Kind = ThetaKind;
    fn type_name(&self) -> &str {
        "thetaSketch"
    }
    fn kind(&self) -> ThetaKind {
        ThetaKind { size: self.size, base64: self.is_input_theta_sketch }
    }
    fn write_json(&self, json: &mut Map<String, Json>) {
        json.insert("size".into(), json!(self.size));
        json.insert("shouldFinalize".into(), json!(self.should_finalize));
        json.insert("isInputThetaSketch".into(), json!(self.is_input_theta_sketch));
        if let Some(deviations) = self.error_bounds_std_dev {
            json.insert("errorBoundsStdDev".into(), json!(deviations));
        }
    }
    fn combining(&self) -> Self {
        ThetaAggregator { is_input_theta_sketch: false, ..self.clone() }
    }
    fn final_type(&self) -> Option<ColumnType> {
        self.should_finalize.then(|| estimate_type(self.error_bounds_std_dev))
    }
    fn finalize(&self, bytes: &[u8]) -> Result<Value> {
        estimate(&ThetaSketch::from_bytes(bytes)?, self.error_bounds_std_dev)
    }
    fn finalize_nothing(&self) -> Value {
        estimate(&ThetaSketch::nothing(), self.error_bounds_std_dev).unwrap_or(Value::Double(0.0))
    }
}

#[derive(Clone)]
struct ThetaKind {
    size: usize,
    base64: bool,
}

impl SketchKind for ThetaKind {
    type State = ThetaState;
    type Item = u64;
    const IDEMPOTENT: bool = true;
    fn derived_kind(&self) -> Option<DerivedKind> {
        Some(DerivedKind::Theta)
    }
    fn column_type(&self) -> &'static str {
        "thetaSketch"
    }
    fn empty(&self) -> Result<ThetaState> {
        Ok(ThetaState::new(self.size))
    }
    fn text(&self, value: &str) -> Option<u64> {
        theta::hash(value.as_bytes())
    }
    fn long(&self, value: i64) -> Option<u64> {
        hash(&value.to_le_bytes())
    }
    fn double(&self, value: f64) -> Option<u64> {
        hash(&canonical_double(value).to_le_bytes())
    }
    fn update(&self, state: &mut ThetaState, item: u64) {
        state.add(item);
    }
    fn merge(&self, state: &mut ThetaState, bytes: &[u8]) -> Result<()> {
        state.merge(&ThetaSketch::from_bytes(bytes)?);
        Ok(())
    }
    fn encode(&self, state: &ThetaState) -> Vec<u8> {
        state.result().to_bytes()
    }
    fn memory_bytes(&self, state: &ThetaState) -> usize {
        state.memory_bytes()
    }
    fn text_is_sketch(&self) -> bool {
        self.base64
    }
}
