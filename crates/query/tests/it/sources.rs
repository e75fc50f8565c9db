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
