//! Projections that Apache Druid wrote answer what the rows themselves answer, and are read only where they can.

use std::path::PathBuf;
use std::sync::Arc;

use ovate_query::{Profile, SegmentRef, finalize, run_segments, write_json};
use ovate_segment::Segment;
use serde_json::{Value, json};

use crate::support::{context, query};

/// `None`, with the reason on stderr, where the fixtures are not there.
fn segment(name: &str) -> Option<Segment> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let known = ["shared", "../shared"].iter().map(|folder| root.join(folder).join("fixtures/druid/golden").join(name));
    let Some(folder) = known.into_iter().find(|folder| folder.is_dir()) else {
        eprintln!("skipped: no fixture {name}");
        return None;
    };
    Some(Segment::open(&folder).unwrap())
}

/// The answer, and the projections read by name.
fn answer(segment: &Segment, mut document: Value, extra: Value) -> Result<(Value, Value), String> {
    document["context"] = extra;
    let query = query(document);
    let mut context = context();
    context.profile = Some(Arc::new(Profile::default()));
    let reference = SegmentRef::new("s", query.intervals().to_vec(), Arc::new(segment.clone()));
    let partial = run_segments(&query, &[reference], &context, 1).map_err(|e| e.message)?;
    let rows = finalize(&query, partial, &context).map_err(|e| e.message)?;
    let mut out = Vec::new();
    write_json(&query, &rows, &mut out).map_err(|e| e.message)?;
    let profile = context.profile.as_ref().unwrap().to_json();
    Ok((serde_json::from_slice(&out).unwrap(), profile["segmentsByProjection"].clone()))
}

fn group_by(dimensions: Value, aggregations: Value, more: Value) -> Value {
    let mut document = json!({"queryType": "groupBy", "dataSource": "t", "intervals": "1000/3000", "granularity": "all",
        "dimensions": dimensions, "aggregations": aggregations});
    for (name, value) in more.as_object().unwrap() {
        document[name] = value.clone();
    }
    document
}

fn check(name: &str, document: Value, projection: Option<&str>) {
    let Some(segment) = segment(name) else { return };
    let (plain, none) = answer(&segment, document.clone(), json!({"noProjections": true})).unwrap();
    let (found, read) = answer(&segment, document.clone(), json!({})).unwrap();
    assert_eq!(none, json!({}));
    assert_eq!(read, projection.map_or(json!({}), |p| json!({p: 1})), "{document}");
    // Doubles are added up in another order.
    let rounded = |value: &Value| match value.as_array().map(Vec::as_slice) {
        Some([]) | None => value.to_string(),
        Some(_) => round(value).to_string(),
    };
    assert_eq!(rounded(&found), rounded(&plain), "{document}");
}

fn round(value: &Value) -> Value {
    match value {
        Value::Number(n) if n.is_f64() => json!((n.as_f64().unwrap() * 1e6).round()),
        Value::Array(list) => list.iter().map(round).collect(),
        Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), round(v))).collect(),
        other => other.clone(),
    }
}

#[test]
fn projections_answer_what_the_rows_answer() {
    let count = json!({"type": "count", "name": "rows"});
    let sums = json!([count, {"type": "longSum", "name": "s", "fieldName": "ls"}, {"type": "doubleSum", "name": "d", "fieldName": "ds"}]);
    let max = json!([{"type": "longMax", "name": "m", "fieldName": "ls"}]);
    for name in ["table_projections", "v10_projections"] {
        check(name, group_by(json!(["page"]), sums.clone(), json!({})), Some("by_page"));
        check(
            name,
            group_by(
                json!(["page"]),
                sums.clone(),
                json!({"filter": {"type": "in", "dimension": "page", "values": ["p1", "p2"]}}),
            ),
            Some("by_page"),
        );
        check(
            name,
            group_by(json!([]), json!([count, {"type": "longSum", "name": "s", "fieldName": "ls"}]), json!({})),
            Some("total"),
        );
        let filtered = json!([{"type": "filtered", "filter": {"type": "selector", "dimension": "page", "value": "p1"}, "aggregator": count}]);
        check(name, group_by(json!([]), filtered, json!({})), Some("by_page"));
        // By the hour, and by what hours make up.
        for granularity in ["hour", "day", "all"] {
            check(name, group_by(json!(["user"]), max.clone(), json!({"granularity": granularity})), Some("hourly"));
        }
        let floor =
            json!([{"type": "expression", "name": "v0", "expression": "timestamp_floor(__time,'PT1H')", "outputType": "LONG"}]);
        let by_floor = json!([{"type": "default", "dimension": "v0", "outputName": "d0", "outputType": "LONG"}]);
        check(name, group_by(by_floor, max.clone(), json!({"virtualColumns": floor})), Some("hourly"));
        let upper = json!([{"type": "expression", "name": "u", "expression": "upper(\"user\")", "outputType": "STRING"}]);
        check(name, group_by(json!(["u"]), max.clone(), json!({"virtualColumns": upper})), Some("hourly"));
        let of_page = json!({"filter": {"type": "equals", "column": "page", "matchValueType": "STRING", "matchValue": "p1"}});
        check(name, group_by(json!(["attr"]), json!([count]), of_page), Some("filtered"));
        let joined = json!([{"type": "expression", "name": "x", "expression": "concat(page,'/',user)", "outputType": "STRING"}]);
        let users = json!([{"type": "hyperUnique", "name": "u", "fieldName": "user"}]);
        check(name, group_by(json!(["x"]), users, json!({"virtualColumns": joined})), Some("virtual"));
        let series = json!({"queryType": "timeseries", "dataSource": "t", "intervals": "1000/3000", "granularity": "hour", "aggregations": max});
        check(name, series, Some("hourly"));
        let top = json!({"queryType": "topN", "dataSource": "t", "intervals": "1000/3000", "granularity": "all", "dimension": "page",
            "metric": "s", "threshold": 3, "aggregations": sums});
        check(name, top, Some("by_page"));
        // What they cannot tell.
        check(name, group_by(json!(["page", "user"]), json!([count]), json!({})), None);
        check(name, group_by(json!(["user"]), max.clone(), json!({"granularity": "minute"})), None);
        check(name, group_by(json!(["page"]), json!([{"type": "longMin", "name": "s", "fieldName": "ls"}]), json!({})), None);
        check(name, group_by(json!(["tags"]), json!([count]), json!({})), None);
        check(name, group_by(json!(["attr"]), json!([count]), json!({})), None);
        let within = "2024-01-01T00:10:00Z/2024-01-01T00:20:00Z";
        check(name, group_by(json!(["page"]), sums.clone(), json!({"intervals": within})), None);
    }
}

#[test]
fn the_context_names_forces_and_forbids_projections() {
    let Some(segment) = segment("table_projections") else { return };
    let document = group_by(json!(["page"]), json!([{"type": "count", "name": "n"}]), json!({}));
    let with = |context: Value| answer(&segment, document.clone(), context);
    assert_eq!(with(json!({"useProjection": "by_page"})).unwrap().1, json!({"by_page": 1}));
    assert_eq!(with(json!({"forceProjections": true})).unwrap().1, json!({"by_page": 1}));
    assert!(with(json!({"useProjection": "hourly"})).unwrap_err().contains("Projection[hourly] specified"));
    let other = group_by(json!(["page", "code"]), json!([]), json!({}));
    assert!(answer(&segment, other, json!({"forceProjections": true})).unwrap_err().contains("none satisfy query"));
}
