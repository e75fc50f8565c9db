//! Rows as they arrive: a batch of borrowed columns, laid out as Arrow and our JSON reader have them.

use std::sync::Arc;

use ovate_compute::{ColumnType, Value, Vector};

/// One input column of a batch; every variant has one entry a row.
#[derive(Clone, Copy)]
pub enum InputColumn<'a> {
    /// All rows null.
    Null,
    /// `nulls` is true for null.
    Longs {
        values: &'a [i64],
        nulls: Option<&'a [bool]>,
    },
    Floats {
        values: &'a [f32],
        nulls: Option<&'a [bool]>,
    },
    Doubles {
        values: &'a [f64],
        nulls: Option<&'a [bool]>,
    },
    /// UTF-8 text of row `i` is `bytes[offsets[i]..offsets[i + 1]]`, as in an Arrow `StringArray`.
    Strings {
        offsets: &'a [i32],
        bytes: &'a [u8],
        nulls: Option<&'a [bool]>,
    },
    /// The same, borrowed one by one.
    StringRefs(&'a [Option<&'a str>]),
    /// Codes into distinct values, as in an Arrow dictionary.
    Dictionary {
        values: &'a [Option<&'a str>],
        codes: &'a [u32],
    },
    /// Anything else: mixed types, lists (`Value::Array`), objects (`Value::Json`), sketches (`Value::Complex`).
    Values(&'a [Value]),
}

/// A batch of rows: timestamps in milliseconds, and named columns. Names that the schema does not know are dimensions
/// to discover, inputs of metrics, or left out.
pub struct RowBatch<'a> {
    pub timestamps: &'a [i64],
    pub columns: &'a [(&'a str, InputColumn<'a>)],
    /// Only these rows (ascending), where the batch holds rows for several indexes.
    pub selection: Option<&'a [u32]>,
}

/// A value that could not be read as its column's type; its row is kept without it (`ParseException` of a row).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowProblem {
    /// Row number in the batch as given.
    pub row: u32,
    pub message: String,
}

/// What `add_batch` did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddResult {
    /// Input rows taken, with or without problems.
    pub rows: usize,
    pub problems: Vec<RowProblem>,
}

/// Which rows of a batch are taken.
#[derive(Clone, Copy)]
pub(crate) enum Selection<'a> {
    All(usize),
    Ids(&'a [u32]),
}

impl Selection<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Selection::All(count) => *count,
            Selection::Ids(ids) => ids.len(),
        }
    }

    /// Calls `each` with the row number in the batch.
    #[inline(always)]
    pub(crate) fn for_each(&self, mut each: impl FnMut(usize)) {
        match self {
            Selection::All(count) => (0..*count).for_each(each),
            Selection::Ids(ids) => ids.iter().for_each(|id| each(*id as usize)),
        }
    }
}

impl InputColumn<'_> {
    /// Number of rows; `None` for a column of nulls, which fits any batch.
    pub fn row_count(&self) -> Option<usize> {
        match self {
            InputColumn::Null => None,
            InputColumn::Longs { values, .. } => Some(values.len()),
            InputColumn::Floats { values, .. } => Some(values.len()),
            InputColumn::Doubles { values, .. } => Some(values.len()),
            InputColumn::Strings { offsets, .. } => Some(offsets.len().saturating_sub(1)),
            InputColumn::StringRefs(values) => Some(values.len()),
            InputColumn::Dictionary { codes, .. } => Some(codes.len()),
            InputColumn::Values(values) => Some(values.len()),
        }
    }

    /// One row's value; for edges.
    pub(crate) fn value(&self, row: usize) -> Value {
        let null = |nulls: &Option<&[bool]>| nulls.is_some_and(|nulls| nulls[row]);
        match self {
            InputColumn::Null => Value::Null,
            InputColumn::Longs { nulls, .. } if null(nulls) => Value::Null,
            InputColumn::Floats { nulls, .. } if null(nulls) => Value::Null,
            InputColumn::Doubles { nulls, .. } if null(nulls) => Value::Null,
            InputColumn::Longs { values, .. } => Value::Long(values[row]),
            InputColumn::Floats { values, .. } => Value::Float(values[row]),
            InputColumn::Doubles { values, .. } => Value::Double(values[row]),
            InputColumn::Strings { .. } | InputColumn::StringRefs(_) | InputColumn::Dictionary { .. } => {
                self.text(row).map_or(Value::Null, Value::from)
            }
            InputColumn::Values(values) => values[row].clone(),
        }
    }

    /// One row's text, of the variants that hold texts. Bytes that are not UTF-8 read as null.
    #[inline]
    pub(crate) fn text(&self, row: usize) -> Option<&str> {
        match self {
            InputColumn::Strings { offsets, bytes, nulls } => {
                if nulls.is_some_and(|nulls| nulls[row]) {
                    return None;
                }
                std::str::from_utf8(bytes.get(offsets[row] as usize..offsets[row + 1] as usize)?).ok()
            }
            InputColumn::StringRefs(values) => values[row],
            InputColumn::Dictionary { values, codes } => values.get(codes[row] as usize).copied().flatten(),
            _ => None,
        }
    }
}

/// The selected rows of a column as a vector.
pub(crate) fn vector_of(column: InputColumn<'_>, selection: Selection<'_>) -> Vector {
    fn pick<T: Copy>(values: &[T], selection: Selection<'_>) -> Vec<T> {
        let mut picked = Vec::with_capacity(selection.len());
        selection.for_each(|row| picked.push(values[row]));
        picked
    }
    let nulls = |nulls: Option<&[bool]>| nulls.map(|nulls| pick(nulls, selection));
    match column {
        InputColumn::Null => Vector::Null { len: selection.len() },
        InputColumn::Longs { values, nulls: n } => Vector::Long { values: pick(values, selection), nulls: nulls(n) },
        InputColumn::Floats { values, nulls: n } => Vector::Float { values: pick(values, selection), nulls: nulls(n) },
        InputColumn::Doubles { values, nulls: n } => Vector::Double { values: pick(values, selection), nulls: nulls(n) },
        InputColumn::Strings { .. } | InputColumn::StringRefs(_) | InputColumn::Dictionary { .. } => {
            let mut texts = Vec::with_capacity(selection.len());
            selection.for_each(|row| texts.push(column.text(row).map(Arc::from)));
            Vector::String(texts)
        }
        InputColumn::Values(values) => {
            let mut picked = Vec::with_capacity(selection.len());
            selection.for_each(|row| picked.push(values[row].clone()));
            typed(picked)
        }
    }
}

/// Values under the type that fits them: numbers stay numbers, anything with a text among it is STRING.
fn typed(values: Vec<Value>) -> Vector {
    let complex = values.iter().find_map(|value| if let Value::Complex(name, _) = value { Some(name.clone()) } else { None });
    if let Some(name) = complex {
        return Vector::Any { column_type: ColumnType::Complex(Some(name)), values };
    }
    let mut kinds = values.iter().filter(|value| !value.is_null());
    if kinds.clone().all(|value| matches!(value, Value::Long(_))) {
        let nulls = Some(values.iter().map(Value::is_null).collect());
        return Vector::Long { values: values.iter().map(|value| value.as_long().unwrap_or(0)).collect(), nulls };
    }
    if kinds.all(|value| matches!(value, Value::Long(_) | Value::Float(_) | Value::Double(_))) {
        let nulls = Some(values.iter().map(Value::is_null).collect());
        return Vector::Double { values: values.iter().map(|value| value.as_double().unwrap_or(0.0)).collect(), nulls };
    }
    let values = values
        .into_iter()
        .map(|value| match value {
            Value::Null | Value::String(_) => value,
            Value::Array(items) => Value::Array(items.iter().map(|v| v.as_text().map_or(Value::Null, Value::String)).collect()),
            Value::Json(json) if json.is_array() => {
                let items = json.as_array().map(Vec::as_slice).unwrap_or_default();
                let text = |item| ovate_compute::value::from_json(item).as_text().map_or(Value::Null, Value::String);
                Value::Array(items.iter().map(text).collect())
            }
            other => other.as_text().map_or(Value::Null, Value::String),
        })
        .collect();
    Vector::Any { column_type: ColumnType::String, values }
}
