//! Instants and intervals as Druid writes them in JSON: ISO text in UTC with milliseconds.

use ovate_base::{DruidError, Interval, Result};

/// `2024-01-01T00:00:00.000Z`; instants that jiff cannot hold (eternity) are written as Joda does.
pub fn instant(millis: i64) -> String {
    match jiff::Timestamp::from_millisecond(millis) {
        Ok(at) => jiff::fmt::strtime::format("%Y-%m-%dT%H:%M:%S.%3fZ", at).unwrap_or_else(|_| format!("{at:.3}")),
        Err(_) if millis == Interval::ETERNITY.start => "-146136543-09-08T08:23:32.096Z".to_owned(),
        Err(_) if millis == Interval::ETERNITY.end => "146140482-04-24T15:36:27.903Z".to_owned(),
        Err(_) => format!("{millis}"),
    }
}

/// `start/end`.
pub fn interval(interval: &Interval) -> String {
    format!("{}/{}", instant(interval.start), instant(interval.end))
}

/// Reads an ISO date or date-time; UTC where it names no zone.
pub fn parse_instant(text: &str) -> Result<i64> {
    if text == "-146136543-09-08T08:23:32.096Z" {
        return Ok(Interval::ETERNITY.start);
    }
    if text == "146140482-04-24T15:36:27.903Z" {
        return Ok(Interval::ETERNITY.end);
    }
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(at.as_millisecond());
    }
    let local = text.parse::<jiff::civil::DateTime>().ok();
    let zoned = local.and_then(|local| local.to_zoned(jiff::tz::TimeZone::UTC).ok());
    zoned
        .map(|z| z.timestamp().as_millisecond())
        .ok_or_else(|| DruidError::invalid_input(format!("not an ISO date-time: [{text}]")))
}

/// Reads `start/end`.
pub fn parse_interval(text: &str) -> Result<Interval> {
    let invalid = || DruidError::invalid_input(format!("not an interval: [{text}]"));
    let (start, end) = text.split_once('/').ok_or_else(invalid)?;
    let (start, end) = (parse_instant(start)?, parse_instant(end)?);
    if start > end { Err(invalid()) } else { Ok(Interval { start, end }) }
}
