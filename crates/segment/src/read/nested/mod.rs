//! Columns of part `nestedCommonFormat`: `auto` scalars, arrays and mixed types, and json columns with a column a field. All
//! keep their parts in internal files named `<column>.<suffix>`.

mod element;
mod field;
mod json;
mod mixed;
mod rebuild;
mod values;

use std::sync::Arc;

use bytes::Bytes;
use ovate_base::Result;
use ovate_compute::column::Column;
use ovate_compute::{ColumnType, Dictionary};
use serde_json::Value as Json;

use super::bitmap::NullBitmap;
use super::complex_column::check_rows;
use super::cursor::{Cursor, damaged};
use super::dictionary::StringDictionary;
use super::files::Files;
use super::fixed_indexed::FixedIndexed;
use super::generic_indexed::{GenericIndexed, utf8};
use super::ints::Ints;
use super::numeric_column::{NumberData, NumericColumn};
use super::string_column::{Codes, PartContext, StringColumn, derived_slots};
pub(crate) use element::element_of;
pub(crate) use json::JsonColumn;
use mixed::MixedColumn;
use values::GlobalValues;

/// The part files of one column.
pub(crate) struct Parts<'a> {
    files: &'a Files,
    name: String,
    /// The base table's column, whose dictionaries a projection's column shares.
    parent: Option<Parent>,
}

/// A column of the base table: its internal name, and the fields that a json column has.
pub(crate) struct Parent {
    pub(crate) name: String,
    pub(crate) json: Option<Arc<JsonColumn>>,
}

impl Parts<'_> {
    fn get(&self, suffix: &str) -> Option<Bytes> {
        let own = self.files.get(&format!("{}.{suffix}", self.name));
        let parent = self.parent.as_ref().filter(|_| suffix.ends_with("Dictionary"));
        own.or_else(|| parent.and_then(|parent| self.files.get(&format!("{}.{suffix}", parent.name))))
    }

    fn require(&self, suffix: &str) -> Result<Bytes> {
        self.get(suffix).ok_or_else(|| damaged(format!("internal file is missing. file={}.{suffix}", self.name)))
    }
}

/// What a part turned out to be.
pub(crate) enum NestedColumn {
    Plain(Arc<dyn Column>),
    Json(Arc<JsonColumn>),
}

/// Reads the payload of the part; `json` is its description. `parent` is the base table's column with the dictionaries
/// that a projection's column shares.
pub(crate) fn read(
    cursor: &mut Cursor,
    part: &PartContext<'_>,
    json: &Json,
    files: &Arc<Files>,
    parent: Option<Parent>,
) -> Result<NestedColumn> {
    let version = cursor.u8()?;
    if version != 0 {
        return Err(damaged(format!("unknown version of a nested column. version={version}")));
    }
    let length = cursor.vbyte()?;
    let name = utf8(&cursor.take(length)?)?.to_owned();
    let parts = Parts { files, name, parent };
    let flag = |name: &str| json.get(name).and_then(Json::as_bool).unwrap_or(false);
    let logical = json.get("logicalType").and_then(Json::as_str).unwrap_or_default();
    let logical = ColumnType::parse(logical).map_err(|e| damaged(e.message))?;
    let has_nulls = flag("hasNulls");
    let mixed = flag("isVariantType") || matches!(logical, ColumnType::Array(_));
    let column: Arc<dyn Column> = match &logical {
        _ if mixed => Arc::new(read_mixed(&parts, part, logical, has_nulls)?),
        ColumnType::String => Arc::new(read_strings(&parts, part, has_nulls)?),
        ColumnType::Long => {
            let data = NumberData::read_longs(&mut Cursor::new(parts.require("__longColumn")?), files, part.order)?;
            Arc::new(read_numbers(&parts, part, has_nulls, data, "__longDictionary")?)
        }
        ColumnType::Double => {
            let data = NumberData::read_doubles(&mut Cursor::new(parts.require("__doubleColumn")?), files, part.order)?;
            Arc::new(read_numbers(&parts, part, has_nulls, data, "__doubleDictionary")?)
        }
        _ => return Ok(NestedColumn::Json(Arc::new(JsonColumn::read(cursor, parts, part, json, files)?))),
    };
    Ok(NestedColumn::Plain(column))
}

/// Row ids; `limit` is the number of values they may stand for.
fn read_ids(parts: &Parts<'_>, part: &PartContext<'_>, limit: u32) -> Result<Ints> {
    let ids = Ints::read_compressed(&mut Cursor::new(parts.require("__encodedColumn")?), parts.files, part.order)?;
    check_rows(ids.total, part.rows)?;
    Ok(ids.with_limit(limit))
}

/// The bitmap of the null id, which is the first.
fn read_nulls(parts: &Parts<'_>, part: &PartContext<'_>) -> Result<NullBitmap> {
    let list = GenericIndexed::read(&mut Cursor::new(parts.require("__valueIndexes")?), parts.files)?;
    Ok(NullBitmap::new(list.get_bytes(0)?.unwrap_or_default(), part.bitmaps, part.rows))
}

fn read_strings(parts: &Parts<'_>, part: &PartContext<'_>, has_nulls: bool) -> Result<StringColumn> {
    let file = &mut Cursor::new(parts.require("__stringDictionary")?);
    let dictionary = Arc::new(StringDictionary::read(file, parts.files, part.order, part.place)?);
    let ids = read_ids(parts, part, dictionary.cardinality())?;
    let index = &mut Cursor::new(parts.require("__valueIndexes")?);
    let bitmaps = StringColumn::read_bitmaps(index, part, dictionary.cardinality())?;
    Ok(StringColumn {
        rows: part.rows,
        codes: Codes::Single(Arc::new(ids)),
        dictionary,
        bitmaps: Some(bitmaps),
        has_nulls,
        place: part.place.clone(),
        derived: derived_slots(),
        offered: Default::default(),
    })
}

/// A column of numbers of one type. Scans need only the values and the bitmap of null, but a column that lacks its
/// dictionary or ids is damaged, as it is to Druid.
fn read_numbers(
    parts: &Parts<'_>,
    part: &PartContext<'_>,
    has_nulls: bool,
    data: NumberData,
    dictionary: &str,
) -> Result<NumericColumn> {
    let values = FixedIndexed::<i64>::read(&mut Cursor::new(parts.require(dictionary)?), part.order)?;
    read_ids(parts, part, values.len())?;
    let nulls = if has_nulls { Some(Arc::new(read_nulls(parts, part)?)) } else { None };
    NumericColumn::new(data, nulls, part)
}

fn read_mixed(parts: &Parts<'_>, part: &PartContext<'_>, column_type: ColumnType, has_nulls: bool) -> Result<MixedColumn> {
    let values = Arc::new(GlobalValues::read(parts, part.order, part.place)?);
    Ok(MixedColumn {
        rows: part.rows,
        column_type,
        has_nulls,
        ids: Arc::new(read_ids(parts, part, values.len())?),
        local: None,
        values,
        nulls: Some(read_nulls(parts, part)?),
        place: part.place.clone(),
    })
}
