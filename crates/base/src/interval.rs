//! A half-open interval of UTC milliseconds, as Joda's `Interval` is used in Druid.

use serde::{Deserialize, Serialize};

/// `[start, end)` in milliseconds since 1970-01-01T00:00:00Z. Holds `start <= end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Interval {
    pub start: i64,
    pub end: i64,
}

impl Interval {
    /// Druid's `Intervals.ETERNITY`.
    pub const ETERNITY: Interval = Interval { start: i64::MIN / 2, end: i64::MAX / 2 };

    /// True when the instant lies inside.
    pub fn contains(&self, millis: i64) -> bool {
        self.start <= millis && millis < self.end
    }

    /// True when both share at least one instant.
    pub fn overlaps(&self, other: &Interval) -> bool {
        self.start < other.end && other.start < self.end
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

    /// Length in milliseconds.
    pub fn millis(&self) -> i64 {
        self.end.saturating_sub(self.start)
    }

    /// True when no instant lies inside.
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }
}
