//! Druid's merge inputs, merged by us, hold the rows of Druid's merges: inputs differ in dictionaries, types and columns.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ovate_base::Granularity;
use ovate_compute::aggregate::AggregatorSpec;
use ovate_compute::column::ColumnSource;
use ovate_compute::{ColumnType, Value};
use ovate_segment::Segment;
use ovate_segment::incremental::{DimensionSchema, Discovery};
use ovate_segment::merge::{MergeSchema, merge};
use ovate_segment::write::IndexSpec;
use serde_json::{Value as Json, json};

use crate::druid_reader::DruidReader;
use crate::golden::agrees;
use crate::support::{about, fixtures, json_lines, read_column};

fn schema(about: &Json) -> MergeSchema {
    let dimensions = [
        json!("d"),
        json!({"type": "auto", "name": "a"}),
        json!({"type": "json", "name": "j"}),
        json!({"type": "string", "name": "mv", "multiValueHandling": "ARRAY"}),
        json!("only_b"),
        json!({"type": "long", "name": "only_c"}),
    ];
    MergeSchema {
        dimensions: dimensions.iter().map(|d| DimensionSchema::from_json(d).unwrap()).collect(),
        metrics: about["metricsSpec"].as_array().unwrap().iter().map(|m| AggregatorSpec::from_json(m).unwrap()).collect(),
        discovery: Discovery::Off,
        rollup: about["rollup"] == true,
        query_granularity: Granularity::MINUTE,
        timestamp_spec: None,
    }
}

/// The segment's rows, each matched with the one of `expected` that it equals; gives those in the segment's order.
fn matched(dir: &Path, mut expected: Vec<Json>) -> Vec<Json> {
    let segment = Segment::open(dir).unwrap();
    let mut columns: Vec<(String, Vec<Value>)> = Vec::new();
    for name in segment.column_names() {
        let column: Arc<_> = segment.column(&name).unwrap().unwrap();
        columns.push((name, read_column(&column, segment.row_count(), true).unwrap()));
    }
    let mut ordered = Vec::new();
    for row in 0..segment.row_count() as usize {
        let equal = |line: &Json| columns.iter().all(|(name, values)| agrees(&values[row], &line[name]));
        let at = expected.iter().position(equal).unwrap_or_else(|| {
            let row: Vec<_> = columns.iter().map(|(name, values)| format!("{name}={:?}", values[row])).collect();
            panic!("no such row: {row:?}")
        });
        ordered.push(expected.remove(at));
    }
    assert!(expected.is_empty(), "missing: {expected:?}");
    ordered
}

#[test]
fn merges_hold_the_rows_of_druids_merges() {
    let Some(fixtures) = fixtures() else { return };
    let golden = fixtures.join("golden-37.0.0");
    let out = tempfile::tempdir().unwrap();
    let mut segments: Vec<PathBuf> = Vec::new();
    for name in ["merge_plain", "merge_rollup"] {
        let about = about(&golden.join(name));
        let inputs: Vec<Arc<dyn ColumnSource>> = about["mergeOf"]
            .as_array()
            .unwrap()
            .iter()
            .map(|input| Arc::new(Segment::open(&golden.join(input.as_str().unwrap())).unwrap()) as Arc<dyn ColumnSource>)
            .collect();
        let dir = out.path().join(name);
        let report = merge(&inputs, &schema(&about), &IndexSpec::default(), &dir).unwrap();
        assert_eq!(Some(report.row_count), about["rowCount"].as_u64());
        let merged = Segment::open(&dir).unwrap();
        assert_eq!(merged.capabilities("a").unwrap().column_type, ColumnType::array(ColumnType::String));
        let lines = matched(&dir, json_lines(&golden.join(name), "expected.jsonl").unwrap());
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(dir.join("expected.jsonl"), text).unwrap();
        segments.push(dir);
    }
    let Some(reader) = DruidReader::find() else { return };
    reader.check(&segments, out.path());
}
