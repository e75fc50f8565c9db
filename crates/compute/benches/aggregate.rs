//! The hot loops of aggregators: a million rows in batches of 16384, into one group and into ten thousand.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ovate_compute::aggregate::AggregatorSpec;
use ovate_compute::column::MemoryTable;
use ovate_compute::{ColumnSource, EvalContext, Groups, Rows, Vector};
use serde_json::json;

const ROWS: usize = 1 << 20;
const BATCH: usize = 1 << 14;
const GROUPS: usize = 10_000;

fn table() -> Arc<dyn ColumnSource> {
    let mix = |row: usize| (row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    let text: Vec<Option<Arc<str>>> = (0..ROWS).map(|row| Some(Arc::from(format!("value{}", mix(row) % 50_000)))).collect();
    let columns = vec![
        ("__time".to_owned(), Vector::Long { values: (0..ROWS as i64).collect(), nulls: None }),
        ("l".to_owned(), Vector::Long { values: (0..ROWS).map(|row| mix(row) as i64 % 1000).collect(), nulls: None }),
        ("d".to_owned(), Vector::Double { values: (0..ROWS).map(|row| mix(row) as f64 / 7.0).collect(), nulls: None }),
        ("f".to_owned(), Vector::Float { values: (0..ROWS).map(|row| mix(row) as f32).collect(), nulls: None }),
        ("s".to_owned(), Vector::String(text)),
        (
            "n".to_owned(),
            Vector::Long { values: (0..ROWS as i64).collect(), nulls: Some((0..ROWS).map(|row| mix(row) % 10 == 0).collect()) },
        ),
    ];
    Arc::new(MemoryTable::new(columns).expect("columns of one length"))
}

fn aggregators(criterion: &mut Criterion) {
    let source = table();
    let groups: Vec<u32> =
        (0..ROWS).map(|row| ((row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u32 % GROUPS as u32).collect();
    let cases = [
        ("count", json!({"type": "count", "name": "x"})),
        ("longSum", json!({"type": "longSum", "name": "x", "fieldName": "l"})),
        ("longSum nulls", json!({"type": "longSum", "name": "x", "fieldName": "n"})),
        ("doubleSum", json!({"type": "doubleSum", "name": "x", "fieldName": "d"})),
        ("doubleSum of long", json!({"type": "doubleSum", "name": "x", "fieldName": "l"})),
        ("doubleMax", json!({"type": "doubleMax", "name": "x", "fieldName": "d"})),
        ("floatMin", json!({"type": "floatMin", "name": "x", "fieldName": "f"})),
        ("longLast", json!({"type": "longLast", "name": "x", "fieldName": "l"})),
        ("stringFirst", json!({"type": "stringFirst", "name": "x", "fieldName": "s"})),
        ("cardinality", json!({"type": "cardinality", "name": "x", "fields": ["s"]})),
        ("HLLSketchBuild", json!({"type": "HLLSketchBuild", "name": "x", "fieldName": "s"})),
        ("HLLSketchBuild of long", json!({"type": "HLLSketchBuild", "name": "x", "fieldName": "l"})),
        ("thetaSketch", json!({"type": "thetaSketch", "name": "x", "fieldName": "s"})),
        ("quantilesDoublesSketch", json!({"type": "quantilesDoublesSketch", "name": "x", "fieldName": "d"})),
        ("variance", json!({"type": "variance", "name": "x", "fieldName": "d", "inputType": "double"})),
    ];
    for (name, json) in cases {
        let spec = AggregatorSpec::from_json(&json).expect("valid aggregator");
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(ROWS as u64)).sample_size(10);
        for each in [false, true] {
            let id = if each { "many groups" } else { "one group" };
            group.bench_function(id, |bencher| {
                bencher.iter(|| {
                    let mut state = spec.bind(&source, &EvalContext::at(0)).expect("bound");
                    state.resize(if each { GROUPS } else { 1 });
                    for start in (0..ROWS).step_by(BATCH) {
                        let rows = Rows::Range(start as u32..(start + BATCH) as u32);
                        let to = if each { Groups::Each(&groups[start..start + BATCH]) } else { Groups::One(0) };
                        state.add(rows, to).expect("added");
                    }
                    black_box(state.memory_bytes())
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, aggregators);
criterion_main!(benches);
