//! movingAverage: buckets before the interval count, combinations without rows decay, post-averagers see all columns.

use std::sync::Arc;

use ovate_base::Result;
use ovate_compute::ColumnSource;
use ovate_query::{NativeQuery, SegmentRef, finalize, moving_average, run_segment, write_json};
use serde_json::{Value as Json, json};

use crate::support::{context, five, query, table};

fn answer(source: &Arc<dyn ColumnSource>, json: Json) -> Result<Json> {
    let outer = query(json);
    assert_eq!(query(outer.to_json()).to_json(), outer.to_json(), "what is written is read");
    let NativeQuery::MovingAverage(moving) = &outer else { panic!("another query") };
    let inner = moving.inner();
    let segment = SegmentRef::new("s", inner.intervals().to_vec(), source.clone());
    let rows = finalize(&inner, run_segment(&inner, &segment, &context())?, &context())?;
    let mut out = Vec::new();
    write_json(&outer, &moving_average(moving, rows, &context())?, &mut out)?;
    Ok(serde_json::from_slice(&out).expect("answers are JSON"))
}

fn by_city(changes: Json) -> Json {
    let mut query = json!({"queryType": "movingAverage", "dataSource": "t", "granularity": "day",
        "intervals": "1970-01-02/1970-01-04", "dimensions": ["city"],
        "aggregations": [{"type": "longSum", "name": "n", "fieldName": "number"}],
        "averagers": [{"type": "longMean", "name": "mean", "fieldName": "n", "buckets": 2},
            {"type": "longMax", "name": "max", "fieldName": "n", "buckets": 2}],
        "postAveragers": [{"type": "arithmetic", "name": "ratio", "fn": "/", "fields": [
            {"type": "fieldAccess", "fieldName": "n"}, {"type": "fieldAccess", "fieldName": "mean"}]}]});
    query.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    query
}

/// Day, city, sum, mean, maximum and ratio of each row.
fn rows(answer: &Json) -> Vec<String> {
    let row = |row: &Json| {
        assert_eq!(row["version"], "v1");
        let event = &row["event"];
        let cells = ["city", "n", "mean", "max", "ratio"].map(|name| event[name].to_string());
        format!("{} {}", &row["timestamp"].as_str().unwrap()[8..10], cells.join(" "))
    };
    answer.as_array().unwrap().iter().map(row).collect()
}

#[test]
fn combinations_without_rows_decay_and_vanish() {
    let source = table(&five());
    let found = rows(&answer(&source, by_city(json!({}))).unwrap());
    let wanted =
        ["02 \"bonn\" null 1.0 2 null", "02 \"ulm\" null 0.5 1 null", "03 \"köln\" 2 1.0 2 2.0", "03 \"ulm\" 10 5.0 10 2.0"];
    assert_eq!(found, wanted);
}

#[test]
fn having_and_limit_see_the_averages() {
    let source = table(&five());
    let having = json!({"type": "greaterThan", "aggregation": "mean", "value": 0.5});
    let limit = json!({"type": "default", "limit": 2, "columns": [{"dimension": "mean", "direction": "descending"}]});
    let found = rows(&answer(&source, by_city(json!({"having": having, "limitSpec": limit}))).unwrap());
    assert_eq!(found, ["03 \"ulm\" 10 5.0 10 2.0", "02 \"bonn\" null 1.0 2 null"]);
}

#[test]
fn without_dimensions_it_is_a_timeseries() {
    let source = table(&five());
    let asked = json!({"dimensions": [], "intervals": "1970-01-01/1970-01-04", "postAveragers": []});
    let found = rows(&answer(&source, by_city(asked)).unwrap());
    assert_eq!(found, ["01 null 3 1.5 3 null", "02 null null 1.5 3 null", "03 null 12 6.0 12 null"]);
}

#[test]
fn what_no_averager_can_do_is_said_so() {
    let source = table(&five());
    let refused = |changes: Json| match NativeQuery::from_json(&by_city(changes)) {
        Err(error) => error.message,
        Ok(_) => panic!("it was taken"),
    };
    assert!(refused(json!({"granularity": "all"})).contains("Only PeriodGranularity"));
    let averager = |key: &str, value: Json| {
        let mut averager = json!({"type": "longMax", "name": "m", "fieldName": "n", "buckets": 2});
        averager[key] = value;
        json!({"averagers": [averager]})
    };
    assert!(refused(averager("buckets", json!(0))).contains("buckets of averager [m]"));
    assert!(refused(averager("cycleSize", json!(3))).contains("cycleSize of averager [m]"));
    assert!(refused(averager("type", json!("median"))).contains("unknown averager type [median]"));
    let mut unknown = averager("fieldName", json!("nowhere"));
    unknown["postAveragers"] = json!([]);
    let error = answer(&source, by_city(unknown)).unwrap_err();
    assert!(error.message.contains("reads [nowhere]"), "{}", error.message);
}
