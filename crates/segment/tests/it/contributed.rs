//! Columns of contributed types are written in the containers that Druid reads.

use std::path::Path;

use ovate_compute::Value;
use ovate_compute::aggregate::AggregatorSpec;
use ovate_segment::Segment;
use ovate_segment::incremental::{DimensionSchema, IncrementalIndex, IndexSchema, InputColumn, RowBatch};
use ovate_segment::write::IndexSpec;
use serde_json::json;

use crate::support::{fixtures, read_segment};

/// The bytes of an internal file.
fn internal_file(dir: &Path, name: &str) -> Vec<u8> {
    let meta = std::fs::read_to_string(dir.join("meta.smoosh")).unwrap();
    let line = meta.lines().find(|line| line.split(',').next() == Some(name)).expect("the file is listed");
    let parts: Vec<usize> = line.split(',').skip(1).map(|part| part.parse().unwrap()).collect();
    std::fs::read(dir.join(format!("{:05}.smoosh", parts[0]))).unwrap()[parts[1]..parts[2]].to_vec()
}

/// Reads a metric's column of a golden segment, writes it again, and gives both segments' bytes of it.
fn written_again(case: &str, column: &str, aggregator: serde_json::Value, without: Option<usize>) -> Option<(Vec<u8>, Vec<u8>)> {
    let dir = fixtures()?.join("golden").join(case);
    let read = read_segment(&Segment::open(&dir).unwrap(), true).unwrap();
    let rows = |name: &str| {
        let mut values = read.iter().find(|(known, _)| known == name).unwrap().1.clone();
        without.map(|row| values.remove(row));
        values
    };
    let schema = IndexSchema {
        dimensions: vec![DimensionSchema::string("group")],
        metrics: vec![AggregatorSpec::from_json(&aggregator).unwrap()],
        rollup: true,
        ..IndexSchema::default()
    };
    let mut index = IncrementalIndex::new(schema).unwrap();
    let times: Vec<i64> = rows("__time").iter().map(|time| time.as_long().unwrap()).collect();
    let (groups, values) = (rows("group"), rows(column));
    let columns = [("group", InputColumn::Values(&groups)), (column, InputColumn::Values(&values))];
    index.add_batch(&RowBatch { timestamps: &times, columns: &columns, selection: None }).unwrap();
    let out = tempfile::tempdir().unwrap();
    index.persist(out.path(), &IndexSpec::default()).unwrap();
    let again = read_segment(&Segment::open(out.path()).unwrap(), true).unwrap();
    let again = &again.iter().find(|(known, _)| known == column).unwrap().1;
    let bytes = |value: &Value| match value {
        Value::Complex(_, bytes) => {
            let mut bytes = bytes.to_vec();
            bytes.sort_unstable();
            bytes
        }
        _ => Vec::new(),
    };
    // Druid writes the buckets of histograms in no order.
    assert_eq!(again.iter().map(bytes).collect::<Vec<_>>(), values.iter().map(bytes).collect::<Vec<_>>(), "{case}");
    Some((internal_file(&dir, column), internal_file(out.path(), column)))
}

#[test]
fn decimals_are_written_as_druid_writes_them() {
    let aggregator = json!({"type": "compressedBigDecimalSum", "name": "big", "fieldName": "big", "size": 4});
    let Some((druid, ours)) = written_again("complex_contrib_compressedBigDecimalSum", "big", aggregator, None) else { return };
    // The descriptor's JSON before the payload has its properties in another order.
    let payload = |file: &[u8]| file[4 + u32::from_be_bytes(file[..4].try_into().unwrap()) as usize..].to_vec();
    // Equal up to the last block, which Java's LZ4 packs a byte shorter.
    let (ours, druid) = (payload(&ours), payload(&druid));
    let equal = ours.iter().zip(&druid).take_while(|(a, b)| a == b).count();
    assert!(equal > 100, "{equal} of {} bytes\n{ours:?}\n{druid:?}", druid.len());
}

#[test]
fn histograms_are_written_as_druid_writes_them_with_rows_that_have_none_and_without() {
    let aggregator = json!({"type": "spectatorHistogram", "name": "spectator", "fieldName": "spectator"});
    let case = "complex_contrib_spectatorHistogram";
    let Some((druid, ours)) = written_again(case, "spectator", aggregator.clone(), None) else { return };
    let header = |file: &[u8]| {
        let start = 4 + u32::from_be_bytes(file[..4].try_into().unwrap()) as usize;
        // Version, flag, byte count, rows, rows that have a value, ends of five values.
        file[start..start + 6 + 4 + 4 + 1 + 20].to_vec()
    };
    assert_eq!((header(&ours), ours.len()), (header(&druid), druid.len()));
    // Without the row that has no value, there is no set of rows.
    let (_, full) = written_again(case, "spectator", aggregator, Some(5)).expect("the fixture is there");
    assert_eq!(full.len(), ours.len() - 1);
}
