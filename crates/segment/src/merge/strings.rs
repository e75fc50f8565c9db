//! One string dimension over all inputs: the merged dictionary, and for each input how its codes become the merged ones.

use std::sync::Arc;

use ovate_base::Result;
use ovate_compute::{Column, ColumnSource, Rows};

use super::blocks;
use super::order::RowOrder;
use crate::incremental::batch::{InputColumn, Selection};
use crate::incremental::dimension::StringStore;
use crate::incremental::prepared::{PreparedStrings, code_rows, prepare_strings};
use crate::incremental::{DimensionKind, MultiValueHandling};
use crate::write::data::{CodeRows, StringColumn, StringTable};

/// A string dimension being merged.
pub(crate) struct StringMerge {
    pub(crate) table: Arc<StringTable>,
    pub(crate) inputs: Vec<StringInput>,
    /// Some input has rows of several values.
    pub(crate) multi: bool,
    bitmap_index: bool,
}

/// One input's column.
pub(crate) enum StringInput {
    /// No such column: null, which is code 0.
    Absent,
    /// Codes of its own dictionary, and what they become.
    Mapped { column: Arc<dyn Column>, map: Vec<u32> },
    /// A column without a dictionary, in merged codes.
    Rows(CodeRows),
}

/// An input while the dictionary is collected; codes of a [`StringStore`].
enum Collected {
    Absent,
    Mapped { column: Arc<dyn Column>, codes: Vec<u32>, multi: bool },
    Rows(Box<StringStore>),
}

impl StringMerge {
    pub(crate) fn new(name: &str, kind: &DimensionKind, inputs: &[Arc<dyn ColumnSource>]) -> Result<Self> {
        let mut texts = StringStore::new(MultiValueHandling::Array, None);
        let mut collected = Vec::with_capacity(inputs.len());
        for input in inputs {
            collected.push(collect(name, input, &mut texts)?);
        }
        // Texts of columns without a dictionary were interned apart: they join here.
        for input in &collected {
            if let Collected::Rows(store) = input {
                for text in store.texts.values().iter() {
                    texts.texts.intern(text);
                }
            }
        }
        let has_null = collected.iter().any(|input| match input {
            Collected::Absent => true,
            Collected::Mapped { codes, .. } => codes.contains(&0),
            Collected::Rows(store) => prepare_strings(store).table.has_null,
        });
        if has_null {
            texts.append_nulls(1);
        }
        let PreparedStrings { table, ranks } = prepare_strings(&texts);
        let multi = collected.iter().any(|input| match input {
            Collected::Absent => false,
            Collected::Mapped { multi, .. } => *multi,
            Collected::Rows(store) => store.has_lists(),
        });
        let rank_of = |code: &u32| ranks[*code as usize];
        let finish = |input: Collected| match input {
            Collected::Absent => StringInput::Absent,
            Collected::Mapped { column, codes, .. } => StringInput::Mapped { column, map: codes.iter().map(rank_of).collect() },
            Collected::Rows(store) => {
                let code = |text: &[u8]| texts.texts.find(text).map_or(0, |code| code + 1);
                let map: Vec<u32> =
                    std::iter::once(0).chain(store.texts.values().iter().map(code)).map(|code| rank_of(&code)).collect();
                StringInput::Rows(code_rows(&store, &map, None))
            }
        };
        let bitmap_index = !matches!(kind, DimensionKind::String { create_bitmap_index: false, .. });
        Ok(StringMerge { table, inputs: collected.into_iter().map(finish).collect(), multi, bitmap_index })
    }

    /// The merged column.
    pub(crate) fn column(&self, order: &RowOrder) -> Result<StringColumn> {
        let rows = if self.multi { self.multi_rows(order)? } else { self.single_rows(order)? };
        Ok(StringColumn { table: self.table.clone(), rows, bitmap_index: self.bitmap_index })
    }

    fn single_rows(&self, order: &RowOrder) -> Result<CodeRows> {
        let mut out = vec![0; order.times.len()];
        for (input, targets) in self.inputs.iter().zip(&order.targets) {
            match input {
                StringInput::Absent => {}
                StringInput::Mapped { column, map, .. } => {
                    let mut reader = column.reader()?;
                    for block in blocks(targets.len() as u32) {
                        let targets = &targets[block.start as usize..block.end as usize];
                        let codes = reader.codes(Rows::Range(block))?;
                        codes.iter().zip(targets).for_each(|(code, target)| out[*target as usize] = map[*code as usize]);
                    }
                }
                StringInput::Rows(CodeRows::Single(codes)) => {
                    codes.iter().zip(targets).for_each(|(code, target)| out[*target as usize] = *code);
                }
                StringInput::Rows(CodeRows::Multi { .. }) => {}
            }
        }
        Ok(CodeRows::Single(out))
    }

    /// Two passes: how long each row's list is, then the lists.
    fn multi_rows(&self, order: &RowOrder) -> Result<CodeRows> {
        let mut offsets = vec![0u32; order.times.len() + 1];
        self.for_each_list(order, |target, codes| offsets[target as usize + 1] = codes.len() as u32)?;
        for row in 1..offsets.len() {
            offsets[row] += offsets[row - 1];
        }
        let mut codes = vec![0; offsets[order.times.len()] as usize];
        self.for_each_list(order, |target, list| {
            let start = offsets[target as usize] as usize;
            codes[start..start + list.len()].copy_from_slice(list);
        })?;
        Ok(CodeRows::Multi { offsets, codes })
    }

    fn for_each_list(&self, order: &RowOrder, mut each: impl FnMut(u32, &[u32])) -> Result<()> {
        let mut list = Vec::new();
        for (input, targets) in self.inputs.iter().zip(&order.targets) {
            match input {
                StringInput::Absent => targets.iter().for_each(|target| each(*target, &[0])),
                StringInput::Mapped { column, map, .. } => {
                    let mut reader = column.reader()?;
                    for block in blocks(targets.len() as u32) {
                        let targets = &targets[block.start as usize..block.end as usize];
                        let rows = reader.multi_codes(Rows::Range(block))?;
                        for (ends, target) in rows.offsets.windows(2).zip(targets) {
                            list.clear();
                            list.extend(rows.codes[ends[0] as usize..ends[1] as usize].iter().map(|code| map[*code as usize]));
                            each(*target, &list);
                        }
                    }
                }
                StringInput::Rows(CodeRows::Single(codes)) => {
                    codes.iter().zip(targets).for_each(|(code, target)| each(*target, &[*code]));
                }
                StringInput::Rows(CodeRows::Multi { offsets, codes }) => {
                    for (ends, target) in offsets.windows(2).zip(targets) {
                        each(*target, &codes[ends[0] as usize..ends[1] as usize]);
                    }
                }
            }
        }
        Ok(())
    }
}

fn collect(name: &str, input: &Arc<dyn ColumnSource>, texts: &mut StringStore) -> Result<Collected> {
    let Some(column) = input.column(name)? else { return Ok(Collected::Absent) };
    let capabilities = column.capabilities();
    if let Some(dictionary) = column.dictionary().filter(|_| capabilities.dictionary) {
        let mut codes = Vec::with_capacity(dictionary.cardinality() as usize);
        for code in 0..dictionary.cardinality() {
            let text = dictionary.get(code)?;
            codes.push(text.map_or(0, |text| texts.texts.intern(text.as_bytes()) + 1));
        }
        return Ok(Collected::Mapped { column, codes, multi: capabilities.multi_value });
    }
    let mut store = StringStore::new(MultiValueHandling::Array, None);
    let mut reader = column.reader()?;
    for block in blocks(input.row_count()) {
        let values = reader.values(Rows::Range(block))?;
        store.stage(InputColumn::Values(values), Selection::All(values.len()));
        store.commit_all();
    }
    Ok(Collected::Rows(Box::new(store)))
}
