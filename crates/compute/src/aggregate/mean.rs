//! `doubleMean` (`DoubleMeanAggregatorFactory`): sum and count as one partial, `f64be` sum then `i64be` count. Nulls count
//! as 0, as in Druid.

use ovate_base::{DruidError, Result};
use serde_json::{Map, Value as Json};

use super::AggregatorSpec;
use super::json::Fields;
use super::number::parse as parse_number;
use super::sketched::{SketchAggregator, SketchKind, SketchSpec};
use crate::types::ColumnType;
use crate::value::Value;

#[derive(Debug, Clone)]
struct DoubleMean;

pub(super) fn parse(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    SketchAggregator::parse(fields, DoubleMean)
}

/// Sum and count.
fn decode(bytes: &[u8]) -> Result<(f64, i64)> {
    let damaged = || DruidError::runtime(format!("damaged doubleMean value of {} bytes", bytes.len()));
    let (sum, count) = bytes.split_first_chunk::<8>().ok_or_else(damaged)?;
    Ok((f64::from_be_bytes(*sum), i64::from_be_bytes(count.try_into().map_err(|_| damaged())?)))
}

impl SketchSpec for DoubleMean {
    type Kind = MeanKind;
    fn type_name(&self) -> &str {
        "doubleMean"
    }
    fn kind(&self) -> MeanKind {
        MeanKind
    }
    fn write_json(&self, _: &mut Map<String, Json>) {}
    fn final_type(&self) -> Option<ColumnType> {
        Some(ColumnType::Double)
    }
    fn finalize(&self, bytes: &[u8]) -> Result<Value> {
        let (sum, count) = decode(bytes)?;
        Ok(Value::Double(if count == 0 { 0.0 } else { sum / count as f64 }))
    }
    fn finalize_nothing(&self) -> Value {
        Value::Double(0.0)
    }
}

#[derive(Clone)]
struct MeanKind;

impl SketchKind for MeanKind {
    type State = (f64, i64);
    type Item = f64;
    const IDEMPOTENT: bool = false;
    fn column_type(&self) -> &'static str {
        "doubleMean"
    }
    fn empty(&self) -> Result<(f64, i64)> {
        Ok((0.0, 0))
    }
    fn null(&self) -> Option<f64> {
        Some(0.0)
    }
    fn text(&self, value: &str) -> Option<f64> {
        Some(parse_number(value).unwrap_or(0.0))
    }
    fn long(&self, value: i64) -> Option<f64> {
        Some(value as f64)
    }
    fn double(&self, value: f64) -> Option<f64> {
        Some(value)
    }
    fn update(&self, state: &mut (f64, i64), item: f64) {
        state.0 += item;
        state.1 = state.1.wrapping_add(1);
    }
    fn merge(&self, state: &mut (f64, i64), bytes: &[u8]) -> Result<()> {
        let (sum, count) = decode(bytes)?;
        state.0 += sum;
        state.1 = state.1.wrapping_add(count);
        Ok(())
    }
    fn encode(&self, state: &(f64, i64)) -> Vec<u8> {
        [state.0.to_be_bytes(), state.1.to_be_bytes()].concat()
    }
    fn memory_bytes(&self, _: &(f64, i64)) -> usize {
        16
    }
}
