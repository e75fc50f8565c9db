//! What operators give; the expected rows are those of Apache Druid 33.

use expect_test::{Expect, expect};
use ovate_compute::EvalContext;
use ovate_query::document::NativeQuery;
use ovate_query::{QueryContext, ResultFormat, write_result};
use serde_json::{Value, json};

use super::run_window_operators;

fn table() -> Value {
    json!({"type": "inline", "columnNames": ["a", "b", "c", "d"], "columnTypes": ["STRING", "LONG", "LONG", "DOUBLE"],
        "rows": [["x", 1, 10, 1.5], ["x", 2, 20, null], ["y", 1, 5, 2.5], ["y", 3, 7, 0.5], ["y", 3, null, 4.0], ["y", 5, 9, 1.0]]})
}

fn answer(operators: &Value, output: &[(&str, &str)]) -> ovate_base::Result<String> {
    let output: Vec<Value> = output.iter().map(|(name, t)| json!({"name": name, "type": t})).collect();
    let document = json!({"queryType": "windowOperator", "dataSource": table(), "outputSignature": output,
        "operatorDefinition": operators, "context": {}});
    let query = NativeQuery::from_json(&document)?;
    let query = NativeQuery::from_json(&query.to_json())?;
    let context = QueryContext::new(EvalContext::at(0));
    let scan = json!({"queryType": "scan", "dataSource": table(), "intervals": "0000/3000"});
    let scan = NativeQuery::from_json(&scan)?;
    let source = ovate_query::source::small_table(scan.data_source(), &context.eval)?;
    let segment = ovate_query::SegmentRef::new("inline", scan.intervals().to_vec(), source);
    let partial = ovate_query::run_segment(&scan, &segment, &context)?;
    let rows = ovate_query::finalize(&scan, partial, &context)?;
    let NativeQuery::WindowOperator(window) = &query else { panic!("another query") };
    let rows = run_window_operators(window, rows, &context)?;
    let mut text = Vec::new();
    write_result(&query, &rows, ResultFormat::Json, &mut |piece| {
        text.extend_from_slice(&piece);
        Ok(())
    })?;
    Ok(String::from_utf8(text).expect("JSON is UTF-8").replace("],[", "],\n["))
}

fn check(operators: Value, output: &[(&str, &str)], expected: Expect) {
    expected.assert_eq(&answer(&operators, output).unwrap_or_else(|e| e.message));
}

fn partition() -> Value {
    json!({"type": "naivePartition", "partitionColumns": ["a"]})
}

fn ranking() -> Value {
    json!({"type": "window", "processor": {"type": "composing", "processors": [
        {"type": "rowNumber", "outputColumn": "w0"},
        {"type": "rank", "group": ["b"], "outputColumn": "w1", "asPercent": false},
        {"type": "rank", "group": ["b"], "outputColumn": "w2", "asPercent": true},
        {"type": "cumeDist", "group": ["b"], "outputColumn": "w3"},
        {"type": "denseRank", "group": ["b"], "outputColumn": "w4"},
        {"type": "percentile", "outputColumn": "w5", "numBuckets": 2}]}})
}

const RANKED: &[(&str, &str)] = &[
    ("a", "STRING"),
    ("b", "LONG"),
    ("c", "LONG"),
    ("w0", "LONG"),
    ("w1", "LONG"),
    ("w2", "DOUBLE"),
    ("w3", "DOUBLE"),
    ("w4", "LONG"),
    ("w5", "LONG"),
];

#[test]
fn ranking_processors_walk_each_partition() {
    check(
        json!([partition(), ranking()]),
        RANKED,
        expect![[r#"
            [["x",1,10,1,1,0.0,0.5,1,1],
            ["x",2,20,2,2,1.0,1.0,2,2],
            ["y",1,5,1,1,0.0,0.25,1,1],
            ["y",3,7,2,2,0.3333333333333333,0.75,2,1],
            ["y",3,null,3,2,0.3333333333333333,0.75,2,2],
            ["y",5,9,4,4,1.0,1.0,3,2]]"#]],
    );
}

#[test]
fn sorting_makes_one_partition_and_partitioning_cuts_again() {
    let sort =
        json!({"type": "naiveSort", "columns": [{"column": "a", "direction": "DESC"}, {"column": "c", "direction": "ASC"}]});
    check(
        json!([sort, partition(), ranking()]),
        RANKED,
        expect![[r#"
            [["y",3,null,1,1,0.0,0.25,1,1],
            ["y",1,5,2,2,0.3333333333333333,0.5,2,1],
            ["y",3,7,3,3,0.6666666666666666,0.75,3,2],
            ["y",5,9,4,4,1.0,1.0,4,2],
            ["x",1,10,1,1,0.0,0.5,1,1],
            ["x",2,20,2,2,1.0,1.0,2,2]]"#]],
    );
    let sorted = json!({"type": "partitionSort", "columns": [{"column": "c", "direction": "DESC"}]});
    let number = json!({"type": "window", "processor": {"type": "rowNumber", "outputColumn": "n"}});
    check(
        json!([partition(), sorted, number]),
        &[("a", "STRING"), ("c", "LONG"), ("n", "LONG"), ("missing", "DOUBLE")],
        expect![[r#"
            [["x",20,1,null],
            ["x",10,2,null],
            ["y",9,1,null],
            ["y",7,2,null],
            ["y",5,3,null],
            ["y",null,4,null]]"#]],
    );
}

#[test]
fn value_processors_look_at_other_rows_of_the_partition() {
    let values = json!({"type": "window", "processor": {"type": "composing", "processors": [
        {"type": "first", "inputColumn": "c", "outputColumn": "w0"},
        {"type": "last", "inputColumn": "c", "outputColumn": "w1"},
        {"type": "offset", "inputColumn": "c", "outputColumn": "w2", "offset": -1},
        {"type": "offset", "inputColumn": "c", "outputColumn": "w3", "offset": 2},
        {"type": "last", "inputColumn": "c", "outputColumn": "w4", "frame": {"type": "rows", "lowerOffset": -1, "upperOffset": 0}}]}});
    check(
        json!([partition(), values]),
        &[("a", "STRING"), ("c", "LONG"), ("w0", "LONG"), ("w1", "LONG"), ("w2", "LONG"), ("w3", "LONG"), ("w4", "LONG")],
        expect![[r#"
            [["x",10,10,20,null,null,10],
            ["x",20,10,20,10,null,20],
            ["y",5,5,9,null,null,5],
            ["y",7,5,9,5,9,7],
            ["y",null,5,9,7,null,null],
            ["y",9,5,9,null,null,9]]"#]],
    );
}

#[test]
fn aggregates_over_frames_equal_druids() {
    let aggregations = json!([
        {"type": "longSum", "name": "s", "fieldName": "c"},
        {"type": "count", "name": "n"},
        {"type": "doubleMax", "name": "m", "fieldName": "d"},
        {"type": "filtered", "filter": {"type": "equals", "column": "b", "matchValueType": "LONG", "matchValue": 3},
            "aggregator": {"type": "longMin", "name": "mn", "fieldName": "c"}}]);
    let framed = |frame: Value| {
        json!([partition(), {"type": "window",
        "processor": {"type": "framedAgg", "frame": frame, "aggregations": aggregations}}])
    };
    let output = &[("b", "LONG"), ("s", "LONG"), ("n", "LONG"), ("m", "DOUBLE"), ("mn", "LONG")];
    check(
        framed(json!({"type": "rows", "lowerOffset": -1, "upperOffset": 0})),
        output,
        expect![[r#"
            [[1,10,1,1.5,null],
            [2,30,2,1.5,null],
            [1,5,1,2.5,null],
            [3,12,2,2.5,7],
            [3,7,2,4.0,7],
            [5,9,2,4.0,null]]"#]],
    );
    check(
        framed(json!({"type": "groups", "upperOffset": 0, "orderByColumns": ["b"]})),
        output,
        expect![[r#"
            [[1,10,1,1.5,null],
            [2,30,2,1.5,null],
            [1,5,1,2.5,null],
            [3,12,3,4.0,7],
            [3,12,3,4.0,7],
            [5,21,4,4.0,7]]"#]],
    );
    check(
        framed(json!({"type": "groups", "lowerOffset": -1, "upperOffset": 0, "orderByColumns": ["b"]})),
        output,
        expect![[r#"
            [[1,10,1,1.5,null],
            [2,30,2,1.5,null],
            [1,5,1,2.5,null],
            [3,12,3,4.0,7],
            [3,12,3,4.0,7],
            [5,16,3,4.0,7]]"#]],
    );
    check(
        framed(json!({"type": "rows", "lowerOffset": 1, "upperOffset": 1})),
        output,
        expect![[r#"
            [[1,20,1,null,null],
            [2,null,0,null,null],
            [1,7,1,0.5,7],
            [3,null,1,4.0,null],
            [3,9,1,1.0,null],
            [5,null,0,null,null]]"#]],
    );
    let sketched = json!([{"type": "window", "processor": {"type": "framedAgg", "frame": {"type": "rows"}, "aggregations": [
        {"type": "cardinality", "name": "n", "fields": ["a"], "byRow": false}, {"type": "doubleSum", "name": "s", "fieldName": "c"}]}}]);
    check(
        sketched,
        &[("n", "DOUBLE"), ("s", "DOUBLE")],
        expect![[r#"
            [[2.000977198748901,51.0],
            [2.000977198748901,51.0],
            [2.000977198748901,51.0],
            [2.000977198748901,51.0],
            [2.000977198748901,51.0],
            [2.000977198748901,51.0]]"#]],
    );
}

#[test]
fn scan_operators_filter_compute_and_cut_and_keep_partitions() {
    let filter = json!({"type": "scan", "filter": {"type": "range", "column": "b", "matchValueType": "LONG", "lower": 2},
        "virtualColumns": [{"type": "expression", "name": "v0", "expression": "b * 10", "outputType": "LONG"}]});
    let number = json!({"type": "window", "processor": {"type": "rowNumber", "outputColumn": "n"}});
    let cut = json!({"type": "scan", "offsetLimit": {"offset": 1, "limit": 2}});
    let output = &[("a", "STRING"), ("v0", "LONG"), ("n", "LONG")];
    check(
        json!([partition(), filter, number]),
        output,
        expect![[r#"
            [["x",20,1],
            ["y",30,1],
            ["y",30,2],
            ["y",50,3]]"#]],
    );
    check(
        json!([partition(), filter, number, cut]),
        output,
        expect![[r#"
            [["y",30,1],
            ["y",30,2]]"#]],
    );
    let ordered =
        json!({"type": "scan", "ordering": [{"column": "c", "direction": "DESC"}], "offsetLimit": {"offset": 0, "limit": 2}});
    check(
        json!([ordered]),
        &[("c", "LONG")],
        expect![[r#"
        [[20],
        [10]]"#]],
    );
    check(json!([{"type": "scan", "timeRange": "2020/2021"}]), &[("c", "LONG")], expect!["[]"]);
    check(json!([{"type": "scan", "offsetLimit": {"offset": 0, "limit": 0}}]), &[("c", "LONG")], expect!["[]"]);
}

#[test]
fn what_is_wrong_with_operators_is_named() {
    let first = json!({"type": "window", "processor": {"type": "first", "inputColumn": "zz", "outputColumn": "w0"}});
    check(json!([first]), &[], expect!["column[zz] doesn't exist, but window function FIRST wants it to"]);
    let glue = json!({"type": "glueingPartition", "partitionColumns": ["a"], "maxRowsMaterialized": 3});
    check(json!([glue]), &[], expect!["Too many rows to process (requested = 4, max = 3); raise maxRowsMaterialized"]);
    let message = |operators: Value| answer(&operators, &[]).unwrap_err().message;
    assert!(message(json!([{"type": "nah"}])).contains("nah"));
    assert!(message(json!([{"type": "window", "processor": {"type": "nah"}}])).contains("nah"));
    assert!(
        message(json!([{"type": "window", "processor": {"type": "percentile", "outputColumn": "p", "numBuckets": 0}}]))
            .contains("numBuckets")
    );
}
