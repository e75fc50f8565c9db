//! One value of any column type: for rows at the edges (ingestion, results, constants), never for hot loops.

use std::sync::Arc;

use bytes::Bytes;

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
    /// True for SQL null.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
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
