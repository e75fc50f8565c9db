//! Facts about aggregators over small tables in memory.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::column::{ColumnSource, MemoryTable};
use crate::context::EvalContext;
use crate::types::ColumnType;
use crate::value::Value;

fn table() -> Arc<dyn ColumnSource> {
    let text = |values: &[Option<&str>]| Vector::String(values.iter().map(|value| value.map(Arc::from)).collect());
    let columns = vec![
        ("__time".to_owned(), Vector::Long { values: vec![1, 2, 3, 4, 5, 6], nulls: None }),
        (
            "l".to_owned(),
            Vector::Long { values: vec![5, 0, 7, 1, 2, 2], nulls: Some(vec![false, true, false, false, false, false]) },
        ),
        ("d".to_owned(), Vector::Double { values: vec![0.5, 1.5, -2.0, 4.0, 8.0, 1.0], nulls: None }),
        ("f".to_owned(), Vector::Float { values: vec![0.5, 1.5, -2.0, 4.0, 8.0, 1.0], nulls: None }),
        ("s".to_owned(), text(&[None, Some("a"), Some("b"), Some("a"), Some("10"), None])),
        ("n".to_owned(), Vector::Long { values: vec![0; 6], nulls: Some(vec![true; 6]) }),
    ];
    Arc::new(MemoryTable::new(columns).unwrap())
}

/// The final value over all rows, checked to be the same however the rows are split, grouped and merged.
fn result(spec: serde_json::Value) -> Value {
    let spec = AggregatorSpec::from_json(&spec).unwrap();
    assert_eq!(AggregatorSpec::from_json(&spec.to_json()).unwrap(), spec);
    let (source, context) = (table(), EvalContext::at(0));
    let run = |batches: &[(u32, u32)], each: bool| {
        let mut merger = spec.merger().unwrap();
        merger.resize(1);
        for (start, end) in batches {
            let mut state = spec.bind(&source, &context).unwrap();
            state.resize(3);
            let groups = vec![1; (end - start) as usize];
            let ids: Vec<u32> = (*start..*end).collect();
            if each {
                state.add(Rows::Ids(&ids), Groups::Each(&groups)).unwrap();
            } else {
                state.add(Rows::Range(*start..*end), Groups::One(1)).unwrap();
            }
            merger.merge(&state.take_partial().unwrap(), &[2, 0, 1].map(|_| 0)).unwrap();
        }
        spec.finalize(&merger.take_partial().unwrap()).unwrap().value(0)
    };
    let whole = run(&[(0, 6)], false);
    for (batches, each) in [(&[(0, 6)][..], true), (&[(0, 2), (2, 6)], false), (&[(0, 1), (1, 2), (2, 5), (5, 6)], true)] {
        let other = run(batches, each);
        match (&whole, &other) {
            (Value::Double(left), Value::Double(right)) => assert!((left - right).abs() < 1e-9, "{left} {right}"),
            _ => assert_eq!(whole, other, "{batches:?} {each}"),
        }
    }
    let type_of_whole = whole.value_type();
    assert!(type_of_whole.is_none_or(|found| found == spec.result_type()), "{whole:?} is no {}", spec.result_type());
    whole
}

#[test]
fn counts_sums_and_extremes() {
    assert_eq!(result(json!({"type": "count", "name": "x"})), Value::Long(6));
    for (kind, field, expected) in [
        ("longSum", "l", Value::Long(17)),
        ("longSum", "d", Value::Long(12)),
        ("doubleSum", "d", Value::Double(13.0)),
        ("doubleSum", "l", Value::Double(17.0)),
        ("floatSum", "f", Value::Float(13.0)),
        ("longMin", "l", Value::Long(1)),
        ("longMax", "l", Value::Long(7)),
        ("doubleMin", "d", Value::Double(-2.0)),
        ("doubleMax", "f", Value::Double(8.0)),
        ("floatMin", "f", Value::Float(-2.0)),
        ("longSum", "s", Value::Long(10)),
        ("longSum", "n", Value::Null),
        ("doubleMax", "missing", Value::Null),
    ] {
        assert_eq!(result(json!({"type": kind, "name": "x", "fieldName": field})), expected, "{kind} {field}");
    }
}

#[test]
fn first_last_and_any() {
    for (kind, field, expected) in [
        ("longFirst", "l", Value::Long(5)),
        ("longLast", "l", Value::Long(2)),
        ("doubleLast", "d", Value::Double(1.0)),
        ("floatFirst", "d", Value::Float(0.5)),
        ("longFirst", "n", Value::Null),
        ("stringFirst", "s", Value::Null),
        ("stringLast", "d", Value::from("1.0")),
        ("longAny", "l", Value::Long(5)),
        ("doubleAny", "d", Value::Double(0.5)),
        ("longAny", "missing", Value::Null),
        ("stringLast", "missing", Value::Null),
    ] {
        assert_eq!(result(json!({"type": kind, "name": "x", "fieldName": field})), expected, "{kind} {field}");
    }
    let by_other_time = json!({"type": "stringFirst", "name": "x", "fieldName": "s", "timeColumn": "l", "maxStringBytes": 1});
    assert_eq!(result(by_other_time), Value::from("a"));
}

#[test]
fn distinct_counts() {
    assert_eq!(result(json!({"type": "cardinality", "name": "x", "fields": ["n"]})), Value::Double(0.0));
    let cardinality = result(json!({"type": "cardinality", "name": "x", "fields": ["s"], "round": true}));
    assert_eq!(cardinality, Value::Long(3));
    assert_eq!(
        result(json!({"type": "cardinality", "name": "x", "fields": ["s", "l"], "byRow": true, "round": true})),
        Value::Long(6)
    );
    assert_eq!(result(json!({"type": "hyperUnique", "name": "x", "fieldName": "s", "round": true})), Value::Long(3));
}

#[test]
fn filtered_aggregators_see_only_passing_rows() {
    let filtered = |filter: serde_json::Value, inner: serde_json::Value| {
        result(json!({"type": "filtered", "filter": filter, "aggregator": inner, "name": "outer"}))
    };
    let letters = json!({"type": "in", "dimension": "s", "values": ["a", "b"]});
    let above = json!({"type": "range", "column": "d", "matchValueType": "DOUBLE", "lower": 0.9});
    let count = json!({"type": "count", "name": "x"});
    assert_eq!(filtered(letters.clone(), count.clone()), Value::Long(3));
    assert_eq!(filtered(above.clone(), count.clone()), Value::Long(4));
    assert_eq!(filtered(json!({"type": "and", "fields": [letters, above]}), count.clone()), Value::Long(2));
    assert_eq!(filtered(json!({"type": "null", "column": "nothing"}), count), Value::Long(6));
    let never = json!({"type": "equals", "column": "s", "matchValueType": "STRING", "matchValue": "zzz"});
    assert_eq!(filtered(never.clone(), json!({"type": "longSum", "fieldName": "l"})), Value::Null);
    assert_eq!(filtered(never, json!({"type": "hyperUnique", "fieldName": "s"})), Value::Double(0.0));
}

#[test]
fn tuple_sketches_count_keys() {
    let json = json!({"type": "arrayOfDoublesSketch", "name": "x", "fieldName": "s", "metricColumns": ["d", "l"]});
    assert_eq!(result(json), Value::Double(3.0));
}

#[test]
fn an_empty_hll_sketch_is_druids() {
    let json = json!({"type": "HLLSketchBuild", "name": "x", "fieldName": "missing", "shouldFinalize": false});
    assert_eq!(result(json).as_text().unwrap().as_ref(), "AgEHDAMMAAA=");
    let json = json!({"type": "thetaSketch", "name": "x", "fieldName": "missing", "shouldFinalize": false});
    assert_eq!(result(json).as_text().unwrap().as_ref(), "AQMDAAAeAAA=");
}

#[test]
fn variance_and_mean() {
    let pop = json!({"type": "variance", "name": "x", "fieldName": "l", "estimator": "population"});
    assert_eq!(result(pop), Value::Double(5.04));
    assert_eq!(result(json!({"type": "variance", "name": "x", "fieldName": "n"})), Value::Null);
    assert_eq!(result(json!({"type": "doubleMean", "name": "x", "fieldName": "d"})), Value::Double(13.0 / 6.0));
}

#[test]
fn grouping_tells_which_dimensions_are_left_out() {
    let spec = AggregatorSpec::from_json(&json!({"type": "grouping", "name": "g", "groupings": ["a", "b"]})).unwrap();
    let spec = spec.with_key_dimensions(&["b".to_owned()]);
    let mut state = spec.merger().unwrap();
    state.resize(1);
    assert_eq!(state.take_partial().unwrap().value(0), Value::Long(2));
}

#[test]
fn single_value_refuses_a_second_row() {
    let json = json!({"type": "singleValue", "name": "x", "fieldName": "l", "columnType": "LONG"});
    let mut state = AggregatorSpec::from_json(&json).unwrap().bind(&table(), &EvalContext::at(0)).unwrap();
    state.resize(1);
    state.add(Rows::Range(0..1), Groups::One(0)).unwrap();
    assert!(state.add(Rows::Range(1..2), Groups::One(0)).is_err());
}

#[test]
fn unknown_and_unsupported_types_are_told_apart() {
    let error = |kind: &str| AggregatorSpec::from_json(&json!({"type": kind, "name": "x"})).unwrap_err();
    assert_eq!(error("nonsense").http_status(), 400);
    assert_eq!(error("javascript").http_status(), 501);
}

/// The rows of a golden case of Druid 37, by group, and the line that Druid stored of the group.
fn golden(name: &str) -> Vec<(serde_json::Value, Vec<serde_json::Value>)> {
    let folder = format!("/work/shared/fixtures/druid/golden-37.0.0/{name}");
    let Ok(rows) = std::fs::read_to_string(format!("{folder}/rows.jsonl")) else { return Vec::new() };
    let rows: Vec<serde_json::Value> = rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = std::fs::read_to_string(format!("{folder}/expected.jsonl")).unwrap();
    let line = |line: &str| {
        let stored: serde_json::Value = serde_json::from_str(line).unwrap();
        let rows = rows.iter().filter(|row| row["g"] == stored["g"]).cloned().collect();
        (stored, rows)
    };
    expected.lines().map(line).collect()
}

#[test]
fn variance_and_histograms_are_stored_as_druid_stores_them() {
    use base64::Engine as _;
    let specs = [
        json!({"type": "variance", "name": "var", "fieldName": "x"}),
        json!({"type": "variance", "name": "var_l", "fieldName": "n", "inputType": "long"}),
        json!({"type": "approxHistogram", "name": "hist", "fieldName": "x", "resolution": 10, "numBuckets": 5}),
        json!({"type": "fixedBucketsHistogram", "name": "fixed", "fieldName": "x", "numBuckets": 10, "lowerLimit": 0,
            "upperLimit": 100, "outlierHandlingMode": "overflow"}),
    ];
    for (stored, rows) in golden("complex_variance_histogram") {
        let numbers =
            |name: &str| -> Vec<Value> { rows.iter().map(|row| row[name].as_f64().map_or(Value::Null, Value::Double)).collect() };
        let column = |name: &str| (name.to_owned(), Vector::from_values(&crate::ColumnType::Double, numbers(name)));
        let source: Arc<dyn ColumnSource> = Arc::new(MemoryTable::new(vec![column("x"), column("n")]).unwrap());
        for spec in &specs {
            let spec = AggregatorSpec::from_json(spec).unwrap();
            let name = spec.name();
            let mut state = spec.bind(&source, &EvalContext::at(0)).unwrap();
            state.resize(1);
            state.add(Rows::Range(0..rows.len() as u32), Groups::One(0)).unwrap();
            let partial = state.take_partial().unwrap();
            let Value::Complex(_, ours) = partial.value(0) else { panic!("{name}") };
            let ours = base64::engine::general_purpose::STANDARD.encode(ours);
            assert_eq!(ours, stored[name]["base64"].as_str().unwrap(), "{name} of {}", stored["g"]);
            match (spec.finalize(&partial).unwrap().value(0), &stored[name]["final"]) {
                (Value::Json(found), wanted) if stored["g"] != "one" => {
                    for list in ["breaks", "counts"] {
                        let pairs = found[list].as_array().unwrap().iter().zip(wanted[list].as_array().unwrap());
                        pairs.for_each(|(left, right)| assert!((left.as_f64().unwrap() - right.as_f64().unwrap()).abs() < 1e-4));
                    }
                }
                (Value::Json(_), _) => {}
                (Value::String(found), wanted) => assert_eq!(&*found, wanted.as_str().unwrap()),
                (found, wanted) => assert_eq!(found.as_double(), wanted.as_f64()),
            }
        }
    }
}

/// Rows of the golden case `complex_sketches` of Druid 37, and what Druid stored of them.
#[test]
fn sketches_are_stored_as_druid_stores_them() {
    use base64::Engine as _;
    let specs = [
        json!({"type": "thetaSketch", "name": "theta", "fieldName": "v", "size": 64}),
        json!({"type": "HLLSketchBuild", "name": "hll4", "fieldName": "v", "lgK": 8, "tgtHllType": "HLL_4"}),
        json!({"type": "HLLSketchBuild", "name": "hll6", "fieldName": "v", "lgK": 8, "tgtHllType": "HLL_6"}),
        json!({"type": "HLLSketchBuild", "name": "hll8", "fieldName": "v", "lgK": 8, "tgtHllType": "HLL_8"}),
        json!({"type": "quantilesDoublesSketch", "name": "quantiles", "fieldName": "x", "k": 16}),
        json!({"type": "KllDoublesSketch", "name": "kll_d", "fieldName": "x"}),
        json!({"type": "KllFloatsSketch", "name": "kll_f", "fieldName": "x"}),
    ];
    for (row, rows) in golden("complex_sketches") {
        let group = row["g"].as_str().unwrap();
        let text = rows.iter().map(|row| row["v"].as_str().map(Arc::from)).collect();
        let x: Vec<Value> = rows.iter().map(|row| row["x"].as_f64().map_or(Value::Null, Value::Double)).collect();
        let columns =
            vec![("v".to_owned(), Vector::String(text)), ("x".to_owned(), Vector::from_values(&crate::ColumnType::Double, x))];
        let source: Arc<dyn ColumnSource> = Arc::new(MemoryTable::new(columns).unwrap());
        for spec in &specs {
            let spec = AggregatorSpec::from_json(spec).unwrap();
            let name = spec.name();
            let mut state = spec.bind(&source, &EvalContext::at(0)).unwrap();
            state.resize(1);
            state.add(Rows::Range(0..rows.len() as u32), Groups::One(0)).unwrap();
            let partial = state.take_partial().unwrap();
            let stored = row[name]["base64"].as_str().map(|text| base64::engine::general_purpose::STANDARD.decode(text).unwrap());
            let stored = stored.unwrap_or_default();
            let Value::Complex(_, ours) = partial.value(0) else { panic!("{name}") };
            let random = group == "many" && (name.starts_with("kll") || name == "quantiles");
            if !stored.is_empty() && !random {
                assert_eq!(ours, stored, "{name} of {group}");
            }
            // What Druid stored finalizes to what Druid says.
            let values = vec![Value::Complex(Arc::from(name), stored.into())];
            let druids = Vector::Any { column_type: spec.intermediate_type(), values };
            let (Some(wanted), found) = (row[name]["final"].as_f64(), spec.finalize(&druids).unwrap().value(0)) else { continue };
            assert_eq!(found.as_double(), Some(wanted), "{name} of {group}");
            assert_eq!(spec.finalize(&partial).unwrap().value(0), found, "{name} of {group}");
            // And it merges.
            let mut merger = spec.merger().unwrap();
            merger.resize(1);
            merger.merge(&druids, &[0]).unwrap();
            merger.merge(&partial, &[0]).unwrap();
            let merged = spec.finalize(&merger.take_partial().unwrap()).unwrap().value(0).as_double().unwrap();
            let once = if name.starts_with("kll") || name == "quantiles" { wanted * 2.0 } else { wanted };
            assert!((merged - once).abs() <= once * 0.1, "{name} of {group}: {merged} {once}");
        }
    }
}

#[test]
fn aggregators_read_expressions() {
    assert_eq!(result(json!({"type": "longSum", "name": "x", "expression": "l * 2"})), Value::Long(34));
    assert_eq!(result(json!({"type": "doubleMax", "name": "x", "expression": "\"d\" + 10"})), Value::Double(18.0));
    assert_eq!(result(json!({"type": "doubleSum", "name": "x", "expression": "nvl(l, 100)"})), Value::Double(117.0));
}

#[test]
fn expression_aggregators_fold_combine_and_finalize() {
    let count = json!({"type": "expression", "name": "c", "fields": [], "initialValue": "0", "isNullUnlessAggregated": false,
        "shouldAggregateNullInputs": false, "shouldCombineAggregateNullInputs": false, "fold": "__acc + 1", "combine": "__acc + c"});
    assert_eq!(result(count), Value::Long(6));
    let sum = json!({"type": "expression", "name": "x", "fields": ["d"], "initialValue": "0.0",
        "shouldAggregateNullInputs": false, "shouldCombineAggregateNullInputs": false, "fold": "__acc + d"});
    assert_eq!(result(sum), Value::Double(13.0));
    let distinct = json!({"type": "expression", "name": "x", "fields": ["s"], "accumulatorIdentifier": "acc",
        "initialValue": "ARRAY<STRING>[]", "shouldAggregateNullInputs": false, "shouldCombineAggregateNullInputs": false,
        "fold": "array_set_add(acc, s)", "combine": "array_set_add_all(acc, x)", "finalize": "array_length(o)"});
    assert_eq!(result(distinct), Value::Long(3));
    let nothing = json!({"type": "expression", "name": "x", "fields": ["n"], "initialValue": "0",
        "shouldAggregateNullInputs": false, "fold": "__acc + n"});
    assert_eq!(result(nothing), Value::Null);
}

#[test]
fn expression_aggregators_fold_each_value_of_a_row_or_the_row_as_an_array() {
    let texts = |texts: &[&str]| Value::Array(texts.iter().map(|text| Value::from(*text)).collect());
    let values = vec![texts(&["a", "b"]), Value::from("c"), texts(&["b", "d"])];
    let columns = vec![("m".to_owned(), Vector::Any { column_type: ColumnType::String, values })];
    let source: Arc<dyn ColumnSource> = Arc::new(MemoryTable::new(columns).unwrap());
    for (fold, expected) in
        [("array_set_add(acc, m)", &["a", "b", "c", "d"][..]), ("array_set_add_all(acc, m)", &["a", "b", "c", "d"])]
    {
        let spec = json!({"type": "expression", "name": "x", "fields": ["m"], "accumulatorIdentifier": "acc",
            "initialValue": "ARRAY<STRING>[]", "fold": fold, "combine": "array_set_add_all(acc, x)"});
        let mut state = AggregatorSpec::from_json(&spec).unwrap().bind(&source, &EvalContext::at(0)).unwrap();
        state.resize(1);
        state.add(Rows::Range(0..3), Groups::One(0)).unwrap();
        assert_eq!(state.take_partial().unwrap().value(0), texts(expected), "{fold}");
    }
}

#[test]
fn a_bloom_filter_finds_what_it_was_made_of() {
    let bloom = result(json!({"type": "bloom", "name": "x", "field": "s", "maxNumEntries": 100})).as_text().unwrap();
    let filter = |value: &str| {
        let filter = json!({"type": "bloom", "dimension": "t", "bloomKFilter": &*bloom});
        let filter = crate::filter::FilterSpec::from_json(&filter).unwrap();
        filter.matches_row(&|_| Value::from(value), &EvalContext::at(0)).unwrap()
    };
    assert!(filter("a") && filter("b") && filter("10"));
    assert!(!filter("c") && !filter("zzz"));
}

#[test]
fn exact_counts_and_extremes_of_time() {
    let of = |kind: &str, field: &str| result(json!({"type": kind, "name": "x", "fieldName": field}));
    assert_eq!(of("Bitmap64ExactCountBuild", "l"), Value::Long(4));
    assert_eq!(of("Bitmap64ExactCountBuild", "s"), Value::Long(1));
    assert_eq!(of("Bitmap64ExactCountMerge", "missing"), Value::Long(0));
    assert_eq!(of("timeMin", "l"), Value::from("1970-01-01T00:00:00.001Z"));
    assert_eq!(of("timeMax", "l"), Value::from("1970-01-01T00:00:00.007Z"));
    assert_eq!(of("timeMax", "n"), Value::Null);
    let times =
        Vector::String(vec![Some(Arc::from("2024-01-02")), Some(Arc::from("no time")), Some(Arc::from("2023-05-06T07:08:09Z"))]);
    let source: Arc<dyn ColumnSource> = Arc::new(MemoryTable::new(vec![("t".to_owned(), times)]).unwrap());
    let spec = AggregatorSpec::from_json(&json!({"type": "timeMin", "name": "x", "fieldName": "t"})).unwrap();
    let mut state = spec.bind(&source, &EvalContext::at(0)).unwrap();
    state.resize(1);
    state.add(Rows::Range(0..3), Groups::One(0)).unwrap();
    assert_eq!(spec.finalize(&state.take_partial().unwrap()).unwrap().value(0), Value::from("2023-05-06T07:08:09.000Z"));
}

#[test]
fn distinct_count_counts_within_a_segment_and_adds_over_segments() {
    let spec = AggregatorSpec::from_json(&json!({"type": "distinctCount", "name": "x", "fieldName": "s"})).unwrap();
    let mut merger = spec.combining().merger().unwrap();
    merger.resize(1);
    for _ in 0..2 {
        let mut state = spec.bind(&table(), &EvalContext::at(0)).unwrap();
        state.resize(2);
        state.add(Rows::Range(0..6), Groups::Each(&[0, 0, 0, 1, 1, 1])).unwrap();
        let partial = state.take_partial().unwrap();
        // Null is a value.
        assert_eq!(partial.to_values(), [Value::Long(3), Value::Long(3)]);
        merger.merge(&partial, &[0, 0]).unwrap();
    }
    assert_eq!(merger.take_partial().unwrap().value(0), Value::Long(12));
}
