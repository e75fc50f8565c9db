//! Sketches of contributed extensions that Apache Druid stored: our aggregators read them, give Druid's final values, and write
//! the same bytes again.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use ovate_compute::aggregate::{AggregatorSpec, Groups};
use ovate_compute::column::Rows;
use ovate_compute::{ColumnSource, EvalContext, Value};
use ovate_segment::Segment;
use serde_json::{Value as Json, json};

fn folder(name: &str) -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").to_owned();
    let places = std::env::var("OVATE_SHARED").into_iter().chain([beside, "/work/shared".to_owned()]);
    let found = places.map(|p| PathBuf::from(p).join("fixtures/druid/golden").join(name)).find(|p| p.is_dir());
    if found.is_none() {
        eprintln!("skipped: no fixture {name}");
    }
    found
}

/// Aggregates each stored row by itself; `same_bytes`: what comes out is what was stored.
fn check(name: &str, column: &str, aggregator: Json, same_bytes: bool) {
    let Some(folder) = folder(name) else { return };
    let source: Arc<dyn ColumnSource> = Arc::new(Segment::open(&folder).unwrap());
    let expected = std::fs::read_to_string(folder.join("expected.jsonl")).unwrap();
    let spec = AggregatorSpec::from_json(&aggregator).unwrap();
    for (row, line) in expected.lines().enumerate() {
        let expected: Json = serde_json::from_str(line).unwrap();
        let mut state = spec.bind(&source, &EvalContext::at(0)).unwrap();
        state.resize(1);
        state.add(Rows::Range(row as u32..row as u32 + 1), Groups::One(0)).unwrap();
        let partial = state.take_partial().unwrap();
        if same_bytes {
            let Value::Complex(_, bytes) = partial.value(0) else { panic!("{name}: no sketch") };
            let stored = expected[column]["base64"].as_str().unwrap();
            assert_eq!(base64::engine::general_purpose::STANDARD.encode(bytes), stored, "{name} row {row}");
        }
        if let Some(value) = expected[column].get("value") {
            assert_eq!(spec.finalize(&partial).unwrap().value(0).as_double(), value.as_f64(), "{name} row {row}");
        }
    }
}

#[test]
fn stored_sketches_of_contributed_extensions_are_read_and_written_alike() {
    let of = |kind: &str, field: &str| json!({"type": kind, "name": "a", "fieldName": field});
    check("complex_contrib_ddSketch", "dd", of("ddSketch", "dd"), true);
    check("complex_contrib_tDigestSketch", "tdigest", of("tDigestSketch", "tdigest"), true);
    check("complex_contrib_Bitmap64ExactCountBuild", "exact", of("Bitmap64ExactCountMerge", "exact"), true);
}
