//! What a numeric aggregator reads: a column of any type or an expression, as numbers of the wanted type. Dictionary
//! columns parse each distinct value once.

use std::sync::Arc;

use ovate_base::{DruidError, Result};

use super::number::{Number, number_of, parse};
use crate::column::{ColumnReader, ColumnSource, Dictionary, Numbers, Rows};
use crate::context::EvalContext;
use crate::expr::{BoundExpr, Expr};
use crate::types::ColumnType;
use crate::vector::Vector;

/// Numbers of a batch. With `positions`, number `i` belongs to row `positions[i]` of the batch (multi-value rows give
/// one number a value); without, numbers and rows go together.
pub(crate) struct Read<'a, T> {
    pub(crate) numbers: Numbers<'a, T>,
    pub(crate) positions: Option<&'a [u32]>,
}

/// An aggregator's input column or expression.
pub(crate) struct Input {
    source: Source,
    longs: Scratch<i64>,
    floats: Scratch<f32>,
    doubles: Scratch<f64>,
    positions: Vec<u32>,
}

enum Source {
    Missing,
    Long(Box<dyn ColumnReader>),
    Float(Box<dyn ColumnReader>),
    Double(Box<dyn ColumnReader>),
    Codes(Box<dyn ColumnReader>, ParsedDictionary),
    MultiCodes(Box<dyn ColumnReader>, ParsedDictionary),
    Values(Box<dyn ColumnReader>),
    Expression(Box<BoundExpr>, Vector),
}

#[derive(Default)]
struct Scratch<T> {
    values: Vec<T>,
    nulls: Vec<bool>,
    any_null: bool,
}

impl<T: Number> Scratch<T> {
    fn clear(&mut self) {
        self.values.clear();
        self.nulls.clear();
        self.any_null = false;
    }
    fn push(&mut self, value: Option<T>) {
        self.any_null |= value.is_none();
        self.values.push(value.unwrap_or_default());
        self.nulls.push(value.is_none());
    }
    fn convert<S: Copy>(&mut self, numbers: Numbers<'_, S>, convert: impl Fn(S) -> T) {
        self.clear();
        self.values.extend(numbers.values.iter().map(|value| convert(*value)));
        if let Some(nulls) = numbers.nulls {
            self.any_null = true;
            self.nulls.extend_from_slice(nulls);
        }
    }
    fn lend(&self) -> Numbers<'_, T> {
        Numbers { values: &self.values, nulls: self.any_null.then_some(&self.nulls) }
    }
}

/// A dictionary's values as numbers, each parsed at most once.
struct ParsedDictionary {
    dictionary: Arc<dyn Dictionary>,
    /// `None`: not parsed yet.
    parsed: Vec<Option<Parsed>>,
}

#[derive(Clone, Copy)]
enum Parsed {
    Null,
    Long(i64),
    Double(f64),
}

impl ParsedDictionary {
    fn new(dictionary: Arc<dyn Dictionary>) -> Self {
        ParsedDictionary { dictionary, parsed: Vec::new() }
    }

    fn get<T: Number>(&mut self, code: u32) -> Result<Option<T>> {
        let index = code as usize;
        if index >= self.parsed.len() {
            let cardinality = self.dictionary.cardinality() as usize;
            if index >= cardinality {
                return Err(DruidError::runtime(format!("dictionary code out of range: {code}")));
            }
            self.parsed.resize(cardinality, None);
        }
        let parsed = match self.parsed[index] {
            Some(parsed) => parsed,
            None => {
                let parsed = match self.dictionary.get(code)? {
                    None => Parsed::Null,
                    Some(text) => match text.parse::<i64>() {
                        Ok(whole) => Parsed::Long(whole),
                        Err(_) => parse::<f64>(&text).map_or(Parsed::Null, Parsed::Double),
                    },
                };
                self.parsed[index] = Some(parsed);
                parsed
            }
        };
        Ok(match parsed {
            Parsed::Null => None,
            Parsed::Long(value) => Some(T::from_long(value)),
            Parsed::Double(value) => Some(T::from_double(value)),
        })
    }
}

impl Input {
    fn new(source: Source) -> Self {
        let positions = Vec::new();
        Input { source, longs: Scratch::default(), floats: Scratch::default(), doubles: Scratch::default(), positions }
    }

    /// Opens a column, or an expression where there is no field name.
    pub(crate) fn open(
        source: &Arc<dyn ColumnSource>,
        field_name: Option<&str>,
        expression: Option<&str>,
        context: &EvalContext,
    ) -> Result<Self> {
        match (field_name, expression) {
            (Some(name), _) => Self::column(source, name),
            (None, Some(text)) => Self::expression(source, text, context),
            (None, None) => Ok(Self::new(Source::Missing)),
        }
    }

    /// Opens a column.
    pub(crate) fn column(source: &Arc<dyn ColumnSource>, name: &str) -> Result<Self> {
        let Some(column) = source.column(name)? else { return Ok(Self::new(Source::Missing)) };
        let capabilities = column.capabilities();
        let reader = column.reader()?;
        let opened = match (&capabilities.column_type, column.dictionary()) {
            (ColumnType::Long, _) => Source::Long(reader),
            (ColumnType::Float, _) => Source::Float(reader),
            (ColumnType::Double, _) => Source::Double(reader),
            (ColumnType::String, Some(dictionary)) if capabilities.dictionary => {
                let parsed = ParsedDictionary::new(dictionary);
                if capabilities.multi_value { Source::MultiCodes(reader, parsed) } else { Source::Codes(reader, parsed) }
            }
            _ => Source::Values(reader),
        };
        Ok(Self::new(opened))
    }

    fn expression(source: &Arc<dyn ColumnSource>, text: &str, context: &EvalContext) -> Result<Self> {
        let bound = Expr::parse(text)?.bind(source, context)?;
        Ok(Self::new(Source::Expression(Box::new(bound), Vector::Null { len: 0 })))
    }

    /// The column's own reader, where the column is of this type.
    pub(crate) fn reader(&mut self, column_type: ColumnType) -> Option<&mut dyn ColumnReader> {
        match (&mut self.source, column_type) {
            (Source::Long(reader), ColumnType::Long)
            | (Source::Float(reader), ColumnType::Float)
            | (Source::Double(reader), ColumnType::Double) => Some(reader.as_mut()),
            _ => None,
        }
    }

    pub(crate) fn longs(&mut self, rows: Rows<'_>) -> Result<Read<'_, i64>> {
        match self.source.prepare(&rows)? {
            Native::Long => return Ok(Read { numbers: self.source.longs(rows)?, positions: None }),
            Native::Float => self.longs.convert(self.source.floats(rows)?, |value| value as i64),
            Native::Double => self.longs.convert(self.source.doubles(rows)?, |value| value as i64),
            Native::None => return self.source.slow(rows, &mut self.longs, &mut self.positions),
        }
        Ok(Read { numbers: self.longs.lend(), positions: None })
    }

    pub(crate) fn floats(&mut self, rows: Rows<'_>) -> Result<Read<'_, f32>> {
        match self.source.prepare(&rows)? {
            Native::Float => return Ok(Read { numbers: self.source.floats(rows)?, positions: None }),
            Native::Long => self.floats.convert(self.source.longs(rows)?, |value| value as f32),
            Native::Double => self.floats.convert(self.source.doubles(rows)?, |value| value as f32),
            Native::None => return self.source.slow(rows, &mut self.floats, &mut self.positions),
        }
        Ok(Read { numbers: self.floats.lend(), positions: None })
    }

    pub(crate) fn doubles(&mut self, rows: Rows<'_>) -> Result<Read<'_, f64>> {
        match self.source.prepare(&rows)? {
            Native::Double => return Ok(Read { numbers: self.source.doubles(rows)?, positions: None }),
            Native::Long => self.doubles.convert(self.source.longs(rows)?, |value| value as f64),
            Native::Float => self.doubles.convert(self.source.floats(rows)?, f64::from),
            Native::None => return self.source.slow(rows, &mut self.doubles, &mut self.positions),
        }
        Ok(Read { numbers: self.doubles.lend(), positions: None })
    }
}

/// The numeric form that a source has.
enum Native {
    Long,
    Float,
    Double,
    None,
}

impl Source {
    /// Evaluates the rows where the source is an expression, and tells the form.
    fn prepare(&mut self, rows: &Rows<'_>) -> Result<Native> {
        Ok(match self {
            Source::Long(_) => Native::Long,
            Source::Float(_) => Native::Float,
            Source::Double(_) => Native::Double,
            Source::Expression(bound, vector) => {
                *vector = bound.eval(rows.clone())?;
                match vector {
                    Vector::Long { .. } => Native::Long,
                    Vector::Float { .. } => Native::Float,
                    Vector::Double { .. } => Native::Double,
                    _ => Native::None,
                }
            }
            _ => Native::None,
        })
    }

    fn longs(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, i64>> {
        match self {
            Source::Long(reader) => reader.longs(rows),
            Source::Expression(_, Vector::Long { values, nulls }) => Ok(Numbers { values, nulls: nulls.as_deref() }),
            _ => Err(DruidError::runtime("input is not Long")),
        }
    }

    fn floats(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, f32>> {
        match self {
            Source::Float(reader) => reader.floats(rows),
            Source::Expression(_, Vector::Float { values, nulls }) => Ok(Numbers { values, nulls: nulls.as_deref() }),
            _ => Err(DruidError::runtime("input is not Float")),
        }
    }

    fn doubles(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, f64>> {
        match self {
            Source::Double(reader) => reader.doubles(rows),
            Source::Expression(_, Vector::Double { values, nulls }) => Ok(Numbers { values, nulls: nulls.as_deref() }),
            _ => Err(DruidError::runtime("input is not Double")),
        }
    }

    /// Columns that are not numeric.
    fn slow<'a, T: Number>(
        &mut self,
        rows: Rows<'_>,
        scratch: &'a mut Scratch<T>,
        positions: &'a mut Vec<u32>,
    ) -> Result<Read<'a, T>> {
        scratch.clear();
        let mut multi = false;
        match self {
            Source::Codes(reader, parsed) => {
                for code in reader.codes(rows)? {
                    scratch.push(parsed.get(*code)?);
                }
            }
            Source::MultiCodes(reader, parsed) => {
                multi = true;
                positions.clear();
                let codes = reader.multi_codes(rows)?;
                for (row, bounds) in codes.offsets.windows(2).enumerate() {
                    for code in &codes.codes[bounds[0] as usize..bounds[1] as usize] {
                        scratch.push(parsed.get(*code)?);
                        positions.push(row as u32);
                    }
                }
            }
            Source::Values(reader) => reader.values(rows)?.iter().for_each(|value| scratch.push(number_of(value))),
            Source::Expression(_, vector) => (0..vector.len()).for_each(|row| scratch.push(number_of(&vector.value(row)))),
            _ => (0..rows.len()).for_each(|_| scratch.push(None)),
        }
        Ok(Read { numbers: scratch.lend(), positions: if multi { Some(positions.as_slice()) } else { None } })
    }
}

/// Columns that an expression reads; a malformed one reads none and fails when bound.
pub(crate) fn expression_columns(text: &str) -> Vec<String> {
    Expr::parse(text).map(|expr| expr.required_columns()).unwrap_or_default()
}
