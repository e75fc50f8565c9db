//! `thetaSketchEstimate`, `thetaSketchSetOp`, `thetaSketchToString`, `thetaSketchConstant`.

use std::sync::Arc;

use ovate_base::Result;

use super::PostAggregatorSpec;
use super::sketched::{constant, over_field, over_fields};
use crate::aggregate::json::Fields;
use crate::aggregate::sketched::sketch_bytes;
use crate::aggregate::theta_sketch::{estimate, estimate_type, size};
use crate::sketch::theta::{ThetaSketch, ThetaState};
use crate::types::ColumnType;
use crate::value::Value;

const NAME: &str = "thetaSketch";

fn read(bytes: Option<&[u8]>) -> Result<ThetaSketch> {
    ThetaSketch::from_bytes(bytes.unwrap_or_default())
}

fn write(sketch: &ThetaSketch) -> Value {
    Value::Complex(Arc::from(NAME), sketch.to_bytes().into())
}

pub(super) fn parse_estimate(fields: &Fields<'_>) -> Result<PostAggregatorSpec> {
    let deviations = match fields.get("errorBoundsStdDev") {
        None => None,
        Some(_) => Some(fields.long("errorBoundsStdDev", 0)?.clamp(0, 255) as u8),
    };
    over_field(fields, estimate_type(deviations), move |bytes| estimate(&read(bytes)?, deviations))
}

pub(super) fn parse_set_op(fields: &Fields<'_>) -> Result<PostAggregatorSpec> {
    let size = size(fields)?;
    let function = match fields.string("func")?.to_ascii_uppercase().as_str() {
        "UNION" => |size: usize, sketches: &[ThetaSketch]| {
            let mut union = ThetaState::new(size);
            sketches.iter().for_each(|sketch| union.merge(sketch));
            union.result()
        },
        "INTERSECT" => |_: usize, sketches: &[ThetaSketch]| {
            let (first, rest) = sketches.split_first().expect("two or more fields");
            rest.iter().fold(first.clone(), |left, right| left.intersect(right))
        },
        "NOT" => |_: usize, sketches: &[ThetaSketch]| {
            let (first, rest) = sketches.split_first().expect("two or more fields");
            rest.iter().fold(first.clone(), |left, right| left.not(right))
        },
        other => return Err(fields.bad("func", &format!("is unknown: [{other}]"))),
    };
    let set_op = move |bytes: &[Option<&[u8]>]| {
        let sketches: Vec<ThetaSketch> = bytes.iter().map(|bytes| read(*bytes)).collect::<Result<_>>()?;
        Ok(write(&function(size, &sketches)))
    };
    over_fields(fields, ColumnType::complex(NAME), Box::new(set_op))
}

pub(super) fn parse_to_string(fields: &Fields<'_>) -> Result<PostAggregatorSpec> {
    over_field(fields, ColumnType::String, |bytes| {
        let sketch = read(bytes)?;
        let text = format!(
            "\n### HeapCompactSketch SUMMARY: \n   Estimate                : {}\n   Theta (double)          : {}\n   \
             EstMode?                : {}\n   Empty?                  : {}\n   Retained Entries        : {}\n### END SKETCH SUMMARY\n",
            sketch.estimate(),
            sketch.theta(),
            sketch.theta() < 1.0,
            sketch.is_empty(),
            sketch.retained()
        );
        Ok(Value::String(text.into()))
    })
}

pub(super) fn parse_constant(fields: &Fields<'_>) -> Result<PostAggregatorSpec> {
    let text = Value::from(fields.string("value")?);
    let sketch = ThetaSketch::from_bytes(&sketch_bytes(&text)?.unwrap_or_default())?;
    constant(fields, ColumnType::complex(NAME), write(&sketch))
}
