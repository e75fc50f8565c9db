//! From parsed records to rows (SCH-09): timestamps, transforms, the filter, and the division into time chunks. All by
//! column; row by row only where a field holds nested or mixed values.

mod chunks;
mod rows;
#[cfg(test)]
mod tests;
mod vectors;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ovate_base::time::TimestampFormat;
use ovate_base::{Interval, Result};
use ovate_compute::{EvalContext, LookupMap, Value};
use ovate_segment::incremental::Discovery;

pub use rows::{event, numeric_bools};
pub use vectors::{column_of_vector, vector_of_column};

use crate::format::{BadRecord, Batch, Column};
use crate::spec::DataSchema;
use crate::spec::granularity::GranularitySpec;
use crate::spec::timestamp::TimestampSpec;
use crate::spec::transform::TransformSpec;

/// Turns batches of records into rows; one a thread.
#[derive(Clone)]
pub struct RowMaker {
    timestamp: TimestampSpec,
    transform: TransformSpec,
    granularity: Arc<GranularitySpec>,
    context: EvalContext,
    /// With discovery: the only results of transforms that stay when the record has no field of their name, because
    /// dimensions are discovered among the fields of the record as it came.
    named: Option<BTreeSet<String>>,
}

/// Rows of a batch that are to be indexed.
pub struct Rows {
    pub batch: Batch,
    pub timestamps: Vec<i64>,
    /// Time chunks, each with the ascending row numbers that lie in it.
    pub chunks: Vec<(Interval, Vec<u32>)>,
    /// Rows that the filter or the intervals left out.
    pub thrown_away: u64,
}

impl RowMaker {
    /// For the rows of one task; `now_ms` is the fixed now of its expressions.
    pub fn new(schema: &DataSchema, now_ms: i64) -> RowMaker {
        RowMaker {
            timestamp: schema.timestamp.clone(),
            transform: schema.transform.clone(),
            granularity: Arc::new(schema.granularity.clone()),
            context: EvalContext::at(now_ms),
            named: (schema.dimensions.discovery() != Discovery::Off).then(|| schema.named_columns()),
        }
    }

    /// With these lookups for its expressions.
    pub fn with_lookups(mut self, lookups: Arc<HashMap<String, LookupMap>>) -> RowMaker {
        self.context.lookups = lookups;
        self
    }

    /// Works on one batch. Records without a readable time join the batch's bad ones.
    pub fn rows(&self, mut batch: Batch) -> Result<Rows> {
        let (mut timestamps, mut good) = self.timestamps(&mut batch);
        let mut thrown_away = 0;
        if !self.transform.is_empty() {
            let hidden = self.apply_transforms(&mut batch, &mut timestamps, &mut good)?;
            let before = good.iter().filter(|g| **g).count();
            self.apply_filter(&batch, &timestamps, &mut good)?;
            thrown_away += (before - good.iter().filter(|g| **g).count()) as u64;
            batch.columns.retain(|(name, _)| !hidden.contains(name));
        }
        let (chunks, outside) = chunks::divide(&self.granularity, &timestamps, &good);
        Ok(Rows { batch, timestamps, chunks, thrown_away: thrown_away + outside })
    }

    /// The time of every row, and whether it has one.
    fn timestamps(&self, batch: &mut Batch) -> (Vec<i64>, Vec<bool>) {
        let mut times = vec![0i64; batch.rows];
        let mut good = vec![true; batch.rows];
        let mut bad: Vec<(usize, String)> = Vec::new();
        let none = Column::Null(batch.rows);
        let column = batch.column(&self.timestamp.column).unwrap_or(&none);
        let format = &self.timestamp.format;
        if let (Column::Longs { values, nulls }, TimestampFormat::Auto | TimestampFormat::Millis) = (column, format)
            && nulls.flags().is_none()
        {
            times.copy_from_slice(values);
            return (times, good);
        }
        for (row, time) in times.iter_mut().enumerate() {
            match self.time_of(column, row) {
                Ok(read) => *time = read,
                Err(message) => bad.push((row, message)),
            }
        }
        for (row, why) in bad {
            good[row] = false;
            let event = rows::event(batch, row);
            let text =
                batch.column(&self.timestamp.column).and_then(|c| c.text(row)).map_or("null".to_owned(), |t| t.into_owned());
            let message = format!("Timestamp[{text}] is unparseable! Event: {event} ({why})");
            batch.bad.push(BadRecord { input: event, message });
        }
        (times, good)
    }

    fn time_of(&self, column: &Column, row: usize) -> std::result::Result<i64, String> {
        let format = &self.timestamp.format;
        let of_text = |text: &str| {
            // The canonical form is read without looking at the format's other spellings.
            if text.is_empty() {
                return Err("empty".to_owned());
            }
            if matches!(format, TimestampFormat::Auto)
                && text.len() == 24
                && let Ok(time) = ovate_base::time::parse_instant(text)
            {
                return Ok(time);
            }
            format.instant_of_text(text).map_err(|e| e.message)
        };
        match column {
            Column::Text(text) => match text.get(row) {
                Some(text) => of_text(text),
                None => self.timestamp.missing_value.ok_or_else(|| "no value".to_owned()),
            },
            _ => match column.value(row) {
                Value::Null => self.timestamp.missing_value.ok_or_else(|| "no value".to_owned()),
                Value::Long(whole) => format.instant_of_number(whole).map_err(|e| e.message),
                Value::Double(number) => format.instant_of_double(number).map_err(|e| e.message),
                Value::Float(number) => format.instant_of_double(number.into()).map_err(|e| e.message),
                Value::String(text) => of_text(&text),
                _ => Err("neither text nor number".to_owned()),
            },
        }
    }

    /// Every transform reads the record as it came; results replace fields of the same name.
    /// Answers the names of those that must not be discovered.
    fn apply_transforms(&self, batch: &mut Batch, timestamps: &mut [i64], good: &mut [bool]) -> Result<Vec<Arc<str>>> {
        let mut made: Vec<(Arc<str>, Column)> = Vec::new();
        for transform in &self.transform.transforms {
            let column = rows::evaluate(&transform.expr, batch, timestamps, good, &self.context)?;
            made.push((transform.name.clone(), column));
        }
        let is_new = |name: &str| batch.column(name).is_none() && self.named.as_ref().is_some_and(|named| !named.contains(name));
        let hidden = made.iter().map(|(name, _)| name.clone()).filter(|name| is_new(name)).collect();
        for (name, column) in made {
            if &*name == "__time" {
                for (row, time) in timestamps.iter_mut().enumerate() {
                    match column.value(row) {
                        _ if !good[row] => {}
                        Value::Long(whole) => *time = whole,
                        Value::Double(number) => *time = number as i64,
                        _ => {
                            let event = rows::event(batch, row);
                            let message = format!("transform [__time] gave no time for event: {event}");
                            batch.bad.push(BadRecord { input: event, message });
                            good[row] = false;
                        }
                    }
                }
            } else {
                batch.set(name, column);
            }
        }
        Ok(hidden)
    }

    fn apply_filter(&self, batch: &Batch, timestamps: &[i64], good: &mut [bool]) -> Result<()> {
        let Some(filter) = &self.transform.filter else { return Ok(()) };
        for (row, good) in good.iter_mut().enumerate() {
            if *good {
                *good = filter.matches_row(&|name| rows::field(batch, timestamps, name, row), &self.context)?;
            }
        }
        Ok(())
    }
}
