//! Granularities in JSON: a name in any letter case, or an object of type `period`, `duration`, `all`, `none`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use super::{DurationGranularity, Granularity, PeriodGranularity};
use crate::time::{Period, Zone, format_iso, format_iso_in, instant_from_json, parse_instant};
use crate::{DruidError, Result};

/// Names of `GranularityType`, with the period of each.
const NAMES: &[(&str, Period)] = &[
    ("SECOND", Period::seconds(1)),
    ("MINUTE", Period::minutes(1)),
    ("FIVE_MINUTE", Period::minutes(5)),
    ("TEN_MINUTE", Period::minutes(10)),
    ("FIFTEEN_MINUTE", Period::minutes(15)),
    ("THIRTY_MINUTE", Period::minutes(30)),
    ("HOUR", Period::hours(1)),
    ("SIX_HOUR", Period::hours(6)),
    ("EIGHT_HOUR", Period::hours(8)),
    ("DAY", Period::days(1)),
    ("WEEK", Period::weeks(1)),
    ("MONTH", Period::months(1)),
    ("QUARTER", Period::months(3)),
    ("YEAR", Period::years(1)),
];

impl Granularity {
    /// A granularity by its simple name (`Granularity.fromString`).
    pub fn from_name(name: &str) -> Result<Granularity> {
        let upper = name.to_ascii_uppercase();
        match upper.as_str() {
            "ALL" => return Ok(Granularity::All),
            "NONE" => return Ok(Granularity::None),
            _ => {}
        }
        NAMES.iter().find(|(name, _)| *name == upper).map(|(_, period)| Granularity::simple(*period)).ok_or_else(|| {
            let known: Vec<&str> = NAMES.iter().map(|(name, _)| *name).chain(["ALL", "NONE"]).collect();
            let shown: String = name.chars().take(100).collect();
            DruidError::invalid_input(format!("Invalid granularity[{shown}]. Must be one of {known:?}"))
        })
    }

    /// From a name or an object of Druid's JSON.
    pub fn from_json(value: &Value) -> Result<Granularity> {
        match value {
            Value::String(name) => Granularity::from_name(name),
            Value::Object(fields) => {
                let kind = fields.get("type").and_then(Value::as_str).unwrap_or_default();
                match kind {
                    "all" => Ok(Granularity::All),
                    "none" => Ok(Granularity::None),
                    "period" => period_from_json(value),
                    "duration" => duration_from_json(value),
                    other => Err(DruidError::invalid_input(format!(
                        "Could not resolve type id '{other}' as a subtype of `Granularity`: known type ids = [all, duration, none, period]"
                    ))),
                }
            }
            other => Err(DruidError::invalid_input(format!("granularity must be a name or an object, not {other}"))),
        }
    }

    /// As Druid writes it: the upper-case name of a simple granularity, an object otherwise.
    pub fn to_json(&self) -> Value {
        match self {
            Granularity::All => json!({"type": "all"}),
            Granularity::None => json!({"type": "none"}),
            Granularity::Period(period) => {
                let simple = period.origin().is_none() && *period.zone() == Zone::UTC;
                match NAMES.iter().find(|(_, known)| simple && *known == period.period()) {
                    Some((name, _)) => json!(name),
                    None => json!({
                        "type": "period",
                        "period": period.period().to_string(),
                        "timeZone": period.zone().id(),
                        "origin": period.origin().map(|origin| format_iso_in(origin, period.zone())),
                    }),
                }
            }
            Granularity::Duration(duration) => {
                json!({"type": "duration", "duration": duration.duration, "origin": format_iso(duration.origin)})
            }
        }
    }
}

fn period_from_json(value: &Value) -> Result<Granularity> {
    let Some(text) = value.get("period").and_then(Value::as_str) else {
        return Err(DruidError::invalid_input("period cannot be null!"));
    };
    let zone = match value.get("timeZone") {
        None | Some(Value::Null) => Zone::UTC,
        Some(Value::String(id)) => Zone::parse(id)?,
        Some(other) => return Err(DruidError::invalid_input(format!("granularity timeZone must be a string, not {other}"))),
    };
    Ok(Granularity::Period(PeriodGranularity::new(Period::parse(text)?, zone, origin(value)?)?))
}

fn duration_from_json(value: &Value) -> Result<Granularity> {
    let duration = match value.get("duration") {
        Some(Value::Number(number)) => number.as_i64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    match duration {
        Some(duration) if duration > 0 => {
            Ok(Granularity::Duration(DurationGranularity { duration, origin: origin(value)?.unwrap_or(0) }))
        }
        _ => Err(DruidError::invalid_input("duration should be greater than 0!")),
    }
}

fn origin(value: &Value) -> Result<Option<i64>> {
    match value.get("origin") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => parse_instant(text).map(Some),
        Some(other) => instant_from_json(other).map(Some),
    }
}

impl Serialize for Granularity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Granularity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Granularity, D::Error> {
        Granularity::from_json(&Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
