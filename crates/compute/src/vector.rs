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

    /// About how many bytes it holds; a dictionary counts where it belongs to the vector.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Vector::Long { values, nulls } => values.len() * (8 + usize::from(nulls.is_some())),
            Vector::Float { values, nulls } => values.len() * (4 + usize::from(nulls.is_some())),
            Vector::Double { values, nulls } => values.len() * (8 + usize::from(nulls.is_some())),
            Vector::Codes { dictionary, codes } => codes.len() * 4 + dictionary.memory_bytes(),
            Vector::String(values) => values.iter().map(|text| 16 + text.as_ref().map_or(0, |text| text.len() + 16)).sum(),
            Vector::Any { values, .. } => values.iter().map(Value::memory_bytes).sum(),
            Vector::Null { .. } => 0,
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

impl Vector {
    /// Builds the tightest form for values of this type; values of another type are cast. Multi-value strings and
    /// everything else that is no scalar stays by value.
    pub fn from_values(column_type: &ColumnType, values: Vec<Value>) -> Vector {
        match column_type {
            ColumnType::Long => {
                let (values, nulls) = numbers(&values, Value::as_long);
                Vector::Long { values, nulls }
            }
            ColumnType::Double => {
                let (values, nulls) = numbers(&values, Value::as_double);
                Vector::Double { values, nulls }
            }
            ColumnType::Float => {
                let (values, nulls) = numbers(&values, |v| v.as_double().map(|d| d as f32));
                Vector::Float { values, nulls }
            }
            ColumnType::String if !values.iter().any(|v| matches!(v, Value::Array(_))) => {
                Vector::String(values.iter().map(Value::as_text).collect())
            }
            ColumnType::String | ColumnType::Array(_) | ColumnType::Complex(_) => {
                Vector::Any { column_type: column_type.clone(), values }
            }
        }
    }

    /// Builds a vector of the type that the values themselves show; nulls only give `Null`.
    pub fn from_untyped(values: Vec<Value>) -> Vector {
        match crate::value::array_element_type(&values) {
            ColumnType::String if values.iter().all(Value::is_null) => Vector::Null { len: values.len() },
            column_type => Vector::from_values(&column_type, values),
        }
    }

    /// The same value `len` times.
    pub fn constant(value: &Value, len: usize) -> Vector {
        match value {
            Value::Null => Vector::Null { len },
            Value::Long(v) => Vector::Long { values: vec![*v; len], nulls: None },
            Value::Float(v) => Vector::Float { values: vec![*v; len], nulls: None },
            Value::Double(v) => Vector::Double { values: vec![*v; len], nulls: None },
            Value::String(v) => Vector::Codes { dictionary: Arc::new(OneValue(v.clone())), codes: vec![0; len] },
            other => {
                let column_type = other.value_type().unwrap_or(ColumnType::String);
                Vector::Any { column_type, values: vec![other.clone(); len] }
            }
        }
    }

    /// True when the row is null.
    pub fn is_null(&self, row: usize) -> bool {
        match self {
            Vector::Long { nulls, .. } | Vector::Float { nulls, .. } | Vector::Double { nulls, .. } => {
                nulls.as_ref().is_some_and(|n| n[row])
            }
            Vector::Codes { dictionary, codes } => matches!(dictionary.get(codes[row]), Ok(None)),
            Vector::String(values) => values[row].is_none(),
            Vector::Any { values, .. } => values[row].is_null(),
            Vector::Null { .. } => true,
        }
    }

    /// All rows by value.
    pub fn to_values(&self) -> Vec<Value> {
        match self {
            Vector::Codes { dictionary, codes } => {
                let mut seen: hashbrown::HashMap<u32, Value> = hashbrown::HashMap::new();
                let text = |code: u32| match dictionary.get(code) {
                    Ok(Some(text)) => Value::from(text.as_ref()),
                    _ => Value::Null,
                };
                codes.iter().map(|code| seen.entry(*code).or_insert_with(|| text(*code)).clone()).collect()
            }
            Vector::Any { values, .. } => values.clone(),
            other => (0..other.len()).map(|row| other.value(row)).collect(),
        }
    }

    /// Rows converted to this type by Druid's cast; no copy is made where the type is the same already.
    pub fn cast(self, target: &ColumnType) -> Vector {
        if let Vector::Any { column_type, values } = self {
            return if column_type == *target {
                Vector::Any { column_type, values }
            } else {
                Vector::from_values(target, values.iter().map(|v| v.cast(target)).collect())
            };
        }
        match (self, target) {
            (same @ Vector::Long { .. }, ColumnType::Long)
            | (same @ Vector::Float { .. }, ColumnType::Float)
            | (same @ Vector::Double { .. }, ColumnType::Double)
            | (same @ (Vector::Codes { .. } | Vector::String(_)), ColumnType::String) => same,
            (Vector::Long { values, nulls }, ColumnType::Double) => {
                Vector::Double { values: values.into_iter().map(|v| v as f64).collect(), nulls }
            }
            (Vector::Long { values, nulls }, ColumnType::Float) => {
                Vector::Float { values: values.into_iter().map(|v| v as f32).collect(), nulls }
            }
            (Vector::Float { values, nulls }, ColumnType::Double) => {
                Vector::Double { values: values.into_iter().map(f64::from).collect(), nulls }
            }
            (Vector::Float { values, nulls }, ColumnType::Long) => {
                Vector::Long { values: values.into_iter().map(|v| v as i64).collect(), nulls }
            }
            (Vector::Double { values, nulls }, ColumnType::Long) => {
                Vector::Long { values: values.into_iter().map(|v| v as i64).collect(), nulls }
            }
            (Vector::Double { values, nulls }, ColumnType::Float) => {
                Vector::Float { values: values.into_iter().map(|v| v as f32).collect(), nulls }
            }
            (Vector::Null { len }, _) => Vector::from_values(target, vec![Value::Null; len]),
            (other, _) => Vector::from_values(target, other.to_values().iter().map(|v| v.cast(target)).collect()),
        }
    }

    /// The rows at these positions, in this order.
    pub fn gather(&self, rows: &[u32]) -> Vector {
        fn pick<T: Clone>(values: &[T], rows: &[u32]) -> Vec<T> {
            rows.iter().map(|row| values[*row as usize].clone()).collect()
        }
        let pick_nulls = |nulls: &Option<Vec<bool>>| nulls.as_ref().map(|n| pick(n, rows));
        match self {
            Vector::Long { values, nulls } => Vector::Long { values: pick(values, rows), nulls: pick_nulls(nulls) },
            Vector::Float { values, nulls } => Vector::Float { values: pick(values, rows), nulls: pick_nulls(nulls) },
            Vector::Double { values, nulls } => Vector::Double { values: pick(values, rows), nulls: pick_nulls(nulls) },
            Vector::Codes { dictionary, codes } => Vector::Codes { dictionary: dictionary.clone(), codes: pick(codes, rows) },
            Vector::String(values) => Vector::String(pick(values, rows)),
            Vector::Any { column_type, values } => Vector::Any { column_type: column_type.clone(), values: pick(values, rows) },
            Vector::Null { .. } => Vector::Null { len: rows.len() },
        }
    }
}

/// Numbers and their null flags out of values.
fn numbers<T: Default>(values: &[Value], read: impl Fn(&Value) -> Option<T>) -> (Vec<T>, Option<Vec<bool>>) {
    let mut nulls = vec![false; values.len()];
    let mut any = false;
    let numbers = values
        .iter()
        .zip(&mut nulls)
        .map(|(value, null)| {
            read(value).unwrap_or_else(|| {
                (*null, any) = (true, true);
                T::default()
            })
        })
        .collect();
    (numbers, any.then_some(nulls))
}

/// A dictionary of one text: what a constant string column has.
struct OneValue(Arc<str>);

impl Dictionary for OneValue {
    fn cardinality(&self) -> u32 {
        1
    }
    fn get(&self, code: u32) -> ovate_base::Result<Option<std::borrow::Cow<'_, str>>> {
        match code {
            0 => Ok(Some(std::borrow::Cow::Borrowed(&self.0))),
            _ => Err(ovate_base::DruidError::runtime(format!("code out of range. code={code} cardinality=1"))),
        }
    }
    fn find(&self, value: Option<&str>) -> ovate_base::Result<Option<u32>> {
        Ok((value == Some(self.0.as_ref())).then_some(0))
    }
    fn is_sorted(&self) -> bool {
        true
    }
}

impl std::fmt::Debug for Vector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.column_type())?;
        f.debug_list().entries((0..self.len()).map(|row| self.value(row))).finish()
    }
}
