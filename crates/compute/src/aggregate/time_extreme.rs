//! `timeMin` and `timeMax` (`TimestampMinAggregatorFactory`, `TimestampMaxAggregatorFactory`): the first and the last instant of a
//! column of times, as text or as milliseconds; a LONG on the way, a time in ISO form at the end.

use std::sync::Arc;

use ovate_base::Result;
use ovate_base::time::{TimestampFormat, format_iso};
use serde_json::{Value as Json, json};

use super::json::Fields;
use super::number::for_each_number;
use super::{Aggregator, AggregatorFactory, AggregatorSpec, Groups};
use crate::column::{ColumnReader, ColumnSource, Rows};
use crate::context::EvalContext;
use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

#[derive(Debug, Clone)]
struct TimeExtreme {
    name: String,
    field_name: String,
    /// As given; `auto` where it was not.
    time_format: Option<String>,
    max: bool,
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    let time_format = fields.string_or_none("timeFormat")?.map(str::to_owned);
    TimestampFormat::parse(time_format.as_deref().unwrap_or("auto"))?;
    Ok(AggregatorSpec::new(TimeExtreme {
        name: fields.string("name")?.to_owned(),
        field_name: fields.string("fieldName")?.to_owned(),
        time_format,
        max: fields.kind()? == "timeMax",
    }))
}

impl TimeExtreme {
    fn state(&self, reader: Option<Box<dyn ColumnReader>>) -> Result<Box<dyn Aggregator>> {
        let format = TimestampFormat::parse(self.time_format.as_deref().unwrap_or("auto"))?;
        Ok(Box::new(TimeState { reader, format, max: self.max, found: Vec::new() }))
    }
}

impl AggregatorFactory for TimeExtreme {
    fn name(&self) -> &str {
        &self.name
    }
    fn to_json(&self) -> Json {
        let kind = if self.max { "timeMax" } else { "timeMin" };
        let mut json = json!({"type": kind, "name": self.name, "fieldName": self.field_name});
        if let Some(format) = &self.time_format {
            json["timeFormat"] = json!(format);
        }
        json
    }
    fn required_columns(&self) -> Vec<String> {
        vec![self.field_name.clone()]
    }
    fn bind(&self, source: &Arc<dyn ColumnSource>, _: &EvalContext) -> Result<Box<dyn Aggregator>> {
        self.state(source.column(&self.field_name)?.map(|column| column.reader()).transpose()?)
    }
    fn merger(&self) -> Result<Box<dyn Aggregator>> {
        self.state(None)
    }
    fn combining(&self) -> AggregatorSpec {
        // Stored results are milliseconds.
        AggregatorSpec::new(TimeExtreme { field_name: self.name.clone(), time_format: None, ..self.clone() })
    }
    fn with_name(&self, name: &str) -> AggregatorSpec {
        AggregatorSpec::new(TimeExtreme { name: name.to_owned(), ..self.clone() })
    }
    fn intermediate_type(&self) -> ColumnType {
        ColumnType::Long
    }
    fn result_type(&self) -> ColumnType {
        ColumnType::String
    }
    fn finalize(&self, partial: &Vector) -> Result<Vector> {
        let text = |value: &Value| value.as_long().map(|millis| Arc::from(format_iso(millis)));
        Ok(Vector::String(partial.to_values().iter().map(text).collect()))
    }
}

struct TimeState {
    reader: Option<Box<dyn ColumnReader>>,
    format: TimestampFormat,
    max: bool,
    found: Vec<Option<i64>>,
}

impl TimeState {
    fn offer(&mut self, group: usize, instant: i64) {
        let slot = &mut self.found[group];
        *slot = Some(match *slot {
            Some(known) if self.max => known.max(instant),
            Some(known) => known.min(instant),
            None => instant,
        });
    }
}

impl Aggregator for TimeState {
    fn resize(&mut self, groups: usize) {
        if groups > self.found.len() {
            self.found.resize(groups, None);
        }
    }
    fn add(&mut self, rows: Rows<'_>, groups: Groups<'_>) -> Result<()> {
        let Some(mut reader) = self.reader.take() else { return Ok(()) };
        for (row, value) in reader.values(rows)?.iter().enumerate() {
            // What is no time counts for nothing, as null does.
            let instant = match value {
                Value::Long(millis) => Some(*millis),
                Value::Float(number) => Some(f64::from(*number) as i64),
                Value::Double(number) => Some(*number as i64),
                Value::String(text) => self.format.instant_of_text(text).ok(),
                Value::Null | Value::Array(_) | Value::Json(_) | Value::Complex(..) => None,
            };
            if let Some(instant) = instant {
                self.offer(groups.of(row), instant);
            }
        }
        self.reader = Some(reader);
        Ok(())
    }
    fn merge(&mut self, partial: &Vector, groups: &[u32]) -> Result<()> {
        let mut met = Vec::new();
        for_each_number(partial, |row, instant: i64| met.push((groups[row] as usize, instant)))?;
        met.into_iter().for_each(|(group, instant)| self.offer(group, instant));
        Ok(())
    }
    fn take_partial(&mut self) -> Result<Vector> {
        let found = std::mem::take(&mut self.found);
        let nulls: Vec<bool> = found.iter().map(Option::is_none).collect();
        let values = found.iter().map(|instant| instant.unwrap_or(0)).collect();
        Ok(Vector::Long { values, nulls: nulls.contains(&true).then_some(nulls) })
    }
    fn memory_bytes(&self) -> usize {
        self.found.capacity() * 16
    }
}
