//! One field of a json column (`__field_<i>`): a column of its own, with a local dictionary of the json column's values.

use std::borrow::Cow;
use std::sync::Arc;

use ovate_base::Result;
use ovate_compute::column::Column;
use ovate_compute::{ColumnType, Dictionary};

use super::mixed::MixedColumn;
use super::values::GlobalValues;
use crate::read::bitmap::NullBitmap;
use crate::read::complex_column::check_rows;
use crate::read::cursor::{At, Cursor, Place, damaged};
use crate::read::dictionary::StringDictionary;
use crate::read::fixed_indexed::FixedIndexed;
use crate::read::generic_indexed::GenericIndexed;
use crate::read::ints::Ints;
use crate::read::numeric_column::{NumberData, NumericColumn};
use crate::read::string_column::{Codes, PartContext, StringColumn, derived_slots};

const STRING: u8 = 0x01;
const LONG: u8 = 0x04;
const DOUBLE: u8 = 0x08;
const STRINGS: u8 = 0x10;
const LONGS: u8 = 0x20;
const DOUBLES: u8 = 0x40;

/// The type that all of a field's values can be taken for (`ColumnType.leastRestrictiveType`).
pub(crate) fn common_type(types: u8) -> Result<ColumnType> {
    let has = |mask: u8| types & mask != 0;
    if types == 0 || has(!(STRING | LONG | DOUBLE | STRINGS | LONGS | DOUBLES)) {
        return Err(damaged(format!("unknown types of a field. types={types:#04x}")));
    }
    let scalar = if has(STRING | STRINGS) {
        ColumnType::String
    } else if has(DOUBLE | DOUBLES) {
        ColumnType::Double
    } else {
        ColumnType::Long
    };
    Ok(if has(STRINGS | LONGS | DOUBLES) { ColumnType::array(scalar) } else { scalar })
}

/// Whether a field's numbers have only a bitmap of nulls, not one a value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NullIndexOnly {
    pub(crate) longs: bool,
    pub(crate) doubles: bool,
}

/// Reads a field's file.
pub(crate) fn read_field(
    cursor: &mut Cursor,
    part: &PartContext<'_>,
    types: u8,
    global: &Arc<GlobalValues>,
    null_only: NullIndexOnly,
) -> Result<Arc<dyn Column>> {
    let version = cursor.u8()?;
    let flags = cursor.i32_be()?;
    if flags != 0 {
        return Err(damaged(format!("unknown flags of a field. flags={flags:#x}")));
    }
    let local = Arc::new(FixedIndexed::<i32>::read(cursor, part.order)?);
    let long_bytes = cursor.count(part.order, "byte count of a field's longs")?;
    let double_bytes = cursor.count(part.order, "byte count of a field's doubles")?;
    let longs = cursor.take(long_bytes)?;
    let doubles = cursor.take(double_bytes)?;
    let ids = match version {
        0 => Ints::read_plain(cursor)?,
        2 => Ints::read_compressed(cursor, part.files, part.order)?,
        _ => return Err(damaged(format!("unknown version of a field. version={version}"))),
    };
    check_rows(ids.total, part.rows)?;
    let ids = ids.with_limit(local.len());
    let has_nulls = local.len() > 0 && local.get(0)? == Some(0);
    match types {
        STRING => {
            let bitmaps = Some(StringColumn::read_bitmaps(cursor, part, local.len())?);
            let dictionary = Arc::new(FieldDictionary { local, strings: global.strings.clone(), place: part.place.clone() });
            let codes = Codes::Single(Arc::new(ids));
            Ok(Arc::new(StringColumn {
                rows: part.rows,
                codes,
                dictionary,
                bitmaps,
                has_nulls,
                place: part.place.clone(),
                derived: derived_slots(),
                offered: Default::default(),
            }))
        }
        LONG => {
            let data = NumberData::read_longs(&mut Cursor::new(longs), part.files, part.order)?;
            let nulls = read_nulls(cursor, part, has_nulls, null_only.longs)?;
            Ok(Arc::new(NumericColumn::new(data, nulls.map(Arc::new), part)?))
        }
        DOUBLE => {
            let data = NumberData::read_doubles(&mut Cursor::new(doubles), part.files, part.order)?;
            let nulls = read_nulls(cursor, part, has_nulls, null_only.doubles)?;
            Ok(Arc::new(NumericColumn::new(data, nulls.map(Arc::new), part)?))
        }
        _ => Ok(Arc::new(MixedColumn {
            rows: part.rows,
            column_type: common_type(types)?,
            has_nulls,
            ids: Arc::new(ids),
            local: Some(local),
            values: global.clone(),
            nulls: read_nulls(cursor, part, has_nulls, false)?,
            place: part.place.clone(),
        })),
    }
}

/// The rows without a value; `only` says that their bitmap stands alone.
fn read_nulls(cursor: &mut Cursor, part: &PartContext<'_>, has_nulls: bool, only: bool) -> Result<Option<NullBitmap>> {
    let bytes = if only {
        cursor.sized("byte count of a null bitmap")?
    } else {
        let list = GenericIndexed::read(cursor, part.files)?;
        if !has_nulls {
            return Ok(None);
        }
        list.get_bytes(0)?.unwrap_or_default()
    };
    Ok(has_nulls.then(|| NullBitmap::new(bytes, part.bitmaps, part.rows)))
}

/// The strings of one field: a sorted subset of the json column's strings.
struct FieldDictionary {
    local: Arc<FixedIndexed<i32>>,
    strings: Arc<StringDictionary>,
    place: Place,
}

impl Dictionary for FieldDictionary {
    fn cardinality(&self) -> u32 {
        self.local.len()
    }

    fn get(&self, code: u32) -> Result<Option<Cow<'_, str>>> {
        let global = self.local.get(code).and_then(|id| id.ok_or_else(|| damaged("local id is null")));
        self.strings.get(global.at(&self.place)? as u32)
    }

    fn find(&self, value: Option<&str>) -> Result<Option<u32>> {
        let Some(id) = self.strings.find(value)? else { return Ok(None) };
        self.local.find(|v| (v as u32) < id, |v| v as u32 == id).at(&self.place)
    }

    fn is_sorted(&self) -> bool {
        self.strings.is_sorted()
    }
}
