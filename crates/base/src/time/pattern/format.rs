//! Writing an instant by a pattern.

use std::fmt::Write;

use super::{DateTimePattern, Field, MONTHS, Part, WEEKDAYS};
use crate::time::calendar::Civil;
use crate::time::zone::{Zone, write_offset};

impl DateTimePattern {
    /// The text of an instant in a zone.
    pub fn format(&self, millis: i64, zone: &Zone) -> String {
        let mut out = String::with_capacity(self.pattern.len() + 8);
        self.format_into(millis, zone, &mut out);
        out
    }

    /// As `format`, appended to `out`.
    pub fn format_into(&self, millis: i64, zone: &Zone, out: &mut String) {
        let offset = zone.offset_ms(millis);
        let civil = Civil::from_millis(millis.saturating_add(offset));
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Field(field, count) => write_field(out, *field, *count, &civil, offset, millis, zone),
            }
        }
    }
}

fn write_field(out: &mut String, field: Field, count: usize, civil: &Civil, offset: i64, millis: i64, zone: &Zone) {
    let year_of_era = if civil.year > 0 { civil.year } else { 1 - civil.year };
    match field {
        Field::Era => out.push_str(if civil.year > 0 { "AD" } else { "BC" }),
        Field::Century => number(out, year_of_era / 100, count),
        Field::YearOfEra if count == 2 => number(out, year_of_era % 100, 2),
        Field::YearOfEra => number(out, year_of_era, count),
        Field::Year if count == 2 => number(out, civil.year.rem_euclid(100), 2),
        Field::Year => number(out, civil.year, count),
        Field::WeekYear if count == 2 => number(out, civil.week().0.rem_euclid(100), 2),
        Field::WeekYear => number(out, civil.week().0, count),
        Field::Week => number(out, civil.week().1 as i64, count),
        Field::DayOfWeek => number(out, civil.day_of_week() as i64, count),
        Field::DayOfWeekText => text(out, WEEKDAYS[civil.day_of_week() as usize - 1], count),
        Field::DayOfYear => number(out, civil.day_of_year() as i64, count),
        Field::Month if count >= 3 => text(out, MONTHS[civil.month as usize - 1], count),
        Field::Month => number(out, civil.month as i64, count),
        Field::DayOfMonth => number(out, civil.day as i64, count),
        Field::HalfDay => out.push_str(if civil.hour < 12 { "AM" } else { "PM" }),
        Field::HourOfHalfDay => number(out, (civil.hour % 12) as i64, count),
        Field::ClockHourOfHalfDay => number(out, ((civil.hour + 11) % 12 + 1) as i64, count),
        Field::Hour => number(out, civil.hour as i64, count),
        Field::ClockHour => number(out, if civil.hour == 0 { 24 } else { civil.hour as i64 }, count),
        Field::Minute => number(out, civil.minute as i64, count),
        Field::Second => number(out, civil.second as i64, count),
        Field::Fraction => {
            let digits = format!("{:03}", civil.milli);
            out.extend(digits.chars().chain(std::iter::repeat('0')).take(count));
        }
        Field::ZoneName => out.push_str(&zone.abbreviation(millis)),
        Field::Offset => match count {
            1 => write_offset(out, offset, false),
            2 => write_offset(out, offset, true),
            _ => out.push_str(&zone.id()),
        },
    }
}

/// Pads to `width` digits; the sign comes first.
fn number(out: &mut String, value: i64, width: usize) {
    if value < 0 {
        out.push('-');
    }
    let _ = write!(out, "{:0width$}", value.unsigned_abs());
}

fn text(out: &mut String, name: &str, count: usize) {
    out.push_str(if count >= 4 { name } else { &name[..3] });
}
