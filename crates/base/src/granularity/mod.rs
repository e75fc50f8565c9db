//! Granularities (Druid's `Granularity`): how instants fall into buckets. `simple` names are periods in UTC, so there
//! are four kinds: all, none, period (calendar, zone, origin) and duration (fixed milliseconds).

mod json;
mod period;
#[cfg(test)]
mod tests;

use std::fmt;

pub use period::PeriodGranularity;

use crate::Interval;
use crate::time::Period;

/// A rule that puts every instant into one bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Granularity {
    /// One bucket for everything.
    All,
    /// A bucket for every millisecond; rows keep their timestamps.
    None,
    Period(PeriodGranularity),
    Duration(DurationGranularity),
}

/// Buckets of `duration` milliseconds from `origin` (`DurationGranularity`). Holds `duration > 0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DurationGranularity {
    pub duration: i64,
    pub origin: i64,
}

impl Granularity {
    pub const SECOND: Granularity = Granularity::simple(Period::seconds(1));
    pub const MINUTE: Granularity = Granularity::simple(Period::minutes(1));
    pub const HOUR: Granularity = Granularity::simple(Period::hours(1));
    pub const DAY: Granularity = Granularity::simple(Period::days(1));
    pub const WEEK: Granularity = Granularity::simple(Period::weeks(1));
    pub const MONTH: Granularity = Granularity::simple(Period::months(1));
    pub const QUARTER: Granularity = Granularity::simple(Period::months(3));
    pub const YEAR: Granularity = Granularity::simple(Period::years(1));

    const fn simple(period: Period) -> Granularity {
        Granularity::Period(PeriodGranularity::simple(period))
    }

    /// The start of the bucket that holds `millis`.
    pub fn bucket_start(&self, millis: i64) -> i64 {
        match self {
            Granularity::All => Interval::ETERNITY.start,
            Granularity::None => millis,
            Granularity::Period(period) => period.bucket_start(millis),
            Granularity::Duration(duration) => floor(millis, duration.duration, duration.origin),
        }
    }

    /// The start of the next bucket, given the start of one (`Granularity.increment`).
    pub fn increment(&self, start: i64) -> i64 {
        match self {
            Granularity::All => Interval::ETERNITY.end,
            Granularity::None => start.saturating_add(1),
            Granularity::Period(period) => period.increment(start),
            Granularity::Duration(duration) => start.saturating_add(duration.duration),
        }
    }

    /// The exclusive end of the bucket that holds `millis`.
    pub fn bucket_end(&self, millis: i64) -> i64 {
        self.increment(self.bucket_start(millis))
    }

    /// The bucket that holds `millis`.
    pub fn bucket(&self, millis: i64) -> Interval {
        let start = self.bucket_start(millis);
        Interval { start, end: self.increment(start) }
    }

    /// True when the interval is exactly one bucket (`Granularity.isAligned`).
    pub fn is_aligned(&self, interval: &Interval) -> bool {
        self.bucket(interval.start) == *interval
    }

    /// The buckets that overlap `interval`, in order (`Granularity.getIterable`). ALL gives the interval itself.
    pub fn buckets(&self, interval: Interval) -> Buckets<'_> {
        let next = if *self == Granularity::All { interval.start } else { self.bucket_start(interval.start) };
        Buckets { granularity: self, interval, next }
    }

    /// Length and origin of buckets that never change their length: bucket starts are `origin + k * length`.
    pub fn fixed_length(&self) -> Option<(i64, i64)> {
        match self {
            Granularity::All | Granularity::None => None,
            Granularity::Period(period) => period.fixed_length(),
            Granularity::Duration(duration) => Some((duration.duration, duration.origin)),
        }
    }

    /// Appends the bucket start of every instant; quick when they are sorted or the length is fixed.
    pub fn bucket_starts(&self, millis: &[i64], out: &mut Vec<i64>) {
        out.reserve(millis.len());
        match self {
            Granularity::All => out.extend(millis.iter().map(|_| Interval::ETERNITY.start)),
            Granularity::None => out.extend_from_slice(millis),
            Granularity::Period(_) | Granularity::Duration(_) => {
                let mut bucket = Interval { start: 0, end: 0 };
                out.extend(millis.iter().map(|millis| {
                    if !bucket.contains(*millis) {
                        bucket = self.bucket(*millis);
                    }
                    bucket.start
                }));
            }
        }
    }

    /// True when every bucket of `other` is certainly made of whole buckets of `self`; false also where that is not known.
    pub fn nests_in(&self, other: &Granularity) -> bool {
        if self == other || *self == Granularity::None || *other == Granularity::All {
            return true;
        }
        const DAY_MS: i64 = 86_400_000;
        let Some((length, origin)) = self.fixed_length() else { return false };
        match other.fixed_length() {
            Some((longer, from)) => longer % length == 0 && from.wrapping_sub(origin) % length == 0,
            // Calendar periods in UTC begin at midnight.
            None => match other {
                Granularity::Period(period) => {
                    let plain = *period.zone() == crate::time::Zone::UTC && period.origin().is_none();
                    plain && DAY_MS % length == 0 && origin % length == 0
                }
                _ => false,
            },
        }
    }

    /// True when every bucket of `self` is made of whole buckets of `other`, judged around 2024: used to choose
    /// between granularities, as `Granularity.IS_FINER_THAN` is.
    pub fn is_finer_than(&self, other: &Granularity) -> bool {
        self.bucket_length() < other.bucket_length()
    }

    fn bucket_length(&self) -> i64 {
        const SOME_DAY: i64 = 1_704_067_200_000;
        self.bucket(SOME_DAY).millis()
    }
}

/// The largest `origin + k * length` that is not after `millis`.
#[inline]
pub(crate) fn floor(millis: i64, length: i64, origin: i64) -> i64 {
    match millis.checked_sub(origin) {
        Some(distance) => millis.saturating_sub(distance.rem_euclid(length)),
        None => {
            let offset = (millis.rem_euclid(length) - origin.rem_euclid(length)).rem_euclid(length);
            millis.saturating_sub(offset)
        }
    }
}

/// Iterator of [`Granularity::buckets`].
#[derive(Debug, Clone)]
pub struct Buckets<'a> {
    granularity: &'a Granularity,
    interval: Interval,
    next: i64,
}

impl Iterator for Buckets<'_> {
    type Item = Interval;

    fn next(&mut self) -> Option<Interval> {
        if self.next >= self.interval.end {
            return None;
        }
        let start = self.next;
        let end = if *self.granularity == Granularity::All { self.interval.end } else { self.granularity.increment(start) };
        // An increment that saturates must end the iteration.
        self.next = if end > start { end } else { self.interval.end };
        Some(Interval { start, end })
    }
}

impl fmt::Display for Granularity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Granularity::All => f.write_str("AllGranularity"),
            Granularity::None => f.write_str("NoneGranularity"),
            Granularity::Period(_) | Granularity::Duration(_) => write!(f, "{}", self.to_json()),
        }
    }
}
