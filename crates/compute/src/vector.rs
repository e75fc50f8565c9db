//! A column of values in memory: what expressions give, what partial and final results are made of.

use std::sync::Arc;

use crate::column::Dictionary;
use crate::types::ColumnType;
use crate::value::Value;

/// Values of one column for some rows. `nulls`, where given, has one entry a row and is true for null;
/// the value beside it is then 0 and means nothing.
#[derive(Clone)]
pub enum Vector {
    Long {
        values: Vec<i64>,
        nulls: Option<Vec<bool>>,
    },
    Float {
        values: Vec<f32>,
        nulls: Option<Vec<bool>>,
    },
    Double {
        values: Vec<f64>,
        nulls: Option<Vec<bool>>,
    },
    /// Single-valued strings as dictionary codes; null is a code whose dictionary entry is `None`.
    Codes {
        dictionary: Arc<dyn Dictionary>,
        codes: Vec<u32>,
    },
    /// Single-valued strings by value.
    String(Vec<Option<Arc<str>>>),
    /// Arrays, multi-value strings, JSON and other complex values, and mixed values; `column_type` is what the column is.
    Any {
        column_type: ColumnType,
        values: Vec<Value>,
    },
    /// `len` rows of null of no particular type.
    Null {
        len: usize,
    },
}

impl Vector {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Vector::Long { values, .. } => values.len(),
            Vector::Float { values, .. } => values.len(),
            Vector::Double { values, .. } => values.len(),
            Vector::Codes { codes, .. } => codes.len(),
            Vector::String(values) => values.len(),
            Vector::Any { values, .. } => values.len(),
            Vector::Null { len } => *len,
        }
    }

    /// True when there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The type, `None` for a vector of untyped nulls.
    pub fn column_type(&self) -> Option<ColumnType> {
        match self {
            Vector::Long { .. } => Some(ColumnType::Long),
            Vector::Float { .. } => Some(ColumnType::Float),
            Vector::Double { .. } => Some(ColumnType::Double),
            Vector::Codes { .. } | Vector::String(_) => Some(ColumnType::String),
            Vector::Any { column_type, .. } => Some(column_type.clone()),
            Vector::Null { .. } => None,
        }
    }

    /// The value of one row. For edges; hot loops match on the variant instead.
    pub fn value(&self, row: usize) -> Value {
        let null = |nulls: &Option<Vec<bool>>| nulls.as_ref().is_some_and(|n| n[row]);
        match self {
            Vector::Long { values, nulls } => {
                if null(nulls) {
                    Value::Null
                } else {
                    Value::Long(values[row])
                }
            }
            Vector::Float { values, nulls } => {
                if null(nulls) {
                    Value::Null
                } else {
                    Value::Float(values[row])
                }
            }
            Vector::Double { values, nulls } => {
                if null(nulls) {
                    Value::Null
                } else {
                    Value::Double(values[row])
                }
            }
            Vector::Codes { dictionary, codes } => match dictionary.get(codes[row]) {
                Ok(Some(text)) => Value::from(text.as_ref()),
                _ => Value::Null,
            },
            Vector::String(values) => values[row].clone().map_or(Value::Null, Value::String),
            Vector::Any { values, .. } => values[row].clone(),
            Vector::Null { .. } => Value::Null,
        }
    }
}
