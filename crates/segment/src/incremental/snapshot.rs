//! The rows of an incremental index as queries see them: a copy made when asked for, rows by time, dictionaries in the
//! order of arrival. Also serves whole columns to the merger in tests and in memory.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use indexmap::IndexMap;
use ovate_base::{DruidError, Interval, Result};
use ovate_compute::{
    Column, ColumnCapabilities, ColumnReader, ColumnSource, ColumnType, Dictionary, MultiCodes, Numbers, Rows, Value,
};

use crate::interner::ByteInterner;
use crate::order::utf16_byte_order;
use crate::write::data::{CodeRows, ColumnData, NumberColumn, StringTable};
use crate::write::logical_type;

/// A table of whole columns in memory.
pub(crate) struct SnapshotSource {
    columns: IndexMap<String, Arc<SnapshotColumn>>,
    row_count: u32,
    interval: Interval,
}

impl SnapshotSource {
    /// `times` ascend.
    pub(crate) fn new(times: Vec<i64>, columns: Vec<(String, ColumnData, Option<Arc<dyn Dictionary>>)>) -> Self {
        let interval = match (times.first(), times.last()) {
            (Some(first), Some(last)) => Interval { start: *first, end: last.saturating_add(1) },
            _ => Interval { start: 0, end: 0 },
        };
        let row_count = times.len() as u32;
        let time = ColumnData::Long(NumberColumn { values: times, nulls: None });
        let mut all = IndexMap::new();
        all.insert("__time".to_owned(), Arc::new(SnapshotColumn::new(time, None)));
        for (name, data, dictionary) in columns {
            all.insert(name, Arc::new(SnapshotColumn::new(data, dictionary)));
        }
        SnapshotSource { columns: all, row_count, interval }
    }
}

impl ColumnSource for SnapshotSource {
    fn row_count(&self) -> u32 {
        self.row_count
    }
    fn column_names(&self) -> Vec<String> {
        self.columns.keys().cloned().collect()
    }
    fn capabilities(&self, name: &str) -> Option<ColumnCapabilities> {
        self.columns.get(name).map(|column| column.capabilities.clone())
    }
    fn column(&self, name: &str) -> Result<Option<Arc<dyn Column>>> {
        Ok(self.columns.get(name).map(|column| column.clone() as Arc<dyn Column>))
    }
    fn interval(&self) -> Interval {
        self.interval
    }
    fn is_time_sorted(&self) -> bool {
        true
    }
}

struct SnapshotColumn {
    data: Arc<ColumnData>,
    dictionary: Option<Arc<dyn Dictionary>>,
    capabilities: ColumnCapabilities,
}

impl SnapshotColumn {
    fn new(data: ColumnData, dictionary: Option<Arc<dyn Dictionary>>) -> Self {
        let (column_type, multi_value, has_nulls) = match &data {
            ColumnData::String(column) => (ColumnType::String, matches!(column.rows, CodeRows::Multi { .. }), true),
            ColumnData::Long(column) => (ColumnType::Long, false, column.nulls.is_some()),
            ColumnData::Float(column) => (ColumnType::Float, false, column.nulls.is_some()),
            ColumnData::Double(column) => (ColumnType::Double, false, column.nulls.is_some()),
            ColumnData::Auto(column) => (logical_type(&column.table, column.always_json, column.cast_to.as_ref()), false, true),
            ColumnData::Complex(column) => (ColumnType::Complex(Some(column.type_name.clone())), false, true),
        };
        let capabilities =
            ColumnCapabilities { column_type, multi_value, dictionary: dictionary.is_some(), bitmaps: false, has_nulls };
        SnapshotColumn { data: Arc::new(data), dictionary, capabilities }
    }
}

impl Column for SnapshotColumn {
    fn capabilities(&self) -> ColumnCapabilities {
        self.capabilities.clone()
    }
    fn reader(&self) -> Result<Box<dyn ColumnReader>> {
        Ok(Box::new(SnapshotReader {
            data: self.data.clone(),
            dictionary: self.dictionary.clone(),
            column_type: self.capabilities.column_type.clone(),
            longs: Vec::new(),
            floats: Vec::new(),
            doubles: Vec::new(),
            nulls: Vec::new(),
            codes: Vec::new(),
            offsets: Vec::new(),
            values: Vec::new(),
        }))
    }
    fn dictionary(&self) -> Option<Arc<dyn Dictionary>> {
        self.dictionary.clone()
    }
}

struct SnapshotReader {
    data: Arc<ColumnData>,
    dictionary: Option<Arc<dyn Dictionary>>,
    column_type: ColumnType,
    longs: Vec<i64>,
    floats: Vec<f32>,
    doubles: Vec<f64>,
    nulls: Vec<bool>,
    codes: Vec<u32>,
    offsets: Vec<u32>,
    values: Vec<Value>,
}

/// The rows of one numeric column, lent as they are for a run, copied for single rows.
fn lend<'a, T: Copy>(
    rows: Rows<'_>,
    values: &'a [T],
    nulls: Option<&'a [bool]>,
    value_buffer: &'a mut Vec<T>,
    null_buffer: &'a mut Vec<bool>,
) -> Result<Numbers<'a, T>> {
    match rows {
        Rows::Range(range) => {
            let range = range.start as usize..range.end as usize;
            let values = values.get(range.clone()).ok_or_else(out_of_range)?;
            let nulls = nulls.map(|nulls| &nulls[range]).filter(|nulls| nulls.contains(&true));
            Ok(Numbers { values, nulls })
        }
        Rows::Ids(ids) => {
            if ids.last().is_some_and(|last| *last as usize >= values.len()) {
                return Err(out_of_range());
            }
            value_buffer.clear();
            value_buffer.extend(ids.iter().map(|row| values[*row as usize]));
            null_buffer.clear();
            null_buffer.extend(nulls.iter().flat_map(|nulls| ids.iter().map(|row| nulls[*row as usize])));
            let nulls = null_buffer.contains(&true).then_some(null_buffer.as_slice());
            Ok(Numbers { values: value_buffer, nulls })
        }
    }
}

fn out_of_range() -> DruidError {
    DruidError::runtime("row out of range of an in-memory index")
}

/// Calls `each` with every row number.
fn for_each_row(rows: &Rows<'_>, each: impl FnMut(usize)) {
    match rows {
        Rows::Range(range) => range.clone().map(|row| row as usize).for_each(each),
        Rows::Ids(ids) => ids.iter().map(|row| *row as usize).for_each(each),
    }
}

impl ColumnReader for SnapshotReader {
    fn longs(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, i64>> {
        if matches!(&*self.data, ColumnData::Auto(_)) && self.column_type == ColumnType::Long {
            self.values(rows)?;
            self.longs.clear();
            self.longs.extend(self.values.iter().map(|value| value.as_long().unwrap_or(0)));
            self.nulls.clear();
            self.nulls.extend(self.values.iter().map(Value::is_null));
            return Ok(Numbers { values: &self.longs, nulls: Some(&self.nulls) });
        }
        match &*self.data {
            ColumnData::Long(c) => lend(rows, &c.values, c.nulls.as_deref(), &mut self.longs, &mut self.nulls),
            _ => Err(DruidError::runtime("column is not LONG")),
        }
    }

    fn floats(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, f32>> {
        match &*self.data {
            ColumnData::Float(c) => lend(rows, &c.values, c.nulls.as_deref(), &mut self.floats, &mut self.nulls),
            _ => Err(DruidError::runtime("column is not FLOAT")),
        }
    }

    fn doubles(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, f64>> {
        if matches!(&*self.data, ColumnData::Auto(_)) && self.column_type == ColumnType::Double {
            self.values(rows)?;
            self.doubles.clear();
            self.doubles.extend(self.values.iter().map(|value| value.as_double().unwrap_or(0.0)));
            self.nulls.clear();
            self.nulls.extend(self.values.iter().map(Value::is_null));
            return Ok(Numbers { values: &self.doubles, nulls: Some(&self.nulls) });
        }
        match &*self.data {
            ColumnData::Double(c) => lend(rows, &c.values, c.nulls.as_deref(), &mut self.doubles, &mut self.nulls),
            _ => Err(DruidError::runtime("column is not DOUBLE")),
        }
    }

    fn codes(&mut self, rows: Rows<'_>) -> Result<&[u32]> {
        let ColumnData::String(column) = &*self.data else { return Err(DruidError::runtime("column has no dictionary")) };
        let CodeRows::Single(codes) = &column.rows else { return Err(DruidError::runtime("column has several values a row")) };
        Ok(lend(rows, codes, None, &mut self.codes, &mut self.nulls)?.values)
    }

    fn multi_codes(&mut self, rows: Rows<'_>) -> Result<MultiCodes<'_>> {
        let ColumnData::String(column) = &*self.data else { return Err(DruidError::runtime("column has no dictionary")) };
        self.offsets.clear();
        self.codes.clear();
        self.offsets.push(0);
        let (out, ends) = (&mut self.codes, &mut self.offsets);
        match &column.rows {
            CodeRows::Single(codes) => for_each_row(&rows, |row| {
                out.push(codes[row]);
                ends.push(out.len() as u32);
            }),
            CodeRows::Multi { offsets, codes } => for_each_row(&rows, |row| {
                out.extend_from_slice(&codes[offsets[row] as usize..offsets[row + 1] as usize]);
                ends.push(out.len() as u32);
            }),
        }
        Ok(MultiCodes { offsets: &self.offsets, codes: &self.codes })
    }

    fn values(&mut self, rows: Rows<'_>) -> Result<&[Value]> {
        let mut values = std::mem::take(&mut self.values);
        values.clear();
        let nulls = |nulls: &Option<Vec<bool>>, row: usize| nulls.as_ref().is_some_and(|nulls| nulls[row]);
        match &*self.data {
            ColumnData::String(column) => {
                let text = |code: u32| -> Value {
                    let found = self.dictionary.as_ref().and_then(|dictionary| dictionary.get(code).ok().flatten());
                    found.map_or(Value::Null, |text| Value::from(text.as_ref()))
                };
                for_each_row(&rows, |row| {
                    values.push(match &column.rows {
                        CodeRows::Single(codes) => text(codes[row]),
                        CodeRows::Multi { offsets, codes } => match &codes[offsets[row] as usize..offsets[row + 1] as usize] {
                            [] => Value::Null,
                            [code] => text(*code),
                            codes => Value::Array(codes.iter().map(|code| text(*code)).collect()),
                        },
                    });
                });
            }
            ColumnData::Long(c) => for_each_row(&rows, |row| {
                values.push(if nulls(&c.nulls, row) { Value::Null } else { Value::Long(c.values[row]) });
            }),
            ColumnData::Float(c) => for_each_row(&rows, |row| {
                values.push(if nulls(&c.nulls, row) { Value::Null } else { Value::Float(c.values[row]) });
            }),
            ColumnData::Double(c) => for_each_row(&rows, |row| {
                values.push(if nulls(&c.nulls, row) { Value::Null } else { Value::Double(c.values[row]) });
            }),
            ColumnData::Auto(c) => for_each_row(&rows, |row| {
                let value = c.table.view(c.codes[row]);
                values.push(match &self.column_type {
                    ColumnType::Complex(_) if c.codes[row] != 0 => Value::Json(Arc::new(value.to_json())),
                    column_type => value.to_value().cast(column_type),
                });
            }),
            ColumnData::Complex(c) => for_each_row(&rows, |row| {
                let bytes = c.rows.get(row);
                values.push(match bytes {
                    [] => Value::Null,
                    bytes => Value::Complex(c.type_name.clone(), bytes::Bytes::copy_from_slice(bytes)),
                });
            }),
        }
        self.values = values;
        Ok(&self.values)
    }
}

/// The dictionary of a string dimension while it is still growing: null is 0, texts follow in order of arrival.
pub(crate) struct ArrivalDictionary(pub(crate) ByteInterner);

impl Dictionary for ArrivalDictionary {
    fn cardinality(&self) -> u32 {
        self.0.len() as u32 + 1
    }
    fn get(&self, code: u32) -> Result<Option<Cow<'_, str>>> {
        match code {
            0 => Ok(None),
            code if code <= self.0.len() as u32 => Ok(Some(String::from_utf8_lossy(self.0.get(code - 1)))),
            code => Err(DruidError::runtime(format!("code out of range. code={code} cardinality={}", self.0.len() + 1))),
        }
    }
    fn find(&self, value: Option<&str>) -> Result<Option<u32>> {
        Ok(match value {
            None => Some(0),
            Some(text) => self.0.find(text.as_bytes()).map(|code| code + 1),
        })
    }
    fn is_sorted(&self) -> bool {
        false
    }
}

/// The dictionary of a column in segment order.
pub(crate) struct TableDictionary(pub(crate) Arc<StringTable>);

impl Dictionary for TableDictionary {
    fn cardinality(&self) -> u32 {
        self.0.cardinality() as u32
    }
    fn get(&self, code: u32) -> Result<Option<Cow<'_, str>>> {
        if code >= self.cardinality() {
            return Err(DruidError::runtime(format!("code out of range. code={code} cardinality={}", self.cardinality())));
        }
        Ok(self.0.get(code).map(String::from_utf8_lossy))
    }
    fn find(&self, value: Option<&str>) -> Result<Option<u32>> {
        let first = u32::from(self.0.has_null);
        let Some(value) = value else { return Ok(self.0.has_null.then_some(0)) };
        let (mut low, mut high) = (0, self.0.texts.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match utf16_byte_order(self.0.texts.get(middle), value.as_bytes()) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Ok(Some(middle as u32 + first)),
                Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }
    /// Java's order is not byte order once characters beyond the BMP are there; nothing here depends on it.
    fn is_sorted(&self) -> bool {
        false
    }
}
