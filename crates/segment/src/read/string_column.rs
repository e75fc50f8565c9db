//! String columns (part `stringDictionary`): a dictionary, codes by row, bitmaps by code. Also serves `auto` string columns
//! and string fields of json columns, which store the same three things in other places.

use std::sync::Arc;

use bytes::Bytes;
use ovate_base::Result;
use ovate_compute::aggregate::stored_items::items_from_bytes;
use ovate_compute::column::{Column, ColumnCapabilities, ColumnReader, DERIVED_KINDS, Derived, MultiCodes};
use ovate_compute::{BitmapIndex, ColumnType, Dictionary, Rows, Value};

use parking_lot::RwLock;

use super::bitmap::{BitmapKind, StoredBitmaps};
use super::cache::{BlockSlots, Kept};
use super::cursor::{At, ByteOrder, Cursor, Place, damaged};
use super::dictionary::StringDictionary;
use super::files::Files;
use super::generic_indexed::GenericIndexed;
use super::ints::{Ints, IntsReader};
use super::multi_ints::{MultiInts, MultiIntsReader};

const MULTI_VALUE: u32 = 1;
const MULTI_VALUE_V3: u32 = 2;
const NO_BITMAP_INDEX: u32 = 4;

/// Codes by row.
pub(crate) enum Codes {
    Single(Arc<Ints>),
    Multi(Arc<MultiInts>),
}

/// A column of dictionary codes.
pub(crate) struct StringColumn {
    pub(crate) rows: u32,
    pub(crate) codes: Codes,
    pub(crate) dictionary: Arc<dyn Dictionary>,
    pub(crate) bitmaps: Option<Arc<StoredBitmaps>>,
    pub(crate) has_nulls: bool,
    pub(crate) place: Place,
    /// What queries worked out of the dictionary.
    pub(crate) derived: Arc<BlockSlots<Kept>>,
    /// What was worked out before, as bytes, by kind.
    pub(crate) offered: RwLock<Vec<(usize, Bytes)>>,
}

/// What the payload of a part is read with.
pub(crate) struct PartContext<'a> {
    pub(crate) files: &'a Files,
    pub(crate) rows: u32,
    pub(crate) order: ByteOrder,
    pub(crate) bitmaps: BitmapKind,
    pub(crate) place: &'a Place,
}

impl StringColumn {
    /// Reads the part. `parent` is the dictionary of the base table where a projection shares it.
    pub(crate) fn read(
        cursor: &mut Cursor,
        part: &PartContext<'_>,
        parent: Option<Arc<StringDictionary>>,
    ) -> Result<(Self, Arc<StringDictionary>)> {
        let version = cursor.u8()?;
        let flags = match version {
            0 => 0,
            1 => MULTI_VALUE,
            2 | 3 => cursor.i32_be()? as u32,
            _ => return Err(damaged(format!("unknown version of a string column. version={version}"))),
        };
        if flags & !7 != 0 {
            return Err(damaged(format!("unknown flags of a string column. flags={flags:#x}")));
        }
        let dictionary = match parent {
            Some(parent) => parent,
            None => Arc::new(StringDictionary::read(cursor, part.files, part.order, part.place)?),
        };
        let (compressed, limit) = (version == 2, dictionary.cardinality());
        let codes = if flags & (MULTI_VALUE | MULTI_VALUE_V3) == 0 {
            let ints = match compressed {
                true => Ints::read_compressed(cursor, part.files, part.order)?,
                false => Ints::read_plain(cursor)?,
            };
            Codes::Single(Arc::new(ints.with_limit(limit)))
        } else {
            Codes::Multi(Arc::new(match (compressed, flags & MULTI_VALUE_V3 != 0) {
                (false, _) => MultiInts::read_plain(cursor, limit)?,
                (true, true) => MultiInts::read_v3(cursor, part.files, part.order, limit)?,
                (true, false) => MultiInts::read_v2(cursor, part.files, part.order, limit)?,
            }))
        };
        let bitmaps = match flags & NO_BITMAP_INDEX {
            0 => Some(Self::read_bitmaps(cursor, part, dictionary.cardinality())?),
            _ => None,
        };
        let column = StringColumn {
            rows: part.rows,
            codes,
            has_nulls: dictionary.has_null(),
            dictionary: dictionary.clone(),
            bitmaps,
            place: part.place.clone(),
            derived: derived_slots(),
            offered: RwLock::default(),
        };
        column.check_rows()?;
        Ok((column, dictionary))
    }

    /// One bitmap to each code.
    pub(crate) fn read_bitmaps(cursor: &mut Cursor, part: &PartContext<'_>, codes: u32) -> Result<Arc<StoredBitmaps>> {
        let list = GenericIndexed::read(cursor, part.files)?;
        if list.len() < codes {
            return Err(damaged(format!("bitmaps are fewer than dictionary values. bitmaps={} values={codes}", list.len())));
        }
        Ok(Arc::new(StoredBitmaps::new(list, part.bitmaps, part.rows, part.place.clone())))
    }

    /// A column may have more rows than the segment, never fewer.
    pub(crate) fn check_rows(&self) -> Result<()> {
        let stored = match &self.codes {
            Codes::Single(ints) => ints.total,
            Codes::Multi(ints) => ints.rows(),
        };
        if stored < self.rows {
            return Err(damaged(format!("column has too few rows. rows={stored} wanted={}", self.rows)));
        }
        Ok(())
    }
}

impl Column for StringColumn {
    fn capabilities(&self) -> ColumnCapabilities {
        ColumnCapabilities {
            column_type: ColumnType::String,
            multi_value: matches!(self.codes, Codes::Multi(_)),
            dictionary: true,
            bitmaps: self.bitmaps.is_some(),
            has_nulls: self.has_nulls,
        }
    }

    fn reader(&self) -> Result<Box<dyn ColumnReader>> {
        Ok(Box::new(StringReader {
            rows: self.rows,
            source: match &self.codes {
                Codes::Single(ints) => Source::Single(IntsReader::new(ints.clone())),
                Codes::Multi(ints) => Source::Multi(MultiIntsReader::new(ints.clone())),
            },
            cardinality: self.dictionary.cardinality(),
            dictionary: self.dictionary.clone(),
            codes: Vec::new(),
            offsets: Vec::new(),
            values: Vec::new(),
            known: Vec::new(),
            place: self.place.clone(),
        }))
    }

    fn dictionary(&self) -> Option<Arc<dyn Dictionary>> {
        Some(self.dictionary.clone())
    }

    fn bitmap_index(&self) -> Option<Arc<dyn BitmapIndex>> {
        self.bitmaps.clone().map(|b| b as Arc<dyn BitmapIndex>)
    }

    fn derived(&self, kind: usize) -> Option<Derived> {
        if let Some(kept) = self.derived.kept(kind) {
            return Some(kept);
        }
        let bytes = self.offered.read().iter().find(|(offered, _)| *offered == kind).map(|(_, bytes)| bytes.clone())?;
        let (items, size) = items_from_bytes(kind, &bytes, self.dictionary.cardinality() as usize)?;
        self.keep_derived(kind, items.clone(), size);
        Some(items)
    }

    fn offer_derived(&self, kind: usize, bytes: Bytes) {
        let mut offered = self.offered.write();
        offered.retain(|(known, _)| *known != kind);
        offered.push((kind, bytes));
    }

    fn keep_derived(&self, kind: usize, derived: Derived, bytes: usize) {
        if kind < DERIVED_KINDS {
            // Nothing is decoded, so nothing can fail.
            let _ = self.derived.get(kind as u32, || Ok(Kept { value: derived, bytes }));
        }
    }
}

/// Rows must lie inside the column.
pub(crate) fn check_inside(rows: &Rows<'_>, count: u32) -> Result<()> {
    let inside = match rows {
        Rows::Range(range) => range.start <= range.end && range.end <= count,
        Rows::Ids(ids) => ids.iter().copied().max().is_none_or(|last| last < count),
    };
    if inside { Ok(()) } else { Err(damaged(format!("rows lie outside the column. row_count={count}"))) }
}

/// Room for what is worked out of a dictionary.
pub(crate) fn derived_slots() -> Arc<BlockSlots<Kept>> {
    BlockSlots::new(DERIVED_KINDS as u32)
}

enum Source {
    Single(IntsReader),
    Multi(MultiIntsReader),
}

struct StringReader {
    rows: u32,
    source: Source,
    cardinality: u32,
    dictionary: Arc<dyn Dictionary>,
    codes: Vec<u32>,
    offsets: Vec<u32>,
    values: Vec<Value>,
    /// Values by code that `values` has met, for dictionaries that are small enough.
    known: Vec<Option<Value>>,
    place: Place,
}

/// Dictionaries up to this size have their values kept by `values`.
const KNOWN_MAX: u32 = 1 << 16;

impl StringReader {
    fn read_single(&mut self, rows: &Rows<'_>) -> Result<()> {
        check_inside(rows, self.rows)?;
        let Source::Single(ints) = &mut self.source else {
            return Err(damaged("rows of this column may have several values"));
        };
        self.codes.clear();
        match rows {
            Rows::Range(range) => ints.range(range.clone(), &mut self.codes),
            Rows::Ids(ids) => ints.gather(ids, &mut self.codes),
        }
    }

    fn read_multi(&mut self, rows: &Rows<'_>) -> Result<()> {
        if matches!(self.source, Source::Single(_)) {
            self.read_single(rows)?;
            self.offsets.clear();
            self.offsets.extend(0..=rows.len() as u32);
            return Ok(());
        }
        check_inside(rows, self.rows)?;
        let Source::Multi(ints) = &mut self.source else { unreachable!("just looked") };
        ints.read(rows)
    }

    fn value(&mut self, code: u32) -> Result<Value> {
        if let Some(Some(value)) = self.known.get(code as usize) {
            return Ok(value.clone());
        }
        let value = self.dictionary.get(code)?.map_or(Value::Null, |text| Value::from(text.as_ref()));
        if self.cardinality <= KNOWN_MAX {
            self.known.resize(self.cardinality as usize, None);
            self.known[code as usize] = Some(value.clone());
        }
        Ok(value)
    }

    /// Rows as Druid's selectors give them: null for none, the value for one, an array for more.
    fn fill_values(&mut self, rows: &Rows<'_>) -> Result<()> {
        self.read_multi(rows)?;
        let (offsets, codes) = match &mut self.source {
            Source::Single(_) => (std::mem::take(&mut self.offsets), std::mem::take(&mut self.codes)),
            Source::Multi(ints) => (std::mem::take(&mut ints.offsets), std::mem::take(&mut ints.codes)),
        };
        self.values.clear();
        for pair in offsets.windows(2) {
            let value = match &codes[pair[0] as usize..pair[1] as usize] {
                [] => Value::Null,
                [one] => self.value(*one)?,
                many => Value::Array(many.iter().map(|code| self.value(*code)).collect::<Result<_>>()?),
            };
            self.values.push(value);
        }
        if let Source::Single(_) = self.source {
            (self.offsets, self.codes) = (offsets, codes);
        }
        Ok(())
    }
}

impl ColumnReader for StringReader {
    fn codes(&mut self, rows: Rows<'_>) -> Result<&[u32]> {
        self.read_single(&rows).at(&self.place)?;
        Ok(&self.codes)
    }

    fn multi_codes(&mut self, rows: Rows<'_>) -> Result<MultiCodes<'_>> {
        self.read_multi(&rows).at(&self.place)?;
        match &self.source {
            Source::Single(_) => Ok(MultiCodes { offsets: &self.offsets, codes: &self.codes }),
            Source::Multi(ints) => Ok(MultiCodes { offsets: &ints.offsets, codes: &ints.codes }),
        }
    }

    fn values(&mut self, rows: Rows<'_>) -> Result<&[Value]> {
        self.fill_values(&rows).at(&self.place)?;
        Ok(&self.values)
    }
}
