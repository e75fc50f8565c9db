//! Any bytes as a stored sketch of each kind: finalised, merged with itself and read by post-aggregators; an error or a value.
//! The first byte chooses the kind.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use ovate_compute::aggregate::AggregatorSpec;
use ovate_compute::{Value, Vector};
use serde_json::json;

/// Aggregators with a stored form of their own: type and further properties.
const KINDS: &[(&str, &str)] = &[
    ("thetaSketch", r#"{"size": 64}"#),
    ("HLLSketchMerge", r#"{"lgK": 6}"#),
    ("HLLSketchMerge", r#"{"lgK": 12, "tgtHllType": "HLL_8"}"#),
    ("quantilesDoublesSketch", r#"{"k": 16}"#),
    ("KllDoublesSketch", r#"{"k": 20}"#),
    ("KllFloatsSketch", r#"{"k": 20}"#),
    ("arrayOfDoublesSketch", r#"{"nominalEntries": 64, "numberOfValues": 1}"#),
    ("hyperUnique", "{}"),
    ("varianceFold", "{}"),
    ("approxHistogramFold", r#"{"resolution": 20}"#),
    ("fixedBucketsHistogram", r#"{"lowerLimit": 0, "upperLimit": 100, "numBuckets": 20}"#),
    ("histogram", r#"{"breaks": [0, 10]}"#),
    ("ddSketch", "{}"),
    ("tDigestSketch", r#"{"compression": 20}"#),
    ("momentSketchMerge", r#"{"k": 8}"#),
    ("spectatorHistogram", "{}"),
    ("compressedBigDecimalSum", "{}"),
    ("Bitmap64ExactCountMerge", "{}"),
    ("stringLast", "{}"),
    ("doubleFirst", "{}"),
];

fuzz_target!(|data: &[u8]| {
    let Some((kind, bytes)) = data.split_first() else { return };
    let (kind, properties) = KINDS[usize::from(*kind) % KINDS.len()];
    let mut document: serde_json::Value = serde_json::from_str(properties).expect("JSON");
    document["type"] = json!(kind);
    document["name"] = json!("a");
    document["fieldName"] = json!("a");
    let spec = AggregatorSpec::from_json(&document).expect("an aggregator");
    let column_type = spec.intermediate_type();
    let name = column_type.to_string();
    let name = name.strip_prefix("COMPLEX<").and_then(|name| name.strip_suffix('>')).unwrap_or(&name);
    let value = Value::Complex(Arc::from(name), bytes.to_vec().into());
    let _ = (value.as_double(), value.as_text());
    let column = Vector::from_values(&column_type, vec![value.clone(), value]);
    let _ = spec.finalize(&column).map(|result| result.len());
    let mut merger = spec.merger().expect("a merger");
    merger.resize(1);
    if merger.merge(&column, &[0, 0]).is_ok()
        && let Ok(merged) = merger.take_partial()
    {
        let _ = spec.finalize(&merged).map(|result| result.len());
    }
});
