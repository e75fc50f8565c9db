//! `auto` and `json` dimensions: values of any type, packed and interned, a code a row. Code 0 is null.

use ovate_base::Result;
use ovate_compute::{ColumnType, Value};

use super::mix;
use crate::incremental::batch::{InputColumn, Selection};
use crate::incremental::packed_rows::PackedRows;
use crate::interner::ByteInterner;
use crate::packed::{self, PackedTable};

/// An `auto` or `json` dimension's values.
pub(crate) struct AutoStore {
    values: ByteInterner,
    pub(crate) rows: PackedRows<u32>,
    staged: Vec<u32>,
    pub(crate) always_json: bool,
    pub(crate) cast_to: Option<ColumnType>,
    buffer: Vec<u8>,
}

impl AutoStore {
    pub(crate) fn new(always_json: bool, cast_to: Option<ColumnType>) -> Self {
        let mut values = ByteInterner::default();
        let null = values.intern(PackedTable::NULL_BYTES);
        debug_assert_eq!(null, 0);
        AutoStore { values, rows: PackedRows::default(), staged: Vec::new(), always_json, cast_to, buffer: Vec::new() }
    }

    /// All values by code.
    pub(crate) fn table(&self) -> PackedTable {
        PackedTable::from_values(self.values.values().clone())
    }

    pub(crate) fn stage(&mut self, input: InputColumn<'_>, selection: Selection<'_>) -> Result<()> {
        let mut staged = std::mem::take(&mut self.staged);
        staged.clear();
        staged.reserve(selection.len());
        let result = self.stage_into(input, selection, &mut staged);
        self.staged = staged;
        result
    }

    fn stage_into(&mut self, input: InputColumn<'_>, selection: Selection<'_>, staged: &mut Vec<u32>) -> Result<()> {
        if self.cast_to.is_some() {
            return self.stage_values(input, selection, staged);
        }
        let is_null = |nulls: Option<&[bool]>, row: usize| nulls.is_some_and(|nulls| nulls[row]);
        match input {
            InputColumn::Null => staged.resize(selection.len(), 0),
            InputColumn::Longs { values, nulls } => selection.for_each(|row| {
                staged.push(if is_null(nulls, row) { 0 } else { self.code_of(|out| packed::put_long(values[row], out)) });
            }),
            InputColumn::Doubles { values, nulls } => selection.for_each(|row| {
                staged.push(if is_null(nulls, row) { 0 } else { self.code_of(|out| packed::put_double(values[row], out)) });
            }),
            InputColumn::Floats { values, nulls } => selection.for_each(|row| {
                let value = || f64::from(values[row]);
                staged.push(if is_null(nulls, row) { 0 } else { self.code_of(|out| packed::put_double(value(), out)) });
            }),
            InputColumn::Strings { .. } | InputColumn::StringRefs(_) => selection.for_each(|row| {
                staged.push(input.text(row).map_or(0, |text| self.code_of(|out| packed::put_string(text, out))));
            }),
            InputColumn::Dictionary { values, codes } => {
                let known: Vec<u32> = values
                    .iter()
                    .map(|value| value.map_or(0, |text| self.code_of(|out| packed::put_string(text, out))))
                    .collect();
                selection.for_each(|row| staged.push(known.get(codes[row] as usize).copied().unwrap_or(0)));
            }
            InputColumn::Values(_) => return self.stage_values(input, selection, staged),
        }
        Ok(())
    }

    fn stage_values(&mut self, input: InputColumn<'_>, selection: Selection<'_>, staged: &mut Vec<u32>) -> Result<()> {
        let mut result = Ok(());
        selection.for_each(|row| {
            let code = match input {
                InputColumn::Values(values) => self.value_code(&values[row]),
                _ => self.value_code(&input.value(row)),
            };
            staged.push(code.unwrap_or_else(|error| {
                result = Err(error);
                0
            }));
        });
        result
    }

    fn value_code(&mut self, value: &Value) -> Result<u32> {
        let cast;
        let value = match &self.cast_to {
            Some(target) => {
                cast = value.cast(target);
                &cast
            }
            None => value,
        };
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let result = match value {
            // A boolean of its own is a long; inside objects and arrays it stays what it is.
            Value::Json(json) if json.is_boolean() && !self.always_json => {
                packed::put_long(i64::from(json.as_bool() == Some(true)), &mut buffer);
                Ok(())
            }
            value => packed::put_value(value, &mut buffer),
        };
        let code = result.map(|()| self.values.intern(&buffer));
        self.buffer = buffer;
        code
    }

    #[inline]
    fn code_of(&mut self, put: impl FnOnce(&mut Vec<u8>)) -> u32 {
        self.buffer.clear();
        put(&mut self.buffer);
        self.values.intern(&self.buffer)
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
        self.values.memory_bytes() + self.rows.memory_bytes()
    }
}
