//! The `format` of a `timestampSpec` (Druid's `TimestampParser`): `auto`, `iso`, `posix`, `millis`, `micro`, `nano`,
//! `ruby`, or a Joda pattern.

use super::instant::Parser;
use super::{DateTimePattern, Zone, parse_instant};
use crate::{DruidError, Result};

/// How text and numbers of a timestamp column become instants.
#[derive(Debug, Clone)]
pub enum TimestampFormat {
    Auto,
    Iso,
    Posix,
    Millis,
    Micro,
    Nano,
    Ruby,
    Pattern(DateTimePattern),
}

impl TimestampFormat {
    /// Parses the name of a format or a Joda pattern.
    pub fn parse(format: &str) -> Result<TimestampFormat> {
        Ok(match format.to_ascii_lowercase().as_str() {
            "auto" => TimestampFormat::Auto,
            "iso" => TimestampFormat::Iso,
            "posix" => TimestampFormat::Posix,
            "millis" => TimestampFormat::Millis,
            "micro" => TimestampFormat::Micro,
            "nano" => TimestampFormat::Nano,
            "ruby" => TimestampFormat::Ruby,
            _ => TimestampFormat::Pattern(DateTimePattern::parse(format)?),
        })
    }

    /// The instant that a text means.
    pub fn instant_of_text(&self, text: &str) -> Result<i64> {
        let text = strip_quotes(text);
        match self {
            TimestampFormat::Auto => parse_auto(text),
            TimestampFormat::Iso => parse_instant(text),
            TimestampFormat::Pattern(pattern) => pattern.parse_text(text, &Zone::UTC),
            TimestampFormat::Ruby => {
                let seconds: f64 = text.parse().map_err(|_| not_a_number(text))?;
                Ok((seconds * 1_000.0) as i64)
            }
            TimestampFormat::Posix | TimestampFormat::Millis | TimestampFormat::Micro | TimestampFormat::Nano => {
                Ok(self.instant_of_long(text.parse().map_err(|_| not_a_number(text))?))
            }
        }
    }

    /// The instant that a whole number means; patterns read it as text.
    pub fn instant_of_number(&self, number: i64) -> Result<i64> {
        match self {
            TimestampFormat::Pattern(_) | TimestampFormat::Iso => self.instant_of_text(&number.to_string()),
            _ => Ok(self.instant_of_long(number)),
        }
    }

    /// The instant that a floating-point number means.
    pub fn instant_of_double(&self, number: f64) -> Result<i64> {
        match self {
            TimestampFormat::Ruby => Ok((number * 1_000.0) as i64),
            _ => self.instant_of_number(number as i64),
        }
    }

    fn instant_of_long(&self, number: i64) -> i64 {
        match self {
            TimestampFormat::Posix | TimestampFormat::Ruby => number.saturating_mul(1_000),
            TimestampFormat::Micro => number / 1_000,
            TimestampFormat::Nano => number / 1_000_000,
            _ => number,
        }
    }
}

fn not_a_number(text: &str) -> DruidError {
    DruidError::invalid_input(format!("For input string: \"{}\"", text.chars().take(100).collect::<String>()))
}

fn strip_quotes(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).map_or(text, str::trim)
}

/// Milliseconds when it is all digits; else ISO with `T` or blank, an optional offset, `Z` or a zone name after a blank.
fn parse_auto(text: &str) -> Result<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map_err(|_| not_a_number(text));
    }
    let bad = || DruidError::invalid_input(format!("Invalid format: \"{}\"", text.chars().take(100).collect::<String>()));
    let mut parser = Parser { text, at: 0 };
    let (local, offset) = parser.instant(b"Tt ").ok_or_else(bad)?;
    let rest = text[parser.at..].trim();
    match offset {
        Some(offset) if rest.is_empty() => Ok(local.saturating_sub(offset)),
        Some(_) => Err(bad()),
        None if rest.is_empty() => Ok(local),
        None => Zone::parse(rest).map(|zone| zone.to_utc(local)).map_err(|_| bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::format_iso;
    use super::*;

    fn check(format: &str, text: &str, expected: &str) {
        let instant = TimestampFormat::parse(format).unwrap().instant_of_text(text).unwrap();
        assert_eq!(format_iso(instant), expected, "{format} {text}");
    }

    #[test]
    fn all_formats() {
        let expected = "2024-01-02T03:04:05.000Z";
        check("auto", "1704164645000", expected);
        check("auto", "2024-01-02 03:04:05", expected);
        check("auto", "\"2024-01-02T03:04:05Z\"", expected);
        check("auto", "2024-01-02 03:04:05 UTC", expected);
        check("auto", "2024-01-01 19:04:05 America/Los_Angeles", expected);
        check("auto", "2024-01-01 19:04:05-08:00", expected);
        check("auto", "2024-01-02 03:04:05.000000", expected);
        check("iso", "2024-01-02T03:04:05", expected);
        check("posix", "1704164645", expected);
        check("micro", "1704164645000000", expected);
        check("nano", "1704164645000000000", expected);
        check("ruby", "1704164645.000", expected);
        check("yyyy/MM/dd HH-mm-ss", "2024/01/02 03-04-05", expected);
        for bad in ["", "x", "2024-01-02 x", "--"] {
            assert!(TimestampFormat::Auto.instant_of_text(bad).is_err(), "{bad}");
        }
    }
}
