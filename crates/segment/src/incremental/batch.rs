//! Rows as they arrive: a batch of borrowed columns, laid out as Arrow and our JSON reader have them.

use ovate_compute::Value;

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
