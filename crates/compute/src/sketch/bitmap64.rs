//! Sets of 64-bit numbers (`RoaringBitmap64Counter`, a `Roaring64NavigableMap`): a flag (signed order, 0), the number of 32-bit
//! bitmaps (`i32be`), then for each its high half (`i32be`) and the bitmap in Roaring's portable form. Druid stores the buffer it
//! wrote into, zeros at its end included; a length of a power of two, 32 at least.

use std::collections::BTreeMap;

use croaring::{Bitmap, Portable};
use ovate_base::Result;

use super::damaged;

const KIND: &str = "Bitmap64ExactCount";
const NO_RUNS: u32 = 12346;
const WITH_RUNS: u32 = 12347;
/// Containers up to this many numbers are lists.
const LIST_MAX: u32 = 4096;

/// Distinct numbers, exactly.
#[derive(Clone, Default, Debug)]
pub struct Bitmap64 {
    parts: BTreeMap<u32, Bitmap>,
}

impl Bitmap64 {
    /// Adds a number.
    pub fn add(&mut self, value: i64) {
        let value = value as u64;
        self.parts.entry((value >> 32) as u32).or_default().add(value as u32);
    }

    /// How many there are.
    pub fn cardinality(&self) -> u64 {
        self.parts.values().map(Bitmap::cardinality).sum()
    }

    /// Adds another's.
    pub fn merge(&mut self, other: Bitmap64) {
        for (high, part) in other.parts {
            self.parts.entry(high).or_default().or_inplace(&part);
        }
    }

    /// Reads bytes that nobody vouches for.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut input = Input { bytes };
        if input.take(1)?[0] > 1 {
            return Err(damaged(KIND, "unknown order"));
        }
        let count = u32::from_be_bytes(input.array()?);
        let mut all = Bitmap64::default();
        for _ in 0..count {
            let high = u32::from_be_bytes(input.array()?);
            let part = input.bitmap()?;
            all.parts.entry(high).or_default().or_inplace(&part);
        }
        Ok(all)
    }

    /// The bytes that Druid stores.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![0];
        out.extend_from_slice(&(self.parts.len() as u32).to_be_bytes());
        for (high, part) in &self.parts {
            out.extend_from_slice(&high.to_be_bytes());
            out.extend_from_slice(&part.serialize::<Portable>());
        }
        out.resize(out.len().next_power_of_two().max(32), 0);
        out
    }

    /// About how many bytes it holds.
    pub fn memory_bytes(&self) -> usize {
        self.parts.values().map(|part| 64 + part.get_serialized_size_in_bytes::<Portable>()).sum()
    }
}

struct Input<'a> {
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or_else(|| damaged(KIND, "it ends too early"))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("as many as asked for"))
    }

    fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// One 32-bit bitmap, container by container: nothing is allocated that the bytes do not stand for.
    fn bitmap(&mut self) -> Result<Bitmap> {
        let cookie = u32::from_le_bytes(self.array()?);
        let (count, runs) = match (cookie, cookie & 0xFFFF) {
            (NO_RUNS, _) => (u32::from_le_bytes(self.array()?), Vec::new()),
            (_, WITH_RUNS) => {
                let count = (cookie >> 16) + 1;
                (count, self.take(count.div_ceil(8) as usize)?.to_vec())
            }
            _ => return Err(damaged(KIND, format!("unknown cookie {cookie}"))),
        };
        if count > 1 << 16 {
            return Err(damaged(KIND, format!("{count} containers")));
        }
        let mut heads = Vec::new();
        for _ in 0..count {
            heads.push((u32::from(self.u16()?) << 16, u32::from(self.u16()?) + 1));
        }
        // Where containers begin, which follows from what is read.
        if cookie == NO_RUNS || count >= 4 {
            self.take(4 * count as usize)?;
        }
        let mut bitmap = Bitmap::new();
        for (at, (base, cardinality)) in heads.into_iter().enumerate() {
            if runs.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1) {
                for _ in 0..self.u16()? {
                    let (start, more) = (u32::from(self.u16()?), u32::from(self.u16()?));
                    bitmap.add_range(base + start..=base + (start + more).min(0xFFFF));
                }
            } else if cardinality <= LIST_MAX {
                for _ in 0..cardinality {
                    bitmap.add(base + u32::from(self.u16()?));
                }
            } else {
                for (at, word) in self.take(8192)?.iter().enumerate() {
                    (0..8).filter(|bit| word >> bit & 1 == 1).for_each(|bit| bitmap.add(base + at as u32 * 8 + bit));
                }
            }
        }
        Ok(bitmap)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    #[test]
    fn what_druid_stored_is_read_and_written_alike() {
        // Of `golden/complex_contrib_Bitmap64ExactCountBuild`: none, one and two numbers.
        let stored = [
            ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 0),
            ("AAAAAAEAAAAAOjAAAAEAAAAAAAAAEAAAALIAAAAAAAA=", 1),
            ("AAAAAAEAAAAAOjAAAAEAAAAAAAEAEAAAAHACgQIAAAA=", 2),
        ];
        for (text, count) in stored {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text).expect("base64");
            let bitmap = Bitmap64::from_bytes(&bytes).expect("it reads");
            assert_eq!(bitmap.cardinality(), count);
            assert_eq!(bitmap.to_bytes(), bytes);
        }
    }

    #[test]
    fn numbers_of_all_sizes_and_runs_come_back() {
        let mut bitmap = Bitmap64::default();
        let values: Vec<i64> = (0..20_000).map(|i| i * 7).chain((0..5000).map(|i| -i)).chain([i64::MIN, i64::MAX]).collect();
        values.iter().for_each(|value| bitmap.add(*value));
        assert_eq!(bitmap.cardinality(), 25_001);
        let bytes = bitmap.to_bytes();
        let mut again = Bitmap64::from_bytes(&bytes).expect("it reads");
        assert_eq!((again.cardinality(), again.to_bytes()), (25_001, bytes.clone()));
        again.merge(bitmap);
        assert_eq!(again.cardinality(), 25_001);
        let mut runs: Bitmap = (0u32..100_000).collect();
        runs.run_optimize();
        let mut with_runs = vec![0, 0, 0, 0, 1, 0, 0, 0, 0];
        with_runs.extend_from_slice(&runs.serialize::<Portable>());
        assert_eq!(Bitmap64::from_bytes(&with_runs).expect("it reads").cardinality(), 100_000);
        // Zeros behind the end mean nothing, so cuts there are none.
        assert!((0..12_000).step_by(97).all(|end| Bitmap64::from_bytes(&bytes[..end]).is_err()));
    }
}
