//! Roaring bitmaps written by hand in the portable format, from ascending row numbers: no allocation a bitmap, which
//! matters for dictionaries of millions of values. Containers are chosen as `RoaringBitmap.runOptimize` does.

use ovate_base::{DruidError, Result};

use super::indexed::IndexedBytes;

const COOKIE: u32 = 12346;
const COOKIE_WITH_RUNS: u32 = 12347;
/// With runs, offsets are stored only from so many containers on.
const OFFSETS_FROM: usize = 4;
const ARRAY_MAX: usize = 4096;
const BITSET_BYTES: usize = 8192;

#[derive(Clone, Copy)]
struct Container {
    start: usize,
    end: usize,
    runs: usize,
    as_runs: bool,
}

impl Container {
    fn len(&self) -> usize {
        self.end - self.start
    }

    fn plain_bytes(&self) -> usize {
        if self.len() > ARRAY_MAX { BITSET_BYTES } else { 2 * self.len() }
    }

    fn bytes(&self) -> usize {
        if self.as_runs { 2 + 4 * self.runs } else { self.plain_bytes() }
    }
}

/// Appends the bitmap of these rows; the eight-byte empty bitmap when there are none.
pub(crate) fn put_roaring(rows: &[u32], runs: bool, out: &mut Vec<u8>) {
    if let [row] = rows {
        // Most values of high-cardinality columns stand in one row.
        out.extend_from_slice(&[0x3A, 0x30, 0, 0, 1, 0, 0, 0]);
        out.extend_from_slice(&((row >> 16) as u16).to_le_bytes());
        out.extend_from_slice(&[0, 0, 16, 0, 0, 0]);
        out.extend_from_slice(&(*row as u16).to_le_bytes());
        return;
    }
    let containers = split(rows, runs);
    let count = containers.len();
    let has_runs = containers.iter().any(|c| c.as_runs);
    let mut offset = 4 + 4 * count;
    if has_runs {
        let flag_bytes = count.div_ceil(8);
        out.extend_from_slice(&(COOKIE_WITH_RUNS | (count as u32 - 1) << 16).to_le_bytes());
        let start = out.len();
        out.resize(start + flag_bytes, 0);
        for (i, _) in containers.iter().enumerate().filter(|(_, c)| c.as_runs) {
            out[start + i / 8] |= 1 << (i % 8);
        }
        offset += flag_bytes;
    } else {
        out.extend_from_slice(&COOKIE.to_le_bytes());
        out.extend_from_slice(&(count as u32).to_le_bytes());
        offset += 4;
    }
    for container in &containers {
        out.extend_from_slice(&((rows[container.start] >> 16) as u16).to_le_bytes());
        out.extend_from_slice(&((container.len() - 1) as u16).to_le_bytes());
    }
    if !has_runs || count >= OFFSETS_FROM {
        offset += 4 * count;
        for container in &containers {
            out.extend_from_slice(&(offset as u32).to_le_bytes());
            offset += container.bytes();
        }
    }
    for container in &containers {
        put_container(&rows[container.start..container.end], container, out);
    }
}

fn split(rows: &[u32], with_runs: bool) -> smallvec::SmallVec<[Container; 4]> {
    let mut containers = smallvec::SmallVec::new();
    let mut start = 0;
    while start < rows.len() {
        let key = rows[start] >> 16;
        let (mut end, mut runs) = (start + 1, 1);
        while end < rows.len() && rows[end] >> 16 == key {
            runs += usize::from(rows[end] != rows[end - 1] + 1);
            end += 1;
        }
        let mut container = Container { start, end, runs, as_runs: false };
        container.as_runs = with_runs && 2 + 4 * runs < container.plain_bytes();
        containers.push(container);
        start = end;
    }
    containers
}

fn put_container(rows: &[u32], container: &Container, out: &mut Vec<u8>) {
    if container.as_runs {
        out.extend_from_slice(&(container.runs as u16).to_le_bytes());
        let mut start = 0;
        for i in 1..=rows.len() {
            if i == rows.len() || rows[i] != rows[i - 1] + 1 {
                out.extend_from_slice(&(rows[start] as u16).to_le_bytes());
                out.extend_from_slice(&((i - start - 1) as u16).to_le_bytes());
                start = i;
            }
        }
    } else if rows.len() > ARRAY_MAX {
        let start = out.len();
        out.resize(start + BITSET_BYTES, 0);
        let bits = &mut out[start..];
        rows.iter().for_each(|row| bits[(row & 0xFFFF) as usize / 8] |= 1 << (row % 8));
    } else {
        rows.iter().for_each(|row| out.extend_from_slice(&(*row as u16).to_le_bytes()));
    }
}

/// Ascending rows by code: `rows[starts[c]..starts[c + 1]]` hold code `c`. One counting sort for a whole column.
pub(crate) struct RowsByCode {
    pub(crate) starts: Vec<u32>,
    pub(crate) rows: Vec<u32>,
}

impl RowsByCode {
    /// Of a single-valued column.
    pub(crate) fn single(codes: &[u32], cardinality: usize) -> Self {
        let mut starts = count_starts(codes.iter().copied(), cardinality);
        let mut rows = vec![0; codes.len()];
        for (row, code) in codes.iter().enumerate() {
            let place = &mut starts[*code as usize];
            rows[*place as usize] = row as u32;
            *place += 1;
        }
        Self::shifted(starts, rows)
    }

    /// Of a multi-value column; a row counts once for each of its codes, an empty row for `empty_code`.
    pub(crate) fn multi(offsets: &[u32], codes: &[u32], cardinality: usize, empty_code: Option<u32>) -> Self {
        let mut starts = vec![0; cardinality + 1];
        for_each_code(offsets, codes, empty_code, |_, code| starts[code as usize + 1] += 1);
        accumulate(&mut starts);
        let mut rows = vec![0; starts[cardinality] as usize];
        for_each_code(offsets, codes, empty_code, |row, code| {
            let place = &mut starts[code as usize];
            rows[*place as usize] = row;
            *place += 1;
        });
        Self::shifted(starts, rows)
    }

    /// Filling moved each start to its end, which is the next code's start.
    fn shifted(mut starts: Vec<u32>, rows: Vec<u32>) -> Self {
        starts.rotate_right(1);
        starts[0] = 0;
        if let Some(last) = starts.last_mut() {
            *last = rows.len() as u32;
        }
        RowsByCode { starts, rows }
    }

    /// The rows of one code.
    pub(crate) fn rows(&self, code: usize) -> &[u32] {
        &self.rows[self.starts[code] as usize..self.starts[code + 1] as usize]
    }

    /// Number of codes.
    pub(crate) fn cardinality(&self) -> usize {
        self.starts.len() - 1
    }

    /// Appends the list of bitmaps by code.
    pub(crate) fn put_bitmaps(&self, runs: bool, out: &mut Vec<u8>) -> Result<()> {
        let mut list = IndexedBytes::with_capacity(self.cardinality());
        for code in 0..self.cardinality() {
            list.push_with(|bytes| {
                put_roaring(self.rows(code), runs, bytes);
                Ok::<(), DruidError>(())
            })?;
        }
        list.write(false, out)
    }
}

fn count_starts(codes: impl Iterator<Item = u32>, cardinality: usize) -> Vec<u32> {
    let mut starts = vec![0; cardinality + 1];
    codes.for_each(|code| starts[code as usize + 1] += 1);
    accumulate(&mut starts);
    starts
}

fn accumulate(starts: &mut [u32]) {
    for i in 1..starts.len() {
        starts[i] += starts[i - 1];
    }
}

/// Longer lists are sorted to find what stands in them twice.
const LONG_LIST: usize = 16;

fn for_each_code(offsets: &[u32], codes: &[u32], empty_code: Option<u32>, mut each: impl FnMut(u32, u32)) {
    for (row, ends) in offsets.windows(2).enumerate() {
        let values = &codes[ends[0] as usize..ends[1] as usize];
        if let (true, Some(code)) = (values.is_empty(), empty_code) {
            each(row as u32, code);
        }
        if values.len() > LONG_LIST {
            let mut distinct = values.to_vec();
            distinct.sort_unstable();
            distinct.dedup();
            distinct.iter().for_each(|code| each(row as u32, *code));
            continue;
        }
        for (i, code) in values.iter().enumerate() {
            if !values[..i].contains(code) {
                each(row as u32, *code);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::tests::hex;
    use croaring::{Bitmap, Portable};

    #[test]
    fn one_row_matches_the_worked_example() {
        let mut out = Vec::new();
        put_roaring(&[1], true, &mut out);
        assert_eq!(out, hex("3A 30 00 00 01 00 00 00 00 00 00 00 10 00 00 00 01 00"));
        out.clear();
        put_roaring(&[], true, &mut out);
        assert_eq!(out, hex("3A 30 00 00 00 00 00 00"));
    }

    #[test]
    fn bitmaps_are_the_bytes_that_croaring_writes() {
        let shapes: Vec<Vec<u32>> = vec![
            (0..10).collect(),
            vec![5, 70000, 70001, 70002, 70003, 70004, 70005, 200000, 300000],
            (0..70000).collect(),
            (0..200000).step_by(2).collect(),
            (0..400000).filter(|r| r % 65536 < 3000 || r % 7 == 0).collect(),
            (0..400000).filter(|r| r % 65536 < 3000).collect(),
            (0..300000).step_by(17).collect(),
            (0..65536).step_by(16).collect(),
            vec![0, 1, 2, 3],
            vec![65535, 65536],
        ];
        for rows in shapes {
            for runs in [true, false] {
                let mut out = Vec::new();
                put_roaring(&rows, runs, &mut out);
                let mut expected = Bitmap::of(&rows);
                if runs {
                    expected.run_optimize();
                } else {
                    expected.remove_run_compression();
                }
                assert!(out == expected.serialize::<Portable>(), "{} rows from {:?}, runs {runs}", rows.len(), rows.first());
            }
        }
    }

    #[test]
    fn rows_are_listed_by_code() {
        let by = RowsByCode::single(&[2, 0, 2, 1], 4);
        assert_eq!((by.rows(0), by.rows(1), by.rows(2), by.rows(3)), (&[1][..], &[3][..], &[0, 2][..], &[][..]));
        let by = RowsByCode::multi(&[0, 3, 3, 4], &[1, 2, 1, 2], 3, Some(0));
        assert_eq!((by.rows(0), by.rows(1), by.rows(2)), (&[1][..], &[0][..], &[0, 2][..]));
    }
}
