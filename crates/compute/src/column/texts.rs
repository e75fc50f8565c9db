//! A column of any type read as text through a function, by value: extraction functions over numbers.

use std::sync::Arc;

use ovate_base::Result;

use super::{Column, ColumnCapabilities, ColumnReader, Rows};
use crate::types::ColumnType;
use crate::value::Value;

/// A function from values to values that threads share.
pub type ValueFn = Arc<dyn Fn(&Value) -> Value + Send + Sync>;

/// A STRING column without a dictionary whose values are computed from another column's.
pub struct ComputedText {
    base: Arc<dyn Column>,
    function: ValueFn,
}

impl ComputedText {
    pub fn new(base: Arc<dyn Column>, function: ValueFn) -> Self {
        ComputedText { base, function }
    }
}

impl Column for ComputedText {
    fn capabilities(&self) -> ColumnCapabilities {
        ColumnCapabilities {
            column_type: ColumnType::String,
            multi_value: false,
            dictionary: false,
            bitmaps: false,
            has_nulls: true,
        }
    }
    fn reader(&self) -> Result<Box<dyn ColumnReader>> {
        Ok(Box::new(Reader { base: self.base.reader()?, function: self.function.clone(), values: Vec::new() }))
    }
}

struct Reader {
    base: Box<dyn ColumnReader>,
    function: ValueFn,
    values: Vec<Value>,
}

impl ColumnReader for Reader {
    fn values(&mut self, rows: Rows<'_>) -> Result<&[Value]> {
        self.values.clear();
        let function = self.function.as_ref();
        // Time columns come in runs of equal values; remember the last one.
        let mut last: Option<(Value, Value)> = None;
        for value in self.base.values(rows)? {
            match &last {
                Some((input, output)) if input == value => self.values.push(output.clone()),
                _ => {
                    let output = function(value);
                    last = Some((value.clone(), output.clone()));
                    self.values.push(output);
                }
            }
        }
        Ok(&self.values)
    }
}
