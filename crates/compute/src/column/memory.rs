//! `MemoryTable`: rows held as [`Vector`]s behind the column traits - inline data sources, subquery results, tests
//! (Druid's `RowBasedSegment` and `FrameSegment`).

use std::sync::Arc;

use croaring::Bitmap;
use indexmap::IndexMap;
use ovate_base::{DruidError, Interval, Result};

use super::{
    BitmapIndex, Column, ColumnCapabilities, ColumnReader, ColumnSource, Dictionary, MemoryDictionary, MultiCodes, Numbers, Rows,
};
use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

/// A table in memory.
pub struct MemoryTable {
    columns: IndexMap<String, Arc<dyn Column>>,
    row_count: u32,
    interval: Interval,
    time_sorted: bool,
}

impl MemoryTable {
    /// Makes a table of columns of the same length. Strings get dictionaries.
    pub fn new(columns: Vec<(String, Vector)>) -> Result<Self> {
        let row_count = columns.first().map_or(0, |(_, vector)| vector.len());
        let mut table = MemoryTable {
            columns: IndexMap::new(),
            row_count: row_count as u32,
            interval: Interval::ETERNITY,
            time_sorted: false,
        };
        for (name, vector) in columns {
            if vector.len() != row_count {
                return Err(DruidError::invalid_input(format!(
                    "columns of one table differ in length. column={name} rows={} expected={row_count}",
                    vector.len()
                )));
            }
            if let (crate::TIME_COLUMN, Vector::Long { values, nulls: None }) = (name.as_str(), &vector) {
                table.time_sorted = values.is_sorted();
                if let (Some(min), Some(max)) = (values.iter().min(), values.iter().max()) {
                    table.interval = Interval { start: *min, end: max.saturating_add(1) };
                }
            }
            table.columns.insert(name, Arc::new(MemoryColumn::new(vector)?));
        }
        Ok(table)
    }

    /// A table without columns but with rows.
    pub fn without_columns(row_count: u32) -> Self {
        MemoryTable { columns: IndexMap::new(), row_count, interval: Interval::ETERNITY, time_sorted: false }
    }

    /// Builds bitmap indexes for all string columns.
    pub fn with_bitmaps(mut self) -> Result<Self> {
        let row_count = self.row_count;
        for column in self.columns.values_mut() {
            if column.capabilities().dictionary && !column.capabilities().bitmaps {
                *column = Arc::new(Indexed::build(column.clone(), row_count)?);
            }
        }
        Ok(self)
    }
}

impl ColumnSource for MemoryTable {
    fn row_count(&self) -> u32 {
        self.row_count
    }
    fn column_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.columns.keys().cloned().collect();
        if let Some(position) = names.iter().position(|name| name == crate::TIME_COLUMN) {
            names[..=position].rotate_right(1);
        }
        names
    }
    fn capabilities(&self, name: &str) -> Option<ColumnCapabilities> {
        self.columns.get(name).map(|column| column.capabilities())
    }
    fn column(&self, name: &str) -> Result<Option<Arc<dyn Column>>> {
        Ok(self.columns.get(name).cloned())
    }
    fn interval(&self) -> Interval {
        self.interval
    }
    fn is_time_sorted(&self) -> bool {
        self.time_sorted
    }
}

/// A column over a vector.
pub struct MemoryColumn {
    data: Arc<Data>,
    capabilities: ColumnCapabilities,
}

enum Data {
    Plain(Vector),
    Multi { dictionary: Arc<dyn Dictionary>, offsets: Vec<u32>, codes: Vec<u32> },
}

impl MemoryColumn {
    /// Strings are given a dictionary when they have none; arrays in a STRING column become multi-value rows.
    pub fn new(vector: Vector) -> Result<Self> {
        let column_type = vector.column_type().unwrap_or(ColumnType::String);
        let has_nulls = match &vector {
            Vector::Long { nulls, .. } | Vector::Float { nulls, .. } | Vector::Double { nulls, .. } => nulls.is_some(),
            Vector::Codes { dictionary, .. } => dictionary.find(None)?.is_some(),
            _ => true,
        };
        let data = match vector {
            Vector::String(values) => encode(values.iter().map(|v| v.as_deref())),
            Vector::Null { len } => encode((0..len).map(|_| None)),
            Vector::Any { column_type: ColumnType::String, values } => {
                if values.iter().any(|v| matches!(v, Value::Array(_))) {
                    encode_multi(&values)
                } else {
                    let texts: Vec<Option<Arc<str>>> = values.iter().map(Value::as_text).collect();
                    encode(texts.iter().map(|v| v.as_deref()))
                }
            }
            other => Data::Plain(other),
        };
        let dictionary = matches!(data, Data::Multi { .. } | Data::Plain(Vector::Codes { .. }));
        let multi_value = matches!(data, Data::Multi { .. });
        let capabilities = ColumnCapabilities { column_type, multi_value, dictionary, bitmaps: false, has_nulls };
        Ok(MemoryColumn { data: Arc::new(data), capabilities })
    }
}

fn encode<'a>(values: impl Iterator<Item = Option<&'a str>>) -> Data {
    let mut dictionary = MemoryDictionary::new();
    let mut codes: Vec<u32> = values.map(|value| dictionary.intern(value)).collect();
    let (dictionary, mapping) = dictionary.into_sorted();
    codes.iter_mut().for_each(|code| *code = mapping[*code as usize]);
    Data::Plain(Vector::Codes { dictionary: Arc::new(dictionary), codes })
}

fn encode_multi(values: &[Value]) -> Data {
    let mut dictionary = MemoryDictionary::new();
    let (mut offsets, mut codes) = (vec![0], Vec::new());
    for value in values {
        match value {
            Value::Array(elements) if elements.is_empty() => {
                dictionary.intern(None);
            }
            Value::Array(elements) => {
                codes.extend(elements.iter().map(|element| dictionary.intern(element.as_text().as_deref())));
            }
            // An empty row equals null; the dictionary must know null, so that filters find the row.
            Value::Null => {
                dictionary.intern(None);
            }
            scalar => codes.push(dictionary.intern(scalar.as_text().as_deref())),
        }
        offsets.push(codes.len() as u32);
    }
    let (dictionary, mapping) = dictionary.into_sorted();
    codes.iter_mut().for_each(|code| *code = mapping[*code as usize]);
    Data::Multi { dictionary: Arc::new(dictionary), offsets, codes }
}

impl Column for MemoryColumn {
    fn capabilities(&self) -> ColumnCapabilities {
        self.capabilities.clone()
    }
    fn reader(&self) -> Result<Box<dyn ColumnReader>> {
        Ok(Box::new(MemoryReader { data: self.data.clone(), ..MemoryReader::default() }))
    }
    fn dictionary(&self) -> Option<Arc<dyn Dictionary>> {
        match self.data.as_ref() {
            Data::Plain(Vector::Codes { dictionary, .. }) | Data::Multi { dictionary, .. } => Some(dictionary.clone()),
            Data::Plain(_) => None,
        }
    }
}

struct MemoryReader {
    data: Arc<Data>,
    longs: Vec<i64>,
    floats: Vec<f32>,
    doubles: Vec<f64>,
    nulls: Vec<bool>,
    codes: Vec<u32>,
    offsets: Vec<u32>,
    values: Vec<Value>,
}

impl Default for MemoryReader {
    fn default() -> Self {
        MemoryReader {
            data: Arc::new(Data::Plain(Vector::Null { len: 0 })),
            longs: Vec::new(),
            floats: Vec::new(),
            doubles: Vec::new(),
            nulls: Vec::new(),
            codes: Vec::new(),
            offsets: Vec::new(),
            values: Vec::new(),
        }
    }
}

/// Lends a run as it stands, copies scattered rows into the reader's own buffer.
fn lend<'a, T: Copy>(values: &'a [T], rows: &Rows<'_>, buffer: &'a mut Vec<T>) -> &'a [T] {
    match rows {
        Rows::Range(range) => &values[range.start as usize..range.end as usize],
        Rows::Ids(ids) => {
            buffer.clear();
            buffer.extend(ids.iter().map(|id| values[*id as usize]));
            buffer
        }
    }
}

impl ColumnReader for MemoryReader {
    fn longs(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, i64>> {
        match self.data.as_ref() {
            Data::Plain(Vector::Long { values, nulls }) => Ok(Numbers {
                values: lend(values, &rows, &mut self.longs),
                nulls: nulls.as_ref().map(|n| lend(n, &rows, &mut self.nulls)),
            }),
            _ => Err(DruidError::runtime("column is not LONG")),
        }
    }
    fn floats(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, f32>> {
        match self.data.as_ref() {
            Data::Plain(Vector::Float { values, nulls }) => Ok(Numbers {
                values: lend(values, &rows, &mut self.floats),
                nulls: nulls.as_ref().map(|n| lend(n, &rows, &mut self.nulls)),
            }),
            _ => Err(DruidError::runtime("column is not FLOAT")),
        }
    }
    fn doubles(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, f64>> {
        match self.data.as_ref() {
            Data::Plain(Vector::Double { values, nulls }) => Ok(Numbers {
                values: lend(values, &rows, &mut self.doubles),
                nulls: nulls.as_ref().map(|n| lend(n, &rows, &mut self.nulls)),
            }),
            _ => Err(DruidError::runtime("column is not DOUBLE")),
        }
    }
    fn codes(&mut self, rows: Rows<'_>) -> Result<&[u32]> {
        match self.data.as_ref() {
            Data::Plain(Vector::Codes { codes, .. }) => Ok(lend(codes, &rows, &mut self.codes)),
            _ => Err(DruidError::runtime("column is not single-valued with a dictionary")),
        }
    }
    fn multi_codes(&mut self, rows: Rows<'_>) -> Result<MultiCodes<'_>> {
        let MemoryReader { data, codes, offsets, .. } = self;
        codes.clear();
        offsets.clear();
        offsets.push(0);
        match data.as_ref() {
            Data::Plain(Vector::Codes { codes: all, .. }) => {
                for_rows(&rows, |row| codes.push(all[row]));
                offsets.extend(1..=codes.len() as u32);
            }
            Data::Multi { offsets: starts, codes: all, .. } => for_rows(&rows, |row| {
                codes.extend_from_slice(&all[starts[row] as usize..starts[row + 1] as usize]);
                offsets.push(codes.len() as u32);
            }),
            Data::Plain(_) => return Err(DruidError::runtime("column has no dictionary")),
        }
        Ok(MultiCodes { offsets, codes })
    }
    fn values(&mut self, rows: Rows<'_>) -> Result<&[Value]> {
        let MemoryReader { data, values, .. } = self;
        values.clear();
        match data.as_ref() {
            Data::Plain(vector) => for_rows(&rows, |row| values.push(vector.value(row))),
            Data::Multi { dictionary, offsets, codes } => {
                let text = |code: u32| match dictionary.get(code) {
                    Ok(Some(text)) => Value::from(text.as_ref()),
                    _ => Value::Null,
                };
                for_rows(&rows, |row| {
                    let own = &codes[offsets[row] as usize..offsets[row + 1] as usize];
                    values.push(match own {
                        [] => Value::Null,
                        [one] => text(*one),
                        many => Value::Array(many.iter().map(|code| text(*code)).collect()),
                    });
                });
            }
        }
        Ok(values)
    }
}

fn for_rows(rows: &Rows<'_>, mut each: impl FnMut(usize)) {
    match rows {
        Rows::Range(range) => range.clone().for_each(|row| each(row as usize)),
        Rows::Ids(ids) => ids.iter().for_each(|row| each(*row as usize)),
    }
}

/// A column with bitmaps built in memory.
struct Indexed {
    column: Arc<dyn Column>,
    bitmaps: Arc<MemoryBitmaps>,
}

struct MemoryBitmaps(Vec<Bitmap>);

impl BitmapIndex for MemoryBitmaps {
    fn bitmap(&self, code: u32) -> Result<Bitmap> {
        self.0.get(code as usize).cloned().ok_or_else(|| DruidError::runtime(format!("code out of range. code={code}")))
    }
}

impl Indexed {
    fn build(column: Arc<dyn Column>, row_count: u32) -> Result<Self> {
        let dictionary = column.dictionary().ok_or_else(|| DruidError::runtime("column has no dictionary"))?;
        let mut bitmaps = vec![Bitmap::new(); dictionary.cardinality() as usize];
        let null_code = dictionary.find(None)?;
        let mut reader = column.reader()?;
        let multi = reader.multi_codes(Rows::Range(0..row_count))?;
        for row in 0..row_count as usize {
            let codes = &multi.codes[multi.offsets[row] as usize..multi.offsets[row + 1] as usize];
            codes.iter().for_each(|code| bitmaps[*code as usize].add(row as u32));
            if let ([], Some(null)) = (codes, null_code) {
                bitmaps[null as usize].add(row as u32);
            }
        }
        Ok(Indexed { column, bitmaps: Arc::new(MemoryBitmaps(bitmaps)) })
    }
}

impl Column for Indexed {
    fn capabilities(&self) -> ColumnCapabilities {
        ColumnCapabilities { bitmaps: true, ..self.column.capabilities() }
    }
    fn reader(&self) -> Result<Box<dyn ColumnReader>> {
        self.column.reader()
    }
    fn dictionary(&self) -> Option<Arc<dyn Dictionary>> {
        self.column.dictionary()
    }
    fn bitmap_index(&self) -> Option<Arc<dyn BitmapIndex>> {
        Some(self.bitmaps.clone())
    }
}
