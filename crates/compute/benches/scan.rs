//! Hot loops of filters and expressions over a million rows in memory.
//! `cargo bench -p ovate-compute --bench scan`.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ovate_compute::filter::FilterSpec;
use ovate_compute::{ColumnSource, EvalContext, Expr, MemoryDictionary, MemoryTable, Rows, Vector};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value as Json, json};

const ROWS: u32 = 1_000_000;
const BATCH: u32 = 4096;

fn texts(rng: &mut StdRng, distinct: u32) -> Vector {
    let mut dictionary = MemoryDictionary::new();
    for i in 0..distinct {
        dictionary.intern(Some(&format!("http://example.com/{i:07}/page")));
    }
    let codes = (0..ROWS).map(|_| rng.random_range(0..distinct)).collect();
    Vector::Codes { dictionary: Arc::new(dictionary), codes }
}

fn table() -> Arc<dyn ColumnSource> {
    let mut rng = StdRng::seed_from_u64(1);
    let longs =
        |rng: &mut StdRng, max: i64| Vector::Long { values: (0..ROWS).map(|_| rng.random_range(0..max)).collect(), nulls: None };
    let time = Vector::Long { values: (0..i64::from(ROWS)).map(|row| 1_700_000_000_000 + row * 500).collect(), nulls: None };
    let doubles = Vector::Double { values: (0..ROWS).map(|_| rng.random_range(0.0..100.0)).collect(), nulls: None };
    let columns = vec![
        ("__time".to_owned(), time),
        ("few".to_owned(), texts(&mut rng, 100)),
        ("many".to_owned(), texts(&mut rng, 100_000)),
        ("l".to_owned(), longs(&mut rng, 1000)),
        ("d".to_owned(), doubles),
    ];
    Arc::new(MemoryTable::new(columns).expect("columns have one length"))
}

fn filters(criterion: &mut Criterion) {
    let source = table();
    let context = EvalContext::at(0);
    let cases: Vec<(&str, Json)> = vec![
        (
            "equals_text",
            json!({"type": "equals", "column": "few", "matchValueType": "STRING", "matchValue": "http://example.com/0000042/page"}),
        ),
        ("like_contains_100k", json!({"type": "like", "dimension": "many", "pattern": "%777%"})),
        ("range_long", json!({"type": "range", "column": "l", "matchValueType": "LONG", "lower": 100, "upper": 300})),
        ("in_long", json!({"type": "inType", "column": "l", "matchValueType": "LONG", "sortedValues": [1, 5, 700, 900]})),
        (
            "and_or_not",
            json!({"type": "and", "fields": [
            {"type": "range", "column": "l", "matchValueType": "LONG", "lower": 100, "upper": 300},
            {"type": "or", "fields": [
                {"type": "range", "column": "d", "matchValueType": "DOUBLE", "upper": 20.0},
                {"type": "like", "dimension": "few", "pattern": "http://example.com/000001%"}]},
            {"type": "not", "field": {"type": "equals", "column": "l", "matchValueType": "LONG", "matchValue": 150}}]}),
        ),
        ("expression", json!({"type": "expression", "expression": "l * 2 + 1 > d"})),
    ];
    let mut group = criterion.benchmark_group("filter");
    group.throughput(Throughput::Elements(u64::from(ROWS))).sample_size(10);
    for (name, document) in cases {
        let spec = FilterSpec::from_json(&document).expect("the document is valid");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut bound = spec.bind(&source, &context).expect("the filter binds");
                let matcher = bound.residual.as_mut().expect("there is no index");
                let mut kept = Vec::new();
                for start in (0..ROWS).step_by(BATCH as usize) {
                    matcher.keep(Rows::Range(start..(start + BATCH).min(ROWS)), &mut kept).expect("rows are read");
                }
                black_box(kept.len())
            })
        });
    }
    group.finish();
}

fn expressions(criterion: &mut Criterion) {
    let source = table();
    let context = EvalContext::at(0);
    let cases = [
        ("arithmetic", "l * 2 + d"),
        ("case", "case_searched(l < 100, 'low', l < 500, 'middle', 'high')"),
        ("case_long", "if(l < 500, l + 1, 0)"),
        ("time_floor_hour", "timestamp_floor(__time, 'PT1H')"),
        ("time_extract", "timestamp_extract(__time, 'HOUR')"),
        ("concat_constant", "concat(few, '!')"),
        ("concat_columns", "concat(few, l)"),
        ("strlen_100k", "strlen(many)"),
        ("compare_text", "few == 'http://example.com/0000042/page'"),
    ];
    let mut group = criterion.benchmark_group("expression");
    group.throughput(Throughput::Elements(u64::from(ROWS))).sample_size(10);
    for (name, text) in cases {
        let expression = Expr::parse(text).expect("the text is valid");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut bound = expression.bind(&source, &context).expect("the expression binds");
                for start in (0..ROWS).step_by(BATCH as usize) {
                    black_box(bound.eval(Rows::Range(start..(start + BATCH).min(ROWS))).expect("rows are read"));
                }
            })
        });
    }
    group.finish();
}

criterion_group!(benches, filters, expressions);
criterion_main!(benches);
