//! Smile, Jackson's binary JSON (https://github.com/FasterXML/smile-format-specification), as far as Druid's servers speak
//! it: the reader takes every token of version 0 with or without shared names and values; the writer writes shared names
//! and raw binary, header `3A 29 0A 05`, as Druid does. Bytes from outside give errors, never panics.

mod read;
mod write;

pub use read::SmileReader;
pub use write::SmileWriter;

use base64::Engine as _;
use serde_json::{Map, Value};

use crate::Result;

/// `:)\n`, the first bytes of every document.
pub const MAGIC: &[u8] = b":)\n";
/// Bit of the header: names are shared.
const SHARED_NAMES: u8 = 1;
/// Bit of the header: short texts are shared.
const SHARED_VALUES: u8 = 2;
/// Bit of the header: binary values are raw.
const RAW_BINARY: u8 = 4;
/// Names, and texts, that can be referred to at a time.
const SHARED_MAX: usize = 1024;
/// How deep documents may nest; about as deep as JSON may.
const DEPTH_MAX: usize = 120;

/// A document, like JSON's, with binary values.
#[derive(Debug, Clone, PartialEq)]
pub enum SmileValue {
    Null,
    Bool(bool),
    Long(i64),
    Float(f32),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    Array(Vec<SmileValue>),
    /// In the order written.
    Object(Vec<(std::sync::Arc<str>, SmileValue)>),
}

impl SmileValue {
    /// The field of an object.
    pub fn get(&self, name: &str) -> Option<&SmileValue> {
        match self {
            SmileValue::Object(fields) => fields.iter().find(|(key, _)| key.as_ref() == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// As JSON; bytes become base64, numbers that JSON does not have become texts, as Jackson has them.
    pub fn to_json(&self) -> Value {
        match self {
            SmileValue::Null => Value::Null,
            SmileValue::Bool(value) => Value::Bool(*value),
            SmileValue::Long(value) => Value::from(*value),
            SmileValue::Float(value) => double_to_json(f64::from(*value)),
            SmileValue::Double(value) => double_to_json(*value),
            SmileValue::Text(text) => Value::from(text.as_str()),
            SmileValue::Bytes(bytes) => Value::from(base64::engine::general_purpose::STANDARD.encode(bytes)),
            SmileValue::Array(items) => Value::Array(items.iter().map(SmileValue::to_json).collect()),
            SmileValue::Object(fields) => {
                Value::Object(fields.iter().map(|(name, value)| (name.to_string(), value.to_json())).collect::<Map<_, _>>())
            }
        }
    }
}

fn double_to_json(value: f64) -> Value {
    match value {
        value if value.is_finite() => Value::from(value),
        value if value.is_nan() => Value::from("NaN"),
        value if value > 0.0 => Value::from("Infinity"),
        _ => Value::from("-Infinity"),
    }
}

impl From<Value> for SmileValue {
    fn from(json: Value) -> Self {
        match json {
            Value::Null => SmileValue::Null,
            Value::Bool(value) => SmileValue::Bool(value),
            Value::Number(number) => match number.as_i64() {
                Some(value) => SmileValue::Long(value),
                None => SmileValue::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => SmileValue::Text(text),
            Value::Array(items) => SmileValue::Array(items.into_iter().map(SmileValue::from).collect()),
            Value::Object(fields) => {
                SmileValue::Object(fields.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
            }
        }
    }
}

/// True when the bytes begin as Smile does.
pub fn is_smile(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Reads one whole document as JSON.
pub fn to_json(bytes: &[u8]) -> Result<Value> {
    let mut reader = SmileReader::new(bytes)?;
    let value = reader.value()?.to_json();
    reader.end()?;
    Ok(value)
}

/// Writes JSON as Smile.
pub fn from_json(json: &Value) -> Vec<u8> {
    let mut writer = SmileWriter::new(names_are_short(json));
    writer.json(json);
    writer.into_bytes()
}

/// True when every name in the document is short enough for all readers to agree on which names are shared.
fn names_are_short(json: &Value) -> bool {
    match json {
        Value::Array(items) => items.iter().all(names_are_short),
        Value::Object(fields) => fields.iter().all(|(name, value)| write::is_short_name(name) && names_are_short(value)),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
