//! One bit a row, into which many stored Roaring bitmaps are poured without building each of them first: a union of
//! thousands of small bitmaps costs little more than reading their bytes.

use croaring::{Bitmap, Portable};
use ovate_base::Result;

use super::cursor::damaged;

const NO_RUNS: u32 = 12346;
const WITH_RUNS: u32 = 12347;
/// Containers of more values are stored as bits.
const ARRAY_MAX: usize = 4096;
const CONTAINER_WORDS: usize = 1024;

/// The bits.
pub(crate) struct RowBits {
    rows: u32,
    words: Vec<u64>,
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u32> {
    let pair = bytes.get(at..at + 2).ok_or_else(|| damaged("roaring bitmap ends too early"))?;
    Ok(u32::from(u16::from_le_bytes([pair[0], pair[1]])))
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32> {
    let quad = bytes.get(at..at + 4).ok_or_else(|| damaged("roaring bitmap ends too early"))?;
    Ok(u32::from_le_bytes([quad[0], quad[1], quad[2], quad[3]]))
}

impl RowBits {
    pub(crate) fn new(rows: u32) -> Self {
        // Whole containers, so that a stored one never reaches beyond the end.
        let containers = rows.div_ceil(1 << 16) as usize;
        RowBits { rows, words: vec![0; containers * CONTAINER_WORDS] }
    }

    /// Adds a bitmap in Roaring's portable form (`RoaringFormatSpec`).
    pub(crate) fn add_roaring(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let cookie = u32_at(bytes, 0)?;
        let (count, runs_at, mut at) = match cookie & 0xFFFF {
            WITH_RUNS => ((cookie >> 16) as usize + 1, Some(4), 4),
            _ if cookie == NO_RUNS => (u32_at(bytes, 4)? as usize, None, 8),
            _ => return Err(damaged("bytes are no roaring bitmap")),
        };
        if count > 1 << 16 {
            return Err(damaged("roaring bitmap has too many containers"));
        }
        if runs_at.is_some() {
            at += count.div_ceil(8);
        }
        let header = at;
        at += 4 * count;
        // Offsets are there, except in small bitmaps with runs; containers stand behind each other anyway.
        if runs_at.is_none() || count >= 4 {
            at += 4 * count;
        }
        for i in 0..count {
            let key = u16_at(bytes, header + 4 * i)?;
            let values = u16_at(bytes, header + 4 * i + 2)? as usize + 1;
            let is_run = runs_at.is_some_and(|runs| bytes.get(runs + i / 8).is_some_and(|byte| byte >> (i % 8) & 1 != 0));
            at = self.add_container(bytes, at, key as usize, values, is_run)?;
        }
        Ok(())
    }

    /// Adds the container at `at`; gives where the next one begins.
    fn add_container(&mut self, bytes: &[u8], at: usize, key: usize, values: usize, is_run: bool) -> Result<usize> {
        let short = || damaged("roaring bitmap ends too early");
        let first = key * CONTAINER_WORDS;
        let words =
            self.words.get_mut(first..first + CONTAINER_WORDS).ok_or_else(|| damaged("bitmap has rows beyond the last"))?;
        if is_run {
            let count = u16_at(bytes, at)? as usize;
            let end = at + 2 + 4 * count;
            let runs = bytes.get(at + 2..end).ok_or_else(short)?;
            for run in runs.as_chunks::<4>().0 {
                let start = u32::from(u16::from_le_bytes([run[0], run[1]]));
                let last = start + u32::from(u16::from_le_bytes([run[2], run[3]]));
                if last > 0xFFFF {
                    return Err(damaged("run of a roaring bitmap is too long"));
                }
                set_run(words, start, last);
            }
            return Ok(end);
        }
        if values <= ARRAY_MAX {
            let end = at + 2 * values;
            for value in bytes.get(at..end).ok_or_else(short)?.as_chunks::<2>().0 {
                let value = u16::from_le_bytes(*value);
                words[usize::from(value >> 6)] |= 1 << (value & 63);
            }
            return Ok(end);
        }
        let end = at + 8 * CONTAINER_WORDS;
        let stored = bytes.get(at..end).ok_or_else(short)?.as_chunks::<8>().0;
        words.iter_mut().zip(stored).for_each(|(word, bytes)| *word |= u64::from_le_bytes(*bytes));
        Ok(end)
    }

    /// The rows whose bits are set; bits beyond the last row are dropped.
    pub(crate) fn into_bitmap(self) -> Bitmap {
        let mut keys = Vec::new();
        let mut data = Vec::new();
        for (key, words) in self.words.chunks_exact(CONTAINER_WORDS).enumerate() {
            let count: usize = words.iter().map(|w| w.count_ones() as usize).sum();
            if count == 0 {
                continue;
            }
            keys.push((key as u16, (count - 1) as u16, data.len()));
            if count > ARRAY_MAX {
                words.iter().for_each(|word| data.extend_from_slice(&word.to_le_bytes()));
                continue;
            }
            for (at, word) in words.iter().enumerate() {
                let mut word = *word;
                while word != 0 {
                    data.extend_from_slice(&((64 * at as u32 + word.trailing_zeros()) as u16).to_le_bytes());
                    word &= word - 1;
                }
            }
        }
        let mut bytes = Vec::with_capacity(8 + 8 * keys.len() + data.len());
        bytes.extend_from_slice(&NO_RUNS.to_le_bytes());
        bytes.extend_from_slice(&(keys.len() as u32).to_le_bytes());
        for (key, count, _) in &keys {
            bytes.extend_from_slice(&key.to_le_bytes());
            bytes.extend_from_slice(&count.to_le_bytes());
        }
        let start = 8 + 8 * keys.len();
        keys.iter().for_each(|(_, _, at)| bytes.extend_from_slice(&((start + at) as u32).to_le_bytes()));
        bytes.extend_from_slice(&data);
        let mut bitmap = Bitmap::try_deserialize::<Portable>(&bytes).expect("we have just written it by the format's rules");
        bitmap.remove_range(self.rows..);
        bitmap
    }
}

/// Sets `first..=last` of a container.
fn set_run(words: &mut [u64], first: u32, last: u32) {
    let (from, to) = (first as usize / 64, last as usize / 64);
    let (head, tail) = (u64::MAX << (first % 64), u64::MAX >> (63 - last % 64));
    if from == to {
        words[from] |= head & tail;
        return;
    }
    words[from] |= head;
    words[from + 1..to].fill(u64::MAX);
    words[to] |= tail;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_union_is_that_of_croaring() {
        let rows = 300_000;
        let mut bitmaps = [
            Bitmap::of(&[0, 1, 63, 64, 65_535, 65_536, 299_999]),
            Bitmap::from_range(70_000..140_000),
            (0..rows).filter(|r| r % 3 == 0).collect(),
            (200_000..210_000).filter(|r| r % 5 == 0).collect(),
            Bitmap::new(),
        ];
        bitmaps[1].run_optimize();
        for count in 1..=bitmaps.len() {
            let mut bits = RowBits::new(rows);
            for bitmap in &bitmaps[..count] {
                bits.add_roaring(&bitmap.serialize::<Portable>()).unwrap();
            }
            assert!(bits.into_bitmap() == Bitmap::fast_or(&bitmaps[..count].iter().collect::<Vec<_>>()));
        }
    }

    #[test]
    fn bytes_that_lie_are_errors() {
        let whole = (10..20_000).step_by(3).collect::<Bitmap>().serialize::<Portable>();
        for length in 1..whole.len() {
            let _ = RowBits::new(30_000).add_roaring(&whole[..length]);
        }
        assert!(RowBits::new(30_000).add_roaring(&whole[..100]).is_err());
        let far = Bitmap::of(&[1_000_000]).serialize::<Portable>();
        assert!(RowBits::new(30_000).add_roaring(&far).is_err());
    }
}
