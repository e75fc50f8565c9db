//! Facts of a column of numbers as bytes: rows, rows of a block, then for each block whether it has a summary, its sum, minimum
//! and maximum; for longs the bounds of all values and their step.

use ovate_base::Result;
use ovate_compute::column::{LongBounds, Summary};

use super::super::fixed::{Fixed, FixedColumn, bounds_of};
use super::super::numeric_column::NumberData;

/// A number whose bits are kept.
pub(crate) trait Bits: Fixed {
    fn to_bits64(self) -> u64;
    fn of_bits64(bits: u64) -> Self;
    /// Bounds of all values, for longs.
    fn bounds(column: &FixedColumn<Self>) -> Result<Option<LongBounds>>;
    fn set_bounds(column: &FixedColumn<Self>, bounds: LongBounds);
}

impl Bits for i64 {
    fn to_bits64(self) -> u64 {
        self as u64
    }
    fn of_bits64(bits: u64) -> Self {
        bits as i64
    }
    fn bounds(column: &FixedColumn<i64>) -> Result<Option<LongBounds>> {
        bounds_of(column)
    }
    fn set_bounds(column: &FixedColumn<i64>, bounds: LongBounds) {
        column.set_bounds(bounds);
    }
}

macro_rules! without_bounds {
    ($type:ty, $bits:ty) => {
        impl Bits for $type {
            fn to_bits64(self) -> u64 {
                u64::from(self.to_bits())
            }
            fn of_bits64(bits: u64) -> Self {
                <$type>::from_bits(bits as $bits)
            }
            fn bounds(_column: &FixedColumn<Self>) -> Result<Option<LongBounds>> {
                Ok(None)
            }
            fn set_bounds(_column: &FixedColumn<Self>, _bounds: LongBounds) {}
        }
    };
}
without_bounds!(f32, u32);
without_bounds!(f64, u64);

fn to_bytes<T: Bits>(column: &FixedColumn<T>) -> Result<Vec<u8>> {
    let mut words = vec![u64::from(column.total), u64::from(column.per_block())];
    let mut values = Vec::new();
    for index in 0..column.block_count() {
        let summary = column.fresh_summary(index, &mut values)?;
        words.push(u64::from(summary.is_some()));
        if let Some(Summary { sum, min, max }) = summary {
            words.extend([sum, min, max].map(T::to_bits64));
        }
    }
    if let Some(LongBounds { min, max, step }) = T::bounds(column)? {
        words.extend([min as u64, max as u64, step]);
    }
    Ok(words.iter().flat_map(|word| word.to_le_bytes()).collect())
}

/// `None`: not what [`to_bytes`] makes of this column.
fn take<T: Bits>(column: &FixedColumn<T>, bytes: &[u8]) -> Option<()> {
    let (words, []) = bytes.as_chunks::<8>() else { return None };
    let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
    if words.next()? != u64::from(column.total) || words.next()? != u64::from(column.per_block()) {
        return None;
    }
    let mut summaries = Vec::with_capacity(column.block_count() as usize);
    for index in 0..column.block_count() {
        let expected = column.has_summary(index);
        if words.next()? != u64::from(expected) {
            return None;
        }
        if expected {
            let [sum, min, max] = [words.next()?, words.next()?, words.next()?].map(T::of_bits64);
            summaries.push((index, Summary { sum, min, max }));
        }
    }
    let rest: Vec<u64> = words.collect();
    let bounds = match rest.as_slice() {
        [] => None,
        [min, max, step] if *min as i64 <= *max as i64 && *step > 0 => {
            Some(LongBounds { min: *min as i64, max: *max as i64, step: *step })
        }
        _ => return None,
    };
    summaries.into_iter().for_each(|(index, summary)| column.set_summary(index, summary));
    if let Some(bounds) = bounds {
        T::set_bounds(column, bounds);
    }
    Some(())
}

impl NumberData {
    /// Works the facts out, without putting decoded blocks into the cache.
    pub(super) fn facts(&self) -> Result<Vec<u8>> {
        match self {
            NumberData::Long(column) => to_bytes(column.as_ref()),
            NumberData::Float(column) => to_bytes(column.as_ref()),
            NumberData::Double(column) => to_bytes(column.as_ref()),
        }
    }

    /// Takes facts that were worked out before; those that do not fit are not believed.
    pub(super) fn take_facts(&self, bytes: &[u8]) {
        let _ = match self {
            NumberData::Long(column) => take(column.as_ref(), bytes),
            NumberData::Float(column) => take(column.as_ref(), bytes),
            NumberData::Double(column) => take(column.as_ref(), bytes),
        };
    }
}
