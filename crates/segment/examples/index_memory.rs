//! How much memory rows take while they are ingested, beside what they take persisted (at most 1.5 times as much is wanted).
//!
//!     cargo run --release -p ovate-segment --example index_memory [ROWS=1000000]

use ovate_base::Granularity;
use ovate_compute::aggregate::AggregatorSpec;
use ovate_segment::incremental::{DimensionSchema, IncrementalIndex, IndexSchema, InputColumn, RowBatch};
use ovate_segment::write::IndexSpec;
use serde_json::json;

const BATCH: usize = 10_000;
/// Distinct values of each string dimension.
const CARDINALITIES: [u64; 6] = [5, 50, 500, 5_000, 50_000, 500_000];

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|text| text.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn schema(rollup: bool) -> IndexSchema {
    let dimensions = if rollup { 4 } else { CARDINALITIES.len() };
    let metrics = [
        json!({"type": "count", "name": "rows"}),
        json!({"type": "longSum", "name": "long", "fieldName": "long"}),
        json!({"type": "doubleSum", "name": "double", "fieldName": "double"}),
    ];
    IndexSchema {
        dimensions: (0..dimensions).map(|i| DimensionSchema::string(&format!("s{i}"))).collect(),
        metrics: metrics.iter().map(|m| AggregatorSpec::from_json(m).expect("a metric")).collect(),
        query_granularity: if rollup { Granularity::HOUR } else { Granularity::None },
        rollup,
        ..IndexSchema::default()
    }
}

fn add(index: &mut IncrementalIndex, start: usize, random: &mut dyn FnMut(u64) -> u64) {
    let times: Vec<i64> = (start..start + BATCH).map(|row| 1_700_000_000_000 + row as i64 * 7).collect();
    let mut texts: Vec<(Vec<i32>, Vec<u8>)> = Vec::new();
    for cardinality in CARDINALITIES {
        let (mut offsets, mut bytes) = (vec![0], Vec::new());
        for _ in 0..BATCH {
            bytes.extend_from_slice(format!("value-{}", random(cardinality)).as_bytes());
            offsets.push(bytes.len() as i32);
        }
        texts.push((offsets, bytes));
    }
    let longs: Vec<i64> = (0..BATCH).map(|_| random(100_000) as i64).collect();
    let doubles: Vec<f64> = (0..BATCH).map(|_| random(100_000) as f64 / 8.0).collect();
    let names: Vec<String> = (0..texts.len()).map(|i| format!("s{i}")).collect();
    let mut columns: Vec<(&str, InputColumn<'_>)> = names
        .iter()
        .zip(&texts)
        .map(|(name, (offsets, bytes))| (name.as_str(), InputColumn::Strings { offsets, bytes, nulls: None }))
        .collect();
    columns.push(("long", InputColumn::Longs { values: &longs, nulls: None }));
    columns.push(("double", InputColumn::Doubles { values: &doubles, nulls: None }));
    index.add_batch(&RowBatch { timestamps: &times, columns: &columns, selection: None }).expect("rows");
}

fn main() {
    let rows: usize = std::env::args().nth(1).map_or(1_000_000, |text| text.parse().expect("ROWS is a number"));
    for rollup in [false, true] {
        let before = resident_bytes();
        let mut index = IncrementalIndex::new(schema(rollup)).expect("an index");
        let mut state = 42u64;
        let mut random = |limit: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            // Some values are more frequent than others, as in events.
            let value = (state >> 33) % limit;
            if state >> 60 < 8 { value / 10 } else { value }
        };
        (0..rows).step_by(BATCH).for_each(|start| add(&mut index, start, &mut random));
        let (held, resident) = (index.memory_bytes() as u64, resident_bytes().saturating_sub(before));
        let dir = tempfile::tempdir().expect("a folder");
        let persisted = index.persist(dir.path(), &IndexSpec::default()).expect("written").size_bytes;
        let share = |bytes: u64| bytes as f64 / persisted as f64;
        println!(
            "rollup={rollup} rows={} of {rows}: counted {held} bytes ({:.2}x), resident {resident} ({:.2}x), persisted {persisted}",
            index.row_count(),
            share(held),
            share(resident),
        );
    }
}
