//! Rows a second into an incremental index, and from there into a segment: 12 string dimensions of several cardinalities
//! and 6 numeric metrics, as a JSON or Parquet reader would hand them over.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ovate_base::Granularity;
use ovate_compute::aggregate::AggregatorSpec;
use ovate_segment::incremental::{DimensionSchema, IncrementalIndex, IndexSchema, InputColumn, RowBatch};
use ovate_segment::write::IndexSpec;
use serde_json::json;

const ROWS: usize = 300_000;
const BATCH: usize = 10_000;
const CARDINALITIES: [u64; 12] = [2, 5, 10, 20, 50, 100, 500, 1_000, 5_000, 20_000, 100_000, 1_000_000];

struct Texts {
    offsets: Vec<i32>,
    bytes: Vec<u8>,
}

struct Batch {
    times: Vec<i64>,
    texts: Vec<Texts>,
    longs: Vec<Vec<i64>>,
    doubles: Vec<Vec<f64>>,
}

fn batches() -> Vec<Batch> {
    let mut state = 42u64;
    let mut random = move |limit: u64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) % limit
    };
    (0..ROWS / BATCH)
        .map(|number| Batch {
            times: (0..BATCH).map(|row| 1_700_000_000_000 + ((number * BATCH + row) / 4) as i64).collect(),
            texts: CARDINALITIES
                .iter()
                .map(|cardinality| {
                    let mut texts = Texts { offsets: vec![0], bytes: Vec::new() };
                    for _ in 0..BATCH {
                        texts.bytes.extend_from_slice(format!("value-{}", random(*cardinality)).as_bytes());
                        texts.offsets.push(texts.bytes.len() as i32);
                    }
                    texts
                })
                .collect(),
            longs: (0..3).map(|_| (0..BATCH).map(|_| random(100_000) as i64).collect()).collect(),
            doubles: (0..3).map(|_| (0..BATCH).map(|_| random(100_000) as f64 / 8.0).collect()).collect(),
        })
        .collect()
}

fn schema(rollup: bool) -> IndexSchema {
    let dimensions = if rollup { 6 } else { CARDINALITIES.len() };
    let mut metrics = vec![json!({"type": "count", "name": "rows"})];
    for i in 0..3 {
        metrics.push(json!({"type": "longSum", "name": format!("l{i}"), "fieldName": format!("long{i}")}));
        metrics.push(json!({"type": "doubleSum", "name": format!("d{i}"), "fieldName": format!("double{i}")}));
    }
    IndexSchema {
        dimensions: (0..dimensions).map(|i| DimensionSchema::string(&format!("s{i}"))).collect(),
        metrics: metrics.iter().map(|m| AggregatorSpec::from_json(m).expect("valid metric")).collect(),
        query_granularity: if rollup { Granularity::HOUR } else { Granularity::None },
        rollup,
        ..IndexSchema::default()
    }
}

fn fill(batches: &[Batch], rollup: bool) -> IncrementalIndex {
    let mut index = IncrementalIndex::new(schema(rollup)).expect("valid schema");
    let names: Vec<String> = (0..CARDINALITIES.len()).map(|i| format!("s{i}")).collect();
    let numbers: Vec<(String, String)> = (0..3).map(|i| (format!("long{i}"), format!("double{i}"))).collect();
    for batch in batches {
        let mut columns: Vec<(&str, InputColumn<'_>)> = Vec::new();
        for (name, texts) in names.iter().zip(&batch.texts) {
            columns.push((name, InputColumn::Strings { offsets: &texts.offsets, bytes: &texts.bytes, nulls: None }));
        }
        for (i, (long, double)) in numbers.iter().enumerate() {
            columns.push((long, InputColumn::Longs { values: &batch.longs[i], nulls: None }));
            columns.push((double, InputColumn::Doubles { values: &batch.doubles[i], nulls: None }));
        }
        index.add_batch(&RowBatch { timestamps: &batch.times, columns: &columns, selection: None }).expect("rows fit");
    }
    index
}

fn ingest(c: &mut Criterion) {
    let batches = batches();
    let mut group = c.benchmark_group("ingest");
    group.throughput(Throughput::Elements(ROWS as u64)).sample_size(10);
    for rollup in [false, true] {
        let suffix = if rollup { "rollup" } else { "plain" };
        group.bench_function(format!("add_batch/{suffix}"), |b| b.iter(|| black_box(fill(&batches, rollup).row_count())));
        let mut index = fill(&batches, rollup);
        let dir = tempfile::tempdir().expect("a temporary folder");
        group.bench_function(format!("persist/{suffix}"), |b| {
            b.iter(|| black_box(index.persist(dir.path(), &IndexSpec::default()).expect("written")));
        });
        group.bench_function(format!("snapshot/{suffix}"), |b| {
            b.iter(|| {
                // A row more, so that the snapshot is made anew.
                index.add_row(1_700_000_000_000, &[]).expect("a row");
                black_box(index.snapshot().expect("a snapshot").row_count())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, ingest);
criterion_main!(benches);
