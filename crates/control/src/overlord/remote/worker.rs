//! One worker as the Overlord last saw it, and what of its tasks is given up.

use std::collections::HashMap;
use std::time::Instant;

use ovate_base::time::format_iso;
use ovate_base::{DruidError, Result};
use ovate_net::DiscoveredNode;
use ovate_store::meta::{TaskState, TaskStatus};
use ovate_store::now_ms;
use serde_json::Value;

use super::super::RunnerSettings;
use super::super::runner::DEFAULT_CATEGORY;
use super::super::select::Candidate;

/// One worker as last seen.
pub(super) struct WorkerState {
    pub url: String,
    pub capacity: usize,
    pub disabled: bool,
    pub category: String,
    pub version: String,
    pub tasks: HashMap<String, TaskStatus>,
    /// Tasks that it was given and has not told of, and since when.
    pub unconfirmed: HashMap<String, Instant>,
    /// Types of those tasks that the worker or an assignment has told.
    pub types: HashMap<String, String>,
    pub last_completed: String,
    /// Tasks that have failed since the last one that succeeded.
    pub failures: u32,
    pub blacklisted_until: Option<Instant>,
    /// Since when it does not answer.
    pub away_since: Option<Instant>,
}

/// What a worker announces.
pub(super) struct Offer {
    pub url: String,
    pub capacity: usize,
    pub category: String,
    pub version: String,
}

impl Offer {
    pub fn of(node: &DiscoveredNode) -> Offer {
        let service = node.services.get("workerNodeService").cloned().unwrap_or_default();
        let text = |name: &str, default: &str| service[name].as_str().unwrap_or(default).to_owned();
        Offer {
            url: node.druid_node.url(),
            capacity: service["capacity"].as_u64().unwrap_or(1) as usize,
            category: text("category", DEFAULT_CATEGORY),
            version: text("version", "0"),
        }
    }
}

impl WorkerState {
    /// A worker that has told nothing yet.
    pub fn new(offer: &Offer) -> WorkerState {
        WorkerState {
            url: offer.url.clone(),
            capacity: offer.capacity,
            disabled: false,
            category: offer.category.clone(),
            version: offer.version.clone(),
            tasks: HashMap::new(),
            unconfirmed: HashMap::new(),
            types: HashMap::new(),
            last_completed: format_iso(now_ms()),
            failures: 0,
            blacklisted_until: None,
            away_since: None,
        }
    }

    /// Takes what the worker tells (`WorkerHistoryItem`): all of its tasks, or changes.
    pub fn take(&mut self, name: &str, offer: &Offer, items: &[Value], is_full: bool) -> Result<()> {
        let mut told = Vec::new();
        for item in items.iter().filter(|item| item["type"] == "taskUpdate") {
            let announcement = &item["taskAnnouncement"];
            let status: TaskStatus = serde_json::from_value(announcement["taskStatus"].clone())
                .map_err(|e| DruidError::runtime(format!("damaged task status of worker [{name}]: {e}")))?;
            told.push((status, announcement["type"].as_str().unwrap_or_default().to_owned()));
        }
        if is_full {
            self.tasks.clear();
            self.types.clear();
            self.unconfirmed.clear();
        }
        for (status, task_type) in told {
            self.unconfirmed.remove(&status.id);
            self.types.insert(status.id.clone(), task_type);
            self.tasks.insert(status.id.clone(), status);
        }
        for item in items {
            match (item["type"].as_str(), item["taskId"].as_str()) {
                (Some("taskRemoval"), Some(id)) => {
                    self.tasks.remove(id);
                    self.types.remove(id);
                }
                (Some("metadata"), _) => self.disabled = item["disabled"].as_bool().unwrap_or(false),
                _ => {}
            }
        }
        self.capacity = offer.capacity;
        self.category = offer.category.clone();
        self.version = offer.version.clone();
        self.away_since = None;
        Ok(())
    }

    /// Running tasks that are given up, with the reason.
    pub fn lost_tasks(&self, name: &str, settings: &RunnerSettings) -> Vec<(String, String)> {
        let is_gone = self.away_since.is_some_and(|since| since.elapsed() > settings.lost_after);
        let running = self.tasks.values().filter(|status| status.status == TaskState::Running);
        let judged = running.filter_map(|status| {
            let is_late = self.unconfirmed.get(&status.id).is_some_and(|since| since.elapsed() > settings.assign_within);
            let reason = match (is_gone, is_late) {
                (true, _) => format!("worker [{name}] did not answer for {} s", settings.lost_after.as_secs()),
                (_, true) => format!("worker [{name}] did not say within {} s that it runs", settings.assign_within.as_secs()),
                (false, false) => return None,
            };
            Some((status.id.clone(), reason))
        });
        judged.collect()
    }

    pub fn running_of(&self, task_type: &str) -> usize {
        let running = self.tasks.values().filter(|status| status.status == TaskState::Running);
        running.filter(|status| self.types.get(&status.id).is_some_and(|known| known == task_type)).count()
    }

    pub fn candidate(&self, name: &str) -> Candidate {
        Candidate {
            name: name.to_owned(),
            category: self.category.clone(),
            capacity: self.capacity,
            used: self.tasks.values().filter(|status| status.status == TaskState::Running).count(),
            parallel_used: self.running_of("index_parallel"),
        }
    }
}
