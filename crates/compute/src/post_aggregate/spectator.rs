//! `percentileSpectatorHistogram`, `percentilesSpectatorHistogram` and `countSpectatorHistogram`; null of no histogram.

use ovate_base::Result;

use super::PostAggregatorSpec;
use super::sketched::over_field;
use crate::aggregate::json::Fields;
use crate::sketch::spectator::Spectator;
use crate::types::ColumnType;
use crate::value::Value;

pub(super) fn parse(fields: &Fields<'_>) -> Result<PostAggregatorSpec> {
    let of = |bytes: Option<&[u8]>, make: &dyn Fn(&Spectator) -> Value| match bytes {
        Some(bytes) => Spectator::from_bytes(bytes).map(|histogram| make(&histogram)),
        None => Ok(Value::Null),
    };
    match fields.kind()? {
        "countSpectatorHistogram" => {
            over_field(fields, ColumnType::Long, move |bytes| of(bytes, &|histogram| Value::Long(histogram.count())))
        }
        "percentileSpectatorHistogram" => {
            let percentile = checked(fields, "percentile", fields.double("percentile")?)?;
            over_field(fields, ColumnType::Double, move |bytes| {
                of(bytes, &|histogram| Value::Double(histogram.percentile(percentile)))
            })
        }
        _ => {
            let percentiles = fields.doubles("percentiles")?;
            if percentiles.is_empty() {
                return Err(fields.bad("percentiles", "cannot be empty"));
            }
            percentiles.iter().try_for_each(|percentile| checked(fields, "percentiles", *percentile).map(|_| ()))?;
            over_field(fields, ColumnType::array(ColumnType::Double), move |bytes| {
                let values =
                    |histogram: &Spectator| percentiles.iter().map(|p| Value::Double(histogram.percentile(*p))).collect();
                of(bytes, &|histogram| Value::Array(values(histogram)))
            })
        }
    }
}

fn checked(fields: &Fields<'_>, name: &str, percentile: f64) -> Result<f64> {
    if (0.0..=100.0).contains(&percentile) { Ok(percentile) } else { Err(fields.bad(name, "must be 0 to 100")) }
}
