//! The Coordinator: knows the used segments and what every data server serves, and has the rules kept. While it leads it
//! has a [`Term`]. Each round polls, plans by a pure function, and queues what the plan says.

mod changes;
mod cleanup;
mod duties;
mod dynamic;
mod http;
mod inventory;
mod kill;
mod lookup_nodes;
mod plan;
mod rules;
mod segments;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ovate_base::{DataSegment, DruidError, Result, SegmentId};
use ovate_net::{Discovery, HttpClient, LeaderSelector, Leadership, NodeRole};
use ovate_store::{MetadataStore, now_ms};
use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use tokio::sync::watch;
use tracing::{info, warn};

use changes::{Change, Changes};
pub use cleanup::Cleanup;
use duties::{DutyRuns, Group};
pub use dynamic::{Dynamic, Strategy};
pub use http::routes;
pub use inventory::Inventory;
pub use plan::{Move, Plan, ServerSnapshot, Snapshot, plan};
pub use rules::{Rule, What, When};
pub use segments::{SegmentView, UsedSegment};
pub use settings::{CoordinatorSettings, KillSettings};

use crate::SegmentBell;
use crate::compaction::{CompactionTasks, Compactor};
use crate::leader::{Office, lead_when_elected};

/// One Coordinator.
pub struct Coordinator {
    settings: CoordinatorSettings,
    store: MetadataStore,
    selector: Arc<dyn LeaderSelector>,
    discovery: Arc<dyn Discovery>,
    client: HttpClient,
    bell: SegmentBell,
    inventory: Arc<Inventory>,
    compactor: Compactor,
    duties: DutyRuns,
    term: RwLock<Option<Arc<Term>>>,
}

/// What a leader has in memory.
pub(crate) struct Term {
    store: MetadataStore,
    /// Tells this term's versions of its view from those of other terms.
    tag: u64,
    began: Instant,
    view: RwLock<SegmentView>,
    rules: RwLock<BTreeMap<String, Vec<Rule>>>,
    /// What the last round found.
    plan: RwLock<Plan>,
    /// What Brokers that ask for the difference are told.
    changes: Mutex<Changes>,
    /// Segments that move.
    moving: RwLock<HashMap<SegmentId, Move>>,
}

/// An overlord's answer has to come within this.
const OVERLORD_DEADLINE: Duration = Duration::from_secs(30);

/// The name of the dynamic configuration in the store.
pub(crate) const CONFIG: &str = "coordinator.config";

impl Coordinator {
    pub fn new(
        settings: CoordinatorSettings,
        store: MetadataStore,
        selector: Arc<dyn LeaderSelector>,
        discovery: Arc<dyn Discovery>,
        client: HttpClient,
        bell: SegmentBell,
    ) -> Arc<Coordinator> {
        let inventory = Arc::new(Inventory::new(client.clone(), discovery.clone()));
        Arc::new(Coordinator {
            settings,
            store,
            selector,
            discovery,
            client,
            bell,
            inventory,
            compactor: Compactor::default(),
            duties: DutyRuns::default(),
            term: RwLock::new(None),
        })
    }

    /// Leads whenever elected, until `shutdown` turns true.
    pub async fn run(self: Arc<Self>, shutdown: watch::Receiver<bool>) {
        lead_when_elected(&*self, shutdown).await;
    }

    /// Rounds until dropped: at once when the bell rings or a server's list changes, else by period.
    async fn coordinate(&self, term: &Arc<Term>) {
        let (mut bell, mut changes) = (self.bell.listen(), self.inventory.changes());
        let mut full_poll = Instant::now();
        loop {
            bell.borrow_and_update();
            changes.borrow_and_update();
            let full = full_poll.elapsed() >= self.settings.full_poll_period;
            if full {
                full_poll = Instant::now();
            }
            let start = now_ms();
            if let Err(error) = self.round(term, full).await {
                warn!("a coordinator round failed: {error}");
            }
            self.duties.note(Group::Historicals, start, now_ms());
            tokio::select! {
                _ = bell.changed() => {}
                _ = changes.changed() => {}
                () = tokio::time::sleep(self.settings.period) => {}
            }
        }
    }

    async fn round(&self, term: &Term, full: bool) -> Result<()> {
        poll(term, full).await?;
        *term.rules.write() = read_rules(&term.store).await?;
        let config = self.config(term).await?;
        let dynamic = Dynamic::from_json(&config, self.settings.strategy, term.view.read().len());
        if dynamic.paused {
            return Ok(());
        }
        self.inventory.set_turbo(dynamic.turbo.clone());
        let servers = self.inventory.servers();
        let servers: Vec<ServerSnapshot> =
            servers.iter().filter_map(|server| server.snapshot(dynamic.decommissioning.contains(&server.name))).collect();
        term.moving.write().retain(|id, way| way.goes_on(id, &servers));
        let done = {
            let (view, rules) = (term.view.read(), term.rules.read());
            let may_retire = term.began.elapsed() >= Duration::from_millis(dynamic.retire_after_ms);
            let moving = term.moving.read().clone();
            plan(Snapshot {
                used: &view,
                rules: &rules,
                servers,
                now_ms: now_ms(),
                dynamic,
                moving,
                may_retire,
                seed: rand::random(),
            })
        };
        term.moving.write().extend(done.moves.iter().cloned());
        for (server, segment) in &done.loads {
            self.inventory.queue_load(server, segment.clone());
        }
        for (server, segment) in &done.drops {
            self.inventory.queue_drop(server, segment.clone());
        }
        let unused: Vec<String> = done.unused.iter().map(|id| id.to_string()).collect();
        term.planned(done);
        if !unused.is_empty() {
            let changed = term.store.mark_segments(&unused, false).await?;
            info!(segments = changed, "marked unused by rules or because newer ones hide them");
            poll(term, false).await?;
            self.bell.ring();
        }
        Ok(())
    }

    /// Submits compaction tasks until dropped.
    async fn compact_forever(&self, term: &Term) {
        let mut reported = String::new();
        loop {
            tokio::time::sleep(self.settings.compaction_period).await;
            let start = now_ms();
            let looked = self.compact_now(term).await;
            self.duties.note(Group::Indexing, start, now_ms());
            if let Err(error) = looked {
                let text = error.to_string();
                if text != reported {
                    warn!("cannot look for compaction: {text}");
                }
                reported = text;
            }
        }
    }

    /// The dynamic configuration with defaults filled in (`CoordinatorDynamicConfig`).
    pub(crate) async fn config(&self, term: &Term) -> Result<Value> {
        let mut config = http::default_config();
        if let (Some(Value::Object(stored)), Value::Object(config)) = (term.store.config_json(CONFIG).await?, &mut config) {
            config.extend(stored);
        }
        Ok(config)
    }

    /// Gives a task to the overlord; a follower among the overlords sends us on to the leader.
    pub(crate) async fn submit_task(&self, task: &Value) -> Result<Value> {
        let mut last = DruidError::service_unavailable("no overlord is there");
        for base in self.overlords().await? {
            match self.client.post_json(&format!("{base}/druid/indexer/v1/task"), task, OVERLORD_DEADLINE).await {
                Ok(answer) => return Ok(answer),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Sends a change to the overlord as it came, for endpoints that have moved there.
    pub(crate) async fn forward(&self, method: ::http::Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let mut last = DruidError::service_unavailable("no overlord is there");
        for base in self.overlords().await? {
            let url = format!("{base}/druid/indexer/v1{path}");
            let mut request = self.client.raw().request(method.clone(), &url);
            if let Some(body) = body {
                request = request.json(body);
            }
            match self.client.send(request, &url, OVERLORD_DEADLINE).await {
                Ok(bytes) => return ovate_net::body::parse_json(&bytes),
                Err(error) if matches!(error.category, ovate_base::Category::ServiceUnavailable) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Looks for what to compact now.
    pub(crate) async fn compact_now(&self, term: &Term) -> Result<()> {
        let visible = |data_source: &str| visible(&term.view.read(), data_source);
        self.compactor.run(&term.store, self, &visible).await.map(|_| ())
    }

    async fn ask_overlord(&self, path: &str) -> Result<Value> {
        let mut last = DruidError::service_unavailable("no overlord is there");
        for base in self.overlords().await? {
            match self.client.get_json(&format!("{base}/druid/indexer/v1{path}"), OVERLORD_DEADLINE).await {
                Ok(answer) => return Ok(answer),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn overlords(&self) -> Result<Vec<String>> {
        Ok(self.discovery.nodes(NodeRole::Overlord).await?.iter().map(|node| node.druid_node.url()).collect())
    }

    /// The current term, or 503.
    pub(crate) fn term(&self) -> Result<Arc<Term>> {
        self.term.read().clone().ok_or_else(|| DruidError::service_unavailable("this coordinator does not lead (yet)"))
    }
}

#[async_trait]
impl Office for Coordinator {
    type Term = Term;
    const ROLE: &'static str = "coordinator";

    fn selector(&self) -> &dyn LeaderSelector {
        &*self.selector
    }

    async fn begin(&self, office: Leadership) -> Result<Arc<Term>> {
        let store = crate::leader::fenced(&self.store, "coordinator", office);
        store.ensure_default_rules(&rules::default_rules()).await?;
        let mut view = SegmentView::default();
        view.replace(store.all_used_segments().await?);
        view.take_touched();
        info!(segments = view.len(), "the coordinator leads");
        let term = Arc::new(Term {
            tag: rand::random(),
            began: Instant::now(),
            view: RwLock::new(view),
            rules: RwLock::new(read_rules(&store).await?),
            plan: RwLock::default(),
            changes: Mutex::default(),
            moving: RwLock::default(),
            store,
        });
        *self.term.write() = Some(term.clone());
        Ok(term)
    }

    async fn work(&self, term: &Arc<Term>) {
        tokio::select! {
            () = self.inventory.run() => {}
            () = self.coordinate(term) => {}
            () = self.compact_forever(term) => {}
            () = self.kill_forever(term) => {}
            () = self.clean_forever(term) => {}
            () = self.push_lookups_forever() => {}
        }
    }

    fn end(&self) {
        *self.term.write() = None;
    }
}

#[async_trait]
impl CompactionTasks for Coordinator {
    async fn active(&self) -> Result<Vec<(String, String)>> {
        let tasks = self.ask_overlord("/tasks?type=compact&max=0").await?;
        let text = |task: &Value, key: &str| task[key].as_str().unwrap_or_default().to_owned();
        Ok(tasks.as_array().into_iter().flatten().map(|task| (text(task, "id"), text(task, "dataSource"))).collect())
    }

    async fn capacity(&self) -> Result<u64> {
        let capacity = self.ask_overlord("/totalWorkerCapacity").await?;
        Ok(capacity["currentClusterCapacity"].as_u64().unwrap_or(0))
    }

    async fn submit(&self, task: &Value) -> Result<()> {
        self.submit_task(task).await.map(|_| ())
    }
}

/// Visible segments of a data source.
pub(crate) fn visible(view: &SegmentView, data_source: &str) -> Vec<Arc<DataSegment>> {
    let Some(timeline) = view.timeline(data_source) else { return Vec::new() };
    let mut seen = HashSet::new();
    let chunks = timeline.visible().into_iter().flat_map(|holder| holder.chunks);
    chunks.map(|chunk| chunk.object.segment.clone()).filter(|segment| seen.insert(segment.id())).collect()
}

async fn poll(term: &Term, full: bool) -> Result<()> {
    let from = term.view.read().poll_from();
    let (touched, used) = match from {
        Some(from) if !full => {
            let changes = term.store.segment_changes_since(&from).await?;
            let mut view = term.view.write();
            view.apply(changes);
            (view.take_touched(), view.len())
        }
        _ => {
            let all = term.store.all_used_segments().await?;
            let mut view = term.view.write();
            view.replace(all);
            (view.take_touched(), view.len())
        }
    };
    term.changes.lock().note(touched.into_iter().map(|id| (id, Change::Use)), used);
    Ok(())
}

impl Term {
    /// Takes over what a round found.
    fn planned(&self, plan: Plan) {
        let before = std::mem::replace(&mut *self.plan.write(), plan);
        let plan = self.plan.read();
        let other = |(id, copies): &(&SegmentId, &usize)| before.wanted.get(*id) != Some(copies);
        let new = plan.wanted.iter().filter(other).map(|(id, _)| id);
        let gone = before.wanted.keys().filter(|id| !plan.wanted.contains_key(*id));
        let changed = new.chain(gone).map(|id| (id.clone(), Change::Replicas));
        self.changes.lock().note(changed, plan.wanted.len());
    }
}

/// Rules as objects; one that does not parse is a fault of an older writer and is passed over with a warning.
async fn read_rules(store: &MetadataStore) -> Result<BTreeMap<String, Vec<Rule>>> {
    let mut rules = BTreeMap::new();
    for (data_source, list) in store.all_rules().await? {
        let parsed = list.iter().filter_map(|rule| match Rule::from_json(rule) {
            Ok(rule) => Some(rule),
            Err(error) => {
                warn!(data_source = %data_source, "a rule is passed over: {error}");
                None
            }
        });
        let parsed: Vec<Rule> = parsed.collect();
        rules.insert(data_source, parsed);
    }
    Ok(rules)
}
