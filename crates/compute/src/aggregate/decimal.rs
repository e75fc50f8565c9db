//! `compressedBigDecimalSum`, `compressedBigDecimalMin` and `compressedBigDecimalMax`
//! (`CompressedBigDecimalAggregatorFactoryBase`): exact decimals, of numbers, of text or of stored decimals. The final value is text.

use std::sync::Arc;

use bytes::Bytes;
use ovate_base::{DruidError, Result};
use serde_json::{Value as Json, json};

use super::json::Fields;
use super::{Aggregator, AggregatorFactory, AggregatorSpec, Groups};
use crate::column::{ColumnReader, ColumnSource, Rows};
use crate::context::EvalContext;
use crate::sketch::decimal::{Decimal, SCALE_MAX, SIZE_MAX};
use crate::types::ColumnType;
use crate::value::{Value, double_to_text, float_to_text};
use crate::vector::Vector;

const COLUMN_TYPE: &str = "compressedBigDecimal";

#[derive(Debug, Clone, Copy, PartialEq)]
enum Function {
    Sum,
    Min,
    Max,
}

#[derive(Debug, Clone)]
struct BigDecimal {
    function: Function,
    name: String,
    field_name: String,
    settings: Settings,
}

#[derive(Debug, Clone, Copy)]
struct Settings {
    size: usize,
    scale: i32,
    strict: bool,
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    let function = match fields.kind()? {
        "compressedBigDecimalMin" => Function::Min,
        "compressedBigDecimalMax" => Function::Max,
        _ => Function::Sum,
    };
    let (size, scale) = (fields.long("size", 6)?, fields.long("scale", 9)?);
    if !(1..=SIZE_MAX as i64).contains(&size) {
        return Err(fields.bad("size", &format!("must be 1 to {SIZE_MAX}")));
    }
    if !(0..=i64::from(SCALE_MAX)).contains(&scale) {
        return Err(fields.bad("scale", &format!("must be 0 to {SCALE_MAX}")));
    }
    let strict = fields.bool("strictNumberParsing", false)?;
    let (name, field_name) = (fields.string("name")?.to_owned(), fields.string("fieldName")?.to_owned());
    let settings = Settings { size: size as usize, scale: scale as i32, strict };
    Ok(AggregatorSpec::new(BigDecimal { function, name, field_name, settings }))
}

impl AggregatorFactory for BigDecimal {
    fn name(&self) -> &str {
        &self.name
    }
    fn to_json(&self) -> Json {
        let kind = match self.function {
            Function::Sum => "compressedBigDecimalSum",
            Function::Min => "compressedBigDecimalMin",
            Function::Max => "compressedBigDecimalMax",
        };
        json!({"type": kind, "name": self.name, "fieldName": self.field_name, "size": self.settings.size,
            "scale": self.settings.scale, "strictNumberParsing": self.settings.strict})
    }
    fn required_columns(&self) -> Vec<String> {
        vec![self.field_name.clone()]
    }
    fn bind(&self, source: &Arc<dyn ColumnSource>, _: &EvalContext) -> Result<Box<dyn Aggregator>> {
        let reader = source.column(&self.field_name)?.map(|column| column.reader()).transpose()?;
        Ok(Box::new(Decimals { function: self.function, settings: self.settings, reader, states: Vec::new() }))
    }
    fn merger(&self) -> Result<Box<dyn Aggregator>> {
        Ok(Box::new(Decimals { function: self.function, settings: self.settings, reader: None, states: Vec::new() }))
    }
    fn combining(&self) -> AggregatorSpec {
        AggregatorSpec::new(BigDecimal { field_name: self.name.clone(), ..self.clone() })
    }
    fn with_name(&self, name: &str) -> AggregatorSpec {
        AggregatorSpec::new(BigDecimal { name: name.to_owned(), ..self.clone() })
    }
    fn intermediate_type(&self) -> ColumnType {
        ColumnType::complex(COLUMN_TYPE)
    }
    fn result_type(&self) -> ColumnType {
        ColumnType::String
    }
    fn finalize(&self, partial: &Vector) -> Result<Vector> {
        let text = |value: Option<Decimal>| value.map_or(Value::Null, |value| Value::String(value.to_string().into()));
        let values = (0..partial.len()).map(|row| read(&partial.value(row), self.settings).map(text));
        Ok(Vector::from_values(&ColumnType::String, values.collect::<Result<_>>()?))
    }
}

/// A value as a decimal; `None` for null. Text that is no number is zero, unless told to be strict.
fn read(value: &Value, settings: Settings) -> Result<Option<Decimal>> {
    let parsed =
        |text: &str| Decimal::parse(text).ok_or_else(|| DruidError::invalid_input(format!("[{text:.40}] is no decimal number")));
    Ok(Some(match value {
        Value::Null => return Ok(None),
        Value::Complex(_, bytes) if bytes.is_empty() => return Ok(None),
        Value::Complex(name, bytes) if name.as_ref() == COLUMN_TYPE => Decimal::from_bytes(bytes)?,
        Value::Long(number) => Decimal::of_long(*number),
        Value::Double(number) => parsed(&double_to_text(*number))?,
        Value::Float(number) => parsed(&float_to_text(*number))?,
        Value::String(text) => match parsed(text) {
            Err(_) if !settings.strict => Decimal::zero(settings.scale),
            parsed => parsed?,
        },
        other => return Err(DruidError::invalid_input(format!("expected a number or a decimal, got {other:?}"))),
    }))
}

/// Decimals of all groups; a group without a value has none.
struct Decimals {
    function: Function,
    settings: Settings,
    reader: Option<Box<dyn ColumnReader>>,
    states: Vec<Option<Decimal>>,
}

fn put(function: Function, settings: Settings, state: &mut Option<Decimal>, value: Decimal) -> Result<()> {
    match (function, state.as_mut()) {
        (_, None) => *state = Some(value.scaled(settings.scale, settings.size)?),
        (Function::Sum, Some(sum)) => sum.add(value, settings.size)?,
        (Function::Min | Function::Max, Some(known)) => {
            let value = value.scaled(settings.scale, settings.size)?;
            let order = value.compare(known);
            if if function == Function::Min { order.is_lt() } else { order.is_gt() } {
                *known = value;
            }
        }
    }
    Ok(())
}

impl Aggregator for Decimals {
    fn resize(&mut self, groups: usize) {
        if groups > self.states.len() {
            self.states.resize(groups, None);
        }
    }
    fn add(&mut self, rows: Rows<'_>, groups: Groups<'_>) -> Result<()> {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        for (row, value) in reader.values(rows)?.iter().enumerate() {
            if let Some(value) = read(value, self.settings)? {
                put(self.function, self.settings, &mut self.states[groups.of(row)], value)?;
            }
        }
        Ok(())
    }
    fn merge(&mut self, partial: &Vector, groups: &[u32]) -> Result<()> {
        for (row, group) in groups.iter().enumerate() {
            if let Some(value) = read(&partial.value(row), self.settings)? {
                put(self.function, self.settings, &mut self.states[*group as usize], value)?;
            }
        }
        Ok(())
    }
    fn take_partial(&mut self) -> Result<Vector> {
        let name: Arc<str> = Arc::from(COLUMN_TYPE);
        let value = |state: Option<Decimal>| {
            state.map_or(Value::Null, |state| Value::Complex(name.clone(), Bytes::from(state.to_bytes(self.settings.size))))
        };
        let values = std::mem::take(&mut self.states).into_iter().map(value).collect();
        Ok(Vector::Any { column_type: ColumnType::complex(COLUMN_TYPE), values })
    }
    fn memory_bytes(&self) -> usize {
        let parts = 4 * self.settings.size;
        self.states.capacity() * size_of::<Option<Decimal>>() + self.states.iter().flatten().count() * parts
    }
}
