//! Loads and drops segments: those in the cache at start, then whatever the Coordinator's load queue asks for
//! (`SegmentLoadDropHandler`). A segment is announced only when it can answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use ovate_base::{DataSegment, DruidError, Result};
use ovate_query::SegmentMeta;
use ovate_segment::Segment;
use ovate_segment::read::Digests;
use ovate_store::deep::DeepStorage;
use ovate_store::local::SegmentCache;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tracing::{debug, info, warn};

use super::accelerate::Accelerators;
use super::served::{OpenRows, ServedSegment, ServedSegments};

/// Segments announced in one go during bootstrap.
const BOOTSTRAP_BATCH: usize = 500;
/// Beside a cached segment's own files.
const CHECKSUMS: &str = "ovate.checksums.json";

/// Bounds of loading.
#[derive(Debug, Clone)]
pub struct LoadSettings {
    /// `druid.segmentCache.numLoadingThreads`.
    pub threads: usize,
    /// `druid.segmentCache.numBootstrapThreads`.
    pub bootstrap_threads: usize,
    /// Whether what is in the cache at start is announced unopened (`druid.segmentCache.lazyLoadOnStart`).
    pub lazy_on_start: bool,
    /// Whether accelerator files are made and used (`druid.ovate.segmentCache.accelerators`).
    pub accelerators: bool,
    /// How long dropped segments stay readable for queries under way (`druid.segmentCache.dropSegmentDelayMillis`).
    pub drop_delay: Duration,
}

/// The one that changes what a Historical serves.
pub struct SegmentLoader {
    cache: Arc<SegmentCache>,
    deep: Arc<dyn DeepStorage>,
    served: Arc<ServedSegments>,
    settings: LoadSettings,
    bootstrapped: AtomicBool,
    accelerators: Option<Accelerators>,
}

impl SegmentLoader {
    pub fn new(
        cache: Arc<SegmentCache>,
        deep: Arc<dyn DeepStorage>,
        served: Arc<ServedSegments>,
        settings: LoadSettings,
    ) -> Self {
        let started = settings.accelerators.then(|| Accelerators::start(cache.clone()));
        let accelerators = started.and_then(|started| started.inspect_err(|error| warn!("{error}")).ok());
        SegmentLoader { cache, deep, served, settings, bootstrapped: AtomicBool::new(false), accelerators }
    }

    /// Segments loaded at a time.
    pub fn loading_threads(&self) -> usize {
        self.settings.threads.max(1)
    }

    /// Bytes on disk, the accelerator files' among them, and how far these are.
    pub fn report(&self) -> Value {
        let accelerators = self.accelerators.as_ref().map_or(Value::Null, Accelerators::report);
        json!({"usedBytes": self.cache.used_bytes(), "maxBytes": self.cache.max_bytes(), "accelerators": accelerators,
            "unopened": self.served.unopened_count()})
    }

    /// True once everything that was in the cache at start is served.
    pub fn is_bootstrapped(&self) -> bool {
        self.bootstrapped.load(Ordering::Acquire)
    }

    /// Serves what is in the cache, opened by several threads, or unopened where that is wanted. A segment that does not open
    /// is removed from it, to be loaded anew.
    pub async fn bootstrap(self: &Arc<Self>) -> Result<()> {
        let begin = Instant::now();
        let loader = self.clone();
        let work = tokio::task::spawn_blocking(move || {
            let segments = loader.cache.segments();
            let (next, damaged) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
            std::thread::scope(|scope| {
                for _ in 0..loader.settings.bootstrap_threads.max(1) {
                    scope.spawn(|| {
                        while let Some(batch) = segments.chunks(BOOTSTRAP_BATCH).nth(next.fetch_add(1, Ordering::Relaxed)) {
                            let failed = loader.open_batch(batch);
                            damaged.lock().extend(failed);
                        }
                    });
                }
            });
            (segments.len(), damaged.into_inner())
        });
        let (count, damaged) = work.await.map_err(|e| DruidError::runtime(format!("reading the segment cache failed: {e}")))?;
        for (segment, error) in damaged {
            warn!(
                "cached segment does not open and is removed, the coordinator will have it loaded again. segment={} error={error}",
                segment.id()
            );
            self.cache.drop_segment(&segment.id()).await?;
        }
        self.bootstrapped.store(true, Ordering::Release);
        info!("segments of the cache are served. count={count} ms={}", begin.elapsed().as_millis());
        Ok(())
    }

    /// Opens and announces; gives those that did not open.
    fn open_batch(&self, batch: &[DataSegment]) -> Vec<(DataSegment, DruidError)> {
        let (mut opened, mut damaged) = (Vec::with_capacity(batch.len()), Vec::new());
        for segment in batch {
            if self.settings.lazy_on_start {
                opened.push(ServedSegment::unopened(segment.clone()));
                continue;
            }
            match self.open(segment) {
                Ok(rows) => opened.push(ServedSegment::open(segment.clone(), rows)),
                Err(error) => damaged.push((segment.clone(), error)),
            }
        }
        self.served.announce(opened);
        damaged
    }

    /// Opens segments that were announced unopened, by several threads. One that does not open is removed, as at start, and is
    /// then missing from what is served.
    pub async fn open_now(self: &Arc<Self>, segments: Vec<Arc<ServedSegment>>) -> Result<()> {
        let loader = self.clone();
        let work = tokio::task::spawn_blocking(move || {
            let (next, damaged) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
            let open = || {
                while let Some(segment) = segments.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = segment.open_with(|| loader.open(&segment.data_segment)) {
                        warn!("a segment that was announced unopened does not open. segment={} error={error}", segment.id);
                        damaged.lock().push(segment.clone());
                    }
                }
            };
            let threads = loader.settings.bootstrap_threads.clamp(1, segments.len().max(1));
            std::thread::scope(|scope| {
                for _ in 1..threads {
                    scope.spawn(open);
                }
                open();
            });
            damaged.into_inner()
        });
        let damaged = work.await.map_err(|e| DruidError::runtime(format!("opening segments failed: {e}")))?;
        for segment in damaged {
            // Loaded again meanwhile, it is another one under the same name.
            let descriptor = segment.data_segment.id().descriptor();
            let now = self.served.find(&segment.data_segment.data_source, &descriptor);
            if now.is_some_and(|now| Arc::ptr_eq(&now, &segment)) {
                self.discard(&segment.data_segment).await;
            }
        }
        Ok(())
    }

    /// Performs change requests, as many at a time as there are loading threads; gives Druid's answer for each.
    pub async fn change(self: &Arc<Self>, requests: Vec<Value>) -> Vec<Value> {
        let work = requests.into_iter().map(|request| {
            let loader = self.clone();
            async move {
                let outcome = loader.change_one(&request).await;
                if let Err(error) = &outcome {
                    warn!("change request failed. request={} error={error}", request["identifier"]);
                }
                let (state, cause) = match outcome {
                    Ok(()) => ("SUCCESS", Value::Null),
                    Err(error) => ("FAILED", json!(error.message)),
                };
                json!({"request": request, "status": {"state": state, "failureCause": cause, "loadingMode": "NORMAL"}})
            }
        });
        stream::iter(work).buffered(self.settings.threads.max(1)).collect().await
    }

    async fn change_one(self: &Arc<Self>, request: &Value) -> Result<()> {
        debug!("asked to {} a segment. segment={} version={}", request["action"], request["identifier"], request["version"]);
        match request["action"].as_str() {
            // In a task of its own: a Coordinator that hangs up, as one that lost its office does, must not leave half of it.
            Some("load") => {
                let (loader, segment) = (self.clone(), DataSegment::from_json(request)?);
                let id = segment.id();
                let loaded = tokio::spawn(async move { loader.load(segment).await }).await;
                loaded.map_err(|e| DruidError::runtime(format!("loading segment [{id}] failed: {e}")))?
            }
            Some("drop") => self.drop_segment(DataSegment::from_json(request)?).await,
            Some("noop") => Ok(()),
            other => Err(DruidError::invalid_input(format!("unknown change request action [{}]", other.unwrap_or("null")))),
        }
    }

    async fn load(self: &Arc<Self>, segment: DataSegment) -> Result<()> {
        if self.served.has(&segment) {
            return Ok(());
        }
        self.cache.load(&segment, self.deep.as_ref()).await?;
        let loader = self.clone();
        let wanted = segment.clone();
        let opened =
            tokio::task::spawn_blocking(move || loader.note_checksums(&wanted).and_then(|()| loader.open(&wanted))).await;
        match opened.map_err(|e| DruidError::runtime(format!("opening segment [{}] failed: {e}", segment.id())))? {
            Ok(rows) => {
                self.served.announce(vec![ServedSegment::open(segment, rows)]);
                Ok(())
            }
            Err(error) => {
                self.cache.drop_segment(&segment.id()).await?;
                Err(error)
            }
        }
    }

    /// Withdraws at once; the files go a little later, since queries that began before may still read them.
    async fn drop_segment(self: &Arc<Self>, segment: DataSegment) -> Result<()> {
        self.served.withdraw(&segment);
        let loader = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(loader.settings.drop_delay).await;
            if loader.served.has(&segment) {
                return; // loaded again meanwhile
            }
            if let Err(error) = loader.cache.drop_segment(&segment.id()).await {
                warn!("cannot remove a dropped segment's files. segment={} error={error}", segment.id());
            }
        });
        Ok(())
    }

    /// Removes a segment whose files turned out to be damaged; the Coordinator then has it loaded again. Queries that hold it
    /// fail when they touch what is damaged.
    pub async fn discard(self: &Arc<Self>, segment: &DataSegment) {
        self.served.withdraw(segment);
        match self.cache.drop_segment(&segment.id()).await {
            Ok(_) => {
                warn!("a damaged segment is removed from the cache, to be loaded again; check the disk. segment={}", segment.id())
            }
            Err(error) => warn!("cannot remove a damaged segment's files. segment={} error={error}", segment.id()),
        }
    }

    /// Writes the checksums of freshly loaded files beside them.
    fn note_checksums(&self, data_segment: &DataSegment) -> Result<()> {
        let Some(path) = self.cache.path(&data_segment.id()).filter(|_| !data_segment.is_tombstone()) else { return Ok(()) };
        let file = path.join(CHECKSUMS);
        if file.exists() {
            return Ok(());
        }
        let bytes = Segment::open(&path)?.digests().to_bytes();
        // A crash in the middle leaves a file that tells so, and the segment is then loaded again.
        std::fs::write(&file, bytes).map_err(|e| DruidError::runtime(format!("cannot write [{}]: {e}", file.display())))
    }

    fn open(&self, data_segment: &DataSegment) -> Result<OpenRows> {
        if data_segment.is_tombstone() {
            return Ok(OpenRows::None);
        }
        let id = data_segment.id();
        let path = self.cache.path(&id).ok_or_else(|| DruidError::runtime(format!("segment [{id}] is not in the cache")))?;
        let (segment, digests) = match std::fs::read(path.join(CHECKSUMS)) {
            Ok(bytes) => {
                let digests = Digests::from_bytes(&bytes);
                let opened = digests.clone().and_then(|digests| Segment::open_checked(&path, digests));
                (opened, digests.ok())
            }
            Err(_) => (Segment::open(&path), None), // cached by an older release
        };
        let segment = segment.map_err(|e| DruidError::runtime(format!("cannot open segment. segment={id} {e}")))?;
        let meta = segment_meta(data_segment, &segment);
        let segment = Arc::new(segment);
        if let (Some(accelerators), Some(digests)) = (&self.accelerators, digests) {
            accelerators.want(id, path, &segment, digests);
        }
        Ok(OpenRows::Open { source: segment, meta: Some(Arc::new(meta)) })
    }
}

/// What segmentMetadata queries tell beyond the columns.
fn segment_meta(data_segment: &DataSegment, segment: &Segment) -> SegmentMeta {
    let metadata = segment.metadata();
    SegmentMeta {
        interval: Some(data_segment.interval),
        size_bytes: segment.size_bytes(),
        rollup: metadata.rollup,
        aggregators: metadata.aggregators.clone(),
        query_granularity: metadata.query_granularity.clone(),
        timestamp_spec: metadata.timestamp_spec.clone(),
    }
}
