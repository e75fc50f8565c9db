//! `druid.segmentCache.lazyLoadOnStart`: what is in the cache is announced at once and opened by the first query of it. One that
//! then proves damaged is missing from the answer, gone from the cache, and can be loaded again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ovate_base::DataSegment;
use ovate_compute::EvalContext;
use ovate_query::{NativeQuery, QueryContext, SegmentDescriptor, finalize, write_json};
use ovate_segment::incremental::{IncrementalIndex, IndexSchema, RowBatch};
use ovate_segment::write::IndexSpec;
use ovate_serve::data_server::DataServer;
use ovate_serve::historical::{Historical, LoadSettings, SegmentLoader, ServedSegments};
use ovate_store::{CacheLocation, LocalDeepStorage, LocationSelector, SegmentCache, SegmentCacheSettings};
use serde_json::{Value, json};

const DAY: i64 = 86_400_000;

/// A segment of `rows` rows of one day, in deep storage.
fn pushed(dir: &Path, day: i64, rows: i64) -> DataSegment {
    let folder = dir.join(format!("deep/{day}/index"));
    let times: Vec<i64> = (0..rows).map(|row| day * DAY + row).collect();
    let mut index = IncrementalIndex::new(IndexSchema::default()).expect("an index");
    index.add_batch(&RowBatch { timestamps: &times, columns: &[], selection: None }).expect("rows");
    index.persist(&folder, &IndexSpec::default()).expect("a segment");
    let interval = ovate_base::Interval { start: day * DAY, end: (day + 1) * DAY };
    let document = json!({"dataSource": "t", "interval": interval.to_string(), "version": "v",
        "loadSpec": {"type": "local", "path": format!("{}/", folder.display())}, "dimensions": "", "metrics": "",
        "binaryVersion": 9, "size": 1, "shardSpec": {"type": "none"}});
    DataSegment::from_json(&document).expect("a segment")
}

struct Started {
    loader: Arc<SegmentLoader>,
    served: Arc<ServedSegments>,
    historical: Historical,
}

/// A life of a Historical over the folder's cache.
async fn started(dir: &Path, lazy_on_start: bool) -> Started {
    let locations = vec![CacheLocation { path: dir.join("cache"), max_bytes: 1 << 30 }];
    let settings =
        SegmentCacheSettings { locations, info_dir: None, selector: LocationSelector::LeastBytesUsed, bootstrap_threads: 2 };
    let cache = Arc::new(SegmentCache::open(settings).expect("a cache"));
    let deep = Arc::new(LocalDeepStorage::new(dir.join("deep"), false));
    let drop_delay = Duration::ZERO;
    let settings = LoadSettings { threads: 2, bootstrap_threads: 2, lazy_on_start, accelerators: false, drop_delay };
    let served = Arc::new(ServedSegments::new(1));
    let loader = Arc::new(SegmentLoader::new(cache, deep, served.clone(), settings));
    loader.bootstrap().await.expect("it starts");
    let historical = Historical::new("h:1".to_owned(), served.clone(), 2);
    historical.set_loader(&loader);
    Started { loader, served, historical }
}

impl Started {
    async fn load(&self, segment: &DataSegment) {
        let mut request = segment.to_json();
        request["action"] = json!("load");
        let answers = self.loader.change(vec![request]).await;
        assert_eq!(answers[0]["status"]["state"], "SUCCESS", "{answers:?}");
    }

    fn unopened(&self) -> u64 {
        self.loader.report()["unopened"].as_u64().expect("a number")
    }

    /// Rows counted, and days that are missing from it.
    async fn count(&self, segments: &[&DataSegment]) -> (i64, Vec<i64>) {
        let query = json!({"queryType": "timeseries", "dataSource": "t", "granularity": "all", "intervals": "1900/2100",
            "aggregations": [{"type": "count", "name": "n"}]});
        let query = NativeQuery::from_json(&query).expect("a query");
        let asked: Vec<SegmentDescriptor> = segments.iter().map(|segment| segment.id().descriptor()).collect();
        let context = QueryContext::new(EvalContext { lookups: Arc::default(), now_ms: 0 });
        let answer = self.historical.run(Arc::new(query.clone()), "t", asked, &context).await.expect("an answer");
        let missing = answer.missing.iter().map(|descriptor| descriptor.interval.start / DAY).collect();
        let Some(partial) = answer.partial else { return (0, missing) };
        let rows = finalize(&query, partial, &context).expect("rows");
        let mut text = Vec::new();
        write_json(&query, &rows, &mut text).expect("JSON");
        let rows: Value = serde_json::from_slice(&text).expect("JSON");
        (rows[0]["result"]["n"].as_i64().expect("a number"), missing)
    }
}

/// The smoosh file of a day's cached segment.
fn cached_file(dir: &Path, day: i64) -> std::path::PathBuf {
    let start = format!("1970-01-{:02}", day + 1);
    let mut waiting = vec![dir.join("cache/t")];
    while let Some(folder) = waiting.pop() {
        for path in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                waiting.push(path);
            } else if path.ends_with("00000.smoosh") && path.to_string_lossy().contains(&format!("/{start}T")) {
                return path;
            }
        }
    }
    panic!("no segment of {start}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_announced_unopened_is_opened_by_its_first_query_and_missing_when_damaged() {
    let dir = tempfile::tempdir().expect("a folder");
    let segments: Vec<DataSegment> = (0..4).map(|day| pushed(dir.path(), day, 10 + day)).collect();
    let all: Vec<&DataSegment> = segments.iter().collect();
    let first = started(dir.path(), true).await;
    for segment in &segments {
        first.load(segment).await;
    }
    assert_eq!(first.unopened(), 0, "what is loaded is opened before it is announced");
    assert_eq!(first.count(&all).await, (46, vec![]));
    drop(first);

    let bytes = std::fs::read(cached_file(dir.path(), 2)).expect("a file");
    std::fs::write(cached_file(dir.path(), 2), &bytes[..bytes.len() / 2]).expect("written");
    let eager = started(dir.path(), false).await;
    assert_eq!(eager.served.totals().0, 3, "a start that opens everything finds the damage");
    eager.load(&segments[2]).await;
    drop(eager);
    std::fs::write(cached_file(dir.path(), 2), &bytes[..bytes.len() / 2]).expect("written");

    let second = started(dir.path(), true).await;
    assert_eq!((second.served.totals().0, second.unopened()), (4, 4));
    assert!(second.loader.is_bootstrapped());
    assert_eq!(second.count(&all[..2]).await, (21, vec![]));
    assert_eq!(second.unopened(), 2, "only what was asked for is opened");
    assert_eq!(second.count(&all).await, (34, vec![2]), "never silently left out");
    assert_eq!((second.served.totals().0, second.unopened()), (3, 0));
    assert_eq!(second.served.snapshot()["requests"].as_array().map(Vec::len), Some(3), "followers hear of it");
    second.load(&segments[2]).await;
    assert_eq!(second.count(&all).await, (46, vec![]));
    drop(second);

    let third = started(dir.path(), true).await;
    let descriptors: Vec<SegmentDescriptor> = all[1..3].iter().map(|segment| segment.id().descriptor()).collect();
    let schemas = third.historical.schemas("t", &descriptors).await.expect("schemas");
    assert_eq!(schemas.iter().map(|schema| schema.as_ref().map(|s| s.rows)).collect::<Vec<_>>(), [Some(11), Some(12)]);
    assert_eq!(third.unopened(), 2, "who asks for columns has them opened");
}
