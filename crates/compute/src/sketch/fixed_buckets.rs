//! `FixedBucketsHistogram` of Druid's histogram extension: equal buckets between two limits, with counts of what lies
//! outside and of nulls. Stored big endian: `u8` 1, `u8` 1 full or 2 sparse, `f64` lower, `f64` upper limit, `i32` buckets,
//! `u8` outlier handling, `i64` count, lower outliers, upper outliers, missing, `f64` max, min; then full: an `i64` a bucket;
//! sparse: `i32` filled buckets, each `i32` bucket and `i64` count.

use std::fmt::Write;

use ovate_base::{DruidError, Result};

use super::damaged;

/// What becomes of values outside the limits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OutlierHandling {
    Ignore,
    Overflow,
    Clip,
}

impl OutlierHandling {
    /// From its JSON name.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "ignore" => Some(OutlierHandling::Ignore),
            "overflow" => Some(OutlierHandling::Overflow),
            "clip" => Some(OutlierHandling::Clip),
            _ => None,
        }
    }

    /// Its JSON name.
    pub fn name(self) -> &'static str {
        match self {
            OutlierHandling::Ignore => "ignore",
            OutlierHandling::Overflow => "overflow",
            OutlierHandling::Clip => "clip",
        }
    }
}

/// A histogram.
#[derive(Debug, Clone, PartialEq)]
pub struct FixedBuckets {
    lower: f64,
    upper: f64,
    handling: OutlierHandling,
    buckets: Vec<u64>,
    count: u64,
    lower_outliers: u64,
    upper_outliers: u64,
    missing: u64,
    min: f64,
    max: f64,
}

/// More would be a mistake or an attack.
const BUCKETS_MAX: usize = 1 << 22;

impl FixedBuckets {
    /// An empty histogram.
    pub fn new(lower: f64, upper: f64, buckets: usize, handling: OutlierHandling) -> Result<Self> {
        if upper <= lower || lower.is_nan() || upper.is_nan() || buckets == 0 || buckets > BUCKETS_MAX {
            return Err(DruidError::invalid_input(format!(
                "upperLimit must be greater than lowerLimit and numBuckets positive: {lower} {upper} {buckets}"
            )));
        }
        let (min, max) = (f64::INFINITY, f64::NEG_INFINITY);
        let (count, lower_outliers, upper_outliers, missing) = (0, 0, 0, 0);
        let buckets = vec![0; buckets];
        Ok(FixedBuckets { lower, upper, handling, buckets, count, lower_outliers, upper_outliers, missing, min, max })
    }

    fn width(&self) -> f64 {
        (self.upper - self.lower) / self.buckets.len() as f64
    }

    /// Smallest value inside.
    pub fn min(&self) -> f64 {
        self.min
    }

    /// Greatest value inside.
    pub fn max(&self) -> f64 {
        self.max
    }

    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        let mut value = value;
        if value < self.lower || value >= self.upper {
            match self.handling {
                OutlierHandling::Ignore => return,
                OutlierHandling::Overflow if value < self.lower => {
                    return self.lower_outliers = self.lower_outliers.wrapping_add(1);
                }
                OutlierHandling::Overflow => return self.upper_outliers = self.upper_outliers.wrapping_add(1),
                OutlierHandling::Clip => value = if value < self.lower { self.lower } else { self.upper },
            }
        }
        self.count = self.count.wrapping_add(1);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        let bucket = ((value - self.lower) / self.width()) as usize;
        let last = self.buckets.len() - 1;
        let slot = &mut self.buckets[bucket.min(last)];
        *slot = slot.wrapping_add(1);
    }

    /// Counts a null.
    pub fn add_missing(&mut self) {
        self.missing = self.missing.wrapping_add(1);
    }

    /// Adds all of another histogram; where limits or buckets differ, counts are spread evenly over what they overlap.
    pub fn merge(&mut self, other: &FixedBuckets) {
        self.missing = self.missing.wrapping_add(other.missing);
        if self.lower == other.lower && self.upper == other.upper && self.buckets.len() == other.buckets.len() {
            self.buckets.iter_mut().zip(&other.buckets).for_each(|(mine, theirs)| *mine = mine.wrapping_add(*theirs));
            self.count = self.count.wrapping_add(other.count);
            self.lower_outliers = self.lower_outliers.wrapping_add(other.lower_outliers);
            self.upper_outliers = self.upper_outliers.wrapping_add(other.upper_outliers);
        } else {
            self.spread(other);
        }
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    fn spread(&mut self, other: &FixedBuckets) {
        let (width, other_width) = (self.width(), other.width());
        let mut outside = [other.lower_outliers as f64, other.upper_outliers as f64];
        for (index, count) in other.buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
            let start = other.lower + index as f64 * other_width;
            let end = start + other_width;
            let share = |from: f64, to: f64| *count as f64 * ((to.min(end) - from.max(start)).max(0.0) / other_width);
            outside[0] += share(f64::NEG_INFINITY, self.lower);
            outside[1] += share(self.upper, f64::INFINITY);
            let first = (((start - self.lower) / width).max(0.0) as usize).min(self.buckets.len());
            for bucket in first..self.buckets.len() {
                let from = self.lower + bucket as f64 * width;
                if from >= end {
                    break;
                }
                let added = share(from, from + width).round() as u64;
                self.buckets[bucket] = self.buckets[bucket].wrapping_add(added);
                self.count = self.count.wrapping_add(added);
            }
        }
        let last = self.buckets.len() - 1;
        let [below, above] = outside.map(|count| count.round() as u64);
        match self.handling {
            OutlierHandling::Ignore => {}
            OutlierHandling::Overflow => {
                (self.lower_outliers, self.upper_outliers) =
                    (self.lower_outliers.wrapping_add(below), self.upper_outliers.wrapping_add(above))
            }
            OutlierHandling::Clip => {
                self.buckets[0] = self.buckets[0].wrapping_add(below);
                self.buckets[last] = self.buckets[last].wrapping_add(above);
                self.count = self.count.wrapping_add(below.wrapping_add(above));
            }
        }
    }

    /// The value below which this percentage lies, interpolated inside its bucket; NaN of no values.
    pub fn percentile(&self, percent: f64) -> f32 {
        if self.count == 0 {
            return f32::NAN;
        }
        let wanted = self.count as f64 * percent / 100.0;
        let mut before = 0.0;
        for (index, count) in self.buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
            let count = *count as f64;
            if before + count >= wanted {
                let share = (wanted - before) / count;
                return (self.lower + self.width() * (index as f64 + share)) as f32;
            }
            before += count;
        }
        self.upper as f32
    }

    /// Reads stored bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::read(bytes).ok_or_else(|| damaged("fixedBucketsHistogram", format_args!("{} bytes", bytes.len())))
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let word = |offset: usize| Some(u64::from_be_bytes(bytes.get(offset..offset + 8)?.try_into().ok()?));
        let int = |offset: usize| Some(i32::from_be_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?));
        let double = |offset: usize| word(offset).map(f64::from_bits);
        let (mode, handling) = (*bytes.get(1)?, *bytes.get(22)?);
        let handling = *[OutlierHandling::Ignore, OutlierHandling::Overflow, OutlierHandling::Clip].get(usize::from(handling))?;
        let count = usize::try_from(int(18)?).ok()?;
        if mode == 1 && count > bytes.len() / 8 {
            return None;
        }
        let mut histogram = FixedBuckets::new(double(2)?, double(10)?, count, handling).ok()?;
        (histogram.count, histogram.lower_outliers) = (word(23)?, word(31)?);
        (histogram.upper_outliers, histogram.missing) = (word(39)?, word(47)?);
        (histogram.max, histogram.min) = (double(55)?, double(63)?);
        match mode {
            1 => (0..count).try_for_each(|index| word(71 + index * 8).map(|found| histogram.buckets[index] = found))?,
            2 => {
                for index in 0..usize::try_from(int(71)?).ok()? {
                    let bucket = usize::try_from(int(75 + index * 12)?).ok()?;
                    *histogram.buckets.get_mut(bucket)? = word(79 + index * 12)?;
                }
            }
            _ => return None,
        }
        Some(histogram)
    }

    /// The stored bytes, sparse where that is smaller.
    pub fn to_bytes(&self) -> Vec<u8> {
        let filled = self.buckets.iter().filter(|count| **count > 0).count();
        let sparse = 4 + 12 * filled < 8 * self.buckets.len();
        let mut bytes = vec![1, if sparse { 2 } else { 1 }];
        bytes.extend_from_slice(&self.lower.to_be_bytes());
        bytes.extend_from_slice(&self.upper.to_be_bytes());
        bytes.extend_from_slice(&(self.buckets.len() as i32).to_be_bytes());
        bytes.push(self.handling as u8);
        let counts = [self.count, self.lower_outliers, self.upper_outliers, self.missing];
        counts.iter().for_each(|count| bytes.extend_from_slice(&count.to_be_bytes()));
        bytes.extend_from_slice(&self.max.to_be_bytes());
        bytes.extend_from_slice(&self.min.to_be_bytes());
        if sparse {
            bytes.extend_from_slice(&(filled as i32).to_be_bytes());
            for (index, count) in self.buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
                bytes.extend_from_slice(&(index as i32).to_be_bytes());
                bytes.extend_from_slice(&count.to_be_bytes());
            }
        } else {
            self.buckets.iter().for_each(|count| bytes.extend_from_slice(&count.to_be_bytes()));
        }
        bytes
    }

    /// Druid's text of a histogram, which is its final value.
    pub fn describe(&self) -> String {
        let double = crate::value::double_to_text;
        let mut text = format!(
            "{{lowerLimit={}, upperLimit={}, numBuckets={}, upperOutlierCount={}, lowerOutlierCount={}, missingValueCount={}, histogram=[",
            double(self.lower),
            double(self.upper),
            self.buckets.len(),
            self.upper_outliers,
            self.lower_outliers,
            self.missing
        );
        for (index, count) in self.buckets.iter().enumerate() {
            let _ = write!(text, "{}{count}", if index > 0 { ", " } else { "" });
        }
        let (name, max, min) = (self.handling.name(), double(self.max), double(self.min));
        let _ = write!(text, "], outlierHandlingMode={name}, count={}, max={max}, min={min}}}", self.count);
        text
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.buckets.capacity() * 8 + 96
    }
}
