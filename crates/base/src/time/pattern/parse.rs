//! Reading an instant by a pattern. Fields that are not in the text have the values of 1970-01-01T00:00, or 2000 for the
//! year when only a month or day is given, as Joda's `DateTimeParserBucket` computes.

use super::{DateTimePattern, Field, MONTHS, Part, WEEKDAYS};
use crate::time::calendar::{self, Civil, DAY, HOUR, MINUTE, SECOND};
use crate::time::zone::{Zone, parse_offset};
use crate::{DruidError, Result};

/// What the text said.
#[derive(Default)]
struct Fields {
    era_is_bc: bool,
    century: Option<i64>,
    year: Option<i64>,
    week_year: Option<i64>,
    week: Option<i64>,
    day_of_week: Option<i64>,
    day_of_year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    afternoon: Option<bool>,
    half_hour: Option<i64>,
    hour: Option<i64>,
    minute: i64,
    second: i64,
    milli: i64,
    offset: Option<i64>,
    zone: Option<Zone>,
}

impl DateTimePattern {
    /// The instant of a text; without an offset in it, local time of `zone`. The whole text must fit.
    pub fn parse_text(&self, text: &str, zone: &Zone) -> Result<i64> {
        let bad = |at: usize| {
            let shown: String = text.chars().take(100).collect();
            let rest: String = text.get(at..).unwrap_or_default().chars().take(100).collect();
            DruidError::invalid_input(match (at, rest.is_empty()) {
                (0, _) => format!("Invalid format: \"{shown}\""),
                (_, true) => format!("Invalid format: \"{shown}\" is too short"),
                _ => format!("Invalid format: \"{shown}\" is malformed at \"{rest}\""),
            })
        };
        let mut fields = Fields::default();
        let mut at = 0;
        for (index, part) in self.parts.iter().enumerate() {
            let rest = &text[at..];
            let used = match part {
                Part::Literal(literal) => starts_with_ignoring_case(rest, literal),
                Part::Field(field, count) => {
                    let next_is_number =
                        matches!(self.parts.get(index + 1), Some(Part::Field(next, next_count)) if next.is_numeric(*next_count));
                    fields.read(*field, *count, next_is_number, rest)
                }
            };
            at += used.ok_or_else(|| bad(at))?;
        }
        if at != text.len() {
            return Err(bad(at));
        }
        fields.instant(zone).ok_or_else(|| {
            DruidError::invalid_input(format!(
                "Cannot parse \"{}\": a field is out of range",
                text.chars().take(100).collect::<String>()
            ))
        })
    }
}

fn starts_with_ignoring_case(text: &str, prefix: &str) -> Option<usize> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(prefix.len())
}

/// Digits with an optional sign: value, bytes used.
fn signed_number(text: &str, digits_max: usize, sign_allowed: bool) -> Option<(i64, usize)> {
    let bytes = text.as_bytes();
    let sign = usize::from(sign_allowed && matches!(bytes.first(), Some(b'-' | b'+')));
    let count = bytes[sign..].iter().take(digits_max.min(18)).take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 {
        return None;
    }
    let value = bytes[sign..sign + count].iter().fold(0i64, |sum, byte| sum * 10 + (byte - b'0') as i64);
    Some((if bytes[0] == b'-' { -value } else { value }, sign + count))
}

/// The index of the name that the text starts with, full or with three letters.
fn name_index(text: &str, names: &[&str]) -> Option<(i64, usize)> {
    let full = names.iter().position(|name| starts_with_ignoring_case(text, name).is_some());
    if let Some(index) = full {
        return Some((index as i64 + 1, names[index].len()));
    }
    let short = names.iter().position(|name| starts_with_ignoring_case(text, &name[..3]).is_some())?;
    Some((short as i64 + 1, 3))
}

impl Fields {
    /// Reads one field; gives the bytes used.
    fn read(&mut self, field: Field, count: usize, next_is_number: bool, text: &str) -> Option<usize> {
        let small = |digits: usize| signed_number(text, if next_is_number { count.max(1) } else { digits.max(count) }, false);
        match field {
            Field::Era => {
                let used = ["AD", "BC", "CE", "BCE"].iter().find_map(|name| starts_with_ignoring_case(text, name))?;
                self.era_is_bc = text.as_bytes()[0].eq_ignore_ascii_case(&b'B');
                Some(used)
            }
            Field::Year | Field::YearOfEra | Field::WeekYear => {
                let (value, used) = read_year(text, count, next_is_number)?;
                let slot = if field == Field::WeekYear { &mut self.week_year } else { &mut self.year };
                *slot = Some(value);
                Some(used)
            }
            Field::DayOfWeekText => {
                let (value, used) = name_index(text, &WEEKDAYS)?;
                self.day_of_week = Some(value);
                Some(used)
            }
            Field::Month if count >= 3 => {
                let (value, used) = name_index(text, &MONTHS)?;
                self.month = Some(value);
                Some(used)
            }
            Field::HalfDay => {
                let used = starts_with_ignoring_case(text, "AM").or_else(|| starts_with_ignoring_case(text, "PM"))?;
                self.afternoon = Some(text.as_bytes()[0].eq_ignore_ascii_case(&b'P'));
                Some(used)
            }
            Field::Fraction => self.read_fraction(text, if next_is_number { count } else { count.max(9) }),
            Field::ZoneName => self.read_zone(text),
            Field::Offset if count >= 3 => self.read_zone(text),
            Field::Offset => {
                if matches!(text.as_bytes().first(), Some(b'Z' | b'z')) {
                    self.offset = Some(0);
                    return Some(1);
                }
                let (offset, used) = parse_offset(text)?;
                self.offset = Some(offset);
                Some(used)
            }
            Field::DayOfYear => self.put(field, small(3)?),
            Field::Century => self.put(field, small(9)?),
            Field::DayOfWeek => self.put(field, small(1)?),
            Field::Week
            | Field::Month
            | Field::DayOfMonth
            | Field::HourOfHalfDay
            | Field::ClockHourOfHalfDay
            | Field::Hour
            | Field::ClockHour
            | Field::Minute
            | Field::Second => self.put(field, small(2)?),
        }
    }

    fn put(&mut self, field: Field, (value, used): (i64, usize)) -> Option<usize> {
        let limits = match field {
            Field::DayOfYear => 1..=366,
            Field::DayOfWeek => 1..=7,
            Field::Week => 1..=53,
            Field::Month => 1..=12,
            Field::DayOfMonth => 1..=31,
            Field::HourOfHalfDay => 0..=11,
            Field::ClockHourOfHalfDay => 1..=12,
            Field::Hour => 0..=23,
            Field::ClockHour => 1..=24,
            Field::Minute | Field::Second => 0..=59,
            _ => 0..=i64::from(i32::MAX),
        };
        if !limits.contains(&value) {
            return None;
        }
        match field {
            Field::DayOfYear => self.day_of_year = Some(value),
            Field::DayOfWeek => self.day_of_week = Some(value),
            Field::Week => self.week = Some(value),
            Field::Month => self.month = Some(value),
            Field::DayOfMonth => self.day = Some(value),
            Field::HourOfHalfDay => self.half_hour = Some(value),
            Field::ClockHourOfHalfDay => self.half_hour = Some(value % 12),
            Field::Hour => self.hour = Some(value),
            Field::ClockHour => self.hour = Some(value % 24),
            Field::Minute => self.minute = value,
            Field::Second => self.second = value,
            Field::Century => self.century = Some(value),
            _ => {}
        }
        Some(used)
    }

    fn read_fraction(&mut self, text: &str, digits_max: usize) -> Option<usize> {
        let count = text.bytes().take(digits_max).take_while(u8::is_ascii_digit).count();
        let digits = text.bytes().take(count.min(3)).chain(std::iter::repeat(b'0')).take(3);
        self.milli = digits.fold(0, |sum, byte| sum * 10 + (byte - b'0') as i64);
        (count > 0).then_some(count)
    }

    /// A zone id or an abbreviation: letters, digits and `/_+-:`.
    fn read_zone(&mut self, text: &str) -> Option<usize> {
        let length = text.find(|c: char| !(c.is_ascii_alphanumeric() || "/_+-:".contains(c))).unwrap_or(text.len());
        let id = &text[..length];
        let fixed =
            [("PST", -8), ("PDT", -7), ("MST", -7), ("MDT", -6), ("CST", -6), ("CDT", -5), ("EST", -5), ("EDT", -4), ("GMT", 0)];
        match fixed.iter().find(|(name, _)| id.eq_ignore_ascii_case(name)) {
            Some((_, hours)) => self.offset = Some(hours * HOUR),
            None => self.zone = Some(Zone::parse(id).ok()?),
        }
        Some(length)
    }

    fn instant(&self, zone: &Zone) -> Option<i64> {
        let days = self.days()?;
        let hour = match (self.hour, self.half_hour, self.afternoon) {
            (Some(hour), ..) => hour,
            (None, half, afternoon) => half.unwrap_or(0) + if afternoon.unwrap_or(false) { 12 } else { 0 },
        };
        let local = days.checked_mul(DAY)?;
        let local = local.checked_add(hour * HOUR + self.minute * MINUTE + self.second * SECOND + self.milli)?;
        Some(match (self.offset, &self.zone) {
            (Some(offset), _) => local.saturating_sub(offset),
            (None, Some(zone)) => zone.to_utc(local),
            (None, None) => zone.to_utc(local),
        })
    }

    fn days(&self) -> Option<i64> {
        let year = match (self.year, self.century) {
            (Some(year), _) if self.era_is_bc => 1 - year,
            (Some(year), _) => year,
            (None, Some(century)) => century.checked_mul(100)?,
            // Joda parses a month and day without a year into 2000, a leap year.
            (None, None) if self.month.is_some() || self.day.is_some() => 2000,
            (None, None) => 1970,
        };
        if !(calendar::YEAR_MIN..=calendar::YEAR_MAX).contains(&year) {
            return None;
        }
        if let Some(day) = self.day_of_year {
            return (day <= 365 || calendar::is_leap(year)).then(|| calendar::days_from_civil(year, 1, 1) + day - 1);
        }
        if self.week_year.is_some() || self.week.is_some() {
            let week_year = self.week_year.unwrap_or(year).clamp(calendar::YEAR_MIN, calendar::YEAR_MAX);
            let start = calendar::first_week_start(week_year);
            let weeks = (calendar::first_week_start(week_year + 1) - start) / 7;
            let week = self.week.unwrap_or(1);
            return (week <= weeks).then(|| start + (week - 1) * 7 + self.day_of_week.unwrap_or(1) - 1);
        }
        let (month, day) = (self.month.unwrap_or(1) as u32, self.day.unwrap_or(1));
        if day > calendar::days_in_month(year, month) as i64 {
            return None;
        }
        let days = calendar::days_from_civil(year, month, day as u32);
        match self.day_of_week {
            // The day of the week is set last and moves inside the week, unless a day of the month was given.
            Some(wanted) if self.day.is_none() => {
                let civil = Civil::from_millis(days * DAY);
                Some(days + wanted - civil.day_of_week() as i64)
            }
            _ => Some(days),
        }
    }
}

/// Two letters mean a two-digit year around now, when there are exactly two digits.
fn read_year(text: &str, count: usize, next_is_number: bool) -> Option<(i64, usize)> {
    let (value, used) = signed_number(text, if next_is_number { count } else { 9 }, !next_is_number)?;
    if count != 2 || used != 2 || value < 0 {
        return Some((value, used));
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_millis() as i64);
    // Joda: the pivot is 30 years ago, and the window 50 years on each side of it.
    let low = Civil::from_millis(now).year - 30 - 50;
    Some((low + (value - low).rem_euclid(100), used))
}
