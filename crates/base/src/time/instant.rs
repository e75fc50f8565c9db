//! Instants as ISO 8601 text: every spelling that Joda's `ISODateTimeFormat.dateOptionalTimeParser` takes, and the
//! canonical `2024-01-01T00:00:00.000Z`.

use serde_json::Value;

use super::calendar::{self, Civil, DAY, HOUR, MINUTE, SECOND};
use super::zone::{Zone, parse_offset, write_offset};
use crate::{DruidError, Result};

/// Parses an ISO instant; without an offset it is UTC.
pub fn parse_instant(text: &str) -> Result<i64> {
    parse_instant_in(text, &Zone::UTC)
}

/// Parses an ISO instant; without an offset it is local time of `zone`.
pub fn parse_instant_in(text: &str, zone: &Zone) -> Result<i64> {
    let bytes = text.as_bytes();
    if let Some(millis) = parse_canonical(bytes) {
        return Ok(millis);
    }
    let mut parser = Parser { text, at: 0 };
    let parsed = parser.instant(b"Tt");
    match parsed {
        Some((local, offset)) if parser.at == bytes.len() => match offset {
            Some(offset) => Ok(local.saturating_sub(offset)),
            None => Ok(zone.to_utc(local)),
        },
        _ => Err(DruidError::invalid_input(malformed(text, parser.at))),
    }
}

/// An instant in JSON: a number of milliseconds or ISO text (`DateTime` through Jackson).
pub fn instant_from_json(value: &Value) -> Result<i64> {
    match value {
        Value::Number(number) => {
            number.as_i64().ok_or_else(|| DruidError::invalid_input(format!("instant is not a whole number: {number}")))
        }
        Value::String(text) => parse_instant(text),
        other => Err(DruidError::invalid_input(format!("instant must be a number or an ISO 8601 string, not {other}"))),
    }
}

/// `2024-01-01T00:00:00.000Z`.
pub fn format_iso(millis: i64) -> String {
    format_iso_in(millis, &Zone::UTC)
}

/// ISO with millis and the offset of `zone`, for example `2024-01-01T00:00:00.000-08:00`.
pub fn format_iso_in(millis: i64, zone: &Zone) -> String {
    let mut out = String::with_capacity(29);
    format_iso_into(millis, zone, &mut out);
    out
}

/// As `format_iso_in`, appended to `out`.
pub fn format_iso_into(millis: i64, zone: &Zone, out: &mut String) {
    let offset = zone.offset_ms(millis);
    let local = millis.saturating_add(offset);
    let civil = Civil::from_millis(local);
    if (0..=9999).contains(&civil.year) {
        let two = |value: u32| [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8];
        let year = civil.year as u32;
        let ([a, b], [c, d]) = (two(year / 100), two(year % 100));
        let (m, dd, h, mi, s) = (two(civil.month), two(civil.day), two(civil.hour), two(civil.minute), two(civil.second));
        let ms = [b'0' + (civil.milli / 100) as u8, b'0' + (civil.milli / 10 % 10) as u8, b'0' + (civil.milli % 10) as u8];
        let text = [
            a, b, c, d, b'-', m[0], m[1], b'-', dd[0], dd[1], b'T', h[0], h[1], b':', mi[0], mi[1], b':', s[0], s[1], b'.',
            ms[0], ms[1], ms[2],
        ];
        out.extend(text.iter().map(|byte| *byte as char));
    } else {
        use std::fmt::Write;
        let (sign, year) = if civil.year < 0 { ("-", -civil.year) } else { ("", civil.year) };
        let _ = write!(
            out,
            "{sign}{year:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}",
            civil.month, civil.day, civil.hour, civil.minute, civil.second, civil.milli
        );
    }
    if offset == 0 {
        out.push('Z');
    } else {
        write_offset(out, offset, true);
    }
}

/// `yyyy-MM-ddTHH:mm:ss.SSSZ` and nothing else, without branches on lengths.
fn parse_canonical(bytes: &[u8]) -> Option<i64> {
    if bytes.len() != 24 {
        return None;
    }
    let punctuation = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (23, b'Z')];
    if punctuation.iter().any(|(at, byte)| bytes[*at] != *byte) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| {
        bytes[range].iter().try_fold(0i64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + (byte - b'0') as i64))
    };
    let (year, month, day) = (number(0..4)?, number(5..7)? as u32, number(8..10)? as u32);
    let (hour, minute, second, milli) = (number(11..13)?, number(14..16)?, number(17..19)?, number(20..23)?);
    let valid = (1..=12).contains(&month) && day >= 1 && hour < 24 && minute < 60 && second < 60;
    if !valid || day > calendar::days_in_month(year, month) {
        return None;
    }
    Some(calendar::days_from_civil(year, month, day) * DAY + hour * HOUR + minute * MINUTE + second * SECOND + milli)
}

fn malformed(text: &str, at: usize) -> String {
    let shown: String = text.chars().take(100).collect();
    match text.get(at..) {
        Some(rest) if at > 0 && !rest.is_empty() => {
            let rest: String = rest.chars().take(100).collect();
            format!("Invalid format: \"{shown}\" is malformed at \"{rest}\"")
        }
        _ => format!("Invalid format: \"{shown}\""),
    }
}

/// A cursor over ISO text. Also used for the `auto` timestamp format, which allows a space for the `T`.
pub(super) struct Parser<'a> {
    pub text: &'a str,
    pub at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Between `min` and `max` digits as a number.
    fn digits(&mut self, min: usize, max: usize) -> Option<i64> {
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().take(max).take_while(|byte| byte.is_ascii_digit()).count();
        if count < min {
            return None;
        }
        let value = rest[..count].iter().fold(0i64, |sum, byte| sum * 10 + (byte - b'0') as i64);
        self.at += count;
        Some(value)
    }

    /// Date, optional time, optional offset: local milliseconds and the offset if one was written.
    pub fn instant(&mut self, separators: &[u8]) -> Option<(i64, Option<i64>)> {
        let days = self.date()?;
        let mut local = days.checked_mul(DAY)?;
        let mut offset = None;
        if self.peek().is_some_and(|byte| separators.contains(&byte)) {
            self.at += 1;
            if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                local = local.checked_add(self.time()?)?;
            }
            offset = self.offset()?;
        }
        Some((local, offset))
    }

    /// `Z`, `+01:00`, or nothing; `None` when it is malformed.
    fn offset(&mut self) -> Option<Option<i64>> {
        match self.peek() {
            Some(b'Z' | b'z') => {
                self.at += 1;
                Some(Some(0))
            }
            Some(b'+' | b'-') => {
                let (offset, used) = parse_offset(&self.text[self.at..])?;
                self.at += used;
                Some(Some(offset))
            }
            _ => Some(None),
        }
    }

    /// `yyyy[-MM[-dd]]`, `yyyy-DDD`, `yyyy-Www[-e]` as a day number.
    fn date(&mut self) -> Option<i64> {
        let negative = match self.peek()? {
            b'-' => true,
            b'+' => false,
            _ => {
                let year = self.digits(1, 9)?;
                return self.after_year(year);
            }
        };
        self.at += 1;
        let year = self.digits(1, 9)?;
        self.after_year(if negative { -year } else { year })
    }

    fn after_year(&mut self, year: i64) -> Option<i64> {
        if !(calendar::YEAR_MIN..=calendar::YEAR_MAX).contains(&year) {
            return None;
        }
        if self.peek() != Some(b'-') {
            return Some(calendar::days_from_civil(year, 1, 1));
        }
        self.at += 1;
        if matches!(self.peek(), Some(b'W' | b'w')) {
            self.at += 1;
            let week = self.digits(1, 2)?;
            let day = if self.take(b'-') { self.digits(1, 1)? } else { 1 };
            let weeks = (calendar::first_week_start(year + 1) - calendar::first_week_start(year)) / 7;
            if !(1..=weeks).contains(&week) || !(1..=7).contains(&day) {
                return None;
            }
            return Some(calendar::first_week_start(year) + (week - 1) * 7 + day - 1);
        }
        let start = self.at;
        let first = self.digits(1, 3)?;
        if self.at - start == 3 {
            let days = if calendar::is_leap(year) { 366 } else { 365 };
            return (1..=days).contains(&first).then(|| calendar::days_from_civil(year, 1, 1) + first - 1);
        }
        if !(1..=12).contains(&first) {
            return None;
        }
        let month = first as u32;
        let day = if self.take(b'-') { self.digits(1, 2)? } else { 1 };
        let valid = day >= 1 && day <= calendar::days_in_month(year, month) as i64;
        valid.then(|| calendar::days_from_civil(year, month, day as u32))
    }

    /// `HH[:mm[:ss]]`, the last part with an optional fraction.
    fn time(&mut self) -> Option<i64> {
        let hour = self.digits(1, 2)?;
        if hour > 23 && !(hour == 24 && self.only_zeros_follow()) {
            return None;
        }
        let mut total = hour * HOUR;
        let mut unit = HOUR;
        for next in [MINUTE, SECOND] {
            if self.peek() != Some(b':') {
                break;
            }
            self.at += 1;
            total += self.digits(1, 2).filter(|value| *value < 60)? * next;
            unit = next;
        }
        if matches!(self.peek(), Some(b'.' | b',')) {
            self.at += 1;
            total += self.fraction(unit)?;
        }
        Some(total)
    }

    /// `24:00:00.000` is the next midnight.
    fn only_zeros_follow(&self) -> bool {
        let rest = &self.text.as_bytes()[self.at..];
        let time = rest.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b':' | b'.'));
        time.into_iter().all(|byte| matches!(byte, b'0' | b':' | b'.'))
    }

    fn fraction(&mut self, unit: i64) -> Option<i64> {
        let start = self.at;
        let (mut value, mut scale) = (0i128, 1i128);
        while let Some(byte) = self.peek().filter(u8::is_ascii_digit) {
            if self.at - start < 15 {
                value = value * 10 + (byte - b'0') as i128;
                scale *= 10;
            }
            self.at += 1;
        }
        (self.at > start).then(|| (value * unit as i128 / scale) as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(format_iso(parse_instant(text).unwrap()), expected, "{text}");
    }

    #[test]
    fn every_spelling_is_read() {
        check("2024-01-01T00:00:00.000Z", "2024-01-01T00:00:00.000Z");
        check("2024-01-01", "2024-01-01T00:00:00.000Z");
        check("2024-01", "2024-01-01T00:00:00.000Z");
        check("2024", "2024-01-01T00:00:00.000Z");
        check("2024-W01", "2024-01-01T00:00:00.000Z");
        check("2024-W52-7", "2024-12-29T00:00:00.000Z");
        check("2024-366", "2024-12-31T00:00:00.000Z");
        check("2024-01-01T10", "2024-01-01T10:00:00.000Z");
        check("2024-01-01T10:30", "2024-01-01T10:30:00.000Z");
        check("2024-01-01T10:30:15.5", "2024-01-01T10:30:15.500Z");
        check("2024-01-01T10:30:15.123456789Z", "2024-01-01T10:30:15.123Z");
        check("2024-01-01T10:30.5", "2024-01-01T10:30:30.000Z");
        check("2024-01-01T00:00-08:00", "2024-01-01T08:00:00.000Z");
        check("2024-01-01T00:00+0530", "2023-12-31T18:30:00.000Z");
        check("2024-01-01TZ", "2024-01-01T00:00:00.000Z");
        check("-0001-02-03", "-0001-02-03T00:00:00.000Z");
        check("12345-01-01", "12345-01-01T00:00:00.000Z");
        check("2024-01-01T24:00", "2024-01-02T00:00:00.000Z");
    }

    #[test]
    fn eternity_is_printed_as_druid_does() {
        check("-146136543-09-08T08:23:32.096Z", "-146136543-09-08T08:23:32.096Z");
        assert_eq!(format_iso(i64::MIN / 2), "-146136543-09-08T08:23:32.096Z");
        assert_eq!(format_iso(i64::MAX / 2), "146140482-04-24T15:36:27.903Z");
        assert_eq!(parse_instant("146140482-04-24T15:36:27.903Z").unwrap(), i64::MAX / 2);
    }

    #[test]
    fn nonsense_is_refused_without_panic() {
        for text in [
            "",
            "x",
            "2024-13",
            "2024-02-30",
            "2024-01-01 00:00",
            "2024-W60",
            "2024-01-01T25",
            "é",
            "2024-01-01Té",
            "2024-é",
            "2024-01-01T00:00:00+",
            "999999999999",
            "2024-01-01T00:00:00.Z",
            "-",
            "+",
            "2024-000",
        ] {
            assert!(parse_instant(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_zone_prints_its_offset() {
        let zone = Zone::parse("America/Los_Angeles").unwrap();
        assert_eq!(format_iso_in(1_704_067_200_000, &zone), "2023-12-31T16:00:00.000-08:00");
        assert_eq!(parse_instant_in("2024-07-01", &zone).unwrap(), parse_instant("2024-07-01T07:00Z").unwrap());
    }
}
