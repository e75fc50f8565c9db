//! Written segments give the answers that the same rows give in memory: what they know beyond the rows (block summaries,
//! bounds, hashes beside dictionaries, numbers shared between segments) changes nothing, the first time and the second.

use std::sync::Arc;

use ovate_compute::aggregate::AggregatorSpec;
use ovate_compute::aggregate::stored_items::STORED_KINDS;
use ovate_compute::column::MemoryTable;
use ovate_compute::{ColumnSource, Vector};
use ovate_query::{SegmentRef, run_segments};
use ovate_segment::Segment;
use ovate_segment::incremental::{DimensionSchema, IncrementalIndex, IndexSchema, InputColumn, RowBatch};
use ovate_segment::read::Accelerator;
use ovate_segment::write::IndexSpec;
use serde_json::{Value, json};

use crate::support::{answer_of, context, finished, query};

const ROWS: usize = 10_000;
const DAY_MS: i64 = 86_400_000;

struct Columns {
    times: Vec<i64>,
    cities: Vec<String>,
    days: Vec<i64>,
    day_nulls: Vec<bool>,
    latency: Vec<i64>,
    price: Vec<f64>,
}

fn columns(part: i64) -> Columns {
    let rows = 0..ROWS as i64;
    let mixed = |i: i64, n: i64| ((i + part * 31) * 7919 + i / 7) % n;
    Columns {
        times: rows.clone().map(|i| part * DAY_MS * 20 + i * DAY_MS * 20 / ROWS as i64).collect(),
        cities: rows.clone().map(|i| format!("city {}", mixed(i, 700 + part * 100))).collect(),
        days: rows.clone().map(|i| (mixed(i, 90) - 40) * DAY_MS).collect(),
        day_nulls: rows.clone().map(|i| part == 1 && i % 97 == 0).collect(),
        latency: rows.clone().map(|i| mixed(i, 1_000) * mixed(i, 3)).collect(),
        price: rows.map(|i| mixed(i, 64) as f64 / 4.0).collect(),
    }
}

fn written(columns: &Columns, dir: &std::path::Path) -> Arc<dyn ColumnSource> {
    let codes: Vec<u32> = (0..ROWS as u32).collect();
    let cities: Vec<Option<&str>> = columns.cities.iter().map(|city| Some(city.as_str())).collect();
    let metric =
        |kind: &str, name: &str| AggregatorSpec::from_json(&json!({"type": kind, "name": name, "fieldName": name})).unwrap();
    let mut index = IncrementalIndex::new(IndexSchema {
        dimensions: vec![DimensionSchema::string("city")],
        metrics: vec![metric("longSum", "day"), metric("longSum", "latency"), metric("doubleSum", "price")],
        ..IndexSchema::default()
    })
    .unwrap();
    let nulls = columns.day_nulls.contains(&true).then_some(columns.day_nulls.as_slice());
    let input = [
        ("city", InputColumn::Dictionary { values: &cities, codes: &codes }),
        ("day", InputColumn::Longs { values: &columns.days, nulls }),
        ("latency", InputColumn::Longs { values: &columns.latency, nulls: None }),
        ("price", InputColumn::Doubles { values: &columns.price, nulls: None }),
    ];
    index.add_batch(&RowBatch { timestamps: &columns.times, columns: &input, selection: None }).unwrap();
    index.persist(dir, &IndexSpec::default()).unwrap();
    Arc::new(Segment::open(dir).unwrap())
}

fn in_memory(columns: &Columns) -> Arc<dyn ColumnSource> {
    let nulls = columns.day_nulls.contains(&true).then(|| columns.day_nulls.clone());
    let columns = vec![
        ("__time".to_owned(), Vector::Long { values: columns.times.clone(), nulls: None }),
        ("city".to_owned(), Vector::String(columns.cities.iter().map(|city| Some(city.as_str().into())).collect())),
        ("day".to_owned(), Vector::Long { values: columns.days.clone(), nulls }),
        ("latency".to_owned(), Vector::Long { values: columns.latency.clone(), nulls: None }),
        ("price".to_owned(), Vector::Double { values: columns.price.clone(), nulls: None }),
    ];
    Arc::new(MemoryTable::new(columns).unwrap().with_bitmaps().unwrap())
}

fn queries() -> Vec<Value> {
    let sums = json!([
        {"type": "count", "name": "n"},
        {"type": "longSum", "name": "ls", "fieldName": "latency"},
        {"type": "longMin", "name": "lmin", "fieldName": "latency"},
        {"type": "longMax", "name": "lmax", "fieldName": "day"},
        {"type": "doubleSum", "name": "ds", "fieldName": "price"},
        {"type": "doubleSum", "name": "ds2", "fieldName": "price"},
        {"type": "doubleMax", "name": "dmax", "fieldName": "price"},
        {"type": "filtered", "aggregator": {"type": "longSum", "name": "f", "fieldName": "latency"},
            "filter": {"type": "selector", "dimension": "city", "value": "city 5"}},
    ]);
    // Registers and few values do not depend on the order; estimates of many do.
    let sketches = json!([
        {"type": "cardinality", "name": "c", "fields": ["city"]},
        {"type": "thetaSketch", "name": "t", "fieldName": "city"},
        {"type": "quantilesDoublesSketch", "name": "q", "fieldName": "latency"},
        {"type": "HLLSketchBuild", "name": "h", "fieldName": "city", "lgK": 14, "round": true},
    ]);
    let long = |dimension: &str| json!({"type": "default", "dimension": dimension, "outputName": "d", "outputType": "LONG"});
    let step = |expression: &str| json!([{"type": "expression", "name": "v", "expression": expression, "outputType": "LONG"}]);
    let mut all = Vec::new();
    for aggregations in [&sums, &sketches] {
        for dimensions in
            [json!([]), json!(["city"]), json!([long("day")]), json!([long("latency")]), json!(["city", long("day")])]
        {
            for filter in [json!(null), json!({"type": "selector", "dimension": "city", "value": "city 7"})] {
                all.push(json!({"queryType": "groupBy", "dataSource": "t", "intervals": "1970/1975", "granularity": "all",
                    "dimensions": dimensions, "aggregations": aggregations, "filter": filter, "context": {"resultAsArray": true}}));
            }
        }
    }
    for expression in [
        "timestamp_floor(\"__time\",'PT1H',null,'UTC')",
        "timestamp_floor(\"__time\",'P1W',null,'Asia/Kathmandu')",
        "timestamp_ceil(\"__time\",'P1D',null,'UTC')",
        "timestamp_extract(\"__time\",'MONTH','America/Los_Angeles')",
        "timestamp_extract(\"__time\",'DOW','UTC') + 1",
        "timestamp_extract(\"__time\",'MINUTE','UTC')",
        "\"__time\" / 100000000",
    ] {
        for granularity in ["all", "week"] {
            all.push(json!({"queryType": "groupBy", "dataSource": "t", "intervals": "1970-01-03T05/1970-02-11", "granularity": granularity,
                "virtualColumns": step(expression), "dimensions": [long("v")], "aggregations": sums, "context": {"resultAsArray": true}}));
        }
    }
    all.push(json!({"queryType": "timeseries", "dataSource": "t", "intervals": "1970-01-03T05/1970-02-11", "granularity": "day",
        "aggregations": sums}));
    all.push(json!({"queryType": "topN", "dataSource": "t", "intervals": "1970/1975", "granularity": "all", "dimension": "city",
        "metric": "ls", "threshold": 900, "aggregations": sums}));
    all
}

#[test]
fn segments_answer_as_rows_in_memory_do() {
    let parts: Vec<Columns> = (0..3).map(columns).collect();
    let dir = tempfile::tempdir().unwrap();
    let sources: Vec<_> = parts.iter().enumerate().map(|(at, part)| written(part, &dir.path().join(at.to_string()))).collect();
    let rows: Vec<_> = parts.iter().map(in_memory).collect();
    let shared = context();
    for json in queries() {
        let query = query(json.clone());
        let expected = answer_of(&query, &rows).unwrap();
        let segments: Vec<SegmentRef> =
            sources.iter().map(|source| SegmentRef::new("s", query.intervals().to_vec(), source.clone())).collect();
        for run in 0..2 {
            let partial = run_segments(&query, &segments, &shared, 2).unwrap();
            assert_eq!(finished(&query, partial).unwrap(), expected, "run {run} of {json}");
        }
        let one = answer_of(&query, &rows[..1]).unwrap();
        for (segments, expected) in [(&segments[..], &expected), (&segments[..1], &one)] {
            let partial = run_segments(&query, segments, &shared.clone().with_piece_rows(1000), 3).unwrap();
            assert_eq!(&finished(&query, partial).unwrap(), expected, "cut into pieces, {} segments of {json}", segments.len());
        }
    }
}

#[test]
fn segments_with_accelerators_answer_as_those_without() {
    let dir = tempfile::tempdir().unwrap();
    let parts: Vec<Columns> = (0..3).map(columns).collect();
    let (mut plain, mut accelerated) = (Vec::new(), Vec::new());
    let mut others = None;
    for (at, part) in parts.iter().enumerate() {
        let path = dir.path().join(at.to_string());
        written(part, &path);
        plain.push(Arc::new(Segment::open(&path).unwrap()));
        let digests = plain[at].digests();
        let segment = Segment::open_checked(&path, digests.clone()).unwrap();
        let mut bytes = Accelerator::build(&plain[at], &|| true).unwrap().to_bytes(&digests);
        segment.accelerate(Accelerator::from_bytes(&bytes.clone().into(), &digests).unwrap());
        for (source, known) in [(&segment, true), (&*plain[at], false)] {
            let city = source.column("city").unwrap().unwrap();
            assert!(STORED_KINDS.iter().all(|kind| city.derived(*kind).is_some() == known), "hashes are there before any query");
        }
        accelerated.push(Arc::new(segment));
        // One of other files, and damaged ones, are not believed.
        if let Some(others) = others.replace(digests.clone()) {
            assert!(Accelerator::from_bytes(&bytes.clone().into(), &others).is_err());
        }
        for at in (0..bytes.len()).step_by(bytes.len() / 50) {
            bytes[at] ^= 4;
            assert!(Accelerator::from_bytes(&bytes.clone().into(), &digests).is_err(), "byte {at}");
            bytes[at] ^= 4;
        }
    }
    let (fresh, shared) = (context(), context());
    for json in queries() {
        let query = query(json.clone());
        let answer = |segments: &[Arc<Segment>], context| {
            let one = |segment: &Arc<Segment>| SegmentRef::new("s", query.intervals().to_vec(), segment.clone());
            let segments: Vec<SegmentRef> = segments.iter().map(one).collect();
            finished(&query, run_segments(&query, &segments, context, 1).unwrap()).unwrap()
        };
        assert_eq!(answer(&accelerated, &shared), answer(&plain, &fresh), "{json}");
    }
}
