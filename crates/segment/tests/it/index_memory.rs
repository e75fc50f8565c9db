//! Rows being ingested take at most half more memory than they take persisted.

use ovate_base::Granularity;
use ovate_compute::aggregate::AggregatorSpec;
use ovate_segment::incremental::{DimensionSchema, IncrementalIndex, IndexSchema, InputColumn, RowBatch};
use ovate_segment::write::IndexSpec;
use serde_json::json;

/// Counted bytes of the index, and bytes on disk.
fn sizes(rollup: bool) -> (u64, u64) {
    const CARDINALITIES: [u64; 4] = [5, 50, 500, 5_000];
    let metrics = [
        json!({"type": "count", "name": "rows"}),
        json!({"type": "longSum", "name": "long", "fieldName": "long"}),
        json!({"type": "doubleSum", "name": "double", "fieldName": "double"}),
    ];
    let schema = IndexSchema {
        dimensions: (0..4).map(|i| DimensionSchema::string(&format!("s{i}"))).collect(),
        metrics: metrics.iter().map(|m| AggregatorSpec::from_json(m).unwrap()).collect(),
        query_granularity: if rollup { Granularity::HOUR } else { Granularity::None },
        rollup,
        ..IndexSchema::default()
    };
    let mut index = IncrementalIndex::new(schema).unwrap();
    let texts: Vec<Vec<String>> =
        CARDINALITIES.iter().map(|count| (0..*count).map(|value| format!("value-{value}")).collect()).collect();
    let texts: Vec<Vec<Option<&str>>> = texts.iter().map(|list| list.iter().map(|text| Some(text.as_str())).collect()).collect();
    let mut state = 42u64;
    let mut random = |limit: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % limit
    };
    for batch in 0..6i64 {
        let times: Vec<i64> = (0..10_000).map(|row| 1_700_000_000_000 + (batch * 10_000 + row) * 70).collect();
        let codes: Vec<Vec<u32>> = CARDINALITIES.iter().map(|n| (0..10_000).map(|_| random(*n) as u32).collect()).collect();
        let longs: Vec<i64> = (0..10_000).map(|_| random(100_000) as i64).collect();
        let doubles: Vec<f64> = (0..10_000).map(|_| random(100_000) as f64 / 8.0).collect();
        let names = ["s0", "s1", "s2", "s3"];
        let mut columns: Vec<(&str, InputColumn<'_>)> = names
            .iter()
            .zip(texts.iter().zip(&codes))
            .map(|(name, (values, codes))| (*name, InputColumn::Dictionary { values, codes }))
            .collect();
        columns.push(("long", InputColumn::Longs { values: &longs, nulls: None }));
        columns.push(("double", InputColumn::Doubles { values: &doubles, nulls: None }));
        index.add_batch(&RowBatch { timestamps: &times, columns: &columns, selection: None }).unwrap();
    }
    let held = index.memory_bytes() as u64;
    let dir = tempfile::tempdir().unwrap();
    (held, index.persist(dir.path(), &IndexSpec::default()).unwrap().size_bytes)
}

#[test]
fn rows_in_memory_take_at_most_half_more_than_persisted() {
    for rollup in [false, true] {
        let (held, persisted) = sizes(rollup);
        assert!(held * 2 <= persisted * 3, "rollup={rollup}: {held} bytes of {persisted} persisted");
    }
}
