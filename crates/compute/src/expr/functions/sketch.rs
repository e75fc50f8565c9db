//! Sketch functions (EXP-12): hyperUnique collectors are made, added to and estimated; HLL and theta sketches estimated.

use std::sync::Arc;

use bytes::Bytes;
use ovate_base::{DruidError, Result};
use serde_json::json;

use super::{Function, Output};
use crate::expr::node::Node;
use crate::sketch::hll;
use crate::sketch::hyperloglog::{HyperLogLog, Observation};
use crate::sketch::theta::ThetaSketch;
use crate::types::ColumnType;
use crate::value::Value;

const HYPER_UNIQUE: &str = "hyperUnique";

pub(super) const FUNCTIONS: &[Function] = &[
    Function::simple("hyper_unique", (0, 0), Output::Of(hyper_unique), |_| Ok(collector(&HyperLogLog::default()))),
    Function::simple("hyper_unique_add", (2, 2), Output::Of(hyper_unique), |args| {
        let mut state = match sketch_bytes("hyper_unique_add", &args[1])? {
            Some(bytes) => HyperLogLog::from_bytes(bytes)?,
            None => return Ok(Value::Null),
        };
        match &args[0] {
            Value::Null => {}
            Value::Long(value) => state.add(Observation::of_bytes(&value.to_le_bytes())),
            Value::Double(value) => state.add(Observation::of_bytes(&value.to_bits().to_le_bytes())),
            Value::String(text) => state.add(Observation::of_bytes(text.as_bytes())),
            Value::Complex(_, bytes) => state.fold(&HyperLogLog::from_bytes(bytes)?),
            other => {
                let kind = other.value_type().map(|t| t.to_string()).unwrap_or_default();
                return Err(DruidError::invalid_input(format!("Function[hyper_unique_add] cannot add a value of type [{kind}]")));
            }
        }
        Ok(collector(&state))
    }),
    Function::simple("hyper_unique_estimate", (1, 1), Output::Double, |args| {
        Ok(Value::Double(match sketch_bytes("hyper_unique_estimate", &args[0])? {
            Some(bytes) => HyperLogLog::from_bytes(bytes)?.estimate(),
            None => 0.0,
        }))
    }),
    Function::simple("hyper_unique_round_estimate", (1, 1), Output::Long, |args| {
        Ok(Value::Long(match sketch_bytes("hyper_unique_round_estimate", &args[0])? {
            Some(bytes) => rounded(HyperLogLog::from_bytes(bytes)?.estimate()),
            None => 0,
        }))
    }),
    Function::simple("hll_sketch_estimate", (1, 2), Output::Double, |args| {
        let round = args.get(1).and_then(Value::as_boolean) == Some(true);
        Ok(Value::Double(match sketch_bytes("hll_sketch_estimate", &args[0])? {
            Some(bytes) if round => rounded(hll::estimate(bytes)?) as f64,
            Some(bytes) => hll::estimate(bytes)?,
            None => 0.0,
        }))
    }),
    Function::simple("hll_sketch_estimate_with_error_bounds", (1, 2), Output::Of(double_array), |args| {
        let Some(bytes) = sketch_bytes("hll_sketch_estimate_with_error_bounds", &args[0])? else { return Ok(Value::Null) };
        let (estimate, lower, upper) = hll::estimate_with_bounds(bytes, deviations(args, 1)?)?;
        Ok(Value::Array([estimate, lower, upper].into_iter().map(Value::Double).collect()))
    }),
    Function::simple("theta_sketch_estimate", (1, 1), Output::Double, |args| {
        Ok(Value::Double(match sketch_bytes("theta_sketch_estimate", &args[0])? {
            Some(bytes) => ThetaSketch::from_bytes(bytes)?.estimate(),
            None => 0.0,
        }))
    }),
    Function::simple("theta_sketch_estimate_with_error_bounds", (2, 2), Output::Json, |args| {
        let Some(bytes) = sketch_bytes("theta_sketch_estimate_with_error_bounds", &args[0])? else { return Ok(Value::Null) };
        let sketch = ThetaSketch::from_bytes(bytes)?;
        let deviations = deviations(args, 1)?;
        let (low, high) = sketch.bounds(deviations)?;
        let answer = json!({"estimate": sketch.estimate(), "highBound": high, "lowBound": low, "numStdDev": deviations});
        Ok(Value::Json(Arc::new(answer)))
    }),
];

fn hyper_unique(_types: &[Option<ColumnType>], _args: &[Node]) -> Option<ColumnType> {
    Some(ColumnType::complex(HYPER_UNIQUE))
}

fn double_array(_types: &[Option<ColumnType>], _args: &[Node]) -> Option<ColumnType> {
    Some(ColumnType::array(ColumnType::Double))
}

fn collector(state: &HyperLogLog) -> Value {
    Value::Complex(Arc::from(HYPER_UNIQUE), Bytes::from(state.to_bytes()))
}

/// The bytes of a sketch; `None` for null.
fn sketch_bytes<'a>(name: &str, value: &'a Value) -> Result<Option<&'a [u8]>> {
    match value {
        Value::Null => Ok(None),
        Value::Complex(_, bytes) => Ok(Some(bytes)),
        _ => Err(DruidError::invalid_input(format!("Function[{name}] requires a sketch as input"))),
    }
}

fn deviations(args: &[Value], index: usize) -> Result<u8> {
    let count = args.get(index).map_or(Some(1), Value::as_long);
    count.and_then(|count| u8::try_from(count).ok()).ok_or_else(|| DruidError::invalid_input("numStdDev must be 1, 2 or 3"))
}

/// `Math.round`.
fn rounded(estimate: f64) -> i64 {
    (estimate + 0.5).floor() as i64
}
