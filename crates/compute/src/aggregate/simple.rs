//! `longSum`, `doubleSum`, `floatSum`, `longMin` and the like: one number a group, folded by one operation
//! (`SimpleLongAggregatorFactory` and its float and double sisters). Null until a value that is not null was seen.
//! Long sums wrap on overflow, minima and maxima of doubles keep NaN, as Java does.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

use ovate_base::Result;
use serde_json::{Map, Value as Json, json};

use super::input::{Input, Read};
use super::json::Fields;
use super::number::{Number, NumberSlot, NumberState, for_each_number};
use super::{Aggregator, AggregatorFactory, AggregatorSpec, Groups};
use crate::column::{ColumnSource, Rows, Summary};
use crate::context::EvalContext;
use crate::types::ColumnType;
use crate::vector::Vector;

#[derive(Debug, Clone)]
struct Simple {
    kind: String,
    name: String,
    field_name: Option<String>,
    expression: Option<String>,
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    let field_name = fields.string_or_none("fieldName")?.map(str::to_owned);
    let expression = fields.string_or_none("expression")?.map(str::to_owned);
    if field_name.is_some() == expression.is_some() {
        return Err(fields.bad("fieldName", "must be given, or an expression, and not both"));
    }
    let (kind, name) = (fields.kind()?.to_owned(), fields.string("name")?.to_owned());
    Ok(AggregatorSpec::new(Simple { kind, name, field_name, expression }))
}

/// A `longSum` over a column.
pub(super) fn long_sum(name: &str, field_name: &str) -> AggregatorSpec {
    let (name, field_name) = (name.to_owned(), Some(field_name.to_owned()));
    AggregatorSpec::new(Simple { kind: "longSum".to_owned(), name, field_name, expression: None })
}

impl Simple {
    fn state(&self, input: Option<Input>) -> Box<dyn Aggregator> {
        match self.kind.as_str() {
            "longSum" => SimpleState::<i64, Sum>::boxed(input),
            "longMin" => SimpleState::<i64, Min>::boxed(input),
            "longMax" => SimpleState::<i64, Max>::boxed(input),
            "floatSum" => SimpleState::<f32, Sum>::boxed(input),
            "floatMin" => SimpleState::<f32, Min>::boxed(input),
            "floatMax" => SimpleState::<f32, Max>::boxed(input),
            "doubleMin" => SimpleState::<f64, Min>::boxed(input),
            "doubleMax" => SimpleState::<f64, Max>::boxed(input),
            _ => SimpleState::<f64, Sum>::boxed(input),
        }
    }
}

impl AggregatorFactory for Simple {
    fn name(&self) -> &str {
        &self.name
    }
    fn to_json(&self) -> Json {
        let mut json = Map::new();
        json.insert("type".into(), json!(self.kind));
        json.insert("name".into(), json!(self.name));
        if let Some(field_name) = &self.field_name {
            json.insert("fieldName".into(), json!(field_name));
        }
        if let Some(expression) = &self.expression {
            json.insert("expression".into(), json!(expression));
        }
        Json::Object(json)
    }
    fn required_columns(&self) -> Vec<String> {
        match (&self.field_name, &self.expression) {
            (Some(field_name), _) => vec![field_name.clone()],
            (None, Some(expression)) => super::input::expression_columns(expression),
            (None, None) => Vec::new(),
        }
    }
    fn bind(&self, source: &Arc<dyn ColumnSource>, context: &EvalContext) -> Result<Box<dyn Aggregator>> {
        let input = Input::open(source, self.field_name.as_deref(), self.expression.as_deref(), context)?;
        Ok(self.state(Some(input)))
    }
    fn merger(&self) -> Result<Box<dyn Aggregator>> {
        Ok(self.state(None))
    }
    fn combining(&self) -> AggregatorSpec {
        AggregatorSpec::new(Simple { field_name: Some(self.name.clone()), expression: None, ..self.clone() })
    }
    fn with_name(&self, name: &str) -> AggregatorSpec {
        AggregatorSpec::new(Simple { name: name.to_owned(), ..self.clone() })
    }
    fn intermediate_type(&self) -> ColumnType {
        match &self.kind {
            kind if kind.starts_with("long") => ColumnType::Long,
            kind if kind.starts_with("float") => ColumnType::Float,
            _ => ColumnType::Double,
        }
    }
    fn result_type(&self) -> ColumnType {
        self.intermediate_type()
    }
}

/// How two values become one.
trait Fold<T>: Send + 'static {
    const START: T;
    fn fold(left: T, right: T) -> T;
    /// The fold of a block of which the summary is known.
    fn of(summary: Summary<T>) -> T;
}

struct Sum;
struct Min;
struct Max;

macro_rules! float_folds {
    ($type:ident) => {
        impl Fold<$type> for Sum {
            const START: $type = 0.0;
            #[inline(always)]
            fn fold(left: $type, right: $type) -> $type {
                left + right
            }
            fn of(summary: Summary<$type>) -> $type {
                summary.sum
            }
        }
        impl Fold<$type> for Min {
            const START: $type = $type::INFINITY;
            #[inline(always)]
            fn fold(left: $type, right: $type) -> $type {
                if right < left || right.is_nan() { right } else { left }
            }
            fn of(summary: Summary<$type>) -> $type {
                summary.min
            }
        }
        impl Fold<$type> for Max {
            const START: $type = $type::NEG_INFINITY;
            #[inline(always)]
            fn fold(left: $type, right: $type) -> $type {
                if right > left || right.is_nan() { right } else { left }
            }
            fn of(summary: Summary<$type>) -> $type {
                summary.max
            }
        }
    };
}
float_folds!(f32);
float_folds!(f64);

impl Fold<i64> for Sum {
    const START: i64 = 0;
    #[inline(always)]
    fn fold(left: i64, right: i64) -> i64 {
        left.wrapping_add(right)
    }
    fn of(summary: Summary<i64>) -> i64 {
        summary.sum
    }
}
impl Fold<i64> for Min {
    const START: i64 = i64::MAX;
    #[inline(always)]
    fn fold(left: i64, right: i64) -> i64 {
        left.min(right)
    }
    fn of(summary: Summary<i64>) -> i64 {
        summary.min
    }
}
impl Fold<i64> for Max {
    const START: i64 = i64::MIN;
    #[inline(always)]
    fn fold(left: i64, right: i64) -> i64 {
        left.max(right)
    }
    fn of(summary: Summary<i64>) -> i64 {
        summary.max
    }
}

struct SimpleState<T, F> {
    input: Option<Input>,
    state: NumberState<T>,
    fold: PhantomData<fn(F)>,
}

/// Independent running values of one fold, so that floating point additions need not wait for each other.
const LANES: usize = 8;

/// Folds a slice; short ones in order, so that small sums are Druid's to the last bit.
fn fold_slice<T: Number, F: Fold<T>>(start: T, values: &[T]) -> T {
    let mut chunks = values.chunks_exact(LANES);
    if chunks.len() < LANES {
        return values.iter().fold(start, |left, right| F::fold(left, *right));
    }
    let mut lanes = [F::START; LANES];
    for chunk in &mut chunks {
        for lane in 0..LANES {
            lanes[lane] = F::fold(lanes[lane], chunk[lane]);
        }
    }
    let folded = chunks.remainder().iter().fold(start, |left, right| F::fold(left, *right));
    lanes.iter().fold(folded, |left, right| F::fold(left, *right))
}

/// The same with nulls: the start value changes nothing, so it takes their place and the loop stays free of branches.
fn fold_slice_with_nulls<T: Number, F: Fold<T>>(start: T, values: &[T], nulls: &[bool]) -> T {
    let pick = |value: T, null: bool| if null { F::START } else { value };
    let (mut chunks, mut null_chunks) = (values.chunks_exact(LANES), nulls.chunks_exact(LANES));
    if chunks.len() < LANES {
        return values.iter().zip(nulls).fold(start, |left, (value, null)| F::fold(left, pick(*value, *null)));
    }
    let mut lanes = [F::START; LANES];
    for (chunk, nulls) in (&mut chunks).zip(&mut null_chunks) {
        for lane in 0..LANES {
            lanes[lane] = F::fold(lanes[lane], pick(chunk[lane], nulls[lane]));
        }
    }
    let rest = chunks.remainder().iter().zip(null_chunks.remainder());
    let folded = rest.fold(start, |left, (value, null)| F::fold(left, pick(*value, *null)));
    lanes.iter().fold(folded, |left, right| F::fold(left, *right))
}

impl<T: Number, F: Fold<T>> SimpleState<T, F> {
    fn boxed(input: Option<Input>) -> Box<dyn Aggregator> {
        Box::new(SimpleState::<T, F> { input, state: NumberState::new(F::START), fold: PhantomData })
    }
}

/// Folds one value into its slot.
#[inline(always)]
fn fold_into<T: Number, F: Fold<T>>(slot: &mut NumberSlot<T>, value: T) {
    slot.value = F::fold(slot.value, value);
    slot.seen = true;
}

/// Adds numbers of one batch to their groups.
fn add_numbers<T: Number, F: Fold<T>>(state: &mut NumberState<T>, read: &Read<'_, T>, groups: Groups<'_>) {
    let (values, nulls) = (read.numbers.values, read.numbers.nulls);
    if values.is_empty() {
        return;
    }
    let slots = state.slots.as_mut_slice();
    match (groups, nulls, read.positions) {
        (Groups::One(group), None, _) => {
            let slot = &mut slots[group as usize];
            *slot = NumberSlot { value: fold_slice::<T, F>(slot.value, values), seen: true };
        }
        (Groups::One(group), Some(nulls), _) => {
            let slot = &mut slots[group as usize];
            slot.value = fold_slice_with_nulls::<T, F>(slot.value, values, nulls);
            slot.seen |= nulls.iter().any(|null| !null);
        }
        (Groups::Each(groups), None, None) => {
            for (value, group) in values.iter().zip(groups) {
                fold_into::<T, F>(&mut slots[*group as usize], *value);
            }
        }
        (Groups::Each(groups), Some(nulls), None) => {
            for ((value, null), group) in values.iter().zip(nulls).zip(groups) {
                if !*null {
                    fold_into::<T, F>(&mut slots[*group as usize], *value);
                }
            }
        }
        (Groups::Each(groups), nulls, Some(positions)) => {
            for (index, (value, position)) in values.iter().zip(positions).enumerate() {
                if nulls.is_none_or(|nulls| !nulls[index]) {
                    fold_into::<T, F>(&mut slots[groups[*position as usize] as usize], *value);
                }
            }
        }
    }
}

impl<T: Number, F: Fold<T>> Aggregator for SimpleState<T, F> {
    fn resize(&mut self, groups: usize) {
        self.state.resize(groups);
    }
    fn add(&mut self, rows: Rows<'_>, groups: Groups<'_>) -> Result<()> {
        let Some(input) = &mut self.input else { return Err(super::merge_only()) };
        if let (Groups::One(group), Rows::Range(range)) = (groups, &rows)
            && let Some(summary) = T::summary(input, range.clone())?
        {
            fold_into::<T, F>(&mut self.state.slots[group as usize], F::of(summary));
            return Ok(());
        }
        let read = T::read(input, rows)?;
        add_numbers::<T, F>(&mut self.state, &read, groups);
        Ok(())
    }
    fn merge(&mut self, partial: &Vector, groups: &[u32]) -> Result<()> {
        let state = &mut self.state;
        for_each_number(partial, |row, value: T| {
            fold_into::<T, F>(&mut state.slots[groups[row] as usize], value);
        })
    }
    fn take_partial(&mut self) -> Result<Vector> {
        Ok(self.state.take())
    }
    fn memory_bytes(&self) -> usize {
        self.state.memory_bytes()
    }
    fn as_any(&mut self) -> Option<&mut dyn Any> {
        Some(self)
    }
    fn take_groups(&mut self, before: &mut dyn Aggregator) -> bool {
        let Some(before) = super::same_kind::<Self>(before) else { return false };
        self.state.slots = std::mem::take(&mut before.state.slots);
        true
    }
    fn absorb(&mut self, other: &mut dyn Aggregator) -> Result<()> {
        let Some(other) = super::same_kind::<Self>(other) else { return Err(super::other_kind()) };
        self.state.resize(other.state.slots.len());
        for (slot, other) in self.state.slots.iter_mut().zip(std::mem::take(&mut other.state.slots)) {
            if other.seen {
                fold_into::<T, F>(slot, other.value);
            }
        }
        Ok(())
    }
}
