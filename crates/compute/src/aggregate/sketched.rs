//! The frame of sketch aggregators: a [`SketchKind`] says how values become items, items a sketch, and sketches bytes;
//! the frame reads columns of any type, hashes each dictionary value at most once, and keeps a sketch a group. Partials
//! are the bytes that segments store.

use std::any::Any;
use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use ovate_base::{DruidError, Result};
use serde_json::{Map, Value as Json, json};

use super::value_counts::ValueCounts;
use super::{Aggregator, AggregatorFactory, AggregatorSpec, Groups};
use crate::column::{Column, ColumnReader, ColumnSource, Dictionary, Numbers, Rows};
use crate::context::EvalContext;
use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

/// One kind of sketch, with its settings.
pub(crate) trait SketchKind: Clone + Send + Sync + 'static {
    type State: Send;
    /// A value made ready to be added: hashed, or converted.
    type Item: Copy + Send + Sync + 'static;
    /// Adding an item twice is the same as once.
    const IDEMPOTENT: bool;
    /// Complex type name of the partial.
    fn column_type(&self) -> &'static str;
    fn empty(&self) -> Result<Self::State>;
    fn text(&self, value: &str) -> Option<Self::Item>;
    fn long(&self, value: i64) -> Option<Self::Item>;
    fn double(&self, value: f64) -> Option<Self::Item>;
    fn float(&self, value: f32) -> Option<Self::Item> {
        self.double(f64::from(value))
    }
    fn update(&self, state: &mut Self::State, item: Self::Item);
    fn merge(&self, state: &mut Self::State, bytes: &[u8]) -> Result<()>;
    fn encode(&self, state: &Self::State) -> Vec<u8>;
    fn memory_bytes(&self, state: &Self::State) -> usize;
    /// What null counts as; mostly nothing.
    fn null(&self) -> Option<Self::Item> {
        None
    }
    /// True when text values are sketches: in base64, or as [`SketchKind::text_sketch`] reads them.
    fn text_is_sketch(&self) -> bool {
        false
    }
    /// The bytes of a sketch that is written as text.
    fn text_sketch(&self, text: &str) -> Result<Option<Vec<u8>>> {
        decode_base64(text).map(Some)
    }
    /// The bytes of a sketch that is written as a document; `None`: documents are left out.
    fn json_sketch(&self, _json: &Json) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }
    /// The place beside a column where the items of its dictionary are kept, for kinds whose items cost much.
    fn derived_kind(&self) -> Option<DerivedKind> {
        None
    }
    /// True when many equal values are added faster together, by [`SketchKind::update_counted`].
    fn counts(&self) -> bool {
        false
    }
    /// Adds values as often as they were met; ascending.
    fn update_counted(&self, _state: &mut Self::State, _counted: &[(i64, u64)]) -> Result<()> {
        Err(super::other_kind())
    }
}

/// What may be kept beside a dictionary column (`Column::derived`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DerivedKind {
    HllUtf16,
    HllUtf8,
    Cardinality,
    HyperUnique,
    Theta,
}

/// A column being read as items.
struct SketchSource<I> {
    reader: Option<Box<dyn ColumnReader>>,
    form: Form<I>,
}

enum Form<I> {
    Long,
    /// Longs within narrow bounds, counted first.
    Counted(ValueCounts),
    Float,
    Double,
    Codes(CodeItems<I>),
    MultiCodes(CodeItems<I>),
    Values,
}

/// Items of a dictionary's values, each made once, and the codes that the last single group has seen.
struct CodeItems<I> {
    column: Arc<dyn Column>,
    dictionary: Arc<dyn Dictionary>,
    items: Items<I>,
    seen: Vec<u64>,
    seen_group: Option<u32>,
}

enum Items<I> {
    /// Of all codes, kept beside the column.
    All(Arc<Vec<Option<I>>>),
    /// Of the codes met so far, `made` of them.
    Some { items: Vec<Option<Option<I>>>, made: usize },
}

impl<I: Copy + Send + Sync + 'static> CodeItems<I> {
    fn new<K: SketchKind<Item = I>>(kind: &K, column: &Arc<dyn Column>, dictionary: Arc<dyn Dictionary>) -> Self {
        let codes = dictionary.cardinality() as usize;
        let kept = kind.derived_kind().and_then(|kind| column.derived(kind as usize));
        let items = match kept.and_then(|kept| kept.downcast::<Vec<Option<I>>>().ok()).filter(|all| all.len() == codes) {
            Some(all) => Items::All(all),
            None => Items::Some { items: vec![None; codes], made: 0 },
        };
        CodeItems { column: column.clone(), dictionary, items, seen: vec![0; codes.div_ceil(64)], seen_group: None }
    }

    #[inline]
    fn get<K: SketchKind<Item = I>>(&mut self, kind: &K, code: u32) -> Result<Option<I>> {
        if let Items::All(all) = &self.items
            && let Some(item) = all.get(code as usize)
        {
            return Ok(*item);
        }
        self.make(kind, code)
    }

    #[cold]
    fn make<K: SketchKind<Item = I>>(&mut self, kind: &K, code: u32) -> Result<Option<I>> {
        let of_code = |code: u32| Ok(self.dictionary.get(code)?.map_or_else(|| kind.null(), |text| kind.text(&text)));
        let out_of_range = || DruidError::runtime(format!("dictionary code out of range: {code}"));
        let Items::Some { items, made } = &mut self.items else { return Err(out_of_range()) };
        let codes = items.len();
        let slot = items.get_mut(code as usize).ok_or_else(out_of_range)?;
        if let Some(item) = slot {
            return Ok(*item);
        }
        let item: Option<I> = of_code(code)?;
        *slot = Some(item);
        *made += 1;
        // A query that needs a good part of them works out the rest, so that the next one finds them all.
        if let Some(derived) = kind.derived_kind().filter(|_| *made > codes / 4) {
            let rest = items.iter().zip(0u32..).map(|(item, code)| item.map_or_else(|| of_code(code), Ok));
            let all: Arc<Vec<Option<I>>> = Arc::new(rest.collect::<Result<_>>()?);
            self.column.keep_derived(derived as usize, all.clone(), codes * size_of::<Option<I>>());
            self.items = Items::All(all);
        }
        Ok(item)
    }

    /// True the first time a code comes for this group, as long as the group stays the same.
    fn is_new(&mut self, group: u32, code: u32) -> bool {
        if self.seen_group != Some(group) {
            self.seen.fill(0);
            self.seen_group = Some(group);
        }
        let Some(word) = self.seen.get_mut(code as usize / 64) else { return true };
        let bit = 1 << (code % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
}

/// Sketches of all groups.
pub(crate) struct SketchState<K: SketchKind> {
    kind: K,
    sources: Vec<SketchSource<K::Item>>,
    states: Vec<Option<K::State>>,
}

impl<K: SketchKind> SketchState<K> {
    /// A state that reads these columns; `None` is a column that does not exist. No columns: it only merges.
    pub(crate) fn boxed(kind: K, columns: Vec<Option<Arc<dyn Column>>>) -> Result<Box<dyn Aggregator>> {
        let sources = columns.iter().flatten().map(|column| Self::open(&kind, column)).collect::<Result<_>>()?;
        Ok(Box::new(SketchState { kind, sources, states: Vec::new() }))
    }

    fn open(kind: &K, column: &Arc<dyn Column>) -> Result<SketchSource<K::Item>> {
        let capabilities = column.capabilities();
        let form = match (capabilities.column_type, column.dictionary()) {
            (ColumnType::Long, _) if kind.counts() => ValueCounts::of(column)?.map_or(Form::Long, Form::Counted),
            (ColumnType::Long, _) => Form::Long,
            (ColumnType::Float, _) => Form::Float,
            (ColumnType::Double, _) => Form::Double,
            (ColumnType::String, Some(dictionary)) if capabilities.dictionary && !kind.text_is_sketch() => {
                let items = CodeItems::new(kind, column, dictionary);
                if capabilities.multi_value { Form::MultiCodes(items) } else { Form::Codes(items) }
            }
            _ => Form::Values,
        };
        Ok(SketchSource { reader: Some(column.reader()?), form })
    }
}

impl<K: SketchKind> SketchState<K> {
    /// Adds what was only counted so far.
    fn flush(&mut self) -> Result<()> {
        for source in &mut self.sources {
            if let Form::Counted(counts) = &mut source.form {
                counts.flush(&self.kind, &mut self.states)?;
            }
        }
        Ok(())
    }
}

/// The group's sketch, made when it is first needed.
pub(super) fn slot<'a, K: SketchKind>(kind: &K, states: &'a mut [Option<K::State>], group: usize) -> Result<&'a mut K::State> {
    let slot = &mut states[group];
    match slot {
        Some(state) => Ok(state),
        None => Ok(slot.insert(kind.empty()?)),
    }
}

/// Adds the numbers of one batch.
fn add_numbers<K: SketchKind, T: Copy>(
    kind: &K,
    states: &mut [Option<K::State>],
    numbers: Numbers<'_, T>,
    groups: Groups<'_>,
    item: impl Fn(T) -> Option<K::Item>,
) -> Result<()> {
    for (row, value) in numbers.values.iter().enumerate() {
        let null = numbers.nulls.is_some_and(|nulls| nulls[row]);
        let item = if null { kind.null() } else { item(*value) };
        if let Some(item) = item {
            kind.update(slot(kind, states, groups.of(row))?, item);
        }
    }
    Ok(())
}

/// Adds one value of any type; arrays add each element.
fn add_value<K: SketchKind>(kind: &K, states: &mut [Option<K::State>], value: &Value, group: usize) -> Result<()> {
    let item = match value {
        Value::Null => kind.null(),
        Value::Json(json) => {
            if let Some(bytes) = kind.json_sketch(json)? {
                kind.merge(slot(kind, states, group)?, &bytes)?;
            }
            None
        }
        Value::Long(value) => kind.long(*value),
        Value::Float(value) => kind.float(*value),
        Value::Double(value) => kind.double(*value),
        Value::String(text) if kind.text_is_sketch() => {
            if let Some(bytes) = kind.text_sketch(text)? {
                kind.merge(slot(kind, states, group)?, &bytes)?;
            }
            None
        }
        Value::String(text) => kind.text(text),
        Value::Array(values) => {
            for value in values.iter() {
                add_value(kind, states, value, group)?;
            }
            None
        }
        Value::Complex(_, bytes) => {
            if !bytes.is_empty() {
                kind.merge(slot(kind, states, group)?, bytes)?;
            }
            None
        }
    };
    if let Some(item) = item {
        kind.update(slot(kind, states, group)?, item);
    }
    Ok(())
}

impl<I: Copy + Send + Sync + 'static> SketchSource<I> {
    fn add<K: SketchKind<Item = I>>(
        &mut self,
        kind: &K,
        states: &mut [Option<K::State>],
        rows: Rows<'_>,
        groups: Groups<'_>,
    ) -> Result<()> {
        let Some(reader) = self.reader.as_deref_mut() else { return Ok(()) };
        match &mut self.form {
            Form::Long => add_numbers(kind, states, reader.longs(rows)?, groups, |value| kind.long(value)),
            Form::Counted(counts) => {
                if counts.add(&reader.longs(rows.clone())?, groups, states.len()) {
                    return Ok(());
                }
                // Too many groups to count in each.
                counts.flush(kind, states)?;
                self.form = Form::Long;
                self.add(kind, states, rows, groups)
            }
            Form::Float => add_numbers(kind, states, reader.floats(rows)?, groups, |value| kind.float(value)),
            Form::Double => add_numbers(kind, states, reader.doubles(rows)?, groups, |value| kind.double(value)),
            Form::Codes(items) => add_codes(kind, states, items, reader.codes(rows)?, groups),
            Form::MultiCodes(items) => {
                let codes = reader.multi_codes(rows)?;
                for (row, bounds) in codes.offsets.windows(2).enumerate() {
                    let group = [groups.of(row) as u32];
                    for code in &codes.codes[bounds[0] as usize..bounds[1] as usize] {
                        add_codes(kind, states, items, &[*code], Groups::Each(&group))?;
                    }
                }
                Ok(())
            }
            Form::Values => {
                for (row, value) in reader.values(rows)?.iter().enumerate() {
                    add_value(kind, states, value, groups.of(row))?;
                }
                Ok(())
            }
        }
    }
}

/// Adds dictionary codes.
fn add_codes<K: SketchKind>(
    kind: &K,
    states: &mut [Option<K::State>],
    items: &mut CodeItems<K::Item>,
    codes: &[u32],
    groups: Groups<'_>,
) -> Result<()> {
    match groups {
        Groups::One(group) => {
            for code in codes {
                if K::IDEMPOTENT && !items.is_new(group, *code) {
                    continue;
                }
                if let Some(item) = items.get(kind, *code)? {
                    kind.update(slot(kind, states, group as usize)?, item);
                }
            }
        }
        Groups::Each(groups) => {
            for (code, group) in codes.iter().zip(groups) {
                if let Some(item) = items.get(kind, *code)? {
                    kind.update(slot(kind, states, *group as usize)?, item);
                }
            }
        }
    }
    Ok(())
}

impl<K: SketchKind> Aggregator for SketchState<K> {
    fn resize(&mut self, groups: usize) {
        if groups > self.states.len() {
            self.states.resize_with(groups, || None);
        }
    }
    fn add(&mut self, rows: Rows<'_>, groups: Groups<'_>) -> Result<()> {
        for source in &mut self.sources {
            source.add(&self.kind, &mut self.states, rows.clone(), groups)?;
        }
        Ok(())
    }
    fn merge(&mut self, partial: &Vector, groups: &[u32]) -> Result<()> {
        self.flush()?;
        for (row, group) in groups.iter().enumerate() {
            let value = partial.value(row);
            if let Some(bytes) = sketch_bytes(&value)?.filter(|bytes| !bytes.is_empty()) {
                self.kind.merge(slot(&self.kind, &mut self.states, *group as usize)?, &bytes)?;
            }
        }
        Ok(())
    }
    fn take_partial(&mut self) -> Result<Vector> {
        self.flush()?;
        for source in &mut self.sources {
            if let Form::Codes(items) | Form::MultiCodes(items) = &mut source.form {
                items.seen_group = None;
            }
        }
        let name: Arc<str> = Arc::from(self.kind.column_type());
        let mut values = Vec::with_capacity(self.states.len());
        for state in std::mem::take(&mut self.states) {
            let state = state.map_or_else(|| self.kind.empty(), Ok)?;
            values.push(Value::Complex(name.clone(), Bytes::from(self.kind.encode(&state))));
        }
        Ok(Vector::Any { column_type: ColumnType::complex(&name), values })
    }
    fn memory_bytes(&self) -> usize {
        let sketches: usize = self.states.iter().flatten().map(|state| self.kind.memory_bytes(state)).sum();
        sketches + self.states.capacity() * size_of::<Option<K::State>>()
    }
    fn as_any(&mut self) -> Option<&mut dyn Any> {
        Some(self)
    }
    fn take_groups(&mut self, before: &mut dyn Aggregator) -> bool {
        let Some(before) = super::same_kind::<Self>(before) else { return false };
        if before.flush().is_err() {
            return false;
        }
        self.states = std::mem::take(&mut before.states);
        true
    }
}

fn decode_base64(text: &str) -> Result<Vec<u8>> {
    let decoded = base64::engine::general_purpose::STANDARD.decode(text.as_bytes());
    decoded.map_err(|_| DruidError::invalid_input(format!("not a sketch in base64: {text:.40}")))
}

/// The bytes of a sketch: complex values as they are, text as base64, null none.
pub(crate) fn sketch_bytes(value: &Value) -> Result<Option<Cow<'_, [u8]>>> {
    match value {
        Value::Null => Ok(None),
        Value::Complex(_, bytes) => Ok(Some(Cow::Borrowed(bytes))),
        Value::String(text) => decode_base64(text).map(|bytes| Some(Cow::Owned(bytes))),
        other => Err(DruidError::runtime(format!("expected a sketch, got {other:?}"))),
    }
}

/// What one sketch aggregator over a `fieldName` says: its settings, its sketch and its final value.
pub(crate) trait SketchSpec: Clone + Debug + Send + Sync + 'static {
    type Kind: SketchKind;
    fn type_name(&self) -> &str;
    fn kind(&self) -> Self::Kind;
    /// Properties after `type`, `name` and `fieldName`.
    fn write_json(&self, json: &mut Map<String, Json>);
    /// Settings of the aggregator that merges stored sketches.
    fn combining(&self) -> Self {
        self.clone()
    }
    /// Type of the final value, `None` when the sketch itself is the final value.
    fn final_type(&self) -> Option<ColumnType>;
    /// The final value of these bytes, which are never empty.
    fn finalize(&self, bytes: &[u8]) -> Result<Value>;
    /// The final value of no sketch at all.
    fn finalize_nothing(&self) -> Value;
}

/// An aggregator that builds or merges sketches over one column.
#[derive(Debug, Clone)]
pub(crate) struct SketchAggregator<S> {
    pub(crate) name: String,
    pub(crate) field_name: String,
    pub(crate) spec: S,
}

impl<S: SketchSpec> SketchAggregator<S> {
    /// From JSON, once the settings are read.
    pub(crate) fn parse(fields: &super::json::Fields<'_>, spec: S) -> Result<AggregatorSpec> {
        let (name, field_name) = (fields.string("name")?.to_owned(), fields.string("fieldName")?.to_owned());
        Ok(AggregatorSpec::new(SketchAggregator { name, field_name, spec }))
    }
}

impl<S: SketchSpec> AggregatorFactory for SketchAggregator<S> {
    fn name(&self) -> &str {
        &self.name
    }
    fn to_json(&self) -> Json {
        let mut json = Map::new();
        json.insert("type".into(), json!(self.spec.type_name()));
        json.insert("name".into(), json!(self.name));
        json.insert("fieldName".into(), json!(self.field_name));
        self.spec.write_json(&mut json);
        Json::Object(json)
    }
    fn required_columns(&self) -> Vec<String> {
        vec![self.field_name.clone()]
    }
    fn bind(&self, source: &Arc<dyn ColumnSource>, _: &EvalContext) -> Result<Box<dyn Aggregator>> {
        SketchState::boxed(self.spec.kind(), vec![source.column(&self.field_name)?])
    }
    fn merger(&self) -> Result<Box<dyn Aggregator>> {
        SketchState::boxed(self.spec.kind(), Vec::new())
    }
    fn combining(&self) -> AggregatorSpec {
        let (name, field_name) = (self.name.clone(), self.name.clone());
        AggregatorSpec::new(SketchAggregator { name, field_name, spec: self.spec.combining() })
    }
    fn with_name(&self, name: &str) -> AggregatorSpec {
        AggregatorSpec::new(SketchAggregator { name: name.to_owned(), ..self.clone() })
    }
    fn intermediate_type(&self) -> ColumnType {
        ColumnType::complex(self.spec.kind().column_type())
    }
    fn result_type(&self) -> ColumnType {
        self.spec.final_type().unwrap_or_else(|| self.intermediate_type())
    }
    fn finalize(&self, partial: &Vector) -> Result<Vector> {
        let Some(final_type) = self.spec.final_type() else { return Ok(partial.clone()) };
        map_sketches(partial, &final_type, |bytes| self.spec.finalize(bytes), &self.spec.finalize_nothing())
    }
}

/// Maps each sketch of a vector to a value; `nothing` where there is none.
pub(crate) fn map_sketches(
    sketches: &Vector,
    to: &ColumnType,
    mut map: impl FnMut(&[u8]) -> Result<Value>,
    nothing: &Value,
) -> Result<Vector> {
    let mut values = Vec::with_capacity(sketches.len());
    for row in 0..sketches.len() {
        let sketch = sketches.value(row);
        let bytes = sketch_bytes(&sketch)?.filter(|bytes| !bytes.is_empty());
        values.push(bytes.map_or_else(|| Ok(nothing.clone()), |bytes| map(&bytes))?);
    }
    Ok(Vector::from_values(to, values))
}
