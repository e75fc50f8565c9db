//! Constants: numbers, text, timestamps in the session's zone, intervals, parameters.

use ovate_base::Result;
use ovate_base::time::{Zone, parse_instant_in};
use ovate_compute::Value;
use serde_json::Value as Json;

use super::{Binder, error_at};
use crate::parse::ast::{Literal, Pos};
use crate::plan::Rex;
use crate::types::SqlType;

/// `yyyy-MM-dd HH:mm:ss[.fraction]` in a zone, as Calcite's TIMESTAMP literal.
pub(crate) fn parse_timestamp_literal(text: &str, zone: &Zone) -> Option<i64> {
    let text = text.trim();
    let bytes = text.as_bytes();
    if bytes.len() < 8 || !bytes[0].is_ascii_digit() {
        return None;
    }
    let iso = text.replacen(' ', "T", 1);
    if let Ok(millis) = parse_instant_in(&iso, zone) {
        return Some(millis);
    }
    // One-digit months, days and hours are taken too.
    let (date, time) = text.split_once([' ', 'T']).unwrap_or((text, ""));
    let mut parts = date.split('-').map(|part| part.parse::<u32>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let mut clock = time.split(':');
    let mut next = || clock.next().filter(|t| !t.is_empty()).unwrap_or("0").to_owned();
    let (hour, minute, second) = (next(), next(), next());
    let padded = format!("{year:04}-{month:02}-{day:02}T{hour:0>2}:{minute:0>2}:{second:0>2}");
    parse_instant_in(&padded, zone).ok()
}

/// `yyyy-MM-dd` in a zone.
pub(crate) fn parse_date_literal(text: &str, zone: &Zone) -> Option<i64> {
    let text = text.trim();
    (text.len() <= 10 && !text.contains([' ', 'T', ':'])).then(|| parse_timestamp_literal(text, zone))?
}

impl Binder<'_> {
    pub(super) fn literal(&self, literal: &Literal, pos: Pos) -> Result<Rex> {
        let zone = &self.session.zone;
        Ok(match literal {
            Literal::Null => Rex::null(SqlType::Null),
            Literal::Boolean(value) => Rex::boolean(*value),
            Literal::Integer(digits) => integer(digits, pos)?,
            Literal::Decimal(text) => Rex::Literal(Value::Double(number(text, pos)?), SqlType::Decimal),
            Literal::Double(text) => Rex::Literal(Value::Double(number(text, pos)?), SqlType::Double),
            Literal::String(text) => Rex::Literal(Value::from(text.as_str()), SqlType::Char),
            Literal::Timestamp(text) => {
                // The literal has a blank between date and time; only texts that are converted may have a T.
                let millis = (!text.contains('T')).then(|| parse_timestamp_literal(text, zone)).flatten();
                let wrong = || error_at(format!("Illegal TIMESTAMP literal '{text}': not in format 'yyyy-MM-dd HH:mm:ss'"), pos);
                Rex::Literal(Value::Long(millis.ok_or_else(wrong)?), SqlType::Timestamp)
            }
            Literal::Date(text) => {
                let wrong = || error_at(format!("Illegal DATE literal '{text}': not in format 'yyyy-MM-dd'"), pos);
                Rex::Literal(Value::Long(parse_date_literal(text, zone).ok_or_else(wrong)?), SqlType::Date)
            }
            Literal::Time(_) => return Err(error_at("Unsupported data type: TIME", pos)),
        })
    }

    pub(super) fn interval(&self, negative: bool, text: &str, unit: &str, to: Option<&str>, pos: Pos) -> Result<Rex> {
        let wrong = || error_at(format!("Illegal interval literal format '{text}' for INTERVAL {unit}"), pos);
        let (sign, body) = match text.trim().strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.trim().trim_start_matches('+')),
        };
        let sign = if negative { -sign } else { sign };
        let whole = |part: &str| part.trim().parse::<i64>().map_err(|_| wrong());
        let (amount, sql_type) = match unit {
            "YEAR" | "QUARTER" | "MONTH" => {
                let months = if to == Some("MONTH") && unit == "YEAR" {
                    let (years, months) = body.split_once('-').ok_or_else(wrong)?;
                    whole(years)?.checked_mul(12).and_then(|y| y.checked_add(whole(months).ok()?)).ok_or_else(wrong)?
                } else {
                    let size = match unit {
                        "YEAR" => 12,
                        "QUARTER" => 3,
                        _ => 1,
                    };
                    whole(body)?.checked_mul(size).ok_or_else(wrong)?
                };
                (months, SqlType::IntervalMonth)
            }
            _ => (interval_millis(body, unit).ok_or_else(wrong)?, SqlType::IntervalDay),
        };
        Ok(Rex::Literal(Value::Long(sign * amount), sql_type))
    }

    pub(super) fn parameter(&self, index: usize, pos: Pos) -> Result<Rex> {
        if self.session.preparing {
            return Ok(crate::prepare::placeholder(index));
        }
        let Some(parameter) = self.session.parameters.get(index) else {
            return Err(error_at(format!("No value bound for parameter (position [{}])", index + 1), pos));
        };
        let sql_type = if parameter.sql_type == "ARRAY" {
            let element = match parameter.value.as_array().and_then(|list| list.iter().find(|v| !v.is_null())) {
                Some(Json::Number(n)) if n.is_f64() => SqlType::Double,
                Some(Json::Number(_)) => SqlType::Bigint,
                _ => SqlType::Varchar,
            };
            SqlType::Array(Box::new(element))
        } else {
            SqlType::parse(&parameter.sql_type)?
        };
        let value = parameter_value(&parameter.value, &sql_type, &self.session.zone).ok_or_else(|| {
            error_at(format!("Parameter value does not fit its type {sql_type} (position [{}])", index + 1), pos)
        })?;
        // A bound value is a literal of its own: Calcite types it by what it is (`SqlParameterizerShuttle`).
        Ok(match (&value, &sql_type) {
            (Value::Null, _) => Rex::null(SqlType::Null),
            (Value::String(_), t) if t.is_text() => Rex::Literal(value, SqlType::Char),
            (Value::Long(v), t) if t.is_integer() => {
                let t = if i32::try_from(*v).is_ok() { SqlType::Integer } else { SqlType::Bigint };
                Rex::Literal(value, t)
            }
            (Value::Double(_), t) if t.is_numeric() => Rex::Literal(value, SqlType::Double),
            _ => Rex::Literal(value, sql_type),
        })
    }
}

fn integer(digits: &str, pos: Pos) -> Result<Rex> {
    match digits.parse::<i64>() {
        Ok(value) if i32::try_from(value).is_ok() => Ok(Rex::Literal(Value::Long(value), SqlType::Integer)),
        Ok(value) => Ok(Rex::long(value)),
        Err(_) => Ok(Rex::Literal(Value::Double(number(digits, pos)?), SqlType::Decimal)),
    }
}

fn number(text: &str, pos: Pos) -> Result<f64> {
    text.parse::<f64>().map_err(|_| error_at(format!("Number literal '{text}' out of range"), pos))
}

/// `1`, `1 2`, `1 02:03`, `01:02:03.5`: from `unit` downwards.
fn interval_millis(body: &str, unit: &str) -> Option<i64> {
    const SIZES: [(&str, i64); 4] = [("DAY", 86_400_000), ("HOUR", 3_600_000), ("MINUTE", 60_000), ("SECOND", 1000)];
    let first = match unit {
        "WEEK" => return body.trim().parse::<i64>().ok()?.checked_mul(7 * 86_400_000),
        "MILLISECOND" => return body.trim().parse().ok(),
        _ => SIZES.iter().position(|(name, _)| *name == unit)?,
    };
    let mut total = 0i64;
    for (place, part) in body.split([' ', ':']).filter(|p| !p.is_empty()).enumerate() {
        let (name, size) = SIZES.get(first + place)?;
        let millis = if *name == "SECOND" {
            (part.parse::<f64>().ok()? * 1000.0).round() as i64
        } else {
            part.parse::<i64>().ok()?.checked_mul(*size)?
        };
        total = total.checked_add(millis)?;
    }
    Some(total)
}

fn parameter_value(json: &Json, sql_type: &SqlType, zone: &Zone) -> Option<Value> {
    Some(match (json, sql_type) {
        (Json::Null, _) => Value::Null,
        (Json::Array(list), SqlType::Array(element)) => {
            Value::Array(list.iter().map(|v| parameter_value(v, element, zone)).collect::<Option<Vec<_>>>()?.into())
        }
        (Json::String(text), SqlType::Timestamp) => Value::Long(parse_timestamp_literal(text, zone)?),
        (Json::String(text), SqlType::Date) => Value::Long(parse_date_literal(text, zone)?),
        (Json::Bool(b), SqlType::Boolean) => Value::Long(i64::from(*b)),
        (Json::String(text), SqlType::Boolean) => Value::Long(i64::from(text.eq_ignore_ascii_case("true"))),
        (Json::Number(n), t) if t.is_integer() || t.is_time() || *t == SqlType::Boolean => {
            Value::Long(n.as_i64().or_else(|| n.as_f64().map(|d| d as i64))?)
        }
        (Json::String(text), t) if t.is_integer() => Value::Long(text.parse().ok()?),
        (Json::Number(n), t) if t.is_numeric() => Value::Double(n.as_f64()?),
        (Json::String(text), t) if t.is_numeric() => Value::Double(text.parse().ok()?),
        (Json::String(text), _) => Value::from(text.as_str()),
        (Json::Number(n), _) => Value::from(n.to_string().as_str()),
        (Json::Bool(b), _) => Value::from(b.to_string().as_str()),
        _ => return None,
    })
}
