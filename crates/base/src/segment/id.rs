//! Segment ids (Druid's `SegmentId`): `<dataSource>_<start>_<end>_<version>[_<partition>]`. A data source may hold `_`,
//! so an id alone is ambiguous; parsing wants the data source, and `possible_parsings` gives every reading.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Interval;
use crate::time::parse_instant;
use crate::{DruidError, Result};

/// Identity of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentId {
    pub data_source: Arc<str>,
    pub interval: Interval,
    pub version: Arc<str>,
    pub partition: i32,
}

/// A segment of a data source that is known from elsewhere (`SegmentDescriptor`), as the query protocol sends it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SegmentDescriptor {
    #[serde(rename = "itvl")]
    pub interval: Interval,
    #[serde(rename = "ver")]
    pub version: Arc<str>,
    #[serde(rename = "part")]
    pub partition: i32,
}

impl SegmentId {
    pub fn new(data_source: impl Into<Arc<str>>, interval: Interval, version: impl Into<Arc<str>>, partition: i32) -> SegmentId {
        SegmentId { data_source: data_source.into(), interval, version: version.into(), partition }
    }

    /// Parses an id of a known data source (`SegmentId.tryParse`).
    pub fn parse(data_source: &str, id: &str) -> Option<SegmentId> {
        let rest = id.strip_prefix(data_source)?.strip_prefix('_')?;
        let mut parts = rest.splitn(3, '_');
        let (start, end, tail) = (parts.next()?, parts.next()?, parts.next()?);
        let interval = Interval::new(parse_instant(start).ok()?, parse_instant(end).ok()?).ok()?;
        let (version, partition) = match tail.rsplit_once('_') {
            Some((version, number)) if is_partition(number) => (version, number.parse().ok()?),
            _ => (tail, 0),
        };
        Some(SegmentId::new(data_source, interval, version, partition))
    }

    /// Every reading of an id whose data source is not known (`SegmentId.iterateAllPossibleParsings`).
    pub fn possible_parsings(id: &str) -> Vec<SegmentId> {
        let splits = id.match_indices('_').map(|(at, _)| at).filter(|at| *at > 0);
        splits.filter_map(|at| SegmentId::parse(&id[..at], id)).collect()
    }

    /// The first reading of an id, or an error that shows it.
    pub fn parse_any(id: &str) -> Result<SegmentId> {
        SegmentId::possible_parsings(id).into_iter().next().ok_or_else(|| {
            DruidError::invalid_input(format!("Unparseable segment id[{}]", id.chars().take(200).collect::<String>()))
        })
    }

    pub fn descriptor(&self) -> SegmentDescriptor {
        SegmentDescriptor { interval: self.interval, version: self.version.clone(), partition: self.partition }
    }
}

impl SegmentDescriptor {
    /// Reads `{"itvl": …, "ver": …, "part": …}`; the error names what is missing.
    pub fn from_json(value: &serde_json::Value) -> Result<Self> {
        Self::deserialize(value).map_err(|e| DruidError::invalid_input(format!("not a segment descriptor: {e}")))
    }

    /// The document that `from_json` reads back.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({"itvl": self.interval, "ver": self.version, "part": self.partition})
    }

    pub fn id(&self, data_source: impl Into<Arc<str>>) -> SegmentId {
        SegmentId::new(data_source, self.interval, self.version.clone(), self.partition)
    }
}

/// A positive decimal number without leading zeros; partition 0 is never written.
fn is_partition(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<i32>().is_ok()
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interval = self.interval.to_string().replace('/', "_");
        write!(f, "{}_{interval}_{}", self.data_source, self.version)?;
        if self.partition != 0 {
            write!(f, "_{}", self.partition)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partition_zero_is_not_written() {
        let day = Interval::parse("2024-01-01/P1D").unwrap();
        let id = SegmentId::new("a_b", day, "v1", 0);
        assert_eq!(id.to_string(), "a_b_2024-01-01T00:00:00.000Z_2024-01-02T00:00:00.000Z_v1");
        assert_eq!(SegmentId::new("a_b", day, "v1", 12).to_string(), format!("{id}_12"));
    }

    #[test]
    fn ids_are_parsed_back() {
        let day = Interval::parse("2024-01-01/P1D").unwrap();
        for id in [
            SegmentId::new("a_b", day, "2024-02-01T10:00:00.000Z", 0),
            SegmentId::new("a_b", day, "v_x", 3),
            SegmentId::new("a", Interval::ETERNITY, "v", 0),
        ] {
            assert_eq!(SegmentId::parse(&id.data_source, &id.to_string()).as_ref(), Some(&id));
            assert_eq!(SegmentId::parse_any(&id.to_string()).unwrap(), id);
        }
        for text in ["", "_", "a_b", "a_b_c_d", "wiki_2024_2023_v"] {
            assert!(SegmentId::parse_any(text).is_err(), "{text}");
        }
    }

    #[test]
    fn descriptors_have_short_names() {
        let id = SegmentId::new("a", Interval::parse("2024-01-01/P1D").unwrap(), "v", 2);
        let json = serde_json::to_string(&id.descriptor()).unwrap();
        assert_eq!(json, r#"{"itvl":"2024-01-01T00:00:00.000Z/2024-01-02T00:00:00.000Z","ver":"v","part":2}"#);
        assert_eq!(serde_json::from_str::<SegmentDescriptor>(&json).unwrap().id("a"), id);
    }
}
