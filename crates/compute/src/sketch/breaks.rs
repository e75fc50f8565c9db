//! Druid's first histogram (`org.apache.druid.query.aggregation.Histogram`): how many values lie between breaks that are given
//! ahead.
//!
//! Layout, big endian: `i32` number of breaks, `f32` breaks, `i64` counts (one more than breaks; the first is of values up to the
//! first break), `f32` smallest, `f32` largest value.

use ovate_base::{DruidError, Result};

use super::damaged;

const KIND: &str = "histogram";

/// Counts between breaks.
#[derive(Clone, Debug, PartialEq)]
pub struct Breaks {
    breaks: Vec<f32>,
    counts: Vec<i64>,
    min: f32,
    max: f32,
}

impl Breaks {
    /// Between these breaks, which ascend.
    pub fn new(breaks: &[f32]) -> Self {
        Breaks { breaks: breaks.to_vec(), counts: vec![0; breaks.len() + 1], min: f32::INFINITY, max: f32::NEG_INFINITY }
    }

    /// Adds a value; one that is a break counts below it.
    pub fn add(&mut self, value: f32) {
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        let place = self.breaks.partition_point(|bound| bound.total_cmp(&value).is_lt());
        self.counts[place] = self.counts[place].wrapping_add(1);
    }

    /// Adds another's counts, whose breaks must be the same.
    pub fn merge(&mut self, other: &Breaks) -> Result<()> {
        if self.breaks != other.breaks {
            return Err(DruidError::invalid_input("Cannot fold histograms with different breaks"));
        }
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, theirs)| *own = own.wrapping_add(*theirs));
        Ok(())
    }

    /// Breaks, the counts between them, and the smallest and largest value.
    pub fn visual(&self) -> (&[f32], &[i64], [f32; 2]) {
        let between = self.counts.get(1..self.breaks.len()).unwrap_or_default();
        (&self.breaks, between, [self.min, self.max])
    }

    /// The bytes that Druid stores.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = (self.breaks.len() as i32).to_be_bytes().to_vec();
        self.breaks.iter().for_each(|bound| out.extend_from_slice(&bound.to_be_bytes()));
        self.counts.iter().for_each(|count| out.extend_from_slice(&count.to_be_bytes()));
        out.extend_from_slice(&self.min.to_be_bytes());
        out.extend_from_slice(&self.max.to_be_bytes());
        out
    }

    /// Reads bytes that nobody vouches for.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let short = || damaged(KIND, "it ends too early");
        let (count, rest) = bytes.split_first_chunk::<4>().ok_or_else(short)?;
        let count = usize::try_from(i32::from_be_bytes(*count)).map_err(|_| damaged(KIND, "a negative number of breaks"))?;
        let (breaks, rest) = count.checked_mul(4).and_then(|size| rest.split_at_checked(size)).ok_or_else(short)?;
        let (counts, rest) = (count + 1).checked_mul(8).and_then(|size| rest.split_at_checked(size)).ok_or_else(short)?;
        let ends = rest.first_chunk::<8>().ok_or_else(short)?;
        let float = |bytes: &[u8; 4]| f32::from_be_bytes(*bytes);
        Ok(Breaks {
            breaks: breaks.as_chunks().0.iter().map(float).collect(),
            counts: counts.as_chunks().0.iter().map(|count| i64::from_be_bytes(*count)).collect(),
            min: float(&[ends[0], ends[1], ends[2], ends[3]]),
            max: float(&[ends[4], ends[5], ends[6], ends[7]]),
        })
    }

    /// Bytes it holds.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Breaks>() + 12 * self.counts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_between_breaks() {
        let mut histogram = Breaks::new(&[-1.0, 0.0, 2.5]);
        [-5.0, -1.0, -0.5, 0.0, 1.0, 2.5, 9.0].iter().for_each(|value| histogram.add(*value));
        assert_eq!(histogram.counts, [2, 2, 2, 1]);
        assert_eq!(histogram.visual(), (&[-1.0, 0.0, 2.5][..], &[2, 2][..], [-5.0, 9.0]));
        let mut merged = Breaks::from_bytes(&histogram.to_bytes()).unwrap();
        merged.merge(&histogram).unwrap();
        assert_eq!(merged.counts, [4, 4, 4, 2]);
        assert!(merged.merge(&Breaks::new(&[0.0])).is_err());
        let bytes = histogram.to_bytes();
        assert!((0..bytes.len()).all(|end| Breaks::from_bytes(&bytes[..end]).is_err()));
    }
}
