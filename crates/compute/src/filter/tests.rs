//! Filters on random tables: indexed, by matcher and row by row must agree.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value as Json, json};

use super::FilterSpec;
use crate::column::{ColumnSource, MemoryTable, Rows};
use crate::context::EvalContext;
use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

const WORDS: [&str; 9] = ["", "a", "ab", "abc", "b", "1", "2.0", "10", "Ünï"];

fn text(rng: &mut StdRng) -> Value {
    match rng.random_range(0..WORDS.len() + 1) {
        0 => Value::Null,
        n => Value::from(WORDS[n - 1]),
    }
}

fn table(rng: &mut StdRng, rows: usize) -> Vec<(String, ColumnType, Vec<Value>)> {
    let multi = |rng: &mut StdRng| match rng.random_range(0..4) {
        0 => Value::Null,
        1 => text(rng),
        n => Value::Array((0..n).map(|_| text(rng)).collect()),
    };
    let texts = |rng: &mut StdRng| match rng.random_range(0..4) {
        0 => Value::Null,
        n => Value::Array((1..n).map(|_| text(rng)).collect()),
    };
    let long = |rng: &mut StdRng| if rng.random_bool(0.2) { Value::Null } else { Value::Long(rng.random_range(-3..12)) };
    let double = |rng: &mut StdRng| {
        if rng.random_bool(0.2) { Value::Null } else { Value::Double(f64::from(rng.random_range(-6..24)) / 2.0) }
    };
    vec![
        ("s".to_owned(), ColumnType::String, (0..rows).map(|_| text(rng)).collect()),
        ("m".to_owned(), ColumnType::String, (0..rows).map(|_| multi(rng)).collect()),
        ("l".to_owned(), ColumnType::Long, (0..rows).map(|_| long(rng)).collect()),
        ("d".to_owned(), ColumnType::Double, (0..rows).map(|_| double(rng)).collect()),
        ("t".to_owned(), ColumnType::array(ColumnType::String), (0..rows).map(|_| texts(rng)).collect()),
    ]
}

fn leaf(rng: &mut StdRng) -> Json {
    let column = ["s", "m", "l", "d", "missing"][rng.random_range(0..5)];
    let word = WORDS[rng.random_range(0..WORDS.len())];
    let number = rng.random_range(-3..12);
    let pattern = ["a%", "%b", "a_", "%", "ab%c", "1%"][rng.random_range(0..6)];
    // Few forms, so that the expressions of one filter have parts in common.
    let part =
        ["concat(\"s\", \"l\")", "concat(\"s\", if(\"d\" > 3, 'x', \"l\"))", "array_to_string(array_append(\"t\", 'b'), '-')"]
            [rng.random_range(0..3)];
    let compared = ["==", "!=", "<", ">="][rng.random_range(0..4)];
    match rng.random_range(0..17) {
        0 => json!({"type": "equals", "column": column, "matchValueType": "STRING", "matchValue": word}),
        1 => json!({"type": "equals", "column": column, "matchValueType": "LONG", "matchValue": number}),
        2 => json!({"type": "null", "column": column}),
        3 => {
            json!({"type": "range", "column": column, "matchValueType": "STRING", "lower": word, "lowerOpen": rng.random_bool(0.5)})
        }
        4 => json!({"type": "range", "column": column, "matchValueType": "DOUBLE", "lower": f64::from(number) - 2.5,
            "upper": f64::from(number) + 2.0, "upperOpen": rng.random_bool(0.5)}),
        5 => json!({"type": "selector", "dimension": column, "value": word}),
        6 => json!({"type": "selector", "dimension": column, "value": null}),
        7 => json!({"type": "in", "dimension": column, "values": [word, number.to_string(), "ab"]}),
        8 => json!({"type": "in", "dimension": column, "values": [word, null]}),
        9 => json!({"type": "bound", "dimension": column, "upper": word, "upperStrict": rng.random_bool(0.5)}),
        10 => json!({"type": "bound", "dimension": column, "lower": number.to_string(), "ordering": "numeric"}),
        11 => {
            json!({"type": "like", "dimension": column, "pattern": pattern})
        }
        12 => json!({"type": "regex", "dimension": column, "pattern": "^[a1]"}),
        13..=15 => json!({"type": "expression", "expression": format!("{part} {compared} '{word}'")}),
        _ => json!({"type": "search", "dimension": column, "query": {"type": "insensitive_contains", "value": "ü"},
            "extractionFn": {"type": "upper"}}),
    }
}

fn filter(rng: &mut StdRng, depth: u32) -> Json {
    if depth == 0 {
        return leaf(rng);
    }
    let some = |rng: &mut StdRng| -> Vec<Json> { (0..rng.random_range(1..4)).map(|_| filter(rng, depth - 1)).collect() };
    match rng.random_range(0..6) {
        0 => json!({"type": "and", "fields": some(rng)}),
        1 => json!({"type": "or", "fields": some(rng)}),
        2 => json!({"type": "not", "field": filter(rng, depth - 1)}),
        3 => json!({"type": "istrue", "field": filter(rng, depth - 1)}),
        4 => json!({"type": "isfalse", "field": filter(rng, depth - 1)}),
        _ => leaf(rng),
    }
}

/// The rows that a bound filter keeps, read in uneven batches.
fn kept(spec: &FilterSpec, source: &Arc<dyn ColumnSource>, context: &EvalContext) -> Vec<u32> {
    let mut bound = spec.bind(source, context).unwrap();
    let mut out = Vec::new();
    let mut start = 0;
    while start < source.row_count() {
        let end = (start + 37).min(source.row_count());
        let ids: Option<Vec<u32>> =
            bound.bitmap.as_ref().map(|bitmap| (start..end).filter(|row| bitmap.contains(*row)).collect());
        let rows = match &ids {
            Some(ids) => Rows::Ids(ids),
            None => Rows::Range(start..end),
        };
        match &mut bound.residual {
            Some(matcher) => matcher.keep(rows, &mut out).unwrap(),
            None => super::matcher::append_all(&rows, &mut out),
        }
        start = end;
    }
    out
}

#[test]
fn index_matcher_and_row_agree() {
    let context = EvalContext::at(0);
    for seed in 0..400 {
        let mut rng = StdRng::seed_from_u64(seed);
        let rows = rng.random_range(1..150);
        let columns = table(&mut rng, rows);
        let vectors = || columns.iter().map(|(name, t, v)| (name.clone(), Vector::from_values(t, v.clone()))).collect();
        let plain: Arc<dyn ColumnSource> = Arc::new(MemoryTable::new(vectors()).unwrap());
        let indexed: Arc<dyn ColumnSource> = Arc::new(MemoryTable::new(vectors()).unwrap().with_bitmaps().unwrap());
        for _ in 0..10 {
            let document = filter(&mut rng, 3);
            let spec = FilterSpec::from_json(&document).unwrap();
            let row_filter = spec.row_filter(&context).unwrap();
            let by_row: Vec<u32> = (0..rows as u32)
                .filter(|row| {
                    let get = |name: &str| {
                        let column = columns.iter().find(|(own, ..)| own == name);
                        column.map_or(Value::Null, |(_, _, values)| values[*row as usize].clone())
                    };
                    row_filter.matches(&get).unwrap()
                })
                .collect();
            assert_eq!(kept(&spec, &plain, &context), by_row, "matcher, seed {seed}: {document}");
            assert_eq!(kept(&spec, &indexed, &context), by_row, "index, seed {seed}: {document}");
        }
    }
}

/// Rows of a one-column table that a filter keeps.
fn check(values: Vec<Value>, column_type: ColumnType, document: Json, expected: &[u32]) {
    let table = MemoryTable::new(vec![("x".to_owned(), Vector::from_values(&column_type, values))]).unwrap();
    let source: Arc<dyn ColumnSource> = Arc::new(table);
    let spec = FilterSpec::from_json(&document).unwrap();
    assert_eq!(kept(&spec, &source, &EvalContext::at(0)), expected, "{document}");
}

#[test]
fn null_is_unknown_under_not() {
    let values = || vec![Value::from("a"), Value::Null, Value::from("b")];
    let equals = json!({"type": "equals", "column": "x", "matchValueType": "STRING", "matchValue": "a"});
    check(values(), ColumnType::String, json!({"type": "not", "field": equals}), &[2]);
    check(values(), ColumnType::String, json!({"type": "isfalse", "field": equals}), &[2]);
    check(values(), ColumnType::String, json!({"type": "not", "field": {"type": "istrue", "field": equals}}), &[1, 2]);
    check(values(), ColumnType::String, json!({"type": "bound", "dimension": "x", "upper": "a"}), &[0, 1]);
    check(values(), ColumnType::String, json!({"type": "not", "field": {"type": "null", "column": "x"}}), &[0, 2]);
}

#[test]
fn longs_meet_double_and_text_bounds_exactly() {
    let values = || vec![Value::Long(1), Value::Long(2), Value::Long(3), Value::Long(i64::MAX)];
    let range = |lower: Json, upper: Json| json!({"type": "range", "column": "x", "matchValueType": "DOUBLE", "lower": lower, "upper": upper, "upperOpen": true});
    check(values(), ColumnType::Long, range(json!(1.5), json!(3.0)), &[1]);
    check(
        values(),
        ColumnType::Long,
        json!({"type": "equals", "column": "x", "matchValueType": "DOUBLE", "matchValue": 2.5}),
        &[],
    );
    check(values(), ColumnType::Long, json!({"type": "selector", "dimension": "x", "value": "9223372036854775807"}), &[3]);
    check(values(), ColumnType::Long, json!({"type": "like", "dimension": "x", "pattern": "9%"}), &[3]);
    check(
        values(),
        ColumnType::Long,
        json!({"type": "interval", "dimension": "x", "intervals": ["1970-01-01T00:00:00.002Z/1970-01-02"]}),
        &[1, 2],
    );
}

#[test]
fn array_columns_match_whole_and_by_element() {
    let array = |items: &[i64]| Value::Array(items.iter().map(|i| Value::Long(*i)).collect());
    let values = || vec![array(&[1, 2]), array(&[2]), Value::Null, array(&[])];
    let longs = || ColumnType::array(ColumnType::Long);
    check(
        values(),
        longs(),
        json!({"type": "equals", "column": "x", "matchValueType": "ARRAY<LONG>", "matchValue": [1, 2]}),
        &[0],
    );
    let contains =
        json!({"type": "arrayContainsElement", "column": "x", "elementMatchValueType": "LONG", "elementMatchValue": 2});
    check(values(), longs(), contains.clone(), &[0, 1]);
    check(values(), longs(), json!({"type": "not", "field": contains}), &[3]);
}

#[test]
fn texts_are_read_as_doubles_where_numbers_are_asked_for() {
    let values = || ["1", "2.5", "1e3", "abc", " 4", ""].map(Value::from).into_iter().chain([Value::Null]).collect::<Vec<_>>();
    let test = |document: Json, expected: &[u32]| check(values(), ColumnType::String, document, expected);
    let range = |bounds: Json| {
        let mut filter = json!({"type": "range", "column": "x", "matchValueType": "LONG"});
        filter.as_object_mut().unwrap().extend(bounds.as_object().unwrap().clone());
        filter
    };
    // What is no number is less than all numbers, and not unknown.
    test(range(json!({"upper": 2})), &[0, 3, 4, 5]);
    test(json!({"type": "not", "field": range(json!({"lower": 2}))}), &[0, 3, 4, 5]);
    test(range(json!({"lower": 2})), &[1, 2]);
    let equals = |kind: &str, value: Json| json!({"type": "equals", "column": "x", "matchValueType": kind, "matchValue": value});
    test(equals("LONG", json!(1000)), &[2]);
    test(equals("DOUBLE", json!(1)), &[0]);
    test(equals("LONG", json!(2)), &[]);
    let any = |kind: &str, list: Json| json!({"type": "inType", "column": "x", "matchValueType": kind, "sortedValues": list});
    test(any("DOUBLE", json!([1, 2.5])), &[0, 1]);
    test(any("LONG", json!([1, 1000])), &[0]);
}

#[test]
fn numbers_are_texts_between_bounds_of_texts() {
    let values = || vec![Value::Long(10), Value::Long(5), Value::Long(300)];
    let filter = json!({"type": "range", "column": "x", "matchValueType": "STRING", "lower": "2", "upper": "5"});
    check(values(), ColumnType::Long, filter, &[1, 2]);
}
