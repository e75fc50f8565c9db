//! Inline rows, lookups and results of other queries as tables (DSRC-02, 04, 05).

use std::sync::Arc;

use ovate_base::{DruidError, Result};
use ovate_compute::column::MemoryTable;
use ovate_compute::value::from_json;
use ovate_compute::{EvalContext, Value, Vector};

use crate::document::InlineRows;
use crate::result::QueryRows;

/// The rows of an `inline` datasource. Columns without a type take that of their values.
pub fn inline_table(inline: &InlineRows) -> Result<MemoryTable> {
    let mut columns = Vec::with_capacity(inline.column_names.len());
    for (at, name) in inline.column_names.iter().enumerate() {
        let values: Vec<Value> = inline.rows.iter().map(|row| row.get(at).map_or(Value::Null, from_json)).collect();
        let declared = inline.column_types.as_ref().and_then(|types| types.get(at).cloned().flatten());
        let vector = match declared {
            Some(column_type) => Vector::from_values(&column_type, values.iter().map(|value| value.cast(&column_type)).collect()),
            None => Vector::from_untyped(values),
        };
        columns.push((name.clone(), vector));
    }
    if columns.is_empty() {
        return Ok(MemoryTable::without_columns(inline.rows.len() as u32));
    }
    MemoryTable::new(columns)
}

/// A `lookup` datasource: columns `k` and `v`, by ascending key.
pub fn lookup_table(name: &str, context: &EvalContext) -> Result<MemoryTable> {
    let lookup = context.lookups.get(name).ok_or_else(|| DruidError::invalid_input(format!("Lookup [{name}] not found")))?;
    let mut pairs: Vec<(&String, &String)> = lookup.iter().collect();
    pairs.sort();
    let column = |texts: Vec<&str>| Vector::String(texts.into_iter().map(|text| Some(Arc::from(text))).collect());
    let keys = column(pairs.iter().map(|(key, _)| key.as_str()).collect());
    let values = column(pairs.iter().map(|(_, value)| value.as_str()).collect());
    MemoryTable::new(vec![("k".to_owned(), keys), ("v".to_owned(), values)])
}

/// The result of a query as a table that another query reads.
pub fn rows_table(rows: QueryRows) -> Result<MemoryTable> {
    let whole = rows.into_one_batch();
    if whole.1.columns.is_empty() {
        return Ok(MemoryTable::without_columns(whole.1.rows as u32));
    }
    MemoryTable::new(whole.0.into_iter().zip(whole.1.columns).map(|((name, _), column)| (name.to_string(), column)).collect())
}
