//! t-digests in the bytes of Ted Dunning's `MergingDigest` (big endian): verbose form, `i32` 1, min, max and compression `f64`,
//! count `i32`, then weight and mean of each centroid `f64`; small form, `i32` 2, min and max `f64`, compression `f32`, two `i16`
//! of buffer sizes, count `i16`, then weight and mean `f32`. Written in the verbose form, as Druid does.

use ovate_base::Result;

use super::damaged;

const KIND: &str = "tDigestSketch";

/// Values as centroids: small ones at the ends, larger ones in the middle.
#[derive(Clone, Debug)]
pub struct TDigest {
    compression: f64,
    min: f64,
    max: f64,
    /// Weight and mean, ascending by mean.
    centroids: Vec<(f64, f64)>,
    /// Not merged yet.
    waiting: Vec<(f64, f64)>,
}

impl TDigest {
    /// An empty one; a larger compression is more exact.
    pub fn new(compression: f64) -> Self {
        let (min, max) = (f64::INFINITY, f64::NEG_INFINITY);
        TDigest { compression: compression.max(10.0), min, max, centroids: Vec::new(), waiting: Vec::new() }
    }

    /// Adds a value; NaN is left out.
    pub fn add(&mut self, value: f64) {
        self.put(1.0, value);
    }

    fn put(&mut self, weight: f64, mean: f64) {
        if mean.is_nan() {
            return;
        }
        (self.min, self.max) = (self.min.min(mean), self.max.max(mean));
        self.waiting.push((weight, mean));
        if self.waiting.len() >= (self.compression * 5.0) as usize {
            self.settle();
        }
    }

    /// Adds another's centroids.
    pub fn merge(&mut self, other: &TDigest) {
        other.centroids.iter().chain(&other.waiting).for_each(|(weight, mean)| self.put(*weight, *mean));
        (self.min, self.max) = (self.min.min(other.min), self.max.max(other.max));
    }

    /// Makes centroids of what waits: neighbours become one as long as it holds no more of the values than the scale function `K_1`
    /// allows at its place, for twice the compression; the first and the last stay apart.
    fn settle(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let mut all = std::mem::take(&mut self.centroids);
        all.append(&mut self.waiting);
        all.sort_by(|a, b| a.1.total_cmp(&b.1));
        let total: f64 = all.iter().map(|(weight, _)| weight).sum();
        let step = 2.0 * (std::f64::consts::PI / (2.0 * self.compression)).sin();
        let most = |q: f64| total * step * (q * (1.0 - q)).max(0.0).sqrt();
        let (mut merged, count): (Vec<(f64, f64)>, usize) = (Vec::new(), all.len());
        let mut before = 0.0;
        for (number, (weight, mean)) in all.into_iter().enumerate() {
            if let Some((own, at)) = merged.last_mut() {
                let (q0, q2) = (before / total, (before + *own + weight) / total);
                if number > 1 && number < count - 1 && *own + weight <= most(q0).min(most(q2)) {
                    *own += weight;
                    *at += (mean - *at) * weight / *own;
                    continue;
                }
                before += *own;
            }
            merged.push((weight, mean));
        }
        self.centroids = merged;
    }

    /// How many values.
    pub fn count(&self) -> f64 {
        self.centroids.iter().chain(&self.waiting).map(|(weight, _)| weight).sum()
    }

    /// The value of this rank (0 to 1), between the centroids around it (`MergingDigest.quantile`); NaN of none.
    pub fn quantile(&mut self, q: f64) -> f64 {
        self.settle();
        let (Some((first, first_mean)), Some((last, last_mean))) =
            (self.centroids.first().copied(), self.centroids.last().copied())
        else {
            return f64::NAN;
        };
        if self.centroids.len() == 1 {
            return first_mean;
        }
        let total = self.count();
        let index = q * total;
        if index < 1.0 {
            return self.min;
        }
        if first > 1.0 && index < first / 2.0 {
            return self.min + (index - 1.0) / (first / 2.0 - 1.0) * (first_mean - self.min);
        }
        if index > total - 1.0 {
            return self.max;
        }
        if last > 1.0 && total - index <= last / 2.0 {
            return self.max - (total - index - 1.0) / (last / 2.0 - 1.0) * (self.max - last_mean);
        }
        let mut met = first / 2.0;
        for pair in self.centroids.windows(2) {
            let ((weight, mean), (next_weight, next_mean)) = (pair[0], pair[1]);
            let step = (weight + next_weight) / 2.0;
            if met + step > index {
                // A centroid of one value is that value, half a step to either side.
                let left = if weight == 1.0 { 0.5 } else { 0.0 };
                if left > 0.0 && index - met < 0.5 {
                    return mean;
                }
                let right = if next_weight == 1.0 { 0.5 } else { 0.0 };
                if right > 0.0 && met + step - index <= 0.5 {
                    return next_mean;
                }
                let (from_left, to_right) = (index - met - left, met + step - index - right);
                return between(mean, to_right, next_mean, from_left);
            }
            met += step;
        }
        let (from, to) = (index - total - last / 2.0, last / 2.0 - (index - total - last / 2.0));
        between(last_mean, to, self.max, from)
    }

    /// The bytes that Druid stores.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut own = self.clone();
        own.settle();
        let mut out = 1i32.to_be_bytes().to_vec();
        for number in [own.min, own.max, own.compression] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&(own.centroids.len() as i32).to_be_bytes());
        for (weight, mean) in &own.centroids {
            out.extend_from_slice(&weight.to_be_bytes());
            out.extend_from_slice(&mean.to_be_bytes());
        }
        out
    }

    /// Reads bytes that nobody vouches for.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut input = Input(bytes);
        let form = i32::from_be_bytes(input.take()?);
        let (min, max) = (input.double()?, input.double()?);
        let (compression, count) = match form {
            1 => (input.double()?, i64::from(i32::from_be_bytes(input.take()?))),
            2 => {
                let compression = f64::from(input.float()?);
                input.take::<4>()?;
                (compression, i64::from(i16::from_be_bytes(input.take()?)))
            }
            other => return Err(damaged(KIND, format!("form {other}"))),
        };
        if !(compression > 0.0 && compression <= 1e6) {
            return Err(damaged(KIND, format!("compression {compression}")));
        }
        let width = if form == 1 { 16 } else { 8 };
        let fits = usize::try_from(count).ok().filter(|count| count.saturating_mul(width) <= input.0.len());
        let count = fits.ok_or_else(|| damaged(KIND, format!("{count} centroids in {} bytes", input.0.len())))?;
        let mut centroids = Vec::with_capacity(count);
        for _ in 0..count {
            let (weight, mean) = match form {
                1 => (input.double()?, input.double()?),
                _ => (f64::from(input.float()?), f64::from(input.float()?)),
            };
            if !(weight > 0.0 && weight.is_finite()) || mean.is_nan() {
                return Err(damaged(KIND, format!("a centroid of weight {weight} at {mean}")));
            }
            centroids.push((weight, mean));
        }
        if !centroids.is_sorted_by(|a, b| a.1 <= b.1) {
            return Err(damaged(KIND, "centroids are not in order"));
        }
        Ok(TDigest { compression: compression.max(10.0), min, max, centroids, waiting: Vec::new() })
    }

    /// About how many bytes it holds.
    pub fn memory_bytes(&self) -> usize {
        64 + (self.centroids.capacity() + self.waiting.capacity()) * 16
    }
}

/// Between two values, nearer to that of the larger weight, and never outside of them.
fn between(a: f64, a_weight: f64, b: f64, b_weight: f64) -> f64 {
    let (low, low_weight, high, high_weight) = if a <= b { (a, a_weight, b, b_weight) } else { (b, b_weight, a, a_weight) };
    let mean = (low * low_weight + high * high_weight) / (low_weight + high_weight);
    low.max(mean.min(high))
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or_else(|| damaged(KIND, "it ends too early"))?;
        self.0 = rest;
        Ok(*taken)
    }
    fn double(&mut self) -> Result<f64> {
        self.take().map(f64::from_be_bytes)
    }
    fn float(&mut self) -> Result<f32> {
        self.take().map(f32::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn of(values: impl Iterator<Item = f64>) -> TDigest {
        let mut digest = TDigest::new(100.0);
        values.for_each(|value| digest.add(value));
        digest
    }

    #[test]
    fn values_are_stored_as_druid_stores_them() {
        // Of `golden/complex_contrib_tDigestSketch`: none, one and two values.
        let text = |values: &[f64]| STANDARD.encode(of(values.iter().copied()).to_bytes());
        assert_eq!(text(&[]), STANDARD.encode(hex("000000017ff0000000000000fff0000000000000405900000000000000000000")));
        let one = f64::from_bits(0x4026_3333_3333_3334);
        assert_eq!(text(&[one]), "AAAAAUAmMzMzMzM0QCYzMzMzMzRAWQAAAAAAAAAAAAE/8AAAAAAAAEAmMzMzMzM0");
        assert_eq!(text(&[27.7, 21.2]).len(), 88);
    }

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hex")).collect()
    }

    #[test]
    fn quantiles_are_near_and_survive_merging() {
        let mut whole = of((0..50_000).map(|i| f64::from((i * 7919) % 50_000)));
        let mut merged = of((0..25_000).map(|i| f64::from((i * 7919) % 50_000)));
        let other = of((25_000..50_000).map(|i| f64::from((i * 7919) % 50_000)));
        merged.merge(&TDigest::from_bytes(&other.to_bytes()).expect("it reads"));
        assert_eq!((whole.count(), merged.count()), (50_000.0, 50_000.0));
        for digest in [&mut whole, &mut merged] {
            for q in [0.001, 0.1, 0.5, 0.9, 0.999] {
                let (found, exact) = (digest.quantile(q), q * 50_000.0);
                let within = 50_000.0 * (0.02 * (q * (1.0 - q)).sqrt()).max(0.0005);
                assert!((found - exact).abs() < within, "{q}: {found} instead of {exact}");
            }
            assert_eq!((digest.quantile(0.0), digest.quantile(1.0)), (0.0, 49_999.0));
            assert!(digest.to_bytes().len() < 32 + 16 * 400);
        }
        let mut few = of([3.0, 1.0, 2.0].into_iter());
        assert_eq!([0.0, 0.5, 1.0].map(|q| few.quantile(q)), [1.0, 2.0, 3.0]);
        assert!(TDigest::new(100.0).quantile(0.5).is_nan());
    }

    #[test]
    fn damage_is_an_error() {
        let bytes = of((0..100).map(f64::from)).to_bytes();
        assert!((0..bytes.len()).all(|end| TDigest::from_bytes(&bytes[..end]).is_err()));
        for (at, value) in [(3, 9), (28, 0x7F), (32, 0xFF)] {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            assert!(TDigest::from_bytes(&bytes).is_err(), "{at}");
        }
    }
}
