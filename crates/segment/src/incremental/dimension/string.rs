//! String dimensions: codes of an interner by row. Code 0 is null; a code with the top bit set names a list of codes,
//! for rows with several values or none.

use ovate_compute::Value;
use ovate_compute::value::{double_to_text, float_to_text};

use super::mix;
use crate::incremental::batch::{InputColumn, Selection};
use crate::incremental::packed_rows::PackedRows;
use crate::incremental::schema::MultiValueHandling;
use crate::interner::ByteInterner;
use crate::order::utf16_byte_order;

/// Marks a code as the number of a list.
pub(crate) const LIST: u32 = 1 << 31;

/// A string dimension's values.
pub(crate) struct StringStore {
    /// Texts; the text of code `c` is number `c - 1`.
    pub(crate) texts: ByteInterner,
    /// Lists of codes, four bytes each.
    pub(crate) lists: ByteInterner,
    pub(crate) rows: PackedRows<u32>,
    several: bool,
    staged: Vec<u32>,
    handling: MultiValueHandling,
    max_length: Option<usize>,
}

impl StringStore {
    pub(crate) fn new(handling: MultiValueHandling, max_length: Option<usize>) -> Self {
        let (texts, lists) = (ByteInterner::default(), ByteInterner::default());
        StringStore { texts, lists, rows: PackedRows::default(), several: false, staged: Vec::new(), handling, max_length }
    }

    /// Whether some row has several values; rows without any are null in a column of single values.
    pub(crate) fn has_lists(&self) -> bool {
        self.several
    }

    /// The codes of a list.
    pub(crate) fn list(&self, code: u32) -> impl ExactSizeIterator<Item = u32> + '_ {
        let bytes = self.lists.get(code & !LIST);
        bytes.chunks_exact(4).map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]]))
    }

    #[inline]
    fn code(&mut self, text: &str) -> u32 {
        let text = match self.max_length {
            // The limit counts UTF-16 units, as Java's `substring`.
            Some(limit) if text.len() > limit => cut(text, limit),
            _ => text,
        };
        self.texts.intern(text.as_bytes()) + 1
    }

    pub(crate) fn stage(&mut self, input: InputColumn<'_>, selection: Selection<'_>) {
        let mut staged = std::mem::take(&mut self.staged);
        staged.clear();
        staged.reserve(selection.len());
        match input {
            InputColumn::Null => staged.resize(selection.len(), 0),
            InputColumn::Strings { .. } | InputColumn::StringRefs(_) => {
                selection.for_each(|row| staged.push(input.text(row).map_or(0, |text| self.code(text))));
            }
            InputColumn::Dictionary { values, codes } => {
                const UNKNOWN: u32 = u32::MAX;
                let mut known = vec![UNKNOWN; values.len()];
                selection.for_each(|row| {
                    let Some(slot) = known.get_mut(codes[row] as usize) else { return staged.push(0) };
                    if *slot == UNKNOWN {
                        *slot = values[codes[row] as usize].map_or(0, |text| self.code(text));
                    }
                    staged.push(*slot);
                });
            }
            InputColumn::Longs { values, nulls } => {
                let mut buffer = itoa::Buffer::new();
                selection.for_each(|row| {
                    let null = nulls.is_some_and(|nulls| nulls[row]);
                    staged.push(if null { 0 } else { self.code(buffer.format(values[row])) });
                });
            }
            InputColumn::Floats { .. } | InputColumn::Doubles { .. } => {
                selection.for_each(|row| staged.push(self.value_code(&input.value(row))));
            }
            InputColumn::Values(values) => selection.for_each(|row| staged.push(self.value_code(&values[row]))),
        }
        self.staged = staged;
    }

    /// The code of any value; lists become lists.
    fn value_code(&mut self, value: &Value) -> u32 {
        match value {
            Value::Null => 0,
            Value::String(text) => self.code(text),
            Value::Long(value) => self.code(itoa::Buffer::new().format(*value)),
            Value::Float(value) => self.code(&float_to_text(*value)),
            Value::Double(value) => self.code(&double_to_text(*value)),
            Value::Array(items) => {
                let codes = items.iter().map(|item| self.element_code(item)).collect();
                self.list_code(codes)
            }
            Value::Json(json) => match &**json {
                serde_json::Value::Array(items) => {
                    let codes = items.iter().map(|item| self.element_code(&ovate_compute::value::from_json(item))).collect();
                    self.list_code(codes)
                }
                serde_json::Value::Null => 0,
                serde_json::Value::String(text) => self.code(text),
                other => self.code(&other.to_string()),
            },
            Value::Complex(_, bytes) => {
                use base64::Engine;
                self.code(&base64::engine::general_purpose::STANDARD.encode(bytes))
            }
        }
    }

    /// An element of a list is one value; lists within lists become their text.
    fn element_code(&mut self, value: &Value) -> u32 {
        match value {
            Value::Array(_) => match value.as_text() {
                Some(text) => self.code(&text),
                None => 0,
            },
            Value::Json(json) => self.code(&json.to_string()),
            other => self.value_code(other),
        }
    }

    fn list_code(&mut self, mut codes: Vec<u32>) -> u32 {
        if codes.len() == 1 {
            return codes[0];
        }
        if self.handling != MultiValueHandling::Array {
            let texts = &self.texts;
            let text = |code: &u32| code.checked_sub(1).map(|index| texts.get(index));
            codes.sort_by(|a, b| match (text(a), text(b)) {
                (Some(a), Some(b)) => utf16_byte_order(a, b),
                (a, b) => a.is_some().cmp(&b.is_some()),
            });
        }
        if self.handling == MultiValueHandling::SortedSet {
            codes.dedup();
            if codes.len() == 1 {
                return codes[0];
            }
        }
        self.several |= codes.len() > 1;
        let bytes: Vec<u8> = codes.iter().flat_map(|code| code.to_le_bytes()).collect();
        self.lists.intern(&bytes) | LIST
    }

    pub(crate) fn append_nulls(&mut self, rows: usize) {
        self.rows.grow_to(self.rows.len() + rows, 0);
    }

    pub(crate) fn commit_all(&mut self) {
        self.rows.extend_from_slice(&self.staged);
    }

    pub(crate) fn commit(&mut self, staged: usize) {
        self.rows.push(self.staged[staged]);
    }

    pub(crate) fn hash_staged(&self, salt: u64, hashes: &mut [u64]) {
        for (hash, code) in hashes.iter_mut().zip(&self.staged) {
            if *code != 0 {
                *hash = hash.wrapping_add(mix(u64::from(*code), salt));
            }
        }
    }

    pub(crate) fn hash_row(&self, salt: u64, row: usize) -> u64 {
        let code = self.rows.get(row);
        if code == 0 { 0 } else { mix(u64::from(code), salt) }
    }

    pub(crate) fn staged_equals(&self, staged: usize, row: usize) -> bool {
        self.staged[staged] == self.rows.get(row)
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.texts.memory_bytes() + self.lists.memory_bytes() + self.rows.memory_bytes()
    }
}

/// The first `limit` UTF-16 units, never half a character.
fn cut(text: &str, limit: usize) -> &str {
    let mut units = 0;
    for (at, character) in text.char_indices() {
        units += character.len_utf16();
        if units > limit {
            return &text[..at];
        }
    }
    text
}
