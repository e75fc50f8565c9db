//! Whole columns in memory, rows in segment order: what writer, merger and snapshots hand to each other. Dictionaries of
//! written columns ascend and hold only values.

use std::sync::Arc;

use crate::packed::PackedTable;

/// Byte strings behind each other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ByteTable {
    ends: Vec<u64>,
    bytes: Vec<u8>,
}

impl ByteTable {
    /// An empty table with room.
    pub fn with_capacity(count: usize, bytes: usize) -> Self {
        ByteTable { ends: Vec::with_capacity(count), bytes: Vec::with_capacity(bytes) }
    }

    pub fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len() as u64);
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    #[inline]
    pub fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start as usize..self.ends[index] as usize]
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.len()).map(|i| self.get(i))
    }

    /// All values behind each other.
    pub(crate) fn all_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.ends.capacity() * 8 + self.bytes.capacity()
    }
}

/// The distinct values of a string column: code 0 is null where `has_null`, the texts follow.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StringTable {
    pub has_null: bool,
    pub texts: ByteTable,
}

impl StringTable {
    /// Number of codes.
    pub fn cardinality(&self) -> usize {
        self.texts.len() + usize::from(self.has_null)
    }

    /// The value of a code.
    #[inline]
    pub fn get(&self, code: u32) -> Option<&[u8]> {
        let first = usize::from(self.has_null);
        (code as usize >= first).then(|| self.texts.get(code as usize - first))
    }
}

/// Dictionary codes by row.
#[derive(Debug, Clone, PartialEq)]
pub enum CodeRows {
    Single(Vec<u32>),
    /// Row `i` has `codes[offsets[i]..offsets[i + 1]]`.
    Multi {
        offsets: Vec<u32>,
        codes: Vec<u32>,
    },
}

/// A string column.
#[derive(Debug, Clone, PartialEq)]
pub struct StringColumn {
    pub table: Arc<StringTable>,
    pub rows: CodeRows,
    pub bitmap_index: bool,
}

/// A numeric column; a null row's value is 0. `nulls` is true for null.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberColumn<T> {
    pub values: Vec<T>,
    pub nulls: Option<Vec<bool>>,
}

/// An `auto` or `json` column: distinct values and a code a row.
#[derive(Debug, Clone)]
pub struct AutoColumn {
    pub table: Arc<PackedTable>,
    pub codes: Vec<u32>,
    /// A `json` dimension is nested whatever it holds.
    pub always_json: bool,
    /// `castToType`, which every value has been cast to.
    pub cast_to: Option<ovate_compute::ColumnType>,
}

/// Rows of a complex type in the bytes Druid stores; empty is null.
#[derive(Debug, Clone, PartialEq)]
pub struct ComplexColumn {
    pub type_name: Arc<str>,
    pub rows: ByteTable,
}

/// One column.
#[derive(Debug, Clone)]
pub enum ColumnData {
    String(StringColumn),
    Long(NumberColumn<i64>),
    Float(NumberColumn<f32>),
    Double(NumberColumn<f64>),
    Auto(AutoColumn),
    Complex(ComplexColumn),
}

impl ColumnData {
    /// Number of rows.
    pub fn row_count(&self) -> usize {
        match self {
            ColumnData::String(column) => match &column.rows {
                CodeRows::Single(codes) => codes.len(),
                CodeRows::Multi { offsets, .. } => offsets.len() - 1,
            },
            ColumnData::Long(column) => column.values.len(),
            ColumnData::Float(column) => column.values.len(),
            ColumnData::Double(column) => column.values.len(),
            ColumnData::Auto(column) => column.codes.len(),
            ColumnData::Complex(column) => column.rows.len(),
        }
    }
}
