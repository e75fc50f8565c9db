//! One phase of a supervising task (`ParallelIndexPhaseRunner`): submits subtasks, no more than may run, until every one has
//! reported or one has failed too often.

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use ovate_base::{DruidError, Result};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::runtime::Handle;

use super::{Board, Reported, Supervision, Told};
use crate::spec::{TaskSpec, TaskState, iso};
use crate::task::report::Reports;
use crate::task::{TaskCluster, TaskEnv};
use crate::worker::now_ms;

/// How often the live report asks running subtasks for their counts.
const LIVE_PERIOD: Duration = Duration::from_secs(2);

/// How long subtasks may take to end after their report.
const END_LIMIT: Duration = Duration::from_secs(30);

/// What the phases of one supervising task share.
pub struct Phases<'a> {
    pub task: &'a TaskSpec,
    pub env: &'a TaskEnv,
    pub handle: &'a Handle,
    pub reports: &'a Reports,
    pub running_max: usize,
    pub retries_max: u64,
    /// `taskStatusCheckPeriodMs`.
    pub period: Duration,
    /// Gets the ids of subtasks whose report was taken.
    pub reported: &'a Mutex<Vec<String>>,
}

/// One phase.
pub struct PhaseSpec {
    /// Druid's name of the phase, as `/phase` shows it.
    pub name: &'static str,
    pub task_type: &'static str,
    /// What the subtasks differ in: the properties that each has besides the envelope.
    pub parts: Vec<Map<String, Value>>,
}

impl Phases<'_> {
    /// Runs a phase. `accept` looks at each report that completes a spec before its sender is told that it counts; gives all
    /// reports in the order of the parts.
    pub fn run(&self, phase: PhaseSpec, mut accept: impl FnMut(&Value) -> Result<()>) -> Result<Vec<Value>> {
        let cluster = self.cluster()?;
        let spec_ids = (0..phase.parts.len()).map(|n| format!("{}_{}_{n}", self.task.id, phase.task_type)).collect();
        let (supervision, told) = Supervision::new(phase.name, Board::new(spec_ids, self.retries_max));
        self.env.chat.open(supervision.clone());
        tracing::info!("phase begins. task={} phase={} subtasks={}", self.task.id, phase.name, phase.parts.len());
        let (mut asked, mut looked) = (Instant::now(), Instant::now());
        loop {
            self.env.stop.check()?;
            self.submit_all(cluster, &phase, &supervision)?;
            match told.recv_timeout(self.period.saturating_sub(asked.elapsed())) {
                Ok(report) => take(&supervision, report, &mut accept),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    self.ask(cluster, &supervision)?;
                    asked = Instant::now();
                }
            }
            if looked.elapsed() >= LIVE_PERIOD {
                self.look(cluster, &supervision.board.lock().running());
                looked = Instant::now();
            }
            let board = supervision.board.lock();
            if board.is_complete() {
                self.reports.running_subtasks(Vec::new());
                self.reported.lock().extend(board.reporters());
                return Ok(board.reports());
            }
            if let Some(failure) = board.failure() {
                let failure = DruidError::runtime(failure);
                let running = board.running();
                drop(board);
                self.give_up(cluster, &running);
                return Err(failure);
            }
        }
    }

    fn cluster(&self) -> Result<&dyn TaskCluster> {
        self.env.actions.cluster().ok_or_else(|| DruidError::runtime("a supervising task without a cluster"))
    }

    fn submit_all(&self, cluster: &dyn TaskCluster, phase: &PhaseSpec, supervision: &Supervision) -> Result<()> {
        loop {
            let next = supervision.board.lock().next(self.running_max);
            let Some((spec, attempt)) = next else { return Ok(()) };
            let task = self.subtask(phase, spec, attempt);
            // Noted first: a quick subtask may report before the submission is answered.
            supervision.board.lock().submitting(spec, task["id"].as_str().unwrap_or_default());
            self.handle.block_on(cluster.submit_task(&task))?;
        }
    }

    /// The task of one attempt.
    fn subtask(&self, phase: &PhaseSpec, spec: usize, attempt: usize) -> Value {
        let (chance, kind) = (crate::spec::letters(rand::random()), phase.task_type);
        let id = format!("{kind}_{}_{chance}_{}", self.task.data_source, iso::instant(now_ms()));
        let mut context = self.task.context.clone();
        context.insert("priority".into(), json!(self.task.priority()));
        let mut task = Map::new();
        task.insert("type".into(), json!(kind));
        task.insert("id".into(), json!(id));
        task.insert("groupId".into(), json!(self.task.group_id));
        task.insert("resource".into(), json!({"availabilityGroup": id, "requiredCapacity": 1}));
        task.insert("supervisorTaskId".into(), json!(self.task.id));
        task.insert("subtaskSpecId".into(), json!(format!("{}_{kind}_{spec}", self.task.id)));
        task.insert("numAttempts".into(), json!(attempt));
        task.extend(phase.parts[spec].clone());
        task.insert("context".into(), Value::Object(context));
        task.insert("dataSource".into(), json!(self.task.data_source));
        Value::Object(task)
    }

    /// Looks which attempts have ended without a report.
    fn ask(&self, cluster: &dyn TaskCluster, supervision: &Supervision) -> Result<()> {
        let running = supervision.board.lock().running();
        if running.is_empty() {
            return Ok(());
        }
        let statuses = self.handle.block_on(cluster.statuses(&running))?;
        for id in running {
            let status = match statuses.get(&id) {
                Some(status) => status.clone(),
                None => crate::spec::TaskStatus::failed(&id, 0, "the overlord does not know the subtask"),
            };
            if status.state != TaskState::Running {
                tracing::warn!("subtask ended without a report. subtask={id} error={:?}", status.error_message);
                supervision.board.lock().ended(&id, status);
            }
        }
        Ok(())
    }

    /// Brings the counts of running subtasks into the live report; what cannot be had now comes later.
    fn look(&self, cluster: &dyn TaskCluster, running: &[String]) {
        let ask = futures::future::join_all(running.iter().map(|id| cluster.report(id)));
        let reports = self.handle.block_on(ask);
        let live = reports.into_iter().filter_map(|report| report.ok().flatten());
        self.reports.running_subtasks(live.collect());
    }

    fn give_up(&self, cluster: &dyn TaskCluster, running: &[String]) {
        for id in running {
            if let Err(error) = self.handle.block_on(cluster.shutdown_task(id)) {
                tracing::warn!("cannot stop a subtask, the overlord will. subtask={id} error={error}");
            }
        }
    }
}

/// Waits until subtasks that have reported have ended as well, since the Overlord ends what a supervising task leaves behind
/// as failed. Their work is done and published: one that takes long is not waited for any more.
pub fn await_ends(env: &TaskEnv, handle: &Handle, ids: &[String]) {
    let (Some(cluster), began) = (env.actions.cluster(), Instant::now()) else { return };
    let mut pause = Duration::from_millis(20);
    while !ids.is_empty() && began.elapsed() < END_LIMIT && env.stop.check().is_ok() {
        match handle.block_on(cluster.statuses(ids)) {
            Ok(statuses) if statuses.values().all(|status| status.state != TaskState::Running) => return,
            Ok(_) => {}
            Err(error) => tracing::warn!("cannot ask whether subtasks have ended. error={error}"),
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

fn take(supervision: &Supervision, told: Told, accept: &mut impl FnMut(&Value) -> Result<()>) {
    let meaning = supervision.board.lock().would_report(&told.task_id);
    let answer = match meaning {
        Reported::Completes(spec) => accept(&told.report).map(|()| {
            supervision.board.lock().reported(spec, told.report);
        }),
        Reported::Again => Ok(()),
        Reported::Unwanted => Err(DruidError::invalid_input(format!("no report of task [{}] is waited for", told.task_id))),
    };
    // The subtask may have gone meanwhile; its report counts all the same.
    let _ = told.answer.send(answer);
}
