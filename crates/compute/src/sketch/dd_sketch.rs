//! DDSketch with relative accuracy (DataDog's `DDSketch` as Druid's extension stores it: protocol buffers). Bins lie on a cubic
//! stand-in for the logarithm; beyond a number of bins the lowest become one (`CollapsingLowestDenseStore`).
//!
//! Message: 1 mapping (1 gamma `f64`, 2 offset `f64`, 3 interpolation, cubic 3), 2 positive and 3 negative bins (1 map entries,
//! 2 counts in a row `f64`, 3 index of the first), 4 count of zeros.

use std::collections::BTreeMap;

use ovate_base::{DruidError, Result};

use super::damaged;

const KIND: &str = "ddSketch";
const CUBIC: u64 = 3;
const A: f64 = 6.0 / 35.0;
const B: f64 = -3.0 / 5.0;
const C: f64 = 10.0 / 7.0;

/// Counts of values in bins whose width grows with the value.
#[derive(Clone, Debug)]
pub struct DdSketch {
    gamma: f64,
    offset: f64,
    bins_max: usize,
    positive: BTreeMap<i32, f64>,
    negative: BTreeMap<i32, f64>,
    zeros: f64,
}

impl DdSketch {
    /// For values within this relative error, in at most so many bins a sign.
    pub fn new(relative_error: f64, bins_max: usize) -> Self {
        // The cubic stand-in is off by this much at worst.
        let correction = 7.0 / (10.0 * std::f64::consts::LN_2);
        let gamma = ((1.0 + relative_error) / (1.0 - relative_error)).powf(1.0 / correction);
        DdSketch { gamma, offset: 0.0, bins_max, positive: BTreeMap::new(), negative: BTreeMap::new(), zeros: 0.0 }
    }

    fn multiplier(&self) -> f64 {
        std::f64::consts::LN_2 / (self.gamma - 1.0).ln_1p()
    }

    /// Adds a value; what is no finite number is left out.
    pub fn add(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        let size = value.abs();
        if size < f64::MIN_POSITIVE * 1.1 {
            self.zeros += 1.0;
            return;
        }
        let index = (stand_in(size) * self.multiplier() + self.offset).floor() as i32;
        let bins = if value > 0.0 { &mut self.positive } else { &mut self.negative };
        *bins.entry(index).or_default() += 1.0;
        collapse(bins, self.bins_max);
    }

    /// Adds another's counts, whose bins must be the same.
    pub fn merge(&mut self, other: &DdSketch) -> Result<()> {
        if other.count() == 0.0 {
            return Ok(());
        }
        if self.count() == 0.0 {
            (self.gamma, self.offset) = (other.gamma, other.offset);
        } else if (self.gamma - other.gamma).abs() > 1e-10 || self.offset != other.offset {
            return Err(DruidError::invalid_input("ddSketches of different relativeError do not merge"));
        }
        for (own, theirs) in [(&mut self.positive, &other.positive), (&mut self.negative, &other.negative)] {
            theirs.iter().for_each(|(index, count)| *own.entry(*index).or_default() += count);
            collapse(own, self.bins_max);
        }
        self.zeros += other.zeros;
        Ok(())
    }

    /// How many values.
    pub fn count(&self) -> f64 {
        self.zeros + self.positive.values().sum::<f64>() + self.negative.values().sum::<f64>()
    }

    /// The value of this rank (0 to 1); NaN of none.
    pub fn quantile(&self, fraction: f64) -> f64 {
        let count = self.count();
        if count == 0.0 {
            return f64::NAN;
        }
        let rank = fraction * (count - 1.0);
        let mut met = 0.0;
        for (index, bin) in self.negative.iter().rev() {
            met += bin;
            if met > rank {
                return -self.value(*index);
            }
        }
        met += self.zeros;
        if met > rank {
            return 0.0;
        }
        let mut last = 0.0;
        for (index, bin) in &self.positive {
            met += bin;
            last = self.value(*index);
            if met > rank {
                return last;
            }
        }
        last
    }

    /// What stands for a bin: within the relative error of all that is in it.
    fn value(&self, index: i32) -> f64 {
        let error = 1.0 - 2.0 / (1.0 + (7.0 / (10.0 * std::f64::consts::LN_2) * self.gamma.ln()).exp());
        stand_in_inverse((f64::from(index) - self.offset) / self.multiplier()) * (1.0 + error)
    }

    /// The bytes that Druid stores.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut mapping = vec![0x09];
        mapping.extend_from_slice(&self.gamma.to_le_bytes());
        if self.offset != 0.0 {
            mapping.push(0x11);
            mapping.extend_from_slice(&self.offset.to_le_bytes());
        }
        mapping.extend_from_slice(&[0x18, CUBIC as u8]);
        let mut out = Vec::new();
        put_message(1, &mapping, &mut out);
        put_message(2, &store_bytes(&self.positive), &mut out);
        put_message(3, &store_bytes(&self.negative), &mut out);
        if self.zeros != 0.0 {
            out.push(0x21);
            out.extend_from_slice(&self.zeros.to_le_bytes());
        }
        out
    }

    /// Reads bytes that nobody vouches for.
    pub fn from_bytes(bytes: &[u8], bins_max: usize) -> Result<Self> {
        let mut sketch = DdSketch::new(0.01, bins_max);
        let (mut gamma, mut interpolation) = (0.0, 0);
        each_field(bytes, &mut |field, value| match (field, value) {
            (1, Wire::Bytes(mapping)) => each_field(mapping, &mut |field, value| {
                match (field, value) {
                    (1, Wire::Double(value)) => gamma = value,
                    (2, Wire::Double(value)) => sketch.offset = value,
                    (3, Wire::Number(value)) => interpolation = value,
                    _ => {}
                }
                Ok(())
            }),
            (2, Wire::Bytes(store)) => read_store(store, &mut sketch.positive),
            (3, Wire::Bytes(store)) => read_store(store, &mut sketch.negative),
            (4, Wire::Double(value)) => {
                sketch.zeros = value;
                Ok(())
            }
            _ => Ok(()),
        })?;
        if interpolation != CUBIC {
            return Err(DruidError::unsupported(format!("ddSketch with index mapping of interpolation {interpolation}")));
        }
        if !(gamma > 1.0 && gamma.is_finite() && sketch.offset.is_finite() && sketch.zeros >= 0.0) {
            return Err(damaged(KIND, format!("gamma {gamma}")));
        }
        sketch.gamma = gamma;
        collapse(&mut sketch.positive, bins_max);
        collapse(&mut sketch.negative, bins_max);
        Ok(sketch)
    }

    /// About how many bytes it holds.
    pub fn memory_bytes(&self) -> usize {
        64 + (self.positive.len() + self.negative.len()) * 24
    }
}

/// Cubic pieces instead of the logarithm to the base of 2.
fn stand_in(value: f64) -> f64 {
    let bits = value.to_bits();
    let exponent = ((bits >> 52 & 0x7FF) as i32 - 1023) as f64;
    let significand = f64::from_bits(bits & 0x000F_FFFF_FFFF_FFFF | 0x3FF0_0000_0000_0000) - 1.0;
    ((A * significand + B) * significand + C) * significand + exponent
}

fn stand_in_inverse(index: f64) -> f64 {
    let exponent = index.floor();
    let d0 = B * B - 3.0 * A * C;
    let d1 = 2.0 * B * B * B - 9.0 * A * B * C - 27.0 * A * A * (index - exponent);
    let p = ((d1 - (d1 * d1 - 4.0 * d0 * d0 * d0).sqrt()) / 2.0).cbrt();
    let significand = -(B + p + d0 / p) / (3.0 * A) + 1.0;
    significand * exponent.exp2()
}

/// Makes the lowest bins one where there are too many from first to last.
fn collapse(bins: &mut BTreeMap<i32, f64>, bins_max: usize) {
    let (Some((first, _)), Some((last, _))) = (bins.first_key_value(), bins.last_key_value()) else { return };
    let lowest = i64::from(*last) - bins_max.max(1) as i64 + 1;
    if i64::from(*first) >= lowest {
        return;
    }
    let lowest = lowest as i32;
    let kept = bins.split_off(&lowest);
    let below: f64 = std::mem::replace(bins, kept).values().sum();
    *bins.entry(lowest).or_default() += below;
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_message(field: u64, message: &[u8], out: &mut Vec<u8>) {
    put_varint(field << 3 | 2, out);
    put_varint(message.len() as u64, out);
    out.extend_from_slice(message);
}

fn store_bytes(bins: &BTreeMap<i32, f64>) -> Vec<u8> {
    let (Some((first, _)), Some((last, _))) = (bins.first_key_value(), bins.last_key_value()) else { return Vec::new() };
    let counts = (*first..=*last).flat_map(|index| bins.get(&index).copied().unwrap_or(0.0).to_le_bytes());
    let counts: Vec<u8> = counts.collect();
    let mut out = Vec::new();
    put_message(2, &counts, &mut out);
    if *first != 0 {
        out.push(0x18);
        put_varint(u64::from(((*first << 1) ^ (*first >> 31)) as u32), &mut out);
    }
    out
}

fn zigzag(value: u64) -> i32 {
    let value = value as u32;
    (value >> 1) as i32 ^ -((value & 1) as i32)
}

fn read_store(bytes: &[u8], bins: &mut BTreeMap<i32, f64>) -> Result<()> {
    let (mut counts, mut first) = (Vec::new(), 0i32);
    let mut put = |index: i32, count: f64| match count >= 0.0 && count.is_finite() {
        true => {
            *bins.entry(index).or_default() += count;
            Ok(())
        }
        false => Err(damaged(KIND, format!("a bin of {count} values"))),
    };
    each_field(bytes, &mut |field, value| match (field, value) {
        (1, Wire::Bytes(entry)) => {
            let (mut index, mut count) = (0, 0.0);
            each_field(entry, &mut |field, value| {
                match (field, value) {
                    (1, Wire::Number(value)) => index = zigzag(value),
                    (2, Wire::Double(value)) => count = value,
                    _ => {}
                }
                Ok(())
            })?;
            put(index, count)
        }
        (2, Wire::Bytes(packed)) => {
            counts.extend(packed.chunks_exact(8).map(|c| f64::from_le_bytes(c.try_into().expect("eight bytes"))));
            Ok(())
        }
        (2, Wire::Double(count)) => {
            counts.push(count);
            Ok(())
        }
        (3, Wire::Number(value)) => {
            first = zigzag(value);
            Ok(())
        }
        _ => Ok(()),
    })?;
    for (at, count) in counts.into_iter().enumerate() {
        let index = i32::try_from(i64::from(first) + at as i64).map_err(|_| damaged(KIND, "a bin beyond all numbers"))?;
        if count != 0.0 {
            put(index, count)?;
        }
    }
    Ok(())
}

/// A field's value on the wire.
enum Wire<'a> {
    Number(u64),
    Double(f64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or_else(|| damaged(KIND, "it ends too early"))?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(damaged(KIND, "a number is too long"))
}

fn each_field<'a>(mut bytes: &'a [u8], each: &mut dyn FnMut(u64, Wire<'a>) -> Result<()>) -> Result<()> {
    let short = || damaged(KIND, "it ends too early");
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let value = match tag & 7 {
            0 => Wire::Number(varint(&mut bytes)?),
            1 => {
                let (eight, rest) = bytes.split_first_chunk::<8>().ok_or_else(short)?;
                bytes = rest;
                Wire::Double(f64::from_le_bytes(*eight))
            }
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).map_err(|_| short())?;
                let (message, rest) = bytes.split_at_checked(length).ok_or_else(short)?;
                bytes = rest;
                Wire::Bytes(message)
            }
            kind => return Err(damaged(KIND, format!("wire type {kind}"))),
        };
        each(tag >> 3, value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    fn stored(values: &[f64]) -> String {
        let mut sketch = DdSketch::new(0.01, 1000);
        values.iter().for_each(|value| sketch.add(*value));
        base64::engine::general_purpose::STANDARD.encode(sketch.to_bytes())
    }

    #[test]
    fn values_are_stored_as_druid_stores_them() {
        // Of `golden/complex_contrib_ddSketch`: none, 11.1, and 21.2 with 27.7.
        assert_eq!(stored(&[]), "CgsJwvHn6e1R8D8YAxIAGgA=");
        assert_eq!(stored(&[11.1]), "CgsJwvHn6e1R8D8YAxINEggAAAAAAADwPxjyARoA");
        let two = stored(&[27.7, 21.2]);
        assert!(two.starts_with("CgsJwvHn6e1R8D8YAxJ1EnAAAAAAAADwPwAA") && two.ends_with("AAPA/GLQCGgA="), "{two}");
    }

    #[test]
    fn quantiles_are_within_the_relative_error() {
        let mut sketch = DdSketch::new(0.01, 1000);
        let values: Vec<f64> = (-500..1500).map(|i| f64::from(i) * 0.37).collect();
        values.iter().for_each(|value| sketch.add(*value));
        let mut other = DdSketch::new(0.01, 1000);
        let bytes = sketch.to_bytes();
        other.merge(&DdSketch::from_bytes(&bytes, 1000).expect("it reads")).expect("it merges");
        assert_eq!((other.count(), other.to_bytes()), (2000.0, bytes));
        for fraction in [0.0, 0.1, 0.25, 0.5, 0.9, 1.0] {
            let exact = values[(fraction * 1999.0) as usize];
            let found = other.quantile(fraction);
            assert!((found - exact).abs() <= exact.abs() * 0.0101, "{fraction}: {found} instead of {exact}");
        }
        assert!(DdSketch::new(0.01, 10).quantile(0.5).is_nan());
    }

    #[test]
    fn the_lowest_bins_collapse() {
        let mut sketch = DdSketch::new(0.01, 20);
        (0..400).for_each(|i| sketch.add(1.05f64.powi(i)));
        assert_eq!((sketch.count(), sketch.positive.len() <= 20), (400.0, true));
        let top = 1.05f64.powi(399);
        assert!((sketch.quantile(1.0) - top).abs() < top * 0.0101);
        assert!(
            sketch
                .merge(&{
                    let mut finer = DdSketch::new(0.001, 20);
                    finer.add(1.0);
                    finer
                })
                .is_err()
        );
    }
}
