//! The container of format V10: one file with a header, JSON metadata and the internal files
//! (`SegmentFileMetadataReader`). Columns are laid out as in V9, but their descriptors stand in the metadata.

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;
use ovate_base::{DruidError, Interval, Result};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::clusters::Clustering;
use super::compression::Compression;
use super::cursor::{ByteOrder, Cursor, damaged};
use super::files::{Files, map_file};
use super::metadata::{OrderBy, SegmentMetadata};

/// The file's name.
pub(crate) const FILE_NAME: &str = "druid.segment";
/// What internal names of the base table's columns begin with.
pub(crate) const BASE_PREFIX: &str = "__base/";
/// Metadata that claims to be longer is refused.
const METADATA_BYTES_MAX: usize = 1 << 28;

/// The open container.
pub(crate) struct Container {
    pub(crate) files: Files,
    pub(crate) size_bytes: u64,
    pub(crate) descriptors: HashMap<String, Json>,
    pub(crate) interval: Interval,
    pub(crate) metadata: SegmentMetadata,
    pub(crate) base: BaseTable,
}

/// The table that the segment is about.
pub(crate) struct BaseTable {
    pub(crate) row_count: u32,
    pub(crate) dimensions: Vec<String>,
    pub(crate) metrics: Vec<String>,
    /// Rows stand in groups.
    pub(crate) clustering: Option<Clustering>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileMetadata {
    containers: Vec<ContainerEntry>,
    files: HashMap<String, FileEntry>,
    interval: Option<String>,
    column_descriptors: Option<HashMap<String, Json>>,
    projections: Option<Vec<Json>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerEntry {
    start_offset: u64,
    size: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileEntry {
    container: usize,
    start_offset: u64,
    size: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BaseEntry {
    num_rows: u32,
    schema: BaseSchema,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BaseSchema {
    #[serde(rename = "type")]
    kind: String,
    virtual_columns: Option<Vec<Json>>,
    columns: Option<Vec<String>>,
    grouping_columns: Option<Vec<String>>,
    aggregators: Option<Vec<Json>>,
    ordering: Option<Vec<OrderBy>>,
    clustering_columns: Option<Vec<Json>>,
    clustering_dictionaries: Option<Map<String, Json>>,
    groups: Option<Vec<Json>>,
}

/// Opens the file and reads its metadata.
pub(crate) fn open(path: &Path) -> Result<Container> {
    let file = map_file(path)?;
    let size_bytes = file.len() as u64;
    let mut cursor = Cursor::new(file);
    let metadata = read_metadata(&mut cursor)?;
    let files = cut_files(&metadata, &cursor.rest())?;
    let interval = metadata.interval.ok_or_else(|| damaged("metadata lacks the interval"))?;
    let interval = Interval::parse(&interval).map_err(|e| damaged(e.message))?;
    let descriptors = metadata.column_descriptors.ok_or_else(|| damaged("metadata lacks column descriptors"))?;
    let mut projections = metadata.projections.unwrap_or_default().into_iter();
    let base = projections.next().ok_or_else(|| damaged("metadata lacks the base table"))?;
    let base = BaseEntry::deserialize(base).map_err(|e| damaged(format!("bad base table: {e}")))?;
    let (base, metadata) = read_base(base, projections.collect())?;
    Ok(Container { files, size_bytes, descriptors, interval, metadata, base })
}

fn read_metadata(cursor: &mut Cursor) -> Result<FileMetadata> {
    let version = cursor.u8()?;
    if version != 10 {
        return Err(damaged(format!("unknown segment version. version={version}")));
    }
    let compression = Compression::from_id(cursor.u8()?)?;
    let length = cursor.count(ByteOrder::Little, "length of the metadata")?;
    if length > METADATA_BYTES_MAX {
        return Err(damaged(format!("metadata is too long. bytes={length}")));
    }
    let text = if compression == Compression::None {
        cursor.take(length)?
    } else {
        let packed = cursor.count(ByteOrder::Little, "length of the compressed metadata")?;
        let packed = cursor.take(packed)?;
        let mut text = vec![0; length];
        if compression.decompress(&packed, &mut text)? != length {
            return Err(damaged("metadata is shorter than it says"));
        }
        Bytes::from(text)
    };
    serde_json::from_slice(&text).map_err(|e| damaged(format!("bad metadata: {e}")))
}

/// Cuts the bytes behind the metadata into internal files.
fn cut_files(metadata: &FileMetadata, data: &Bytes) -> Result<Files> {
    let mut files = Files::default();
    for (name, entry) in &metadata.files {
        let cut = || {
            let container = metadata.containers.get(entry.container)?;
            let end = entry.start_offset.checked_add(entry.size).filter(|end| *end <= container.size)?;
            let start = usize::try_from(container.start_offset.checked_add(entry.start_offset)?).ok()?;
            let end = usize::try_from(container.start_offset.checked_add(end)?).ok()?;
            (end <= data.len()).then(|| data.slice(start..end))
        };
        files.insert(name, cut().ok_or_else(|| damaged(format!("internal file lies outside. file={name}")))?);
    }
    Ok(files)
}

fn read_base(base: BaseEntry, projections: Vec<Json>) -> Result<(BaseTable, SegmentMetadata)> {
    let schema = base.schema;
    let mut clustering = None;
    let rollup = match schema.kind.as_str() {
        "base-table" => false,
        "base-table-rollup" => true,
        "clustered-value-groups-base-table" => {
            let (columns, groups) = (schema.clustering_columns.unwrap_or_default(), schema.groups.unwrap_or_default());
            let dictionaries = schema.clustering_dictionaries.unwrap_or_default();
            clustering = Some(Clustering::read(&columns, &dictionaries, &groups, base.num_rows)?);
            false
        }
        other => return Err(DruidError::unsupported(format!("base table of type [{other}]"))),
    };
    let columns = schema.columns.or(schema.grouping_columns).unwrap_or_default();
    let dimensions: Vec<String> = columns.into_iter().filter(|c| c != "__time").collect();
    let aggregators = schema.aggregators.unwrap_or_default();
    let metrics = aggregators.iter().filter_map(|a| a.get("name")?.as_str().map(str::to_owned)).collect();
    let metadata = SegmentMetadata {
        container: None,
        aggregators: Some(aggregators),
        timestamp_spec: None,
        query_granularity: Some(query_granularity(schema.virtual_columns.as_deref().unwrap_or_default())),
        rollup: Some(rollup),
        ordering: schema.ordering,
        projections: Some(projections),
    };
    Ok((BaseTable { row_count: base.num_rows, dimensions, metrics, clustering }, metadata))
}

/// The query granularity, which is written as a virtual column that floors time.
fn query_granularity(virtual_columns: &[Json]) -> Json {
    let text = |json: &Json, name: &str| json.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    let virtual_column = virtual_columns.iter().find(|v| text(v, "name") == "__virtualGranularity");
    let expression = virtual_column.map(|v| text(v, "expression")).unwrap_or_default();
    let arguments = expression.strip_prefix("timestamp_floor(").and_then(|rest| rest.strip_suffix(')'));
    let arguments: Vec<Option<&str>> = arguments
        .unwrap_or_default()
        .split(',')
        .map(|argument| argument.trim().strip_prefix('\'').and_then(|a| a.strip_suffix('\'')))
        .collect();
    match arguments[..] {
        [_, Some(period), origin, zone] => {
            json!({"type": "period", "period": period, "timeZone": zone.unwrap_or("UTC"), "origin": origin})
        }
        _ => json!({"type": "none"}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floored_time_is_a_period_granularity() {
        let floor = |expression: &str| query_granularity(&[json!({"name": "__virtualGranularity", "expression": expression})]);
        let hour = json!({"type": "period", "period": "PT1H", "timeZone": "UTC", "origin": null});
        assert_eq!(floor("timestamp_floor(__time,'PT1H',null,'UTC')"), hour);
        assert_eq!(floor("__time"), json!({"type": "none"}));
        assert_eq!(query_granularity(&[]), json!({"type": "none"}));
    }
}
