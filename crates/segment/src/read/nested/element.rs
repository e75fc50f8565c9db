//! One element of the arrays of a column, as a column: the path `$.a[0]` where `$.a` is stored as arrays.

use std::sync::Arc;

use ovate_base::Result;
use ovate_compute::column::{Column, ColumnCapabilities, ColumnReader, Numbers};
use ovate_compute::{ColumnType, Rows, Value};

use super::mixed::NumberScratch;
use crate::read::cursor::damaged;
use crate::read::null_column::NullColumn;

/// The column of elements at `index` (negative counts from the end); nulls where the column has no arrays.
pub(crate) fn element_of(arrays: Arc<dyn Column>, index: i64, rows: u32) -> Arc<dyn Column> {
    match arrays.capabilities().column_type {
        ColumnType::Array(element) => Arc::new(ElementColumn { arrays, index, element: *element }),
        _ => Arc::new(NullColumn { rows }),
    }
}

struct ElementColumn {
    arrays: Arc<dyn Column>,
    index: i64,
    element: ColumnType,
}

impl Column for ElementColumn {
    fn capabilities(&self) -> ColumnCapabilities {
        ColumnCapabilities {
            column_type: self.element.clone(),
            multi_value: false,
            dictionary: false,
            bitmaps: false,
            has_nulls: true,
        }
    }

    fn reader(&self) -> Result<Box<dyn ColumnReader>> {
        Ok(Box::new(ElementReader {
            arrays: self.arrays.reader()?,
            index: self.index,
            element: self.element.clone(),
            values: Vec::new(),
            numbers: NumberScratch::default(),
        }))
    }
}

struct ElementReader {
    arrays: Box<dyn ColumnReader>,
    index: i64,
    element: ColumnType,
    values: Vec<Value>,
    numbers: NumberScratch,
}

impl ElementReader {
    fn fill(&mut self, rows: Rows<'_>) -> Result<()> {
        self.values.clear();
        for value in self.arrays.values(rows)? {
            let element = match value {
                Value::Array(list) => {
                    let at = if self.index < 0 { self.index.saturating_add(list.len() as i64) } else { self.index };
                    usize::try_from(at).ok().and_then(|at| list.get(at)).cloned()
                }
                _ => None,
            };
            self.values.push(element.unwrap_or_default());
        }
        Ok(())
    }

    fn fill_numbers(&mut self, rows: Rows<'_>, wanted: &ColumnType) -> Result<()> {
        if self.element != *wanted {
            return Err(damaged(format!("column is not {wanted}")));
        }
        self.fill(rows)?;
        self.numbers.fill(&self.values);
        Ok(())
    }
}

impl ColumnReader for ElementReader {
    fn longs(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, i64>> {
        self.fill_numbers(rows, &ColumnType::Long)?;
        Ok(self.numbers.longs())
    }

    fn doubles(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, f64>> {
        self.fill_numbers(rows, &ColumnType::Double)?;
        Ok(self.numbers.doubles())
    }

    fn values(&mut self, rows: Rows<'_>) -> Result<&[Value]> {
        self.fill(rows)?;
        Ok(&self.values)
    }
}
