//! Rows as bytes that are equal exactly when the rows are, for hashing in joins and set operations.

use ovate_compute::{Value, Vector};

/// The keys of all rows over some columns; `None` marks a row with a null in a column where null equals nothing.
pub fn row_keys(columns: &[(&Vector, bool)], rows: usize) -> Vec<Option<Box<[u8]>>> {
    let mut keys: Vec<Option<Vec<u8>>> = vec![Some(Vec::with_capacity(columns.len() * 9)); rows];
    for (column, null_safe) in columns {
        for (row, slot) in keys.iter_mut().enumerate() {
            let Some(key) = slot else { continue };
            if column.is_null(row) {
                if *null_safe {
                    key.push(0)
                } else {
                    *slot = None
                }
                continue;
            }
            match column {
                Vector::Long { values, .. } => push_long(key, values[row]),
                Vector::Double { values, .. } => push_double(key, values[row]),
                Vector::Float { values, .. } => push_double(key, f64::from(values[row])),
                other => push_value(key, &other.value(row)),
            }
        }
    }
    keys.into_iter().map(|key| key.map(Vec::into_boxed_slice)).collect()
}

fn push_long(key: &mut Vec<u8>, value: i64) {
    key.push(1);
    key.extend_from_slice(&value.to_le_bytes());
}

/// Whole numbers look like longs, so that 1 joins 1.0.
fn push_double(key: &mut Vec<u8>, value: f64) {
    if value.fract() == 0.0 && value.abs() < 9.0e15 {
        return push_long(key, value as i64);
    }
    key.push(2);
    let canonical = if value.is_nan() { f64::NAN } else { value };
    key.extend_from_slice(&canonical.to_bits().to_le_bytes());
}

fn push_value(key: &mut Vec<u8>, value: &Value) {
    let bytes = |key: &mut Vec<u8>, tag: u8, bytes: &[u8]| {
        key.push(tag);
        key.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        key.extend_from_slice(bytes);
    };
    match value {
        Value::Null => key.push(0),
        Value::Long(v) => push_long(key, *v),
        Value::Float(v) => push_double(key, f64::from(*v)),
        Value::Double(v) => push_double(key, *v),
        Value::String(v) => bytes(key, 3, v.as_bytes()),
        Value::Array(list) => {
            key.push(4);
            key.extend_from_slice(&(list.len() as u32).to_le_bytes());
            list.iter().for_each(|item| push_value(key, item));
        }
        Value::Json(v) => bytes(key, 5, v.to_string().as_bytes()),
        Value::Complex(_, v) => bytes(key, 6, v),
    }
}
