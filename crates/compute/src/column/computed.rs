//! A column computed from another by a function of values, and a column read as another type. For what has no dictionary
//! to work on: extraction functions over numbers, paths into JSON that the segment has not taken apart.

use std::sync::Arc;

use ovate_base::Result;

use super::convert::NumberReader;
use super::{Column, ColumnCapabilities, ColumnReader, Numbers, Rows};
use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

/// A function from values to values that threads share.
pub type ValueFn = Arc<dyn Fn(&Value) -> Value + Send + Sync>;

/// A column whose values are computed from another column's, one by one.
pub struct ComputedColumn {
    base: Arc<dyn Column>,
    function: ValueFn,
    column_type: ColumnType,
    multi_value: bool,
    shown: Option<ValueFn>,
}

impl ComputedColumn {
    /// `function` must give values of `column_type` or null.
    pub fn new(base: Arc<dyn Column>, column_type: ColumnType, function: ValueFn) -> Self {
        ComputedColumn { base, function, column_type, multi_value: false, shown: None }
    }

    /// `function` gives multi-value strings.
    pub fn multi_value(base: Arc<dyn Column>, function: ValueFn) -> Self {
        ComputedColumn { base, function, column_type: ColumnType::String, multi_value: true, shown: None }
    }

    /// What rows show where that is not the value that is worked with.
    pub fn shown_as(self, function: ValueFn) -> Self {
        ComputedColumn { shown: Some(function), ..self }
    }

    /// The values of `base` cast to another type; `base` itself when it has that type already.
    pub fn cast(base: Arc<dyn Column>, target: &ColumnType) -> Arc<dyn Column> {
        let own = base.capabilities().column_type;
        if own == *target {
            return base;
        }
        if target.is_numeric() {
            return Arc::new(NumberColumn { base, column_type: target.clone() });
        }
        let to = target.clone();
        Arc::new(ComputedColumn::new(base, target.clone(), Arc::new(move |value| value.cast(&to))))
    }
}

impl Column for ComputedColumn {
    fn capabilities(&self) -> ColumnCapabilities {
        ColumnCapabilities {
            column_type: self.column_type.clone(),
            multi_value: self.multi_value,
            dictionary: false,
            bitmaps: false,
            has_nulls: true,
        }
    }
    fn shown(&self) -> Option<Arc<dyn Column>> {
        let function = self.shown.clone()?;
        Some(Arc::new(ComputedColumn::new(self.base.clone(), self.column_type.clone(), function)))
    }
    fn reader(&self) -> Result<Box<dyn ColumnReader>> {
        Ok(Box::new(ComputedReader {
            base: self.base.reader()?,
            function: self.function.clone(),
            column_type: self.column_type.clone(),
            values: Vec::new(),
            lent: Lent::default(),
        }))
    }
}

struct ComputedReader {
    base: Box<dyn ColumnReader>,
    function: ValueFn,
    column_type: ColumnType,
    values: Vec<Value>,
    lent: Lent,
}

impl ComputedReader {
    fn vector(&mut self, rows: Rows<'_>) -> Result<Vector> {
        self.values(rows)?;
        Ok(Vector::from_values(&self.column_type, std::mem::take(&mut self.values)))
    }
}

impl ColumnReader for ComputedReader {
    fn longs(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, i64>> {
        self.lent.vector = self.vector(rows)?;
        self.lent.longs()
    }
    fn floats(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, f32>> {
        self.lent.vector = self.vector(rows)?;
        self.lent.floats()
    }
    fn doubles(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, f64>> {
        self.lent.vector = self.vector(rows)?;
        self.lent.doubles()
    }
    fn values(&mut self, rows: Rows<'_>) -> Result<&[Value]> {
        self.values.clear();
        let function = self.function.as_ref();
        // Time columns come in runs of equal values; remember the last one.
        let mut last: Option<(&Value, Value)> = None;
        for value in self.base.values(rows)? {
            match &last {
                Some((input, output)) if *input == value => self.values.push(output.clone()),
                _ => {
                    let output = function(value);
                    last = Some((value, output.clone()));
                    self.values.push(output);
                }
            }
        }
        Ok(&self.values)
    }
}

/// A vector that a reader lends its numbers from.
pub(crate) struct Lent {
    pub vector: Vector,
}

impl Default for Lent {
    fn default() -> Self {
        Lent { vector: Vector::Null { len: 0 } }
    }
}

impl Lent {
    pub(crate) fn longs(&self) -> Result<Numbers<'_, i64>> {
        match &self.vector {
            Vector::Long { values, nulls } => Ok(Numbers { values, nulls: nulls.as_deref() }),
            _ => Err(ovate_base::DruidError::runtime("column is not LONG")),
        }
    }
    pub(crate) fn floats(&self) -> Result<Numbers<'_, f32>> {
        match &self.vector {
            Vector::Float { values, nulls } => Ok(Numbers { values, nulls: nulls.as_deref() }),
            _ => Err(ovate_base::DruidError::runtime("column is not FLOAT")),
        }
    }
    pub(crate) fn doubles(&self) -> Result<Numbers<'_, f64>> {
        match &self.vector {
            Vector::Double { values, nulls } => Ok(Numbers { values, nulls: nulls.as_deref() }),
            _ => Err(ovate_base::DruidError::runtime("column is not DOUBLE")),
        }
    }
}

/// Any column as numbers.
struct NumberColumn {
    base: Arc<dyn Column>,
    column_type: ColumnType,
}

impl Column for NumberColumn {
    fn capabilities(&self) -> ColumnCapabilities {
        let has_nulls = !self.base.capabilities().column_type.is_numeric() || self.base.capabilities().has_nulls;
        let column_type = self.column_type.clone();
        ColumnCapabilities { column_type, multi_value: false, dictionary: false, bitmaps: false, has_nulls }
    }
    fn reader(&self) -> Result<Box<dyn ColumnReader>> {
        Ok(match self.column_type {
            ColumnType::Long => Box::new(LongsReader(NumberReader::open(Some(&self.base))?, Vec::new())),
            ColumnType::Float => Box::new(FloatsReader(NumberReader::open(Some(&self.base))?, Vec::new())),
            _ => Box::new(DoublesReader(NumberReader::open(Some(&self.base))?, Vec::new())),
        })
    }
    fn null_rows(&self) -> Result<Option<croaring::Bitmap>> {
        if self.base.capabilities().column_type.is_numeric() { self.base.null_rows() } else { Ok(None) }
    }
}

macro_rules! number_reader {
    ($name:ident, $number:ty, $method:ident, $variant:ident) => {
        struct $name(NumberReader<$number>, Vec<Value>);

        impl ColumnReader for $name {
            fn $method(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, $number>> {
                self.0.read(rows)
            }
            fn values(&mut self, rows: Rows<'_>) -> Result<&[Value]> {
                let numbers = self.0.read(rows)?;
                let null = |index: usize| numbers.nulls.is_some_and(|nulls| nulls[index]);
                let value = |(index, number): (usize, &$number)| if null(index) { Value::Null } else { Value::$variant(*number) };
                self.1.clear();
                self.1.extend(numbers.values.iter().enumerate().map(value));
                Ok(&self.1)
            }
        }
    };
}

number_reader!(LongsReader, i64, longs, Long);
number_reader!(FloatsReader, f32, floats, Float);
number_reader!(DoublesReader, f64, doubles, Double);
