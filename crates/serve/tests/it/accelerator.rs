//! Accelerator files of a Historical: made in the background, counted in the cache's bytes, found again by the next start, and
//! made anew where they were damaged.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ovate_base::DataSegment;
use ovate_segment::incremental::{DimensionSchema, IncrementalIndex, IndexSchema, InputColumn, RowBatch};
use ovate_segment::read::{ACCELERATED_ROWS_MIN, ACCELERATOR_FILE};
use ovate_segment::write::IndexSpec;
use ovate_serve::historical::{LoadSettings, SegmentLoader, ServedSegments};
use ovate_store::{CacheLocation, LocalDeepStorage, LocationSelector, SegmentCache, SegmentCacheSettings};
use serde_json::{Value, json};

const ROWS: u32 = ACCELERATED_ROWS_MIN + 1000;

/// A segment in deep storage.
fn pushed(dir: &Path) -> DataSegment {
    let folder = dir.join("deep/index");
    let texts: Vec<String> = (0..ROWS).map(|row| format!("value {}", row % 3000)).collect();
    let values: Vec<Option<&str>> = texts.iter().map(|text| Some(text.as_str())).collect();
    let codes: Vec<u32> = (0..ROWS).collect();
    let longs: Vec<i64> = (0..i64::from(ROWS)).map(|row| row * 7 % 1000).collect();
    let times: Vec<i64> = (0..i64::from(ROWS)).collect();
    let dimensions = ["text", "number"].map(|name| match name {
        "text" => DimensionSchema::string(name),
        _ => DimensionSchema::from_json(&json!({"type": "long", "name": name})).expect("a dimension"),
    });
    let schema = IndexSchema { dimensions: dimensions.to_vec(), ..IndexSchema::default() };
    let mut index = IncrementalIndex::new(schema).expect("an index");
    let columns = [
        ("text", InputColumn::Dictionary { values: &values, codes: &codes }),
        ("number", InputColumn::Longs { values: &longs, nulls: None }),
    ];
    index.add_batch(&RowBatch { timestamps: &times, columns: &columns, selection: None }).expect("rows");
    index.persist(&folder, &IndexSpec::default()).expect("a segment");
    let load = json!({"type": "local", "path": format!("{}/", folder.display())});
    let document = json!({"dataSource": "t", "interval": "1970-01-01/1970-01-02", "version": "v", "loadSpec": load,
        "dimensions": "text,number", "metrics": "", "binaryVersion": 9, "size": 1, "shardSpec": {"type": "none"}});
    DataSegment::from_json(&document).expect("a segment")
}

fn started(dir: &Path) -> Arc<SegmentLoader> {
    let location = CacheLocation { path: dir.join("cache"), max_bytes: 1 << 30 };
    let (locations, selector) = (vec![location], LocationSelector::LeastBytesUsed);
    let settings = SegmentCacheSettings { locations, info_dir: None, selector, bootstrap_threads: 1 };
    let cache = Arc::new(SegmentCache::open(settings).expect("a cache"));
    let deep = Arc::new(LocalDeepStorage::new(dir.join("deep"), false));
    let drop_delay = Duration::ZERO;
    let settings = LoadSettings { threads: 1, bootstrap_threads: 1, lazy_on_start: false, accelerators: true, drop_delay };
    Arc::new(SegmentLoader::new(cache, deep, Arc::new(ServedSegments::new(1)), settings))
}

/// The report once nothing waits any more.
async fn settled(loader: &SegmentLoader) -> Value {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let report = loader.report();
        if report["accelerators"]["waiting"] == 0
            && report["accelerators"] != json!({"waiting": 0, "taken": 0, "made": 0, "bytes": 0})
        {
            return report;
        }
        assert!(Instant::now() < deadline, "{report}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn found(dir: &Path) -> PathBuf {
    let mut waiting = vec![dir.join("cache")];
    while let Some(folder) = waiting.pop() {
        for path in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                waiting.push(path);
            } else if path.ends_with(ACCELERATOR_FILE) {
                return path;
            }
        }
    }
    panic!("no accelerator file")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_file_is_made_once_found_again_and_made_anew_when_damaged() {
    let dir = tempfile::tempdir().expect("a folder");
    let segment = pushed(dir.path());
    let loader = started(dir.path());
    loader.bootstrap().await.expect("nothing yet");
    let mut request = segment.to_json();
    request["action"] = json!("load");
    let answers = loader.change(vec![request]).await;
    assert_eq!(answers[0]["status"]["state"], "SUCCESS", "{answers:?}");
    let first = settled(&loader).await;
    assert_eq!((&first["accelerators"]["made"], &first["accelerators"]["taken"]), (&json!(1), &json!(0)));
    let file = found(dir.path());
    let bytes = std::fs::read(&file).expect("a file");
    assert_eq!(first["accelerators"]["bytes"], json!(bytes.len()));
    let folder = std::fs::read_dir(file.parent().expect("a folder")).expect("a folder");
    let on_disk: u64 = folder.map(|entry| entry.and_then(|entry| entry.metadata()).expect("a file").len()).sum();
    // The checksums are written after the pull was counted.
    let counted = first["usedBytes"].as_u64().expect("a number");
    assert!(counted <= on_disk && counted > on_disk - 4096, "{counted} of {on_disk}");
    drop(loader);

    let loader = started(dir.path());
    loader.bootstrap().await.expect("served again");
    let again = settled(&loader).await;
    assert_eq!((&again["accelerators"]["made"], &again["accelerators"]["taken"]), (&json!(0), &json!(1)));
    drop(loader);

    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    for wrong in [damaged, bytes[..bytes.len() / 2].to_vec(), Vec::new()] {
        std::fs::write(&file, wrong).expect("written");
        let loader = started(dir.path());
        loader.bootstrap().await.expect("served again");
        let repaired = settled(&loader).await;
        assert_eq!((&repaired["accelerators"]["made"], &repaired["accelerators"]["taken"]), (&json!(1), &json!(0)));
        assert_eq!(std::fs::read(&file).expect("a file"), bytes);
    }
}
