//! A half-open interval of UTC milliseconds, as Joda's `Interval` is used in Druid. In JSON it is the string
//! `start/end`; `start/period` and `period/end` are read too.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::time::{Period, Zone, format_iso_into, parse_instant, parse_instant_in};
use crate::{DruidError, Result};

/// `[start, end)` in milliseconds since 1970-01-01T00:00:00Z. Holds `start <= end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval {
    pub start: i64,
    pub end: i64,
}

impl Interval {
    /// Druid's `Intervals.ETERNITY`.
    pub const ETERNITY: Interval = Interval { start: i64::MIN / 2, end: i64::MAX / 2 };

    /// An interval; refuses an end before the start.
    pub fn new(start: i64, end: i64) -> Result<Interval> {
        if end < start {
            return Err(DruidError::invalid_input("The end instant must be greater than the start instant"));
        }
        Ok(Interval { start, end })
    }

    /// Parses `start/end`, `start/period` or `period/end` (`Intervals.of`).
    pub fn parse(text: &str) -> Result<Interval> {
        Self::parse_in(text, &Zone::UTC)
    }

    /// As `parse`, where instants without an offset are local time of `zone`.
    pub fn parse_in(text: &str, zone: &Zone) -> Result<Interval> {
        let Some((left, right)) = text.split_once('/') else {
            let shown: String = text.chars().take(100).collect();
            return Err(DruidError::invalid_input(format!("Bad Interval[{shown}]: Format requires a '/' separator")));
        };
        let bad =
            |error: DruidError| error.prefixed(format_args!("Bad Interval[{}]", text.chars().take(100).collect::<String>()));
        let read = || -> Result<Interval> {
            if left.starts_with(['P', 'p']) {
                let (period, end) = (Period::parse(left)?, parse_instant_in(right, zone)?);
                return Interval::new(period.add_to(end, -1, zone), end);
            }
            let start = parse_instant_in(left, zone)?;
            if right.starts_with(['P', 'p']) {
                return Interval::new(start, Period::parse(right)?.add_to(start, 1, zone));
            }
            Interval::new(start, parse_instant_in(right, zone)?)
        };
        read().map_err(bad)
    }

    /// From two ISO instants.
    pub fn from_texts(start: &str, end: &str) -> Result<Interval> {
        Interval::new(parse_instant(start)?, parse_instant(end)?)
    }

    /// True when the instant lies inside.
    pub fn contains(&self, millis: i64) -> bool {
        self.start <= millis && millis < self.end
    }

    /// True when both share at least one instant.
    pub fn overlaps(&self, other: &Interval) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// True when one ends where the other starts.
    pub fn abuts(&self, other: &Interval) -> bool {
        self.end == other.start || other.end == self.start
    }

    /// True when `other` lies wholly inside.
    pub fn encloses(&self, other: &Interval) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// The shared part, if there is one.
    pub fn intersect(&self, other: &Interval) -> Option<Interval> {
        let (start, end) = (self.start.max(other.start), self.end.min(other.end));
        (start < end).then_some(Interval { start, end })
    }

    /// The smallest interval that holds both.
    pub fn cover(&self, other: &Interval) -> Interval {
        Interval { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Length in milliseconds.
    pub fn millis(&self) -> i64 {
        self.end.saturating_sub(self.start)
    }

    /// True when no instant lies inside.
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// Sorted intervals without overlaps that cover the same instants; abutting ones are joined
    /// (`JodaUtils.condenseIntervals`). Empty intervals are kept only when they lie apart.
    pub fn condense(intervals: &[Interval]) -> Vec<Interval> {
        let mut sorted = intervals.to_vec();
        sorted.sort();
        let mut result: Vec<Interval> = Vec::with_capacity(sorted.len());
        for interval in sorted {
            match result.last_mut() {
                Some(last) if interval.start <= last.end => last.end = last.end.max(interval.end),
                _ => result.push(interval),
            }
        }
        result
    }

    /// What is left of `self` outside of `holes`.
    pub fn minus(&self, holes: &[Interval]) -> Vec<Interval> {
        let mut result = Vec::new();
        let mut start = self.start;
        for hole in Interval::condense(holes) {
            if hole.is_empty() || !hole.overlaps(self) {
                continue;
            }
            if hole.start > start {
                result.push(Interval { start, end: hole.start });
            }
            start = start.max(hole.end);
        }
        if start < self.end {
            result.push(Interval { start, end: self.end });
        }
        result
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(49);
        format_iso_into(self.start, &Zone::UTC, &mut text);
        text.push('/');
        format_iso_into(self.end, &Zone::UTC, &mut text);
        f.write_str(&text)
    }
}

impl std::str::FromStr for Interval {
    type Err = DruidError;

    fn from_str(text: &str) -> Result<Interval> {
        Interval::parse(text)
    }
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Interval, D::Error> {
        Interval::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_spellings() {
        let day = "2024-01-01T00:00:00.000Z/2024-01-02T00:00:00.000Z";
        for text in ["2024-01-01/2024-01-02", "2024-01-01/P1D", "P1D/2024-01-02", day] {
            assert_eq!(Interval::parse(text).unwrap().to_string(), day);
        }
        for text in ["", "/", "2024", "2024-01-02/2024-01-01", "P1D/P1D", "a/b"] {
            assert!(Interval::parse(text).is_err(), "{text}");
        }
        let eternity = Interval::ETERNITY.to_string();
        assert_eq!(eternity, "-146136543-09-08T08:23:32.096Z/146140482-04-24T15:36:27.903Z");
        assert_eq!(Interval::parse(&eternity).unwrap(), Interval::ETERNITY);
    }

    #[test]
    fn condensed_and_subtracted() {
        let i = |start, end| Interval { start, end };
        assert_eq!(Interval::condense(&[i(5, 7), i(0, 2), i(2, 3), i(6, 9)]), vec![i(0, 3), i(5, 9)]);
        assert_eq!(i(0, 10).minus(&[i(2, 3), i(8, 12)]), vec![i(0, 2), i(3, 8)]);
        assert_eq!(i(0, 10).minus(&[i(-1, 12)]), vec![]);
    }
}
