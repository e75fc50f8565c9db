//! The subtask's side: work on one split, then report to the supervisor (`SinglePhaseSubTask`,
//! `PushedSegmentsReport`). The task succeeds only when the supervisor has taken the report.

use std::time::{Duration, Instant};

use ovate_base::segment::DataSegment;
use ovate_base::{Category, DruidError, Result};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::spec::subtask::SubTaskSpec;
use crate::spec::{TaskSpec, TuningConfig};
use crate::task::TaskEnv;

/// How long a supervisor may be away, at a restart of its worker say, before its subtask gives up.
const AWAY_MAX: Duration = Duration::from_secs(300);
/// A restart of the overlord or of the supervisor's worker may take so long, however few retries there are.
const RESTART: Duration = Duration::from_secs(60);
/// Longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Time that the supervisor may need to lock a chunk, besides `chatHandlerTimeout`.
const TAKE: Duration = Duration::from_secs(60);

/// Tells the supervisor what was pushed.
pub fn report_pushed(
    task: &TaskSpec,
    spec: &SubTaskSpec,
    segments: &[DataSegment],
    report: Value,
    env: &TaskEnv,
    handle: &Handle,
) -> Result<()> {
    let segments: Vec<Value> = segments.iter().map(DataSegment::to_json).collect();
    let body =
        json!({"type": "pushed_segments", "taskId": task.id, "oldSegments": [], "newSegments": segments, "taskReport": report});
    send(spec, &body, env, handle)
}

/// Posts a report until the supervisor takes it or says no.
pub fn send(spec: &SubTaskSpec, body: &Value, env: &TaskEnv, handle: &Handle) -> Result<()> {
    let cluster = env.actions.cluster().ok_or_else(|| DruidError::runtime("a subtask without a cluster"))?;
    let tuning: &TuningConfig = &spec.specs.tuning;
    let started = Instant::now();
    let (mut failures, mut pause) = (0, Duration::from_millis(200));
    loop {
        env.stop.check()?;
        let sent = handle.block_on(cluster.chat(&spec.supervisor_task_id, "report", body, tuning.chat_timeout + TAKE));
        let error = match sent {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        let away = matches!(error.category, Category::ServiceUnavailable | Category::Timeout | Category::NotFound);
        failures += 1;
        let patient = failures <= tuning.chat_retries || started.elapsed() < RESTART;
        if !away || !patient || started.elapsed() > AWAY_MAX {
            return Err(error.prefixed(format!("the supervising task [{}] does not take the report", spec.supervisor_task_id)));
        }
        tracing::warn!("cannot report to the supervising task, trying again. error={error}");
        std::thread::sleep(pause);
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
