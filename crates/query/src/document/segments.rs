//! `intervals` of a query (`QuerySegmentSpec`): intervals, or the segments that a broker asks a server for.

use ovate_base::{DruidError, Interval, Result, SegmentDescriptor};
use serde_json::{Value, json};

use super::fields::Fields;

/// Intervals, condensed and ascending; with `segments` when exactly these are asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct QuerySegments {
    pub intervals: Vec<Interval>,
    pub segments: Option<Vec<SegmentDescriptor>>,
}

impl QuerySegments {
    /// All of time.
    pub fn eternity() -> Self {
        QuerySegments { intervals: vec![Interval::ETERNITY], segments: None }
    }

    /// These intervals.
    pub fn of(intervals: Vec<Interval>) -> Self {
        QuerySegments { intervals: Interval::condense(&intervals), segments: None }
    }

    /// Exactly these segments.
    pub fn specific(segments: Vec<SegmentDescriptor>) -> Self {
        QuerySegments {
            intervals: Interval::condense(&segments.iter().map(|s| s.interval).collect::<Vec<_>>()),
            segments: Some(segments),
        }
    }

    /// A text, a list of texts, or an object of type `intervals` or `segments`.
    pub fn from_json(value: &Value) -> Result<Self> {
        let parse = |text: &str| Interval::parse(text);
        match value {
            Value::String(text) => Ok(Self::of(text.split(',').map(|t| parse(t.trim())).collect::<Result<_>>()?)),
            Value::Array(items) => {
                let one = |item: &Value| match item {
                    Value::String(text) => parse(text),
                    _ => Err(DruidError::invalid_input("an interval must be a string")),
                };
                Ok(Self::of(items.iter().map(one).collect::<Result<_>>()?))
            }
            Value::Object(_) => Self::from_object(&Fields::new(value, "intervals")?),
            _ => Err(DruidError::invalid_input("intervals must be a string, a list or an object")),
        }
    }

    fn from_object(fields: &Fields<'_>) -> Result<Self> {
        match fields.str("type")?.as_str() {
            "intervals" | "interval" | "LegacySegmentSpec" => Self::from_json(fields.required("intervals")?),
            "segments" => Ok(Self::specific(fields.parsed("segments", SegmentDescriptor::from_json)?)),
            other => Err(super::fields::unknown_type("intervals", other, &["intervals", "segments"])),
        }
    }

    /// The document that `from_json` reads back.
    pub fn to_json(&self) -> Value {
        match &self.segments {
            Some(segments) => {
                json!({"type": "segments", "segments": segments.iter().map(SegmentDescriptor::to_json).collect::<Vec<_>>()})
            }
            None => {
                json!({"type": "intervals", "intervals": self.intervals.iter().map(ToString::to_string).collect::<Vec<_>>()})
            }
        }
    }
}
