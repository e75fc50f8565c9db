//! The report of a batch task (LCK-06, `IngestionStatsAndErrorsTaskReport`), live while the task runs.

use std::path::Path;
use std::sync::Arc;

use ovate_base::{DruidError, Result};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use crate::append::Meter;

/// `IngestionState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IngestionState {
    #[default]
    NotStarted,
    DeterminePartitions,
    BuildSegments,
    SegmentAvailabilityWait,
    Completed,
}

impl IngestionState {
    fn name(self) -> &'static str {
        match self {
            IngestionState::NotStarted => "NOT_STARTED",
            IngestionState::DeterminePartitions => "DETERMINE_PARTITIONS",
            IngestionState::BuildSegments => "BUILD_SEGMENTS",
            IngestionState::SegmentAvailabilityWait => "SEGMENT_AVAILABILITY_WAIT",
            IngestionState::Completed => "COMPLETED",
        }
    }
}

#[derive(Debug, Default)]
struct Progress {
    state: IngestionState,
    error: Option<String>,
    published: Option<u64>,
    read: Option<u64>,
    confirmed: bool,
    waited_ms: u64,
    /// `rowStats` of subtasks that run.
    running: Vec<Value>,
}

/// A task's progress; shared between the task and whoever writes the live report.
#[derive(Debug)]
pub struct Reports {
    task_id: String,
    context: Map<String, Value>,
    meter: Option<Arc<Meter>>,
    progress: Mutex<Progress>,
}

impl Reports {
    /// Reports of a task; `meter` only for tasks that read rows.
    pub fn new(task_id: &str, context: &Map<String, Value>, meter: Option<Arc<Meter>>) -> Reports {
        Reports { task_id: task_id.to_owned(), context: context.clone(), meter, progress: Mutex::default() }
    }

    /// The task goes on to another state.
    pub fn state(&self, state: IngestionState) {
        self.progress.lock().state = state;
    }

    /// The task failed.
    pub fn error(&self, message: &str) {
        self.progress.lock().error = Some(message.to_owned());
    }

    /// So many segments were published.
    pub fn published(&self, segments: u64) {
        self.progress.lock().published = Some(segments);
    }

    /// So many segments were read.
    pub fn read(&self, segments: u64) {
        self.progress.lock().read = Some(segments);
    }

    /// What running subtasks report now; their counts are shown until they count themselves.
    pub fn running_subtasks(&self, reports: Vec<Value>) {
        let stats = |mut report: Value| report["ingestionStatsAndErrors"]["payload"]["rowStats"].take();
        self.progress.lock().running = reports.into_iter().map(stats).collect();
    }

    /// How the wait for availability ended.
    pub fn availability(&self, confirmed: bool, waited_ms: u64) {
        let mut progress = self.progress.lock();
        progress.confirmed = confirmed;
        progress.waited_ms = waited_ms;
    }

    /// The document.
    pub fn to_json(&self) -> Value {
        let mut out = Map::new();
        if let Some(meter) = &self.meter {
            let progress = self.progress.lock();
            let payload = json!({
                "ingestionState": progress.state.name(), "unparseableEvents": meter.unparseable_events(), "rowStats": meter.row_stats(&progress.running),
                "errorMsg": progress.error, "segmentAvailabilityConfirmed": progress.confirmed,
                "segmentAvailabilityWaitTimeMs": progress.waited_ms, "recordsProcessed": {},
                "segmentsRead": progress.read, "segmentsPublished": progress.published});
            let report = json!({"type": "ingestionStatsAndErrors", "taskId": self.task_id, "payload": payload});
            out.insert("ingestionStatsAndErrors".into(), report);
        }
        out.insert("taskContext".into(), json!({"type": "taskContext", "taskId": self.task_id, "payload": self.context}));
        Value::Object(out)
    }

    /// Writes the document beside the file and renames it there.
    pub fn write(&self, file: &Path) -> Result<()> {
        write_atomically(file, &serde_json::to_vec(&self.to_json()).unwrap_or_default())
    }
}

/// A reader sees the old content or the new one, never a part.
pub fn write_atomically(file: &Path, bytes: &[u8]) -> Result<()> {
    let broken = |e: std::io::Error| DruidError::runtime(format!("cannot write [{}]: {e}", file.display()));
    let mut beside = file.as_os_str().to_owned();
    beside.push(".tmp");
    let beside = std::path::PathBuf::from(beside);
    let mut out = std::fs::File::create(&beside).map_err(broken)?;
    std::io::Write::write_all(&mut out, bytes).map_err(broken)?;
    out.sync_all().map_err(broken)?;
    std::fs::rename(&beside, file).map_err(broken)
}
