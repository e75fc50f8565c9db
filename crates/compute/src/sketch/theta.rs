//! Theta sketches of Apache DataSketches: [`ThetaState`] gathers hashes as the quick-select union gadget does,
//! [`ThetaSketch`] is the compact ordered sketch that is stored (serial version 3; 1, 2 and 4 are read too).

use std::collections::BTreeSet;
use std::hash::{BuildHasherDefault, Hasher};

use datasketches::common::NumStdDev;
use datasketches::theta::CompactThetaSketch;
use hashbrown::HashSet;
use ovate_base::{DruidError, Result};

use super::murmur3::hash128;
use super::{DATASKETCHES_SEED, damaged};

/// Theta of 1.0.
pub(super) const MAX_THETA: u64 = i64::MAX as u64;

const EMPTY: [u8; 8] = [1, 3, 3, 0, 0, 0x1e, 0, 0];
/// Read-only, compact, ordered.
const FLAGS: u8 = 0x1a;
const SINGLE_ITEM: u8 = 0x20;
pub(super) const SEED_HASH: u16 = 0x93cc;

/// The hash of these bytes, `None` for none (they are not counted).
pub fn hash(bytes: &[u8]) -> Option<u64> {
    (!bytes.is_empty()).then(|| hash128(bytes, DATASKETCHES_SEED).0 >> 1)
}

/// Entries are hashes already.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }
    fn write_u64(&mut self, value: u64) {
        // The top bit of a theta hash is always 0, and hashbrown looks at the top bits.
        self.0 = value << 1;
    }
}

/// A sketch that is being filled or merged into.
#[derive(Clone)]
pub struct ThetaState {
    nominal: usize,
    theta: u64,
    entries: HashSet<u64, BuildHasherDefault<Identity>>,
    empty: bool,
}

impl ThetaState {
    /// With this many nominal entries, a power of two.
    pub fn new(nominal: usize) -> Self {
        ThetaState { nominal, theta: MAX_THETA, entries: HashSet::default(), empty: true }
    }

    /// Adds a hash.
    pub fn add(&mut self, hash: u64) {
        self.empty = false;
        if hash == 0 || hash >= self.theta || !self.entries.insert(hash) {
            return;
        }
        if self.entries.len() > self.nominal * 2 / 16 * 15 {
            self.rebuild();
        }
    }

    /// Lowers theta so that `nominal` entries remain.
    fn rebuild(&mut self) {
        let mut hashes: Vec<u64> = self.entries.iter().copied().collect();
        let (_, theta, _) = hashes.select_nth_unstable(self.nominal);
        self.theta = *theta;
        let theta = self.theta;
        self.entries.retain(|hash| *hash < theta);
    }

    /// Adds all of a sketch.
    pub fn merge(&mut self, sketch: &ThetaSketch) {
        if sketch.empty {
            return;
        }
        self.empty = false;
        if sketch.theta < self.theta {
            let theta = sketch.theta;
            self.theta = theta;
            self.entries.retain(|hash| *hash < theta);
        }
        for hash in &sketch.hashes {
            if *hash >= self.theta {
                break;
            }
            self.add(*hash);
        }
    }

    /// The compact result, of at most `nominal` entries.
    pub fn result(&self) -> ThetaSketch {
        let mut hashes: Vec<u64> = self.entries.iter().copied().collect();
        hashes.sort_unstable();
        let mut theta = self.theta;
        if hashes.len() > self.nominal {
            theta = hashes[self.nominal];
            hashes.truncate(self.nominal);
        }
        ThetaSketch { theta, hashes, empty: self.empty }
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.entries.capacity() * 9 + 64
    }
}

/// A finished sketch: the hashes below theta, ascending.
#[derive(Debug, Clone, PartialEq)]
pub struct ThetaSketch {
    theta: u64,
    hashes: Vec<u64>,
    empty: bool,
}

impl ThetaSketch {
    /// The sketch that saw nothing.
    pub fn nothing() -> Self {
        ThetaSketch { theta: MAX_THETA, hashes: Vec::new(), empty: true }
    }

    /// From hashes below theta, ascending.
    pub(super) fn from_parts(theta: u64, hashes: Vec<u64>, empty: bool) -> Self {
        ThetaSketch { theta, hashes, empty }
    }

    /// Reads stored bytes; none are the empty sketch.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        if bytes.is_empty() {
            return Ok(ThetaSketch::nothing());
        }
        if let Some(sketch) = Self::from_version3(bytes) {
            return Ok(sketch);
        }
        let sketch = CompactThetaSketch::deserialize(bytes).map_err(|error| damaged("thetaSketch", error))?;
        let mut hashes: Vec<u64> = sketch.iter().map(|entry| entry.hash()).collect();
        hashes.sort_unstable();
        Ok(ThetaSketch { theta: sketch.theta64(), hashes, empty: sketch.is_empty() })
    }

    /// The common form, read without detours.
    fn from_version3(bytes: &[u8]) -> Option<Self> {
        let word = |index: usize| Some(u64::from_le_bytes(bytes.get(index * 8..index * 8 + 8)?.try_into().ok()?));
        let [preamble @ 2..=3, 3, 3, _, _, flags, _, _, ..] = *bytes else { return None };
        if flags & FLAGS != FLAGS || u16::from_le_bytes([bytes[6], bytes[7]]) != SEED_HASH {
            return None;
        }
        let count = (word(1)? & 0xffff_ffff) as usize;
        let theta = if preamble == 3 { word(2)? } else { MAX_THETA };
        let entries = bytes.get(usize::from(preamble) * 8..)?.get(..count.checked_mul(8)?)?;
        let hashes: Vec<u64> =
            entries.chunks_exact(8).map(|hash| u64::from_le_bytes(hash.try_into().expect("8 bytes"))).collect();
        let valid = hashes.is_sorted_by(|left, right| left < right)
            && hashes.first().is_none_or(|first| *first > 0)
            && hashes.last().is_none_or(|last| *last < theta);
        valid.then_some(ThetaSketch { theta, hashes, empty: false })
    }

    /// The compact ordered form.
    pub fn to_bytes(&self) -> Vec<u8> {
        if self.empty {
            return EMPTY.to_vec();
        }
        let estimating = self.theta < MAX_THETA;
        let single = self.hashes.len() == 1 && !estimating;
        let preamble: u8 = if estimating { 3 } else { 2 - u8::from(single) };
        let flags = if single { FLAGS | SINGLE_ITEM } else { FLAGS };
        let mut bytes = Vec::with_capacity(24 + self.hashes.len() * 8);
        bytes.extend_from_slice(&[preamble, 3, 3, 0, 0, flags]);
        bytes.extend_from_slice(&SEED_HASH.to_le_bytes());
        if preamble > 1 {
            bytes.extend_from_slice(&(self.hashes.len() as u32).to_le_bytes());
            // The sampling probability, 1.0, which Java writes and nobody reads.
            bytes.extend_from_slice(&1f32.to_le_bytes());
        }
        if preamble == 3 {
            bytes.extend_from_slice(&self.theta.to_le_bytes());
        }
        self.hashes.iter().for_each(|hash| bytes.extend_from_slice(&hash.to_le_bytes()));
        bytes
    }

    /// Theta as a fraction.
    pub fn theta(&self) -> f64 {
        self.theta as f64 / MAX_THETA as f64
    }

    /// Number of hashes kept.
    pub fn retained(&self) -> usize {
        self.hashes.len()
    }

    /// True when nothing was ever added.
    pub fn is_empty(&self) -> bool {
        self.empty
    }

    /// Estimated number of distinct values.
    pub fn estimate(&self) -> f64 {
        if self.theta == MAX_THETA { self.hashes.len() as f64 } else { self.hashes.len() as f64 / self.theta() }
    }

    /// Lower and upper bound at 1, 2 or 3 standard deviations.
    pub fn bounds(&self, deviations: u8) -> Result<(f64, f64)> {
        if self.theta == MAX_THETA {
            return Ok((self.estimate(), self.estimate()));
        }
        let deviations = std_dev(deviations)?;
        let sketch = CompactThetaSketch::deserialize(&self.to_bytes()).map_err(|error| damaged("thetaSketch", error))?;
        Ok((sketch.lower_bound(deviations), sketch.upper_bound(deviations)))
    }

    /// What both have seen.
    pub fn intersect(&self, other: &ThetaSketch) -> ThetaSketch {
        if self.empty || other.empty {
            return ThetaSketch::nothing();
        }
        let theirs: BTreeSet<u64> = other.hashes.iter().copied().collect();
        self.select(other, |hash| theirs.contains(&hash))
    }

    /// What this has seen and `other` has not.
    pub fn not(&self, other: &ThetaSketch) -> ThetaSketch {
        if self.empty || other.empty {
            return self.clone();
        }
        let theirs: BTreeSet<u64> = other.hashes.iter().copied().collect();
        self.select(other, |hash| !theirs.contains(&hash))
    }

    fn select(&self, other: &ThetaSketch, keep: impl Fn(u64) -> bool) -> ThetaSketch {
        let theta = self.theta.min(other.theta);
        let hashes: Vec<u64> = self.hashes.iter().copied().filter(|hash| *hash < theta && keep(*hash)).collect();
        // With nothing left and no sampling the result is the empty sketch.
        ThetaSketch { theta, empty: hashes.is_empty() && theta == MAX_THETA, hashes }
    }
}

/// Standard deviations as DataSketches takes them.
pub fn std_dev(deviations: u8) -> Result<NumStdDev> {
    match deviations {
        1 => Ok(NumStdDev::One),
        2 => Ok(NumStdDev::Two),
        3 => Ok(NumStdDev::Three),
        other => Err(DruidError::invalid_input(format!("number of standard deviations must be 1, 2 or 3: {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: std::ops::Range<u32>, nominal: usize) -> ThetaState {
        let mut state = ThetaState::new(nominal);
        values.for_each(|value| state.add(hash(format!("value{value}").as_bytes()).unwrap()));
        state
    }

    #[test]
    fn merged_parts_equal_the_whole() {
        for count in [10, 1000, 50_000] {
            let whole = of(0..count, 1024).result();
            let mut union = ThetaState::new(1024);
            union.merge(&of(0..count / 3, 1024).result());
            union.merge(&of(count / 4..count, 1024).result());
            let merged = union.result();
            assert!((merged.estimate() / f64::from(count) - 1.0).abs() < 0.1);
            assert!((whole.estimate() / f64::from(count) - 1.0).abs() < 0.1);
            assert_eq!(ThetaSketch::from_bytes(&merged.to_bytes()).unwrap(), merged);
            let (low, high) = merged.bounds(2).unwrap();
            assert!(low <= merged.estimate() && merged.estimate() <= high);
        }
    }

    #[test]
    fn set_operations_on_exact_sketches() {
        let (left, right) = (of(0..60, 1024).result(), of(40..100, 1024).result());
        assert_eq!(left.intersect(&right).estimate(), 20.0);
        assert_eq!(left.not(&right).estimate(), 40.0);
        assert!(left.not(&left).is_empty());
    }

    #[test]
    fn damaged_bytes_are_errors() {
        assert!(ThetaSketch::from_bytes(&[3, 3, 3, 0, 0, 0x1a, 0xcc, 0x93, 255, 255, 255, 255]).is_err());
        assert!(ThetaSketch::from_bytes(&[9; 40]).is_err());
    }
}
