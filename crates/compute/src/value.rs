//! One value of any column type: for rows at the edges (ingestion, results, constants), never for hot loops.
//! The conversions are those of Druid's `ExprEval` and `DimensionHandlerUtils`: text that is no number reads as null,
//! doubles print as Java prints them.

use std::cmp::Ordering;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value as Json;

use crate::types::ColumnType;

mod complex;
mod java;

pub use java::{double_to_text, float_to_text, parse_double, parse_long};

/// A single value. A multi-value string row is an `Array` of strings in a STRING column.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    #[default]
    Null,
    Long(i64),
    Float(f32),
    Double(f64),
    String(Arc<str>),
    Array(Arc<[Value]>),
    /// `COMPLEX<json>`.
    Json(Arc<serde_json::Value>),
    /// Any other complex type, in the bytes that Druid stores for it.
    Complex(Arc<str>, Bytes),
}

impl Value {
    /// About how many bytes it holds.
    pub fn memory_bytes(&self) -> usize {
        let own = size_of::<Value>();
        match self {
            Value::Null | Value::Long(_) | Value::Float(_) | Value::Double(_) => own,
            Value::String(text) => own + 16 + text.len(),
            Value::Array(values) => own + 16 + values.iter().map(Value::memory_bytes).sum::<usize>(),
            // Documents are seldom large, and their sizes are not kept.
            Value::Json(_) => own + 128,
            Value::Complex(_, bytes) => own + 32 + bytes.len(),
        }
    }

    /// True for SQL null.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The type of this value; `None` for null. An array's element type is that of its widest element.
    pub fn value_type(&self) -> Option<ColumnType> {
        Some(match self {
            Value::Null => return None,
            Value::Long(_) => ColumnType::Long,
            Value::Float(_) => ColumnType::Float,
            Value::Double(_) => ColumnType::Double,
            Value::String(_) => ColumnType::String,
            Value::Array(elements) => ColumnType::array(array_element_type(elements)),
            Value::Json(_) => ColumnType::complex("json"),
            Value::Complex(name, _) => ColumnType::complex(name),
        })
    }

    /// As LONG: doubles truncate and saturate as Java's cast, text is parsed, a one-element array gives its element.
    pub fn as_long(&self) -> Option<i64> {
        match self {
            Value::Long(value) => Some(*value),
            Value::Float(value) => Some(*value as i64),
            Value::Double(value) => Some(*value as i64),
            Value::String(text) => text_to_long(text),
            Value::Array(elements) if elements.len() == 1 => elements[0].as_long(),
            Value::Json(json) if !json.is_array() && !json.is_object() => json_scalar(json).as_long(),
            Value::Complex(name, bytes) => complex::as_long(name, bytes),
            _ => None,
        }
    }

    /// As DOUBLE; null where there is no number.
    pub fn as_double(&self) -> Option<f64> {
        match self {
            Value::Long(value) => Some(*value as f64),
            Value::Float(value) => Some(f64::from(*value)),
            Value::Double(value) => Some(*value),
            Value::String(text) => parse_double(text),
            Value::Array(elements) if elements.len() == 1 => elements[0].as_double(),
            Value::Json(json) if !json.is_array() && !json.is_object() => json_scalar(json).as_double(),
            Value::Complex(name, bytes) => complex::as_double(name, bytes),
            _ => None,
        }
    }

    /// As STRING: numbers as Java prints them, arrays as Java's `Arrays.toString`, JSON as its text.
    pub fn as_text(&self) -> Option<Arc<str>> {
        match self {
            Value::Null => None,
            Value::Long(value) => Some(Arc::from(itoa_text(*value))),
            Value::Float(value) => Some(Arc::from(float_to_text(*value))),
            Value::Double(value) => Some(Arc::from(double_to_text(*value))),
            Value::String(text) => Some(text.clone()),
            Value::Array(elements) if elements.len() == 1 => elements[0].as_text(),
            Value::Array(elements) => {
                let parts: Vec<Arc<str>> = elements.iter().map(|e| e.as_text().unwrap_or_else(|| Arc::from("null"))).collect();
                Some(Arc::from(format!("[{}]", parts.join(", "))))
            }
            Value::Json(json) => match json.as_ref() {
                Json::Null => None,
                Json::String(text) => Some(Arc::from(text.as_str())),
                other => json_scalar(other).as_text_or_json(other),
            },
            Value::Complex(_, bytes) => {
                use base64::Engine as _;
                Some(Arc::from(base64::engine::general_purpose::STANDARD.encode(bytes)))
            }
        }
    }

    fn as_text_or_json(&self, json: &Json) -> Option<Arc<str>> {
        match self {
            Value::Null | Value::Array(_) | Value::Json(_) => Some(Arc::from(json_text(json))),
            scalar => scalar.as_text(),
        }
    }

    /// True as a condition: positive numbers, and the text `true` (`ExprEval.asBoolean`); `None` for null.
    pub fn as_boolean(&self) -> Option<bool> {
        match self {
            Value::Null | Value::Complex(..) => None,
            Value::Long(value) => Some(*value > 0),
            Value::Float(value) => Some(*value > 0.0),
            Value::Double(value) => Some(*value > 0.0),
            Value::String(text) => Some(text.eq_ignore_ascii_case("true")),
            Value::Array(elements) if elements.len() == 1 => elements[0].as_boolean(),
            Value::Array(_) => Some(false),
            Value::Json(json) if !json.is_array() && !json.is_object() => json_scalar(json).as_boolean(),
            Value::Json(_) => Some(false),
        }
    }

    /// The elements of an array; a scalar is an array of one, null is none.
    pub fn as_array(&self) -> Option<Arc<[Value]>> {
        match self {
            Value::Null => None,
            Value::Array(elements) => Some(elements.clone()),
            Value::Json(json) => match json.as_ref() {
                Json::Array(items) => Some(items.iter().map(from_json).collect()),
                other => Some(Arc::from([json_scalar(other)])),
            },
            scalar => Some(Arc::from([scalar.clone()])),
        }
    }

    /// Druid's `cast`: null where the value has no reading in that type. Complex targets keep a value of that type
    /// (and take anything as JSON) and give null otherwise.
    pub fn cast(&self, target: &ColumnType) -> Value {
        if self.is_null() {
            return Value::Null;
        }
        match target {
            ColumnType::Long => self.as_long().map_or(Value::Null, Value::Long),
            ColumnType::Float => self.as_double().map_or(Value::Null, |v| Value::Float(v as f32)),
            ColumnType::Double => self.as_double().map_or(Value::Null, Value::Double),
            ColumnType::String => self.as_text().map_or(Value::Null, Value::String),
            ColumnType::Array(element) => {
                self.as_array().map_or(Value::Null, |items| Value::Array(items.iter().map(|item| item.cast(element)).collect()))
            }
            ColumnType::Complex(name) => match (self, name.as_deref()) {
                (Value::Json(_), _) | (Value::Complex(..), None) => self.clone(),
                (Value::Complex(own, _), Some(name)) if own.as_ref() == name => self.clone(),
                (_, Some("json")) => Value::Json(Arc::new(to_json(self))),
                _ => Value::Null,
            },
        }
    }

    /// Total order of values of one type: nulls first, numbers by value, text by UTF-8 bytes, arrays by element.
    pub fn compare(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Null, Value::Null) => Ordering::Equal,
            (Value::Null, _) => Ordering::Less,
            (_, Value::Null) => Ordering::Greater,
            (Value::Long(a), Value::Long(b)) => a.cmp(b),
            (Value::String(a), Value::String(b)) => a.cmp(b),
            (Value::Array(a), Value::Array(b)) => {
                let first = a.iter().zip(b.iter()).map(|(x, y)| x.compare(y)).find(|o| o.is_ne());
                first.unwrap_or_else(|| a.len().cmp(&b.len()))
            }
            (Value::Complex(_, a), Value::Complex(_, b)) => a.cmp(b),
            (Value::Json(a), Value::Json(b)) => a.to_string().cmp(&b.to_string()),
            (Value::Long(_) | Value::Float(_) | Value::Double(_), Value::Long(_) | Value::Float(_) | Value::Double(_)) => {
                let (a, b) = (self.as_double().unwrap_or(0.0), other.as_double().unwrap_or(0.0));
                compare_doubles(a, b)
            }
            _ => self.as_text().cmp(&other.as_text()),
        }
    }
}

/// `Double.compare`: -0.0 before 0.0, NaN last and equal to itself.
pub fn compare_doubles(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).filter(|o| o.is_ne() || a != 0.0).unwrap_or_else(|| match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => b.is_sign_negative().cmp(&a.is_sign_negative()),
    })
}

/// The widest type among the elements: text over double over long; STRING for nulls only and for mixtures.
pub fn array_element_type(elements: &[Value]) -> ColumnType {
    let mut widest: Option<ColumnType> = None;
    for element in elements {
        let Some(own) = element.value_type() else { continue };
        widest = Some(match (widest, own) {
            (None, own) => own,
            (Some(a), b) if a == b => a,
            (Some(a), b) if a.is_numeric() && b.is_numeric() => ColumnType::Double,
            _ => ColumnType::String,
        });
    }
    widest.unwrap_or(ColumnType::String)
}

/// A JSON document as a value: scalars and arrays of scalars become plain values, the rest stays JSON.
pub fn from_json(json: &Json) -> Value {
    match json {
        Json::Array(items) if items.iter().all(|i| !i.is_object() && !i.is_array()) => {
            // Booleans are 1 and 0 among numbers, but words among words.
            let words = items.iter().any(Json::is_string);
            let element = |item: &Json| match item {
                Json::Bool(value) if words => Value::from(if *value { "true" } else { "false" }),
                other => json_scalar(other),
            };
            Value::Array(unify_elements(items.iter().map(element).collect()))
        }
        Json::Array(_) | Json::Object(_) => Value::Json(Arc::new(json.clone())),
        scalar => json_scalar(scalar),
    }
}

/// Gives all elements the widest type among them, as Druid's arrays have one element type.
pub fn unify_elements(elements: Vec<Value>) -> Arc<[Value]> {
    let target = array_element_type(&elements);
    elements.into_iter().map(|e| if e.value_type().is_none_or(|t| t == target) { e } else { e.cast(&target) }).collect()
}

/// The plain value of a JSON scalar; booleans are 1 and 0. Objects and arrays stay JSON.
pub fn json_scalar(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Long(i64::from(*value)),
        Json::Number(number) => match number.as_i64() {
            Some(value) => Value::Long(value),
            None => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        other => Value::Json(Arc::new(other.clone())),
    }
}

/// A value as JSON: what results and `to_json_string` write. NaN and infinities become text, as in Druid's answers.
pub fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Long(value) => Json::from(*value),
        Value::Float(value) => match float_to_text(*value).parse::<f64>() {
            Ok(number) if number.is_finite() => Json::from(number),
            _ => Json::from(float_to_text(*value)),
        },
        Value::Double(value) if value.is_finite() => Json::from(*value),
        Value::Double(value) => Json::from(double_to_text(*value)),
        Value::String(text) => Json::from(text.as_ref()),
        Value::Array(elements) => Json::Array(elements.iter().map(to_json).collect()),
        Value::Json(json) => json.as_ref().clone(),
        Value::Complex(..) => value.as_text().map_or(Json::Null, |text| Json::from(text.as_ref())),
    }
}

/// JSON as Jackson writes it: compact, doubles as Java prints them.
pub fn json_text(json: &Json) -> String {
    let mut out = String::new();
    write_json(json, &mut out);
    out
}

fn write_json(json: &Json, out: &mut String) {
    match json {
        Json::Number(number) if number.is_f64() => out.push_str(&double_to_text(number.as_f64().unwrap_or(f64::NAN))),
        Json::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_json(item, out);
            }
            out.push(']');
        }
        Json::Object(map) => {
            out.push('{');
            for (index, (key, item)) in map.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Json::from(key.as_str()).to_string());
                out.push(':');
                write_json(item, out);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// Text as a long: an integer, or a decimal number cut off (`ExprEval.computeNumber`).
pub fn text_to_long(text: &str) -> Option<i64> {
    parse_long(text).or_else(|| parse_double(text).map(|v| v as i64))
}

fn itoa_text(value: i64) -> String {
    value.to_string()
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(Arc::from(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::String(Arc::from(text))
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Long(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Double(value)
    }
}
