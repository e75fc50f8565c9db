//! Period granularity (`PeriodGranularity`): calendar periods in a zone, optionally counted from an origin. A single
//! field with value one follows the calendar; a multiple counts from the origin (1970-01-01 local by default).

use crate::time::calendar::{self, Civil, DAY, HOUR, MINUTE, SECOND, WEEK};
use crate::time::{Period, Zone};
use crate::{DruidError, Result};

use super::floor;

/// Buckets of one period.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PeriodGranularity {
    period: Period,
    zone: Zone,
    origin: Option<i64>,
}

impl PeriodGranularity {
    pub(super) const fn simple(period: Period) -> Self {
        PeriodGranularity { period, zone: Zone::UTC, origin: None }
    }

    /// Refuses periods that do not move forward.
    pub fn new(period: Period, zone: Zone, origin: Option<i64>) -> Result<Self> {
        if period.fields().iter().any(|field| *field < 0) || period.is_zero() {
            return Err(DruidError::invalid_input(format!("granularity period must be positive: {period}")));
        }
        Ok(PeriodGranularity { period, zone, origin })
    }

    pub fn period(&self) -> Period {
        self.period
    }

    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    pub fn origin(&self) -> Option<i64> {
        self.origin
    }

    pub(super) fn increment(&self, start: i64) -> i64 {
        self.period.add_to(start, 1, &self.zone)
    }

    /// The origin, or 1970-01-01T00:00 in the zone.
    fn origin_or_default(&self) -> i64 {
        self.origin.unwrap_or_else(|| self.zone.to_utc(0))
    }

    fn is_compound(&self) -> bool {
        self.period.fields().iter().filter(|field| **field != 0).count() > 1
    }

    pub(super) fn fixed_length(&self) -> Option<(i64, i64)> {
        let offset = self.zone.fixed_offset_ms()?;
        let length = self.period.to_standard_millis()?;
        let p = &self.period;
        let origin = match self.origin {
            Some(origin) => origin,
            // Weeks start on Monday, 1970-01-05 for example; several weeks count from the Thursday of the epoch.
            None if p.weeks == 1 && !self.is_compound() => 4 * DAY - offset,
            None => -offset,
        };
        Some((length, origin))
    }

    pub(super) fn bucket_start(&self, millis: i64) -> i64 {
        if let Some((length, origin)) = self.fixed_length() {
            return floor(millis, length, origin);
        }
        if self.is_compound() {
            // Without years and months Druid's `truncateMillisPeriod` takes days of 24 hours, whatever the zone.
            return match self.period.to_standard_millis() {
                Some(length) => floor(millis, length, self.origin_or_default()),
                None => self.counted_start(millis),
            };
        }
        if self.origin.is_none() && self.period.fields().iter().all(|field| *field <= 1) {
            self.calendar_start(millis)
        } else {
            self.counted_start(millis)
        }
    }

    /// The start of the calendar field (year, month, week, day, hour…) in the zone.
    fn calendar_start(&self, millis: i64) -> i64 {
        let local = self.zone.to_local(millis);
        let p = &self.period;
        let start = if p.years == 1 {
            calendar::days_from_civil(Civil::from_millis(local).year, 1, 1).saturating_mul(DAY)
        } else if p.months == 1 {
            let civil = Civil::from_millis(local);
            calendar::days_from_civil(civil.year, civil.month, 1).saturating_mul(DAY)
        } else if p.weeks == 1 {
            floor(local, WEEK, 4 * DAY)
        } else if p.days == 1 {
            floor(local, DAY, 0)
        } else if p.hours == 1 {
            floor(local, HOUR, 0)
        } else if p.minutes == 1 {
            floor(local, MINUTE, 0)
        } else if p.seconds == 1 {
            floor(local, SECOND, 0)
        } else {
            local
        };
        self.zone.to_utc_near(start, millis)
    }

    /// The last `origin + n periods` that is not after `millis`: guessed from the mean length, then corrected.
    fn counted_start(&self, millis: i64) -> i64 {
        let origin = self.origin_or_default();
        let length = self.period.approximate_millis().max(1);
        let mut count = (millis.saturating_sub(origin)).div_euclid(length);
        let at = |count: i64| self.period.add_to(origin, count, &self.zone);
        let mut start = at(count);
        // The mean is off by few periods in the worst case; the bound only guards saturated arithmetic.
        for _ in 0..64 {
            if start > millis {
                count -= 1;
                start = at(count);
                continue;
            }
            let next = at(count.saturating_add(1));
            if next > millis || next <= start {
                break;
            }
            (count, start) = (count + 1, next);
        }
        start
    }
}
