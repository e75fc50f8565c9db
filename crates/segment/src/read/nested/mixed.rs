//! Columns whose rows are ids of values of any type: arrays, mixed scalars, and json fields of several types.

use std::sync::Arc;

use croaring::Bitmap;
use ovate_base::Result;
use ovate_compute::column::{Column, ColumnCapabilities, ColumnReader, Numbers};
use ovate_compute::{ColumnType, Rows, Value};

use super::values::GlobalValues;
use crate::read::bitmap::NullBitmap;
use crate::read::cursor::{At, Place, damaged};
use crate::read::fixed_indexed::FixedIndexed;
use crate::read::ints::{Ints, IntsReader};
use crate::read::string_column::check_inside;

/// The column.
pub(crate) struct MixedColumn {
    pub(crate) rows: u32,
    /// The type that all values can be taken for.
    pub(crate) column_type: ColumnType,
    pub(crate) has_nulls: bool,
    pub(crate) ids: Arc<Ints>,
    /// Global ids by local id, where rows have local ids.
    pub(crate) local: Option<Arc<FixedIndexed<i32>>>,
    pub(crate) values: Arc<GlobalValues>,
    pub(crate) nulls: Option<NullBitmap>,
    pub(crate) place: Place,
}

impl Column for MixedColumn {
    fn capabilities(&self) -> ColumnCapabilities {
        ColumnCapabilities {
            column_type: self.column_type.clone(),
            multi_value: false,
            dictionary: false,
            bitmaps: false,
            has_nulls: self.has_nulls,
        }
    }

    fn reader(&self) -> Result<Box<dyn ColumnReader>> {
        Ok(Box::new(MixedReader {
            rows: self.rows,
            column_type: self.column_type.clone(),
            ids: IntsReader::new(self.ids.clone()),
            local: self.local.clone(),
            values: self.values.clone(),
            codes: Vec::new(),
            known: Vec::new(),
            out: Vec::new(),
            numbers: NumberScratch::default(),
            place: self.place.clone(),
        }))
    }

    fn null_rows(&self) -> Result<Option<Bitmap>> {
        match &self.nulls {
            _ if !self.has_nulls => Ok(Some(Bitmap::new())),
            Some(nulls) => nulls.bitmap().map(Some).at(&self.place),
            None => Ok(None),
        }
    }
}

/// Values spread to numbers; what is no number counts as null.
#[derive(Default)]
pub(crate) struct NumberScratch {
    longs: Vec<i64>,
    doubles: Vec<f64>,
    flags: Vec<bool>,
}

impl NumberScratch {
    pub(crate) fn fill(&mut self, values: &[Value]) {
        self.longs.clear();
        self.doubles.clear();
        self.flags.clear();
        for value in values {
            let (long, double, null) = match value {
                Value::Long(v) => (*v, *v as f64, false),
                Value::Double(v) => (*v as i64, *v, false),
                _ => (0, 0.0, true),
            };
            self.longs.push(long);
            self.doubles.push(double);
            self.flags.push(null);
        }
    }

    pub(crate) fn longs(&self) -> Numbers<'_, i64> {
        Numbers { values: &self.longs, nulls: self.flags.contains(&true).then_some(&self.flags) }
    }

    pub(crate) fn doubles(&self) -> Numbers<'_, f64> {
        Numbers { values: &self.doubles, nulls: self.flags.contains(&true).then_some(&self.flags) }
    }
}

struct MixedReader {
    rows: u32,
    column_type: ColumnType,
    ids: IntsReader,
    local: Option<Arc<FixedIndexed<i32>>>,
    values: Arc<GlobalValues>,
    codes: Vec<u32>,
    /// Values by id that were met before.
    known: Vec<Option<Value>>,
    out: Vec<Value>,
    numbers: NumberScratch,
    place: Place,
}

/// Up to this many ids have their values kept.
const KNOWN_MAX: u32 = 1 << 16;

impl MixedReader {
    fn value(&mut self, code: u32) -> Result<Value> {
        if let Some(Some(value)) = self.known.get(code as usize) {
            return Ok(value.clone());
        }
        let (id, total) = match &self.local {
            None => (code, self.values.len()),
            Some(local) => (local.get(code)?.ok_or_else(|| damaged("local id is null"))? as u32, local.len()),
        };
        let value = match (self.values.get(id)?, &self.column_type) {
            // A mix of numbers reads as doubles.
            (Value::Long(value), ColumnType::Double) => Value::Double(value as f64),
            (value, _) => value,
        };
        if total <= KNOWN_MAX && code < total {
            self.known.resize(total as usize, None);
            self.known[code as usize] = Some(value.clone());
        }
        Ok(value)
    }

    fn fill(&mut self, rows: &Rows<'_>) -> Result<()> {
        check_inside(rows, self.rows)?;
        self.codes.clear();
        match rows {
            Rows::Range(range) => self.ids.range(range.clone(), &mut self.codes)?,
            Rows::Ids(ids) => self.ids.gather(ids, &mut self.codes)?,
        }
        self.out.clear();
        for i in 0..self.codes.len() {
            let value = self.value(self.codes[i])?;
            self.out.push(value);
        }
        Ok(())
    }

    fn fill_numbers(&mut self, rows: &Rows<'_>, wanted: &ColumnType) -> Result<()> {
        if self.column_type != *wanted {
            return Err(damaged(format!("column is not {wanted}")));
        }
        self.fill(rows)?;
        self.numbers.fill(&self.out);
        Ok(())
    }
}

impl ColumnReader for MixedReader {
    fn longs(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, i64>> {
        self.fill_numbers(&rows, &ColumnType::Long).at(&self.place)?;
        Ok(self.numbers.longs())
    }

    fn doubles(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, f64>> {
        self.fill_numbers(&rows, &ColumnType::Double).at(&self.place)?;
        Ok(self.numbers.doubles())
    }

    fn values(&mut self, rows: Rows<'_>) -> Result<&[Value]> {
        self.fill(&rows).at(&self.place)?;
        Ok(&self.out)
    }
}
