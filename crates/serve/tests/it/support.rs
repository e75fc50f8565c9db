//! A Historical over segments that a real Druid left in its deep storage (`shared/fixtures/druid/takeover`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use ovate_base::{Budget, DataSegment};
use ovate_serve::historical::{
    Historical, HistoricalState, LoadSettings, OpenRows, SegmentLoader, ServedSegment, ServedSegments, routes,
};
use ovate_store::{CacheLocation, LocalDeepStorage, LocationSelector, SegmentCache, SegmentCacheSettings};
use serde_json::{Value, json};

/// The takeover folder, or `None`, which is printed.
pub fn takeover(test: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let places = [std::env::var_os("OVATE_SHARED").map(PathBuf::from), Some(beside), Some(PathBuf::from("/work/shared"))];
    let found = places.into_iter().flatten().map(|dir| dir.join("fixtures/druid/takeover")).find(|dir| dir.is_dir());
    if found.is_none() {
        eprintln!("SKIPPED {test}: shared/fixtures/druid/takeover is absent (set OVATE_SHARED)");
    }
    found
}

/// Exchanges of one file.
pub fn exchanges(takeover: &Path, file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(takeover.join("wire").join(file)).expect("the fixture is there");
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

/// Segments of a deep storage, served; the folder lives as long as the second value.
pub fn served(takeover: &Path) -> (Arc<ServedSegments>, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a folder");
    let archive = takeover.join("deep-storage.tar.gz");
    let unpacked = std::process::Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(dir.path()).status();
    assert!(unpacked.expect("tar runs").success());
    let segments = Arc::new(ServedSegments::new(1));
    let (mut waiting, mut found) = (vec![dir.path().join("segments")], Vec::new());
    while let Some(folder) = waiting.pop() {
        let entries = std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path());
        waiting.extend(entries.filter(|path| path.is_dir()));
        if folder.join("version.bin").is_file() {
            found.push(segment(&folder));
        }
    }
    segments.announce(found);
    (segments, dir)
}

/// `…/data source/start_end/version/partition/index`.
fn segment(folder: &Path) -> ServedSegment {
    let parts: Vec<String> = folder.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let [.., table, interval, version, partition, _] = parts.as_slice() else { panic!("{parts:?}") };
    let partition: i32 = partition.parse().expect("a partition");
    let document = json!({"dataSource": table, "interval": interval.replace('_', "/"), "version": version, "loadSpec": {},
        "dimensions": "", "metrics": "", "binaryVersion": 9, "size": 1,
        "shardSpec": {"type": "numbered", "partitionNum": partition, "partitions": 0}});
    let data_segment = DataSegment::from_json(&document).expect("a segment");
    let source = ovate_segment::Segment::open(folder).expect("it opens");
    ServedSegment::open(data_segment, OpenRows::Open { source: Arc::new(source), meta: None })
}

/// A Historical's routes over these segments.
pub fn historical(segments: Arc<ServedSegments>, dir: &Path) -> Router {
    let location = CacheLocation { path: dir.join("cache"), max_bytes: 1 << 30 };
    let (locations, selector) = (vec![location], LocationSelector::LeastBytesUsed);
    let settings = SegmentCacheSettings { locations, info_dir: None, selector, bootstrap_threads: 1 };
    let cache = Arc::new(SegmentCache::open(settings).expect("a cache"));
    let deep = Arc::new(LocalDeepStorage::new(dir.join("segments"), false));
    let drop_delay = std::time::Duration::ZERO;
    let settings = LoadSettings { threads: 1, bootstrap_threads: 1, lazy_on_start: false, accelerators: true, drop_delay };
    let loader = Arc::new(SegmentLoader::new(cache, deep, segments.clone(), settings));
    routes(HistoricalState {
        historical: Arc::new(Historical::new("localhost:8083".to_owned(), segments, 2)),
        loader,
        lookups: Arc::default(),
        budget: Budget::new("druid.ovate.memory", 1 << 30),
        spill: ovate_serve::spill::SpillSettings::off(),
        running: Arc::default(),
        default_context: Arc::default(),
    })
}
