//! The grouping operators over written segments: low, middle and high cardinality, one and several keys, filters.
//! `OVATE_BENCH_ROWS` sets the number of rows (default 2 million, in daily segments of 322,580);
//! `OVATE_BENCH_DIR` keeps the segments between runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use ovate_compute::aggregate::AggregatorSpec;
use ovate_compute::{ColumnSource, EvalContext};
use ovate_query::{NativeQuery, QueryContext, SegmentRef, finalize, run_segments};
use ovate_segment::Segment;
use ovate_segment::incremental::{DimensionSchema, IncrementalIndex, IndexSchema, InputColumn, RowBatch};
use ovate_segment::write::IndexSpec;
use serde_json::{Value, json};

const DAY_MS: i64 = 86_400_000;
const START_MS: i64 = 1_735_689_600_000;
const DAY_ROWS: usize = 322_580;

/// Name, number of values, and how flat the head of the distribution is.
const DIMENSIONS: &[(&str, usize, f64)] = &[
    ("country", 200, 3.0),
    ("device", 4, 2.0),
    ("os", 9, 2.0),
    ("browser", 12, 2.0),
    ("channel", 60, 2.0),
    ("publisher", 20_000, 20.0),
    ("campaign", 50_000, 100.0),
    ("page", 300_000, 50.0),
    ("user_id", 1_000_000, 20_000.0),
];

struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A value below `n`, where `k` has a weight of `1 / (k + flat)`.
    fn skewed(&mut self, n: usize, flat: f64) -> u32 {
        let k = flat * ((n as f64 + flat) / flat).powf(self.unit()) - flat;
        (k as u32).min(n as u32 - 1)
    }
}

fn write_day(day: usize, rows: usize, texts: &[Vec<String>], dir: &Path) {
    let mut chance = Chance(day as u64 + 1);
    let mut times: Vec<i64> =
        (0..rows).map(|_| START_MS + day as i64 * DAY_MS + (chance.next() % DAY_MS as u64) as i64).collect();
    times.sort_unstable();
    let codes: Vec<Vec<u32>> =
        DIMENSIONS.iter().map(|(_, n, flat)| (0..rows).map(|_| chance.skewed(*n, *flat)).collect()).collect();
    let longs: Vec<i64> = (0..rows).map(|_| chance.skewed(100_000, 10.0).into()).collect();
    let doubles: Vec<f64> = (0..rows).map(|_| f64::from(chance.skewed(10_000, 50.0)) / 1000.0).collect();
    let values: Vec<Vec<Option<&str>>> = texts.iter().map(|texts| texts.iter().map(|t| Some(t.as_str())).collect()).collect();
    let mut columns: Vec<(&str, InputColumn<'_>)> = Vec::new();
    for (at, (name, _, _)) in DIMENSIONS.iter().enumerate() {
        columns.push((name, InputColumn::Dictionary { values: &values[at], codes: &codes[at] }));
    }
    columns.push(("bytes", InputColumn::Longs { values: &longs, nulls: None }));
    columns.push(("revenue", InputColumn::Doubles { values: &doubles, nulls: None }));
    let metric = |kind: &str, name: &str| {
        AggregatorSpec::from_json(&json!({"type": kind, "name": name, "fieldName": name})).expect("a good metric")
    };
    let mut index = IncrementalIndex::new(IndexSchema {
        dimensions: DIMENSIONS.iter().map(|(name, _, _)| DimensionSchema::string(name)).collect(),
        metrics: vec![metric("longSum", "bytes"), metric("doubleSum", "revenue")],
        ..IndexSchema::default()
    })
    .expect("a good schema");
    index.add_batch(&RowBatch { timestamps: &times, columns: &columns, selection: None }).expect("good rows");
    std::fs::create_dir_all(dir).expect("a writable directory");
    index.persist(dir, &IndexSpec::default()).expect("a written segment");
}

fn segments() -> Vec<Arc<dyn ColumnSource>> {
    let rows: usize = std::env::var("OVATE_BENCH_ROWS").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000_000);
    let root = std::env::var("OVATE_BENCH_DIR").map_or_else(|_| std::env::temp_dir().join("ovate-bench-events"), PathBuf::from);
    let mut texts: Option<Vec<Vec<String>>> = None;
    let mut all: Vec<Arc<dyn ColumnSource>> = Vec::new();
    for day in 0..rows.div_ceil(DAY_ROWS) {
        let dir = root.join(format!("day{day}"));
        if !dir.join("version.bin").exists() {
            let texts = texts.get_or_insert_with(|| {
                let text = |name: &str, k: usize| format!("{name}-{:016x}", Chance(k as u64).next());
                DIMENSIONS.iter().map(|(name, n, _)| (0..*n).map(|k| text(name, k)).collect()).collect()
            });
            write_day(day, DAY_ROWS, texts, &dir);
        }
        all.push(Arc::new(Segment::open(&dir).expect("a readable segment")));
    }
    all
}

fn queries() -> Vec<(&'static str, Value)> {
    let all = "2025-01-01/2025-02-01";
    let week = "2025-01-01/2025-01-08";
    let count = json!({"type": "count", "name": "c"});
    let revenue = json!({"type": "doubleSum", "name": "r", "fieldName": "revenue"});
    let bytes = json!({"type": "longSum", "name": "b", "fieldName": "bytes"});
    let top = |by: &str, limit: u32| json!({"type": "default", "columns": [{"dimension": by, "direction": "descending"}], "limit": limit});
    vec![
        ("count_all", json!({"queryType": "timeseries", "granularity": "all", "aggregations": [count], "intervals": all})),
        (
            "series_hour_week",
            json!({"queryType": "timeseries", "granularity": "hour", "aggregations": [count, bytes], "intervals": week}),
        ),
        (
            "series_day_all",
            json!({"queryType": "timeseries", "granularity": "day", "aggregations": [count, bytes, revenue], "intervals": all}),
        ),
        (
            "top_country",
            json!({"queryType": "topN", "granularity": "all", "dimension": "country", "metric": "r", "threshold": 10,
            "aggregations": [revenue, count], "intervals": all}),
        ),
        (
            "top_page_day",
            json!({"queryType": "topN", "granularity": "all", "dimension": "page", "metric": "b", "threshold": 100,
            "aggregations": [bytes], "intervals": "2025-01-02/2025-01-03"}),
        ),
        (
            "top_user_all",
            json!({"queryType": "topN", "granularity": "all", "dimension": "user_id", "metric": "b", "threshold": 100,
            "aggregations": [bytes], "intervals": all}),
        ),
        (
            "group_2d_week",
            json!({"queryType": "groupBy", "granularity": "all", "dimensions": ["country", "device"],
            "aggregations": [count, revenue], "intervals": week, "limitSpec": top("r", 100)}),
        ),
        (
            "group_3d_all",
            json!({"queryType": "groupBy", "granularity": "all", "dimensions": ["channel", "os", "browser"],
            "aggregations": [count, bytes], "intervals": all, "limitSpec": top("c", 1000)}),
        ),
        (
            "group_high_2d_week",
            json!({"queryType": "groupBy", "granularity": "all", "dimensions": ["publisher", "campaign"],
            "aggregations": [count, revenue], "intervals": week, "limitSpec": top("c", 100)}),
        ),
        (
            "filtered_series",
            json!({"queryType": "timeseries", "granularity": "hour", "aggregations": [count, bytes], "intervals": all,
            "filter": {"type": "selector", "dimension": "device", "value": "device-e220a8397b1dcdaf"}}),
        ),
    ]
}

fn bench(criterion: &mut Criterion) {
    let sources = segments();
    let context = QueryContext::new(EvalContext::at(0)).with_memory(8 << 30);
    let mut group = criterion.benchmark_group("group_by");
    group.sample_size(10).warm_up_time(std::time::Duration::from_millis(200)).measurement_time(std::time::Duration::from_secs(1));
    for (name, mut document) in queries() {
        document["dataSource"] = json!("events");
        let query = NativeQuery::from_json(&document).expect("a good query");
        let segments: Vec<SegmentRef> = sources
            .iter()
            .filter(|source| query.intervals().iter().any(|interval| interval.overlaps(&source.interval())))
            .map(|source| SegmentRef::new("s", query.intervals().to_vec(), source.clone()))
            .collect();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let partial = run_segments(&query, &segments, &context, 2).expect("runs");
                finalize(&query, partial, &context).expect("finalises").row_count()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
