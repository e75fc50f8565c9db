//! Records seen row by row: for expressions over mixed fields, for filters and for reports.

use std::collections::BTreeMap;

use ovate_base::Result;
use ovate_compute::expr::Expr;
use ovate_compute::{EvalContext, Value, Vector};

use super::vectors::{column_of_vector, vector_of_column};
use crate::format::{BadRecord, Batch, Column};

/// A record as Java would print its map, for reports.
pub fn event(batch: &Batch, row: usize) -> String {
    let fields: BTreeMap<&str, _> = batch.columns.iter().filter_map(|(name, c)| Some((&**name, c.text(row)?))).collect();
    let parts: Vec<String> = fields.iter().map(|(name, text)| format!("{name}={text}")).collect();
    crate::format::reported(&format!("{{{}}}", parts.join(", ")))
}

/// A field as expressions and filters see it: true and false are 1 and 0 (`ExprEval.bestEffortOf`).
pub fn field(batch: &Batch, timestamps: &[i64], name: &str, row: usize) -> Value {
    if name == "__time" && batch.column(name).is_none() {
        return Value::Long(timestamps[row]);
    }
    batch.column(name).map_or(Value::Null, |column| numeric_bools(column.value(row)))
}

/// True and false as 1 and 0, in lists too.
pub fn numeric_bools(value: Value) -> Value {
    match value {
        Value::Json(json) if json.is_boolean() => Value::Long(i64::from(json.as_bool().unwrap_or(false))),
        Value::Array(list) if list.iter().any(|v| matches!(v, Value::Json(_))) => {
            // Among texts a boolean is a word, among numbers a number.
            let words = list.iter().any(|v| matches!(v, Value::String(_)));
            let element = |v: &Value| match v {
                Value::Json(json) if words && json.is_boolean() => {
                    Value::from(if json.as_bool() == Some(true) { "true" } else { "false" })
                }
                other => numeric_bools(other.clone()),
            };
            Value::Array(list.iter().map(element).collect())
        }
        other => other,
    }
}

/// An expression over all good rows; a row on which it fails turns bad.
pub fn evaluate(expr: &Expr, batch: &mut Batch, timestamps: &[i64], good: &mut [bool], context: &EvalContext) -> Result<Column> {
    let names = expr.required_columns();
    let plain = names.iter().all(|name| batch.column(name).is_none_or(|c| !matches!(c, Column::Values(_))));
    if plain && good.iter().all(|g| *g) {
        let vectors: Vec<Vector> = names
            .iter()
            .map(|name| match batch.column(name) {
                Some(column) => vector_of_column(column),
                None if name == "__time" => Vector::Long { values: timestamps.to_vec(), nulls: None },
                None => Vector::Null { len: batch.rows },
            })
            .collect();
        let inputs: Vec<(&str, &Vector)> = names.iter().map(String::as_str).zip(&vectors).collect();
        if let Ok(vector) = expr.eval_vectors(&inputs, batch.rows, context)
            && vector.len() == batch.rows
        {
            return Ok(column_of_vector(vector));
        }
    }
    let mut column = Column::Null(0);
    let mut failed = Vec::new();
    for (row, good) in good.iter_mut().enumerate() {
        let value = if *good { expr.eval_row(&|name| field(batch, timestamps, name, row), context) } else { Ok(Value::Null) };
        match value {
            Ok(value) => column.push_value(value),
            Err(error) => {
                *good = false;
                column.push_null();
                failed.push(BadRecord { input: event(batch, row), message: error.message });
            }
        }
    }
    batch.bad.extend(failed);
    Ok(column)
}
