//! Accelerator files in the background: one thread goes through the segments as they are loaded, takes over the file that lies
//! beside a segment, or works it out anew where there is none, or one that is damaged or of other files. Queries never
//! wait for it, and a disk without room simply has none.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use ovate_base::{DruidError, Result, SegmentId};
use ovate_compute::ColumnSource as _;
use ovate_segment::Segment;
use ovate_segment::read::{ACCELERATED_ROWS_MIN, ACCELERATOR_FILE, Accelerator, Digests};
use ovate_store::local::SegmentCache;
use serde_json::{Value, json};
use tracing::warn;

/// Segments that wait; those beyond have no accelerator until the next start.
const WAITING_MAX: usize = 1 << 17;
/// Work for longer than this is followed by a rest of the same length, at most [`REST_MAX`]: queries go first.
const REST_FROM: Duration = Duration::from_millis(5);
const REST_MAX: Duration = Duration::from_millis(500);

struct Job {
    id: SegmentId,
    path: PathBuf,
    segment: Weak<Segment>,
    digests: Digests,
}

/// The thread's door.
pub(super) struct Accelerators {
    jobs: SyncSender<Job>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    waiting: AtomicU64,
    /// Files that were found good.
    taken: AtomicU64,
    made: AtomicU64,
    bytes: AtomicU64,
}

impl Accelerators {
    /// Starts the thread; it ends when this is dropped.
    pub fn start(cache: Arc<SegmentCache>) -> Result<Self> {
        let (jobs, waiting) = sync_channel(WAITING_MAX);
        let counts = Arc::new(Counts::default());
        let of_thread = counts.clone();
        let spawned =
            std::thread::Builder::new().name("accelerators".to_owned()).spawn(move || work(&cache, &waiting, &of_thread));
        spawned.map_err(|e| DruidError::runtime(format!("cannot start the thread of accelerator files: {e}")))?;
        Ok(Accelerators { jobs, counts })
    }

    /// Has a segment accelerated some time soon. `digests` are those that it was opened with.
    pub fn want(&self, id: SegmentId, path: PathBuf, segment: &Arc<Segment>, digests: Digests) {
        if segment.row_count() < ACCELERATED_ROWS_MIN {
            return;
        }
        self.counts.waiting.fetch_add(1, Ordering::Relaxed);
        if self.jobs.try_send(Job { id, path, segment: Arc::downgrade(segment), digests }).is_err() {
            self.counts.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// What has been done, for whoever asks the server.
    pub fn report(&self) -> Value {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        json!({"waiting": get(&self.counts.waiting), "taken": get(&self.counts.taken), "made": get(&self.counts.made),
            "bytes": get(&self.counts.bytes)})
    }
}

fn work(cache: &SegmentCache, jobs: &Receiver<Job>, counts: &Counts) {
    while let Ok(job) = jobs.recv() {
        let begin = Instant::now();
        if let Some(segment) = job.segment.upgrade() {
            match accelerate(cache, &job, segment, counts) {
                Ok(bytes) => _ = counts.bytes.fetch_add(bytes, Ordering::Relaxed),
                // Damage is for the queries to find: they report it and have the segment loaded again.
                Err(error) => warn!("no accelerator file for a segment. segment={} error={error}", job.id),
            }
        }
        counts.waiting.fetch_sub(1, Ordering::Relaxed);
        let took = begin.elapsed();
        if took >= REST_FROM {
            std::thread::sleep(took.min(REST_MAX));
        }
    }
}

/// The bytes of the file that is there afterwards.
fn accelerate(cache: &SegmentCache, job: &Job, segment: Arc<Segment>, counts: &Counts) -> Result<u64> {
    let file = job.path.join(ACCELERATOR_FILE);
    if let Ok(known) = Accelerator::open(&file, &job.digests) {
        segment.accelerate(known);
        counts.taken.fetch_add(1, Ordering::Relaxed);
        return Ok(std::fs::metadata(&file).map_or(0, |metadata| metadata.len()));
    }
    // Nobody else holding it means that it was dropped meanwhile.
    let made = Accelerator::build(&segment, &|| Arc::strong_count(&segment) > 1)?;
    let bytes = made.to_bytes(&job.digests);
    if cache.put_file(&job.id, ACCELERATOR_FILE, &bytes)? {
        segment.accelerate(Accelerator::open(&file, &job.digests)?);
        counts.made.fetch_add(1, Ordering::Relaxed);
        return Ok(bytes.len() as u64);
    }
    segment.accelerate(made);
    Ok(0)
}
