//! [`Segment`]: a directory with a Druid segment, memory-mapped. Opening reads the table of contents, `index.drd`,
//! `metadata.drd` and the header of `__time`; every other column is opened when first asked for, and kept.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use ovate_base::{Interval, Result};
use ovate_compute::ColumnType;
use ovate_compute::column::{Column, ColumnCapabilities, ColumnSource};
use ovate_compute::virtual_column::PathPart;
use parking_lot::RwLock;

use super::complex_column::ComplexColumn;
use super::cursor::{At, Cursor, Place, damaged};
use super::descriptor::{ColumnDescriptor, bitmap_kind, byte_order, part_type};
use super::files::{Files, read_small};
use super::metadata::{IndexDrd, SegmentMetadata};
use super::nested::{self, JsonColumn, NestedColumn};
use super::null_column::NullColumn;
use super::numeric_column::{NumberData, NumericColumn};
use super::string_column::{PartContext, StringColumn};

const TIME: &str = "__time";

/// An open segment; cheap to share, safe to read from many threads.
pub struct Segment {
    name: Arc<str>,
    files: Arc<Files>,
    size_bytes: u64,
    row_count: u32,
    /// `__time`, dimensions, metrics.
    columns: Vec<String>,
    dimensions: Vec<String>,
    interval: Interval,
    metadata: SegmentMetadata,
    time_sorted: bool,
    opened: RwLock<HashMap<String, Opened>>,
}

/// An open column; json columns also as what they are, for their fields.
#[derive(Clone)]
struct Opened {
    column: Arc<dyn Column>,
    json: Option<Arc<JsonColumn>>,
}

impl<C: Column + 'static> From<C> for Opened {
    fn from(column: C) -> Self {
        Opened { column: Arc::new(column), json: None }
    }
}

impl Segment {
    /// Opens the segment in a directory; errors name the directory.
    pub fn open(dir: &Path) -> Result<Self> {
        Self::open_named(dir, &dir.display().to_string())
    }

    /// Opens the segment in a directory; errors name the segment by `name`.
    pub fn open_named(dir: &Path, name: &str) -> Result<Self> {
        Self::open_v9(dir, name).map_err(|e| e.prefixed(format_args!("cannot open segment. segment={name}")))
    }

    fn open_v9(dir: &Path, name: &str) -> Result<Self> {
        check_version(dir)?;
        let (files, size_bytes) = Files::open_smoosh(dir)?;
        let index = IndexDrd::read(files.require("index.drd")?).map_err(|e| e.prefixed("index.drd"))?;
        let metadata = files.get("metadata.drd").and_then(|bytes| SegmentMetadata::read(&bytes)).unwrap_or_default();
        let row_count = time_rows(&files)?;
        let metrics = index.columns.iter().filter(|c| !index.dimensions.contains(c));
        let mut columns = vec![TIME.to_owned()];
        columns.extend(index.dimensions.iter().chain(metrics).filter(|c| *c != TIME).cloned());
        Ok(Segment {
            name: name.into(),
            files: Arc::new(files),
            size_bytes,
            row_count,
            columns,
            dimensions: index.dimensions,
            interval: index.interval,
            time_sorted: metadata.is_time_sorted(),
            metadata,
            opened: RwLock::default(),
        })
    }

    /// How the segment was made; empty where `metadata.drd` is missing or damaged.
    pub fn metadata(&self) -> &SegmentMetadata {
        &self.metadata
    }

    /// Bytes of the files that hold rows and the table of contents.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Bytes that a column takes in the segment, its parts included; 0 for a column that is not stored.
    pub fn column_size_bytes(&self, column: &str) -> u64 {
        self.files.column_bytes(column)
    }

    /// Dimensions in order.
    pub fn dimensions(&self) -> &[String] {
        &self.dimensions
    }

    /// Number of dictionary entries of a STRING column that has a dictionary.
    pub fn cardinality(&self, column: &str) -> Result<Option<u32>> {
        let column = self.column(column)?;
        Ok(column.and_then(|c| c.dictionary()).map(|d| d.cardinality()))
    }

    /// Paths of the fields of a json column, as JSONPath parts in stored order; `None` where it is no json column.
    pub fn nested_paths(&self, column: &str) -> Result<Option<Vec<Vec<PathPart>>>> {
        let json = self.opened(column)?.and_then(|opened| opened.json);
        Ok(json.map(|json| json.paths().map(<[PathPart]>::to_vec).collect()))
    }

    fn opened(&self, name: &str) -> Result<Option<Opened>> {
        if let Some(opened) = self.opened.read().get(name) {
            return Ok(Some(opened.clone()));
        }
        if !self.columns.iter().any(|c| c == name) {
            return Ok(None);
        }
        // Two threads may open the same column at once; the first one kept is given to both.
        let opened = self.open_column(name)?;
        Ok(Some(self.opened.write().entry(name.to_owned()).or_insert(opened).clone()))
    }

    fn open_column(&self, column: &str) -> Result<Opened> {
        let place = Place::new(&self.name, column);
        let open = || -> Result<Opened> {
            let mut cursor = Cursor::new(self.files.require(column)?);
            let descriptor = ColumnDescriptor::read(&mut cursor)?;
            open_payload(&descriptor, &mut cursor, &self.files, self.row_count, &place)
        };
        open().opening(&place)
    }
}

/// Opens a column from its descriptor and payload.
fn open_payload(
    descriptor: &ColumnDescriptor,
    cursor: &mut Cursor,
    files: &Arc<Files>,
    rows: u32,
    place: &Place,
) -> Result<Opened> {
    let json = descriptor.part()?;
    let part = PartContext { files, rows, order: byte_order(json)?, bitmaps: bitmap_kind(json)?, place };
    match part_type(json) {
        "stringDictionary" => Ok(StringColumn::read(cursor, &part, None)?.0.into()),
        kind @ ("long" | "longV2" | "float" | "floatV2" | "double" | "doubleV2") => {
            Ok(NumericColumn::read(cursor, &part, kind)?.into())
        }
        "complex" => {
            let name = json.get("typeName").and_then(|v| v.as_str()).ok_or_else(|| damaged("complex part lacks typeName"))?;
            Ok(ComplexColumn::read(cursor, &part, name)?.into())
        }
        "nestedCommonFormat" => Ok(match nested::read(cursor, &part, json, files)? {
            NestedColumn::Plain(column) => Opened { column, json: None },
            NestedColumn::Json(json) => Opened { column: json.clone(), json: Some(json) },
        }),
        "null" => Ok(NullColumn { rows }.into()),
        other => Err(damaged(format!("unknown column part. type={other}"))),
    }
}

/// `version.bin` must say 9.
fn check_version(dir: &Path) -> Result<()> {
    let bytes = read_small(&dir.join("version.bin"))?;
    match bytes.first_chunk().map(|b| i32::from_be_bytes(*b)) {
        Some(9) => Ok(()),
        Some(version) => Err(damaged(format!("unknown segment version. version={version}"))),
        None => Err(damaged("version.bin is too short")),
    }
}

/// The row count is that of `__time`.
fn time_rows(files: &Files) -> Result<u32> {
    let read = || -> Result<u32> {
        let mut cursor = Cursor::new(files.require(TIME)?);
        let descriptor = ColumnDescriptor::read(&mut cursor)?;
        let part = descriptor.part()?;
        let order = byte_order(part)?;
        let mut body = match part_type(part) {
            "longV2" => Cursor::new(cursor.sized("byte count of numbers")?),
            "long" => cursor,
            other => return Err(damaged(format!("unknown column part. type={other}"))),
        };
        Ok(NumberData::read_longs(&mut body, files, order)?.total())
    };
    read().map_err(|e| e.prefixed("column=__time"))
}

impl ColumnSource for Segment {
    fn row_count(&self) -> u32 {
        self.row_count
    }

    fn column_names(&self) -> Vec<String> {
        self.columns.clone()
    }

    fn capabilities(&self, name: &str) -> Option<ColumnCapabilities> {
        match self.column(name) {
            Ok(column) => column.map(|c| c.capabilities()),
            // The column is there but damaged; opening it will say so. Until then it may be anything.
            Err(_) => Some(ColumnCapabilities {
                column_type: ColumnType::Complex(None),
                multi_value: false,
                dictionary: false,
                bitmaps: false,
                has_nulls: true,
            }),
        }
    }

    fn column(&self, name: &str) -> Result<Option<Arc<dyn Column>>> {
        Ok(self.opened(name)?.map(|opened| opened.column))
    }

    fn nested_field(&self, column: &str, path: &[PathPart]) -> Result<Option<Arc<dyn Column>>> {
        let Some(opened) = self.opened(column)? else {
            return Ok(Some(Arc::new(NullColumn { rows: self.row_count })));
        };
        match (opened.json, path) {
            (Some(json), path) => json.field(path).map(Some),
            // Columns that are no json have only themselves, and the elements of their arrays.
            (None, []) => Ok(Some(opened.column)),
            (None, [PathPart::Element(index)]) => Ok(Some(nested::element_of(opened.column, *index, self.row_count))),
            (None, _) => Ok(None),
        }
    }

    fn interval(&self) -> Interval {
        self.interval
    }

    fn is_time_sorted(&self) -> bool {
        self.time_sorted
    }
}
