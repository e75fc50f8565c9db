//! `longFirst`, `stringLast` and the like (`GenericFirstAggregatorFactory`, `StringLastAggregatorFactory`): the value at
//! the smallest or greatest time. Partials are pairs of time and value; over a stored pair column they fold (which is
//! all that `stringFirstFold` and `stringLastFold` do). Ties go to the earlier row for first, the later for last.
//! Numeric forms take null values; string forms take them only from a dictionary column, as Druid does.

use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use ovate_base::{DruidError, Result};
use serde_json::{Map, Value as Json, json};

use super::input::Input;
use super::json::Fields;
use super::number::Number;
use super::sketched::sketch_bytes;
use super::{Aggregator, AggregatorFactory, AggregatorSpec, Groups};
use crate::column::{ColumnReader, ColumnSource, Dictionary, Rows};
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
    value: ValueInput,
}

/// The value column.
enum ValueInput {
    Missing,
    /// Pairs to fold.
    Pairs(Box<dyn ColumnReader>),
    /// Plain values of which nulls do not count.
    NotNull(Box<dyn ColumnReader>),
    /// Plain values, nulls among them.
    Values(Box<dyn ColumnReader>),
    /// The same, for numeric aggregators.
    Numbers(Input),
    /// Text by code; each text is made once.
    Codes(Box<dyn ColumnReader>, Arc<dyn Dictionary>, Vec<Option<Option<Arc<str>>>>),
}

impl PairSource {
    fn open(source: &Arc<dyn ColumnSource>, spec: &FirstLast) -> Result<Self> {
        let time = source.column(&spec.time_column)?.filter(|column| column.capabilities().column_type == ColumnType::Long);
        let time = time.map(|column| column.reader()).transpose()?;
        Ok(PairSource { time, value: Self::open_value(source, spec)? })
    }

    fn open_value(source: &Arc<dyn ColumnSource>, spec: &FirstLast) -> Result<ValueInput> {
        let Some(column) = source.column(&spec.field_name)? else { return Ok(ValueInput::Missing) };
        let capabilities = column.capabilities();
        let is_text = spec.value_type() == ColumnType::String;
        Ok(match (&capabilities.column_type, column.dictionary()) {
            (ColumnType::Complex(Some(name)), _) if name.starts_with("serializablePair") => ValueInput::Pairs(column.reader()?),
            (ColumnType::Complex(_) | ColumnType::Array(_), _) => ValueInput::Values(column.reader()?),
            _ if !is_text && !capabilities.multi_value => ValueInput::Numbers(Input::column(source, &spec.field_name)?),
            (ColumnType::String, Some(dictionary)) if capabilities.dictionary && !capabilities.multi_value => {
                let texts = vec![None; dictionary.cardinality() as usize];
                ValueInput::Codes(column.reader()?, dictionary, texts)
            }
            (ColumnType::String, _) if is_text && !capabilities.dictionary => ValueInput::NotNull(column.reader()?),
            _ => ValueInput::Values(column.reader()?),
        })
    }
}

/// How the values of winning rows are read.
trait WinnerValue: PairValue {
    /// Appends one value a row.
    fn read_rows(input: &mut ValueInput, ids: &[u32], out: &mut Vec<Option<Self>>) -> Result<()>;

    /// Any column, by value.
    fn read_any(input: &mut ValueInput, ids: &[u32], out: &mut Vec<Option<Self>>) -> Result<()> {
        match input {
            ValueInput::Pairs(reader) | ValueInput::NotNull(reader) | ValueInput::Values(reader) => {
                out.extend(reader.values(Rows::Ids(ids))?.iter().map(Self::from_value));
            }
            _ => out.extend(ids.iter().map(|_| None)),
        }
        Ok(())
    }
}

macro_rules! numeric_winner {
    ($type:ty) => {
        impl WinnerValue for $type {
            fn read_rows(input: &mut ValueInput, ids: &[u32], out: &mut Vec<Option<Self>>) -> Result<()> {
                let ValueInput::Numbers(input) = input else { return Self::read_any(input, ids, out) };
                let numbers = <$type as Number>::read(input, Rows::Ids(ids))?.numbers;
                match numbers.nulls {
                    None => out.extend(numbers.values.iter().map(|value| Some(*value))),
                    Some(nulls) => out.extend(numbers.values.iter().zip(nulls).map(|(value, null)| (!null).then_some(*value))),
                }
                Ok(())
            }
        }
    };
}
numeric_winner!(i64);
numeric_winner!(f32);
numeric_winner!(f64);

impl WinnerValue for Arc<str> {
    fn read_rows(input: &mut ValueInput, ids: &[u32], out: &mut Vec<Option<Self>>) -> Result<()> {
        let ValueInput::Codes(reader, dictionary, texts) = input else { return Self::read_any(input, ids, out) };
        for code in reader.codes(Rows::Ids(ids))? {
            let out_of_range = || DruidError::runtime(format!("dictionary code out of range: {code}"));
            let slot = texts.get_mut(*code as usize).ok_or_else(out_of_range)?;
            if slot.is_none() {
                *slot = Some(dictionary.get(*code)?.map(Arc::from));
            }
            out.push(slot.clone().flatten());
        }
        Ok(())
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

/// Rows of the current batch that won a group so far. Values are read for these only.
#[derive(Default)]
struct Winners {
    /// By group: 1 + position in the batch of the winning row, 0 for none.
    positions: Vec<u32>,
    /// Groups that have a winner.
    groups: Vec<u32>,
    /// Row ids of the winners, ascending, and their groups.
    ids: Vec<u32>,
    owners: Vec<u32>,
}

impl Winners {
    /// Orders the winners by row.
    fn order(&mut self, rows: &Rows<'_>) {
        let id = |position: usize| match rows {
            Rows::Range(range) => range.start + position as u32,
            Rows::Ids(ids) => ids[position],
        };
        self.ids.clear();
        self.owners.clear();
        if self.groups.len() * 8 < rows.len() {
            let positions = &self.positions;
            self.groups.sort_unstable_by_key(|group| positions[*group as usize]);
            self.owners.extend_from_slice(&self.groups);
        } else {
            let mut owners = vec![u32::MAX; rows.len()];
            self.groups.iter().for_each(|group| owners[self.positions[*group as usize] as usize - 1] = *group);
            self.owners.extend(owners.into_iter().filter(|owner| *owner != u32::MAX));
        }
        self.ids.extend(self.owners.iter().map(|group| id(self.positions[*group as usize] as usize - 1)));
        self.groups.iter().for_each(|group| self.positions[*group as usize] = 0);
        self.groups.clear();
    }
}

impl<V: WinnerValue, O: Order> PairState<V, O> {
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
        let winners = &mut self.winners;
        winners.positions.resize(self.times.len(), 0);
        for (position, time) in numbers.values.iter().enumerate() {
            let group = groups.of(position);
            if !O::replaces(*time, self.times[group]) || numbers.nulls.is_some_and(|nulls| nulls[position]) {
                continue;
            }
            self.times[group] = *time;
            if winners.positions[group] == 0 {
                winners.groups.push(group as u32);
            }
            winners.positions[group] = position as u32 + 1;
        }
        winners.order(rows);
        Ok(())
    }

    /// Reads the values of the winning rows.
    fn read_winners(&mut self) -> Result<()> {
        let (Some(source), winners) = (&mut self.source, &self.winners) else { return Ok(()) };
        if winners.ids.is_empty() {
            return Ok(());
        }
        let mut values = Vec::with_capacity(winners.ids.len());
        V::read_rows(&mut source.value, &winners.ids, &mut values)?;
        for (value, group) in values.into_iter().zip(&winners.owners) {
            self.values[*group as usize] = value;
        }
        Ok(())
    }

    /// Folds pairs, or values of which nulls do not count: every row's value is needed.
    fn add_each(&mut self, rows: Rows<'_>, groups: Groups<'_>) -> Result<()> {
        let Some(source) = &mut self.source else { return Ok(()) };
        let (reader, is_pairs) = match &mut source.value {
            ValueInput::Pairs(reader) => (reader, true),
            ValueInput::NotNull(reader) => (reader, false),
            _ => return Ok(()),
        };
        let values = reader.values(rows.clone())?.to_vec();
        if is_pairs {
            return values.iter().enumerate().try_for_each(|(row, value)| self.merge_one(value, groups.of(row)));
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

impl<V: WinnerValue, O: Order> Aggregator for PairState<V, O> {
    fn resize(&mut self, groups: usize) {
        if groups > self.times.len() {
            self.times.resize(groups, O::START);
            self.values.resize(groups, None);
        }
    }
    fn add(&mut self, rows: Rows<'_>, groups: Groups<'_>) -> Result<()> {
        let Some(source) = &self.source else { return Err(super::merge_only()) };
        if matches!(source.value, ValueInput::Pairs(_) | ValueInput::NotNull(_)) {
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
