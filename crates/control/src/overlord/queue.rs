//! The task queue (`TaskQueue`): every task that has not ended, and the manager that starts them, notices their ends and
//! stores those. A task is stored before it is acknowledged, its end before the runner may forget it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use ovate_base::time::format_iso;
use ovate_base::{DruidError, Result};
use ovate_ingest::TaskSpec;
use ovate_store::meta::{TaskRow, TaskState, TaskStatus};
use ovate_store::now_ms;
use serde_json::{Value, json};
use tracing::{info, warn};

use super::runner::by_id;
use super::{Overlord, Term};

/// A task that has not ended.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub row: TaskRow,
    pub priority: i32,
    /// The task whose work it is a part of.
    pub supervisor: Option<String>,
    /// The runner has it.
    pub assigned: bool,
    /// It comes from an earlier term, so some worker may have it without having said so yet.
    restored: bool,
    /// Since when the runner does not tell of it although it was assigned.
    missing_since: Option<Instant>,
    pub status: TaskStatus,
}

/// All tasks that have not ended, by id.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pub entries: BTreeMap<String, Entry>,
}

impl Entry {
    fn new(row: TaskRow) -> Entry {
        let spec = TaskSpec::from_json(&row.payload, 0, 0).ok();
        let priority = spec.as_ref().map_or(0, TaskSpec::priority);
        let priority = priority.clamp(i32::MIN as i64, i32::MAX as i64) as i32;
        let supervisor = spec.as_ref().and_then(TaskSpec::supervisor).map(str::to_owned);
        Entry { priority, supervisor, assigned: false, restored: false, missing_since: None, status: row.status.clone(), row }
    }

    pub fn group_id(&self) -> &str {
        self.row.group_id.as_deref().unwrap_or(&self.row.id)
    }
}

impl Queue {
    pub fn new(rows: Vec<TaskRow>) -> Queue {
        let restored = |row: TaskRow| (row.id.clone(), Entry { restored: true, ..Entry::new(row) });
        Queue { entries: rows.into_iter().map(restored).collect() }
    }

    /// Active subtasks of a task.
    fn subtasks(&self, id: &str) -> Vec<String> {
        let ours = self.entries.values().filter(|entry| entry.supervisor.as_deref() == Some(id));
        ours.map(|entry| entry.row.id.clone()).collect()
    }

    /// Subtasks whose supervising task is not active any more.
    fn orphans(&self) -> Vec<String> {
        let gone = |entry: &&Entry| entry.supervisor.as_ref().is_some_and(|id| !self.entries.contains_key(id));
        self.entries.values().filter(gone).map(|entry| entry.row.id.clone()).collect()
    }

    /// Tasks that wait for a slot: higher priority first, then older.
    fn waiting(&self) -> Vec<Entry> {
        let mut waiting: Vec<Entry> = self.entries.values().filter(|entry| !entry.assigned).cloned().collect();
        waiting.sort_by(|a, b| (b.priority, &a.row.created_date, &a.row.id).cmp(&(a.priority, &b.row.created_date, &b.row.id)));
        waiting
    }
}

impl Overlord {
    /// Checks, stores and queues a task; gives its id.
    pub async fn submit(&self, task: &Value) -> Result<String> {
        let term = self.term()?;
        let now = now_ms();
        let mut task = task.clone();
        if let (false, Value::Object(fields)) = (self.settings.default_context.is_empty(), &mut task) {
            let context = fields.entry("context").or_insert_with(|| json!({}));
            if context.is_null() {
                *context = json!({});
            }
            if let Value::Object(context) = context {
                for (name, value) in &self.settings.default_context {
                    context.entry(name.clone()).or_insert_with(|| value.clone());
                }
            }
        }
        let spec = TaskSpec::from_json(&task, now, rand::random())?;
        if let Some(id) = spec.supervisor()
            && !term.queue.lock().entries.contains_key(id)
        {
            return Err(DruidError::invalid_input(format!("the supervising task [{id}] is not active")));
        }
        if term.queue.lock().entries.len() >= self.settings.tasks_max {
            return Err(DruidError::capacity("too many tasks; raise druid.indexer.queue.maxSize"));
        }
        let row = TaskRow {
            id: spec.id.clone(),
            created_date: format_iso(now),
            data_source: spec.data_source.clone(),
            payload: spec.to_json().clone(),
            status: TaskStatus::running(&spec.id),
            active: true,
            task_type: Some(spec.task_type.clone()),
            group_id: Some(spec.group_id.clone()),
        };
        term.store.insert_task(&row).await?;
        term.queue.lock().entries.insert(spec.id.clone(), Entry::new(row));
        term.queue_changed.notify_one();
        Ok(spec.id)
    }

    /// Ends a task from outside; false when it is not active.
    pub async fn shutdown_task(&self, task_id: &str, reason: &str) -> Result<bool> {
        let term = self.term()?;
        let entry = term.queue.lock().entries.get(task_id).cloned();
        let Some(entry) = entry else { return Ok(false) };
        let mut status = TaskStatus::failed(task_id, -1, reason);
        status.location = entry.status.location.clone();
        // Stored first: from then on the task can publish nothing. The manager forgets it when the runner has stopped it.
        self.store_end(&term, &entry, &status).await?;
        self.runner.shutdown(task_id, reason).await;
        Ok(true)
    }

    /// Manages until the future is dropped.
    pub(super) async fn manage_forever(&self, term: &Arc<Term>) {
        let mut changes = self.runner.changes();
        loop {
            changes.borrow_and_update();
            self.manage(term).await;
            tokio::select! {
                _ = changes.changed() => {}
                () = term.queue_changed.notified() => {}
                () = tokio::time::sleep(self.settings.manage_period) => {}
            }
        }
    }

    /// One look at the runner and the queue.
    async fn manage(&self, term: &Arc<Term>) {
        let tasks = by_id(self.runner.tasks().await);
        for (id, status) in &tasks {
            let entry = {
                let mut queue = term.queue.lock();
                queue.entries.get_mut(id).map(|entry| {
                    entry.assigned = true;
                    entry.missing_since = None;
                    if !status.is_complete() {
                        entry.status = status.clone();
                    }
                    entry.clone()
                })
            };
            match entry {
                Some(entry) if status.is_complete() => self.end_logged(term, &entry, status).await,
                Some(_) => {}
                // It ended for us: at a restart between storing the end and forgetting, or by a shutdown.
                None if status.is_complete() => self.runner.forget(id).await,
                None => self.runner.shutdown(id, "the task is not active").await,
            }
        }
        let lost: Vec<Entry> = {
            let mut queue = term.queue.lock();
            let missing = queue.entries.values_mut().filter(|entry| entry.assigned && !tasks.contains_key(&entry.row.id));
            // A list that was on its way while the task was assigned does not have it yet; so one look is not enough.
            let long = missing.filter_map(|entry| {
                let since = *entry.missing_since.get_or_insert_with(Instant::now);
                (since.elapsed() >= self.settings.lost_after).then(|| entry.clone())
            });
            long.collect()
        };
        for entry in lost {
            let status = TaskStatus::failed(&entry.row.id, -1, LOST);
            self.end_logged(term, &entry, &status).await;
        }
        let orphans = term.queue.lock().orphans();
        self.end_subtasks(orphans).await;
        self.start_waiting(term).await;
    }

    /// Ends subtasks that nobody will take a report of.
    async fn end_subtasks(&self, ids: Vec<String>) {
        for id in ids {
            if let Err(error) = self.shutdown_task(&id, "its supervising task has ended").await {
                warn!(task = %id, "cannot end a subtask yet: {error}");
            }
        }
    }

    async fn start_waiting(&self, term: &Arc<Term>) {
        let waiting = term.queue.lock().waiting();
        let settled = waiting.is_empty() || self.runner.settled().await;
        let select = term.select.read().clone();
        for entry in waiting.into_iter().filter(|entry| settled || !entry.restored) {
            let id = &entry.row.id;
            match self.runner.assign(&entry.row.payload, &select).await {
                Ok(true) => {
                    info!(task = %id, "started");
                    if let Some(entry) = term.queue.lock().entries.get_mut(id) {
                        entry.assigned = true;
                    }
                }
                // Another may suit a worker that has room.
                Ok(false) => {}
                Err(error) => {
                    let status = TaskStatus::failed(id, -1, format!("cannot start the task: {error}"));
                    self.end_logged(term, &entry, &status).await;
                }
            }
        }
    }

    async fn end_logged(&self, term: &Arc<Term>, entry: &Entry, status: &TaskStatus) {
        if let Err(error) = self.end(term, entry, status).await {
            // It stays in the queue and at the runner; the next round tries again.
            warn!(task = %entry.row.id, "cannot store the task's end: {error}");
        }
    }

    /// A task has ended at its runner: stores that, or starts it over when only its worker went away.
    async fn end(&self, term: &Arc<Term>, entry: &Entry, status: &TaskStatus) -> Result<()> {
        let id = &entry.row.id;
        if status.status != TaskState::Failed {
            self.store_end(term, entry, status).await?;
            self.runner.forget(id).await;
            return Ok(());
        }
        let interrupted = status.error_msg.as_deref().is_some_and(is_interruption);
        match term.store.task_summary(id).await?.map(|row| row.status) {
            // Its process died after the transaction that counts: the work is done, and must not be done twice.
            Some(stored) if stored.published => {
                let status = TaskStatus { location: status.location.clone(), ..TaskStatus::success(id, status.duration) };
                self.store_end(term, entry, &status).await?;
                self.runner.forget(id).await;
            }
            // A subtask is not started over: its supervisor submits another, and takes no report of this one.
            Some(stored) if interrupted && entry.supervisor.is_none() && stored.restarts < RESTARTS_MAX => {
                let subtasks = term.queue.lock().subtasks(id);
                self.end_subtasks(subtasks).await;
                // Forgotten last: should we die in between, the worker tells of the interruption again.
                self.start_over(term, entry).await?;
                self.runner.forget(id).await;
                self.reassign(term, id);
            }
            _ => {
                self.store_end(term, entry, status).await?;
                self.runner.forget(id).await;
            }
        }
        Ok(())
    }

    /// Lets a task wait for a slot again.
    fn reassign(&self, term: &Term, id: &str) {
        if let Some(entry) = term.queue.lock().entries.get_mut(id) {
            entry.assigned = false;
        }
        term.queue_changed.notify_one();
    }

    /// Frees what an interrupted task held and lets it wait for a slot again.
    async fn start_over(&self, term: &Arc<Term>, entry: &Entry) -> Result<()> {
        let id = &entry.row.id;
        {
            let mut lockbox = term.lockbox.lock().await;
            let allocator = self.allocator_to_clear(term, entry);
            let status = term.store.restart_task(id, &entry.row.data_source, allocator.as_deref()).await?;
            lockbox.remove_task(id);
            if let Some(entry) = term.queue.lock().entries.get_mut(id) {
                entry.restored = false;
                entry.missing_since = None;
                entry.status = status.unwrap_or_else(|| TaskStatus::running(id));
            }
        }
        term.lock_released.notify_waiters();
        term.queue_changed.notify_one();
        warn!(task = %id, "its worker went away; the task is started over");
        Ok(())
    }

    /// Whose pending segments go with a task: its group's, unless others of the group are active.
    fn allocator_to_clear(&self, term: &Term, entry: &Entry) -> Option<String> {
        let (id, group) = (&entry.row.id, entry.group_id());
        let others = term.queue.lock().entries.values().any(|other| other.row.id != *id && other.group_id() == group);
        (!others).then(|| group.to_owned())
    }

    /// Stores a task's end and frees what it held.
    async fn store_end(&self, term: &Arc<Term>, entry: &Entry, status: &TaskStatus) -> Result<()> {
        let id = &entry.row.id;
        let mut status = status.clone();
        if status.location.host.is_none() {
            status.location = entry.status.location.clone();
        }
        {
            // With the lockbox held, no publication of the task is under way.
            let mut lockbox = term.lockbox.lock().await;
            let allocator = self.allocator_to_clear(term, entry);
            term.store.finish_task(&status, &entry.row.data_source, allocator.as_deref()).await?;
            lockbox.remove_task(id);
            term.queue.lock().entries.remove(id);
        }
        term.lock_released.notify_waiters();
        term.queue_changed.notify_one();
        info!(task = %id, status = ?status.status, error = status.error_msg.as_deref().unwrap_or(""), "ended");
        Ok(())
    }
}

/// How often an interrupted task is started over; a task that takes its worker down must not do so for ever.
const RESTARTS_MAX: u32 = 10;

/// True for the failures that the worker reports when it, not the task, has gone.
fn is_interruption(message: &str) -> bool {
    [ovate_ingest::worker::ENDED_MEANWHILE, ovate_ingest::worker::STOPPING, LOST].contains(&message)
}

/// The message of a task that no worker has any more.
const LOST: &str = "The worker that this task is assigned to has lost it";
