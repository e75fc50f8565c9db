//! Quantiles of contributed sketches: `quantileFromTDigestSketch`, `quantilesFromTDigestSketch`, `quantileFromDDSketch` and
//! `quantilesFromDDSketch`. An empty sketch gives NaN.

use ovate_base::Result;

use super::PostAggregatorSpec;
use super::sketched::over_field;
use crate::aggregate::json::Fields;
use crate::sketch::dd_sketch::DdSketch;
use crate::sketch::t_digest::TDigest;
use crate::types::ColumnType;
use crate::value::Value;

/// The values of these ranks.
type Quantiles = fn(&[u8], &[f64]) -> Result<Vec<f64>>;

fn of_t_digest(bytes: &[u8], ranks: &[f64]) -> Result<Vec<f64>> {
    let mut digest = TDigest::from_bytes(bytes)?;
    Ok(ranks.iter().map(|rank| digest.quantile(*rank)).collect())
}

fn of_dd_sketch(bytes: &[u8], ranks: &[f64]) -> Result<Vec<f64>> {
    let sketch = DdSketch::from_bytes(bytes, 1_000_000)?;
    Ok(ranks.iter().map(|rank| sketch.quantile(*rank)).collect())
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<PostAggregatorSpec> {
    let kind = fields.kind()?;
    let quantiles: Quantiles = if kind.ends_with("TDigestSketch") { of_t_digest } else { of_dd_sketch };
    let several = kind.starts_with("quantiles");
    let ranks = if several { fields.doubles("fractions")? } else { vec![fields.double("fraction")?] };
    if ranks.iter().any(|rank| !(0.0..=1.0).contains(rank)) {
        return Err(fields.bad(if several { "fractions" } else { "fraction" }, "must be between 0 and 1"));
    }
    let of = move |bytes: Option<&[u8]>| match bytes {
        Some(bytes) => quantiles(bytes, &ranks),
        None => Ok(vec![f64::NAN; ranks.len()]),
    };
    if several {
        return over_field(fields, ColumnType::array(ColumnType::Double), move |bytes| {
            Ok(Value::Array(of(bytes)?.into_iter().map(Value::Double).collect::<Vec<_>>().into()))
        });
    }
    over_field(fields, ColumnType::Double, move |bytes| Ok(Value::Double(of(bytes)?[0])))
}
