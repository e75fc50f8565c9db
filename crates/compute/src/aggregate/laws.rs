//! Laws that every aggregator keeps, over random tables: rows may be split anyhow, groups may be taken together or one by
//! one, and merged partials answer as the whole does.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::column::{ColumnSource, MemoryTable};
use crate::context::EvalContext;
use crate::value::Value;

const GROUPS: u32 = 3;

/// Whole numbers only, so that sums do not depend on their order.
type Row = (Option<i64>, Option<i16>, Option<u8>, u32);

fn specs() -> Vec<Json> {
    let field = |kind: &str, field: &str| json!({"type": kind, "name": "x", "fieldName": field});
    let filter = json!({"type": "range", "column": "d", "matchValueType": "DOUBLE", "lower": 0});
    vec![
        json!({"type": "count", "name": "x"}),
        field("longSum", "l"),
        field("doubleSum", "d"),
        field("floatSum", "s"),
        field("longMin", "l"),
        field("doubleMax", "d"),
        field("floatMax", "d"),
        field("longFirst", "l"),
        field("doubleLast", "d"),
        field("stringFirst", "s"),
        field("stringLast", "s"),
        field("hyperUnique", "s"),
        json!({"type": "cardinality", "name": "x", "fields": ["s", "l"]}),
        json!({"type": "cardinality", "name": "x", "fields": ["s", "l"], "byRow": true}),
        field("HLLSketchBuild", "s"),
        json!({"type": "thetaSketch", "name": "x", "fieldName": "l", "size": 16384}),
        field("quantilesDoublesSketch", "d"),
        field("KllDoublesSketch", "d"),
        field("doubleMean", "d"),
        field("Bitmap64ExactCountBuild", "l"),
        field("spectatorHistogram", "l"),
        json!({"type": "histogram", "name": "x", "fieldName": "d", "breaks": [-10, 0, 1000]}),
        field("compressedBigDecimalSum", "l"),
        field("compressedBigDecimalMin", "d"),
        field("compressedBigDecimalMax", "s"),
        field("timeMin", "l"),
        field("timeMax", "l"),
        json!({"type": "filtered", "filter": filter, "aggregator": field("longSum", "l")}),
        json!({"type": "expression", "name": "x", "fields": ["l"], "initialValue": "0", "fold": "__acc + nvl(l, 0)"}),
    ]
}

fn table(rows: &[Row]) -> Arc<dyn ColumnSource> {
    let numbers =
        |column: crate::ColumnType, value: &dyn Fn(&Row) -> Value| Vector::from_values(&column, rows.iter().map(value).collect());
    let columns = vec![
        ("__time".to_owned(), Vector::Long { values: (0..rows.len() as i64).collect(), nulls: None }),
        ("l".to_owned(), numbers(crate::ColumnType::Long, &|row| row.0.map_or(Value::Null, Value::Long))),
        ("d".to_owned(), numbers(crate::ColumnType::Double, &|row| row.1.map_or(Value::Null, |d| Value::Double(d.into())))),
        ("s".to_owned(), Vector::String(rows.iter().map(|row| row.2.map(|s| Arc::from(s.to_string()))).collect())),
    ];
    Arc::new(MemoryTable::new(columns).unwrap())
}

/// Final values of all groups, each batch of rows aggregated by itself and merged.
fn answer(spec: &AggregatorSpec, rows: &[Row], cuts: &[usize], each: bool) -> Vec<Value> {
    let (source, context) = (table(rows), EvalContext::at(0));
    let mut merger = spec.merger().unwrap();
    merger.resize(GROUPS as usize);
    for bounds in cuts.windows(2) {
        let mut state = spec.bind(&source, &context).unwrap();
        state.resize(GROUPS as usize);
        let range = bounds[0] as u32..bounds[1] as u32;
        if each {
            let groups: Vec<u32> = rows[bounds[0]..bounds[1]].iter().map(|row| row.3).collect();
            state.add(Rows::Range(range), Groups::Each(&groups)).unwrap();
        } else {
            for group in 0..GROUPS {
                let ids: Vec<u32> = range.clone().filter(|row| rows[*row as usize].3 == group).collect();
                state.add(Rows::Ids(&ids), Groups::One(group)).unwrap();
            }
        }
        let partial = state.take_partial().unwrap();
        assert_eq!(partial.len(), GROUPS as usize);
        merger.merge(&partial, &[0, 1, 2]).unwrap();
    }
    spec.finalize(&merger.take_partial().unwrap()).unwrap().to_values()
}

fn same(left: &Value, right: &Value) -> bool {
    match (left.as_double(), right.as_double()) {
        (Some(left), Some(right)) => left == right || (left - right).abs() <= 1e-9 * left.abs().max(right.abs()),
        _ => left == right,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn splits_and_grouping_change_nothing(
        rows in prop::collection::vec(
            (prop::option::of(-1_000_000i64..1_000_000), prop::option::of(any::<i16>()), prop::option::of(0u8..40), 0..GROUPS), 1..200),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(rows.len())).collect();
        cuts.extend([0, rows.len()]);
        cuts.sort_unstable();
        for json in specs() {
            let spec = AggregatorSpec::from_json(&json).unwrap();
            let whole = answer(&spec, &rows, &[0, rows.len()], true);
            for (cuts, each) in [(&[0, rows.len()][..], false), (&cuts, true), (&cuts, false)] {
                let other = answer(&spec, &rows, cuts, each);
                for (left, right) in whole.iter().zip(&other) {
                    prop_assert!(same(left, right), "{json} each={each} cuts={cuts:?}: {left:?} {right:?}");
                }
            }
        }
    }
}

/// Damaged sketches give errors or numbers, never a panic.
#[test]
fn damaged_sketches_do_not_panic() {
    let rows: Vec<Row> = (0..3000).map(|i| (Some(i), Some((i * 7 % 5000) as i16), Some((i % 200) as u8), 0)).collect();
    let source = table(&rows);
    let field = |kind: &str, field: &str| json!({"type": kind, "name": "x", "fieldName": field});
    let specs = [
        field("hyperUnique", "l"),
        field("stringFirst", "s"),
        field("longFirst", "l"),
        field("variance", "l"),
        field("doubleMean", "l"),
        json!({"type": "HLLSketchBuild", "name": "x", "fieldName": "l", "lgK": 8}),
        json!({"type": "HLLSketchBuild", "name": "x", "fieldName": "s", "lgK": 12, "tgtHllType": "HLL_6"}),
        json!({"type": "HLLSketchBuild", "name": "x", "fieldName": "l", "lgK": 6, "tgtHllType": "HLL_8"}),
        json!({"type": "thetaSketch", "name": "x", "fieldName": "l", "size": 64}),
        json!({"type": "quantilesDoublesSketch", "name": "x", "fieldName": "d", "k": 16}),
        json!({"type": "KllDoublesSketch", "name": "x", "fieldName": "d", "k": 20}),
        json!({"type": "KllFloatsSketch", "name": "x", "fieldName": "d", "k": 20}),
        json!({"type": "arrayOfDoublesSketch", "name": "x", "fieldName": "l", "metricColumns": ["d"], "nominalEntries": 64}),
        json!({"type": "approxHistogram", "name": "x", "fieldName": "d", "resolution": 10}),
        json!({"type": "fixedBucketsHistogram", "name": "x", "fieldName": "d", "lowerLimit": 0, "upperLimit": 100}),
        json!({"type": "bloom", "name": "x", "field": "s", "maxNumEntries": 10}),
        json!({"type": "momentSketch", "name": "x", "fieldName": "d", "k": 8}),
        field("spectatorHistogram", "l"),
        field("compressedBigDecimalSum", "l"),
        json!({"type": "histogram", "name": "x", "fieldName": "d", "breaks": [0, 10]}),
    ];
    let mut panics = Vec::new();
    let mut seed = 1u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    for json in specs {
        let spec = AggregatorSpec::from_json(&json).unwrap();
        for count in [1, 3, 20, 3000] {
            let mut state = spec.bind(&source, &EvalContext::at(0)).unwrap();
            state.resize(1);
            state.add(Rows::Range(0..count), Groups::One(0)).unwrap();
            let Value::Complex(name, whole) = state.take_partial().unwrap().value(0) else { panic!("{json}") };
            for round in 0..60 {
                let mut bytes = whole.to_vec();
                match round % 3 {
                    0 => bytes.truncate(random() % (bytes.len() + 1)),
                    // The head is where the lengths are.
                    1 => {
                        let at = random() % bytes.len().min(32);
                        bytes[at] ^= 1 << (random() % 8);
                    }
                    _ => {
                        let at = random() % bytes.len();
                        bytes[at] = random() as u8;
                    }
                }
                let values = vec![Value::Complex(name.clone(), bytes.clone().into())];
                let damaged = Vector::Any { column_type: spec.intermediate_type(), values };
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    let _ = spec.finalize(&damaged);
                    let mut merger = spec.merger().unwrap();
                    merger.resize(1);
                    // Twice, so that a union is made, and then something sound on top.
                    if merger.merge(&damaged, &[0]).is_ok() && merger.merge(&damaged, &[0]).is_ok() {
                        let whole = vec![Value::Complex(name.clone(), whole.clone())];
                        let _ = merger.merge(&Vector::Any { column_type: spec.intermediate_type(), values: whole }, &[0]);
                        let _ = merger.take_partial().map(|partial| spec.finalize(&partial));
                    }
                }));
                if outcome.is_err() {
                    panics.push(format!(
                        "{json} of {count} rows: {}",
                        bytes.iter().map(|b| format!("{b:02x}")).collect::<String>()
                    ));
                }
            }
        }
    }
    assert!(panics.is_empty(), "{}", panics.join("\n"));
}
