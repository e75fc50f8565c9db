//! Persisting in parts and merging gives what persisting at once gives.

use super::*;
use crate::Segment;
use crate::incremental::{IncrementalIndex, InputColumn, RowBatch};
use ovate_compute::Value;
use serde_json::json;

/// A small generator of numbers; the seed is printed by the test that fails.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % limit
    }
}

fn schema(rollup: bool) -> IndexSchema {
    let metrics = [
        json!({"type": "count", "name": "rows"}),
        json!({"type": "longSum", "name": "sum", "fieldName": "v"}),
        json!({"type": "doubleMin", "name": "min", "fieldName": "v"}),
        json!({"type": "longMax", "name": "max", "fieldName": "v"}),
        json!({"type": "hyperUnique", "name": "unique", "fieldName": "s"}),
    ];
    IndexSchema {
        dimensions: vec![
            DimensionSchema::string("s"),
            DimensionSchema::string("tags"),
            DimensionSchema::new("l", DimensionKind::Long),
            DimensionSchema::new("d", DimensionKind::Double),
            DimensionSchema::new("f", DimensionKind::Float),
            DimensionSchema::new("al", DimensionKind::Auto { cast_to: None }),
            DimensionSchema::new("as", DimensionKind::Auto { cast_to: None }),
            DimensionSchema::new("aa", DimensionKind::Auto { cast_to: None }),
            DimensionSchema::new("j", DimensionKind::Json),
        ],
        metrics: metrics.iter().map(|m| AggregatorSpec::from_json(m).unwrap()).collect(),
        query_granularity: Granularity::MINUTE,
        rollup,
        ..IndexSchema::default()
    }
}

type Row = (i64, Vec<Value>);
const NAMES: [&str; 10] = ["s", "tags", "l", "d", "f", "v", "al", "as", "aa", "j"];

fn rows(random: &mut Random, count: usize, spread_ms: u64) -> Vec<Row> {
    let text = |random: &mut Random, limit| match random.below(limit) {
        0 => Value::Null,
        1 => Value::from(""),
        2 => Value::from("\u{10000}"),
        3 => Value::from("\u{ffff}"),
        n => Value::from(format!("value {n}").as_str()),
    };
    (0..count)
        .map(|_| {
            let tags = match random.below(4) {
                0 => Value::Array((0..random.below(4)).map(|_| text(random, 6)).collect()),
                1 => Value::Null,
                _ => text(random, 5),
            };
            let number = |random: &mut Random| match random.below(4) {
                0 => Value::Null,
                n => Value::Long(n as i64 - 2),
            };
            let fields = vec![
                text(random, 6),
                tags,
                number(random),
                number(random),
                number(random),
                if random.below(5) == 0 { Value::Null } else { Value::Long(random.below(1000) as i64 - 500) },
                number(random),
                text(random, 5),
                match random.below(3) {
                    0 => Value::Null,
                    n => Value::Array((0..n).map(|_| number(random)).collect()),
                },
                match random.below(3) {
                    0 => Value::Null,
                    n => Value::Json(Arc::new(json!({"a": n, "b": {"c": format!("x{n}"), "l": [1, {"d": 2.5}]}}))),
                },
            ];
            (random.below(spread_ms) as i64 - 1000, fields)
        })
        .collect()
}

fn index(schema: &IndexSchema, rows: &[Row]) -> IncrementalIndex {
    let mut index = IncrementalIndex::new(schema.clone()).unwrap();
    for rows in rows.chunks(97) {
        let times: Vec<i64> = rows.iter().map(|row| row.0).collect();
        let columns: Vec<Vec<Value>> = (0..NAMES.len()).map(|i| rows.iter().map(|row| row.1[i].clone()).collect()).collect();
        let columns: Vec<(&str, InputColumn<'_>)> =
            NAMES.iter().zip(&columns).map(|(name, values)| (*name, InputColumn::Values(values))).collect();
        index.add_batch(&RowBatch { timestamps: &times, columns: &columns, selection: None }).unwrap();
    }
    index
}

/// All rows of a table as text, in order.
fn dump(source: &dyn ColumnSource) -> Vec<String> {
    let mut lines = vec![String::new(); source.row_count() as usize];
    let mut names = source.column_names();
    names.sort();
    for name in names {
        let column = source.column(&name).unwrap().unwrap();
        let mut reader = column.reader().unwrap();
        let values = reader.values(Rows::Range(0..source.row_count())).unwrap();
        lines.iter_mut().zip(values).for_each(|(line, value)| line.push_str(&format!("{name}={value:?} ")));
    }
    lines
}

fn check(seed: u64, count: usize, parts: usize, spread_ms: u64, rollup: bool) {
    let mut random = Random(seed);
    let schema = schema(rollup);
    let all = rows(&mut random, count, spread_ms);
    let dir = tempfile::tempdir().unwrap();
    let spec = IndexSpec::default();
    let once = index(&schema, &all).persist(&dir.path().join("once"), &spec).unwrap();
    let mut inputs: Vec<Arc<dyn ColumnSource>> = Vec::new();
    for (number, rows) in all.chunks(count.div_ceil(parts)).enumerate() {
        let path = dir.path().join(format!("part{number}"));
        index(&schema, rows).persist(&path, &spec).unwrap();
        inputs.push(Arc::new(Segment::open(&path).unwrap()));
    }
    let report = merge(&inputs, &MergeSchema::of(&schema), &spec, &dir.path().join("merged")).unwrap();
    assert_eq!(report.row_count, once.row_count, "seed {seed}");
    let read = |name: &str| dump(&Segment::open(&dir.path().join(name)).unwrap());
    let (mut expected, mut merged) = (read("once"), read("merged"));
    if !rollup {
        // Rows that are equal in time and dimensions may stand in any order.
        expected.sort();
        merged.sort();
    }
    for (row, (expected, merged)) in expected.iter().zip(&merged).enumerate() {
        assert_eq!(expected, merged, "seed {seed} row {row}");
    }
}

#[test]
fn merged_parts_equal_one_segment() {
    for seed in 0..6 {
        for rollup in [false, true] {
            check(seed, 700, 1 + seed as usize, 300_000, rollup);
            check(seed + 100, 60, 4, 3_600_000, rollup);
        }
    }
    check(7, 5_000, 3, 120_000, true);
    check(8, 5_000, 3, 86_400_000, false);
}

#[test]
fn frozen_indexes_merge_like_segments() {
    let mut random = Random(5);
    let schema = schema(true);
    let parts = [rows(&mut random, 300, 200_000), rows(&mut random, 300, 200_000)];
    let dir = tempfile::tempdir().unwrap();
    let (spec, merge_schema) = (IndexSpec::default(), MergeSchema::of(&schema));
    let (mut frozen, mut segments): (Vec<Arc<dyn ColumnSource>>, Vec<Arc<dyn ColumnSource>>) = (Vec::new(), Vec::new());
    for (number, rows) in parts.iter().enumerate() {
        let mut index = index(&schema, rows);
        let path = dir.path().join(format!("part{number}"));
        index.persist(&path, &spec).unwrap();
        segments.push(Arc::new(Segment::open(&path).unwrap()));
        frozen.push(index.freeze().unwrap());
        assert_eq!(dump(frozen[number].as_ref()), dump(segments[number].as_ref()));
    }
    merge(&frozen, &merge_schema, &spec, &dir.path().join("frozen")).unwrap();
    merge(&segments, &merge_schema, &spec, &dir.path().join("segments")).unwrap();
    let read = |name: &str| std::fs::read(dir.path().join(name).join("00000.smoosh")).unwrap();
    assert!(read("frozen") == read("segments"));
}

#[test]
fn inputs_apart_in_time_are_put_one_behind_the_other() {
    let schema = IndexSchema { dimensions: vec![DimensionSchema::string("s")], ..IndexSchema::default() };
    let dir = tempfile::tempdir().unwrap();
    let mut inputs: Vec<Arc<dyn ColumnSource>> = Vec::new();
    for (time, text) in [(20, "b"), (10, "a"), (30, "c")] {
        let mut index = IncrementalIndex::new(schema.clone()).unwrap();
        index.add_row(time, &[("s", Value::from(text))]).unwrap();
        inputs.push(index.snapshot().unwrap());
    }
    merge(&inputs, &MergeSchema::of(&schema), &IndexSpec::default(), dir.path()).unwrap();
    let lines = dump(&Segment::open(dir.path()).unwrap());
    assert!(lines[0].contains("\"a\"") && lines[1].contains("\"b\"") && lines[2].contains("\"c\""), "{lines:?}");
}
