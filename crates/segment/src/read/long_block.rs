//! A decoded block of longs, kept as distances from its smallest value in as few bytes as hold them: most metrics and times
//! need 1 to 4 bytes a row, so more rows stay in memory and fewer bytes cross its bus.

use std::ops::Range;

use super::cache::CachedBlock;
use super::fixed::NumberBlock;

/// Values `base + distance`.
pub(crate) enum LongBlock {
    Constant { value: i64, len: usize },
    Narrow8 { base: i64, distances: Box<[u8]> },
    Narrow16 { base: i64, distances: Box<[u16]> },
    Narrow32 { base: i64, distances: Box<[u32]> },
    Wide(Box<[i64]>),
}

impl CachedBlock for LongBlock {
    fn bytes(&self) -> usize {
        let data = match self {
            LongBlock::Constant { .. } => 0,
            LongBlock::Narrow8 { distances, .. } => distances.len(),
            LongBlock::Narrow16 { distances, .. } => size_of_val(&**distances),
            LongBlock::Narrow32 { distances, .. } => size_of_val(&**distances),
            LongBlock::Wide(values) => size_of_val(&**values),
        };
        data + size_of::<LongBlock>()
    }
}

fn widen<D: Copy + Into<u32>>(base: i64, distances: &[D], out: &mut Vec<i64>) {
    out.extend(distances.iter().map(|d| base.wrapping_add(i64::from((*d).into()))));
}

fn pick<D: Copy + Into<u32>>(base: i64, distances: &[D], ids: &[u32], start: u32, out: &mut Vec<i64>) {
    out.extend(ids.iter().map(|id| base.wrapping_add(i64::from(distances[(id - start) as usize].into()))));
}

impl NumberBlock<i64> for LongBlock {
    fn from_values(values: &[i64]) -> Self {
        let (mut min, mut max) = (i64::MAX, i64::MIN);
        for value in values {
            min = min.min(*value);
            max = max.max(*value);
        }
        if values.is_empty() || min == max {
            return LongBlock::Constant { value: min, len: values.len() };
        }
        let distance = |v: &i64| v.wrapping_sub(min) as u64;
        match distance(&max) {
            0..=0xFF => LongBlock::Narrow8 { base: min, distances: values.iter().map(|v| distance(v) as u8).collect() },
            0x100..=0xFFFF => LongBlock::Narrow16 { base: min, distances: values.iter().map(|v| distance(v) as u16).collect() },
            0x1_0000..=0xFFFF_FFFF => {
                LongBlock::Narrow32 { base: min, distances: values.iter().map(|v| distance(v) as u32).collect() }
            }
            _ => LongBlock::Wide(values.into()),
        }
    }

    fn slice(&self, range: Range<usize>) -> Option<&[i64]> {
        match self {
            LongBlock::Wide(values) => Some(&values[range]),
            _ => None,
        }
    }

    fn copy(&self, range: Range<usize>, out: &mut Vec<i64>) {
        match self {
            LongBlock::Constant { value, len } => {
                debug_assert!(range.end <= *len);
                out.resize(out.len() + range.len(), *value);
            }
            LongBlock::Narrow8 { base, distances } => widen(*base, &distances[range], out),
            LongBlock::Narrow16 { base, distances } => widen(*base, &distances[range], out),
            LongBlock::Narrow32 { base, distances } => widen(*base, &distances[range], out),
            LongBlock::Wide(values) => out.extend_from_slice(&values[range]),
        }
    }

    fn gather(&self, ids: &[u32], start: u32, out: &mut Vec<i64>) {
        match self {
            LongBlock::Constant { value, .. } => out.resize(out.len() + ids.len(), *value),
            LongBlock::Narrow8 { base, distances } => pick(*base, distances, ids, start, out),
            LongBlock::Narrow16 { base, distances } => pick(*base, distances, ids, start, out),
            LongBlock::Narrow32 { base, distances } => pick(*base, distances, ids, start, out),
            LongBlock::Wide(values) => out.extend(ids.iter().map(|id| values[(id - start) as usize])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_gives_its_values_back() {
        let cases: [(&[i64], usize); 6] = [
            (&[7, 7, 7], 0),
            (&[-5, 250, 0], 3),
            (&[i64::MIN, i64::MIN + 256], 4),
            (&[1 << 40, (1 << 40) + 0x1_0000], 8),
            (&[0, 1 << 32], 16),
            (&[i64::MIN, i64::MAX, 0], 24),
        ];
        for (values, bytes) in cases {
            let block = LongBlock::from_values(values);
            assert_eq!(block.bytes() - size_of::<LongBlock>(), bytes, "{values:?}");
            let mut out = vec![1];
            block.copy(1..values.len(), &mut out);
            assert_eq!(out[1..], values[1..]);
            out.clear();
            block.gather(&[10, 11], 10, &mut out);
            assert_eq!(out, values[..2]);
        }
    }
}
