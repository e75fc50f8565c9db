//! Running one task: what it is given ([`TaskEnv`]), what it asks of the overlord ([`TaskActions`]), what it leaves
//! ([`TaskOutcome`]). The same code runs in a peon process and, in tests, in this one.

mod actions;
mod cluster;
mod compact;
mod http;
mod index;
mod kill;
mod lock;
mod locks;
pub mod memory;
pub mod parallel;
mod report;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ovate_base::{DruidError, Result};
use ovate_compute::LookupMap;
use ovate_store::deep::DeepStorage;
use serde_json::Value;

pub use actions::{SegmentAllocate, TaskAction, TaskActions};
pub use cluster::TaskCluster;
pub use http::{HttpTaskActions, OverlordFinder};
pub use lock::{LockType, TaskLock};
pub use report::{IngestionState, Reports, write_atomically};

use crate::append::Meter;
use crate::spec::{TaskKind, TaskSpec, TaskStatus};

/// Set once when the task has to stop; long loops look at it once a batch.
#[derive(Debug, Clone, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Asks the task to stop.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the task was asked to stop.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error once the task was asked to stop.
    pub fn check(&self) -> Result<()> {
        if self.is_stopped() { Err(DruidError::cancelled("task was asked to stop")) } else { Ok(()) }
    }
}

/// What a task is given.
#[derive(Clone)]
pub struct TaskEnv {
    /// A directory of its own for intermediate files; its content is deleted by whoever made it.
    pub work_dir: PathBuf,
    pub actions: Arc<dyn TaskActions>,
    pub storage: Arc<dyn DeepStorage>,
    /// Threads that parse and index.
    pub threads: usize,
    /// The budget that all rows in memory share.
    pub memory_bytes: usize,
    pub stop: StopFlag,
    /// Where the live report is written while the task runs; `None` keeps it in memory only.
    pub report_file: Option<PathBuf>,
    /// Where subtasks report and users look, while the task supervises others.
    pub chat: parallel::Chat,
    /// Lookups that its expressions may use.
    pub lookups: Arc<HashMap<String, LookupMap>>,
}

/// How a task ended.
#[derive(Debug, Clone)]
pub struct TaskOutcome {
    pub status: TaskStatus,
    /// The report document (LCK-06): `{"ingestionStatsAndErrors":{…},"taskContext":{…}}`.
    pub report: Value,
}

/// How often the live report is written.
const REPORT_PERIOD: Duration = Duration::from_secs(1);

/// Runs a task to its end. Failures of the task are in the outcome; it never panics over user data.
pub async fn run_task(spec: &TaskSpec, env: &TaskEnv) -> TaskOutcome {
    let started = Instant::now();
    let meter = match &spec.kind {
        TaskKind::Index(specs) => Some(index::meter(&specs.tuning)),
        TaskKind::SubTask(subtask) => Some(index::meter(&subtask.specs.tuning)),
        TaskKind::Compact(compact) => Some(index::meter(&compact.tuning)),
        TaskKind::Kill(_) | TaskKind::Noop { .. } => None,
    };
    let reports = Arc::new(Reports::new(&spec.id, &spec.context, meter.clone()));
    let work = work(spec, env, meter, reports.clone());
    tokio::pin!(work);
    let mut ticks = tokio::time::interval(REPORT_PERIOD);
    let result = loop {
        tokio::select! {
            result = &mut work => break result,
            _ = ticks.tick() => {
                if let Some(file) = &env.report_file {
                    // A report that cannot be written must not fail the task.
                    if let Err(error) = reports.write(file) {
                        tracing::warn!("{error}");
                    }
                }
            }
        }
    };
    reports.state(IngestionState::Completed);
    let duration = started.elapsed().as_millis() as i64;
    let status = match result {
        Ok(()) => TaskStatus::success(&spec.id, duration),
        Err(error) => {
            tracing::error!("task failed. task={} error={error}", spec.id);
            reports.error(&error.message);
            TaskStatus::failed(&spec.id, duration, &error.message)
        }
    };
    TaskOutcome { status, report: reports.to_json() }
}

async fn work(spec: &TaskSpec, env: &TaskEnv, meter: Option<Arc<Meter>>, reports: Arc<Reports>) -> Result<()> {
    match &spec.kind {
        TaskKind::Index(specs) => {
            let meter = meter.expect("made for tasks that read rows");
            index::prepare_dir(&env.work_dir)?;
            let (spec, specs, env) = (spec.clone(), specs.clone(), env.clone());
            let handle = tokio::runtime::Handle::current();
            let run = tokio::task::spawn_blocking(move || index::run(&spec, &specs, None, &env, handle, meter, reports));
            run.await.map_err(|e| DruidError::runtime(format!("the task's thread ended early: {e}")))?
        }
        TaskKind::SubTask(subtask) => {
            let meter = meter.expect("made for tasks that read rows");
            index::prepare_dir(&env.work_dir)?;
            let (spec, subtask, env) = (spec.clone(), subtask.clone(), env.clone());
            let handle = tokio::runtime::Handle::current();
            let run = tokio::task::spawn_blocking(move || index::run_subtask(&spec, &subtask, &env, handle, meter, reports));
            run.await.map_err(|e| DruidError::runtime(format!("the task's thread ended early: {e}")))?
        }
        TaskKind::Compact(compact) => {
            let meter = meter.expect("made for tasks that read rows");
            index::prepare_dir(&env.work_dir)?;
            let (spec, compact, env) = (spec.clone(), compact.clone(), env.clone());
            let handle = tokio::runtime::Handle::current();
            let run = tokio::task::spawn_blocking(move || compact::run(&spec, &compact, &env, handle, meter, reports));
            run.await.map_err(|e| DruidError::runtime(format!("the task's thread ended early: {e}")))?
        }
        TaskKind::Kill(kill) => kill::run(kill, env).await.map(|count| tracing::info!("killed segments. count={count}")),
        TaskKind::Noop { run_time_ms } => {
            let end = Instant::now() + Duration::from_millis(*run_time_ms);
            while Instant::now() < end {
                env.stop.check()?;
                tokio::time::sleep((end - Instant::now()).min(Duration::from_millis(50))).await;
            }
            Ok(())
        }
    }
}
