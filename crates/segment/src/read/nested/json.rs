//! Json columns: whole values as Smile, and a typed column a field (`NestedDataColumnV5`).

use std::collections::HashMap;
use std::sync::Arc;

use croaring::Bitmap;
use ovate_base::Result;
use ovate_compute::column::{Column, ColumnCapabilities, ColumnReader};
use ovate_compute::virtual_column::PathPart;
use ovate_compute::{ColumnType, Dictionary, Rows, Value};
use parking_lot::Mutex;
use serde_json::{Map, Value as Json};

use super::Parts;
use super::element::element_of;
use super::field::{NullIndexOnly, common_type, read_field};
use super::rebuild::rebuild;
use super::values::GlobalValues;
use crate::read::bitmap::BitmapKind;
use crate::read::blob::{Blob, BlobReader};
use crate::read::complex_column::check_rows;
use crate::read::cursor::{At, ByteOrder, Cursor, Place, damaged};
use crate::read::descriptor::{bitmap_kind, byte_order};
use crate::read::dictionary::StringDictionary;
use crate::read::files::Files;
use crate::read::null_column::NullColumn;
use crate::read::smile;
use crate::read::string_column::{PartContext, check_inside};

/// The column; fields are opened when first asked for.
pub(crate) struct JsonColumn {
    shared: Arc<Shared>,
    raw: Option<Blob>,
}

/// What the column and its readers need.
struct Shared {
    files: Arc<Files>,
    name: String,
    rows: u32,
    order: ByteOrder,
    bitmaps: BitmapKind,
    fields: Vec<Field>,
    by_path: HashMap<Vec<PathPart>, usize>,
    values: Arc<GlobalValues>,
    nulls: Bitmap,
    null_only: NullIndexOnly,
    opened: Mutex<HashMap<usize, Arc<dyn Column>>>,
    place: Place,
}

#[derive(Clone)]
struct Field {
    path: Vec<PathPart>,
    types: u8,
    /// What follows the column's name in that of the field's file.
    file: String,
}

/// Names and types of the fields. `version` 3 wrote paths as jq does and named the files by them.
fn read_fields(cursor: &mut Cursor, part: &PartContext<'_>, version: u8) -> Result<Vec<Field>> {
    let names = StringDictionary::read(cursor, part.files, part.order, part.place)?;
    let mut fields = Vec::new();
    for i in 0..names.cardinality() {
        let types = cursor.u8()?;
        common_type(types)?;
        let name = names.get(i)?.ok_or_else(|| damaged("field without a name"))?;
        fields.push(match version {
            3 => Field { path: parse_jq(&name)?, types, file: format!("_{name}") },
            _ => Field { path: parse_stored(&name)?, types, file: format!(".__field_{i}") },
        });
    }
    Ok(fields)
}

/// Reads a path as Druid names fields. Unlike a user's JSONPath it may have empty names after a dot, which earlier writers
/// spelled so (`$..a`), and quotes and brackets inside quoted names.
fn parse_stored(path: &str) -> Result<Vec<PathPart>> {
    let bad = || damaged(format!("bad path of a field. path={path}"));
    let mut rest = path.strip_prefix('$').ok_or_else(bad)?;
    let mut parts = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("['") {
            let ends = |at: &usize| matches!(after.as_bytes().get(at + 2), None | Some(b'.' | b'['));
            let end = after.match_indices("']").map(|(at, _)| at).find(ends).ok_or_else(bad)?;
            parts.push(PathPart::Field(after[..end].to_owned()));
            rest = &after[end + 2..];
        } else if let Some(after) = rest.strip_prefix('[') {
            let (index, after) = after.split_once(']').ok_or_else(bad)?;
            parts.push(PathPart::Element(index.parse().map_err(|_| bad())?));
            rest = after;
        } else {
            let after = rest.strip_prefix('.').ok_or_else(bad)?;
            let end = after.find(['.', '[']).unwrap_or(after.len());
            parts.push(PathPart::Field(after[..end].to_owned()));
            rest = &after[end..];
        }
    }
    Ok(parts)
}

/// Reads a path as jq writes it: `.` is the root, `."a"."b"[0]` goes down.
fn parse_jq(path: &str) -> Result<Vec<PathPart>> {
    let bad = || damaged(format!("bad path of a field. path={path}"));
    let mut parts = Vec::new();
    let mut rest = if path == "." { "" } else { path };
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(".\"") {
            let (name, after) = after.split_once('"').ok_or_else(bad)?;
            parts.push(PathPart::Field(name.to_owned()));
            rest = after;
        } else if let Some(after) = rest.strip_prefix('[') {
            let (index, after) = after.split_once(']').ok_or_else(bad)?;
            parts.push(PathPart::Element(index.parse().map_err(|_| bad())?));
            rest = after;
        } else {
            let after = rest.strip_prefix('.').ok_or_else(bad)?;
            let end = after.find(['.', '[']).unwrap_or(after.len());
            parts.push(PathPart::Field(after[..end].to_owned()));
            rest = &after[end..];
        }
    }
    Ok(parts)
}

/// Whether a property of `columnFormatSpec`, a text or an object with a `type`, has this value.
fn says(json: &Json, name: &str, value: &str) -> bool {
    let given = json.get("columnFormatSpec").and_then(|spec| spec.get(name));
    let given = given.and_then(|v| v.get("type").or(Some(v))).and_then(Json::as_str);
    given.is_some_and(|given| given.eq_ignore_ascii_case(value))
}

impl JsonColumn {
    /// Reads what follows the common header.
    pub(crate) fn read(
        cursor: &mut Cursor,
        parts: Parts<'_>,
        part: &PartContext<'_>,
        json: &Json,
        files: &Arc<Files>,
    ) -> Result<Self> {
        // A projection's column that shares its dictionaries has only the common header.
        let fields = match parts.parent.as_ref().and_then(|p| p.json.as_ref()) {
            Some(parent) if cursor.remaining() == 0 => parent.shared.fields.clone(),
            _ => read_fields(cursor, part, 5)?,
        };
        Self::assemble(fields, parts, part, json, files)
    }

    /// Reads a column of the format before `nestedCommonFormat` (`NestedDataComplexTypeSerde`, versions 3 to 5), which is
    /// a complex column with a header of its own.
    pub(crate) fn read_legacy(cursor: &mut Cursor, part: &PartContext<'_>, files: &Arc<Files>) -> Result<Self> {
        let version = cursor.u8()?;
        if !(3..=5).contains(&version) {
            return Err(damaged(format!("unknown version of a json column. version={version}")));
        }
        let header: Json = serde_json::from_slice(&cursor.sized("byte count of a header")?)
            .map_err(|e| damaged(format!("header of a json column is not JSON: {e}")))?;
        let name = header.get("fileNameBase").and_then(Json::as_str).ok_or_else(|| damaged("header lacks fileNameBase"))?;
        let part = PartContext { order: byte_order(&header)?, bitmaps: bitmap_kind(&header)?, ..*part };
        let fields = read_fields(cursor, &part, version)?;
        let parts = Parts { files, name: name.to_owned(), parent: None };
        Self::assemble(fields, parts, &part, &header, files)
    }

    fn assemble(fields: Vec<Field>, parts: Parts<'_>, part: &PartContext<'_>, json: &Json, files: &Arc<Files>) -> Result<Self> {
        let raw = match says(json, "objectStorageEncoding", "none") {
            true => None,
            false => Some(Blob::read(files, &format!("{}.__raw", parts.name), part.order)?),
        };
        if let Some(raw) = &raw {
            check_rows(raw.len, part.rows)?;
        }
        let nulls = match parts.get("__nullIndex") {
            Some(file) => part.bitmaps.decode(&Cursor::new(file).sized("byte count of a null bitmap")?, part.rows)?,
            None => Bitmap::new(),
        };
        let shared = Shared {
            values: Arc::new(GlobalValues::read(&parts, part.order, part.place)?),
            files: files.clone(),
            name: parts.name,
            rows: part.rows,
            order: part.order,
            bitmaps: part.bitmaps,
            by_path: fields.iter().enumerate().map(|(i, field)| (field.path.clone(), i)).collect(),
            fields,
            nulls,
            null_only: NullIndexOnly {
                longs: says(json, "longFieldBitmapIndexType", "nullValueIndex"),
                doubles: says(json, "doubleFieldBitmapIndexType", "nullValueIndex"),
            },
            opened: Mutex::default(),
            place: part.place.clone(),
        };
        Ok(JsonColumn { shared: Arc::new(shared), raw })
    }

    /// Paths of all fields, in stored order.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &[PathPart]> {
        self.shared.fields.iter().map(|f| &f.path[..])
    }

    /// The column of the values at a path. A path without a field has only nulls.
    pub(crate) fn field(&self, path: &[PathPart]) -> Result<Arc<dyn Column>> {
        if let Some(&index) = self.shared.by_path.get(path) {
            return self.shared.field(index);
        }
        // The last step may go into an array that is a field as a whole.
        if let Some((PathPart::Element(index), front)) = path.split_last()
            && let Some(&field) = self.shared.by_path.get(front)
        {
            return Ok(element_of(self.shared.field(field)?, *index, self.shared.rows));
        }
        Ok(Arc::new(NullColumn { rows: self.shared.rows }))
    }
}

impl Shared {
    fn field(&self, index: usize) -> Result<Arc<dyn Column>> {
        if let Some(column) = self.opened.lock().get(&index) {
            return Ok(column.clone());
        }
        let open = || -> Result<Arc<dyn Column>> {
            let name = format!("{}{}", self.name, self.fields[index].file);
            self.files.check(&name)?;
            let file = self.files.require(&name)?;
            let (rows, order, bitmaps, place) = (self.rows, self.order, self.bitmaps, &self.place);
            let part = PartContext { files: &self.files, rows, order, bitmaps, place };
            read_field(&mut Cursor::new(file), &part, self.fields[index].types, &self.values, self.null_only)
        };
        let column = open().map_err(|e| e.prefixed(format_args!("field={index}"))).opening(&self.place)?;
        Ok(self.opened.lock().entry(index).or_insert(column).clone())
    }
}

impl Column for JsonColumn {
    fn capabilities(&self) -> ColumnCapabilities {
        ColumnCapabilities {
            column_type: ColumnType::complex("json"),
            multi_value: false,
            dictionary: false,
            bitmaps: false,
            has_nulls: !self.shared.nulls.is_empty(),
        }
    }

    fn reader(&self) -> Result<Box<dyn ColumnReader>> {
        let source = match &self.raw {
            Some(raw) => Source::Raw(BlobReader::new(raw), Vec::new()),
            None => {
                let open = |i: usize| self.shared.field(i)?.reader();
                Source::Fields((0..self.shared.fields.len()).map(open).collect::<Result<_>>()?)
            }
        };
        Ok(Box::new(JsonReader { shared: self.shared.clone(), source, values: Vec::new() }))
    }

    fn null_rows(&self) -> Result<Option<Bitmap>> {
        Ok(Some(self.shared.nulls.clone()))
    }
}

enum Source {
    Raw(BlobReader, Vec<u8>),
    /// No whole values are stored; they are put together from the fields.
    Fields(Vec<Box<dyn ColumnReader>>),
}

struct JsonReader {
    shared: Arc<Shared>,
    source: Source,
    values: Vec<Value>,
}

/// The row numbers of `rows`.
fn row_numbers<'a>(rows: &'a Rows<'_>) -> Box<dyn Iterator<Item = u32> + 'a> {
    match rows {
        Rows::Range(range) => Box::new(range.clone()),
        Rows::Ids(ids) => Box::new(ids.iter().copied()),
    }
}

impl JsonReader {
    fn fill(&mut self, rows: &Rows<'_>) -> Result<()> {
        check_inside(rows, self.shared.rows)?;
        self.values.clear();
        match &mut self.source {
            Source::Raw(reader, bytes) => {
                for row in row_numbers(rows) {
                    bytes.clear();
                    if !self.shared.nulls.contains(row) {
                        reader.read(row, bytes)?;
                    }
                    self.values.push(match bytes.is_empty() {
                        true => Value::Null,
                        false => Value::Json(Arc::new(smile::decode(bytes)?)),
                    });
                }
            }
            Source::Fields(readers) => {
                // A value without any field was an empty object, or has become one.
                let mut documents: Vec<Json> = vec![Json::Object(Map::new()); rows.len()];
                for (field, reader) in self.shared.fields.iter().zip(readers) {
                    for (document, value) in documents.iter_mut().zip(reader.values(rows.clone())?) {
                        rebuild(document, &field.path, value);
                    }
                }
                for (row, document) in row_numbers(rows).zip(documents) {
                    let null = self.shared.nulls.contains(row);
                    self.values.push(if null { Value::Null } else { Value::Json(Arc::new(document)) });
                }
            }
        }
        Ok(())
    }
}

impl ColumnReader for JsonReader {
    fn values(&mut self, rows: Rows<'_>) -> Result<&[Value]> {
        self.fill(&rows).at(&self.shared.place)?;
        Ok(&self.values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_paths_may_have_empty_and_odd_names() {
        let field = |name: &str| PathPart::Field(name.to_owned());
        assert_eq!(parse_stored("$").unwrap(), []);
        assert_eq!(parse_stored("$..a").unwrap(), [field(""), field("a")]);
        assert_eq!(parse_stored("$.in[''][0]['it's']").unwrap(), [field("in"), field(""), PathPart::Element(0), field("it's")]);
        assert!(parse_stored("a").is_err() && parse_stored("$['a").is_err());
    }

    #[test]
    fn jq_paths_go_down_objects_and_arrays() {
        let field = |name: &str| PathPart::Field(name.to_owned());
        assert_eq!(parse_jq(".").unwrap(), []);
        let path = parse_jq(r#"."phone.Numbers"[1]."type""#).unwrap();
        assert_eq!(path, [field("phone.Numbers"), PathPart::Element(1), field("type")]);
        assert_eq!(parse_jq(".a.b").unwrap(), [field("a"), field("b")]);
        assert!(parse_jq("a").is_err() && parse_jq(".\"a").is_err() && parse_jq("[x]").is_err());
    }
}
