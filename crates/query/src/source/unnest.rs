//! The `unnest` datasource: a row for every element of an array or multi-value column (DSRC-07,
//! `UnnestColumnValueSelectorCursor`, `UnnestDimensionCursor`). An array that is empty or null gives no row; a text column
//! has a null there, which gives one.

use std::ops::Range;
use std::sync::Arc;

use indexmap::IndexMap;
use ovate_base::Result;
use ovate_compute::column::{MemoryColumn, MemoryDictionary};
use ovate_compute::virtual_column::{VirtualColumnSpec, with_virtual_columns};
use ovate_compute::{Column, ColumnReader, ColumnSource, ColumnType, EvalContext, Rows, Value, Vector};

use super::mapped::{MappedSource, check_row_count};

const BATCH_ROWS: u32 = 8192;

/// The source with a row for every element; the virtual column's name is the element's column.
pub fn unnest(source: Arc<dyn ColumnSource>, spec: &VirtualColumnSpec, context: &EvalContext) -> Result<Arc<dyn ColumnSource>> {
    let with_column = with_virtual_columns(source.clone(), std::slice::from_ref(spec), context)?;
    let mut map: Vec<u32> = Vec::new();
    let mut extra: IndexMap<String, Arc<dyn Column>> = IndexMap::new();
    if let Some(column) = with_column.column(spec.name())? {
        let elements = elements(column.as_ref(), source.row_count(), &mut map)?;
        check_row_count(map.len(), "unnest")?;
        extra.insert(spec.name().to_owned(), Arc::new(MemoryColumn::new(elements)?));
    }
    Ok(Arc::new(MappedSource { base: source, map: Arc::new(map), extra }))
}

/// The elements of all rows, with the row of each in `map`.
fn elements(column: &dyn Column, row_count: u32, map: &mut Vec<u32>) -> Result<Vector> {
    let capabilities = column.capabilities();
    let mut reader = column.reader()?;
    let batches =
        (0..row_count).step_by(BATCH_ROWS as usize).map(|start| start..(start.saturating_add(BATCH_ROWS)).min(row_count));
    if capabilities.column_type == ColumnType::String
        && capabilities.dictionary
        && let Some(dictionary) = column.dictionary()
    {
        // A multi-value row without values is null, and a row for that; a dictionary that has no null gets one.
        let null = dictionary.find(None)?;
        let nulls = capabilities.multi_value && has_empty_rows(reader.as_mut(), batches.clone())?;
        if nulls && null.is_none() {
            return texts(reader.as_mut(), batches, map);
        }
        let mut all = Vec::new();
        for batch in batches {
            let multi = reader.multi_codes(Rows::Range(batch.clone()))?;
            for (row, pair) in batch.zip(multi.offsets.windows(2)) {
                if let (true, true, Some(null)) = (nulls, pair[0] == pair[1], null) {
                    all.push(null);
                }
                all.extend_from_slice(&multi.codes[pair[0] as usize..pair[1] as usize]);
                map.resize(all.len(), row);
            }
        }
        return Ok(Vector::Codes { dictionary, codes: all });
    }
    let mut all: Vec<Value> = Vec::new();
    for batch in batches {
        for (row, value) in batch.clone().zip(reader.values(Rows::Range(batch))?) {
            match value {
                Value::Array(items) => all.extend(items.iter().cloned()),
                Value::Null => {}
                scalar => all.push(scalar.clone()),
            }
            map.resize(all.len(), row);
        }
    }
    let element_type = match capabilities.column_type {
        ColumnType::Array(element) => *element,
        other => other,
    };
    if element_type == ColumnType::String {
        let mut dictionary = MemoryDictionary::new();
        let codes = all.iter().map(|value| dictionary.intern(value.as_text().as_deref())).collect();
        return Ok(Vector::Codes { dictionary: Arc::new(dictionary), codes });
    }
    Ok(Vector::from_values(&element_type, all))
}

fn has_empty_rows(reader: &mut dyn ColumnReader, batches: impl Iterator<Item = Range<u32>>) -> Result<bool> {
    for batch in batches {
        if reader.multi_codes(Rows::Range(batch))?.offsets.windows(2).any(|pair| pair[0] == pair[1]) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The elements of a multi-value column with a dictionary of their own.
fn texts(reader: &mut dyn ColumnReader, batches: impl Iterator<Item = Range<u32>>, map: &mut Vec<u32>) -> Result<Vector> {
    let mut dictionary = MemoryDictionary::new();
    let mut codes = Vec::new();
    for batch in batches {
        for (row, value) in batch.clone().zip(reader.values(Rows::Range(batch))?) {
            match value {
                Value::Array(items) if !items.is_empty() => {
                    codes.extend(items.iter().map(|item| dictionary.intern(item.as_text().as_deref())));
                }
                Value::Array(_) => codes.push(dictionary.intern(None)),
                scalar => codes.push(dictionary.intern(scalar.as_text().as_deref())),
            }
            map.resize(codes.len(), row);
        }
    }
    Ok(Vector::Codes { dictionary: Arc::new(dictionary), codes })
}
