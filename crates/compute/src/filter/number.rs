//! Typed tests of numbers for the hot loops: ranges and small sets without branches on the kind of test per row.

use hashbrown::HashSet;

use crate::value::Value;

/// A number that tests can be made for.
pub(super) trait Testable: Copy + PartialOrd + Default + Send + 'static {
    /// Hash key; equal numbers have equal keys.
    fn key(self) -> u64;
}

impl Testable for i64 {
    fn key(self) -> u64 {
        self as u64
    }
}

impl Testable for f64 {
    fn key(self) -> u64 {
        (self + 0.0).to_bits()
    }
}

impl Testable for f32 {
    fn key(self) -> u64 {
        u64::from((self + 0.0).to_bits())
    }
}

/// Places that a value may take in a set of bits, and bits of one set at most.
const BITS_PER_VALUE: u128 = 256;
const BITS_MAX: u128 = 1 << 27;

fn bit(words: &[u64], at: u64) -> bool {
    words.get((at / 64) as usize).is_some_and(|word| word >> (at % 64) & 1 == 1)
}

/// What a number has to be.
pub(super) enum NumberTest<T> {
    Never,
    Equal(T),
    /// Not below `lower`, not above `upper`; open sides exclude the bound. NaN is above everything.
    Range {
        lower: Option<(T, bool)>,
        upper: Option<(T, bool)>,
    },
    /// A few numbers, compared one by one without branches.
    Few(Vec<u64>),
    Set(HashSet<u64, foldhash::fast::RandomState>),
    /// Numbers near each other: a bit for each from `low` on.
    Bits {
        low: u64,
        words: Vec<u64>,
    },
    Any(Vec<NumberTest<T>>),
}

impl<T: Testable> NumberTest<T> {
    pub(super) fn set(values: impl Iterator<Item = T>) -> Self {
        let values: Vec<T> = values.collect();
        match values.as_slice() {
            [] => NumberTest::Never,
            [one] => NumberTest::Equal(*one),
            few if few.len() <= 8 => NumberTest::Few(few.iter().map(|v| v.key()).collect()),
            many => Self::bits(many).unwrap_or_else(|| NumberTest::Set(many.iter().map(|v| v.key()).collect())),
        }
    }

    /// Bits for numbers whose keys take at most `BITS_PER_VALUE` places each; a bit is found without hashing.
    fn bits(values: &[T]) -> Option<Self> {
        // Keys of longs wrap; as signed numbers they are in order.
        let keys = || values.iter().map(|v| v.key() as i64);
        let (low, high) = (keys().min()?, keys().max()?);
        let places = (i128::from(high) - i128::from(low) + 1) as u128;
        if places > (values.len() as u128 * BITS_PER_VALUE).min(BITS_MAX) {
            return None;
        }
        let mut words = vec![0u64; (places as usize).div_ceil(64)];
        for key in keys() {
            let at = key.wrapping_sub(low) as u64;
            words[(at / 64) as usize] |= 1 << (at % 64);
        }
        Some(NumberTest::Bits { low: low as u64, words })
    }

    pub(super) fn closed(lower: T, upper: T) -> Self {
        NumberTest::Range { lower: Some((lower, false)), upper: Some((upper, false)) }
    }

    /// One number; hot loops use `keep`.
    pub(super) fn test(&self, value: T) -> bool {
        match self {
            NumberTest::Never => false,
            NumberTest::Equal(wanted) => value.key() == wanted.key(),
            NumberTest::Range { lower, upper } => {
                let below = lower.is_some_and(|(bound, open)| value < bound || (open && value == bound));
                // `!(value <= bound)` and not `value > bound`: NaN is above every bound.
                #[allow(clippy::neg_cmp_op_on_partial_ord)]
                let above = upper.is_some_and(|(bound, open)| !(value <= bound) || (open && value == bound));
                !below && !above
            }
            NumberTest::Few(keys) => keys.contains(&value.key()),
            NumberTest::Set(keys) => keys.contains(&value.key()),
            NumberTest::Bits { low, words } => bit(words, value.key().wrapping_sub(*low)),
            NumberTest::Any(tests) => tests.iter().any(|test| test.test(value)),
        }
    }

    /// Sets `hits[i]` for the values that pass.
    pub(super) fn mark(&self, values: &[T], hits: &mut Vec<bool>) {
        hits.clear();
        match self {
            NumberTest::Never => hits.resize(values.len(), false),
            NumberTest::Equal(wanted) => {
                let key = wanted.key();
                hits.extend(values.iter().map(|v| v.key() == key));
            }
            NumberTest::Range { lower: Some((lower, false)), upper: Some((upper, false)) } => {
                hits.extend(values.iter().map(|v| (*v >= *lower) & (*v <= *upper)));
            }
            NumberTest::Range { lower: Some((lower, false)), upper: Some((upper, true)) } => {
                hits.extend(values.iter().map(|v| (*v >= *lower) & (*v < *upper)));
            }
            NumberTest::Range { lower: None, upper: Some((upper, true)) } => hits.extend(values.iter().map(|v| *v < *upper)),
            NumberTest::Range { lower: None, upper: Some((upper, false)) } => hits.extend(values.iter().map(|v| *v <= *upper)),
            NumberTest::Few(keys) => {
                hits.resize(values.len(), false);
                for key in keys {
                    hits.iter_mut().zip(values).for_each(|(hit, value)| *hit |= value.key() == *key);
                }
            }
            NumberTest::Bits { low, words } => hits.extend(values.iter().map(|v| bit(words, v.key().wrapping_sub(*low)))),
            NumberTest::Range { .. } | NumberTest::Set(_) | NumberTest::Any(_) => {
                hits.extend(values.iter().map(|v| self.test(*v)));
            }
        }
    }
}

/// Bounds of a range over numbers, from values of any type. Longs stay exact.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    lower: Option<(Bound, bool)>,
    upper: Option<(Bound, bool)>,
}

#[derive(Clone, Copy)]
enum Bound {
    Long(i64),
    Double(f64),
}

impl Bounds {
    /// `None` when a bound is there but is no number: then no number passes.
    pub(super) fn new(lower: &Value, lower_open: bool, upper: &Value, upper_open: bool) -> Option<Bounds> {
        let bound = |value: &Value, open: bool| match value {
            Value::Null => Some(None),
            Value::Long(long) => Some(Some((Bound::Long(*long), open))),
            Value::String(text) => match crate::value::parse_long(text) {
                Some(long) => Some(Some((Bound::Long(long), open))),
                None => value.as_double().map(|double| Some((Bound::Double(double), open))),
            },
            other => other.as_double().map(|double| Some((Bound::Double(double), open))),
        };
        Some(Bounds { lower: bound(lower, lower_open)?, upper: bound(upper, upper_open)? })
    }

    /// Closed bounds over longs: fractions move to the next long inside.
    pub(super) fn long_test(self) -> NumberTest<i64> {
        let lower = match self.lower {
            None => Some(i64::MIN),
            Some((Bound::Long(bound), open)) => bound.checked_add(i64::from(open)),
            Some((Bound::Double(bound), open)) => {
                let next = if open && bound.fract() == 0.0 { bound + 1.0 } else { bound.ceil() };
                (next < 9.3e18).then_some(next as i64)
            }
        };
        let upper = match self.upper {
            None => Some(i64::MAX),
            Some((Bound::Long(bound), open)) => bound.checked_sub(i64::from(open)),
            Some((Bound::Double(bound), open)) => {
                let next = if open && bound.fract() == 0.0 { bound - 1.0 } else { bound.floor() };
                (next > -9.3e18).then_some(next as i64)
            }
        };
        match (lower, upper) {
            (Some(lower), Some(upper)) if lower <= upper => NumberTest::closed(lower, upper),
            _ => NumberTest::Never,
        }
    }

    /// Over doubles.
    pub(super) fn double_test(self) -> NumberTest<f64> {
        let double = |bound: Option<(Bound, bool)>| {
            bound.map(|(bound, open)| match bound {
                Bound::Long(long) => (long as f64, open),
                Bound::Double(double) => (double, open),
            })
        };
        NumberTest::Range { lower: double(self.lower), upper: double(self.upper) }
    }

    /// Over floats; bounds are rounded to floats, as Druid does.
    pub(super) fn float_test(self) -> NumberTest<f32> {
        let float = |bound: Option<(Bound, bool)>| {
            bound.map(|(bound, open)| match bound {
                Bound::Long(long) => (long as f32, open),
                Bound::Double(double) => (double as f32, open),
            })
        };
        NumberTest::Range { lower: float(self.lower), upper: float(self.upper) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_their_numbers_and_no_others_whichever_way_they_are_kept() {
        for step in [1, 100, 1 << 40] {
            let values: Vec<i64> = (-50..50).map(|v| v * step).collect();
            let test = NumberTest::set(values.iter().copied());
            assert_eq!(matches!(test, NumberTest::Bits { .. }), step < 256);
            let mut hits = Vec::new();
            let asked: Vec<i64> = (-60..60).flat_map(|v| [v * step, v * step + 1]).chain([i64::MIN, i64::MAX]).collect();
            test.mark(&asked, &mut hits);
            for (value, hit) in asked.iter().zip(hits) {
                assert_eq!(hit, values.contains(value), "{value} of step {step}");
                assert_eq!(hit, test.test(*value));
            }
        }
        let doubles: Vec<f64> = (0..20).map(|v| f64::from(v) / 2.0).collect();
        let test = NumberTest::set(doubles.iter().copied());
        assert!(test.test(4.5) && test.test(-0.0) && !test.test(4.25));
    }
}
