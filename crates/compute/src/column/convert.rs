//! Any column read as longs, doubles, floats, strings, values or a [`Vector`], with Druid's implicit conversions: text is
//! parsed (null where it is no number), doubles truncate, of a multi-value row the first value counts, a missing column is
//! null. Buffers belong to the adapter; where the column has the wanted form already, its own slices are lent on.

use std::sync::Arc;

use ovate_base::Result;

use super::{Column, ColumnReader, Dictionary, Numbers, Rows};
use crate::types::ColumnType;
use crate::value::{self, Value};
use crate::vector::Vector;

/// A number type that columns can be read as.
pub trait Number: Copy + Default + Send + 'static {
    fn from_long(value: i64) -> Self;
    fn from_double(value: f64) -> Self;
    fn from_float(value: f32) -> Self;
    fn from_text(text: &str) -> Option<Self>;
    fn from_value(value: &Value) -> Option<Self>;
    /// The column type that is read without conversion.
    const NATIVE: ColumnType;
    /// Reads the native form.
    fn native<'a>(reader: &'a mut dyn ColumnReader, rows: Rows<'_>) -> Result<Numbers<'a, Self>>;
}

impl Number for i64 {
    fn from_long(value: i64) -> Self {
        value
    }
    fn from_double(value: f64) -> Self {
        value as i64
    }
    fn from_float(value: f32) -> Self {
        value as i64
    }
    fn from_text(text: &str) -> Option<Self> {
        value::text_to_long(text)
    }
    fn from_value(value: &Value) -> Option<Self> {
        value.as_long()
    }
    const NATIVE: ColumnType = ColumnType::Long;
    fn native<'a>(reader: &'a mut dyn ColumnReader, rows: Rows<'_>) -> Result<Numbers<'a, Self>> {
        reader.longs(rows)
    }
}

impl Number for f64 {
    fn from_long(value: i64) -> Self {
        value as f64
    }
    fn from_double(value: f64) -> Self {
        value
    }
    fn from_float(value: f32) -> Self {
        f64::from(value)
    }
    fn from_text(text: &str) -> Option<Self> {
        value::parse_double(text)
    }
    fn from_value(value: &Value) -> Option<Self> {
        value.as_double()
    }
    const NATIVE: ColumnType = ColumnType::Double;
    fn native<'a>(reader: &'a mut dyn ColumnReader, rows: Rows<'_>) -> Result<Numbers<'a, Self>> {
        reader.doubles(rows)
    }
}

impl Number for f32 {
    fn from_long(value: i64) -> Self {
        value as f32
    }
    fn from_double(value: f64) -> Self {
        value as f32
    }
    fn from_float(value: f32) -> Self {
        value
    }
    fn from_text(text: &str) -> Option<Self> {
        value::parse_double(text).map(|v| v as f32)
    }
    fn from_value(value: &Value) -> Option<Self> {
        value.as_double().map(|v| v as f32)
    }
    const NATIVE: ColumnType = ColumnType::Float;
    fn native<'a>(reader: &'a mut dyn ColumnReader, rows: Rows<'_>) -> Result<Numbers<'a, Self>> {
        reader.floats(rows)
    }
}

/// How the column behind an adapter is read.
enum Form {
    Missing,
    Native,
    Long,
    Float,
    Double,
    /// Dictionary codes, with the number of each code once it is known.
    Codes {
        dictionary: Arc<dyn Dictionary>,
        multi_value: bool,
    },
    Values,
}

/// What is remembered of a code.
#[derive(Clone, Copy, PartialEq)]
enum Known {
    No,
    Null,
    Number,
}

/// Reads any column as numbers of type `T`.
pub struct NumberReader<T> {
    reader: Option<Box<dyn ColumnReader>>,
    form: Form,
    values: Vec<T>,
    nulls: Vec<bool>,
    memo: Vec<(T, Known)>,
}

/// Reads any column as longs.
pub type LongReader = NumberReader<i64>;
/// Reads any column as doubles.
pub type DoubleReader = NumberReader<f64>;
/// Reads any column as floats.
pub type FloatReader = NumberReader<f32>;

/// Opens a column as longs; `None` reads as null.
pub fn longs(column: Option<&Arc<dyn Column>>) -> Result<LongReader> {
    NumberReader::open(column)
}

/// Opens a column as doubles.
pub fn doubles(column: Option<&Arc<dyn Column>>) -> Result<DoubleReader> {
    NumberReader::open(column)
}

/// Opens a column as floats.
pub fn floats(column: Option<&Arc<dyn Column>>) -> Result<FloatReader> {
    NumberReader::open(column)
}

impl<T: Number> NumberReader<T> {
    /// Opens a column; `None` reads as null.
    pub fn open(column: Option<&Arc<dyn Column>>) -> Result<Self> {
        let (reader, form) = match column {
            None => (None, Form::Missing),
            Some(column) => (Some(column.reader()?), Self::form(column.as_ref())),
        };
        let memo = match &form {
            Form::Codes { dictionary, .. } => vec![(T::default(), Known::No); dictionary.cardinality() as usize],
            _ => Vec::new(),
        };
        Ok(NumberReader { reader, form, values: Vec::new(), nulls: Vec::new(), memo })
    }

    fn form(column: &dyn Column) -> Form {
        let capabilities = column.capabilities();
        if capabilities.column_type == T::NATIVE {
            return Form::Native;
        }
        match (capabilities.column_type, column.dictionary()) {
            (ColumnType::Long, _) => Form::Long,
            (ColumnType::Float, _) => Form::Float,
            (ColumnType::Double, _) => Form::Double,
            (ColumnType::String, Some(dictionary)) if capabilities.dictionary => {
                Form::Codes { dictionary, multi_value: capabilities.multi_value }
            }
            _ => Form::Values,
        }
    }

    /// The rows as numbers; lent until the next call.
    pub fn read(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, T>> {
        let NumberReader { reader, form, values, nulls, memo } = self;
        values.clear();
        nulls.clear();
        let Some(reader) = reader.as_deref_mut() else {
            values.resize(rows.len(), T::default());
            nulls.resize(rows.len(), true);
            return Ok(Numbers { values, nulls: Some(nulls) });
        };
        match form {
            Form::Native | Form::Missing => T::native(reader, rows),
            Form::Long => {
                let own = reader.longs(rows)?;
                values.extend(own.values.iter().map(|v| T::from_long(*v)));
                Ok(Numbers { values, nulls: own.nulls })
            }
            Form::Float => {
                let own = reader.floats(rows)?;
                values.extend(own.values.iter().map(|v| T::from_float(*v)));
                Ok(Numbers { values, nulls: own.nulls })
            }
            Form::Double => {
                let own = reader.doubles(rows)?;
                values.extend(own.values.iter().map(|v| T::from_double(*v)));
                Ok(Numbers { values, nulls: own.nulls })
            }
            Form::Codes { dictionary, multi_value } => {
                let mut push = |code: Option<u32>| -> Result<()> {
                    let number = match code {
                        Some(code) => remembered(memo, dictionary.as_ref(), code)?,
                        None => None,
                    };
                    values.push(number.unwrap_or_default());
                    nulls.push(number.is_none());
                    Ok(())
                };
                if *multi_value {
                    let multi = reader.multi_codes(rows)?;
                    for pair in multi.offsets.windows(2) {
                        push((pair[0] < pair[1]).then(|| multi.codes[pair[0] as usize]))?;
                    }
                } else {
                    reader.codes(rows)?.iter().try_for_each(|code| push(Some(*code)))?;
                }
                Ok(Numbers { values, nulls: nulls.contains(&true).then_some(nulls) })
            }
            Form::Values => {
                for value in reader.values(rows)? {
                    let number = match value {
                        Value::Array(elements) => elements.first().and_then(T::from_value),
                        scalar => T::from_value(scalar),
                    };
                    values.push(number.unwrap_or_default());
                    nulls.push(number.is_none());
                }
                Ok(Numbers { values, nulls: nulls.contains(&true).then_some(nulls) })
            }
        }
    }
}

fn remembered<T: Number>(memo: &mut [(T, Known)], dictionary: &dyn Dictionary, code: u32) -> Result<Option<T>> {
    let known = memo.get_mut(code as usize);
    if let Some((number, state)) = &known {
        match state {
            Known::Number => return Ok(Some(*number)),
            Known::Null => return Ok(None),
            Known::No => {}
        }
    }
    let number = dictionary.get(code)?.and_then(|text| T::from_text(&text));
    if let Some(slot) = known {
        *slot = (number.unwrap_or_default(), if number.is_some() { Known::Number } else { Known::Null });
    }
    Ok(number)
}

/// Reads any column as vectors in its own type: what expressions take. FLOAT stays FLOAT; a multi-value row is an array.
pub struct VectorReader {
    reader: Option<Box<dyn ColumnReader>>,
    column_type: ColumnType,
    dictionary: Option<Arc<dyn Dictionary>>,
}

impl VectorReader {
    /// Opens a column; `None` reads as null.
    pub fn open(column: Option<&Arc<dyn Column>>) -> Result<Self> {
        let Some(column) = column else {
            return Ok(VectorReader { reader: None, column_type: ColumnType::String, dictionary: None });
        };
        let capabilities = column.capabilities();
        let single = capabilities.dictionary && !capabilities.multi_value && capabilities.column_type == ColumnType::String;
        let dictionary = if single { column.dictionary() } else { None };
        Ok(VectorReader { reader: Some(column.reader()?), column_type: capabilities.column_type, dictionary })
    }

    /// The rows as a vector.
    pub fn read(&mut self, rows: Rows<'_>) -> Result<Vector> {
        let Some(reader) = self.reader.as_deref_mut() else {
            return Ok(Vector::Null { len: rows.len() });
        };
        Ok(match (&self.column_type, &self.dictionary) {
            (ColumnType::Long, _) => {
                let own = reader.longs(rows)?;
                Vector::Long { values: own.values.to_vec(), nulls: own.nulls.map(<[bool]>::to_vec) }
            }
            (ColumnType::Float, _) => {
                let own = reader.floats(rows)?;
                Vector::Float { values: own.values.to_vec(), nulls: own.nulls.map(<[bool]>::to_vec) }
            }
            (ColumnType::Double, _) => {
                let own = reader.doubles(rows)?;
                Vector::Double { values: own.values.to_vec(), nulls: own.nulls.map(<[bool]>::to_vec) }
            }
            (ColumnType::String, Some(dictionary)) => {
                Vector::Codes { dictionary: dictionary.clone(), codes: reader.codes(rows)?.to_vec() }
            }
            (column_type, _) => Vector::Any { column_type: column_type.clone(), values: reader.values(rows)?.to_vec() },
        })
    }
}

/// Reads any column as text by value. Slow; prefer codes where there is a dictionary.
pub struct StringReader {
    vectors: VectorReader,
    texts: Vec<Option<Arc<str>>>,
}

/// Opens a column as strings.
pub fn strings(column: Option<&Arc<dyn Column>>) -> Result<StringReader> {
    Ok(StringReader { vectors: VectorReader::open(column)?, texts: Vec::new() })
}

impl StringReader {
    /// The rows as text; of a multi-value row the first value.
    pub fn read(&mut self, rows: Rows<'_>) -> Result<&[Option<Arc<str>>]> {
        let is_string = self.vectors.column_type == ColumnType::String;
        let vector = self.vectors.read(rows)?;
        self.texts.clear();
        self.texts.extend(vector.to_values().iter().map(|value| match value {
            Value::Array(elements) if is_string => elements.first().and_then(Value::as_text),
            other => other.as_text(),
        }));
        Ok(&self.texts)
    }
}
