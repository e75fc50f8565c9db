//! `arrayOfDoublesSketchToEstimate`, `…ToEstimateAndBounds`, `…ToNumEntries`, `…ToMeans`, `…ToVariances`,
//! `…ToMetricsSumEstimate`, `…ToQuantilesSketch`, `…SetOp`, `…Constant`, `…ToString`, `…ToBase64String`.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ovate_base::Result;

use super::PostAggregatorSpec;
use super::sketched::{constant, over_field, over_fields};
use crate::aggregate::json::Fields;
use crate::aggregate::sketched::sketch_bytes;
use crate::aggregate::tuple_sketch::{NAME, nominal_entries, number_of_values};
use crate::sketch::quantiles::QuantilesSketch;
use crate::sketch::tuple::TupleSketch;
use crate::types::ColumnType;
use crate::value::Value;

fn read(bytes: Option<&[u8]>) -> Result<TupleSketch> {
    TupleSketch::from_bytes(bytes.unwrap_or_default(), 16384, 1)
}

fn write(sketch: &TupleSketch) -> Value {
    Value::Complex(Arc::from(NAME), sketch.to_bytes().into())
}

fn doubles(values: impl IntoIterator<Item = f64>) -> Value {
    Value::Array(values.into_iter().map(Value::Double).collect::<Vec<_>>().into())
}

fn mean(sketch: &TupleSketch, column: usize) -> f64 {
    sketch.column(column).sum::<f64>() / sketch.retained() as f64
}

/// The sample variance.
fn variance(sketch: &TupleSketch, column: usize) -> f64 {
    let mean = mean(sketch, column);
    let squares: f64 = sketch.column(column).map(|value| (value - mean).powi(2)).sum();
    squares / (sketch.retained() as f64 - 1.0)
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<PostAggregatorSpec> {
    let list = ColumnType::array(ColumnType::Double);
    let kind = fields.kind()?;
    match kind.strip_prefix(NAME).unwrap_or(kind) {
        "ToEstimate" => over_field(fields, ColumnType::Double, |bytes| Ok(Value::Double(read(bytes)?.estimate()))),
        "ToEstimateAndBounds" => {
            let deviations = fields.long("numStdDevs", 1)?.clamp(0, 255) as u8;
            over_field(fields, list, move |bytes| {
                let sketch = read(bytes)?;
                let (low, high) = sketch.bounds(deviations)?;
                Ok(doubles([sketch.estimate(), low, high]))
            })
        }
        "ToNumEntries" => over_field(fields, ColumnType::Long, |bytes| Ok(Value::Long(read(bytes)?.retained() as i64))),
        "ToMeans" => over_columns(fields, mean),
        "ToVariances" => over_columns(fields, variance),
        "ToMetricsSumEstimate" => over_columns(fields, |sketch, column| sketch.column(column).sum::<f64>() / sketch.theta()),
        "ToQuantilesSketch" => parse_to_quantiles(fields),
        "SetOp" => parse_set_op(fields),
        "Constant" => {
            let text = Value::from(fields.string("value")?);
            let sketch = read(sketch_bytes(&text)?.as_deref())?;
            constant(fields, ColumnType::complex(NAME), write(&sketch))
        }
        "ToBase64String" => {
            over_field(fields, ColumnType::String, |bytes| Ok(Value::String(STANDARD.encode(bytes.unwrap_or_default()).into())))
        }
        _ => over_field(fields, ColumnType::String, |bytes| {
            let sketch = read(bytes)?;
            let (estimate, theta, retained) = (sketch.estimate(), sketch.theta(), sketch.retained());
            let text = format!(
                "### ArrayOfDoublesSketch SUMMARY: \n   Estimate                : {estimate}\n   Theta (double)          : {theta}\n   \
                 Retained Entries        : {retained}\n### END SKETCH SUMMARY\n"
            );
            Ok(Value::String(text.into()))
        }),
    }
}

/// One number for each of an entry's doubles; null of an empty sketch, as in Druid.
fn over_columns(fields: &Fields<'_>, number: fn(&TupleSketch, usize) -> f64) -> Result<PostAggregatorSpec> {
    over_field(fields, ColumnType::array(ColumnType::Double), move |bytes| {
        let sketch = read(bytes)?;
        if sketch.retained() == 0 {
            return Ok(Value::Null);
        }
        Ok(doubles((0..sketch.value_count()).map(|column| number(&sketch, column))))
    })
}

fn parse_to_quantiles(fields: &Fields<'_>) -> Result<PostAggregatorSpec> {
    // Columns count from 1.
    let column = match fields.long("column", 1)? {
        column @ 1..=255 => column as usize - 1,
        _ => return Err(fields.bad("column", "must be at least 1")),
    };
    let k = usize::try_from(fields.long("k", 128)?).unwrap_or(0);
    QuantilesSketch::new(k)?;
    over_field(fields, ColumnType::complex("quantilesDoublesSketch"), move |bytes| {
        let mut quantiles = QuantilesSketch::new(k)?;
        read(bytes)?.column(column).for_each(|value| quantiles.add(value));
        Ok(Value::Complex(Arc::from("quantilesDoublesSketch"), quantiles.to_bytes().into()))
    })
}

fn parse_set_op(fields: &Fields<'_>) -> Result<PostAggregatorSpec> {
    let (nominal, values) = (nominal_entries(fields)?, number_of_values(fields, 1)?);
    let operation: fn(&TupleSketch, &TupleSketch) -> Result<TupleSketch> =
        match fields.string("operation")?.to_ascii_uppercase().as_str() {
            "UNION" => |left, right| {
                let mut union = left.clone();
                union.merge(right).map(|()| union)
            },
            "INTERSECT" => |left, right| Ok(left.intersect(right)),
            "NOT" => |left, right| Ok(left.not(right)),
            other => return Err(fields.bad("operation", &format!("is unknown: [{other}]"))),
        };
    let set_op = move |sketches: &[Option<&[u8]>]| {
        let mut result: Option<TupleSketch> = None;
        for bytes in sketches {
            let sketch = TupleSketch::from_bytes(bytes.unwrap_or_default(), nominal, values)?;
            result = Some(match &result {
                Some(left) => operation(left, &sketch)?,
                None => sketch,
            });
        }
        Ok(result.as_ref().map_or(Value::Null, write))
    };
    over_fields(fields, ColumnType::complex(NAME), Box::new(set_op))
}
