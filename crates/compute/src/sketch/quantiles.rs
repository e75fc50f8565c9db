//! The classic quantiles sketch of Apache DataSketches (`DoublesSketch`): a base buffer of 2k items and levels of k sorted
//! items, level `i` standing for `2^(i+1)` values each; a full base buffer is sorted, thinned by a random half and carried
//! upwards like a binary number. Stored as the compact ordered image: `u8` preamble longs, `u8` version 3, `u8` family 8,
//! `u8` flags, `u16le` k, `u16` 0, then unless empty `u64le` n, `f64le` min, max, base buffer, levels from the lowest.

use ovate_base::{DruidError, Result};
use rand::Rng;

use super::damaged;
use super::sorted_view::SortedView;

const FAMILY: u8 = 8;
const EMPTY_FLAG: u8 = 4;
/// Read-only, compact, ordered.
const FLAGS: u8 = 0x1a;

/// A sketch of doubles.
#[derive(Debug, Clone)]
pub struct QuantilesSketch {
    k: usize,
    n: u64,
    min: f64,
    max: f64,
    base: Vec<f64>,
    /// Empty or of k sorted items each.
    levels: Vec<Vec<f64>>,
}

impl QuantilesSketch {
    /// An empty sketch; k is a power of two from 2 to 32768.
    pub fn new(k: usize) -> Result<Self> {
        if !(2..=32768).contains(&k) || !k.is_power_of_two() {
            return Err(DruidError::invalid_input(format!("k must be a power of 2 between 2 and 32768: {k}")));
        }
        Ok(QuantilesSketch { k, n: 0, min: f64::NAN, max: f64::NAN, base: Vec::new(), levels: Vec::new() })
    }

    /// A sketch of ascending values, each as often as it was met. Items of all levels are taken alternately along the sorted
    /// values, each from the middle of those that it stands for, so that ranks are at least as near as those of a sketch that
    /// was filled value by value.
    pub fn of_counts(k: usize, counted: &[(i64, u64)]) -> Result<Self> {
        let mut sketch = QuantilesSketch::new(k)?;
        let (Some((min, _)), Some((max, _))) = (counted.first(), counted.last()) else { return Ok(sketch) };
        let n: u64 = counted.iter().map(|(_, count)| count).sum();
        let (width, k) = (2 * k as u64, k as u64);
        let (singles, pattern) = (n % width, n / width);
        (sketch.n, sketch.min, sketch.max) = (n, *min as f64, *max as f64);
        sketch.levels = vec![Vec::new(); (u64::BITS - pattern.leading_zeros()) as usize];
        let (mut rank, mut at, mut passed) = (0u64, 0usize, counted[0].1);
        // The value in the middle of the next `weight` ranks.
        let mut next = |weight: u64| {
            while rank + weight / 2 >= passed && at + 1 < counted.len() {
                at += 1;
                passed += counted[at].1;
            }
            rank += weight;
            counted[at].0 as f64
        };
        let mut taken = 0;
        for item in 0..k {
            while taken < singles && (2 * taken + 1) * k <= (2 * item + 1) * singles {
                sketch.base.push(next(1));
                taken += 1;
            }
            for (level, items) in sketch.levels.iter_mut().enumerate().filter(|(level, _)| pattern >> level & 1 == 1) {
                items.push(next(2u64 << level));
            }
        }
        (taken..singles).for_each(|_| sketch.base.push(next(1)));
        Ok(sketch)
    }

    /// The size of a level.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Number of values added.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Smallest value, NaN of none.
    pub fn min(&self) -> f64 {
        self.min
    }

    /// Greatest value, NaN of none.
    pub fn max(&self) -> f64 {
        self.max
    }

    /// Adds a value; NaN is not counted.
    pub fn add(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        if self.n == 0 || value < self.min {
            self.min = value;
        }
        if self.n == 0 || value > self.max {
            self.max = value;
        }
        self.n += 1;
        self.base.push(value);
        if self.base.len() == 2 * self.k {
            let mut full = std::mem::take(&mut self.base);
            full.sort_unstable_by(f64::total_cmp);
            self.carry(0, thin(&full, 2));
        }
    }

    /// Puts k sorted items into a level, merging upwards while levels are taken.
    fn carry(&mut self, mut level: usize, mut items: Vec<f64>) {
        loop {
            if level >= self.levels.len() {
                self.levels.resize(level + 1, Vec::new());
            }
            if self.levels[level].is_empty() {
                self.levels[level] = items;
                return;
            }
            let taken = std::mem::take(&mut self.levels[level]);
            items = thin(&merge_sorted(&taken, &items), 2);
            level += 1;
        }
    }

    /// Adds all of another sketch; the result has the smaller k.
    pub fn merge(&mut self, other: &QuantilesSketch) -> Result<()> {
        if other.n == 0 {
            return Ok(());
        }
        if other.k < self.k {
            let mut smaller = QuantilesSketch::new(other.k)?;
            smaller.absorb(self);
            *self = smaller;
        }
        self.absorb(other);
        Ok(())
    }

    /// Adds a sketch whose k is not smaller.
    fn absorb(&mut self, other: &QuantilesSketch) {
        if other.n == 0 {
            return;
        }
        let (n, ratio) = (self.n.saturating_add(other.n), other.k / self.k);
        let (min, max) = if self.n == 0 { (other.min, other.max) } else { (self.min.min(other.min), self.max.max(other.max)) };
        other.base.iter().for_each(|value| self.add(*value));
        for (level, items) in other.levels.iter().enumerate().filter(|(_, items)| !items.is_empty()) {
            // Thinning by the ratio of the sizes makes each item stand for that many more values.
            let thinned = if ratio > 1 { thin(items, ratio) } else { items.clone() };
            self.carry(level + ratio.trailing_zeros() as usize, thinned);
        }
        (self.n, self.min, self.max) = (n, min, max);
    }

    /// Items in order with their weights.
    pub fn sorted_view(&self) -> SortedView {
        let mut weighted: Vec<(f64, u64)> = self.base.iter().map(|item| (*item, 1)).collect();
        for (level, items) in self.levels.iter().enumerate() {
            weighted.extend(items.iter().map(|item| (*item, 2u64 << level)));
        }
        SortedView::new(weighted)
    }

    /// Reads stored bytes; none are an empty sketch, whose k then is `default_k`.
    pub fn from_bytes(bytes: &[u8], default_k: usize) -> Result<Self> {
        if bytes.is_empty() {
            return QuantilesSketch::new(default_k);
        }
        let bad = |detail: &str| damaged("quantilesDoublesSketch", detail);
        let [preamble, version, FAMILY, flags, k0, k1, _, _, ref rest @ ..] = *bytes else { return Err(bad("header")) };
        let mut sketch = QuantilesSketch::new(usize::from(u16::from_le_bytes([k0, k1]))).map_err(|_| bad("k"))?;
        if flags & EMPTY_FLAG != 0 || preamble < 2 {
            return Ok(sketch);
        }
        if version != 3 && version != 2 {
            return Err(bad("version"));
        }
        let compact = version == 2 || flags & 8 != 0;
        let mut words = rest.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes")));
        sketch.n = words.next().ok_or_else(|| bad("n"))?;
        let mut doubles = words.map(f64::from_bits);
        sketch.min = doubles.next().ok_or_else(|| bad("min"))?;
        sketch.max = doubles.next().ok_or_else(|| bad("max"))?;
        let items: Vec<f64> = doubles.collect();
        let (width, k) = (2 * sketch.k, sketch.k);
        let base_count = (sketch.n % width as u64) as usize;
        let pattern = sketch.n / width as u64;
        // Only the compact form leaves out the unused places of the base buffer and the empty levels.
        let mut position = if compact { base_count } else { width };
        sketch.base = items.get(..base_count).ok_or_else(|| bad("base buffer"))?.to_vec();
        for level in 0..(u64::BITS - pattern.leading_zeros()) as usize {
            let taken = pattern >> level & 1 == 1;
            let mut items_of_level = Vec::new();
            if taken {
                items_of_level = items.get(position..position + k).ok_or_else(|| bad("level"))?.to_vec();
                items_of_level.sort_unstable_by(f64::total_cmp);
            }
            position += if taken || !compact { k } else { 0 };
            sketch.levels.push(items_of_level);
        }
        Ok(sketch)
    }

    /// The compact bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let k = (self.k as u16).to_le_bytes();
        if self.n == 0 {
            return vec![1, 3, FAMILY, FLAGS | EMPTY_FLAG, k[0], k[1], 0, 0];
        }
        let mut bytes = vec![2, 3, FAMILY, FLAGS, k[0], k[1], 0, 0];
        bytes.extend_from_slice(&self.n.to_le_bytes());
        let mut base = self.base.clone();
        base.sort_unstable_by(f64::total_cmp);
        let items = [self.min, self.max].into_iter().chain(base).chain(self.levels.iter().flatten().copied());
        items.for_each(|item| bytes.extend_from_slice(&item.to_le_bytes()));
        bytes
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        (self.base.capacity() + self.levels.iter().map(Vec::capacity).sum::<usize>()) * 8 + 80
    }

    /// A description in words, for `quantilesDoublesSketchToString`.
    pub fn describe(&self) -> String {
        let retained = self.base.len() + self.levels.iter().map(Vec::len).sum::<usize>();
        format!(
            "\n### Quantiles DirectCompactDoublesSketch SUMMARY: \n   Empty                        : {}\n   K                            : \
             {}\n   N                            : {}\n   Retained items               : {retained}\n   Min Item                     : \
             {}\n   Max Item                     : {}\n### END SKETCH SUMMARY\n",
            self.n == 0,
            self.k,
            self.n,
            self.min,
            self.max
        )
    }
}

/// Every `stride`th item from a random start.
fn thin(items: &[f64], stride: usize) -> Vec<f64> {
    let start = rand::rng().random_range(0..stride);
    items.iter().skip(start).step_by(stride).copied().collect()
}

fn merge_sorted(left: &[f64], right: &[f64]) -> Vec<f64> {
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        merged.push(if a <= b { *left.next().expect("peeked") } else { *right.next().expect("peeked") });
    }
    merged.extend(left);
    merged.extend(right);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_sets_are_exact() {
        let mut sketch = QuantilesSketch::new(128).unwrap();
        (1..=6).for_each(|value| sketch.add(f64::from(value)));
        let view = sketch.sorted_view();
        let quantiles: Vec<_> = [0.0, 0.5, 0.98, 1.0].iter().map(|rank| view.quantile(*rank).unwrap()).collect();
        assert_eq!(quantiles, [1.0, 3.0, 6.0, 6.0]);
        assert_eq!(view.rank(3.0), 0.5);
        assert_eq!(view.pmf(&[2.0, 4.0]), [2.0 / 6.0, 4.0 / 6.0 - 2.0 / 6.0, 1.0 - 4.0 / 6.0]);
    }

    #[test]
    fn large_sets_stay_near_and_survive_bytes_and_merges() {
        let mut parts: Vec<_> = [128, 128, 64].map(|k| QuantilesSketch::new(k).unwrap()).into();
        (0..30_000).for_each(|value| parts[value % 3].add(value as f64));
        let mut all = QuantilesSketch::new(128).unwrap();
        for part in &parts {
            all.merge(&QuantilesSketch::from_bytes(&part.to_bytes(), 128).unwrap()).unwrap();
        }
        let all = QuantilesSketch::from_bytes(&all.to_bytes(), 128).unwrap();
        assert_eq!((all.n(), all.min(), all.max()), (30_000, 0.0, 29_999.0));
        let view = all.sorted_view();
        for rank in [0.1, 0.5, 0.9] {
            assert!((view.quantile(rank).unwrap() / 30_000.0 - rank).abs() < 0.06);
        }
        assert_eq!(view.total(), 30_000);
    }

    #[test]
    fn a_sketch_of_counts_is_as_good_as_one_of_values() {
        for n in [0u64, 1, 5, 255, 256, 257, 511, 512, 1000, 99_999] {
            let counted: Vec<(i64, u64)> =
                (0..n / 3 + u64::from(n > 0)).map(|v| (v as i64, if v < n / 3 { 3 } else { n % 3 })).collect();
            let counted: Vec<(i64, u64)> = counted.into_iter().filter(|(_, count)| *count > 0).collect();
            let sketch = QuantilesSketch::of_counts(128, &counted).unwrap();
            assert_eq!(sketch.n(), n);
            assert_eq!(sketch.sorted_view().total(), n);
            let again = QuantilesSketch::from_bytes(&sketch.to_bytes(), 128).unwrap();
            assert_eq!(again.to_bytes(), sketch.to_bytes());
            let mut merged = QuantilesSketch::new(128).unwrap();
            (0..100).for_each(|v| merged.add(f64::from(v)));
            merged.merge(&sketch).unwrap();
            assert_eq!((merged.n(), merged.sorted_view().total()), (n + 100, n + 100));
            if n < 256 {
                let mut exact = QuantilesSketch::new(128).unwrap();
                counted.iter().for_each(|(v, count)| (0..*count).for_each(|_| exact.add(*v as f64)));
                assert_eq!(exact.to_bytes(), sketch.to_bytes());
                continue;
            }
            for rank in [0.01, 0.25, 0.5, 0.95, 0.99] {
                let found = sketch.sorted_view().quantile(rank).unwrap();
                assert!((found / (n as f64 / 3.0) - rank).abs() < 0.02, "{n} {rank} {found}");
            }
        }
    }

    #[test]
    fn damaged_bytes_are_errors() {
        assert!(QuantilesSketch::from_bytes(&[2, 3, 8, 0x1a, 16, 0, 0, 0, 255, 255], 128).is_err());
        let mut bytes = QuantilesSketch::new(16).unwrap();
        bytes.add(1.0);
        let mut bytes = bytes.to_bytes();
        bytes[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(QuantilesSketch::from_bytes(&bytes, 128).is_err());
    }
}
