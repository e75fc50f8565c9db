//! `insert-segment-to-db`: looks through a local deep storage in Druid's layout and puts segments into the metadata store
//! that it has no row of. Druid's tool read `descriptor.json`, which is not written any more; what it held is read from the
//! path and from the segment itself, and segments count as appended (no core partition set).

use std::path::{Path, PathBuf};

use clap::Args;
use ovate_base::time::parse_instant;
use ovate_base::{DataSegment, DruidError, Interval, Result, SegmentId, ShardSpec};
use ovate_store::meta::PublishRequest;
use serde_json::json;

use super::files;
use super::store::StoreArgs;

#[derive(Debug, Args)]
pub struct InsertArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Folder with the segments: druid.storage.storageDirectory, or one data source in it.
    #[arg(long = "workingDir")]
    working_dir: PathBuf,
    /// Shows what would be inserted, and inserts nothing.
    #[arg(long = "dry-run")]
    dry_run: bool,
}

/// Deepest folders looked into: data source, interval, version, partition, uuid, index.
const DEPTH_MAX: usize = 7;

/// Inserts what is missing.
pub async fn run(args: &InsertArgs) -> Result<()> {
    let (store, _) = args.store.open_existing().await?;
    let root = std::path::absolute(&args.working_dir)
        .map_err(|e| DruidError::runtime(format!("cannot resolve {}: {e}", args.working_dir.display())))?;
    let mut places = Vec::new();
    find(&root, 0, &mut places)?;
    let (mut new, mut known) = (0, 0);
    for place in places {
        // A segment is read on a thread that may block.
        let read = tokio::task::spawn_blocking(move || describe(&place)).await;
        let segment = read.map_err(|e| DruidError::runtime(format!("reading a segment ended badly: {e}")))??;
        if store.segment(&segment.id().to_string(), true).await?.is_some() {
            known += 1;
            continue;
        }
        println!("{} {}", if args.dry_run { "missing" } else { "inserted" }, segment.id());
        new += 1;
        if !args.dry_run {
            let data_source = segment.data_source.to_string();
            let result = store.publish(&PublishRequest { data_source, segments: vec![segment], ..Default::default() }).await?;
            if let Some(message) = result.error_msg {
                return Err(DruidError::runtime(message));
            }
        }
    }
    println!("{new} segments were missing, {known} are known");
    store.close().await;
    Ok(())
}

/// Folders and archives that are segments.
fn find(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    if dir.join("version.bin").is_file() || dir.join("druid.segment").is_file() {
        found.push(dir.to_owned());
        return Ok(());
    }
    if dir.join("index.zip").is_file() {
        found.push(dir.join("index.zip"));
        return Ok(());
    }
    if depth > DEPTH_MAX {
        return Ok(());
    }
    let entries = std::fs::read_dir(dir).map_err(|e| DruidError::runtime(format!("cannot read {}: {e}", dir.display())))?;
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders.retain(|path| path.file_name().is_some_and(|name| name != "intermediate_pushes"));
    folders.iter().try_for_each(|folder| find(folder, depth + 1, found))
}

/// The segment that a path of Druid's layout names, with what its files say.
fn describe(place: &Path) -> Result<DataSegment> {
    let unreadable = || DruidError::invalid_input(format!("not in Druid's layout: {}", place.display()));
    let parts: Vec<&str> = place.iter().map(|part| part.to_str().unwrap_or_default()).collect();
    // …/dataSource/start_end/version/partition[/uuid]/index or index.zip
    let at = (1..parts.len().saturating_sub(2)).rev().find(|at| interval(parts[*at]).is_some()).ok_or_else(unreadable)?;
    let interval = interval(parts[at]).ok_or_else(unreadable)?;
    let (data_source, version) = (parts[at - 1], parts[at + 1]);
    let partition_num: i32 = parts[at + 2].parse().map_err(|_| unreadable())?;
    let open = files::open(place)?;
    let segment = &open.segment;
    let shard = ShardSpec::Numbered { partition_num, partitions: 0 };
    let mut described = DataSegment::new(SegmentId::new(data_source, interval, version, partition_num), shard);
    let dimensions = segment.dimensions().to_vec();
    let names = ovate_compute::ColumnSource::column_names(segment.as_ref());
    described.metrics = names.into_iter().filter(|name| name != "__time" && !dimensions.contains(name)).collect();
    described.dimensions = dimensions.into_iter().collect();
    described.binary_version = Some(if place.join("druid.segment").is_file() { 10 } else { 9 });
    described.size = i64::try_from(segment.size_bytes()).unwrap_or(i64::MAX);
    let path = if place.is_dir() { format!("{}/", place.display()) } else { place.display().to_string() };
    described.load_spec = Some(json!({"type": "local", "path": path}));
    Ok(described)
}

fn interval(text: &str) -> Option<Interval> {
    let (start, end) = text.split_once('_')?;
    Some(Interval { start: parse_instant(start).ok()?, end: parse_instant(end).ok()? })
}
