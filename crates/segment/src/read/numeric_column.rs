//! Long, float and double columns (parts `long`, `float`, `double` and their `V2` with a null bitmap), and the value
//! columns of `auto` numbers and json fields.

use std::ops::Range;
use std::sync::Arc;

use croaring::Bitmap;
use ovate_base::Result;
use ovate_compute::column::{Column, ColumnCapabilities, ColumnReader, LongBounds, Numbers, Summary};
use ovate_compute::{ColumnType, Rows, Value};

use super::bitmap::NullBitmap;
use super::compression::Compression;
use super::cursor::{At, ByteOrder, Cursor, Place, damaged};
use super::files::Files;
use super::fixed::{Fixed, FixedColumn, FixedReader};
use super::packed::read_packed;
use super::string_column::{PartContext, check_inside};

/// Values by row.
#[derive(Clone)]
pub(crate) enum NumberData {
    Long(Arc<FixedColumn<i64>>),
    Float(Arc<FixedColumn<f32>>),
    Double(Arc<FixedColumn<f64>>),
}

impl NumberData {
    /// Reads a long column's values (`CompressedColumnarLongsSupplier`).
    pub(crate) fn read_longs(cursor: &mut Cursor, files: &Files, order: ByteOrder) -> Result<Self> {
        let version = cursor.u8()?;
        let (total, per_block) = read_sizes(cursor)?;
        let (compression, encoding) = match version {
            1 => (Compression::Lzf, 0xFF),
            2 => match cursor.u8()? as i8 {
                // Below -2 the id is raised by 126 and an encoding follows.
                id if id < -2 => (Compression::from_id(id.wrapping_add(126) as u8)?, cursor.u8()?),
                id => (Compression::from_id(id as u8)?, 0xFF),
            },
            _ => return Err(damaged(format!("unknown version of longs. version={version}"))),
        };
        let header = (total, per_block, compression);
        Ok(NumberData::Long(Arc::new(match encoding {
            0xFF => FixedColumn::read(cursor, files, header, order)?,
            encoding => read_packed(cursor, files, header, encoding)?,
        })))
    }

    /// Reads a float column's values.
    pub(crate) fn read_floats(cursor: &mut Cursor, files: &Files, order: ByteOrder) -> Result<Self> {
        Ok(NumberData::Float(Arc::new(read_plain::<f32>(cursor, files, order)?)))
    }

    /// Reads a double column's values.
    pub(crate) fn read_doubles(cursor: &mut Cursor, files: &Files, order: ByteOrder) -> Result<Self> {
        Ok(NumberData::Double(Arc::new(read_plain::<f64>(cursor, files, order)?)))
    }

    pub(crate) fn total(&self) -> u32 {
        match self {
            NumberData::Long(c) => c.total,
            NumberData::Float(c) => c.total,
            NumberData::Double(c) => c.total,
        }
    }

    fn column_type(&self) -> ColumnType {
        match self {
            NumberData::Long(_) => ColumnType::Long,
            NumberData::Float(_) => ColumnType::Float,
            NumberData::Double(_) => ColumnType::Double,
        }
    }
}

fn read_sizes(cursor: &mut Cursor) -> Result<(u32, u32)> {
    Ok((cursor.count_be("number of values")? as u32, cursor.count_be("values of a block")? as u32))
}

fn read_plain<T: Fixed>(cursor: &mut Cursor, files: &Files, order: ByteOrder) -> Result<FixedColumn<T>> {
    let version = cursor.u8()?;
    let (total, per_block) = read_sizes(cursor)?;
    let compression = match version {
        1 => Compression::Lzf,
        2 => Compression::from_id(cursor.u8()?)?,
        _ => return Err(damaged(format!("unknown version of numbers. version={version}"))),
    };
    FixedColumn::read(cursor, files, (total, per_block, compression), order)
}

/// A column of numbers.
pub(crate) struct NumericColumn {
    pub(crate) rows: u32,
    pub(crate) data: NumberData,
    pub(crate) nulls: Option<Arc<NullBitmap>>,
    pub(crate) place: Place,
}

impl NumericColumn {
    /// Reads the part named `long`, `longV2` and so on.
    pub(crate) fn read(cursor: &mut Cursor, part: &PartContext<'_>, kind: &str) -> Result<Self> {
        let (base, has_length) = match kind.strip_suffix("V2") {
            Some(base) => (base, true),
            None => (kind, false),
        };
        let mut body = if has_length { Cursor::new(cursor.sized("byte count of numbers")?) } else { cursor.clone() };
        let data = match base {
            "long" => NumberData::read_longs(&mut body, part.files, part.order)?,
            "float" => NumberData::read_floats(&mut body, part.files, part.order)?,
            "double" => NumberData::read_doubles(&mut body, part.files, part.order)?,
            _ => return Err(damaged(format!("unknown column part. type={kind}"))),
        };
        let nulls = match has_length && cursor.remaining() > 0 {
            true => Some(Arc::new(NullBitmap::new(cursor.sized("byte count of a null bitmap")?, part.bitmaps, part.rows))),
            false => None,
        };
        Self::new(data, nulls, part)
    }

    pub(crate) fn new(data: NumberData, nulls: Option<Arc<NullBitmap>>, part: &PartContext<'_>) -> Result<Self> {
        if data.total() < part.rows {
            return Err(damaged(format!("column has too few rows. rows={} wanted={}", data.total(), part.rows)));
        }
        Ok(NumericColumn { rows: part.rows, data, nulls, place: part.place.clone() })
    }
}

impl Column for NumericColumn {
    fn capabilities(&self) -> ColumnCapabilities {
        ColumnCapabilities {
            column_type: self.data.column_type(),
            multi_value: false,
            dictionary: false,
            bitmaps: false,
            has_nulls: self.nulls.is_some(),
        }
    }

    fn reader(&self) -> Result<Box<dyn ColumnReader>> {
        Ok(Box::new(NumericReader {
            rows: self.rows,
            data: match &self.data {
                NumberData::Long(c) => DataReader::Long(FixedReader::new(c.clone())),
                NumberData::Float(c) => DataReader::Float(FixedReader::new(c.clone())),
                NumberData::Double(c) => DataReader::Double(FixedReader::new(c.clone())),
            },
            nulls: self.nulls.clone(),
            flags: Vec::new(),
            values: Vec::new(),
            place: self.place.clone(),
        }))
    }

    fn null_rows(&self) -> Result<Option<Bitmap>> {
        match &self.nulls {
            None => Ok(Some(Bitmap::new())),
            Some(nulls) => nulls.bitmap().map(Some).at(&self.place),
        }
    }

    fn long_bounds(&self) -> Result<Option<LongBounds>> {
        match &self.data {
            NumberData::Long(column) => column.bounds().at(&self.place),
            NumberData::Float(_) | NumberData::Double(_) => Ok(None),
        }
    }
}

enum DataReader {
    Long(FixedReader<i64>),
    Float(FixedReader<f32>),
    Double(FixedReader<f64>),
}

struct NumericReader {
    rows: u32,
    data: DataReader,
    nulls: Option<Arc<NullBitmap>>,
    flags: Vec<bool>,
    values: Vec<Value>,
    place: Place,
}

impl NumericReader {
    /// Checks the rows and fills `flags`; false when none of them is null.
    fn any_null(&mut self, rows: &Rows<'_>) -> Result<bool> {
        check_inside(rows, self.rows)?;
        match &self.nulls {
            None => Ok(false),
            Some(nulls) => nulls.flags(rows, &mut self.flags),
        }
    }
}

impl NumericReader {
    fn data_summary<T: Fixed>(
        &mut self,
        of: impl FnOnce(&mut DataReader) -> Option<&mut FixedReader<T>>,
        rows: Range<u32>,
    ) -> Result<Option<Summary<T>>> {
        match of(&mut self.data) {
            Some(reader) => reader.summary(rows).at(&self.place),
            None => Ok(None),
        }
    }
}

fn fixed_values<'a, T: Fixed>(reader: &'a mut FixedReader<T>, rows: Rows<'_>) -> Result<&'a [T]> {
    match rows {
        Rows::Range(range) => reader.range(range),
        Rows::Ids(ids) => reader.gather(ids),
    }
}

fn push_values<T: Copy>(numbers: &[T], nulls: Option<&[bool]>, value: impl Fn(T) -> Value, out: &mut Vec<Value>) {
    out.clear();
    out.extend(numbers.iter().enumerate().map(|(i, number)| match nulls {
        Some(flags) if flags[i] => Value::Null,
        _ => value(*number),
    }));
}

impl ColumnReader for NumericReader {
    fn longs(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, i64>> {
        let any = self.any_null(&rows).at(&self.place)?;
        let values = match &mut self.data {
            DataReader::Long(reader) => fixed_values(reader, rows),
            DataReader::Float(_) | DataReader::Double(_) => Err(damaged("column is not LONG")),
        };
        Ok(Numbers { values: values.at(&self.place)?, nulls: any.then_some(&self.flags) })
    }

    fn floats(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, f32>> {
        let any = self.any_null(&rows).at(&self.place)?;
        let DataReader::Float(reader) = &mut self.data else { return Err(damaged("column is not FLOAT")).at(&self.place) };
        Ok(Numbers { values: fixed_values(reader, rows).at(&self.place)?, nulls: any.then_some(&self.flags) })
    }

    fn doubles(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, f64>> {
        let any = self.any_null(&rows).at(&self.place)?;
        let DataReader::Double(reader) = &mut self.data else { return Err(damaged("column is not DOUBLE")).at(&self.place) };
        Ok(Numbers { values: fixed_values(reader, rows).at(&self.place)?, nulls: any.then_some(&self.flags) })
    }

    fn long_summary(&mut self, rows: Range<u32>) -> Result<Option<Summary<i64>>> {
        match self.any_null(&Rows::Range(rows.clone())).at(&self.place)? {
            false => self.data_summary(|data| if let DataReader::Long(reader) = data { Some(reader) } else { None }, rows),
            true => Ok(None),
        }
    }

    fn float_summary(&mut self, rows: Range<u32>) -> Result<Option<Summary<f32>>> {
        match self.any_null(&Rows::Range(rows.clone())).at(&self.place)? {
            false => self.data_summary(|data| if let DataReader::Float(reader) = data { Some(reader) } else { None }, rows),
            true => Ok(None),
        }
    }

    fn double_summary(&mut self, rows: Range<u32>) -> Result<Option<Summary<f64>>> {
        match self.any_null(&Rows::Range(rows.clone())).at(&self.place)? {
            false => self.data_summary(|data| if let DataReader::Double(reader) = data { Some(reader) } else { None }, rows),
            true => Ok(None),
        }
    }

    fn values(&mut self, rows: Rows<'_>) -> Result<&[Value]> {
        let any = self.any_null(&rows).at(&self.place)?;
        let nulls = any.then_some(&self.flags[..]);
        let out = &mut self.values;
        match &mut self.data {
            DataReader::Long(reader) => push_values(fixed_values(reader, rows).at(&self.place)?, nulls, Value::Long, out),
            DataReader::Float(reader) => push_values(fixed_values(reader, rows).at(&self.place)?, nulls, Value::Float, out),
            DataReader::Double(reader) => push_values(fixed_values(reader, rows).at(&self.place)?, nulls, Value::Double, out),
        }
        Ok(&self.values)
    }
}
