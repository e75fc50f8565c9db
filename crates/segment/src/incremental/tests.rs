//! What goes in comes out: snapshots, rollup, discovery.

use super::*;
use ovate_base::Granularity;
use ovate_compute::Rows;
use ovate_compute::aggregate::AggregatorSpec;
use serde_json::json;

/// All values of a column.
fn values(source: &Arc<dyn ColumnSource>, name: &str) -> Vec<Value> {
    let column = source.column(name).unwrap().unwrap();
    column.reader().unwrap().values(Rows::Range(0..source.row_count())).unwrap().to_vec()
}

fn texts(values: &[&str]) -> Vec<Value> {
    values.iter().map(|text| if *text == "-" { Value::Null } else { Value::from(*text) }).collect()
}

fn metrics(specs: &[serde_json::Value]) -> Vec<AggregatorSpec> {
    specs.iter().map(|spec| AggregatorSpec::from_json(spec).unwrap()).collect()
}

#[test]
fn snapshot_has_rows_by_time() {
    let schema = IndexSchema {
        dimensions: vec![DimensionSchema::string("s"), DimensionSchema::new("n", DimensionKind::Long)],
        ..IndexSchema::default()
    };
    let mut index = IncrementalIndex::new(schema).unwrap();
    index.add_row(20, &[("s", Value::from("b")), ("n", Value::Long(2))]).unwrap();
    index.add_row(10, &[("s", Value::from("a")), ("n", Value::Null)]).unwrap();
    index.add_row(30, &[("n", Value::from("x"))]).unwrap();
    let snapshot = index.snapshot().unwrap();
    assert_eq!(values(&snapshot, "__time"), [10, 20, 30].map(Value::Long));
    assert_eq!(values(&snapshot, "s"), texts(&["a", "b", "-"]));
    assert_eq!(values(&snapshot, "n"), [Value::Null, Value::Long(2), Value::Null]);
    assert_eq!(snapshot.interval(), Interval { start: 10, end: 31 });
}

#[test]
fn text_that_is_no_number_is_a_problem_and_null() {
    let schema = IndexSchema { dimensions: vec![DimensionSchema::new("n", DimensionKind::Long)], ..IndexSchema::default() };
    let mut index = IncrementalIndex::new(schema).unwrap();
    let result = index.add_row(0, &[("n", Value::from("abc"))]).unwrap();
    assert_eq!(result.rows, 1);
    assert_eq!(result.problems[0].message, "Could not convert value [abc] to long for dimension [n].");
}

#[test]
fn rollup_folds_rows_of_one_bucket_and_key() {
    let schema = IndexSchema {
        dimensions: vec![DimensionSchema::string("s"), DimensionSchema::string("tags")],
        metrics: metrics(
            &[
                json!({"type": "count", "name": "count"}),
                json!({"type": "longSum", "name": "sum", "fieldName": "v"}),
                json!({"type": "doubleMax", "name": "max", "fieldName": "v"}),
                json!({"type": "longSum", "name": "doubled", "expression": "v * 2"}),
            ][..3],
        ),
        query_granularity: Granularity::HOUR,
        rollup: true,
        ..IndexSchema::default()
    };
    let mut index = IncrementalIndex::new(schema).unwrap();
    let tags = |list: &[&str]| Value::Array(list.iter().map(|t| Value::from(*t)).collect());
    for (time, s, list, v) in [
        (1, "a", &["x", "y"][..], Value::Long(1)),
        (2, "a", &["y", "x"], Value::Long(5)),
        (3, "a", &["x"], Value::Null),
        (3_600_000, "a", &["x", "y"], Value::Long(7)),
        (4, "b", &[], Value::Null),
    ] {
        index.add_row(time, &[("s", Value::from(s)), ("tags", tags(list)), ("v", v)]).unwrap();
    }
    assert_eq!((index.row_count(), index.input_row_count()), (4, 5));
    let snapshot = index.snapshot().unwrap();
    assert_eq!(values(&snapshot, "count"), [2, 1, 1, 1].map(Value::Long));
    assert_eq!(values(&snapshot, "sum"), [Value::Long(6), Value::Null, Value::Null, Value::Long(7)]);
    assert_eq!(values(&snapshot, "max"), [Value::Double(5.0), Value::Null, Value::Null, Value::Double(7.0)]);
    assert_eq!(values(&snapshot, "tags"), [tags(&["x", "y"]), Value::from("x"), Value::Null, tags(&["x", "y"])]);
}

#[test]
fn new_fields_become_dimensions_when_the_schema_says_so() {
    for (discovery, expected) in [
        (Discovery::Off, vec![]),
        (Discovery::Strings, vec![Value::Null, Value::from("1")]),
        (Discovery::Auto, vec![Value::Null, Value::Long(1)]),
    ] {
        let schema = IndexSchema { discovery, rollup: true, ..IndexSchema::default() };
        let mut index = IncrementalIndex::new(schema).unwrap();
        index.add_row(1, &[("a", Value::from("x"))]).unwrap();
        index.add_row(2, &[("a", Value::from("x")), ("b", Value::Long(1))]).unwrap();
        index.add_row(1, &[("a", Value::from("x"))]).unwrap();
        let snapshot = index.snapshot().unwrap();
        assert_eq!(index.row_count(), 2);
        if discovery != Discovery::Off {
            assert_eq!(values(&snapshot, "b"), expected);
        }
        assert_eq!(index.dimension_names().is_empty(), discovery == Discovery::Off);
    }
}

#[test]
fn only_selected_rows_are_taken() {
    let schema = IndexSchema { dimensions: vec![DimensionSchema::string("s")], ..IndexSchema::default() };
    let mut index = IncrementalIndex::new(schema).unwrap();
    let refs = [Some("a"), Some("b"), None, Some("d")];
    let columns = [("s", InputColumn::StringRefs(&refs))];
    let batch = RowBatch { timestamps: &[1, 2, 3, 4], columns: &columns, selection: Some(&[1, 3]) };
    assert_eq!(index.add_batch(&batch).unwrap().rows, 2);
    let snapshot = index.snapshot().unwrap();
    assert_eq!(values(&snapshot, "s"), texts(&["b", "d"]));
    assert_eq!(values(&snapshot, "__time"), [2, 4].map(Value::Long));
}
