//! A LONG column with the same value in every row: the time of a projection that groups by no time.

use croaring::Bitmap;
use ovate_base::Result;
use ovate_compute::column::{Column, ColumnCapabilities, ColumnReader, Numbers};
use ovate_compute::{ColumnType, Rows, Value};

use super::string_column::check_inside;

/// The column.
pub(crate) struct ConstantLong {
    rows: u32,
    value: i64,
}

impl ConstantLong {
    pub(crate) fn new(rows: u32, value: i64) -> Self {
        ConstantLong { rows, value }
    }
}

impl Column for ConstantLong {
    fn capabilities(&self) -> ColumnCapabilities {
        ColumnCapabilities {
            column_type: ColumnType::Long,
            multi_value: false,
            dictionary: false,
            bitmaps: false,
            has_nulls: false,
        }
    }

    fn reader(&self) -> Result<Box<dyn ColumnReader>> {
        let (rows, value) = (self.rows, self.value);
        Ok(Box::new(ConstantReader { rows, value, longs: Vec::new(), values: Vec::new() }))
    }

    fn null_rows(&self) -> Result<Option<Bitmap>> {
        Ok(Some(Bitmap::new()))
    }
}

struct ConstantReader {
    rows: u32,
    value: i64,
    longs: Vec<i64>,
    values: Vec<Value>,
}

impl ColumnReader for ConstantReader {
    fn longs(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, i64>> {
        check_inside(&rows, self.rows)?;
        self.longs.resize(rows.len(), self.value);
        Ok(Numbers { values: &self.longs, nulls: None })
    }

    fn values(&mut self, rows: Rows<'_>) -> Result<&[Value]> {
        check_inside(&rows, self.rows)?;
        self.values.resize(rows.len(), Value::Long(self.value));
        Ok(&self.values)
    }
}
