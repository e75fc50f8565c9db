//! Tables made of other tables.

use std::sync::Arc;

use ovate_compute::ColumnSource;
use ovate_compute::filter::FilterSpec;
use ovate_query::document::InlineRows;
use ovate_query::source::{filtered, inline_table, push_filter_down};
use serde_json::json;

use crate::support::*;

fn count_by_city(source: Arc<dyn ColumnSource>) -> String {
    let query = query(json!({
        "queryType": "groupBy", "dataSource": "t", "intervals": "1970/1971", "granularity": "all", "dimensions": ["city"],
        "aggregations": [{"type": "count", "name": "n"}], "context": {"resultAsArray": true},
    }));
    answer_of(&query, &[source]).unwrap().to_string()
}

#[test]
fn a_filtered_table_has_only_the_rows_that_pass() {
    let filter = FilterSpec::from_json(&json!({"type": "selector", "dimension": "tags", "value": "a"})).unwrap();
    let source = filtered(table(&five()), &filter, &context().eval).unwrap();
    assert_eq!(source.row_count(), 3);
    assert_eq!(count_by_city(source), r#"[["köln",1],["ulm",2]]"#);
}

#[test]
fn a_filter_datasource_becomes_part_of_the_querys_filter() {
    let query = query(json!({
        "queryType": "scan", "intervals": "1970/1971", "filter": {"type": "selector", "dimension": "x", "value": "1"},
        "dataSource": {"type": "filter", "base": "t", "filter": {"type": "selector", "dimension": "y", "value": "2"}},
    }));
    let pushed = push_filter_down(query).to_json();
    assert_eq!(pushed["dataSource"], json!({"type": "table", "name": "t"}));
    assert_eq!(pushed["filter"]["fields"].as_array().unwrap().len(), 2);
}

#[test]
fn inline_rows_take_declared_types() {
    let inline = InlineRows {
        column_names: vec!["a".into(), "b".into()],
        column_types: Some(vec![Some(ovate_compute::ColumnType::Double), None]),
        rows: vec![vec![json!(1), json!("x")], vec![json!(null), json!("y")]],
    };
    let table = inline_table(&inline).unwrap();
    assert_eq!(table.capabilities("a").unwrap().column_type, ovate_compute::ColumnType::Double);
    assert_eq!(table.capabilities("b").unwrap().column_type, ovate_compute::ColumnType::String);
}

fn rows_of(json: serde_json::Value) -> String {
    match answer_of(&query(json), &[table(&five())]) {
        Ok(json) => json[0]["events"].to_string(),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn left_join_keeps_rows_without_a_match() {
    let right = json!({"type": "inline", "columnNames": ["name", "people"], "columnTypes": ["STRING", "LONG"],
        "rows": [["ulm", 126], ["bonn", 331], ["ulm", 127], [null, 5]]});
    let join = |kind: &str| {
        json!({"queryType": "scan", "intervals": "1970/1971", "columns": ["city", "j.name", "j.people"], "resultFormat": "compactedList",
            "dataSource": {"type": "join", "left": "t", "right": right, "rightPrefix": "j.", "condition": "(city == \"j.name\")",
                "joinType": kind}})
    };
    expect_test::expect![[r#"[["ulm","ulm",126],["ulm","ulm",127],["bonn","bonn",331],[null,null,null],["ulm","ulm",126],["ulm","ulm",127],["köln",null,null]]"#]]
        .assert_eq(&rows_of(join("LEFT")));
    expect_test::expect![[r#"[["ulm","ulm",126],["ulm","ulm",127],["bonn","bonn",331],["ulm","ulm",126],["ulm","ulm",127]]"#]]
        .assert_eq(&rows_of(join("INNER")));
}

#[test]
fn unnest_gives_a_row_an_element() {
    expect_test::expect![[
        r#"[["ulm","a",0],["ulm","b",0],["bonn",null,1000],[null,"b",86400000],["ulm","a",172800000],["köln","a",172800005],["köln","c",172800005]]"#
    ]]
    .assert_eq(&rows_of(json!({
        "queryType": "scan", "intervals": "1970/1971", "columns": ["city", "tag"], "resultFormat": "compactedList",
        "orderBy": [{"columnName": "__time"}, {"columnName": "tag"}], "columns": ["city", "tag", "__time"],
        "dataSource": {"type": "unnest", "base": "t",
            "virtualColumn": {"type": "expression", "name": "tag", "expression": "\"tags\"", "outputType": "STRING"}},
    })));
}
