//! `momentSketchSolveQuantiles`, `momentSketchMin` and `momentSketchMax`.

use ovate_base::Result;

use super::PostAggregatorSpec;
use super::sketched::over_field;
use crate::aggregate::json::Fields;
use crate::sketch::moments::Moments;
use crate::types::ColumnType;
use crate::value::Value;

pub(super) fn parse(fields: &Fields<'_>) -> Result<PostAggregatorSpec> {
    let read = |bytes: Option<&[u8]>| bytes.map_or_else(|| Ok(Moments::new(1, false)), Moments::from_bytes);
    match fields.kind()? {
        "momentSketchMin" => over_field(fields, ColumnType::Double, move |bytes| Ok(Value::Double(read(bytes)?.min()))),
        "momentSketchMax" => over_field(fields, ColumnType::Double, move |bytes| Ok(Value::Double(read(bytes)?.max()))),
        _ => {
            fields.require("fractions")?;
            let fractions = fields.doubles("fractions")?;
            over_field(fields, ColumnType::array(ColumnType::Double), move |bytes| {
                let quantiles = read(bytes)?.quantiles(&fractions);
                Ok(Value::Array(quantiles.into_iter().map(Value::Double).collect::<Vec<_>>().into()))
            })
        }
    }
}
