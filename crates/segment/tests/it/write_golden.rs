//! The rows that Druid made its golden segments of, ingested and written by us, must read in Druid as its own segments do.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ovate_base::Granularity;
use ovate_compute::Value;
use ovate_compute::aggregate::AggregatorSpec;
use ovate_segment::incremental::{DimensionSchema, IncrementalIndex, IndexSchema, InputColumn, RowBatch};
use ovate_segment::write::IndexSpec;
use serde_json::Value as Json;

use crate::druid_reader::DruidReader;
use crate::support::{about, cases, fixtures, json_lines, name_of};

/// Cases whose input or options we do not have, and why.
fn skipped(name: &str, about: &Json) -> Option<&'static str> {
    let spec = about["indexSpecGiven"].to_string();
    match name {
        _ if about["format"] != 9 || about["expected"] != "rows" => Some("not a sound V9 segment"),
        _ if spec.contains("concise") => Some("concise bitmaps are refused"),
        _ if spec.contains("autoColumnFormatSpec") => Some("autoColumnFormatSpec is refused"),
        _ if name.starts_with("string_spatial") => Some("spatial dimensions are refused"),
        _ if about["forceSegmentSortByTime"] == false => Some("rows always sort by time first"),
        _ if about.get("mergeOf").is_some_and(|m| !m.is_null()) => Some("made of other segments"),
        _ if about.get("extensionJars").is_some_and(|m| !m.is_null()) => Some("sketches differ from run to run"),
        "string_cardinality_65537" => Some("rows are a formula"),
        _ => None,
    }
}

/// JSON as a reader of rows gives it; text stands for numbers that JSON cannot hold.
pub fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Number(number) => match number.as_i64() {
            Some(value) => Value::Long(value),
            None => Value::Double(number.as_f64().unwrap()),
        },
        Json::String(text) => match text.as_str() {
            "NaN" => Value::Double(f64::NAN),
            "Infinity" => Value::Double(f64::INFINITY),
            "-Infinity" => Value::Double(f64::NEG_INFINITY),
            text => Value::from(text),
        },
        Json::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array() && !item.is_boolean()) => {
            Value::Array(items.iter().map(value).collect())
        }
        other => Value::Json(Arc::new(other.clone())),
    }
}

/// Adds rows as batches of columns.
pub fn add_rows(index: &mut IncrementalIndex, rows: &[Json]) {
    for rows in rows.chunks(1000) {
        let timestamps: Vec<i64> = rows.iter().map(|row| row["timestamp"].as_i64().unwrap()).collect();
        let mut columns: HashMap<&str, Vec<Value>> = HashMap::new();
        for (at, row) in rows.iter().enumerate() {
            for (name, json) in row.as_object().unwrap() {
                columns.entry(name).or_insert_with(|| vec![Value::Null; rows.len()])[at] = value(json);
            }
        }
        let columns: Vec<(&str, InputColumn<'_>)> =
            columns.iter().filter(|(name, _)| **name != "timestamp").map(|(n, v)| (*n, InputColumn::Values(v))).collect();
        let result = index.add_batch(&RowBatch { timestamps: &timestamps, columns: &columns, selection: None }).unwrap();
        assert_eq!(result.rows, rows.len());
    }
}

fn write_case(case: &Path, golden: &Path, out: &Path) -> Option<PathBuf> {
    let (name, about) = (name_of(case), about(case));
    if let Some(reason) = skipped(&name, &about) {
        eprintln!("{name}: skipped, {reason}");
        return None;
    }
    let list = |key: &str| about[key].as_array().cloned().unwrap_or_default();
    let schema = IndexSchema {
        dimensions: list("dimensionsSpec").iter().map(|d| DimensionSchema::from_json(d).unwrap()).collect(),
        metrics: list("metricsSpec").iter().map(|m| AggregatorSpec::from_json(m).unwrap()).collect(),
        query_granularity: Granularity::from_json(&about["queryGranularity"]).unwrap(),
        rollup: about["rollup"] == true,
        timestamp_spec: Some(about["metadata"]["timestampSpec"].clone()),
        ..IndexSchema::default()
    };
    let rows = json_lines(&golden.join(about["rowsFrom"].as_str().unwrap()), "rows.jsonl").unwrap();
    let mut index = IncrementalIndex::new(schema).unwrap();
    add_rows(&mut index, &rows);
    let dir = out.join(&name);
    let spec = IndexSpec::from_json(&about["indexSpecGiven"]).unwrap();
    let report = index.persist(&dir, &spec).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(Some(report.row_count), about["rowCount"].as_u64(), "{name}");
    for file in ["expected.jsonl", "expected.jsonl.gz", "fields.jsonl", "fields.jsonl.gz"] {
        if case.join(file).is_file() {
            std::fs::copy(case.join(file), dir.join(file)).unwrap();
        }
    }
    Some(dir)
}

#[test]
fn druid_reads_what_we_write_of_its_golden_rows() {
    let Some(reader) = DruidReader::find() else { return };
    let golden = fixtures().unwrap().join("golden-37.0.0");
    let out = tempfile::tempdir().unwrap();
    let segments: Vec<PathBuf> = cases(&golden).iter().filter_map(|case| write_case(case, &golden, out.path())).collect();
    assert!(segments.len() > 50, "{}", segments.len());
    let keep = std::env::var("OVATE_KEEP_SEGMENTS").is_ok();
    let path = if keep { out.keep() } else { out.path().to_owned() };
    if keep {
        eprintln!("segments are kept in {}", path.display());
    }
    reader.check(&segments, &path);
}
