//! What is known of a block of numbers as a whole: a scan that wants only its sum, minimum or maximum need not read it.

/// Sum, least and greatest of some numbers. Sums of longs wrap; a NaN among doubles is both the least and the greatest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary<T> {
    pub sum: T,
    pub min: T,
    pub max: T,
}

/// Bounds of a column of longs: every value is `min + k * step` and at most `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongBounds {
    pub min: i64,
    pub max: i64,
    /// At least 1.
    pub step: u64,
}

impl LongBounds {
    /// The bounds of both.
    pub fn union(self, other: LongBounds) -> LongBounds {
        let apart = self.min.abs_diff(other.min);
        LongBounds {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            step: gcd(gcd(self.step_or_any(), other.step_or_any()), apart).max(1),
        }
    }

    /// How many values fit between the bounds; `None` for more than 64 bits can count.
    pub fn count(&self) -> Option<u64> {
        (self.max.wrapping_sub(self.min) as u64 / self.step).checked_add(1)
    }

    /// A single value fits every step.
    fn step_or_any(&self) -> u64 {
        if self.min == self.max { 0 } else { self.step }
    }
}

/// The greatest common divisor; that of 0 and a number is the number.
pub fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// A number that can be summed up.
pub trait SummaryNumber: Copy {
    /// Of these values, of which there is one at least.
    fn summary(values: &[Self]) -> Summary<Self>;
}

/// Independent running values, so that additions need not wait for each other.
const LANES: usize = 8;

macro_rules! summary_number {
    ($type:ty, $zero:expr, $least:expr, $greatest:expr, $add:expr, $min:expr, $max:expr) => {
        impl SummaryNumber for $type {
            fn summary(values: &[Self]) -> Summary<Self> {
                let (mut sums, mut mins, mut maxs) = ([$zero; LANES], [$greatest; LANES], [$least; LANES]);
                let (chunks, rest) = values.as_chunks::<LANES>();
                for chunk in chunks {
                    for lane in 0..LANES {
                        sums[lane] = $add(sums[lane], chunk[lane]);
                        mins[lane] = $min(mins[lane], chunk[lane]);
                        maxs[lane] = $max(maxs[lane], chunk[lane]);
                    }
                }
                let (mut sum, mut min, mut max) = ($zero, $greatest, $least);
                for value in rest {
                    sum = $add(sum, *value);
                    min = $min(min, *value);
                    max = $max(max, *value);
                }
                for lane in 0..LANES {
                    sum = $add(sum, sums[lane]);
                    min = $min(min, mins[lane]);
                    max = $max(max, maxs[lane]);
                }
                Summary { sum, min, max }
            }
        }
    };
}

fn lesser<T: PartialOrd>(left: T, right: T) -> T {
    // What does not compare is NaN, which wins.
    if right < left || right.partial_cmp(&right).is_none() { right } else { left }
}

fn greater<T: PartialOrd>(left: T, right: T) -> T {
    if right > left || right.partial_cmp(&right).is_none() { right } else { left }
}

summary_number!(i64, 0i64, i64::MIN, i64::MAX, i64::wrapping_add, i64::min, i64::max);
summary_number!(f32, 0f32, f32::NEG_INFINITY, f32::INFINITY, |a, b| a + b, lesser, greater);
summary_number!(f64, 0f64, f64::NEG_INFINITY, f64::INFINITY, |a, b| a + b, lesser, greater);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_what_a_scan_finds() {
        let values: Vec<i64> = (0..1003).map(|i| (i * 7919) % 1009 - 400).collect();
        let summary = i64::summary(&values);
        assert_eq!(summary.sum, values.iter().sum::<i64>());
        assert_eq!((Some(&summary.min), Some(&summary.max)), (values.iter().min(), values.iter().max()));
        let mut doubles: Vec<f64> = values.iter().map(|v| *v as f64).collect();
        assert_eq!(f64::summary(&doubles).sum, summary.sum as f64);
        doubles[500] = f64::NAN;
        assert!(f64::summary(&doubles).min.is_nan() && f64::summary(&doubles).max.is_nan());
    }

    #[test]
    fn bounds_of_two_hold_the_values_of_both() {
        let days = LongBounds { min: 86_400, max: 864_000, step: 86_400 };
        let one = LongBounds { min: 43_200, max: 43_200, step: 1 };
        assert_eq!(days.union(one), LongBounds { min: 43_200, max: 864_000, step: 43_200 });
        assert_eq!(days.count(), Some(10));
        let wide = LongBounds { min: i64::MIN, max: i64::MAX, step: 1 };
        assert_eq!(wide.count(), None);
    }
}
