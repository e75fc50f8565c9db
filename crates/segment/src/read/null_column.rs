//! Columns whose every row is null (part `null`): a dictionary of the one entry null, and all rows in its bitmap.

use std::borrow::Cow;
use std::sync::Arc;

use croaring::Bitmap;
use ovate_base::Result;
use ovate_compute::column::{Column, ColumnCapabilities, ColumnReader, MultiCodes};
use ovate_compute::{BitmapIndex, ColumnType, Dictionary, Rows, Value};

use super::cursor::damaged;
use super::string_column::check_inside;

/// The column; it needs only a row count.
pub(crate) struct NullColumn {
    pub(crate) rows: u32,
}

impl Column for NullColumn {
    fn capabilities(&self) -> ColumnCapabilities {
        ColumnCapabilities {
            column_type: ColumnType::String,
            multi_value: false,
            dictionary: true,
            bitmaps: true,
            has_nulls: true,
        }
    }

    fn reader(&self) -> Result<Box<dyn ColumnReader>> {
        Ok(Box::new(NullReader { rows: self.rows, codes: Vec::new(), offsets: Vec::new(), values: Vec::new() }))
    }

    fn dictionary(&self) -> Option<Arc<dyn Dictionary>> {
        Some(Arc::new(NullDictionary))
    }

    fn bitmap_index(&self) -> Option<Arc<dyn BitmapIndex>> {
        Some(Arc::new(AllRows(self.rows)))
    }

    fn null_rows(&self) -> Result<Option<Bitmap>> {
        Ok(Some(Bitmap::from_range(0..self.rows)))
    }
}

struct NullDictionary;

impl Dictionary for NullDictionary {
    fn cardinality(&self) -> u32 {
        1
    }

    fn get(&self, code: u32) -> Result<Option<Cow<'_, str>>> {
        if code == 0 { Ok(None) } else { Err(damaged(format!("code is not in the dictionary. code={code}"))) }
    }

    fn find(&self, value: Option<&str>) -> Result<Option<u32>> {
        Ok(value.is_none().then_some(0))
    }

    fn is_sorted(&self) -> bool {
        true
    }
}

struct AllRows(u32);

impl BitmapIndex for AllRows {
    fn bitmap(&self, code: u32) -> Result<Bitmap> {
        if code == 0 {
            Ok(Bitmap::from_range(0..self.0))
        } else {
            Err(damaged(format!("code is not in the dictionary. code={code}")))
        }
    }
}

struct NullReader {
    rows: u32,
    codes: Vec<u32>,
    offsets: Vec<u32>,
    values: Vec<Value>,
}

impl ColumnReader for NullReader {
    fn codes(&mut self, rows: Rows<'_>) -> Result<&[u32]> {
        check_inside(&rows, self.rows)?;
        self.codes.resize(rows.len(), 0);
        Ok(&self.codes)
    }

    fn multi_codes(&mut self, rows: Rows<'_>) -> Result<MultiCodes<'_>> {
        check_inside(&rows, self.rows)?;
        self.codes.resize(rows.len(), 0);
        self.offsets.clear();
        self.offsets.extend(0..=rows.len() as u32);
        Ok(MultiCodes { offsets: &self.offsets, codes: &self.codes })
    }

    fn values(&mut self, rows: Rows<'_>) -> Result<&[Value]> {
        check_inside(&rows, self.rows)?;
        self.values.resize(rows.len(), Value::Null);
        Ok(&self.values)
    }
}
