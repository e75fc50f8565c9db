//! `ApproximateHistogram` of Druid's histogram extension (Ben-Haim and Tom-Tov): up to `size` bins of float position and
//! count; the nearest two merge when there are too many. A count's top bit says that its bin is not exact any more.
//!
//! Stored big endian in one of three forms: compact `i16` -size, `u8` n, n floats (each value by itself); sparse `i32` size,
//! `i32` -bins, positions, `i64` counts, min, max; dense `i32` size, `i32` bins, `size` positions, `size` counts, min, max.

use ovate_base::Result;

use super::damaged;

const APPROXIMATE: u64 = 1 << 63;
const COUNT: u64 = !APPROXIMATE;

/// A histogram.
#[derive(Debug, Clone, PartialEq)]
pub struct ApproximateHistogram {
    size: usize,
    positions: Vec<f32>,
    bins: Vec<u64>,
    min: f32,
    max: f32,
    count: u64,
}

/// Buckets with their borders: the final value.
#[derive(Debug, Clone, PartialEq)]
pub struct Buckets {
    pub breaks: Vec<f32>,
    pub counts: Vec<f64>,
}

impl ApproximateHistogram {
    /// An empty histogram of at most this many bins.
    pub fn new(size: usize) -> Self {
        let (positions, bins) = (Vec::new(), Vec::new());
        ApproximateHistogram { size, positions, bins, min: f32::INFINITY, max: f32::NEG_INFINITY, count: 0 }
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Smallest value.
    pub fn min(&self) -> f32 {
        self.min
    }

    /// Greatest value.
    pub fn max(&self) -> f32 {
        self.max
    }

    /// Adds a value.
    pub fn offer(&mut self, value: f32) {
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.count = self.count.wrapping_add(1);
        let at = self.positions.partition_point(|position| *position < value);
        if self.positions.get(at) == Some(&value) {
            self.bins[at] = self.bins[at].wrapping_add(1);
            return;
        }
        if self.positions.len() < self.size {
            self.positions.insert(at, value);
            self.bins.insert(at, 1);
            return;
        }
        let nearest = self.nearest_pair();
        let mut distance = nearest.map_or(f32::MAX, |pair| self.positions[pair + 1] - self.positions[pair]);
        let mut into = None;
        if at < self.positions.len() && self.positions[at] - value < distance {
            distance = self.positions[at] - value;
            into = Some(at);
        }
        if at > 0 && value - self.positions[at - 1] < distance {
            into = Some(at - 1);
        }
        match (into, nearest) {
            (Some(bin), _) => {
                let count = self.bins[bin] & COUNT;
                self.positions[bin] = (self.positions[bin] * count as f32 + value) / (count + 1) as f32;
                self.bins[bin] = (count + 1) & COUNT | APPROXIMATE;
            }
            (None, Some(pair)) => {
                self.merge_pair(pair);
                let at = self.positions.partition_point(|position| *position < value);
                self.positions.insert(at, value);
                self.bins.insert(at, 1);
            }
            (None, None) => {}
        }
    }

    /// The two neighbours that are closest.
    fn nearest_pair(&self) -> Option<usize> {
        let distance = |pair: usize| self.positions[pair + 1] - self.positions[pair];
        let mut best: Option<usize> = None;
        for pair in 0..self.positions.len().saturating_sub(1) {
            if best.is_none_or(|best| distance(pair) < distance(best)) {
                best = Some(pair);
            }
        }
        best
    }

    fn merge_pair(&mut self, pair: usize) {
        let (left, right) = (self.bins[pair] & COUNT, self.bins[pair + 1] & COUNT);
        // Weighted in float, as Druid's `mergeBins` does.
        let weight = left as f32 / (left + right) as f32;
        self.positions[pair] = self.positions[pair] * weight + self.positions[pair + 1] * (1.0 - weight);
        self.bins[pair] = (left + right) & COUNT | APPROXIMATE;
        self.positions.remove(pair + 1);
        self.bins.remove(pair + 1);
    }

    /// Adds all of another histogram.
    pub fn fold(&mut self, other: &ApproximateHistogram) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.count = self.count.wrapping_add(other.count);
        for (position, bin) in other.positions.iter().zip(&other.bins) {
            let at = self.positions.partition_point(|mine| mine < position);
            if self.positions.get(at) == Some(position) {
                let count = ((self.bins[at] & COUNT) + (bin & COUNT)) & COUNT;
                self.bins[at] = count | (self.bins[at] | bin) & APPROXIMATE;
            } else {
                self.positions.insert(at, *position);
                self.bins.insert(at, *bin);
            }
        }
        while self.positions.len() > self.size.max(1) {
            match self.nearest_pair() {
                Some(pair) => self.merge_pair(pair),
                None => break,
            }
        }
    }

    /// Estimated number of values up to `border`.
    fn sum(&self, border: f32) -> f64 {
        if border < self.min {
            return 0.0;
        }
        if border >= self.max {
            return self.count as f64;
        }
        let next = self.positions.partition_point(|position| *position <= border);
        let (left, right) = (next.checked_sub(1), (next < self.positions.len()).then_some(next));
        let part = |bin: Option<usize>| bin.map_or((0, false), |bin| (self.bins[bin] & COUNT, self.bins[bin] & APPROXIMATE == 0));
        let ((left_count, left_exact), (right_count, right_exact)) = (part(left), part(right));
        let start = f64::from(left.map_or(self.min, |bin| self.positions[bin]));
        let end = f64::from(right.map_or(self.max, |bin| self.positions[bin]));
        let share = if end == start { 0.0 } else { (f64::from(border) - start) / (end - start) };
        let low = if left_exact { 0.0 } else { left_count as f64 };
        let high = if right_exact { 0.0 } else { right_count as f64 };
        let trapezoid = 0.5 * (low + low + (high - low) * share) * share;
        let before: u64 = self.bins[..left.unwrap_or(0)].iter().map(|bin| bin & COUNT).fold(0, u64::wrapping_add);
        before as f64 + left_count as f64 * if left_exact { 1.0 } else { 0.5 } + trapezoid
    }

    /// Counts between these borders.
    pub fn to_buckets(&self, breaks: Vec<f32>) -> Buckets {
        let sums: Vec<f64> = breaks.iter().map(|border| self.sum(*border)).collect();
        let counts = sums.windows(2).map(|pair| f64::from((pair[1] - pair[0]) as f32)).collect();
        Buckets { breaks, counts }
    }

    /// This many buckets of the same width, the first one below the smallest value.
    pub fn to_equal_buckets(&self, buckets: usize) -> Buckets {
        let width = (self.max - self.min) / (buckets - 1) as f32;
        let mut breaks = vec![self.min - width];
        (1..buckets).for_each(|index| breaks.push(breaks[index - 1] + width));
        breaks.push(self.max);
        self.to_buckets(breaks)
    }

    /// The value below which this share lies; NaN of no values.
    pub fn quantile(&self, probability: f32) -> f32 {
        if self.count == 0 {
            return f32::NAN;
        }
        let wanted = f64::from(probability) * self.count as f64;
        let (mut before, mut bin) = (0u64, 0);
        for (index, count) in self.bins.iter().map(|bin| bin & COUNT).enumerate() {
            if before.wrapping_add(count) as f64 > wanted {
                bin = index;
                break;
            }
            before = before.wrapping_add(count);
        }
        if bin == 0 {
            return self.min;
        }
        let c = -2.0 * (wanted - before as f64);
        let (last, this) = ((self.bins[bin - 1] & COUNT) as f64, (self.bins[bin] & COUNT) as f64);
        let (a, b) = (this - last, 2.0 * last);
        let share = if a == 0.0 { -c / b } else { (-b + (b * b - 4.0 * a * c).sqrt()) / (2.0 * a) };
        let (low, high) = (self.positions[bin - 1], self.positions[bin]);
        (f64::from(low) + f64::from(high - low) * share) as f32
    }

    /// Reads stored bytes, of any of the three forms.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::read(bytes).ok_or_else(|| damaged("approximateHistogram", format_args!("{} bytes", bytes.len())))
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let float = |offset: usize| Some(f32::from_be_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?));
        let int = |offset: usize| Some(i32::from_be_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?));
        let short = i16::from_be_bytes(bytes.get(..2)?.try_into().ok()?);
        if short < 0 {
            let mut histogram = ApproximateHistogram::new(usize::from(short.unsigned_abs()));
            for index in 0..usize::from(*bytes.get(2)?) {
                histogram.offer(float(3 + index * 4)?);
            }
            return Some(histogram);
        }
        let size = usize::try_from(int(0)?).ok()?;
        let signed = int(4)?;
        let bins = usize::try_from(signed.unsigned_abs()).ok()?;
        let stored = if signed < 0 { bins } else { size };
        if bins > stored || stored > bytes.len() / 12 {
            return None;
        }
        let mut histogram = ApproximateHistogram::new(size);
        for index in 0..bins {
            let offset = 8 + stored * 4 + index * 8;
            let bin = u64::from_be_bytes(bytes.get(offset..offset + 8)?.try_into().ok()?);
            histogram.positions.push(float(8 + index * 4)?);
            histogram.bins.push(bin);
            histogram.count = histogram.count.checked_add(bin & COUNT)?;
        }
        histogram.min = float(8 + stored * 12)?;
        histogram.max = float(12 + stored * 12)?;
        histogram.positions.is_sorted().then_some(histogram)
    }

    /// The stored bytes, in the smallest form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let exact = self.bins.iter().all(|bin| bin & APPROXIMATE == 0);
        let bins = self.positions.len();
        let (sparse, dense) = (16 + bins * 12, 16 + self.size * 12);
        let mut bytes = Vec::new();
        if exact && self.size <= i16::MAX as usize && self.count <= 127 && 3 + self.count as usize * 4 < sparse {
            bytes.extend_from_slice(&(-(self.size as i16)).to_be_bytes());
            bytes.push(self.count as u8);
            for (position, bin) in self.positions.iter().zip(&self.bins) {
                (0..*bin).for_each(|_| bytes.extend_from_slice(&position.to_be_bytes()));
            }
            return bytes;
        }
        let is_sparse = sparse < dense || bins == self.size;
        let stored = if is_sparse { bins } else { self.size };
        bytes.extend_from_slice(&(self.size as i32).to_be_bytes());
        bytes.extend_from_slice(&(if is_sparse { -(bins as i32) } else { bins as i32 }).to_be_bytes());
        (0..stored).for_each(|index| bytes.extend_from_slice(&self.positions.get(index).unwrap_or(&0.0).to_be_bytes()));
        (0..stored).for_each(|index| bytes.extend_from_slice(&self.bins.get(index).unwrap_or(&0).to_be_bytes()));
        bytes.extend_from_slice(&self.min.to_be_bytes());
        bytes.extend_from_slice(&self.max.to_be_bytes());
        bytes
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.positions.capacity() * 4 + self.bins.capacity() * 8 + 80
    }
}
