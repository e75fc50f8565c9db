//! From the state of ingestion to a segment's order: dictionaries sorted, rows sorted by time and then by dimension
//! (Druid's `IncrementalIndexRow` comparator), columns gathered in that order.

use std::sync::Arc;

use super::dimension::{AutoStore, Dimension, DimensionStore, LIST, NumberKind, NumberStore, StringStore};
use super::metric::gather;
use super::packed_rows::PackedRows;
use super::schema::DimensionKind;
use crate::interner::sorted_codes;
use crate::packed::compare_packed;
use crate::write::data::{AutoColumn, ByteTable, CodeRows, ColumnData, StringColumn, StringTable};

/// Sorted dictionary of a string dimension.
pub(crate) struct PreparedStrings {
    pub(crate) table: Arc<StringTable>,
    /// From a code to the code in the sorted dictionary.
    pub(crate) ranks: Vec<u32>,
}

/// Sorts a string dimension's dictionary. Null is there when some row, or an element of some list, is null, or a row empty.
pub(crate) fn prepare_strings(store: &StringStore) -> PreparedStrings {
    let null_in_lists = (0..store.lists.len() as u32).any(|list| {
        let mut codes = store.list(list);
        codes.len() == 0 || codes.any(|code| code == 0)
    });
    let has_null = null_in_lists || store.rows.iter().any(|code| code == 0);
    let order = sorted_codes(store.texts.values());
    let first = u32::from(has_null);
    let mut ranks = vec![0; order.len() + 1];
    let mut texts = ByteTable::with_capacity(order.len(), store.texts.values().all_bytes().len());
    for (rank, text) in order.iter().enumerate() {
        ranks[*text as usize + 1] = rank as u32 + first;
        texts.push(store.texts.get(*text));
    }
    PreparedStrings { table: Arc::new(StringTable { has_null, texts }), ranks }
}

/// A string dimension in this row order, with this dictionary.
pub(crate) fn string_column(
    store: &StringStore,
    prepared: &PreparedStrings,
    order: Option<&[u32]>,
    bitmap_index: bool,
) -> StringColumn {
    let rows = code_rows(store, &prepared.ranks, order);
    StringColumn { table: prepared.table.clone(), rows, bitmap_index }
}

/// Codes by row, each replaced by `ranks[code]`.
pub(crate) fn code_rows(store: &StringStore, ranks: &[u32], order: Option<&[u32]>) -> CodeRows {
    let identity = |count: usize| 0..count as u32;
    if !store.has_lists() {
        // The only list that there can be is the empty one, which is null.
        let rank = |code: u32| if code & LIST != 0 { 0 } else { ranks[code as usize] };
        return CodeRows::Single(match order {
            Some(order) => order.iter().map(|row| rank(store.rows.get(*row as usize))).collect(),
            None => store.rows.iter().map(rank).collect(),
        });
    }
    let (mut offsets, mut codes) = (Vec::with_capacity(store.rows.len() + 1), Vec::with_capacity(store.rows.len()));
    offsets.push(0);
    let mut push = |row: u32| {
        match store.rows.get(row as usize) {
            code if code & LIST != 0 => codes.extend(store.list(code).map(|code| ranks[code as usize])),
            code => codes.push(ranks[code as usize]),
        }
        offsets.push(codes.len() as u32);
    };
    match order {
        Some(order) => order.iter().for_each(|row| push(*row)),
        None => identity(store.rows.len()).for_each(&mut push),
    }
    CodeRows::Multi { offsets, codes }
}

/// An auto dimension in this row order.
pub(crate) fn auto_column(store: &AutoStore, order: Option<&[u32]>) -> AutoColumn {
    let codes = match order {
        Some(order) => order.iter().map(|row| store.rows.get(*row as usize)).collect(),
        None => store.rows.to_vec(),
    };
    AutoColumn { table: Arc::new(store.table()), codes, always_json: store.always_json, cast_to: store.cast_to.clone() }
}

/// A dimension's column in this row order; `prepared` is its sorted dictionary when it is a string.
pub(crate) fn dimension_column(dimension: &Dimension, prepared: Option<&PreparedStrings>, order: Option<&[u32]>) -> ColumnData {
    match &dimension.store {
        DimensionStore::String(store) => {
            let owned;
            let prepared = match prepared {
                Some(prepared) => prepared,
                None => {
                    owned = prepare_strings(store);
                    &owned
                }
            };
            let bitmap_index = !matches!(dimension.schema.kind, DimensionKind::String { create_bitmap_index: false, .. });
            ColumnData::String(string_column(store, prepared, order, bitmap_index))
        }
        DimensionStore::Long(store) => ColumnData::Long(gather(store, order)),
        DimensionStore::Float(store) => ColumnData::Float(gather(store, order)),
        DimensionStore::Double(store) => ColumnData::Double(gather(store, order)),
        DimensionStore::Auto(store) => ColumnData::Auto(auto_column(store, order)),
    }
}

/// Gives every row of a dimension a number that sorts as its value does.
pub(crate) enum SortKeys<'a> {
    /// By the row's code.
    Codes {
        rows: &'a PackedRows<u32>,
        single: Vec<u64>,
        lists: Vec<u64>,
    },
    Computed(Vec<u64>),
}

impl SortKeys<'_> {
    #[inline]
    pub(crate) fn get(&self, row: u32) -> u64 {
        match self {
            SortKeys::Codes { rows, single, lists } => match rows.get(row as usize) {
                code if code & LIST != 0 => lists[(code & !LIST) as usize],
                code => single[code as usize],
            },
            SortKeys::Computed(keys) => keys[row as usize],
        }
    }
}

/// Sort keys of a dimension. Shorter lists sort before longer ones, as `StringDimensionHandler` compares them.
pub(crate) fn sort_keys<'a>(dimension: &'a Dimension, prepared: Option<&PreparedStrings>) -> SortKeys<'a> {
    match (&dimension.store, prepared) {
        (DimensionStore::String(store), Some(prepared)) => {
            let key = |length: usize, rank: u32| (length as u64) << 32 | u64::from(rank);
            let lists: Vec<Vec<u32>> = (0..store.lists.len() as u32)
                .map(|list| store.list(list).map(|code| prepared.ranks[code as usize]).collect())
                .collect();
            let mut order: Vec<u32> = (0..lists.len() as u32).collect();
            order.sort_by(|a, b| {
                let (a, b) = (&lists[*a as usize], &lists[*b as usize]);
                a.len().cmp(&b.len()).then_with(|| a.cmp(b))
            });
            let mut list_keys = vec![0; lists.len()];
            for (place, list) in order.iter().enumerate() {
                list_keys[*list as usize] = key(lists[*list as usize].len(), place as u32);
            }
            let single = prepared.ranks.iter().map(|rank| key(1, *rank)).collect();
            SortKeys::Codes { rows: &store.rows, single, lists: list_keys }
        }
        (DimensionStore::String(_), None) => SortKeys::Computed(Vec::new()),
        (DimensionStore::Long(store), _) => number_keys(store),
        (DimensionStore::Float(store), _) => number_keys(store),
        (DimensionStore::Double(store), _) => number_keys(store),
        (DimensionStore::Auto(store), _) => {
            let table = store.table();
            let mut order: Vec<u32> = (0..table.len() as u32).collect();
            order.sort_by(|a, b| compare_packed(table.view(*a), table.view(*b)));
            let mut single = vec![0; order.len()];
            order.iter().enumerate().for_each(|(rank, code)| single[*code as usize] = rank as u64);
            SortKeys::Codes { rows: &store.rows, single, lists: Vec::new() }
        }
    }
}

/// Null first. Values lose nothing but the difference between the two smallest, which numbers never reach: their
/// order bits of zero belong to a NaN with all bits set, or to the smallest long, which then ties with null.
fn number_keys<T: NumberKind>(store: &NumberStore<T>) -> SortKeys<'static> {
    let key = |row: usize| store.get(row).map_or(0, |value| value.order_bits().max(1));
    SortKeys::Computed((0..store.values.len()).map(key).collect())
}

/// Rows by time, then by each dimension; `None` when they stand in that order already.
pub(crate) fn sorted_rows(times: &[i64], keys: &[SortKeys<'_>]) -> Option<Vec<u32>> {
    let mut keyed: Vec<(u64, u32)> = times.iter().enumerate().map(|(row, time)| (time.order_bits(), row as u32)).collect();
    keyed.sort_unstable();
    sort_ties(&mut keyed, keys);
    if keyed.iter().enumerate().all(|(place, (_, row))| place as u32 == *row) {
        return None;
    }
    Some(keyed.into_iter().map(|(_, row)| row).collect())
}

/// Sorts runs of equal keys by the next dimension, and so on.
fn sort_ties(rows: &mut [(u64, u32)], keys: &[SortKeys<'_>]) {
    let Some((first, rest)) = keys.split_first() else { return };
    let mut start = 0;
    while start < rows.len() {
        let mut end = start + 1;
        while end < rows.len() && rows[end].0 == rows[start].0 {
            end += 1;
        }
        if end - start > 1 {
            let run = &mut rows[start..end];
            run.iter_mut().for_each(|(key, row)| *key = first.get(*row));
            run.sort_unstable();
            sort_ties(run, rest);
        }
        start = end;
    }
}

/// Rows by time only, keeping their order otherwise; `None` when times ascend already.
pub(crate) fn time_sorted_rows(times: &[i64]) -> Option<Vec<u32>> {
    if times.is_sorted() {
        return None;
    }
    sorted_rows(times, &[])
}
