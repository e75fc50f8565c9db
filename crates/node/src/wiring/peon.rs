//! `ovate internal peon DIR`: one task in a process of its own. It reads the same properties as its parent and finds the
//! Overlord by the same coordination.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ovate_base::{DruidError, Result};
use ovate_engine::lookup::{DEFAULT_TIER, LookupStore};
use ovate_ingest::task::{HttpTaskActions, OverlordFinder, TaskActions};
use ovate_ingest::worker::{Lookups, PeonFiles, PeonServices, PeonThreads, run_peon};
use ovate_net::{Coordination, Discovery, HttpClient, NodeRole};
use parking_lot::RwLock;
use serde_json::json;

use super::{Shared, runtime};
use crate::cli::ConfigArgs;
use crate::config::Settings;

/// Environment variable with properties that win over the files, as a JSON list of pairs.
const OVERRIDES: &str = "OVATE_PEON_PROPERTIES";
/// How often the leading Overlord is looked up.
const LOOK: Duration = Duration::from_millis(500);

/// What a parent adds to its peons' command line, before the task's directory. Everybody on the machine can read that.
pub fn arguments(shared: &Shared) -> Vec<String> {
    let mut arguments = Vec::new();
    if let Some(dir) = &shared.settings.conf_dir {
        arguments.extend(["--conf".to_owned(), dir.display().to_string()]);
    }
    arguments.extend(["--base-dir".to_owned(), shared.settings.base_dir.display().to_string()]);
    arguments
}

/// What a parent adds to its peons' environment, which only their user can read: properties of its own command line, passwords
/// among them.
pub fn environment(shared: &Shared) -> Vec<(String, String)> {
    vec![(OVERRIDES.to_owned(), json!(shared.settings.overrides).to_string())]
}

/// The properties that the parent handed on.
fn handed_on() -> Result<Vec<(String, String)>> {
    let Ok(text) = std::env::var(OVERRIDES) else { return Ok(Vec::new()) };
    serde_json::from_str(&text).map_err(|e| DruidError::invalid_input(format!("damaged environment variable {OVERRIDES}: {e}")))
}

/// Runs the task in `dir`; gives the exit status.
pub fn run(dir: &Path, config: &ConfigArgs) -> Result<i32> {
    let settings = config.settings_with(&[NodeRole::Peon], handed_on()?)?;
    runtime::server()?.block_on(async {
        let (coordination, _metadata) = super::discovery::join(&settings).await?;
        let overlord = follow_overlord(coordination.clone()).await?;
        let services = services(&settings, coordination, overlord, settings.task_memory_bytes)?;
        run_peon(&PeonFiles::in_dir(dir), services).await
    })
}

/// What one task is given besides its files.
fn services(
    settings: &Settings,
    discovery: Arc<dyn Coordination>,
    overlord: OverlordFinder,
    memory_bytes: u64,
) -> Result<PeonServices> {
    let client = HttpClient::new()?;
    let tier = settings.properties.text("druid.lookup.lookupTier", DEFAULT_TIER).to_owned();
    let reader = client.clone();
    Ok(PeonServices {
        actions: Box::new(move |task| -> Arc<dyn TaskActions> { Arc::new(HttpTaskActions::new(client, overlord, task)) }),
        storage: settings.storage().deep_storage()?,
        threads: settings.processing_threads,
        memory_bytes: usize::try_from(memory_bytes).unwrap_or(usize::MAX),
        lookups: Arc::new(move || Box::pin(load_lookups(reader.clone(), discovery.clone(), tier.clone()))),
    })
}

/// All lookups of a tier, loaded; the first that cannot be is the error.
async fn load_lookups(client: HttpClient, discovery: Arc<dyn Coordination>, tier: String) -> Result<Lookups> {
    let store = LookupStore::of_tier(&tier);
    let discovery: Arc<dyn Discovery> = discovery;
    store.refresh_from(&client, discovery.as_ref()).await?;
    store.read_due(&client).await;
    for (name, known) in store.states() {
        if let Some(error) = known.error.filter(|_| known.map.is_none()) {
            return Err(DruidError::runtime(format!("lookup [{name}]: {error}")));
        }
    }
    Ok(store.snapshot())
}

/// What makes tasks threads of this process. Together they may hold `druid.worker.globalIngestionHeapLimitBytes`, in equal
/// shares; half of the process's memory unless that is set.
pub async fn threads(shared: &Shared) -> Result<PeonThreads> {
    let settings = shared.settings.clone();
    let half = settings.query_memory_bytes;
    let together = settings.properties.bytes("druid.worker.globalIngestionHeapLimitBytes", half)?;
    let share = together / settings.worker_capacity.max(1) as u64;
    let coordination = shared.coordination.clone();
    let overlord = follow_overlord(coordination.clone()).await?;
    Ok(PeonThreads(Arc::new(move || services(&settings, coordination.clone(), overlord.clone(), share))))
}

/// Keeps looking who leads; the first look is over when this returns.
async fn follow_overlord(coordination: Arc<dyn Coordination>) -> Result<OverlordFinder> {
    let known = Arc::new(RwLock::new(coordination.leader(NodeRole::Overlord).await?));
    let followed = known.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(LOOK).await;
            // A service that is away for a moment says nothing about who leads.
            if let Ok(leader) = coordination.leader(NodeRole::Overlord).await {
                *followed.write() = leader;
            }
        }
    });
    Ok(Arc::new(move || known.read().clone()))
}
