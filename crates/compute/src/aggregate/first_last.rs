//! `longFirst`, `stringLast` and the like (`GenericFirstAggregatorFactory`, `StringLastAggregatorFactory`): the value at
//! the smallest or greatest time. Partials are pairs of time and value; over a stored pair column they fold (which is
//! all that `stringFirstFold` and `stringLastFold` do). Ties go to the earlier row for first, the later for last.
//! Numeric forms take null values; string forms take them only from a dictionary column, as Druid does.

use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use ovate_base::Result;
use serde_json::{Map, Value as Json, json};

use super::json::Fields;
use super::sketched::sketch_bytes;
use super::{Aggregator, AggregatorFactory, AggregatorSpec, Groups};
use crate::column::{ColumnReader, ColumnSource, Rows};
use crate::context::EvalContext;
use crate::sketch::pair::{MAX_TIME, MIN_TIME, PairValue, decode, encode};
use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

#[derive(Debug, Clone)]
struct FirstLast {
    kind: String,
    name: String,
    field_name: String,
    time_column: String,
    /// Strings only.
    max_string_bytes: Option<usize>,
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    let kind = fields.kind()?.to_owned();
    let max_string_bytes = if kind.starts_with("string") {
        let bytes = usize::try_from(fields.long("maxStringBytes", 1024)?);
        Some(bytes.map_err(|_| fields.bad("maxStringBytes", "must be greater than 0"))?)
    } else {
        None
    };
    Ok(AggregatorSpec::new(FirstLast {
        kind,
        name: fields.string("name")?.to_owned(),
        field_name: fields.string("fieldName")?.to_owned(),
        time_column: fields.string_or_none("timeColumn")?.unwrap_or("__time").to_owned(),
        max_string_bytes,
    }))
}

impl FirstLast {
    fn is_first(&self) -> bool {
        self.kind.contains("First")
    }

    fn build(&self, source: Option<PairSource>) -> Box<dyn Aggregator> {
        match (self.value_type(), self.is_first()) {
            (ColumnType::Long, true) => PairState::<i64, First>::boxed(source, None),
            (ColumnType::Long, false) => PairState::<i64, Last>::boxed(source, None),
            (ColumnType::Float, true) => PairState::<f32, First>::boxed(source, None),
            (ColumnType::Float, false) => PairState::<f32, Last>::boxed(source, None),
            (ColumnType::Double, true) => PairState::<f64, First>::boxed(source, None),
            (ColumnType::Double, false) => PairState::<f64, Last>::boxed(source, None),
            (_, true) => PairState::<Arc<str>, First>::boxed(source, self.max_string_bytes),
            (_, false) => PairState::<Arc<str>, Last>::boxed(source, self.max_string_bytes),
        }
    }

    fn value_type(&self) -> ColumnType {
        match &self.kind[..4] {
            "long" => ColumnType::Long,
            "floa" => ColumnType::Float,
            "doub" => ColumnType::Double,
            _ => ColumnType::String,
        }
    }
}

impl AggregatorFactory for FirstLast {
    fn name(&self) -> &str {
        &self.name
    }
    fn to_json(&self) -> Json {
        let mut json = Map::new();
        json.insert("type".into(), json!(self.kind));
        json.insert("name".into(), json!(self.name));
        json.insert("fieldName".into(), json!(self.field_name));
        json.insert("timeColumn".into(), json!(self.time_column));
        if let Some(bytes) = self.max_string_bytes {
            json.insert("maxStringBytes".into(), json!(bytes));
        }
        Json::Object(json)
    }
    fn required_columns(&self) -> Vec<String> {
        vec![self.time_column.clone(), self.field_name.clone()]
    }
    fn bind(&self, source: &Arc<dyn ColumnSource>, _: &EvalContext) -> Result<Box<dyn Aggregator>> {
        Ok(self.build(Some(PairSource::open(source, self)?)))
    }
    fn merger(&self) -> Result<Box<dyn Aggregator>> {
        Ok(self.build(None))
    }
    fn combining(&self) -> AggregatorSpec {
        AggregatorSpec::new(FirstLast { field_name: self.name.clone(), ..self.clone() })
    }
    fn with_name(&self, name: &str) -> AggregatorSpec {
        AggregatorSpec::new(FirstLast { name: name.to_owned(), ..self.clone() })
    }
    fn intermediate_type(&self) -> ColumnType {
        ColumnType::complex(match self.value_type() {
            ColumnType::Long => <i64 as PairValue>::PAIR,
            ColumnType::Float => <f32 as PairValue>::PAIR,
            ColumnType::Double => <f64 as PairValue>::PAIR,
            _ => <Arc<str> as PairValue>::PAIR,
        })
    }
    fn result_type(&self) -> ColumnType {
        self.value_type()
    }
    fn finalize(&self, partial: &Vector) -> Result<Vector> {
        match self.value_type() {
            ColumnType::Long => values_of::<i64>(partial),
            ColumnType::Float => values_of::<f32>(partial),
            ColumnType::Double => values_of::<f64>(partial),
            _ => values_of::<Arc<str>>(partial),
        }
    }
}

/// The values of a vector of pairs.
fn values_of<V: PairValue>(partial: &Vector) -> Result<Vector> {
    let mut values = Vec::with_capacity(partial.len());
    for row in 0..partial.len() {
        values.push(match partial.value(row) {
            Value::Complex(_, bytes) if bytes.is_empty() => None,
            Value::Complex(_, bytes) => decode::<V>(&bytes)?.1,
            // Already finalized, as in a subquery's result.
            value => V::from_value(&value),
        });
    }
    Ok(V::vector(values))
}

/// The columns read.
struct PairSource {
    /// `None` where there is no time column: then nothing is added.
    time: Option<Box<dyn ColumnReader>>,
    value: Option<Box<dyn ColumnReader>>,
    form: ValueForm,
}

enum ValueForm {
    /// Pairs to fold.
    Pairs,
    /// Plain values, of which null may count.
    Values { with_nulls: bool },
}

impl PairSource {
    fn open(source: &Arc<dyn ColumnSource>, spec: &FirstLast) -> Result<Self> {
        let time = source.column(&spec.time_column)?.filter(|column| column.capabilities().column_type == ColumnType::Long);
        let value = source.column(&spec.field_name)?;
        let capabilities = value.as_ref().map(|column| column.capabilities());
        let is_string = spec.value_type() == ColumnType::String;
        let form = match &capabilities {
            Some(capabilities) => match &capabilities.column_type {
                ColumnType::Complex(Some(name)) if name.starts_with("serializablePair") => ValueForm::Pairs,
                ColumnType::String => ValueForm::Values { with_nulls: !is_string || capabilities.dictionary },
                _ => ValueForm::Values { with_nulls: true },
            },
            None => ValueForm::Values { with_nulls: true },
        };
        let open = |column: Arc<dyn crate::column::Column>| column.reader();
        Ok(PairSource { time: time.map(open).transpose()?, value: value.map(open).transpose()?, form })
    }
}

/// Which of two times wins.
trait Order: Send + 'static {
    const START: i64;
    /// True when a row that comes later, with this time, replaces the current one.
    fn replaces(time: i64, current: i64) -> bool;
}

struct First;
struct Last;

impl Order for First {
    const START: i64 = MAX_TIME;
    fn replaces(time: i64, current: i64) -> bool {
        time < current
    }
}

impl Order for Last {
    const START: i64 = MIN_TIME;
    fn replaces(time: i64, current: i64) -> bool {
        time >= current
    }
}

struct PairState<V, O> {
    source: Option<PairSource>,
    max_bytes: Option<usize>,
    times: Vec<i64>,
    values: Vec<Option<V>>,
    winners: Winners,
    order: PhantomData<fn(O)>,
}

/// Rows of the current batch that won a group so far: (row id, group). Values are read for these only.
#[derive(Default)]
struct Winners {
    /// By group: 1 + index into `won`.
    index: Vec<u32>,
    won: Vec<(u32, u32)>,
}

impl<V: PairValue, O: Order> PairState<V, O> {
    fn boxed(source: Option<PairSource>, max_bytes: Option<usize>) -> Box<dyn Aggregator> {
        let (times, values, winners) = (Vec::new(), Vec::new(), Winners::default());
        Box::new(PairState::<V, O> { source, max_bytes, times, values, winners, order: PhantomData })
    }

    fn offer(&mut self, group: usize, time: i64, value: Option<V>) {
        if O::replaces(time, self.times[group]) {
            self.times[group] = time;
            self.values[group] = value;
        }
    }

    /// Finds the winning rows of the batch by time alone.
    fn find_winners(&mut self, rows: &Rows<'_>, groups: Groups<'_>) -> Result<()> {
        let time = self.source.as_mut().and_then(|source| source.time.as_deref_mut());
        let Some(time) = time else { return Ok(()) };
        let numbers = time.longs(rows.clone())?;
        self.winners.index.resize(self.times.len(), 0);
        for (position, time) in numbers.values.iter().enumerate() {
            let group = groups.of(position);
            if !O::replaces(*time, self.times[group]) || numbers.nulls.is_some_and(|nulls| nulls[position]) {
                continue;
            }
            self.times[group] = *time;
            let row = match rows {
                Rows::Range(range) => range.start + position as u32,
                Rows::Ids(ids) => ids[position],
            };
            match self.winners.index[group] {
                0 => {
                    self.winners.won.push((row, group as u32));
                    self.winners.index[group] = self.winners.won.len() as u32;
                }
                index => self.winners.won[index as usize - 1].0 = row,
            }
        }
        Ok(())
    }

    /// Reads the values of the winning rows.
    fn read_winners(&mut self) -> Result<()> {
        let mut won = std::mem::take(&mut self.winners.won);
        won.sort_unstable();
        let ids: Vec<u32> = won.iter().map(|(row, _)| *row).collect();
        let value = self.source.as_mut().and_then(|source| source.value.as_deref_mut());
        match value {
            Some(reader) if !ids.is_empty() => {
                for (value, (_, group)) in reader.values(Rows::Ids(&ids))?.iter().zip(&won) {
                    self.values[*group as usize] = V::from_value(value);
                }
            }
            _ => won.iter().for_each(|(_, group)| self.values[*group as usize] = None),
        }
        won.iter().for_each(|(_, group)| self.winners.index[*group as usize] = 0);
        won.clear();
        self.winners.won = won;
        Ok(())
    }

    /// Folds pairs, or values of which nulls do not count: every row's value is needed.
    fn add_each(&mut self, rows: Rows<'_>, groups: Groups<'_>) -> Result<()> {
        let Some(source) = &mut self.source else { return Ok(()) };
        let Some(reader) = source.value.as_deref_mut() else { return Ok(()) };
        let values = reader.values(rows.clone())?.to_vec();
        if matches!(source.form, ValueForm::Pairs) {
            for (position, value) in values.iter().enumerate() {
                self.merge_one(value, groups.of(position))?;
            }
            return Ok(());
        }
        let Some(time) = source.time.as_deref_mut() else { return Ok(()) };
        let numbers = time.longs(rows)?;
        let times: Vec<Option<i64>> = (0..numbers.values.len())
            .map(|row| numbers.nulls.is_none_or(|nulls| !nulls[row]).then_some(numbers.values[row]))
            .collect();
        for (position, value) in values.iter().enumerate() {
            if let (Some(time), Some(value)) = (times[position], V::from_value(value)) {
                self.offer(groups.of(position), time, Some(value));
            }
        }
        Ok(())
    }

    fn merge_one(&mut self, value: &Value, group: usize) -> Result<()> {
        if let Some(bytes) = sketch_bytes(value)?.filter(|bytes| !bytes.is_empty()) {
            let (time, value) = decode::<V>(&bytes)?;
            if time != O::START {
                self.offer(group, time, value);
            }
        }
        Ok(())
    }
}

impl<V: PairValue, O: Order> Aggregator for PairState<V, O> {
    fn resize(&mut self, groups: usize) {
        if groups > self.times.len() {
            self.times.resize(groups, O::START);
            self.values.resize(groups, None);
        }
    }
    fn add(&mut self, rows: Rows<'_>, groups: Groups<'_>) -> Result<()> {
        let Some(source) = &self.source else { return Err(super::merge_only()) };
        if !matches!(source.form, ValueForm::Values { with_nulls: true }) {
            return self.add_each(rows, groups);
        }
        self.find_winners(&rows, groups)?;
        self.read_winners()
    }
    fn merge(&mut self, partial: &Vector, groups: &[u32]) -> Result<()> {
        for (row, group) in groups.iter().enumerate() {
            self.merge_one(&partial.value(row), *group as usize)?;
        }
        Ok(())
    }
    fn take_partial(&mut self) -> Result<Vector> {
        let name: Arc<str> = Arc::from(V::PAIR);
        let (times, values) = (std::mem::take(&mut self.times), std::mem::take(&mut self.values));
        let mut pairs = Vec::with_capacity(times.len());
        for (time, value) in times.into_iter().zip(values) {
            let bytes: Bytes = encode(time, value.map(|value| value.chopped(self.max_bytes)).as_ref());
            pairs.push(Value::Complex(name.clone(), bytes));
        }
        self.winners = Winners::default();
        Ok(Vector::Any { column_type: ColumnType::complex(V::PAIR), values: pairs })
    }
    fn memory_bytes(&self) -> usize {
        self.times.capacity() * 8 + self.values.capacity() * size_of::<Option<V>>()
    }
}
