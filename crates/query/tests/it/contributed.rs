//! Sketches of contributed extensions that Apache Druid stored: our aggregators read them, give Druid's final values, and write
//! the same bytes again.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use ovate_compute::aggregate::{AggregatorSpec, Groups};
use ovate_compute::column::Rows;
use ovate_compute::{ColumnSource, EvalContext, Value};
use ovate_query::{NativeQuery, QueryContext, SegmentRef, finalize, run_segment};
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
    let moments = json!({"type": "momentSketchMerge", "name": "moments", "k": 10});
    check("complex_contrib_momentSketch", "moments", moments, true);
    let decimals = json!({"type": "compressedBigDecimalSum", "name": "a", "fieldName": "big", "size": 4});
    check("complex_contrib_compressedBigDecimalSum", "big", decimals, true);
}

#[test]
fn spatial_filters_find_the_points_of_a_spatial_dimension_that_druid_wrote() {
    let Some(golden) = folder("complex_contrib_ddSketch") else { return };
    let folder = golden.join("../../golden-37.0.0/string_spatial_concise");
    let source: Arc<dyn ColumnSource> = Arc::new(Segment::open(&folder).unwrap());
    let text = std::fs::read_to_string(folder.join("expected.jsonl")).unwrap();
    let points: Vec<Vec<f64>> = text
        .lines()
        .map(|line| serde_json::from_str::<Json>(line).unwrap()["place"].as_str().unwrap_or_default().to_owned())
        .map(|place| place.split(',').filter_map(|part| part.parse().ok()).collect())
        .collect();
    let bound = json!({"type": "rectangular", "minCoords": [-5.0, 5.0], "maxCoords": [0.0, 40.0]});
    let query = NativeQuery::from_json(
        &json!({"queryType": "timeseries", "dataSource": "t", "intervals": "1000/3000", "granularity": "all",
        "filter": {"type": "spatial", "dimension": "place", "bound": bound}, "aggregations": [{"type": "count", "name": "n"}]}),
    )
    .unwrap();
    let context = QueryContext::new(EvalContext::at(0));
    let segment = SegmentRef::new("s", query.intervals().to_vec(), source);
    let rows = finalize(&query, run_segment(&query, &segment, &context).unwrap(), &context).unwrap();
    let inside = |p: &&Vec<f64>| p.len() == 2 && (-5.0..=0.0).contains(&p[0]) && (5.0..=40.0).contains(&p[1]);
    let wanted = points.iter().filter(inside).count() as i64;
    let (_, batch) = rows.into_one_batch();
    assert!(wanted > 0 && wanted < points.len() as i64);
    assert!(batch.columns.iter().any(|column| column.value(0) == Value::Long(wanted)), "{wanted} points");
}

/// One value of a query without dimensions over a golden segment.
fn one_row(case: &str, aggregations: Json, posts: Json) -> Option<Json> {
    let source: Arc<dyn ColumnSource> = Arc::new(Segment::open(&folder(case)?).unwrap());
    let query = NativeQuery::from_json(&json!({"queryType": "groupBy", "dataSource": "t", "intervals": "2000/3000",
        "granularity": "all", "dimensions": [], "aggregations": aggregations, "postAggregations": posts}))
    .unwrap();
    let context = QueryContext::new(EvalContext::at(0));
    let segment = SegmentRef::new("s", query.intervals().to_vec(), source);
    let rows = finalize(&query, run_segment(&query, &segment, &context).unwrap(), &context).unwrap();
    let mut out = Vec::new();
    ovate_query::write_json(&query, &rows, &mut out).unwrap();
    Some(serde_json::from_slice::<Json>(&out).unwrap()[0]["event"].take())
}

#[test]
fn histograms_of_spectator_give_counts_and_percentiles() {
    let case = "complex_contrib_spectatorHistogram";
    let field = json!({"type": "fieldAccess", "fieldName": "h"});
    let aggregations = json!([{"type": "spectatorHistogram", "name": "h", "fieldName": "spectator"},
        {"type": "longSum", "name": "sum", "fieldName": "spectator"}]);
    let posts = json!([{"type": "countSpectatorHistogram", "name": "n", "field": field},
        {"type": "percentileSpectatorHistogram", "name": "p", "field": field, "percentile": 50},
        {"type": "percentilesSpectatorHistogram", "name": "ps", "field": field, "percentiles": [25, 99]}]);
    let Some(row) = one_row(case, aggregations, posts) else { return };
    let counts: i64 = row["h"].as_object().unwrap().values().map(|count| count.as_i64().unwrap()).sum();
    assert!(counts > 100 && row["n"] == json!(counts) && row["sum"] == json!(counts), "{row}");
    let (low, middle, high) = (row["ps"][0].as_f64(), row["p"].as_f64(), row["ps"][1].as_f64());
    assert!(low < middle && middle < high, "{row}");
}

#[test]
fn quantiles_are_solved_from_stored_moments_and_decimals_are_added_exactly() {
    let field = json!({"type": "fieldAccess", "fieldName": "m"});
    let posts = json!([{"type": "momentSketchSolveQuantiles", "name": "q", "field": field, "fractions": [0.1, 0.5, 0.9]},
        {"type": "momentSketchMin", "name": "min", "field": field}, {"type": "momentSketchMax", "name": "max", "field": field}]);
    let moments = json!([{"type": "momentSketchMerge", "name": "m", "fieldName": "moments", "k": 10}]);
    let Some(row) = one_row("complex_contrib_momentSketch", moments, posts) else { return };
    let values: Vec<f64> =
        [&row["min"], &row["q"][0], &row["q"][1], &row["q"][2], &row["max"]].map(|v| v.as_f64().unwrap()).into();
    assert!(values.is_sorted() && values[0] < values[4], "{row}");
    let decimal = |kind: &str, name: &str| json!({"type": kind, "name": name, "fieldName": "big", "size": 4});
    let aggregations = json!([
        decimal("compressedBigDecimalSum", "sum"),
        decimal("compressedBigDecimalMin", "min"),
        decimal("compressedBigDecimalMax", "max")
    ]);
    let row = one_row("complex_contrib_compressedBigDecimalSum", aggregations, json!([])).expect("the fixture is there");
    let texts = [&row["sum"], &row["min"], &row["max"]].map(|value| value.as_str().unwrap().to_owned());
    assert_eq!(texts, ["15057988.250000000", "32403.250000000", "9994454.000000000"]);
}
