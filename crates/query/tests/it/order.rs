//! Aggregations whose result shows the order of merging: partials of segments are merged in the order of the segments, on
//! however many threads.

use std::sync::Arc;

use ovate_compute::column::MemoryTable;
use ovate_compute::{ColumnSource, Vector};
use ovate_query::{SegmentRef, run_segments};
use serde_json::{Value, json};

use crate::support::{context, finished, query};

/// Segments of one row or of many, which take different times.
fn segments(count: i64) -> Vec<SegmentRef> {
    let one = |segment: i64| {
        let rows = if segment % 3 == 0 { 30 } else { 1 };
        let columns = vec![
            ("__time".to_owned(), Vector::Long { values: vec![segment; rows], nulls: None }),
            ("key".to_owned(), Vector::Long { values: vec![0; rows], nulls: None }),
            ("number".to_owned(), Vector::Long { values: vec![segment; rows], nulls: None }),
        ];
        let source: Arc<dyn ColumnSource> = Arc::new(MemoryTable::new(columns).expect("a table"));
        SegmentRef::new(&format!("s{segment}"), vec![ovate_base::Interval::ETERNITY], source)
    };
    (0..count).map(one).collect()
}

#[test]
fn any_value_of_everything_is_the_first_segments() {
    let any = json!({"type": "longAny", "name": "any", "fieldName": "number"});
    let query = query(json!({"queryType": "timeseries", "dataSource": "t", "intervals": "0000/3000", "granularity": "all",
        "aggregations": [any, {"type": "filtered", "name": "odd", "aggregator": any, "filter":
            {"type": "range", "column": "number", "matchValueType": "LONG", "lower": 5}}]}));
    // The first segment is the largest, so that others are done before it.
    for _ in 0..20 {
        let partial = run_segments(&query, &segments(15), &context(), 4).expect("it runs");
        let rows: Value = finished(&query, partial).expect("rows");
        assert_eq!(rows[0]["result"]["any"], json!(0), "{rows}");
    }
}

#[test]
fn gathered_arrays_are_in_the_order_of_the_segments_on_any_number_of_threads() {
    let gather = json!({"type": "expression", "name": "all", "fields": ["number"], "accumulatorIdentifier": "__acc",
        "initialValue": "ARRAY<LONG>[]", "fold": "array_append(\"__acc\", \"number\")",
        "combine": "array_concat(\"__acc\", \"all\")", "maxSizeBytes": 1_000_000});
    let filtered = json!({"type": "filtered", "name": "all", "aggregator": gather, "filter": {"type": "true"}});
    let segments = segments(15);
    let expected: Vec<i64> =
        (0..15).flat_map(|segment| std::iter::repeat_n(segment, if segment % 3 == 0 { 30 } else { 1 })).collect();
    for aggregator in [gather, filtered] {
        for keys in [json!([]), json!(["key"])] {
            let query = query(json!({"queryType": "groupBy", "dataSource": "t", "intervals": "0000/3000",
                "granularity": "all", "dimensions": keys, "aggregations": [aggregator]}));
            for threads in [1, 4, 4, 4] {
                let partial = run_segments(&query, &segments, &context(), threads).expect("it runs");
                let rows: Value = finished(&query, partial).expect("rows");
                assert_eq!(rows[0]["event"]["all"], json!(expected), "{keys} {threads}");
            }
        }
    }
}
