use ovate_base::{Interval, ShardSpec};
use ovate_sql::SystemBound;
use serde_json::json;

use super::super::server::{KnownServer, Placement};
use super::super::used::UsedSegment;
use super::*;
use crate::data_server::{RemoteDataServer, SegmentSchema};

const DAY: i64 = 86_400_000;

fn segment(table: &str, day: i64, version: &str) -> Arc<DataSegment> {
    let id = SegmentId::new(table, Interval { start: day * DAY, end: (day + 1) * DAY }, version, 0);
    let mut segment = DataSegment::new(id, ShardSpec::Numbered { partition_num: 0, partitions: 1 });
    segment.size = 10 * (day + 1);
    Arc::new(segment)
}

fn answer(full: bool, segments: &[Arc<DataSegment>], removed: &[Arc<DataSegment>]) -> Answer {
    let used = |segment: &Arc<DataSegment>| UsedSegment { segment: segment.clone(), replication: Some(2) };
    let removed = removed.iter().map(|segment| segment.id()).collect();
    Answer { full, tag: None, segments: segments.iter().map(used).collect(), removed, replicas: Vec::new() }
}

fn served(segment: &Arc<DataSegment>, server_type: &str) -> ServedAt {
    let client = ovate_net::HttpClient::new().expect("a client");
    let remote = RemoteDataServer::new(client, "a:1".to_owned(), "http://a:1".to_owned());
    let placement = Placement { server_type: server_type.to_owned(), ..Placement::default() };
    let server = Arc::new(KnownServer::new(Arc::new(remote), placement));
    let schema = Arc::new(SegmentSchema { rows: 7, columns: Vec::new() });
    ServedAt { segment: segment.clone(), schema, settled: true, servers: vec![server], announcements: vec![1] }
}

/// Datasource, start, and what of the flags and numbers stands in these columns.
fn shown(table: &SegmentTable, scan: &SystemScan, columns: &[usize]) -> Vec<String> {
    let rows = table.scan(scan);
    let text = |value: Value| value.as_text().map_or_else(|| "null".to_owned(), |text| text.to_string());
    let row = |row: usize| columns.iter().map(|c| text(rows.columns[*c].value(row))).collect::<Vec<_>>().join(" ");
    let mut out: Vec<String> = (0..rows.rows).map(row).collect();
    out.sort();
    out
}

const FLAGS: &[usize] = &[5, 9, 10, 11, 13];

#[test]
fn differences_tell_which_segments_are_active_and_overshadowed() {
    let mut table = SegmentTable::default();
    let (old, other, new) = (segment("t", 0, "v1"), segment("t", 1, "v1"), segment("t", 0, "v2"));
    table.apply(answer(true, &[old.clone(), other.clone()], &[]));
    let all = SystemScan::default();
    assert_eq!(shown(&table, &all, FLAGS), ["v1 1 1 0 0", "v1 1 1 0 0"]);
    table.apply(answer(false, std::slice::from_ref(&new), &[]));
    assert_eq!(shown(&table, &all, FLAGS), ["v1 0 1 0 1", "v1 1 1 0 0", "v2 1 1 0 0"]);
    table.serve(&old.id(), Some(&served(&old, "historical")));
    table.apply(answer(false, &[], std::slice::from_ref(&old)));
    assert_eq!(shown(&table, &all, FLAGS), ["v1 0 0 1 0", "v1 1 1 0 0", "v2 1 1 0 0"], "served and not used");
    table.serve(&old.id(), None);
    table.apply(answer(false, &[], &[new]));
    assert_eq!(shown(&table, &all, FLAGS), ["v1 1 1 0 0"]);
    // A whole list says the same as the differences.
    let lists = [segment("t", 0, "v1"), segment("t", 0, "v3"), segment("u", 3, "v1")];
    table.apply(answer(true, &lists, &[]));
    assert_eq!(shown(&table, &all, &[1, 5, 9, 13]), ["t v1 0 1", "t v3 1 0", "u v1 1 0"]);
    table.apply(answer(true, &[], &[]));
    assert_eq!((table.len(), table.instants.len()), (0, 0));
}

#[test]
fn segments_of_tasks_alone_are_realtime_and_active() {
    let mut table = SegmentTable::default();
    let segment = segment("t", 0, "v1");
    table.serve(&segment.id(), Some(&served(&segment, "indexer-executor")));
    assert_eq!(shown(&table, &SystemScan::default(), &[7, 8, 9, 10, 11, 12, 19]), ["1 7 1 0 1 1 -1"]);
    table.serve(&segment.id(), Some(&served(&segment, "historical")));
    assert_eq!(shown(&table, &SystemScan::default(), &[7, 8, 9, 10, 11, 12]), ["1 7 0 0 1 0"]);
    table.serve_none();
    assert_eq!(table.len(), 0);
}

#[test]
fn comparisons_are_made_where_the_rows_are() {
    let mut table = SegmentTable::default();
    let segments: Vec<_> = (0..20).flat_map(|day| ["t", "u"].map(|name| segment(name, day, "v1"))).collect();
    table.apply(answer(true, &segments, &[]));
    let bound = |column: usize, op: &str, value: Value| SystemBound {
        column,
        comparison: Comparison::named(op).expect("an operator"),
        value,
    };
    let scan = SystemScan {
        columns: Vec::new(),
        among: vec![(DATASOURCE, vec!["t".to_owned()])],
        bounds: vec![bound(2, ">=", "1970-01-19".into()), bound(4, "<", Value::Long(200)), bound(9, "=", Value::Long(1))],
        limit: None,
    };
    assert_eq!(shown(&table, &scan, &[1, 2, 4]), ["t 1970-01-19T00:00:00.000Z 190"]);
    let id = segments[3].id().to_string();
    let scan = SystemScan { among: vec![(SEGMENT_ID, vec![id.clone(), "x".to_owned()])], ..SystemScan::default() };
    assert_eq!(shown(&table, &scan, &[0]), [id]);
    let some = SystemScan { limit: Some(25), bounds: vec![bound(4, ">", Value::Long(20))], ..SystemScan::default() };
    assert_eq!(table.scan(&some).rows, 25);
    let only = SystemScan { columns: (0..20).map(|c| c == 4).collect(), ..SystemScan::default() };
    let rows = table.scan(&only);
    assert!(matches!(rows.columns[0], Vector::Null { len: 40 }) && matches!(rows.columns[4], Vector::Long { .. }));
    let shard = SystemScan { bounds: vec![bound(14, ">", json!({}).to_string().as_str().into())], ..SystemScan::default() };
    assert_eq!(table.scan(&shard).rows, 0, "the shard spec's text begins with a quote inside the brace");
}
