//! Intermediate values of aggregators as they lie in columns, and as Druid's servers write them: pairs of `first` and
//! `last` are objects `{"lhs":time,"rhs":value}`, sketches are binary, numbers and texts are themselves.

use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use ovate_base::smile::SmileValue;
use ovate_base::{DruidError, Result};
use ovate_compute::sketch::pair::{self, PairValue};
use ovate_compute::value::{from_json, parse_double, text_to_long};
use ovate_compute::{ColumnType, Value};

/// Time and value of a pair's bytes; `None` for another type, or damage.
pub(crate) fn pair(type_name: &str, bytes: &[u8]) -> Option<(i64, Value)> {
    fn read<V: PairValue>(bytes: &[u8], wrap: impl Fn(V) -> Value) -> Option<(i64, Value)> {
        pair::decode::<V>(bytes).ok().map(|(time, value)| (time, value.map_or(Value::Null, wrap)))
    }
    match type_name {
        <i64 as PairValue>::PAIR => read::<i64>(bytes, Value::Long),
        <f32 as PairValue>::PAIR => read::<f32>(bytes, Value::Float),
        <f64 as PairValue>::PAIR => read::<f64>(bytes, Value::Double),
        <Arc<str> as PairValue>::PAIR => read::<Arc<str>>(bytes, Value::String),
        _ => None,
    }
}

/// The bytes of a pair; `None` for another type.
fn pair_bytes(type_name: &str, time: i64, value: &Value) -> Option<Bytes> {
    Some(match type_name {
        <i64 as PairValue>::PAIR => pair::encode(time, <i64 as PairValue>::from_value(value).as_ref()),
        <f32 as PairValue>::PAIR => pair::encode(time, <f32 as PairValue>::from_value(value).as_ref()),
        <f64 as PairValue>::PAIR => pair::encode(time, <f64 as PairValue>::from_value(value).as_ref()),
        <Arc<str> as PairValue>::PAIR => pair::encode(time, <Arc<str> as PairValue>::from_value(value).as_ref()),
        _ => return None,
    })
}

fn wrong(column_type: &ColumnType, value: &SmileValue) -> DruidError {
    let shown: String = format!("{value:?}").chars().take(80).collect();
    DruidError::runtime(format!("a data server sent {shown} for a value of type {column_type}"))
}

/// A value of a column of this type, as another server wrote it.
pub(crate) fn read(column_type: &ColumnType, value: SmileValue) -> Result<Value> {
    if value == SmileValue::Null {
        return Ok(Value::Null);
    }
    // `any*` aggregators of some releases wrap their value.
    let wraps = !matches!(column_type, ColumnType::Complex(_)) && value.get("rhs").is_some();
    if wraps && let SmileValue::Object(fields) = value {
        let inner = fields.into_iter().find(|(name, _)| name.as_ref() == "rhs").map_or(SmileValue::Null, |(_, value)| value);
        return read(column_type, inner);
    }
    Ok(match (column_type, value) {
        (ColumnType::Long, SmileValue::Long(value)) => Value::Long(value),
        (ColumnType::Long, SmileValue::Double(value)) => Value::Long(value as i64),
        (ColumnType::Long, SmileValue::Float(value)) => Value::Long(value as i64),
        (ColumnType::Long, SmileValue::Bool(value)) => Value::Long(i64::from(value)),
        (ColumnType::Long, SmileValue::Text(text)) => text_to_long(&text).map_or(Value::Null, Value::Long),
        (ColumnType::Double, value) => Value::Double(double(column_type, value)?),
        (ColumnType::Float, SmileValue::Float(value)) => Value::Float(value),
        (ColumnType::Float, value) => Value::Float(double(column_type, value)? as f32),
        (ColumnType::String, SmileValue::Text(text)) => Value::from(text),
        (ColumnType::String, SmileValue::Array(items)) => {
            Value::Array(items.into_iter().map(|item| read(&ColumnType::String, item)).collect::<Result<_>>()?)
        }
        (ColumnType::String, SmileValue::Long(value)) => Value::from(value.to_string()),
        (ColumnType::String, value @ (SmileValue::Double(_) | SmileValue::Float(_) | SmileValue::Bool(_))) => {
            let json = value.to_json();
            Value::from(json.as_str().map_or_else(|| json.to_string(), str::to_owned))
        }
        (ColumnType::Array(element), SmileValue::Array(items)) => {
            Value::Array(items.into_iter().map(|item| read(element, item)).collect::<Result<_>>()?)
        }
        (ColumnType::Array(element), value) => Value::Array(Arc::from([read(element, value)?])),
        (ColumnType::Complex(Some(name)), value) if name.as_ref() == "json" => Value::Json(Arc::new(value.to_json())),
        (ColumnType::Complex(name), value) => complex(column_type, name.as_deref().unwrap_or(""), value)?,
        (column_type, value) => return Err(wrong(column_type, &value)),
    })
}

fn double(column_type: &ColumnType, value: SmileValue) -> Result<f64> {
    match value {
        SmileValue::Double(value) => Ok(value),
        SmileValue::Float(value) => Ok(f64::from(value)),
        SmileValue::Long(value) => Ok(value as f64),
        // "NaN", "Infinity" and "-Infinity" are numbers here.
        SmileValue::Text(text) => parse_double(&text).ok_or_else(|| wrong(column_type, &SmileValue::Text(text))),
        other => Err(wrong(column_type, &other)),
    }
}

fn complex(column_type: &ColumnType, name: &str, value: SmileValue) -> Result<Value> {
    let bytes = match value {
        SmileValue::Bytes(bytes) => Bytes::from(bytes),
        SmileValue::Text(text) => {
            let decoded = base64::engine::general_purpose::STANDARD.decode(text.as_bytes());
            Bytes::from(decoded.map_err(|_| wrong(column_type, &SmileValue::Text(text)))?)
        }
        SmileValue::Object(_) => {
            let Some(SmileValue::Long(time)) = value.get("lhs") else { return Err(wrong(column_type, &value)) };
            let right = value.get("rhs").map_or(Value::Null, |right| from_json(&right.to_json()));
            pair_bytes(name, *time, &right).ok_or_else(|| wrong(column_type, &value))?
        }
        other => return Err(wrong(column_type, &other)),
    };
    Ok(Value::Complex(Arc::from(name), bytes))
}
