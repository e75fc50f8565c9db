//! [`Segment`]: a directory with a Druid segment, memory-mapped. Opening reads the table of contents, `index.drd` and
//! `metadata.drd` (V10: the metadata in front) and the header of `__time`; every other column is opened when first asked
//! for, and kept. A projection of a segment is a segment of its own over the same files.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use ovate_base::{Interval, Result};
use ovate_compute::column::{Column, ColumnCapabilities, ColumnSource, Projection};
use ovate_compute::virtual_column::PathPart;
use ovate_compute::{ColumnType, Value};
use parking_lot::RwLock;
use serde_json::Value as Json;

use super::accelerator::Accelerator;
use super::clusters::{self, Clustering};
use super::complex_column::ComplexColumn;
use super::constant_column::ConstantLong;
use super::cursor::{At, Cursor, Place, damaged};
use super::descriptor::{ColumnDescriptor, bitmap_kind, byte_order, part_type};
use super::dictionary::StringDictionary;
use super::digests::Digests;
use super::files::{Files, read_small};
use super::metadata::{IndexDrd, SegmentMetadata};
use super::nested::{self, JsonColumn, NestedColumn};
use super::null_column::NullColumn;
use super::numeric_column::{NumberData, NumericColumn};
use super::projection::ProjectionSchema;
use super::string_column::{PartContext, StringColumn};
use super::v10;

const TIME: &str = "__time";

/// An open segment or projection; cheap to clone, safe to read from many threads.
#[derive(Clone)]
pub struct Segment(Arc<Table>);

/// One table of rows in a segment's files.
struct Table {
    name: Arc<str>,
    files: Arc<Files>,
    size_bytes: u64,
    row_count: u32,
    /// What internal names of this table's columns begin with.
    prefix: String,
    /// Descriptors by internal name, where they do not stand before the payload (V10).
    descriptors: Option<Arc<HashMap<String, Json>>>,
    time: Time,
    /// `__time`, dimensions, metrics.
    columns: Vec<String>,
    dimensions: Vec<String>,
    interval: Interval,
    metadata: SegmentMetadata,
    time_sorted: bool,
    /// The groups that the rows stand in, each a table of its own without the clustering columns.
    clusters: Vec<(Table, HashMap<String, Value>)>,
    /// The base table of a projection, whose dictionaries it shares.
    parent: Option<Arc<Table>>,
    opened: RwLock<HashMap<String, Opened>>,
    /// What was found out about the columns earlier.
    accelerator: RwLock<Option<Accelerator>>,
}

/// Where `__time` comes from.
enum Time {
    /// A column of this name.
    Stored(String),
    /// Every row has this time.
    Constant(i64),
}

/// An open column; json columns also as what they are, for their fields, and dictionaries for projections.
#[derive(Clone)]
struct Opened {
    column: Arc<dyn Column>,
    json: Option<Arc<JsonColumn>>,
    dictionary: Option<Arc<StringDictionary>>,
    /// Values by row, of columns of numbers.
    numbers: Option<NumberData>,
}

impl<C: Column + 'static> From<C> for Opened {
    fn from(column: C) -> Self {
        Opened { column: Arc::new(column), json: None, dictionary: None, numbers: None }
    }
}

impl Segment {
    /// Opens the segment in a directory; errors name the directory.
    pub fn open(dir: &Path) -> Result<Self> {
        Self::open_named(dir, &dir.display().to_string())
    }

    /// Opens the segment in a directory whose files had these checksums: each is compared before it is first read.
    pub fn open_checked(dir: &Path, digests: Digests) -> Result<Self> {
        Self::open_with(dir, &dir.display().to_string(), Some(digests))
    }

    /// Opens the segment in a directory; errors name the segment by `name`.
    pub fn open_named(dir: &Path, name: &str) -> Result<Self> {
        Self::open_with(dir, name, None)
    }

    fn open_with(dir: &Path, name: &str, digests: Option<Digests>) -> Result<Self> {
        // V10 has one file; a version.bin says that it is not V10.
        let v10_file = if dir.is_file() { dir.to_owned() } else { dir.join(v10::FILE_NAME) };
        let is_v10 = v10_file.is_file() && !dir.join("version.bin").exists();
        let opened = if is_v10 { Self::open_v10(&v10_file, name, digests) } else { Self::open_v9(dir, name, digests) };
        opened.map_err(|e| e.prefixed(format_args!("cannot open segment. segment={name}")))
    }

    fn open_v9(dir: &Path, name: &str, digests: Option<Digests>) -> Result<Self> {
        check_version(dir)?;
        let (mut files, size_bytes) = Files::open_smoosh(dir)?;
        if let Some(digests) = digests {
            files.check_against(digests);
            files.check("index.drd")?;
            files.check("metadata.drd")?;
        }
        let index = IndexDrd::read(files.require("index.drd")?).map_err(|e| e.prefixed("index.drd"))?;
        let metadata = files.get("metadata.drd").and_then(|bytes| SegmentMetadata::read(&bytes)).unwrap_or_default();
        let row_count = time_rows(&files)?;
        let metrics = index.columns.iter().filter(|c| !index.dimensions.contains(c));
        let columns = index.dimensions.iter().chain(metrics).cloned();
        Ok(Segment(Arc::new(Table {
            name: name.into(),
            files: Arc::new(files),
            size_bytes,
            row_count,
            prefix: String::new(),
            descriptors: None,
            time: Time::Stored(TIME.to_owned()),
            columns: with_time(columns),
            dimensions: index.dimensions,
            interval: index.interval,
            time_sorted: metadata.is_time_sorted(),
            metadata,
            clusters: Vec::new(),
            parent: None,
            opened: RwLock::default(),
            accelerator: RwLock::default(),
        })))
    }

    fn open_v10(file: &Path, name: &str, digests: Option<Digests>) -> Result<Self> {
        let mut container = v10::open(file)?;
        if let Some(digests) = digests {
            container.files.check_against(digests);
        }
        let base = container.base;
        let columns = with_time(base.dimensions.iter().chain(&base.metrics).cloned());
        let (files, descriptors) = (Arc::new(container.files), Arc::new(container.descriptors));
        let clusters = base.clustering.map(|clustering| cluster_tables(name, &files, &descriptors, &columns, clustering));
        Ok(Segment(Arc::new(Table {
            name: name.into(),
            files,
            size_bytes: container.size_bytes,
            row_count: base.row_count,
            prefix: v10::BASE_PREFIX.to_owned(),
            descriptors: Some(descriptors),
            time: Time::Stored(TIME.to_owned()),
            columns,
            clusters: clusters.unwrap_or_default(),
            dimensions: base.dimensions,
            interval: container.interval,
            time_sorted: container.metadata.is_time_sorted(),
            metadata: container.metadata,
            parent: None,
            opened: RwLock::default(),
            accelerator: RwLock::default(),
        })))
    }

    /// Checksums of the files as they are now, for [`Segment::open_checked`] of a later life. Reads everything.
    pub fn digests(&self) -> Digests {
        self.0.files.digests()
    }

    /// Compares every file with the checksums that the segment was opened with. Reads everything.
    pub fn verify(&self) -> Result<()> {
        self.0.files.check_all()
    }

    /// Takes what was found out about the columns earlier; the accelerator was made of a segment with the same checksums.
    pub fn accelerate(&self, accelerator: Accelerator) {
        *self.0.accelerator.write() = Some(accelerator.clone());
        // A column that is opened just now takes it by itself.
        let opened: Vec<(String, Opened)> =
            self.0.opened.read().iter().map(|(name, opened)| (name.clone(), opened.clone())).collect();
        for (name, opened) in opened {
            accelerator.apply(&name, &opened.column, opened.numbers.as_ref());
        }
    }

    /// A column, and its values if it is one of numbers.
    pub(super) fn column_and_numbers(&self, name: &str) -> Result<Option<(Arc<dyn Column>, Option<NumberData>)>> {
        Ok(self.0.checked(name)?.map(|opened| (opened.column, opened.numbers)))
    }

    /// How the segment was made; empty where `metadata.drd` is missing or damaged.
    pub fn metadata(&self) -> &SegmentMetadata {
        &self.0.metadata
    }

    /// Bytes of the files that hold rows and the table of contents.
    pub fn size_bytes(&self) -> u64 {
        self.0.size_bytes
    }

    /// Bytes that a column takes in the segment, its parts included; 0 for a column that is not stored.
    pub fn column_size_bytes(&self, column: &str) -> u64 {
        let clusters = self.0.clusters.iter().map(|(table, _)| self.0.files.column_bytes(&table.internal_name(column)));
        self.0.files.column_bytes(&self.0.internal_name(column)) + clusters.sum::<u64>()
    }

    /// Dimensions in order.
    pub fn dimensions(&self) -> &[String] {
        &self.0.dimensions
    }

    /// Number of dictionary entries of a STRING column that has a dictionary.
    pub fn cardinality(&self, column: &str) -> Result<Option<u32>> {
        let column = self.column(column)?;
        Ok(column.and_then(|c| c.dictionary()).map(|d| d.cardinality()))
    }

    /// Paths of the fields of a json column, as JSONPath parts in stored order; `None` where it is no json column.
    pub fn nested_paths(&self, column: &str) -> Result<Option<Vec<Vec<PathPart>>>> {
        let json = self.0.opened(column)?.and_then(|opened| opened.json);
        Ok(json.map(|json| json.paths().map(<[PathPart]>::to_vec).collect()))
    }

    /// True for a column whose dictionary a projection's column of its name shares: stored as a string dimension.
    pub fn shares_dictionary(&self, column: &str) -> Result<bool> {
        Ok(self.0.opened(column)?.is_some_and(|opened| opened.dictionary.is_some()))
    }

    /// The aggregate projections stored with the rows (`AggregateProjectionMetadata`).
    pub fn projections(&self) -> Vec<ProjectionSchema> {
        let listed = self.0.metadata.projections.iter().flatten();
        listed.filter_map(|json| ProjectionSchema::from_json(json).ok()).collect()
    }

    /// Opens a projection; its rows are those of a segment with the grouping columns and aggregators as columns.
    pub fn projection(&self, name: &str) -> Result<Option<Segment>> {
        let Some(schema) = self.projections().into_iter().find(|p| p.name == name) else { return Ok(None) };
        let base = &self.0;
        let time = match &schema.time_column {
            Some(column) => Time::Stored(column.clone()),
            None => Time::Constant(base.interval.start),
        };
        let dimensions: Vec<String> =
            schema.grouping_columns.iter().filter(|c| Some(*c) != schema.time_column.as_ref()).cloned().collect();
        let metrics = schema.aggregators.iter().filter_map(|a| a.get("name")?.as_str().map(str::to_owned));
        let columns = with_time(dimensions.iter().cloned().chain(metrics));
        Ok(Some(Segment(Arc::new(Table {
            name: format!("{} projection={name}", base.name).into(),
            files: base.files.clone(),
            size_bytes: base.size_bytes,
            row_count: schema.row_count,
            prefix: format!("{name}/"),
            descriptors: base.descriptors.clone(),
            time,
            columns,
            dimensions,
            interval: base.interval,
            time_sorted: schema.is_time_sorted(),
            metadata: SegmentMetadata { aggregators: Some(schema.aggregators), rollup: Some(true), ..Default::default() },
            clusters: Vec::new(),
            parent: Some(base.clone()),
            opened: RwLock::default(),
            accelerator: RwLock::default(),
        }))))
    }
}

/// `__time` and then the others.
fn with_time(columns: impl Iterator<Item = String>) -> Vec<String> {
    let mut all = vec![TIME.to_owned()];
    all.extend(columns.filter(|c| c != TIME));
    all
}

impl Table {
    fn internal_name(&self, column: &str) -> String {
        match &self.time {
            Time::Stored(time) if column == TIME => format!("{}{time}", self.prefix),
            _ => format!("{}{column}", self.prefix),
        }
    }

    /// A column whose rows are to be read.
    fn checked(&self, name: &str) -> Result<Option<Opened>> {
        let place = || Place::new(&self.name, name);
        let parents = std::iter::successors(Some(self), |table| table.parent.as_deref());
        for table in parents.chain(self.clusters.iter().map(|(table, _)| table)) {
            self.files.check_column(&table.internal_name(name)).opening(&place())?;
        }
        self.opened(name)
    }

    fn opened(&self, name: &str) -> Result<Option<Opened>> {
        if let Some(opened) = self.opened.read().get(name) {
            return Ok(Some(opened.clone()));
        }
        if !self.columns.iter().any(|c| c == name) {
            return Ok(None);
        }
        // Two threads may open the same column at once; the first one kept is given to both.
        let opened = self.open_column(name).opening(&Place::new(&self.name, name))?;
        if let Some(accelerator) = &*self.accelerator.read() {
            accelerator.apply(name, &opened.column, opened.numbers.as_ref());
        }
        Ok(Some(self.opened.write().entry(name.to_owned()).or_insert(opened).clone()))
    }

    fn open_column(&self, name: &str) -> Result<Opened> {
        if let (Time::Constant(time), TIME) = (&self.time, name) {
            return Ok(ConstantLong::new(self.row_count, *time).into());
        }
        if !self.clusters.is_empty() {
            return self.stitched(name);
        }
        let internal = self.internal_name(name);
        let file = match (self.files.get(&internal), &self.parent) {
            (Some(file), _) => file,
            // A projection has no files for grouping columns that are all null.
            (None, Some(_)) if self.dimensions.iter().any(|d| d == name) => return Ok(NullColumn { rows: self.row_count }.into()),
            (None, _) => return Err(damaged(format!("internal file is missing. file={internal}"))),
        };
        let mut cursor = Cursor::new(file);
        let descriptor = match &self.descriptors {
            None => ColumnDescriptor::read(&mut cursor)?,
            Some(all) => {
                let json = all.get(&internal).ok_or_else(|| damaged("column has no descriptor"))?;
                ColumnDescriptor::from_json(json.clone())?
            }
        };
        self.open_payload(name, &descriptor, &mut cursor)
    }

    /// A column of all groups.
    fn stitched(&self, name: &str) -> Result<Opened> {
        let parts = self.clusters.iter().map(|(table, constants)| {
            // Opening the time makes sure that there are as many rows as the metadata says.
            let time = table.open_column(TIME)?;
            Ok(match constants.get(name) {
                Some(value) => clusters::Part::Constant(value.clone(), table.row_count),
                None if name == TIME => clusters::Part::Column(time.column, table.row_count),
                None => clusters::Part::Column(table.open_column(name)?.column, table.row_count),
            })
        });
        let column = clusters::stitch(name, parts.collect::<Result<_>>()?)?;
        Ok(Opened { column, json: None, dictionary: None, numbers: None })
    }

    /// Opens a column from its descriptor and payload.
    fn open_payload(&self, name: &str, descriptor: &ColumnDescriptor, cursor: &mut Cursor) -> Result<Opened> {
        let json = descriptor.part()?;
        let (rows, place) = (self.row_count, Place::new(&self.name, name));
        let (order, bitmaps) = (byte_order(json)?, bitmap_kind(json)?);
        let part = PartContext { files: &self.files, rows, order, bitmaps, place: &place };
        match part_type(json) {
            "stringDictionary" => {
                let (column, dictionary) = StringColumn::read(cursor, &part, self.shared_dictionary(name)?)?;
                Ok(Opened { column: Arc::new(column), json: None, dictionary: Some(dictionary), numbers: None })
            }
            kind @ ("long" | "longV2" | "float" | "floatV2" | "double" | "doubleV2") => {
                let column = NumericColumn::read(cursor, &part, kind)?;
                let numbers = Some(column.data.clone());
                Ok(Opened { numbers, ..column.into() })
            }
            "complex" => {
                let type_name = json.get("typeName").and_then(|v| v.as_str());
                let type_name = type_name.ok_or_else(|| damaged("complex part lacks typeName"))?;
                if type_name == "json" {
                    let json = Arc::new(JsonColumn::read_legacy(cursor, &part, &self.files)?);
                    return Ok(Opened { column: json.clone(), json: Some(json), dictionary: None, numbers: None });
                }
                Ok(ComplexColumn::read(cursor, &part, type_name)?.into())
            }
            "nestedCommonFormat" => {
                let parent = match &self.parent {
                    Some(base) => base.opened(name)?.map(|o| nested::Parent { name: base.internal_name(name), json: o.json }),
                    None => None,
                };
                Ok(match nested::read(cursor, &part, json, &self.files, parent)? {
                    NestedColumn::Plain(column) => Opened { column, json: None, dictionary: None, numbers: None },
                    NestedColumn::Json(json) => {
                        Opened { column: json.clone(), json: Some(json), dictionary: None, numbers: None }
                    }
                })
            }
            "null" => Ok(NullColumn { rows }.into()),
            other => Err(damaged(format!("unknown column part. type={other}"))),
        }
    }

    /// The dictionary of the base table's column of this name: a projection's column then has none of its own.
    fn shared_dictionary(&self, name: &str) -> Result<Option<Arc<StringDictionary>>> {
        match &self.parent {
            Some(parent) => Ok(parent.opened(name)?.and_then(|opened| opened.dictionary)),
            None => Ok(None),
        }
    }
}

/// The groups of a clustered table.
fn cluster_tables(
    name: &str,
    files: &Arc<Files>,
    descriptors: &Arc<HashMap<String, Json>>,
    columns: &[String],
    clustering: Clustering,
) -> Vec<(Table, HashMap<String, Value>)> {
    let Clustering { columns: by, groups } = clustering;
    let stored: Vec<String> = columns.iter().filter(|column| by.iter().all(|(name, _)| name != *column)).cloned().collect();
    let table = |group: clusters::Group| {
        let table = Table {
            name: format!("{name} group={}", group.prefix).into(),
            files: files.clone(),
            size_bytes: 0,
            row_count: group.row_count,
            prefix: group.prefix,
            descriptors: Some(descriptors.clone()),
            time: Time::Stored(TIME.to_owned()),
            columns: stored.clone(),
            dimensions: Vec::new(),
            interval: Interval::ETERNITY,
            time_sorted: false,
            metadata: SegmentMetadata::default(),
            clusters: Vec::new(),
            parent: None,
            opened: RwLock::default(),
            accelerator: RwLock::default(),
        };
        (table, by.iter().map(|(name, _)| name.clone()).zip(group.values).collect())
    };
    groups.into_iter().map(table).collect()
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
        self.0.row_count
    }

    fn column_names(&self) -> Vec<String> {
        self.0.columns.clone()
    }

    fn capabilities(&self, name: &str) -> Option<ColumnCapabilities> {
        // What a column is stands in its header; its checksum is for whoever reads rows.
        match self.0.opened(name) {
            Ok(opened) => opened.map(|o| o.column.capabilities()),
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
        Ok(self.0.checked(name)?.map(|opened| opened.column))
    }

    fn projections(&self) -> Vec<Projection> {
        let one = |schema: ProjectionSchema| Projection {
            name: schema.name,
            row_count: schema.row_count,
            time_column: schema.time_column,
            filter: schema.filter,
            virtual_columns: schema.virtual_columns,
            grouping_columns: schema.grouping_columns,
            aggregators: schema.aggregators,
        };
        Segment::projections(self).into_iter().map(one).collect()
    }

    fn projection(&self, name: &str) -> Result<Option<Arc<dyn ColumnSource>>> {
        Ok(Segment::projection(self, name)?.map(|segment| Arc::new(segment) as Arc<dyn ColumnSource>))
    }

    fn nested_field(&self, column: &str, path: &[PathPart]) -> Result<Option<Arc<dyn Column>>> {
        let Some(opened) = self.0.checked(column)? else {
            return Ok(Some(Arc::new(NullColumn { rows: self.0.row_count })));
        };
        match (opened.json, path) {
            (Some(json), path) => json.field(path).map(Some),
            // Columns that are no json have only themselves, and the elements of their arrays.
            (None, []) => Ok(Some(opened.column)),
            (None, [PathPart::Element(index)]) => Ok(Some(nested::element_of(opened.column, *index, self.0.row_count))),
            (None, _) => Ok(None),
        }
    }

    fn interval(&self) -> Interval {
        self.0.interval
    }

    fn is_time_sorted(&self) -> bool {
        self.0.time_sorted
    }
}
