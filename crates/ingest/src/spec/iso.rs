//! Instants and intervals as Druid writes them in JSON.

use ovate_base::time::{format_iso, parse_instant as parse};
use ovate_base::{Interval, Result};

/// `2024-01-01T00:00:00.000Z`.
pub fn instant(millis: i64) -> String {
    format_iso(millis)
}

/// `start/end`.
pub fn interval(interval: &Interval) -> String {
    interval.to_string()
}

/// Reads an ISO instant.
pub fn parse_instant(text: &str) -> Result<i64> {
    parse(text)
}

/// Reads an ISO interval.
pub fn parse_interval(text: &str) -> Result<Interval> {
    Interval::parse(text)
}
