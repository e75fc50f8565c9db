//! What becomes of records on their way to rows.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::*;
use crate::format::{Header, Wanted, text_reader};
use crate::spec::InputFormat;

fn rows(schema: Json, text: &str) -> Rows {
    let mut full = json!({"dataSource": "d", "timestampSpec": {"column": "t"}, "dimensionsSpec": {}, "metricsSpec": []});
    for (name, value) in schema.as_object().unwrap() {
        full[name] = value.clone();
    }
    let schema = DataSchema::from_json(&full).unwrap();
    let format = InputFormat::from_json(&json!({"type": "json"})).unwrap();
    let wanted = Wanted { columns: None, nested: false, doubles: BTreeSet::new() };
    let batch = text_reader(&format, &wanted).unwrap().read(text.as_bytes(), &Header::default()).unwrap();
    RowMaker::new(&schema, 0).rows(batch).unwrap()
}

#[test]
fn times_divide_rows_into_chunks() {
    let text = "{\"t\":\"2024-01-01T05:00:00Z\"}\n{\"t\":1704153600000}\n{\"t\":\"2024-01-01\"}\n{\"t\":\"soon\"}\n{}";
    let rows = rows(json!({}), text);
    let chunks: Vec<_> = rows.chunks.iter().map(|(i, r)| (i.to_string(), r.clone())).collect();
    assert_eq!(
        chunks,
        [
            ("2024-01-01T00:00:00.000Z/2024-01-02T00:00:00.000Z".to_owned(), vec![0, 2]),
            ("2024-01-02T00:00:00.000Z/2024-01-03T00:00:00.000Z".to_owned(), vec![1]),
        ]
    );
    assert_eq!(rows.batch.bad.len(), 2);
    assert!(rows.batch.bad[0].message.contains("Timestamp[soon] is unparseable"), "{}", rows.batch.bad[0].message);
}

#[test]
fn missing_time_takes_the_missing_value() {
    let rows = rows(json!({"timestampSpec": {"column": "t", "missingValue": "2000-01-01"}}), "{\"a\":1}\n{\"t\":null}");
    assert_eq!(rows.timestamps, [946_684_800_000, 946_684_800_000]);
    assert!(rows.batch.bad.is_empty());
}

#[test]
fn discovery_finds_fields_of_the_record_and_not_new_results() {
    let transforms = json!([{"type": "expression", "name": "a", "expression": "a + 1"}, {"type": "expression", "name": "fresh", "expression": "a + 2"},
                            {"type": "expression", "name": "listed", "expression": "a + 3"}]);
    let spec = json!({"transformSpec": {"transforms": transforms}, "dimensionsSpec": {"dimensions": ["listed"], "useSchemaDiscovery": true}});
    let rows = rows(spec, "{\"t\":0,\"a\":1}");
    let names: Vec<&str> = rows.batch.columns.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["t", "a", "listed"]);
    assert_eq!(rows.batch.column("a").unwrap().text(0).unwrap(), "2");
}

#[test]
fn rows_outside_the_intervals_are_thrown_away() {
    let spec = json!({"granularitySpec": {"segmentGranularity": "DAY", "intervals": ["2024-01-01T06/2024-01-02"]}});
    let rows = rows(spec, "{\"t\":\"2024-01-01T05:00Z\"}\n{\"t\":\"2024-01-01T07:00Z\"}\n{\"t\":\"2024-01-03\"}");
    assert_eq!(rows.thrown_away, 2);
    assert_eq!(rows.chunks.len(), 1);
    assert_eq!(rows.chunks[0].1, [1]);
}

#[test]
fn transforms_read_the_record_as_it_came_and_the_filter_their_results() {
    let spec = json!({"dimensionsSpec": {"dimensions": ["a", "b", "n3"]}, "transformSpec": {
        "transforms": [{"type": "expression", "name": "a", "expression": "concat('x-', a)"},
                       {"type": "expression", "name": "b", "expression": "concat(a, '!')"},
                       {"type": "expression", "name": "n3", "expression": "n * 3"}],
        "filter": {"type": "selector", "dimension": "n3", "value": "6"}}});
    let rows = rows(spec, "{\"t\":0,\"a\":\"p\",\"n\":1}\n{\"t\":0,\"a\":\"q\",\"n\":2}");
    let text = |name: &str| rows.batch.column(name).unwrap().text(1).unwrap().into_owned();
    assert_eq!((text("a").as_str(), text("b").as_str(), text("n3").as_str()), ("x-q", "q!", "6"));
    assert_eq!(rows.chunks[0].1, [1]);
    assert_eq!(rows.thrown_away, 1);
}
