//! `HLLSketchEstimate`, `HLLSketchEstimateWithBounds`, `HLLSketchUnion`, `HLLSketchToString`.

use std::sync::Arc;

use ovate_base::Result;

use super::PostAggregatorSpec;
use super::sketched::{over_field, over_fields};
use crate::aggregate::json::Fields;
use crate::sketch::hll::{self, HllState};
use crate::types::ColumnType;
use crate::value::Value;

/// Rounding still gives a double, as Java's conditional expression does (`HllSketchToEstimatePostAggregator`).
pub(super) fn parse_estimate(fields: &Fields<'_>) -> Result<PostAggregatorSpec> {
    let round = fields.bool("round", false)?;
    over_field(fields, ColumnType::Double, move |bytes| {
        let estimate = bytes.map_or(Ok(0.0), hll::estimate)?;
        Ok(Value::Double(if round { (estimate + 0.5).floor() } else { estimate }))
    })
}

pub(super) fn parse_estimate_with_bounds(fields: &Fields<'_>) -> Result<PostAggregatorSpec> {
    let deviations = fields.long("numStdDev", 1)?.clamp(0, 255) as u8;
    over_field(fields, ColumnType::array(ColumnType::Double), move |bytes| {
        let (estimate, low, high) = match bytes {
            Some(bytes) => hll::estimate_with_bounds(bytes, deviations)?,
            None => (0.0, 0.0, 0.0),
        };
        Ok(Value::Array(Arc::from([estimate, low, high].map(Value::Double))))
    })
}

pub(super) fn parse_union(fields: &Fields<'_>) -> Result<PostAggregatorSpec> {
    let lg_k = match fields.long("lgK", 12)? {
        lg_k @ 4..=21 => lg_k as u8,
        _ => return Err(fields.bad("lgK", "must be between 4 and 21")),
    };
    let hll_type = fields.string_or_none("tgtHllType")?.unwrap_or("HLL_4");
    let hll_type = hll::parse_type(hll_type).ok_or_else(|| fields.bad("tgtHllType", "must be HLL_4, HLL_6 or HLL_8"))?;
    let union = move |sketches: &[Option<&[u8]>]| {
        let mut union = HllState::new(lg_k, hll_type)?;
        sketches.iter().flatten().try_for_each(|bytes| union.merge(bytes))?;
        Ok(Value::Complex(Arc::from("HLLSketch"), union.to_bytes().into()))
    };
    over_fields(fields, ColumnType::complex("HLLSketch"), Box::new(union))
}

pub(super) fn parse_to_string(fields: &Fields<'_>) -> Result<PostAggregatorSpec> {
    over_field(fields, ColumnType::String, |bytes| match bytes {
        Some(bytes) => Ok(Value::String(hll::describe(bytes)?.into())),
        None => Ok(Value::Null),
    })
}
