//! Bytes that were flipped or cut at random never make the reader panic: it gives rows or an error.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ovate_compute::column::{ColumnSource, Rows};
use ovate_compute::virtual_column::PathPart;
use ovate_segment::Segment;

use crate::support::{fixtures, name_of};

/// A small generator with a seed (xorshift), so that a failing round can be run again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

const SEGMENTS: &[&str] = &[
    "golden-37.0.0/string_basic",
    "golden-37.0.0/string_no_bitmap_uncompressed",
    "golden-37.0.0/string_spatial_concise",
    "golden-37.0.0/dim_lzf",
    "golden-37.0.0/dim_uncompressed",
    "golden-37.0.0/dim_zstd",
    "golden-37.0.0/front_coded_v0_b4",
    "golden-37.0.0/front_coded_v1_b16",
    "golden-37.0.0/metric_lzf_auto",
    "golden-37.0.0/metric_none_auto",
    "golden-37.0.0/long_auto_widths_none",
    "golden-37.0.0/long_auto_widths_zstd",
    "golden-37.0.0/numeric_edges_concise",
    "golden-37.0.0/numeric_edges_roaring",
    "golden-37.0.0/complex_first_last",
    "golden-37.0.0/complex_sketches_lz4",
    "golden-37.0.0/merge_rollup",
    "golden-37.0.0/projections",
    "golden-37.0.0/v10_projections",
    "golden-37.0.0/v10_metadata_zstd",
    "golden-37.0.0/auto_scalars",
    "golden-37.0.0/auto_variants",
    "golden-37.0.0/auto_arrays",
    "golden-37.0.0/nested_basic",
    "golden-37.0.0/nested_front_coded",
    "golden-37.0.0/nested_no_raw",
    "golden-37.0.0/nested_null_value_index",
    "golden-37.0.0/nested_zstd_concise",
];

/// Touches everything and ignores what comes back; the reader may give errors, callers must not be led out of bounds.
fn touch(segment: &Segment) {
    let rows = segment.row_count().min(2000);
    let ids: Vec<u32> = (0..rows).step_by(3).collect();
    segment.is_time_sorted();
    let mut columns = Vec::new();
    for name in segment.column_names() {
        segment.capabilities(&name);
        segment.column_size_bytes(&name);
        columns.extend(segment.column(&name).ok().flatten());
        for path in segment.nested_paths(&name).ok().flatten().unwrap_or_default() {
            columns.extend(segment.nested_field(&name, &path).ok().flatten());
        }
        columns.extend(segment.nested_field(&name, &[PathPart::Element(-1)]).ok().flatten());
    }
    for column in columns {
        let _ = column.null_rows();
        if let Some(dictionary) = column.dictionary() {
            dictionary.is_sorted();
            for code in 0..dictionary.cardinality().min(2000) {
                let _ = dictionary.get(code);
            }
            let _ = (dictionary.find(None), dictionary.find(Some("a")), dictionary.lower_bound("b"));
            if let Some(index) = column.bitmap_index() {
                for code in 0..dictionary.cardinality().min(2000) {
                    let bitmap = index.bitmap(code);
                    assert!(bitmap.is_err() || bitmap.unwrap().maximum().is_none_or(|row| row < segment.row_count()));
                }
                let _ = index.union(&mut (0..dictionary.cardinality().min(2000)));
            }
        }
        let Ok(mut reader) = column.reader() else { continue };
        let cardinality = column.dictionary().map_or(0, |d| d.cardinality());
        for rows in [Rows::Range(0..rows), Rows::Ids(&ids), Rows::Range(rows / 2..rows), Rows::Range(0..0)] {
            let count = rows.len();
            if let Ok(codes) = reader.codes(rows.clone()) {
                assert!(codes.len() == count && codes.iter().all(|c| *c < cardinality));
            }
            if let Ok(lists) = reader.multi_codes(rows.clone()) {
                assert!(lists.offsets.len() == count + 1 && lists.offsets.is_sorted());
                assert!(*lists.offsets.last().unwrap() as usize == lists.codes.len());
                assert!(lists.codes.iter().all(|c| *c < cardinality));
            }
            assert!(reader.longs(rows.clone()).map_or(true, |n| n.values.len() == count));
            assert!(reader.floats(rows.clone()).map_or(true, |n| n.values.len() == count));
            assert!(reader.doubles(rows.clone()).map_or(true, |n| n.values.len() == count));
            assert!(reader.values(rows).map_or(true, |v| v.len() == count));
        }
    }
}

/// Flips, overwrites or cuts one of the segment's files; says what it did.
fn damage(from: &Path, to: &Path, random: &mut Random) -> String {
    let mut files: Vec<_> = std::fs::read_dir(from).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "smoosh" || e == "bin" || e == "segment"));
    files.sort();
    let large = files.iter().position(|f| ["00000.smoosh", "druid.segment"].contains(&name_of(f).as_str())).unwrap();
    let chosen = if random.below(10) == 0 { random.below(files.len()) } else { large };
    let mut said = String::new();
    for (i, file) in files.iter().enumerate() {
        let mut bytes = std::fs::read(file).unwrap();
        if i == chosen && !bytes.is_empty() {
            match random.below(8) {
                0 => bytes.truncate(random.below(bytes.len())),
                1 => {
                    let at = random.below(bytes.len());
                    let value = [0, 1, 0x7F, 0x80, 0xFF][random.below(5)];
                    let length = 1 + random.below(8);
                    bytes.iter_mut().skip(at).take(length).for_each(|b| *b = value);
                }
                _ => {
                    for _ in 0..1 + random.below(3) {
                        let at = random.below(bytes.len());
                        bytes[at] ^= 1 << random.below(8);
                    }
                }
            }
            said = name_of(file);
        }
        std::fs::write(to.join(name_of(file)), bytes).unwrap();
    }
    said
}

#[test]
fn damaged_bytes_never_panic() {
    let Some(root) = fixtures() else { return };
    let rounds: usize = std::env::var("OVATE_MUTATION_ROUNDS").ok().and_then(|v| v.parse().ok()).unwrap_or(2000);
    let seed: u64 = std::env::var("OVATE_MUTATION_SEED").ok().and_then(|v| v.parse().ok()).unwrap_or(1);
    let work = tempfile::tempdir().unwrap();
    for round in 0..rounds {
        let mut random = Random((seed + round as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let name = SEGMENTS[round % SEGMENTS.len()];
        let file = damage(&root.join(name), work.path(), &mut random);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            if let Ok(segment) = Segment::open(work.path()) {
                touch(&segment);
                for projection in segment.projections() {
                    let _ = segment.projection(&projection.name).map(|p| p.as_ref().map(touch));
                }
            }
        }));
        assert!(outcome.is_ok(), "panic. segment={name} file={file} OVATE_MUTATION_SEED={} (round 0)", seed + round as u64);
        for entry in std::fs::read_dir(work.path()).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }
}
