//! Numeric dimensions, and reading numbers out of any input (`DimensionHandlerUtils.convertObjectToLong` and its kin):
//! doubles truncate to longs as Java casts, texts are parsed, what cannot be read is null and a problem.

use ovate_compute::Value;
use ovate_compute::value::{parse_double, text_to_long};

use super::mix;
use crate::incremental::batch::{InputColumn, RowProblem, Selection};
use crate::incremental::packed_rows::{PackedRows, RowNumber};

/// A number that columns hold.
pub(crate) trait NumberKind: RowNumber {
    const NAME: &'static str;
    fn from_long(value: i64) -> Self;
    fn from_float(value: f32) -> Self;
    fn from_double(value: f64) -> Self;
    fn from_text(text: &str) -> Option<Self>;
    /// Bits that order as the number does, with NaN last and -0.0 before 0.0.
    fn order_bits(self) -> u64;
}

impl NumberKind for i64 {
    const NAME: &'static str = "long";
    fn from_long(value: i64) -> Self {
        value
    }
    fn from_float(value: f32) -> Self {
        value as i64
    }
    fn from_double(value: f64) -> Self {
        value as i64
    }
    fn from_text(text: &str) -> Option<Self> {
        text_to_long(text)
    }
    fn order_bits(self) -> u64 {
        self as u64 ^ 1 << 63
    }
}

impl NumberKind for f64 {
    const NAME: &'static str = "double";
    fn from_long(value: i64) -> Self {
        value as f64
    }
    fn from_float(value: f32) -> Self {
        f64::from(value)
    }
    fn from_double(value: f64) -> Self {
        value
    }
    fn from_text(text: &str) -> Option<Self> {
        parse_double(text)
    }
    fn order_bits(self) -> u64 {
        let bits = self.to_bits();
        if bits >> 63 == 1 { !bits } else { bits ^ 1 << 63 }
    }
}

impl NumberKind for f32 {
    const NAME: &'static str = "float";
    fn from_long(value: i64) -> Self {
        value as f32
    }
    fn from_float(value: f32) -> Self {
        value
    }
    fn from_double(value: f64) -> Self {
        value as f32
    }
    fn from_text(text: &str) -> Option<Self> {
        parse_double(text).map(|value| value as f32)
    }
    fn order_bits(self) -> u64 {
        f64::from(self).order_bits()
    }
}

/// Reads one input column as numbers, calling `each` with the place among the selected rows. `problem` hears of values
/// that are no numbers; they are given as null.
pub(crate) fn read_number<T: NumberKind>(
    input: InputColumn<'_>,
    selection: Selection<'_>,
    mut each: impl FnMut(usize, Option<T>),
    mut problem: impl FnMut(usize, String),
) {
    let mut place = 0;
    let mut next = |value| {
        each(place, value);
        place += 1;
    };
    let null = |nulls: Option<&[bool]>, row: usize| nulls.is_some_and(|nulls| nulls[row]);
    match input {
        InputColumn::Null => selection.for_each(|_| next(None)),
        InputColumn::Longs { values, nulls } => {
            selection.for_each(|row| next((!null(nulls, row)).then(|| T::from_long(values[row]))));
        }
        InputColumn::Floats { values, nulls } => {
            selection.for_each(|row| next((!null(nulls, row)).then(|| T::from_float(values[row]))));
        }
        InputColumn::Doubles { values, nulls } => {
            selection.for_each(|row| next((!null(nulls, row)).then(|| T::from_double(values[row]))));
        }
        InputColumn::Strings { .. } | InputColumn::StringRefs(_) | InputColumn::Dictionary { .. } => selection.for_each(|row| {
            let text = input.text(row);
            let value = text.and_then(T::from_text);
            if let (Some(text), None) = (text, value) {
                problem(row, text.to_owned());
            }
            next(value);
        }),
        InputColumn::Values(values) => selection.for_each(|row| match number_of(&values[row]) {
            Ok(value) => next(value),
            Err(text) => {
                problem(row, text);
                next(None);
            }
        }),
    }
}

/// The number in a value; the text of what is none.
fn number_of<T: NumberKind>(value: &Value) -> Result<Option<T>, String> {
    Ok(match value {
        Value::Null => None,
        Value::Long(value) => Some(T::from_long(*value)),
        Value::Float(value) => Some(T::from_float(*value)),
        Value::Double(value) => Some(T::from_double(*value)),
        Value::String(text) => Some(T::from_text(text).ok_or_else(|| text.to_string())?),
        Value::Json(json) => match &**json {
            serde_json::Value::Null => None,
            serde_json::Value::Bool(value) => Some(T::from_long(i64::from(*value))),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(value) => Some(T::from_long(value)),
                None => number.as_f64().map(T::from_double),
            },
            other => return Err(other.to_string()),
        },
        Value::Array(items) if items.len() == 1 => return number_of(&items[0]),
        Value::Array(_) | Value::Complex(..) => return Err(value.as_text().map_or_else(String::new, |text| text.to_string())),
    })
}

/// Values with null marks; the marks are there only once a null was seen.
#[derive(Default)]
pub(crate) struct NumberStore<T> {
    pub(crate) values: PackedRows<T>,
    pub(crate) nulls: Option<PackedRows<bool>>,
    staged: Vec<Option<T>>,
}

impl<T: NumberKind> NumberStore<T> {
    pub(crate) fn stage(&mut self, name: &str, input: InputColumn<'_>, selection: Selection<'_>, problems: &mut Vec<RowProblem>) {
        let staged = &mut self.staged;
        staged.clear();
        staged.reserve(selection.len());
        read_number(
            input,
            selection,
            |_, value| staged.push(value),
            |row, text| {
                let message = format!("Could not convert value [{text}] to {} for dimension [{name}].", T::NAME);
                problems.push(RowProblem { row: row as u32, message });
            },
        );
    }

    pub(crate) fn append_nulls(&mut self, rows: usize) {
        (0..rows).for_each(|_| self.push(None));
    }

    /// Appends one value.
    #[inline]
    pub(crate) fn push(&mut self, value: Option<T>) {
        match (value, &mut self.nulls) {
            (Some(_), None) => {}
            (value, Some(nulls)) => nulls.push(value.is_none()),
            (None, nulls) => {
                let mut marks = PackedRows::default();
                marks.grow_to(self.values.len(), false);
                marks.push(true);
                *nulls = Some(marks);
            }
        }
        self.values.push(value.unwrap_or_default());
    }

    /// The value of a row.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> Option<T> {
        match &self.nulls {
            Some(nulls) if nulls.get(row) => None,
            _ => Some(self.values.get(row)),
        }
    }

    /// Replaces the value of a row.
    #[inline]
    pub(crate) fn set(&mut self, row: usize, value: T) {
        self.values.set(row, value);
        if let Some(nulls) = &mut self.nulls {
            nulls.set(row, false);
        }
    }

    pub(crate) fn commit_all(&mut self) {
        for staged in 0..self.staged.len() {
            self.push(self.staged[staged]);
        }
    }

    pub(crate) fn commit(&mut self, staged: usize) {
        self.push(self.staged[staged]);
    }

    pub(crate) fn hash_staged(&self, salt: u64, hashes: &mut [u64]) {
        for (hash, value) in hashes.iter_mut().zip(&self.staged) {
            if let Some(value) = value {
                *hash = hash.wrapping_add(mix(value.order_bits().wrapping_add(1), salt));
            }
        }
    }

    pub(crate) fn hash_row(&self, salt: u64, row: usize) -> u64 {
        self.get(row).map_or(0, |value| mix(value.order_bits().wrapping_add(1), salt))
    }

    pub(crate) fn staged_equals(&self, staged: usize, row: usize) -> bool {
        // By bits: a group is made of equal values, and NaN is one.
        self.staged[staged].map(T::order_bits) == self.get(row).map(T::order_bits)
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.values.memory_bytes() + self.nulls.as_ref().map_or(0, PackedRows::memory_bytes)
    }
}
