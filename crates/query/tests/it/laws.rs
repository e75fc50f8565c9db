//! Laws: how rows are spread over segments does not matter, nor whether partials travel; damage is an error.

use std::sync::Arc;

use ovate_compute::column::MemoryTable;
use ovate_compute::{ColumnSource, Vector};
use ovate_query::{Partial, SegmentRef, merge, run_segment, run_segments};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::*;

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let city = prop::sample::select(vec![None, Some(""), Some("ulm"), Some("bonn"), Some("köln"), Some("mainz")]);
    let tags = prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 0..3);
    let row = (0i64..4 * DAY_MS, city, tags, prop::option::of(-3i64..4), -8i32..8);
    let row = row.prop_map(|(time, city, tags, number, price)| Row { time, city, tags, number, price: f64::from(price) / 4.0 });
    prop::collection::vec(row, 0..60)
}

fn queries() -> Vec<Value> {
    let aggregations = json!([
        {"type": "count", "name": "n"}, {"type": "longSum", "name": "sum", "fieldName": "number"},
        {"type": "doubleMax", "name": "max", "fieldName": "price"}, {"type": "doubleSum", "name": "prices", "fieldName": "price"}
    ]);
    let base = |kind: &str| {
        json!({"queryType": kind, "dataSource": "t", "intervals": ["1970-01-01/1970-01-03T12"],
        "granularity": "all", "aggregations": aggregations})
    };
    let with = |mut query: Value, more: Value| {
        for (name, value) in more.as_object().unwrap() {
            query[name] = value.clone();
        }
        query
    };
    let long = json!({"dimension": "number", "outputName": "k", "outputType": "LONG"});
    vec![
        with(base("timeseries"), json!({"granularity": "hour", "context": {"skipEmptyBuckets": true}})),
        with(base("groupBy"), json!({"dimensions": ["city", "tags", long], "granularity": "day"})),
        with(base("groupBy"), json!({"dimensions": ["number", "price"], "granularity": "none"})),
        with(
            base("groupBy"),
            json!({"dimensions": [{"dimension": "city", "outputName": "d", "outputType": "DOUBLE"}],
            "filter": {"type": "selector", "dimension": "tags", "value": "a"}}),
        ),
        with(base("topN"), json!({"dimension": "tags", "metric": "sum", "threshold": 2, "granularity": "all"})),
        json!({"queryType": "search", "dataSource": "t", "intervals": "1970-01-01/1970-01-03", "query": {"type": "all"}}),
        json!({"queryType": "timeBoundary", "dataSource": "t"}),
        json!({"queryType": "scan", "dataSource": "t", "intervals": "1970-01-01/1970-01-04", "resultFormat": "compactedList",
            "columns": ["__time"], "limit": 3, "offset": 1, "order": "descending"}),
        json!({"queryType": "scan", "dataSource": "t", "intervals": "1970-01-01/1970-01-03", "resultFormat": "compactedList",
            "columns": ["number", "city", "price"], "limit": 30, "offset": 2,
            "orderBy": [{"columnName": "number"}, {"columnName": "city", "order": "descending"}, {"columnName": "price"}]}),
    ]
}

/// Search and topN name the first instant looked at, which depends on which segments there are.
fn comparable(mut answer: Value) -> Value {
    for item in answer.as_array_mut().into_iter().flatten() {
        if item.get("result").is_some_and(Value::is_array) {
            item["timestamp"] = Value::Null;
        }
        if item.get("segmentId").is_some() {
            item["segmentId"] = Value::Null;
        }
    }
    answer
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_spread_over_segments_gives_the_same_answer(rows in rows(), cuts in prop::collection::vec(0usize..60, 0..4), sort in any::<bool>()) {
        let mut rows = rows;
        if sort {
            rows.sort_by_key(|row| row.time);
        }
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(rows.len())).chain([0, rows.len()]).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let parts: Vec<_> = cuts.windows(2).map(|pair| table(&rows[pair[0]..pair[1]])).collect();
        let whole = [table(&rows)];
        for json in queries() {
            let query = query(json);
            if rows.is_empty() {
                continue;
            }
            let expected = comparable(answer_of(&query, &whole).unwrap());
            prop_assert_eq!(comparable(answer_of(&query, &parts).unwrap()), expected.clone());
            let segments: Vec<SegmentRef> = parts
                .iter()
                .enumerate()
                .map(|(i, source)| SegmentRef::new(&format!("s{i}"), query.intervals().to_vec(), source.clone()))
                .collect();
            let partial = run_segments(&query, &segments, &context(), 2).unwrap();
            prop_assert_eq!(comparable(finished(&query, partial).unwrap()), expected.clone());
            // Every partial travels.
            let mut partials = Vec::new();
            for segment in &segments {
                let bytes = run_segment(&query, segment, &context()).unwrap().encode().unwrap();
                let decoded = Partial::decode(&bytes).unwrap();
                prop_assert_eq!(decoded.encode().unwrap(), bytes);
                partials.push(decoded);
            }
            let merged = merge(&query, partials, &context()).unwrap();
            prop_assert_eq!(comparable(finished(&query, merged).unwrap()), expected);
        }
    }

    #[test]
    fn damaged_partials_are_errors_or_other_partials_but_never_panic(rows in rows(), flips in prop::collection::vec((0usize..4000, any::<u8>()), 1..6), cut in 0usize..4000) {
        for json in queries() {
            let query = query(json);
            let segment = SegmentRef::new("s", query.intervals().to_vec(), table(&rows));
            let mut bytes = run_segment(&query, &segment, &context()).unwrap().encode().unwrap();
            for (at, flip) in &flips {
                let at = at % bytes.len();
                bytes[at] ^= flip;
            }
            bytes.truncate(bytes.len().min(cut.max(1)));
            if let Ok(partial) = Partial::decode(&bytes) {
                let _ = merge(&query, vec![partial.clone(), partial], &context()).and_then(|merged| finished(&query, merged));
            }
        }
    }
}

/// Enough groups that merging is cut into parts.
#[test]
fn many_groups_on_threads_give_the_same_answer() {
    let part = |start: i64| -> Vec<Row> {
        let row =
            |i: i64| Row { time: i, city: None, tags: vec![], number: Some(i * 7919 % 50_021), price: (i % 97 / 32) as f64 };
        (start..start + 36_000).map(row).collect()
    };
    let texts = |rows: &[Row]| {
        let columns = vec![
            ("__time".to_owned(), Vector::Long { values: rows.iter().map(|row| row.time).collect(), nulls: None }),
            ("city".to_owned(), Vector::String(rows.iter().map(|r| r.number.map(|n| format!("c{n}").into())).collect())),
            ("price".to_owned(), Vector::Double { values: rows.iter().map(|row| row.price).collect(), nulls: None }),
        ];
        Arc::new(MemoryTable::new(columns).unwrap().with_bitmaps().unwrap()) as Arc<dyn ColumnSource>
    };
    let parts: Vec<_> = [0, 36_000, 72_000].map(|start| texts(&part(start))).into();
    for dimensions in [json!(["city"]), json!(["city", {"dimension": "price", "outputName": "p", "outputType": "DOUBLE"}])] {
        let query = query(json!({"queryType": "groupBy", "dataSource": "t", "intervals": "1970/1971", "granularity": "all",
            "dimensions": dimensions, "aggregations": [{"type": "count", "name": "n"}, {"type": "doubleSum", "name": "s", "fieldName": "price"}],
            "context": {"resultAsArray": true}}));
        let segments: Vec<SegmentRef> =
            parts.iter().map(|source| SegmentRef::new("s", query.intervals().to_vec(), source.clone())).collect();
        let context = context();
        let partial = run_segments(&query, &segments, &context, 2).unwrap();
        let expected = answer_of(&query, &parts).unwrap();
        assert!(expected.as_array().unwrap().len() > 40_000);
        assert_eq!(finished(&query, partial).unwrap(), expected);
        // Once more, with dictionaries that know everything already.
        let again = run_segments(&query, &segments, &context, 2).unwrap();
        assert_eq!(finished(&query, again).unwrap(), expected);
    }
}

/// Puts `patch` in place of the `at`th value of a document, counted from the outside in.
fn patched(value: &mut Value, at: &mut usize, patch: &Value) {
    if *at == 0 {
        *value = patch.clone();
        *at = usize::MAX;
        return;
    }
    *at -= 1;
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| {
            if *at != usize::MAX {
                patched(item, at, patch)
            }
        }),
        Value::Object(map) => map.values_mut().for_each(|item| {
            if *at != usize::MAX {
                patched(item, at, patch)
            }
        }),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn spoilt_documents_are_errors_or_run_but_never_panic(patches in prop::collection::vec((0usize..60, 0usize..12), 1..4)) {
        let values = [json!(null), json!(-1), json!(0), json!(1e300), json!("x"), json!(""), json!([]), json!({}), json!(["city"]),
            json!({"type": "x"}), json!(true), json!("day")];
        for mut document in queries() {
            for (at, value) in &patches {
                patched(&mut document, &mut at.clone(), &values[*value]);
            }
            let Ok(query) = ovate_query::NativeQuery::from_json(&document) else { continue };
            let written = query.to_json();
            prop_assert_eq!(ovate_query::NativeQuery::from_json(&written).unwrap().to_json(), written);
            let _ = answer_of(&query, &[table(&five())]);
        }
    }
}
