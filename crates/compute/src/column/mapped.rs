//! A dictionary column with each of its values replaced by another, or dropped from the row: extraction functions, filtered
//! dimension specs, string expressions over one column. Works on codes; keeps a sorted dictionary and bitmap indexes.

use std::sync::{Arc, OnceLock};

use croaring::Bitmap;
use ovate_base::{DruidError, Result};

use super::{BitmapIndex, Column, ColumnCapabilities, ColumnReader, Dictionary, MemoryDictionary, MultiCodes, Rows};
use crate::types::ColumnType;
use crate::value::Value;

/// What becomes of a value.
pub enum Mapped {
    Value(Option<Arc<str>>),
    /// The row loses this value; a row without values is null.
    Drop,
}

/// Stands in the mapping for a dropped code.
const DROPPED: u32 = u32::MAX;

/// A column with mapped values.
pub struct MappedColumn {
    base: Arc<dyn Column>,
    shared: Arc<Shared>,
    multi_value: bool,
}

struct Shared {
    dictionary: Arc<MemoryDictionary>,
    /// New code by old code.
    mapping: Vec<u32>,
    /// Old codes by new code, for the bitmap index.
    sources: OnceLock<Vec<Vec<u32>>>,
}

impl MappedColumn {
    /// Maps every value of a column that has a dictionary.
    pub fn new(base: Arc<dyn Column>, map: &mut dyn FnMut(Option<&str>) -> Result<Mapped>) -> Result<Self> {
        let dictionary = base.dictionary().ok_or_else(|| DruidError::runtime("column has no dictionary"))?;
        let mut values = Vec::with_capacity(dictionary.cardinality() as usize);
        for code in 0..dictionary.cardinality() {
            values.push(map(dictionary.get(code)?.as_deref())?);
        }
        Ok(Self::from_mapped(base, values))
    }

    /// Takes what becomes of each code of the column's dictionary.
    pub fn from_mapped(base: Arc<dyn Column>, values: Vec<Mapped>) -> Self {
        let mut dictionary = MemoryDictionary::new();
        let mut drops = false;
        let mut mapping: Vec<u32> = values
            .iter()
            .map(|value| match value {
                Mapped::Value(text) => dictionary.intern(text.as_deref()),
                Mapped::Drop => {
                    drops = true;
                    DROPPED
                }
            })
            .collect();
        // Rows may be left without values: they are null, so the dictionary has to know null.
        if drops {
            dictionary.intern(None);
        }
        let (dictionary, order) = dictionary.into_sorted();
        mapping.iter_mut().filter(|code| **code != DROPPED).for_each(|code| *code = order[*code as usize]);
        let multi_value = base.capabilities().multi_value || drops;
        let shared = Shared { dictionary: Arc::new(dictionary), mapping, sources: OnceLock::new() };
        MappedColumn { base, shared: Arc::new(shared), multi_value }
    }

    fn drops(&self) -> bool {
        self.shared.mapping.contains(&DROPPED)
    }
}

impl Column for MappedColumn {
    fn capabilities(&self) -> ColumnCapabilities {
        let base = self.base.capabilities();
        ColumnCapabilities {
            column_type: ColumnType::String,
            multi_value: self.multi_value,
            dictionary: true,
            bitmaps: base.bitmaps && !self.drops(),
            has_nulls: self.multi_value || !matches!(self.shared.dictionary.find(None), Ok(None)),
        }
    }
    fn reader(&self) -> Result<Box<dyn ColumnReader>> {
        Ok(Box::new(MappedReader {
            base: self.base.reader()?,
            shared: self.shared.clone(),
            multi_value: self.multi_value,
            codes: Vec::new(),
            offsets: Vec::new(),
            values: Vec::new(),
        }))
    }
    fn dictionary(&self) -> Option<Arc<dyn Dictionary>> {
        Some(self.shared.dictionary.clone())
    }
    fn bitmap_index(&self) -> Option<Arc<dyn BitmapIndex>> {
        let base = self.base.bitmap_index().filter(|_| !self.drops())?;
        Some(Arc::new(MappedBitmaps { base, shared: self.shared.clone() }))
    }
}

struct MappedBitmaps {
    base: Arc<dyn BitmapIndex>,
    shared: Arc<Shared>,
}

impl MappedBitmaps {
    fn sources(&self) -> &[Vec<u32>] {
        self.shared.sources.get_or_init(|| {
            let mut sources = vec![Vec::new(); self.shared.dictionary.cardinality() as usize];
            for (old, new) in self.shared.mapping.iter().enumerate().filter(|(_, new)| **new != DROPPED) {
                sources[*new as usize].push(old as u32);
            }
            sources
        })
    }
}

impl BitmapIndex for MappedBitmaps {
    fn bitmap(&self, code: u32) -> Result<Bitmap> {
        let old =
            self.sources().get(code as usize).ok_or_else(|| DruidError::runtime(format!("code out of range. code={code}")))?;
        self.base.union(&mut old.iter().copied())
    }
    fn union(&self, codes: &mut dyn Iterator<Item = u32>) -> Result<Bitmap> {
        let sources = self.sources();
        self.base.union(&mut codes.filter_map(|code| sources.get(code as usize)).flatten().copied())
    }
}

struct MappedReader {
    base: Box<dyn ColumnReader>,
    shared: Arc<Shared>,
    multi_value: bool,
    codes: Vec<u32>,
    offsets: Vec<u32>,
    values: Vec<Value>,
}

impl ColumnReader for MappedReader {
    fn codes(&mut self, rows: Rows<'_>) -> Result<&[u32]> {
        if self.multi_value {
            return Err(DruidError::runtime("column is not single-valued"));
        }
        let mapping = &self.shared.mapping;
        self.codes.clear();
        for code in self.base.codes(rows)? {
            self.codes.push(mapped(mapping, *code)?);
        }
        Ok(&self.codes)
    }

    fn multi_codes(&mut self, rows: Rows<'_>) -> Result<MultiCodes<'_>> {
        let mapping = &self.shared.mapping;
        self.codes.clear();
        self.offsets.clear();
        self.offsets.push(0);
        let multi = self.base.multi_codes(rows)?;
        for pair in multi.offsets.windows(2) {
            for code in &multi.codes[pair[0] as usize..pair[1] as usize] {
                let code = mapped(mapping, *code)?;
                if code != DROPPED {
                    self.codes.push(code);
                }
            }
            self.offsets.push(self.codes.len() as u32);
        }
        Ok(MultiCodes { offsets: &self.offsets, codes: &self.codes })
    }

    fn values(&mut self, rows: Rows<'_>) -> Result<&[Value]> {
        let dictionary = self.shared.dictionary.clone();
        let multi = self.multi_codes(rows)?;
        let mut values = Vec::with_capacity(multi.offsets.len());
        let text =
            |code: &u32| Ok::<_, DruidError>(dictionary.get(*code)?.map_or(Value::Null, |text| Value::from(text.as_ref())));
        for pair in multi.offsets.windows(2) {
            values.push(match &multi.codes[pair[0] as usize..pair[1] as usize] {
                [] => Value::Null,
                [one] => text(one)?,
                many => Value::Array(many.iter().map(text).collect::<Result<_>>()?),
            });
        }
        self.values = values;
        Ok(&self.values)
    }
}

fn mapped(mapping: &[u32], code: u32) -> Result<u32> {
    mapping.get(code as usize).copied().ok_or_else(|| DruidError::runtime(format!("code out of range. code={code}")))
}
