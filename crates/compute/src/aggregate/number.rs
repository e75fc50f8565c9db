//! The three numeric types as aggregators need them: how they are read, converted and put into vectors, and the dense
//! per-group state of an aggregator whose result is null until it saw a value (`NullableNumericAggregator`).

use std::ops::Range;

use ovate_base::{DruidError, Result};

use super::input::{Input, Read};
use crate::column::{Numbers, Rows, Summary};
use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

/// i64, f32 or f64.
pub(crate) trait Number: Copy + Default + PartialEq + Send + Sync + std::fmt::Debug + 'static {
    fn read<'a>(input: &'a mut Input, rows: Rows<'_>) -> Result<Read<'a, Self>>;
    /// What is known of these rows as a whole without reading them.
    fn summary(input: &mut Input, rows: Range<u32>) -> Result<Option<Summary<Self>>>;
    fn from_long(value: i64) -> Self;
    fn from_double(value: f64) -> Self;
    fn vector(values: Vec<Self>, nulls: Option<Vec<bool>>) -> Vector;
    /// The vector's slices when it holds this very type.
    fn slices(vector: &Vector) -> Option<Numbers<'_, Self>>;
}

macro_rules! number {
    ($type:ty, $variant:ident, $read:ident, $summary:ident) => {
        impl Number for $type {
            fn read<'a>(input: &'a mut Input, rows: Rows<'_>) -> Result<Read<'a, Self>> {
                input.$read(rows)
            }
            fn summary(input: &mut Input, rows: Range<u32>) -> Result<Option<Summary<Self>>> {
                match input.reader(ColumnType::$variant) {
                    Some(reader) => reader.$summary(rows),
                    None => Ok(None),
                }
            }
            fn from_long(value: i64) -> Self {
                value as $type
            }
            fn from_double(value: f64) -> Self {
                value as $type
            }
            fn vector(values: Vec<Self>, nulls: Option<Vec<bool>>) -> Vector {
                Vector::$variant { values, nulls }
            }
            fn slices(vector: &Vector) -> Option<Numbers<'_, Self>> {
                match vector {
                    Vector::$variant { values, nulls } => Some(Numbers { values, nulls: nulls.as_deref() }),
                    _ => None,
                }
            }
        }
    };
}

number!(i64, Long, longs, long_summary);
number!(f32, Float, floats, float_summary);
number!(f64, Double, doubles, double_summary);

/// A value as a number, `None` for null and for text that is no number.
pub(crate) fn number_of<T: Number>(value: &Value) -> Option<T> {
    match value {
        Value::Long(value) => Some(T::from_long(*value)),
        Value::Float(value) => Some(T::from_double(f64::from(*value))),
        Value::Double(value) => Some(T::from_double(*value)),
        Value::String(text) => parse(text),
        // Histograms and decimals that are numbers too.
        Value::Complex(..) => value.as_double().map(T::from_double),
        _ => None,
    }
}

/// Text as a number: whole numbers exactly, others by way of a double.
pub(crate) fn parse<T: Number>(text: &str) -> Option<T> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(T::from_long(whole));
    }
    text.trim().parse::<f64>().ok().map(T::from_double)
}

/// Any vector's entries as numbers of one type.
pub(crate) fn for_each_number<T: Number>(vector: &Vector, mut each: impl FnMut(usize, T)) -> Result<()> {
    match T::slices(vector) {
        Some(Numbers { values, nulls: None }) => values.iter().enumerate().for_each(|(row, value)| each(row, *value)),
        Some(Numbers { values, nulls: Some(nulls) }) => {
            let present = values.iter().enumerate().zip(nulls).filter(|(_, null)| !**null);
            present.for_each(|((row, value), _)| each(row, *value));
        }
        None => {
            for row in 0..vector.len() {
                match vector.value(row) {
                    Value::Null => {}
                    value @ (Value::Array(_) | Value::Json(_) | Value::Complex(..)) => {
                        return Err(DruidError::runtime(format!("partial result is not numeric: {value:?}")));
                    }
                    value => {
                        if let Some(number) = number_of(&value) {
                            each(row, number);
                        }
                    }
                }
            }
        }
    }
    Ok(())
}

/// One group's number, and whether a value was seen; side by side, so that a row touches one cache line, and without gaps,
/// so that nearly twice as many groups stay in a cache.
#[derive(Clone, Copy)]
#[repr(C, packed)]
pub(crate) struct NumberSlot<T> {
    pub(crate) value: T,
    pub(crate) seen: bool,
}

/// A number a group, null until the first value.
pub(crate) struct NumberState<T> {
    pub(crate) slots: Vec<NumberSlot<T>>,
    start: T,
}

impl<T: Number> NumberState<T> {
    /// No groups yet; each will start at `start`.
    pub(crate) fn new(start: T) -> Self {
        NumberState { slots: Vec::new(), start }
    }

    pub(crate) fn resize(&mut self, groups: usize) {
        if groups > self.slots.len() {
            self.slots.resize(groups, NumberSlot { value: self.start, seen: false });
        }
    }

    /// All groups as a vector; groups without a value are null.
    pub(crate) fn take(&mut self) -> Vector {
        let slots = std::mem::take(&mut self.slots);
        let values = slots.iter().map(|slot| if slot.seen { slot.value } else { T::default() }).collect();
        let nulls = slots.iter().any(|slot| !slot.seen).then(|| slots.iter().map(|slot| !slot.seen).collect());
        T::vector(values, nulls)
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<NumberSlot<T>>()
    }
}
