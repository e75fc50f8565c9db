//! One value of a result column as JSON or CSV.

use std::collections::HashMap;
use std::io::Write as _;

use base64::Engine as _;
use ovate_base::time::format_iso_into;
use ovate_compute::{Value, Vector};
use serde_json::Value as Json;

use super::Style;
use crate::types::SqlType;

/// Writes the values of one column.
pub struct CellWriter<'a> {
    kind: Kind,
    column: &'a Vector,
    style: &'a Style,
    /// JSON of dictionary codes already written.
    codes: HashMap<u32, Vec<u8>>,
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Boolean,
    Time,
    Long,
    /// 32 bits, as Java's `intValue` has them.
    Integer,
    Float,
    Double,
    Text,
    /// A type that is not known before the value: numbers stay numbers.
    Any,
    Array,
    Complex,
}

impl<'a> CellWriter<'a> {
    pub fn new(sql_type: &SqlType, column: &'a Vector, style: &'a Style) -> Self {
        let kind = match sql_type {
            SqlType::Boolean => Kind::Boolean,
            SqlType::Timestamp | SqlType::Date => Kind::Time,
            SqlType::Integer => Kind::Integer,
            SqlType::Bigint | SqlType::IntervalDay | SqlType::IntervalMonth => Kind::Long,
            SqlType::Float => Kind::Float,
            SqlType::Double | SqlType::Decimal => Kind::Double,
            SqlType::Varchar | SqlType::Char | SqlType::Null => Kind::Text,
            SqlType::Any => Kind::Any,
            SqlType::Array(_) => Kind::Array,
            SqlType::Complex(_) => Kind::Complex,
        };
        CellWriter { kind, column, style, codes: HashMap::new(), text: String::new() }
    }

    pub fn json(&mut self, row: usize, out: &mut Vec<u8>) {
        match (self.column, self.kind) {
            (Vector::Long { values, nulls }, Kind::Long) if nulls.is_none() => {
                out.extend_from_slice(itoa::Buffer::new().format(values[row]).as_bytes());
            }
            (Vector::Codes { codes, dictionary }, Kind::Text | Kind::Any) => {
                let code = codes[row];
                let cell = self.codes.entry(code).or_insert_with(|| {
                    let mut cell = Vec::new();
                    match dictionary.get(code) {
                        Ok(Some(text)) => json_text(&text, &mut cell),
                        _ => cell.extend_from_slice(b"null"),
                    }
                    cell
                });
                out.extend_from_slice(cell);
            }
            (column, _) => {
                let value = column.value(row);
                self.value(&value, out);
            }
        }
    }

    fn value(&mut self, value: &Value, out: &mut Vec<u8>) {
        if value.is_null() {
            out.extend_from_slice(b"null");
            return;
        }
        match self.kind {
            Kind::Boolean => match value.as_boolean() {
                Some(true) => out.extend_from_slice(b"true"),
                Some(false) => out.extend_from_slice(b"false"),
                None => out.extend_from_slice(b"null"),
            },
            Kind::Time => match value.as_long() {
                Some(millis) => {
                    self.text.clear();
                    format_iso_into(millis, &self.style.zone, &mut self.text);
                    json_text(&self.text, out);
                }
                None => out.extend_from_slice(b"null"),
            },
            Kind::Long => match value.as_long() {
                Some(v) => out.extend_from_slice(itoa::Buffer::new().format(v).as_bytes()),
                None => out.extend_from_slice(b"null"),
            },
            Kind::Integer => match value.as_long() {
                Some(v) => out.extend_from_slice(itoa::Buffer::new().format(v as i32).as_bytes()),
                None => out.extend_from_slice(b"null"),
            },
            Kind::Float => match value.as_double() {
                Some(v) => float(v as f32, out),
                None => out.extend_from_slice(b"null"),
            },
            Kind::Double => match value.as_double() {
                Some(v) => double(v, out),
                None => out.extend_from_slice(b"null"),
            },
            Kind::Text if matches!(value, Value::Long(_) | Value::Double(_) | Value::Float(_)) => {
                json_text(&value.as_text().unwrap_or_default(), out);
            }
            Kind::Text | Kind::Any => match value {
                // Of several values, one is itself.
                Value::Array(list) if list.len() == 1 => self.value(&list[0].clone(), out),
                Value::Array(_) => json_text(&value_json(value).to_string(), out),
                Value::Json(json) => json_text(&json.to_string(), out),
                Value::Double(v) => double(*v, out),
                Value::Float(v) => float(*v, out),
                Value::Long(v) => out.extend_from_slice(itoa::Buffer::new().format(*v).as_bytes()),
                other => match other.as_text() {
                    Some(text) => json_text(&text, out),
                    None => complex(other, out),
                },
            },
            Kind::Array if matches!(value, Value::String(_)) => {
                json_text(&value.as_text().unwrap_or_default(), out);
            }
            Kind::Array => {
                // A scalar in a column of mixed values is a list of one, but stays itself as text.
                let list = match value {
                    Value::Array(_) | Value::Json(_) => value_json(value),
                    scalar if self.style.stringify_arrays => value_json(scalar),
                    scalar => Json::Array(vec![value_json(scalar)]),
                };
                if self.style.stringify_arrays {
                    json_text(&list.to_string(), out);
                } else {
                    out.extend_from_slice(list.to_string().as_bytes());
                }
            }
            Kind::Complex => complex(value, out),
        }
    }

    /// Nulls are empty; what is an object or array in JSON is its text.
    pub fn csv(&mut self, row: usize, out: &mut Vec<u8>) {
        let mut cell = Vec::new();
        self.json(row, &mut cell);
        if cell == b"null" {
            return;
        }
        let text = match serde_json::from_slice::<Json>(&cell) {
            Ok(Json::String(text)) => text,
            _ => String::from_utf8_lossy(&cell).into_owned(),
        };
        csv_text(&text, out);
    }
}

/// Complex values are JSON text: JSON as it is, bytes as base64 in quotes.
fn complex(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Json(json) if json.is_null() => out.extend_from_slice(b"null"),
        other => json_text(&value_json(other).to_string(), out),
    }
}

/// A value inside an array or JSON text.
fn value_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Long(v) => Json::from(*v),
        Value::Float(v) => finite(f64::from(*v), || v.to_string().parse::<f64>().ok()),
        Value::Double(v) => finite(*v, || Some(*v)),
        Value::String(v) => Json::from(&**v),
        Value::Array(list) => Json::Array(list.iter().map(value_json).collect()),
        Value::Json(json) => (**json).clone(),
        Value::Complex(_, bytes) => Json::from(base64::engine::general_purpose::STANDARD.encode(bytes)),
    }
}

fn finite(value: f64, shortest: impl Fn() -> Option<f64>) -> Json {
    match shortest().and_then(serde_json::Number::from_f64) {
        Some(number) => Json::Number(number),
        None => Json::from(not_finite(value)),
    }
}

fn not_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

fn double(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
    } else {
        json_text(not_finite(value), out);
    }
}

fn float(value: f32, out: &mut Vec<u8>) {
    if value.is_finite() {
        out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
    } else {
        json_text(not_finite(f64::from(value)), out);
    }
}

/// A JSON string.
pub fn json_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut from = 0;
    for (i, byte) in bytes.iter().enumerate() {
        if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[from..i]);
        from = i + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            other => {
                let _ = write!(out, "\\u{other:04x}");
            }
        }
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}

/// A CSV field, quoted where it has to be.
pub fn csv_text(text: &str, out: &mut Vec<u8>) {
    if !text.contains([',', '"', '\n', '\r']) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}
