//! The segment reader on arbitrary bytes: never a panic, never a read out of bounds, no unbounded allocation.
//!
//!     cargo +nightly fuzz run open_segment -- -max_len=65536
//!
//! The input is one file's bytes: first a byte that chooses the format. V10: the rest is `druid.segment`. V9: the rest is
//! the first chunk, whose table of contents follows from two-byte lengths at its front, so that the fuzzer reaches every
//! part. Good seeds are `druid.segment` files of the golden set with a byte 1 before them.
#![no_main]

use std::fmt::Write;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use ovate_compute::column::{Column, ColumnSource, Rows};
use ovate_segment::Segment;

const NAMES: [&str; 8] =
    ["__time", "index.drd", "metadata.drd", "a", "a.__stringDictionary", "a.__encodedColumn", "a.__valueIndexes", "b"];

fn write_v9(dir: &Path, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::write(dir.join("version.bin"), 9i32.to_be_bytes())?;
    let header = bytes.len().min(2 * NAMES.len());
    let (lengths, chunk) = bytes.split_at(header);
    std::fs::write(dir.join("00000.smoosh"), chunk)?;
    let mut meta = "v1,2147483647,1\n".to_owned();
    let mut start = 0;
    for (name, length) in NAMES.iter().zip(lengths.chunks_exact(2)) {
        let end = chunk.len().min(start + usize::from(u16::from_le_bytes([length[0], length[1]])));
        let _ = writeln!(meta, "{name},0,{start},{end}");
        start = end;
    }
    std::fs::write(dir.join("meta.smoosh"), meta)
}

fn touch(column: &dyn Column, rows: u32) {
    let _ = column.null_rows();
    if let Some(dictionary) = column.dictionary() {
        for code in 0..dictionary.cardinality().min(1000) {
            let _ = dictionary.get(code);
        }
        let _ = (dictionary.find(None), dictionary.find(Some("a")), dictionary.lower_bound("b"));
        if let Some(index) = column.bitmap_index() {
            let _ = index.union(&mut (0..dictionary.cardinality().min(1000)));
        }
    }
    let Ok(mut reader) = column.reader() else { return };
    let ids: Vec<u32> = (0..rows).step_by(3).collect();
    for rows in [Rows::Range(0..rows), Rows::Ids(&ids)] {
        let _ = reader.codes(rows.clone()).map(|codes| codes.len());
        let _ = reader.multi_codes(rows.clone()).map(|codes| codes.codes.len());
        let _ = reader.longs(rows.clone()).map(|numbers| numbers.values.len());
        let _ = reader.floats(rows.clone()).map(|numbers| numbers.values.len());
        let _ = reader.doubles(rows.clone()).map(|numbers| numbers.values.len());
        let _ = reader.values(rows).map(|values| values.len());
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((format, bytes)) = data.split_first() else { return };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let written = match format % 2 {
        0 => write_v9(dir.path(), bytes),
        _ => std::fs::write(dir.path().join("druid.segment"), bytes),
    };
    written.expect("the directory is ours");
    let Ok(segment) = Segment::open(dir.path()) else { return };
    let rows = segment.row_count().min(1000);
    for name in segment.column_names().iter().take(50) {
        if let Ok(Some(column)) = segment.column(name) {
            touch(&*column, rows);
        }
        for path in segment.nested_paths(name).ok().flatten().unwrap_or_default() {
            if let Ok(Some(field)) = segment.nested_field(name, &path) {
                touch(&*field, rows);
            }
        }
    }
});
