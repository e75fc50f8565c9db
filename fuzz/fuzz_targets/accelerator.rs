//! Any bytes as an accelerator file: refused, whatever they are, unless the checksum fits; and with a checksum made to fit, what
//! does not fit the columns is left out.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ovate_compute::ColumnSource as _;
use ovate_segment::Segment;
use ovate_segment::incremental::{DimensionSchema, IncrementalIndex, IndexSchema, InputColumn, RowBatch};
use ovate_segment::read::{Accelerator, Digests};
use ovate_segment::write::IndexSpec;

static SEGMENT: LazyLock<(tempfile::TempDir, Digests, Vec<u8>)> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a folder");
    let texts: Vec<String> = (0..300).map(|row| format!("value {row}")).collect();
    let values: Vec<Option<&str>> = texts.iter().map(|text| Some(text.as_str())).collect();
    let codes: Vec<u32> = (0..300).collect();
    let times: Vec<i64> = (0..300).collect();
    let schema = IndexSchema { dimensions: vec![DimensionSchema::string("text")], ..IndexSchema::default() };
    let mut index = IncrementalIndex::new(schema).expect("an index");
    let columns = [("text", InputColumn::Dictionary { values: &values, codes: &codes })];
    index.add_batch(&RowBatch { timestamps: &times, columns: &columns, selection: None }).expect("rows");
    index.persist(dir.path(), &IndexSpec::default()).expect("a segment");
    let segment = Segment::open(dir.path()).expect("it opens");
    let digests = segment.digests();
    let bytes = Accelerator::build(&segment, &|| true).expect("it is made").to_bytes(&digests);
    (dir, digests, bytes)
});

fuzz_target!(|data: &[u8]| {
    let (dir, digests, good) = &*SEGMENT;
    let _ = Accelerator::from_bytes(&data.to_vec().into(), digests);
    let mut forged = good[..16].to_vec();
    forged.extend_from_slice(&crc32fast::hash(data).to_le_bytes());
    forged.extend_from_slice(data);
    if let Ok(accelerator) = Accelerator::from_bytes(&forged.into(), digests) {
        let segment = Segment::open(dir.path()).expect("it opens");
        segment.accelerate(accelerator);
        for name in segment.column_names() {
            let column = segment.column(&name).expect("it opens").expect("it is there");
            let _ = column.long_bounds();
        }
    }
});
