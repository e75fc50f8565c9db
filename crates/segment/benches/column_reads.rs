//! What reading a column costs, per row of a segment that our own writer made: cold (nothing kept, every block is
//! decompressed) and warm (decoded blocks are in the shared cache), in batches of 4,096 rows as operators read, and by row id.
//!
//!     cargo bench -p ovate-segment --bench column_reads

use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ovate_base::Granularity;
use ovate_compute::ColumnType;
use ovate_compute::column::{Column, ColumnReader, ColumnSource, Rows};
use ovate_segment::Segment;
use ovate_segment::read::set_decoded_cache_bytes;
use ovate_segment::write::data::{ByteTable, CodeRows, ColumnData, NumberColumn, StringColumn, StringTable};
use ovate_segment::write::{IndexSpec, SegmentMetadata, SegmentRows, write_segment};

const ROWS: u32 = 1_000_000;
const BATCH: u32 = 4096;

/// Numbers that look random but are always the same (SplitMix64).
fn mixed(seed: u64, row: usize) -> u64 {
    let mut z = (row as u64 ^ seed << 32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn strings(seed: u64, cardinality: u64) -> ColumnData {
    let mut texts = ByteTable::default();
    (0..cardinality).for_each(|i| texts.push(format!("value-{i:08}").as_bytes()));
    let codes = (0..ROWS as usize).map(|row| (mixed(seed, row) % cardinality) as u32).collect();
    let table = Arc::new(StringTable { has_null: false, texts });
    ColumnData::String(StringColumn { table, rows: CodeRows::Single(codes), bitmap_index: true })
}

fn column(index: usize) -> ColumnData {
    let rows = 0..ROWS as usize;
    match index {
        0 => ColumnData::Double(NumberColumn {
            values: rows.map(|r| (mixed(4, r) % 100_000) as f64 / 100.0).collect(),
            nulls: None,
        }),
        1 => ColumnData::Long(NumberColumn { values: rows.map(|r| (mixed(1, r) % 1000) as i64).collect(), nulls: None }),
        2 => ColumnData::Long(NumberColumn {
            values: rows.clone().map(|r| if r % 10 == 0 { 0 } else { (mixed(2, r) % 1000) as i64 }).collect(),
            nulls: Some(rows.map(|r| r % 10 == 0).collect()),
        }),
        3 => ColumnData::Long(NumberColumn { values: rows.map(|r| (mixed(3, r) >> 8) as i64).collect(), nulls: None }),
        4 => strings(5, 100),
        5 => strings(6, 10_000),
        _ => strings(7, 100_000),
    }
}

fn write(dir: &std::path::Path) {
    let times: Vec<i64> = (0..i64::from(ROWS)).map(|row| 1_704_067_200_000 + row * 86).collect();
    let metrics = ["double", "long", "long_nulls", "long_wide"].map(str::to_owned);
    let dimensions = ["codes_1", "codes_2", "codes_3"].map(str::to_owned);
    let read = |i: usize| Ok(column(i));
    let rows = SegmentRows { times: &times, metrics: &metrics, dimensions: &dimensions, column: &read };
    let metadata =
        SegmentMetadata { aggregators: Vec::new(), timestamp_spec: None, query_granularity: Granularity::None, rollup: false };
    write_segment(dir, &rows, &metadata, &IndexSpec::default()).expect("the rows are good");
}

/// Reads the rows in the column's native form; gives something that depends on all of them.
fn read(reader: &mut dyn ColumnReader, form: &ColumnType, rows: Rows<'_>) -> u64 {
    match form {
        ColumnType::Long => reader.longs(rows).expect("whole segment").values.iter().fold(0, |a, v| a ^ *v as u64),
        ColumnType::Double => reader.doubles(rows).expect("whole segment").values.iter().fold(0, |a, v| a ^ v.to_bits()),
        _ => reader.codes(rows).expect("whole segment").iter().fold(0, |a, v| a ^ u64::from(*v)),
    }
}

fn scan(column: &Arc<dyn Column>, form: &ColumnType) -> u64 {
    let mut reader = column.reader().expect("whole segment");
    (0..ROWS)
        .step_by(BATCH as usize)
        .fold(0, |sum, start| sum ^ read(&mut *reader, form, Rows::Range(start..ROWS.min(start + BATCH))))
}

fn gather(column: &Arc<dyn Column>, form: &ColumnType, ids: &[u32]) -> u64 {
    let mut reader = column.reader().expect("whole segment");
    ids.chunks(BATCH as usize).fold(0, |sum, ids| sum ^ read(&mut *reader, form, Rows::Ids(ids)))
}

fn benches(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    write(dir.path());
    let segment = Segment::open(dir.path()).expect("we wrote it");
    let ids: Vec<u32> = (0..ROWS).filter(|row| mixed(9, *row as usize).is_multiple_of(10)).collect();
    let mut group = c.benchmark_group("column_reads");
    group.sample_size(20).measurement_time(std::time::Duration::from_secs(1)).warm_up_time(std::time::Duration::from_millis(200));
    for name in segment.column_names() {
        let column = segment.column(&name).expect("whole segment").expect("a listed column");
        let form = column.capabilities().column_type;
        group.throughput(Throughput::Elements(u64::from(ROWS)));
        set_decoded_cache_bytes(0);
        group.bench_function(BenchmarkId::new("scan_cold", &name), |b| b.iter(|| scan(&column, &form)));
        set_decoded_cache_bytes(1 << 30);
        group.bench_function(BenchmarkId::new("scan_warm", &name), |b| b.iter(|| scan(&column, &form)));
        group.throughput(Throughput::Elements(ids.len() as u64));
        group.bench_function(BenchmarkId::new("ids_warm", &name), |b| b.iter(|| gather(&column, &form, &ids)));
    }
    group.finish();
    let mut group = c.benchmark_group("bitmaps");
    group.sample_size(20).measurement_time(std::time::Duration::from_secs(1)).warm_up_time(std::time::Duration::from_millis(200));
    for (name, codes) in [("codes_1", 1), ("codes_1", 20), ("codes_2", 1), ("codes_2", 1000), ("codes_3", 10_000)] {
        let index = segment.column(name).expect("whole segment").expect("a listed column").bitmap_index().expect("bitmaps");
        group.bench_function(BenchmarkId::new(format!("union_of_{codes}"), name), |b| {
            b.iter(|| index.union(&mut (0..codes)).expect("whole segment").cardinality())
        });
    }
    group.bench_function("open_segment", |b| b.iter(|| Segment::open(dir.path()).expect("we wrote it").row_count()));
    group.finish();
}

criterion_group!(column_reads, benches);
criterion_main!(column_reads);
