//! `quantilesDoublesSketchToQuantile`, `…ToQuantiles`, `…ToHistogram`, `…ToRank`, `…ToCDF`, `…ToString` and the same for
//! `KllDoublesSketch…` and `KllFloatsSketch…`. An empty sketch gives NaN.

use datasketches::kll::KllFloat;
use ovate_base::{DruidError, Result};

use super::PostAggregatorSpec;
use super::sketched::over_field;
use crate::aggregate::json::Fields;
use crate::sketch::kll::Kll;
use crate::sketch::quantiles::QuantilesSketch;
use crate::sketch::sorted_view::SortedView;
use crate::types::ColumnType;
use crate::value::Value;

/// What the questions below need of a sketch.
struct Summary {
    view: SortedView,
    n: u64,
    min: f64,
    max: f64,
    description: String,
}

type Open = fn(&[u8]) -> Result<Summary>;

fn open_classic(bytes: &[u8]) -> Result<Summary> {
    let sketch = QuantilesSketch::from_bytes(bytes, 128)?;
    let (n, min, max) = (sketch.n(), sketch.min(), sketch.max());
    Ok(Summary { view: sketch.sorted_view(), n, min, max, description: sketch.describe() })
}

fn open_kll<T: crate::sketch::kll::KllItem>(bytes: &[u8]) -> Result<Summary> {
    let sketch = Kll::<T>::from_bytes(bytes)?;
    let (min, max) = sketch.min_max().unwrap_or((f64::NAN, f64::NAN));
    Ok(Summary { view: sketch.sorted_view(), n: sketch.n(), min, max, description: sketch.describe() })
}

/// Splits the type name into the sketch and the question.
fn split(kind: &str) -> Option<(Open, &str)> {
    let families: [(&str, Open); 3] = [
        ("quantilesDoublesSketch", open_classic),
        ("KllDoublesSketch", open_kll::<KllFloat<f64>>),
        ("KllFloatsSketch", open_kll::<KllFloat<f32>>),
    ];
    families.into_iter().find_map(|(name, open)| Some((open, kind.strip_prefix(name)?)))
}

fn doubles(values: Vec<f64>) -> Value {
    Value::Array(values.into_iter().map(Value::Double).collect::<Vec<_>>().into())
}

fn check_rank(rank: f64) -> Result<f64> {
    if (0.0..=1.0).contains(&rank) {
        return Ok(rank);
    }
    Err(DruidError::invalid_input(format!("A normalized rank must be >= 0 and <= 1.0: {rank}")))
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<PostAggregatorSpec> {
    let kind = fields.kind()?;
    let (open, question) = split(kind).ok_or_else(|| fields.bad("type", "is unknown"))?;
    let list = ColumnType::array(ColumnType::Double);
    let summary = move |bytes: Option<&[u8]>| bytes.map(open).transpose().map(|found| found.filter(|found| found.n > 0));
    match question {
        "ToQuantile" => {
            let rank = check_rank(fields.double("fraction")?)?;
            over_field(fields, ColumnType::Double, move |bytes| {
                Ok(Value::Double(summary(bytes)?.and_then(|found| found.quantile(rank)).unwrap_or(f64::NAN)))
            })
        }
        "ToQuantiles" => {
            let ranks: Vec<f64> = fields.doubles("fractions")?.into_iter().map(check_rank).collect::<Result<_>>()?;
            over_field(fields, list, move |bytes| {
                let found = summary(bytes)?;
                let quantile = |rank: &f64| found.as_ref().and_then(|found| found.quantile(*rank)).unwrap_or(f64::NAN);
                Ok(doubles(ranks.iter().map(quantile).collect()))
            })
        }
        "ToRank" => {
            let value = fields.double("value")?;
            over_field(fields, ColumnType::Double, move |bytes| {
                Ok(Value::Double(summary(bytes)?.map_or(f64::NAN, |found| found.view.rank(value))))
            })
        }
        "ToCDF" => {
            let splits = check_splits(fields, fields.doubles("splitPoints")?)?;
            over_field(fields, list, move |bytes| {
                let nothing = || vec![f64::NAN; splits.len() + 1];
                Ok(doubles(summary(bytes)?.map_or_else(nothing, |found| found.view.cdf(&splits))))
            })
        }
        "ToHistogram" => parse_histogram(fields, list, summary),
        "ToString" => over_field(fields, ColumnType::String, move |bytes| match bytes {
            Some(bytes) => Ok(Value::String(open(bytes)?.description.into())),
            None => Ok(Value::Null),
        }),
        _ => Err(fields.bad("type", "is unknown")),
    }
}

fn parse_histogram(
    fields: &Fields<'_>,
    list: ColumnType,
    summary: impl Fn(Option<&[u8]>) -> Result<Option<Summary>> + Send + Sync + 'static,
) -> Result<PostAggregatorSpec> {
    let splits = match fields.get("splitPoints") {
        Some(_) => Some(check_splits(fields, fields.doubles("splitPoints")?)?),
        None => None,
    };
    let bins = match (fields.get("numBins"), &splits) {
        (Some(_), Some(_)) => return Err(fields.bad("numBins", "excludes splitPoints")),
        (_, Some(splits)) => splits.len() + 1,
        (_, None) => match fields.long("numBins", 10)? {
            bins @ 2..=1_000_000 => bins as usize,
            _ => return Err(fields.bad("numBins", "must be at least 2")),
        },
    };
    over_field(fields, list, move |bytes| {
        let Some(found) = summary(bytes)? else { return Ok(doubles(vec![f64::NAN; bins])) };
        let even = || {
            let width = (found.max - found.min) / bins as f64;
            (1..bins).map(|bin| found.min + width * bin as f64).collect()
        };
        let splits = splits.clone().unwrap_or_else(even);
        Ok(doubles(found.view.pmf(&splits).into_iter().map(|share| share * found.n as f64).collect()))
    })
}

fn check_splits(fields: &Fields<'_>, splits: Vec<f64>) -> Result<Vec<f64>> {
    if splits.is_sorted_by(|left, right| left < right) {
        return Ok(splits);
    }
    Err(fields.bad("splitPoints", "must be unique and monotonically increasing"))
}

impl Summary {
    /// At the ends the exact extremes are known.
    fn quantile(&self, rank: f64) -> Option<f64> {
        match rank {
            0.0 => Some(self.min),
            1.0 => Some(self.max),
            rank => self.view.quantile(rank),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::context::EvalContext;
    use crate::vector::Vector;

    #[test]
    fn questions_to_a_small_sketch() {
        let mut sketch = QuantilesSketch::new(128).unwrap();
        (1..=6).for_each(|value| sketch.add(f64::from(value)));
        let bytes: bytes::Bytes = sketch.to_bytes().into();
        let ask = |question: &str, settings: serde_json::Value| {
            let mut json = json!({"type": format!("quantilesDoublesSketch{question}"), "name": "p",
                "field": {"type": "fieldAccess", "fieldName": "s"}});
            json.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
            let spec = PostAggregatorSpec::from_json(&json).unwrap();
            assert_eq!(PostAggregatorSpec::from_json(&spec.to_json()).unwrap(), spec);
            let values = vec![Value::Complex(Arc::from("quantilesDoublesSketch"), bytes.clone()), Value::Null];
            let column = Vector::Any { column_type: ColumnType::complex("quantilesDoublesSketch"), values };
            let columns = |name: &str| (name == "s").then(|| column.clone());
            spec.compute(&columns, &[], 2, &EvalContext::at(0)).unwrap().to_values()
        };
        let list = |values: &[f64]| doubles(values.to_vec());
        let quantile = ask("ToQuantile", json!({"fraction": 0.5}));
        assert_eq!(quantile[0], Value::Double(3.0));
        assert!(quantile[1].as_double().unwrap().is_nan());
        assert_eq!(ask("ToQuantiles", json!({"fractions": [0, 0.5, 1]}))[0], list(&[1.0, 3.0, 6.0]));
        assert_eq!(ask("ToRank", json!({"value": 3}))[0], Value::Double(0.5));
        assert_eq!(ask("ToCDF", json!({"splitPoints": [3]}))[0], list(&[0.5, 1.0]));
        assert_eq!(ask("ToHistogram", json!({"splitPoints": [3.5]}))[0], list(&[3.0, 3.0]));
    }
}
