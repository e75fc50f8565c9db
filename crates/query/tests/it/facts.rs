//! Facts about single queries.

use expect_test::{Expect, expect};
use ovate_query::NativeQuery;
use serde_json::{Value, json};

use crate::support::*;

const ALL: &str = "1970-01-01/1970-01-11";

fn check(query: Value, expected: Expect) {
    expected.assert_eq(&answer(&five(), query));
}

fn refused(query: Value, expected: Expect) {
    expected.assert_eq(&NativeQuery::from_json(&query).unwrap_err().message);
}

fn grouped(more: Value) -> Value {
    let mut query = json!({
        "queryType": "groupBy", "dataSource": "t", "intervals": ALL, "granularity": "all", "dimensions": ["city"],
        "aggregations": [{"type": "count", "name": "n"}, {"type": "longSum", "name": "sum", "fieldName": "number"}],
    });
    for (name, value) in more.as_object().unwrap() {
        query[name] = value.clone();
    }
    query
}

fn series(more: Value) -> Value {
    let mut query = json!({
        "queryType": "timeseries", "dataSource": "t", "intervals": "1970-01-01/1970-01-03", "granularity": "day",
        "aggregations": [{"type": "count", "name": "n"}, {"type": "longSum", "name": "sum", "fieldName": "number"}],
    });
    for (name, value) in more.as_object().unwrap() {
        query[name] = value.clone();
    }
    query
}

#[test]
fn timeseries_has_a_row_a_bucket() {
    check(
        series(json!({})),
        expect![[
            r#"[{"timestamp":"1970-01-01T00:00:00.000Z","result":{"n":2,"sum":3}},{"timestamp":"1970-01-02T00:00:00.000Z","result":{"n":1,"sum":null}}]"#
        ]],
    );
}

#[test]
fn timeseries_fills_buckets_that_the_filter_empties() {
    let filter = json!({"filter": {"type": "selector", "dimension": "city", "value": "bonn"}});
    check(
        series(filter.clone()),
        expect![[
            r#"[{"timestamp":"1970-01-01T00:00:00.000Z","result":{"n":1,"sum":2}},{"timestamp":"1970-01-02T00:00:00.000Z","result":{"n":0,"sum":null}}]"#
        ]],
    );
    let mut skipping = filter;
    skipping["context"] = json!({"skipEmptyBuckets": true});
    check(series(skipping), expect![[r#"[{"timestamp":"1970-01-01T00:00:00.000Z","result":{"n":1,"sum":2}}]"#]]);
}

#[test]
fn grand_total_comes_last_without_a_timestamp() {
    check(
        series(json!({"descending": true, "context": {"grandTotal": true, "serializeDateTimeAsLong": "true"}})),
        expect![[
            r#"[{"timestamp":86400000,"result":{"n":1,"sum":null}},{"timestamp":0,"result":{"n":2,"sum":3}},{"timestamp":null,"result":{"n":3,"sum":3}}]"#
        ]],
    );
}

#[test]
fn timeseries_of_granularity_all_begins_at_the_first_row_looked_at() {
    check(
        series(json!({"granularity": "all", "intervals": "1969-01-01/1971-01-01"})),
        expect![[r#"[{"timestamp":"1970-01-01T00:00:00.000Z","result":{"n":5,"sum":15}}]"#]],
    );
    check(
        series(json!({"granularity": "all", "intervals": "1980-01-01/1981-01-01"})),
        expect![[r#"[{"timestamp":"1980-01-01T00:00:00.000Z","result":{"n":0,"sum":null}}]"#]],
    );
}

#[test]
fn group_by_sorts_by_its_dimensions_with_null_first() {
    check(
        grouped(json!({"context": {"resultAsArray": true}})),
        expect![[r#"[[null,1,null],["bonn",1,2],["köln",1,2],["ulm",2,11]]"#]],
    );
}

#[test]
fn multi_value_rows_count_for_each_of_their_values() {
    check(
        grouped(json!({"dimensions": ["tags"], "context": {"resultAsArray": true}})),
        expect![[r#"[[null,1,2],["a",3,13],["b",2,1],["c",1,2]]"#]],
    );
    check(
        grouped(json!({"dimensions": ["tags", {"dimension": "tags", "outputName": "other"}], "context": {"resultAsArray": true},
            "filter": {"type": "selector", "dimension": "tags", "value": "c"}})),
        expect![[r#"[["a","a",1,2],["a","c",1,2],["c","a",1,2],["c","c",1,2]]"#]],
    );
}

#[test]
fn numbers_group_as_text_unless_told_otherwise() {
    check(
        grouped(json!({"dimensions": ["number"], "context": {"resultAsArray": true}})),
        expect![[r#"[[null,1,null],["1",1,1],["10",1,10],["2",2,4]]"#]],
    );
    check(
        grouped(json!({"dimensions": [{"dimension": "number", "outputName": "k", "outputType": "LONG"}],
            "context": {"resultAsArray": true}})),
        expect![[r#"[[null,1,null],[1,1,1],[2,2,4],[10,1,10]]"#]],
    );
}

#[test]
fn having_limit_and_offset_apply_in_this_order() {
    let having = json!({"type": "greaterThan", "aggregation": "sum", "value": 1});
    let columns = json!([{"dimension": "sum", "direction": "descending"}]);
    check(
        grouped(json!({"having": having, "limitSpec": {"type": "default", "columns": columns, "limit": 2},
            "context": {"resultAsArray": true}})),
        expect![[r#"[["ulm",2,11],["bonn",1,2]]"#]],
    );
    check(
        grouped(json!({"having": having, "limitSpec": {"type": "default", "columns": columns, "limit": 2, "offset": 2},
            "context": {"resultAsArray": true}})),
        expect![[r#"[["köln",1,2]]"#]],
    );
    let filter = json!({"type": "filter", "filter": {"type": "selector", "dimension": "city", "value": "ulm"}});
    check(grouped(json!({"having": filter, "context": {"resultAsArray": true}})), expect![[r#"[["ulm",2,11]]"#]]);
}

#[test]
fn subtotals_leave_out_dimensions_as_null() {
    check(
        grouped(json!({"dimensions": ["city", {"dimension": "number", "outputName": "k", "outputType": "LONG"}],
            "subtotalsSpec": [["city"], ["k"], []], "context": {"resultAsArray": true}})),
        expect![[
            r#"[[null,null,1,null],["bonn",null,1,2],["köln",null,1,2],["ulm",null,2,11],[null,null,1,null],[null,1,1,1],[null,2,2,4],[null,10,1,10],[null,null,5,15]]"#
        ]],
    );
}

#[test]
fn group_by_without_dimensions_has_a_row_for_no_rows() {
    check(
        grouped(json!({"dimensions": [], "filter": {"type": "false"}})),
        expect![[r#"[{"version":"v1","timestamp":"1970-01-01T00:00:00.000Z","event":{"n":0,"sum":null}}]"#]],
    );
    check(grouped(json!({"dimensions": [], "granularity": "day", "filter": {"type": "false"}})), expect!["[]"]);
}

#[test]
fn group_by_time_and_dimension() {
    check(
        grouped(json!({"granularity": "day", "filter": {"type": "selector", "dimension": "city", "value": "ulm"}})),
        expect![[
            r#"[{"version":"v1","timestamp":"1970-01-01T00:00:00.000Z","event":{"city":"ulm","n":1,"sum":1}},{"version":"v1","timestamp":"1970-01-03T00:00:00.000Z","event":{"city":"ulm","n":1,"sum":10}}]"#
        ]],
    );
}

fn top(metric: Value, more: Value) -> Value {
    let mut query = json!({
        "queryType": "topN", "dataSource": "t", "intervals": ALL, "granularity": "all", "dimension": "city", "threshold": 2,
        "metric": metric, "aggregations": [{"type": "longSum", "name": "sum", "fieldName": "number"}],
    });
    for (name, value) in more.as_object().unwrap() {
        query[name] = value.clone();
    }
    query
}

#[test]
fn top_n_breaks_ties_by_the_dimension() {
    check(
        top(json!("sum"), json!({"threshold": 3})),
        expect![[
            r#"[{"timestamp":"1970-01-01T00:00:00.000Z","result":[{"city":"ulm","sum":11},{"city":"bonn","sum":2},{"city":"köln","sum":2}]}]"#
        ]],
    );
    check(
        top(json!({"type": "inverted", "metric": "sum"}), json!({})),
        expect![[r#"[{"timestamp":"1970-01-01T00:00:00.000Z","result":[{"city":"bonn","sum":2},{"city":"köln","sum":2}]}]"#]],
    );
}

#[test]
fn top_n_by_dimension_begins_after_previous_stop() {
    check(
        top(json!({"type": "dimension", "ordering": "lexicographic", "previousStop": "bonn"}), json!({})),
        expect![[r#"[{"timestamp":"1970-01-01T00:00:00.000Z","result":[{"city":"köln","sum":2},{"city":"ulm","sum":11}]}]"#]],
    );
}

#[test]
fn top_n_lists_buckets_without_rows() {
    check(
        top(json!("sum"), json!({"granularity": "day", "filter": {"type": "selector", "dimension": "city", "value": "bonn"}})),
        expect![[
            r#"[{"timestamp":"1970-01-01T00:00:00.000Z","result":[{"city":"bonn","sum":2}]},{"timestamp":"1970-01-02T00:00:00.000Z","result":[]},{"timestamp":"1970-01-03T00:00:00.000Z","result":[]}]"#
        ]],
    );
}

#[test]
fn scan_gives_rows_with_their_segment() {
    let scan = |more: Value| {
        let mut query = json!({"queryType": "scan", "dataSource": "t", "intervals": ALL, "columns": ["__time", "tags", "price"]});
        for (name, value) in more.as_object().unwrap() {
            query[name] = value.clone();
        }
        query
    };
    check(
        scan(json!({"limit": 2, "offset": 1, "resultFormat": "compactedList"})),
        expect![[
            r#"[{"segmentId":"s0","columns":["__time","tags","price"],"events":[[1000,null,-0.25],[86400000,"b",10000000000.0]],"rowSignature":[{"name":"__time","type":"LONG"},{"name":"tags","type":"STRING"},{"name":"price","type":"DOUBLE"}]}]"#
        ]],
    );
    check(
        scan(json!({"limit": 1, "order": "descending", "columns": ["city", "__time"]})),
        expect![[
            r#"[{"segmentId":null,"columns":["city","__time"],"events":[{"city":"köln","__time":172800005}],"rowSignature":[{"name":"city","type":"STRING"},{"name":"__time","type":"LONG"}]}]"#
        ]],
    );
    check(
        scan(json!({"orderBy": [{"columnName": "price", "order": "descending"}], "limit": 2, "columns": ["price"],
            "resultFormat": "compactedList"})),
        expect![[
            r#"[{"segmentId":null,"columns":["price"],"events":[[10000000000.0],[2.0]],"rowSignature":[{"name":"price","type":"DOUBLE"}]}]"#
        ]],
    );
}

#[test]
fn search_counts_rows_of_values_that_contain_the_text() {
    check(
        json!({"queryType": "search", "dataSource": "t", "intervals": ALL, "searchDimensions": ["city", "tags"],
            "query": {"type": "insensitive_contains", "value": "B"}}),
        expect![[
            r#"[{"timestamp":"1970-01-01T00:00:00.000Z","result":[{"dimension":"tags","value":"b","count":2},{"dimension":"city","value":"bonn","count":1}]}]"#
        ]],
    );
}

#[test]
fn time_boundary_follows_the_filter() {
    let boundary = |more: Value| {
        let mut query = json!({"queryType": "timeBoundary", "dataSource": "t"});
        for (name, value) in more.as_object().unwrap() {
            query[name] = value.clone();
        }
        query
    };
    check(
        boundary(json!({})),
        expect![[
            r#"[{"timestamp":"1970-01-01T00:00:00.000Z","result":{"minTime":"1970-01-01T00:00:00.000Z","maxTime":"1970-01-03T00:00:00.005Z"}}]"#
        ]],
    );
    check(
        boundary(json!({"bound": "maxTime", "filter": {"type": "selector", "dimension": "city", "value": "bonn"}})),
        expect![[r#"[{"timestamp":"1970-01-01T00:00:01.000Z","result":{"maxTime":"1970-01-01T00:00:01.000Z"}}]"#]],
    );
}

#[test]
fn errors_name_what_is_wrong() {
    refused(
        json!({"queryType": "select"}),
        expect![[
            r#"unknown query type [select], known types are ["timeseries", "topN", "groupBy", "scan", "search", "timeBoundary", "segmentMetadata", "dataSourceMetadata", "windowOperator", "union", "movingAverage"]"#
        ]],
    );
    refused(json!({"dataSource": "t"}), expect!["query must have a field [queryType]"]);
    refused(json!({"queryType": "timeseries", "dataSource": "t"}), expect!["timeseries query must have a field [intervals]"]);
    refused(
        json!({"queryType": "topN", "dataSource": "t", "intervals": ALL, "dimension": "a", "metric": "m", "threshold": 1}),
        expect!["metric [m] of the topN query is neither an aggregation nor a postAggregation"],
    );
    refused(
        json!({"queryType": "groupBy", "dataSource": {"type": "tabel"}, "intervals": ALL}),
        expect![[
            r#"unknown datasource type [tabel], known types are ["table", "globalTable", "lookup", "inline", "union", "query", "join", "unnest", "filter", "restrict"]"#
        ]],
    );
    refused(grouped(json!({"dimensions": ["n"]})), expect!["output name [n] is used more than once in groupBy query"]);
}

#[test]
fn a_profile_says_what_was_looked_at() {
    let rows = five();
    let segment = |source| ovate_query::SegmentRef::new("s", vec![ovate_base::Interval::ETERNITY], source);
    let segments = [segment(table(&rows[..2])), segment(table(&rows[2..]))];
    let profiled = |filter: serde_json::Value| {
        let query = query(json!({"queryType": "groupBy", "dataSource": "t", "intervals": "1970/1971", "granularity": "all",
            "dimensions": ["city"], "filter": filter, "aggregations": [{"type": "longSum", "name": "n", "fieldName": "number"}]}));
        let profile = std::sync::Arc::new(ovate_query::Profile::default());
        let context = context().with_profile(Some(profile.clone()));
        let partial = ovate_query::run_segments(&query, &segments, &context, 1).unwrap();
        ovate_query::finalize(&query, partial, &context).unwrap();
        let told = profile.to_json();
        ["segments", "rowsInSegments", "rowsSelected", "filtersByIndex", "filtersByRow", "groups"]
            .map(|name| told[name].as_u64().unwrap())
    };
    assert_eq!(profiled(json!(null)), [2, 5, 5, 0, 0, 4]);
    assert_eq!(profiled(json!({"type": "selector", "dimension": "city", "value": "ulm"})), [2, 5, 2, 2, 0, 1]);
    assert_eq!(profiled(json!({"type": "range", "column": "number", "matchValueType": "LONG", "lower": 2})), [2, 5, 3, 0, 2, 3]);
}

#[test]
fn a_segment_that_is_cut_for_several_threads_counts_once_in_the_profile() {
    let row = |time| Row { time, city: Some(["ulm", "bonn"][time as usize % 2]), tags: vec![], number: Some(1), price: 0.0 };
    let rows: Vec<Row> = (0..100_000).map(row).collect();
    let segment = ovate_query::SegmentRef::new("s", vec![ovate_base::Interval::ETERNITY], table(&rows));
    for query_type in ["groupBy", "timeseries"] {
        let query = query(json!({"queryType": query_type, "dataSource": "t", "intervals": "1970/1971", "granularity": "all",
            "dimensions": ["city"], "filter": {"type": "selector", "dimension": "city", "value": "ulm"},
            "aggregations": [{"type": "longSum", "name": "n", "fieldName": "number"}]}));
        let profile = std::sync::Arc::new(ovate_query::Profile::default());
        let context = context().with_profile(Some(profile.clone())).with_piece_rows(1000);
        ovate_query::run_segments(&query, std::slice::from_ref(&segment), &context, 4).unwrap();
        let told = profile.to_json();
        let counts = ["segments", "rowsInSegments", "rowsSelected", "filtersByIndex"].map(|name| told[name].as_u64().unwrap());
        assert_eq!(counts, [1, 100_000, 50_000, 1], "{query_type}");
    }
}
