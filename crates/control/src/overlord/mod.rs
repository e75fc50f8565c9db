//! The Overlord: takes tasks, keeps them in the metadata store, has a runner run them, grants their locks and publishes
//! their segments. While it leads it has a [`Term`]; without one it answers nothing but who leads.

mod actions;
mod http;
mod lockbox;
mod log_kill;
mod queue;
mod remote;
mod runner;
mod segments;
pub mod select;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use ovate_base::{DruidError, Result};
use ovate_net::{LeaderSelector, Leadership};
use ovate_store::{DeepStorage, MetadataStore, TaskLogs};
use parking_lot::RwLock;
use tokio::sync::{Mutex, Notify, watch};
use tracing::{info, warn};

pub(crate) use http::history_range;
pub use http::routes;
pub use lockbox::{Decision, LockRequest, Lockbox};
pub use remote::RemoteRunner;
pub use runner::{LocalRunner, RunnerTask, TaskRunner, WorkerInfo};

pub use settings::{LogKillSettings, OverlordSettings, RunnerSettings};

use crate::SegmentBell;
use crate::leader::{Office, lead_when_elected};
use queue::Queue;
use select::SelectConfig;

/// One Overlord.
pub struct Overlord {
    settings: OverlordSettings,
    store: MetadataStore,
    selector: Arc<dyn LeaderSelector>,
    runner: Arc<dyn TaskRunner>,
    logs: Arc<dyn TaskLogs>,
    bell: SegmentBell,
    /// What the sampler reads other storages by.
    storage: Arc<dyn DeepStorage>,
    samplings: tokio::sync::Semaphore,
    term: RwLock<Option<Arc<Term>>>,
}

/// What a leader has in memory; it is read from the store when a term begins and goes with it.
pub(crate) struct Term {
    /// Fenced: its writes fail once the term is over.
    store: MetadataStore,
    lockbox: Mutex<Lockbox>,
    /// Wakes who waits for a lock.
    lock_released: Notify,
    /// Which tasks wait for locks of which others, to notice circles.
    waiting: parking_lot::Mutex<HashMap<String, Vec<String>>>,
    queue: parking_lot::Mutex<Queue>,
    /// Wakes the manager.
    queue_changed: Notify,
    /// How workers are chosen (`/druid/indexer/v1/worker`).
    select: RwLock<SelectConfig>,
}

impl Overlord {
    pub fn new(
        settings: OverlordSettings,
        store: MetadataStore,
        selector: Arc<dyn LeaderSelector>,
        runner: Arc<dyn TaskRunner>,
        logs: Arc<dyn TaskLogs>,
        storage: Arc<dyn DeepStorage>,
        bell: SegmentBell,
    ) -> Arc<Overlord> {
        Arc::new(Overlord {
            settings,
            store,
            selector,
            runner,
            logs,
            bell,
            storage,
            samplings: http::turns(),
            term: RwLock::new(None),
        })
    }

    /// Leads whenever elected, until `shutdown` turns true.
    pub async fn run(self: Arc<Self>, shutdown: watch::Receiver<bool>) {
        lead_when_elected(&*self, shutdown).await;
    }

    /// The current term, or 503.
    pub(crate) fn term(&self) -> Result<Arc<Term>> {
        self.term.read().clone().ok_or_else(|| DruidError::service_unavailable("this overlord does not lead (yet)"))
    }
}

#[async_trait]
impl Office for Overlord {
    type Term = Term;
    const ROLE: &'static str = "overlord";

    fn selector(&self) -> &dyn LeaderSelector {
        &*self.selector
    }

    /// Reads the tasks and locks that the store has, and starts to answer.
    async fn begin(&self, office: Leadership) -> Result<Arc<Term>> {
        let store = crate::leader::fenced(&self.store, "overlord", office);
        let tasks = store.active_tasks().await?;
        let mut rows = Vec::new();
        for row in store.locks().await? {
            if tasks.iter().any(|task| task.id == row.task_id) {
                rows.push(row);
            } else {
                store.remove_lock(row.row_id).await?;
            }
        }
        let stored = store.config_json(http::WORKER_CONFIG).await?.unwrap_or_default();
        let select = SelectConfig::from_json(&stored).unwrap_or_else(|error| {
            warn!("the stored worker configuration is passed over: {error}");
            SelectConfig::default()
        });
        info!(tasks = tasks.len(), locks = rows.len(), "the overlord leads");
        let term = Arc::new(Term {
            store,
            lockbox: Mutex::new(Lockbox::new(rows)),
            lock_released: Notify::new(),
            waiting: parking_lot::Mutex::default(),
            queue: parking_lot::Mutex::new(Queue::new(tasks)),
            queue_changed: Notify::new(),
            select: RwLock::new(select),
        });
        *self.term.write() = Some(term.clone());
        Ok(term)
    }

    async fn work(&self, term: &Arc<Term>) {
        tokio::select! {
            () = self.manage_forever(term) => {}
            () = self.kill_logs_forever(term) => {}
        }
    }

    fn end(&self) {
        *self.term.write() = None;
    }
}
