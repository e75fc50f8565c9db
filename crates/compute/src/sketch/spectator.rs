//! Spectator's percentile buckets, as Druid's spectator-histogram extension stores them (`SpectatorHistogram`): how many values
//! fell into each of 276 buckets, whose bounds grow by a third of a power of four.
//!
//! A bucket is `u16be`: nine bits its number; a count up to 63 stands in the upper six bits with flag `0x0200`, a larger one follows
//! in 1 (`0x8000`), 2 (`0x4000`), 4 (`0xC000`) or 8 bytes. Buckets come in any order.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ovate_base::{DruidError, Result};
use serde_json::Value as Json;

use super::damaged;

const KIND: &str = "spectatorHistogram";
const LOW_COUNT: u16 = 0x0200;
const SIZE: u16 = 0xFC00;
const BUCKET: u16 = 0x01FF;

/// The buckets' upper bounds, and the place of each power of four among them.
static BOUNDS: LazyLock<(Vec<i64>, Vec<usize>)> = LazyLock::new(|| {
    let (mut bounds, mut powers) = (vec![1, 2, 3], vec![0]);
    for exponent in (2..64).step_by(2) {
        let power = 1i64 << exponent;
        let delta = power / 3;
        powers.push(bounds.len());
        // The last power of four has no next one in 64 bits.
        let next = i128::from(power) * 4 - i128::from(delta);
        let next = if exponent == 62 { i128::from((power << 2).wrapping_sub(delta)) } else { next };
        let mut bound = power;
        while i128::from(bound) < next {
            bounds.push(bound);
            bound += delta;
        }
    }
    bounds.push(i64::MAX);
    (bounds, powers)
});

/// The bucket of a value.
fn bucket_of(value: i64) -> u16 {
    if value <= 4 {
        return value.max(0) as u16;
    }
    let (bounds, powers) = &*BOUNDS;
    let shift = (63 - value.leading_zeros()) & !1;
    let base = 1i64 << shift;
    let offset = (value - base) / (base / 3);
    let place = powers[shift as usize / 2] + offset as usize;
    (place + 1).min(bounds.len() - 1) as u16
}

/// Counts by bucket.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spectator(BTreeMap<u16, i64>);

impl Spectator {
    /// Adds a value; negative ones go to the first bucket.
    pub fn add(&mut self, value: i64) {
        self.count_in(bucket_of(value), 1);
    }

    fn count_in(&mut self, bucket: u16, count: i64) {
        let known = self.0.entry(bucket).or_default();
        *known = known.wrapping_add(count);
    }

    fn checked(&mut self, bucket: Option<u16>, count: i64) -> Result<()> {
        let buckets = BOUNDS.0.len();
        let bucket = bucket.filter(|bucket| usize::from(*bucket) < buckets && count >= 0);
        let bucket = bucket.ok_or_else(|| DruidError::invalid_input(format!("Bucket index out of range (0, {buckets})")))?;
        self.count_in(bucket, count);
        Ok(())
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Spectator) {
        other.0.iter().for_each(|(bucket, count)| self.count_in(*bucket, *count));
    }

    /// How many values.
    pub fn count(&self) -> i64 {
        self.0.values().fold(0, |sum, count| sum.wrapping_add(*count))
    }

    /// A value within the bucket of this percentile (0 to 100), by where in the bucket it falls.
    pub fn percentile(&self, percentile: f64) -> f64 {
        let (bounds, total) = (&BOUNDS.0, self.count());
        let (mut met, mut share, mut bound) = (0i64, 0.0, 0i64);
        for (bucket, next_bound) in bounds.iter().enumerate() {
            met = met.wrapping_add(self.0.get(&(bucket as u16)).copied().unwrap_or(0));
            let next_share = 100.0 * met as f64 / total as f64;
            if next_share >= percentile {
                let inside = (percentile - share) / (next_share - share);
                return inside * (next_bound - bound) as f64 + bound as f64;
            }
            (share, bound) = (next_share, *next_bound);
        }
        let inside = (percentile - share) / (100.0 - share);
        inside * (i64::MAX - bound) as f64 + bound as f64
    }

    /// The bytes that Druid stores; none for no values.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(3 * self.0.len());
        for (bucket, count) in &self.0 {
            let mut put = |flag: u16| out.extend_from_slice(&(bucket | flag).to_be_bytes());
            match *count {
                count @ ..=0x3F => put(LOW_COUNT | (count as u16) << 10),
                count @ 0x40..=0xFF => {
                    put(0x8000);
                    out.push(count as u8);
                }
                count @ 0x100..=0xFFFF => {
                    put(0x4000);
                    out.extend_from_slice(&(count as u16).to_be_bytes());
                }
                count @ 0x1_0000..=0xFFFF_FFFF => {
                    put(0xC000);
                    out.extend_from_slice(&(count as u32).to_be_bytes());
                }
                count => {
                    put(0);
                    out.extend_from_slice(&count.to_be_bytes());
                }
            }
        }
        out
    }

    /// Reads bytes that nobody vouches for.
    pub fn from_bytes(mut bytes: &[u8]) -> Result<Self> {
        let mut histogram = Spectator::default();
        while !bytes.is_empty() {
            let head = take(&mut bytes, 2)? as u16;
            let count = match (head & LOW_COUNT, head & SIZE) {
                (0, 0x8000) => take(&mut bytes, 1)?,
                (0, 0x4000) => take(&mut bytes, 2)?,
                (0, 0xC000) => take(&mut bytes, 4)?,
                (0, _) => take(&mut bytes, 8)?,
                (_, count) => u64::from(count >> 10),
            };
            let bucket = head & BUCKET;
            if usize::from(bucket) >= BOUNDS.0.len() {
                return Err(damaged(KIND, format!("bucket {bucket}")));
            }
            histogram.count_in(bucket, count as i64);
        }
        Ok(histogram)
    }

    /// From an object of counts by bucket.
    pub fn from_json(json: &Json) -> Result<Self> {
        let Json::Object(map) = json else {
            return Err(DruidError::invalid_input("a Spectator Histogram must be a number or an object of counts"));
        };
        let mut histogram = Spectator::default();
        for (bucket, count) in map {
            let count = count.as_i64().ok_or_else(|| DruidError::invalid_input("counts must be whole numbers"))?;
            histogram.checked(bucket.parse().ok(), count)?;
        }
        Ok(histogram)
    }

    /// An object of counts by bucket.
    pub fn to_json(&self) -> Json {
        Json::Object(self.0.iter().map(|(bucket, count)| (bucket.to_string(), Json::from(*count))).collect())
    }

    /// About how many bytes it holds.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Spectator>() + self.0.len() * 24
    }
}

fn take(bytes: &mut &[u8], count: usize) -> Result<u64> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or_else(|| damaged(KIND, "it ends too early"))?;
    *bytes = rest;
    Ok(taken.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fall_into_spectators_buckets() {
        // The example in Druid's class comment.
        let buckets = [10, 30, 40, 50, 100].map(bucket_of);
        assert_eq!(buckets, [10, 17, 19, 21, 25]);
        assert_eq!([-5, 0, 1, 4, 5, i64::MAX].map(bucket_of), [0, 0, 1, 4, 5, 275]);
        assert_eq!(BOUNDS.0.len(), 276);
        // A value lies below its bucket's bound. Just below a power of four it goes one bucket too far, as Spectator does.
        for value in (5..100_000).chain((0..50).map(|i| 1 << 40 | i << 30)) {
            let bucket = usize::from(bucket_of(value));
            assert!(value < BOUNDS.0[bucket] && value >= BOUNDS.0[bucket - 2], "{value} in {bucket}");
        }
    }

    #[test]
    fn counts_of_all_widths_are_stored_as_druid_stores_them() {
        let mut histogram = Spectator::default();
        [10, 30, 40, 40, 40, 50, 50].iter().for_each(|value| histogram.add(*value));
        (0..256).for_each(|_| histogram.add(100));
        assert_eq!(histogram.to_bytes(), [6, 10, 6, 17, 14, 19, 10, 21, 64, 25, 1, 0]);
        for count in [1, 63, 64, 255, 256, 65_535, 65_536, 0xFFFF_FFFF, 0x1_0000_0000, i64::MAX] {
            let one = Spectator::from_json(&serde_json::json!({"7": count})).unwrap();
            assert_eq!(Spectator::from_bytes(&one.to_bytes()).unwrap(), one, "{count}");
            assert_eq!(one.to_json(), serde_json::json!({"7": count}));
        }
    }

    #[test]
    fn percentiles_lie_in_the_bucket_of_their_rank() {
        let mut histogram = Spectator::default();
        (0..100_000).for_each(|value| histogram.add(value));
        for percentile in [10.0, 50.0, 90.0, 99.0] {
            let (found, exact) = (histogram.percentile(percentile), percentile * 1000.0);
            assert!((found - exact).abs() < 0.1 * exact, "{percentile}: {found}");
        }
        assert_eq!(histogram.count(), 100_000);
    }

    #[test]
    fn what_is_no_histogram_is_an_error() {
        for bytes in [&[6][..], &[0x80, 1], &[0x02 | 0x01, 0xFF], &[0, 1, 0]] {
            assert!(Spectator::from_bytes(bytes).is_err(), "{bytes:?}");
        }
        for json in
            [serde_json::json!({"276": 1}), serde_json::json!({"a": 1}), serde_json::json!({"1": -1}), serde_json::json!([])]
        {
            assert!(Spectator::from_json(&json).is_err(), "{json}");
        }
    }
}
