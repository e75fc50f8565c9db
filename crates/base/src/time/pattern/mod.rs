//! Joda's `DateTimeFormat` patterns, such as `yyyy-MM-dd'T'HH:mm:ss.SSSZ`: compiled once, then used to parse and to
//! format. Texts are English. Callers: `timestampSpec`, `timeFormat` extraction, `timestamp_format`, `TIME_PARSE`.

mod format;
mod parse;

use crate::{DruidError, Result};

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct DateTimePattern {
    pattern: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Literal(String),
    /// A pattern letter and how often it stands.
    Field(Field, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Era,
    Century,
    YearOfEra,
    Year,
    WeekYear,
    Week,
    DayOfWeek,
    DayOfWeekText,
    DayOfYear,
    Month,
    DayOfMonth,
    HalfDay,
    /// K, 0 to 11.
    HourOfHalfDay,
    /// h, 1 to 12.
    ClockHourOfHalfDay,
    /// H, 0 to 23.
    Hour,
    /// k, 1 to 24.
    ClockHour,
    Minute,
    Second,
    Fraction,
    ZoneName,
    Offset,
}

impl Field {
    fn of(letter: char) -> Option<Field> {
        Some(match letter {
            'G' => Field::Era,
            'C' => Field::Century,
            'Y' => Field::YearOfEra,
            'y' => Field::Year,
            'x' => Field::WeekYear,
            'w' => Field::Week,
            'e' => Field::DayOfWeek,
            'E' => Field::DayOfWeekText,
            'D' => Field::DayOfYear,
            'M' => Field::Month,
            'd' => Field::DayOfMonth,
            'a' => Field::HalfDay,
            'K' => Field::HourOfHalfDay,
            'h' => Field::ClockHourOfHalfDay,
            'H' => Field::Hour,
            'k' => Field::ClockHour,
            'm' => Field::Minute,
            's' => Field::Second,
            'S' => Field::Fraction,
            'z' => Field::ZoneName,
            'Z' => Field::Offset,
            _ => return None,
        })
    }

    /// True when digits are read for the field, so that a number before it must not swallow them.
    fn is_numeric(self, count: usize) -> bool {
        match self {
            Field::Era | Field::DayOfWeekText | Field::HalfDay | Field::ZoneName | Field::Offset => false,
            Field::Month => count <= 2,
            _ => true,
        }
    }
}

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Longest pattern taken, to bound the work on text from outside.
const PATTERN_BYTES_MAX: usize = 10_000;

impl DateTimePattern {
    /// Compiles a pattern; refuses letters that Joda does not know.
    pub fn parse(pattern: &str) -> Result<DateTimePattern> {
        if pattern.is_empty() || pattern.len() > PATTERN_BYTES_MAX {
            return Err(DruidError::invalid_input("Invalid pattern specification"));
        }
        let chars: Vec<char> = pattern.chars().collect();
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut at = 0;
        while at < chars.len() {
            let c = chars[at];
            if c.is_ascii_alphabetic() {
                let count = chars[at..].iter().take_while(|next| **next == c).count();
                let field = Field::of(c).ok_or_else(|| DruidError::invalid_input(format!("Illegal pattern component: {c}")))?;
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(Part::Field(field, count));
                at += count;
            } else if c == '\'' {
                at = quoted(&chars, at, &mut literal);
            } else {
                literal.push(c);
                at += 1;
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(DateTimePattern { pattern: pattern.to_owned(), parts })
    }

    /// The text it was compiled from.
    pub fn as_str(&self) -> &str {
        &self.pattern
    }
}

/// Reads a quoted literal (`''` is a quote) that starts at `at`; gives the place after it.
fn quoted(chars: &[char], at: usize, literal: &mut String) -> usize {
    if chars.get(at + 1) == Some(&'\'') {
        literal.push('\'');
        return at + 2;
    }
    let mut at = at + 1;
    while let Some(c) = chars.get(at) {
        if *c != '\'' {
            literal.push(*c);
            at += 1;
        } else if chars.get(at + 1) == Some(&'\'') {
            literal.push('\'');
            at += 2;
        } else {
            return at + 1;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::super::{Zone, format_iso, parse_instant};
    use super::*;

    fn format(pattern: &str, instant: &str) -> String {
        DateTimePattern::parse(pattern).unwrap().format(parse_instant(instant).unwrap(), &Zone::UTC)
    }

    fn parse(pattern: &str, text: &str) -> Option<String> {
        DateTimePattern::parse(pattern).unwrap().parse_text(text, &Zone::UTC).ok().map(format_iso)
    }

    #[test]
    fn fields_are_formatted() {
        let instant = "2024-01-07T15:04:05.678";
        assert_eq!(format("yyyy-MM-dd'T'HH:mm:ss.SSSZZ", instant), "2024-01-07T15:04:05.678+00:00");
        assert_eq!(format("yy M d H:m:s SS", instant), "24 1 7 15:4:5 67");
        assert_eq!(format("EEE, EEEE dd MMM MMMM yyyy", instant), "Sun, Sunday 07 Jan January 2024");
        assert_eq!(format("hh:mm a K k G C", instant), "03:04 PM 3 15 AD 20");
        assert_eq!(format("xxxx-'W'ww-e D", instant), "2024-W01-7 7");
        assert_eq!(format("''yyyy 'o''clock'", instant), "'2024 o'clock");
        assert_eq!(format("yyyy Z z", instant), "2024 +0000 UTC");
        assert_eq!(format("SSSSSS", instant), "678000");
        assert!(DateTimePattern::parse("bogus").is_err());
        assert!(DateTimePattern::parse("").is_err());
    }

    #[test]
    fn text_is_parsed() {
        let day = Some("2024-01-07T00:00:00.000Z".to_owned());
        assert_eq!(parse("yyyy-MM-dd", "2024-01-07"), day);
        assert_eq!(parse("yyyyMMdd", "20240107"), day);
        assert_eq!(parse("M/d/yy", "1/7/24"), day);
        assert_eq!(parse("dd MMM yyyy", "07 jan 2024"), day);
        assert_eq!(parse("EEEE, MMMM d, yyyy", "Sunday, January 7, 2024"), day);
        assert_eq!(parse("xxxx-'W'ww-e", "2024-W01-7"), day);
        assert_eq!(parse("yyyy-DDD", "2024-007"), day);
        assert_eq!(parse("yyyy-MM-dd HH:mm:ss Z", "2024-01-07 01:00:00 +0100"), day);
        assert_eq!(parse("yyyy-MM-dd hh:mm a", "2024-01-07 12:00 AM"), day);
        assert_eq!(parse("yyyy-MM-dd HH:mm z", "2024-01-06 16:00 PST"), day);
        assert_eq!(parse("yyyy-MM-dd HH:mm ZZZ", "2024-01-06 16:00 America/Los_Angeles"), day);
        assert_eq!(parse("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", "2024-01-07T00:00:00.5Z"), Some("2024-01-07T00:00:00.500Z".to_owned()));
        for (pattern, text) in [
            ("yyyy-MM-dd", "2024-13-01"),
            ("yyyy-MM-dd", "2024-02-30"),
            ("yyyy", "x"),
            ("yyyy", "2024 "),
            ("HH", "24"),
            ("dd", "é"),
            ("MMM", "Foo"),
            ("EEE yyyy", "Xyz 2024"),
        ] {
            assert_eq!(parse(pattern, text), None, "{pattern} {text}");
        }
    }
}
