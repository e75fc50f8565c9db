//! UNNEST: a row for each element of arrays that stand beside the input's columns.

use ovate_compute::{ColumnType, Value, Vector};

use crate::relation::Relation;

/// The input's columns repeated, then a column of elements for each array, then the ordinality if asked for. Rows whose
/// arrays are null or empty vanish.
pub fn unnest(input: &Relation, arrays: &[Vector], elements: &[ColumnType], ordinality: bool) -> Relation {
    let mut rows = Vec::new();
    let mut ordinals = Vec::new();
    let mut values: Vec<Vec<Value>> = vec![Vec::new(); arrays.len()];
    for row in 0..input.rows {
        let lists: Vec<Vec<Value>> = arrays.iter().map(|array| items(&array.value(row))).collect();
        let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
        for at in 0..longest {
            rows.push(row as u32);
            ordinals.push(at as i64 + 1);
            for (list, out) in lists.iter().zip(&mut values) {
                out.push(list.get(at).cloned().unwrap_or(Value::Null));
            }
        }
    }
    let count = rows.len();
    let mut out = input.gather(&rows);
    out.rows = count;
    for (values, element) in values.into_iter().zip(elements) {
        out.columns.push(Vector::from_values(element, values));
    }
    if ordinality {
        out.columns.push(Vector::Long { values: ordinals, nulls: None });
    }
    out
}

fn items(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(list) => list.to_vec(),
        Value::Json(json) => match json.as_ref() {
            serde_json::Value::Array(list) => list.iter().map(|item| Value::Json(item.clone().into())).collect(),
            serde_json::Value::Null => Vec::new(),
            _ => vec![value.clone()],
        },
        scalar => vec![scalar.clone()],
    }
}
