//! Time zones (Joda's `DateTimeZone`): UTC, fixed offsets such as `-08:00`, and names of the bundled tz database.

use std::fmt;
use std::hash::{Hash, Hasher};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::calendar::Civil;
use crate::{DruidError, Result};

/// A time zone with the id it was asked for.
#[derive(Clone)]
pub struct Zone {
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Utc,
    Fixed(i64),
    Named(TimeZone, String),
}

/// Java's old three-letter ids, which Druid's `DateTimes.inferTzFromString` falls back to.
const OLD_IDS: &[(&str, &str)] = &[
    ("ACT", "Australia/Darwin"),
    ("AET", "Australia/Sydney"),
    ("AGT", "America/Argentina/Buenos_Aires"),
    ("ART", "Africa/Cairo"),
    ("AST", "America/Anchorage"),
    ("BET", "America/Sao_Paulo"),
    ("BST", "Asia/Dhaka"),
    ("CAT", "Africa/Harare"),
    ("CNT", "America/St_Johns"),
    ("CST", "America/Chicago"),
    ("CTT", "Asia/Shanghai"),
    ("EAT", "Africa/Addis_Ababa"),
    ("ECT", "Europe/Paris"),
    ("EDT", "America/New_York"),
    ("IET", "America/Indiana/Indianapolis"),
    ("IST", "Asia/Kolkata"),
    ("JST", "Asia/Tokyo"),
    ("MIT", "Pacific/Apia"),
    ("NET", "Asia/Yerevan"),
    ("NST", "Pacific/Auckland"),
    ("PDT", "America/Los_Angeles"),
    ("PLT", "Asia/Karachi"),
    ("PNT", "America/Phoenix"),
    ("PRT", "America/Puerto_Rico"),
    ("PST", "America/Los_Angeles"),
    ("SST", "Pacific/Guadalcanal"),
    ("VST", "Asia/Ho_Chi_Minh"),
];

impl Zone {
    pub const UTC: Zone = Zone { kind: Kind::Utc };

    /// Parses a zone id: `UTC`, `Z`, `America/Los_Angeles`, `+05:30`, `-0800`.
    pub fn parse(id: &str) -> Result<Zone> {
        if matches!(id, "UTC" | "Z" | "z") {
            return Ok(Zone::UTC);
        }
        if id.starts_with(['+', '-']) {
            let offset = parse_offset(id).filter(|(_, used)| *used == id.len()).map(|(offset, _)| offset);
            return match offset {
                Some(offset) => Ok(Zone::fixed(offset)),
                None => Err(unknown(id)),
            };
        }
        let name = OLD_IDS.iter().find(|(old, _)| *old == id).map_or(id, |(_, name)| *name);
        let zone = TimeZone::get(name).map_err(|_| unknown(id))?;
        Ok(Zone { kind: Kind::Named(zone, id.to_owned()) })
    }

    /// A zone of constant offset in milliseconds; 0 is UTC.
    pub fn fixed(offset_ms: i64) -> Zone {
        let offset_ms = offset_ms.clamp(-86_399_999, 86_399_999);
        Zone { kind: if offset_ms == 0 { Kind::Utc } else { Kind::Fixed(offset_ms) } }
    }

    /// The id that `parse` takes back.
    pub fn id(&self) -> String {
        match &self.kind {
            Kind::Utc => "UTC".to_owned(),
            Kind::Fixed(offset) => {
                let mut text = String::new();
                write_offset(&mut text, *offset, true);
                text
            }
            Kind::Named(_, id) => id.clone(),
        }
    }

    /// True when local time is UTC at all times.
    pub fn is_utc(&self) -> bool {
        match &self.kind {
            Kind::Utc => true,
            Kind::Fixed(_) => false,
            Kind::Named(_, id) => matches!(id.as_str(), "Etc/UTC" | "GMT" | "Etc/GMT" | "Zulu" | "Etc/Zulu" | "UCT" | "Etc/UCT"),
        }
    }

    /// The offset when it never changes.
    pub fn fixed_offset_ms(&self) -> Option<i64> {
        match &self.kind {
            Kind::Utc => Some(0),
            Kind::Fixed(offset) => Some(*offset),
            Kind::Named(..) => self.is_utc().then_some(0),
        }
    }

    /// What to add to UTC to get local time, at an instant.
    pub fn offset_ms(&self, millis: i64) -> i64 {
        match &self.kind {
            Kind::Utc => 0,
            Kind::Fixed(offset) => *offset,
            Kind::Named(zone, _) => zone.to_offset(timestamp(millis)).seconds() as i64 * 1_000,
        }
    }

    /// Local milliseconds of an instant.
    pub fn to_local(&self, millis: i64) -> i64 {
        millis.saturating_add(self.offset_ms(millis))
    }

    /// The instant of a local time: in a gap the clock is moved forward, of two the earlier is taken.
    pub fn to_utc(&self, local: i64) -> i64 {
        match &self.kind {
            Kind::Utc => local,
            Kind::Fixed(offset) => local.saturating_sub(*offset),
            Kind::Named(zone, _) => {
                let civil = Civil::from_millis(local);
                // Years that jiff does not know have the offset of its last ones.
                let date_time = i16::try_from(civil.year).ok().filter(|year| (-9998..=9998).contains(year)).and_then(|year| {
                    let (month, day, hour) = (civil.month as i8, civil.day as i8, civil.hour as i8);
                    DateTime::new(year, month, day, hour, civil.minute as i8, civil.second as i8, 0).ok()
                });
                let offset = match date_time.map(|date_time| zone.to_ambiguous_timestamp(date_time).offset()) {
                    Some(AmbiguousOffset::Unambiguous { offset }) => offset,
                    Some(AmbiguousOffset::Gap { before, .. } | AmbiguousOffset::Fold { before, .. }) => before,
                    None => zone.to_offset(timestamp(local)),
                };
                local.saturating_sub(offset.seconds() as i64 * 1_000)
            }
        }
    }

    /// As `to_utc`, but keeps the offset of `near` where that is possible, as Joda's rounding does.
    pub fn to_utc_near(&self, local: i64, near: i64) -> i64 {
        let offset = self.offset_ms(near);
        let guess = local.saturating_sub(offset);
        if self.offset_ms(guess) == offset { guess } else { self.to_utc(local) }
    }

    /// The abbreviation in force at an instant, such as `PST` or `UTC`.
    pub fn abbreviation(&self, millis: i64) -> String {
        match &self.kind {
            Kind::Utc | Kind::Fixed(_) => self.id(),
            Kind::Named(zone, _) => zone.to_offset_info(timestamp(millis)).abbreviation().to_owned(),
        }
    }
}

fn unknown(id: &str) -> DruidError {
    DruidError::invalid_input(format!("The datetime zone id '{id}' is not recognised"))
}

fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(if millis < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// Reads `+HH[:mm[:ss[.SSS]]]` or `+HHmm[ss]` at the start of a text: milliseconds and bytes used.
pub(crate) fn parse_offset(text: &str) -> Option<(i64, usize)> {
    let bytes = text.as_bytes();
    let sign = match bytes.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let two = |at: usize| -> Option<i64> {
        let pair = bytes.get(at..at + 2)?;
        pair.iter().all(u8::is_ascii_digit).then(|| (pair[0] - b'0') as i64 * 10 + (pair[1] - b'0') as i64)
    };
    let mut total = two(1).filter(|hours| *hours <= 23)? * 3_600_000;
    let mut at = 3;
    let colon = bytes.get(at) == Some(&b':');
    for unit in [60_000, 1_000] {
        let start = if colon {
            if bytes.get(at) != Some(&b':') {
                break;
            }
            at + 1
        } else {
            at
        };
        match two(start) {
            Some(value) if value <= 59 => total += value * unit,
            Some(_) => return None,
            None if colon => return None,
            None => break,
        }
        at = start + 2;
    }
    Some((sign * total, at))
}

/// Writes `+05:30` or `+0530`, with seconds and milliseconds when there are any.
pub(crate) fn write_offset(out: &mut String, offset_ms: i64, colon: bool) {
    use fmt::Write;
    let (sign, rest) = if offset_ms < 0 { ('-', -offset_ms) } else { ('+', offset_ms) };
    let separator = if colon { ":" } else { "" };
    let _ = write!(out, "{sign}{:02}{separator}{:02}", rest / 3_600_000, rest / 60_000 % 60);
    if rest % 60_000 != 0 {
        let _ = write!(out, "{separator}{:02}", rest / 1_000 % 60);
        if rest % 1_000 != 0 {
            let _ = write!(out, ".{:03}", rest % 1_000);
        }
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Zone) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Zone {}

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl Default for Zone {
    fn default() -> Zone {
        Zone::UTC
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.id())
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id())
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.id())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Zone, D::Error> {
        Zone::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_offsets() {
        assert_eq!(Zone::parse("-08:00").unwrap().id(), "-08:00");
        assert_eq!(Zone::parse("+0530").unwrap().offset_ms(0), 19_800_000);
        assert_eq!(Zone::parse("+00:00").unwrap(), Zone::UTC);
        assert_eq!(Zone::parse("America/Los_Angeles").unwrap().offset_ms(1_704_067_200_000), -28_800_000);
        assert!(Zone::parse("Mars/Olympus").is_err());
        assert!(Zone::parse("+99:00").is_err());
    }

    #[test]
    fn local_times_in_a_gap_move_forward() {
        let zone = Zone::parse("America/Los_Angeles").unwrap();
        // 2024-03-10T02:30 does not exist there; it is 03:30 PDT = 10:30Z.
        let local = super::super::parse_instant("2024-03-10T02:30").unwrap();
        assert_eq!(super::super::format_iso(zone.to_utc(local)), "2024-03-10T10:30:00.000Z");
        zone.to_utc(i64::MIN);
        zone.to_utc(i64::MAX);
    }
}
