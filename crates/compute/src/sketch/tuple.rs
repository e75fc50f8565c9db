//! Tuple sketches of Apache DataSketches (`ArrayOfDoublesSketch`): a theta sketch whose entries carry a fixed number of
//! doubles, added up where hashes meet. The compact image: `u8` 1, `u8` version 1, `u8` family 9, `u8` type 3, `u8` flags
//! (4 empty, 8 has entries), `u8` doubles an entry, `u16le` seed hash, `u64le` theta; with entries `u32le` count, `u32` 0,
//! the hashes, then the doubles entry by entry.

use std::collections::BTreeMap;

use ovate_base::{DruidError, Result};

use super::damaged;
use super::theta::{MAX_THETA, SEED_HASH, ThetaSketch};

const FAMILY: u8 = 9;
const COMPACT_TYPE: u8 = 3;
const EMPTY_FLAG: u8 = 4;
const HAS_ENTRIES_FLAG: u8 = 8;

/// A sketch, both while it is filled and afterwards.
#[derive(Debug, Clone, PartialEq)]
pub struct TupleSketch {
    /// At most this many entries are kept for good.
    nominal: usize,
    values: usize,
    theta: u64,
    empty: bool,
    /// Results of a union have at most `nominal` entries, others as many as the hash table took.
    merged: bool,
    /// Ascending by hash, so that thinning drops the end.
    entries: BTreeMap<u64, Box<[f64]>>,
}

impl TupleSketch {
    /// An empty sketch with `values` doubles an entry.
    pub fn new(nominal: usize, values: usize) -> Self {
        TupleSketch { nominal, values, theta: MAX_THETA, empty: true, merged: false, entries: BTreeMap::new() }
    }

    /// Doubles of an entry.
    pub fn value_count(&self) -> usize {
        self.values
    }

    /// Adds an observation; the doubles add to what the hash has.
    pub fn add(&mut self, hash: u64, values: &[f64]) {
        self.empty = false;
        if hash == 0 || hash >= self.theta {
            return;
        }
        match self.entries.get_mut(&hash) {
            Some(mine) => mine.iter_mut().zip(values).for_each(|(mine, value)| *mine += value),
            None => {
                self.entries.insert(hash, values.into());
                // The hash table of DataSketches is rebuilt when it is 15/16 full.
                if self.entries.len() > self.nominal * 2 / 16 * 15 {
                    self.thin();
                }
            }
        }
    }

    /// Keeps the `nominal` smallest hashes.
    pub fn thin(&mut self) {
        if self.entries.len() > self.nominal
            && let Some(theta) = self.entries.keys().nth(self.nominal).copied()
        {
            self.theta = theta;
            self.entries.split_off(&theta);
        }
    }

    /// Adds all of another sketch.
    pub fn merge(&mut self, other: &TupleSketch) -> Result<()> {
        if other.values != self.values {
            let (mine, theirs) = (self.values, other.values);
            return Err(DruidError::invalid_input(format!(
                "arrayOfDoublesSketch with {theirs} values does not merge into one with {mine}"
            )));
        }
        if other.empty {
            return Ok(());
        }
        (self.empty, self.merged) = (false, true);
        self.lower_theta(other.theta);
        other.entries.iter().for_each(|(hash, values)| self.add(*hash, values));
        Ok(())
    }

    fn lower_theta(&mut self, theta: u64) {
        if theta < self.theta {
            self.theta = theta;
            self.entries.split_off(&theta);
        }
    }

    /// What both have seen, doubles added up.
    pub fn intersect(&self, other: &TupleSketch) -> TupleSketch {
        self.select(other, |mine, theirs| Some(mine.iter().zip(theirs?.iter()).map(|(left, right)| left + right).collect()))
    }

    /// What this has seen and `other` has not.
    pub fn not(&self, other: &TupleSketch) -> TupleSketch {
        if self.empty || other.empty {
            return self.clone();
        }
        self.select(other, |mine, theirs| theirs.is_none().then(|| mine.clone()))
    }

    fn select(
        &self,
        other: &TupleSketch,
        combine: impl Fn(&Box<[f64]>, Option<&Box<[f64]>>) -> Option<Box<[f64]>>,
    ) -> TupleSketch {
        let mut result = TupleSketch::new(self.nominal, self.values);
        if self.empty || other.empty {
            return result;
        }
        result.theta = self.theta.min(other.theta);
        for (hash, mine) in self.entries.range(..result.theta) {
            if let Some(values) = combine(mine, other.entries.get(hash)) {
                result.entries.insert(*hash, values);
            }
        }
        result.empty = result.entries.is_empty() && result.theta == MAX_THETA;
        result
    }

    /// Estimated number of distinct keys.
    pub fn estimate(&self) -> f64 {
        self.as_theta().estimate()
    }

    /// Lower and upper bound of the estimate.
    pub fn bounds(&self, deviations: u8) -> Result<(f64, f64)> {
        self.as_theta().bounds(deviations)
    }

    fn as_theta(&self) -> ThetaSketch {
        ThetaSketch::from_parts(self.theta, self.entries.keys().copied().collect(), self.empty)
    }

    /// Theta as a fraction.
    pub fn theta(&self) -> f64 {
        self.theta as f64 / MAX_THETA as f64
    }

    /// Number of entries kept.
    pub fn retained(&self) -> usize {
        self.entries.len()
    }

    /// The doubles of all entries in one column.
    pub fn column(&self, index: usize) -> impl Iterator<Item = f64> + '_ {
        self.entries.values().filter_map(move |values| values.get(index).copied())
    }

    /// Reads stored bytes; none are an empty sketch. The result keeps at most `nominal` entries.
    pub fn from_bytes(bytes: &[u8], nominal: usize, values: usize) -> Result<Self> {
        if bytes.is_empty() {
            return Ok(TupleSketch::new(nominal, values));
        }
        Self::read(bytes, nominal).ok_or_else(|| damaged("arrayOfDoublesSketch", format_args!("{} bytes", bytes.len())))
    }

    fn read(bytes: &[u8], nominal: usize) -> Option<Self> {
        let [_, 1, FAMILY, COMPACT_TYPE, flags, values, seed0, seed1, ..] = *bytes else { return None };
        if flags & EMPTY_FLAG == 0 && u16::from_le_bytes([seed0, seed1]) != SEED_HASH {
            return None;
        }
        let word = |offset: usize| Some(u64::from_le_bytes(bytes.get(offset..offset + 8)?.try_into().ok()?));
        let values = usize::from(values);
        let mut sketch = TupleSketch::new(nominal, values);
        sketch.theta = word(8)?;
        sketch.empty = flags & EMPTY_FLAG != 0;
        if flags & HAS_ENTRIES_FLAG != 0 {
            let count = (word(16)? & 0xffff_ffff) as usize;
            if bytes.len() < 24 + count.checked_mul(8 * (1 + values))? {
                return None;
            }
            for index in 0..count {
                let start = 24 + (count + index * values) * 8;
                let doubles: Option<Box<[f64]>> = (0..values).map(|value| word(start + value * 8).map(f64::from_bits)).collect();
                sketch.entries.insert(word(24 + index * 8)?, doubles?);
            }
        }
        Some(sketch)
    }

    /// The compact bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut thinned;
        let sketch = if self.merged && self.entries.len() > self.nominal {
            thinned = self.clone();
            thinned.thin();
            &thinned
        } else {
            self
        };
        let flags = if sketch.empty { EMPTY_FLAG } else { 0 } | if sketch.entries.is_empty() { 0 } else { HAS_ENTRIES_FLAG };
        let mut bytes = vec![1, 1, FAMILY, COMPACT_TYPE, flags, sketch.values as u8];
        bytes.extend_from_slice(&SEED_HASH.to_le_bytes());
        bytes.extend_from_slice(&sketch.theta.to_le_bytes());
        if !sketch.entries.is_empty() {
            bytes.extend_from_slice(&(sketch.entries.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&[0; 4]);
            sketch.entries.keys().for_each(|hash| bytes.extend_from_slice(&hash.to_le_bytes()));
            sketch.entries.values().flatten().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        }
        bytes
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.entries.len() * (48 + self.values * 8) + 64
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;
    use crate::sketch::theta;

    #[test]
    fn what_druid_stored_is_read_and_written_back() {
        let path = "/work/shared/fixtures/druid/golden-37.0.0/complex_sketches/expected.jsonl";
        let Ok(text) = std::fs::read_to_string(path) else { return };
        for line in text.lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let bytes = base64::engine::general_purpose::STANDARD.decode(row["tuple"]["base64"].as_str().unwrap()).unwrap();
            let sketch = TupleSketch::from_bytes(&bytes, 64, 1).unwrap();
            assert_eq!(sketch.estimate(), row["tuple"]["final"].as_f64().unwrap());
            // The order of entries is that of a hash table in Druid's bytes, so only the contents compare.
            let ours = sketch.to_bytes();
            assert_eq!(ours[..16], bytes[..16]);
            assert_eq!(ours.len(), bytes.len());
        }
    }

    #[test]
    fn values_add_up_per_key() {
        let mut sketch = TupleSketch::new(64, 2);
        for index in 0..10u32 {
            sketch.add(theta::hash(&(index % 5).to_le_bytes()).unwrap(), &[1.0, f64::from(index)]);
        }
        assert_eq!((sketch.estimate(), sketch.column(0).sum::<f64>(), sketch.column(1).sum::<f64>()), (5.0, 10.0, 45.0));
        let mut other = TupleSketch::new(64, 2);
        other.add(theta::hash(&0u32.to_le_bytes()).unwrap(), &[5.0, 5.0]);
        assert_eq!(sketch.intersect(&other).column(0).sum::<f64>(), 7.0);
        assert_eq!(sketch.not(&other).estimate(), 4.0);
        other.merge(&sketch).unwrap();
        assert_eq!(other.column(0).sum::<f64>(), 15.0);
        assert!(TupleSketch::from_bytes(&[1, 1, 9, 3, 8, 1, 0xcc, 0x93], 64, 1).is_err());
    }
}
