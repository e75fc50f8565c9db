//! One dimension of an incremental index: values are staged for a batch, then committed for the rows that are kept.
//! Staging gives every value a form that hashes and compares cheaply, so that rollup never looks at texts.

mod auto;
mod number;
mod string;

pub(crate) use auto::AutoStore;
pub(crate) use number::{NumberKind, NumberStore, read_number};
pub(crate) use string::{LIST, StringStore};

use ovate_base::Result;

use super::batch::{InputColumn, RowProblem, Selection};
use super::schema::{DimensionKind, DimensionSchema};

/// Values of one dimension by row.
pub(crate) enum DimensionStore {
    String(StringStore),
    Long(NumberStore<i64>),
    Float(NumberStore<f32>),
    Double(NumberStore<f64>),
    Auto(AutoStore),
}

/// A dimension with its schema.
pub(crate) struct Dimension {
    pub(crate) schema: DimensionSchema,
    pub(crate) store: DimensionStore,
}

/// Runs the same expression on whichever store it is.
macro_rules! each_store {
    ($store:expr, $name:ident => $body:expr) => {
        match $store {
            DimensionStore::String($name) => $body,
            DimensionStore::Long($name) => $body,
            DimensionStore::Float($name) => $body,
            DimensionStore::Double($name) => $body,
            DimensionStore::Auto($name) => $body,
        }
    };
}

impl Dimension {
    /// An empty dimension, null for the `rows` that are there already.
    pub(crate) fn new(schema: DimensionSchema, rows: usize) -> Self {
        let mut store = match &schema.kind {
            DimensionKind::String { multi_value_handling, max_string_length, .. } => {
                DimensionStore::String(StringStore::new(*multi_value_handling, *max_string_length))
            }
            DimensionKind::Long => DimensionStore::Long(NumberStore::default()),
            DimensionKind::Float => DimensionStore::Float(NumberStore::default()),
            DimensionKind::Double => DimensionStore::Double(NumberStore::default()),
            DimensionKind::Auto { cast_to } => DimensionStore::Auto(AutoStore::new(false, cast_to.clone())),
            DimensionKind::Json => DimensionStore::Auto(AutoStore::new(true, None)),
        };
        each_store!(&mut store, s => s.append_nulls(rows));
        Dimension { schema, store }
    }

    /// Reads a batch's values; problems are added for values that do not fit.
    pub(crate) fn stage(
        &mut self,
        input: InputColumn<'_>,
        selection: Selection<'_>,
        problems: &mut Vec<RowProblem>,
    ) -> Result<()> {
        let name = &self.schema.name;
        match &mut self.store {
            DimensionStore::String(store) => store.stage(input, selection),
            DimensionStore::Long(store) => store.stage(name, input, selection, problems),
            DimensionStore::Float(store) => store.stage(name, input, selection, problems),
            DimensionStore::Double(store) => store.stage(name, input, selection, problems),
            DimensionStore::Auto(store) => store.stage(input, selection)?,
        }
        Ok(())
    }

    /// Takes all staged rows.
    pub(crate) fn commit_all(&mut self) {
        each_store!(&mut self.store, s => s.commit_all());
    }

    /// Takes one staged row.
    pub(crate) fn commit(&mut self, staged: usize) {
        each_store!(&mut self.store, s => s.commit(staged));
    }

    /// Adds this dimension's part to the hash of every staged row; null adds nothing, so that dimensions which appear
    /// later leave hashes as they were.
    pub(crate) fn hash_staged(&self, salt: u64, hashes: &mut [u64]) {
        each_store!(&self.store, s => s.hash_staged(salt, hashes));
    }

    /// This dimension's part of the hash of a row that is there.
    pub(crate) fn hash_row(&self, salt: u64, row: usize) -> u64 {
        each_store!(&self.store, s => s.hash_row(salt, row))
    }

    /// Whether a staged row has the value of a row that is there.
    pub(crate) fn staged_equals(&self, staged: usize, row: usize) -> bool {
        each_store!(&self.store, s => s.staged_equals(staged, row))
    }

    /// Bytes held.
    pub(crate) fn memory_bytes(&self) -> usize {
        each_store!(&self.store, s => s.memory_bytes())
    }
}

/// A part of a row's hash.
#[inline]
pub(crate) fn mix(value: u64, salt: u64) -> u64 {
    let product = u128::from(value ^ salt) * 0x9E37_79B9_7F4A_7C15;
    (product as u64) ^ (product >> 64) as u64
}
