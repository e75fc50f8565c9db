//! ISO 8601 periods such as `P1DT12H` (Joda's `Period`) with calendar arithmetic in a time zone.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::calendar::{self, DAY, HOUR, MINUTE, SECOND, WEEK};
use super::zone::Zone;
use crate::{DruidError, Result};

/// A length of time in calendar fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Period {
    pub years: i32,
    pub months: i32,
    pub weeks: i32,
    pub days: i32,
    pub hours: i32,
    pub minutes: i32,
    pub seconds: i32,
    pub millis: i32,
}

impl Period {
    /// Parses `P1Y2M3W4DT5H6M7.5S`.
    pub fn parse(text: &str) -> Result<Period> {
        Period::read(text).ok_or_else(|| {
            DruidError::invalid_input(format!(
                "Invalid format: \"{}\" is not an ISO 8601 period",
                text.chars().take(100).collect::<String>()
            ))
        })
    }

    fn read(text: &str) -> Option<Period> {
        let mut rest = text.strip_prefix(['P', 'p'])?;
        let mut period = Period::default();
        let mut in_time = false;
        let mut last = 0;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix(['T', 't']) {
                if in_time {
                    return None;
                }
                (rest, in_time) = (after, true);
                continue;
            }
            let length = rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | ',')))?;
            let (number, after) = rest.split_at(length);
            let unit = after.chars().next()?;
            rest = &after[unit.len_utf8()..];
            let field = match (unit.to_ascii_uppercase(), in_time) {
                ('Y', false) => 1,
                ('M', false) => 2,
                ('W', false) => 3,
                ('D', false) => 4,
                ('H', true) => 5,
                ('M', true) => 6,
                ('S', true) => 7,
                _ => return None,
            };
            if field <= last {
                return None;
            }
            last = field;
            match field {
                1 => period.years = number.parse().ok()?,
                2 => period.months = number.parse().ok()?,
                3 => period.weeks = number.parse().ok()?,
                4 => period.days = number.parse().ok()?,
                5 => period.hours = number.parse().ok()?,
                6 => period.minutes = number.parse().ok()?,
                _ => (period.seconds, period.millis) = seconds(number)?,
            }
        }
        (last > 0).then_some(period)
    }

    /// A period of days only.
    pub const fn days(days: i32) -> Period {
        Period { years: 0, months: 0, weeks: 0, days, hours: 0, minutes: 0, seconds: 0, millis: 0 }
    }

    /// A period of hours only.
    pub const fn hours(hours: i32) -> Period {
        Period { hours, ..Period::days(0) }
    }

    /// A period of minutes only.
    pub const fn minutes(minutes: i32) -> Period {
        Period { minutes, ..Period::days(0) }
    }

    /// A period of seconds only.
    pub const fn seconds(seconds: i32) -> Period {
        Period { seconds, ..Period::days(0) }
    }

    /// A period of weeks only.
    pub const fn weeks(weeks: i32) -> Period {
        Period { weeks, ..Period::days(0) }
    }

    /// A period of months only.
    pub const fn months(months: i32) -> Period {
        Period { months, ..Period::days(0) }
    }

    /// A period of years only.
    pub const fn years(years: i32) -> Period {
        Period { years, ..Period::days(0) }
    }

    pub(crate) fn fields(&self) -> [i32; 8] {
        [self.years, self.months, self.weeks, self.days, self.hours, self.minutes, self.seconds, self.millis]
    }

    /// True when all fields are zero.
    pub fn is_zero(&self) -> bool {
        self.fields().iter().all(|field| *field == 0)
    }

    /// Milliseconds with days of 24 hours; `None` when years or months have no fixed length.
    pub fn to_standard_millis(&self) -> Option<i64> {
        (self.years == 0 && self.months == 0).then(|| self.weeks as i64 * WEEK + self.days as i64 * DAY + self.time_millis())
    }

    fn time_millis(&self) -> i64 {
        self.hours as i64 * HOUR + self.minutes as i64 * MINUTE + self.seconds as i64 * SECOND + self.millis as i64
    }

    /// About how long it is (a year of 365.2425 days).
    pub fn approximate_millis(&self) -> i64 {
        let months = self.years as i64 * 12 + self.months as i64;
        let millis = months as i128 * 2_629_746_000
            + self.weeks as i128 * WEEK as i128
            + self.days as i128 * DAY as i128
            + self.time_millis() as i128;
        millis.clamp(i64::MIN as i128, i64::MAX as i128) as i64
    }

    /// The instant `times` periods later in a zone: dates move on the calendar, hours and smaller on the clock of UTC.
    pub fn add_to(&self, millis: i64, times: i64, zone: &Zone) -> i64 {
        let mut result = millis;
        if self.years != 0 || self.months != 0 || self.weeks != 0 || self.days != 0 {
            let mut local = zone.to_local(millis);
            if self.years != 0 {
                local = calendar::add_months(local, (self.years as i64).saturating_mul(12).saturating_mul(times));
            }
            if self.months != 0 {
                local = calendar::add_months(local, (self.months as i64).saturating_mul(times));
            }
            let days = (self.weeks as i64 * 7 + self.days as i64).saturating_mul(times);
            local = local.saturating_add(days.saturating_mul(DAY));
            result = zone.to_utc_near(local, millis);
        }
        result.saturating_add(self.time_millis().saturating_mul(times))
    }
}

/// `7`, `-7.5`: whole seconds and milliseconds of the same sign.
fn seconds(number: &str) -> Option<(i32, i32)> {
    let (whole, fraction) = number.split_once(['.', ',']).unwrap_or((number, ""));
    let seconds: i32 = if matches!(whole, "" | "-" | "+") && !fraction.is_empty() { 0 } else { whole.parse().ok()? };
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut millis = 0;
    for at in 0..3 {
        millis = millis * 10 + fraction.as_bytes().get(at).map_or(0, |byte| (byte - b'0') as i32);
    }
    Some((seconds, if whole.starts_with('-') { -millis } else { millis }))
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("P")?;
        for (value, unit) in [(self.years, 'Y'), (self.months, 'M'), (self.weeks, 'W'), (self.days, 'D')] {
            if value != 0 {
                write!(f, "{value}{unit}")?;
            }
        }
        let date_is_zero = self.years == 0 && self.months == 0 && self.weeks == 0 && self.days == 0;
        if self.hours == 0 && self.minutes == 0 && self.seconds == 0 && self.millis == 0 {
            return if date_is_zero { f.write_str("T0S") } else { Ok(()) };
        }
        f.write_str("T")?;
        for (value, unit) in [(self.hours, 'H'), (self.minutes, 'M')] {
            if value != 0 {
                write!(f, "{value}{unit}")?;
            }
        }
        if self.millis != 0 {
            let total = self.seconds as i64 * 1_000 + self.millis as i64;
            let sign = if total < 0 { "-" } else { "" };
            write!(f, "{sign}{}.{:03}S", total.abs() / 1_000, total.abs() % 1_000)?;
        } else if self.seconds != 0 {
            write!(f, "{}S", self.seconds)?;
        }
        Ok(())
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Period, D::Error> {
        Period::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{format_iso, parse_instant};
    use super::*;

    #[test]
    fn text_survives_a_round_trip() {
        for text in ["P1Y2M3W4DT5H6M7S", "PT0.500S", "P1D", "PT1H", "P3M", "PT0S"] {
            assert_eq!(Period::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "P", "PT", "1D", "P1H", "PD", "P1D1Y", "P99999999999D", "Pé", "P1é"] {
            assert!(Period::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn days_in_a_zone_follow_the_calendar() {
        let zone = Zone::parse("America/Los_Angeles").unwrap();
        let start = parse_instant("2024-03-10T08:00Z").unwrap();
        assert_eq!(format_iso(Period::days(1).add_to(start, 1, &zone)), "2024-03-11T07:00:00.000Z");
        assert_eq!(format_iso(Period::hours(24).add_to(start, 1, &zone)), "2024-03-11T08:00:00.000Z");
        let leap = parse_instant("2024-01-31").unwrap();
        assert_eq!(format_iso(Period::months(1).add_to(leap, 1, &Zone::UTC)), "2024-02-29T00:00:00.000Z");
        Period::years(i32::MAX).add_to(i64::MAX, i64::MAX, &zone);
    }
}
