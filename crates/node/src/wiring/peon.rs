//! `ovate internal peon DIR`: one task in a process of its own. It reads the same properties as its parent and finds the
//! Overlord through the metadata store's announcements.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ovate_base::{DruidError, Result};
use ovate_ingest::task::{HttpTaskActions, TaskActions};
use ovate_ingest::worker::{PeonFiles, PeonServices, run_peon};
use ovate_net::{HttpClient, NodeRole};
use ovate_store::{LocalDeepStorage, MetadataStore, now_ms};

use super::{Shared, runtime};
use crate::cli::ConfigArgs;

/// How long a peon waits for an Overlord to be there.
const FIND_OVERLORD: Duration = Duration::from_secs(60);

/// What a parent adds to its peons' command line, before the task's directory.
pub fn arguments(shared: &Shared) -> Vec<String> {
    let mut arguments = Vec::new();
    if let Some(dir) = &shared.settings.conf_dir {
        arguments.extend(["--conf".to_owned(), dir.display().to_string()]);
    }
    arguments.extend(["--base-dir".to_owned(), shared.settings.base_dir.display().to_string()]);
    for (name, value) in &shared.settings.overrides {
        arguments.extend(["-P".to_owned(), format!("{name}={value}")]);
    }
    arguments
}

/// Runs the task in `dir`; gives the exit status.
pub fn run(dir: &Path, config: &ConfigArgs) -> Result<i32> {
    let settings = config.settings(&[NodeRole::Peon])?;
    runtime::server()?.block_on(async {
        let store = MetadataStore::open_sqlite(&settings.metadata_file).await?;
        let overlord = find_overlord(&store).await?;
        let client = HttpClient::new()?;
        let services = PeonServices {
            actions: Box::new(move |task| -> Arc<dyn TaskActions> { Arc::new(HttpTaskActions::new(client, overlord, task)) }),
            storage: Arc::new(LocalDeepStorage::new(settings.storage_dir.clone(), settings.storage_zip)),
            threads: settings.processing_threads,
            memory_bytes: usize::try_from(settings.task_memory_bytes).unwrap_or(usize::MAX),
        };
        run_peon(&PeonFiles::in_dir(dir), services).await
    })
}

/// The leading Overlord's `http://host:port`.
async fn find_overlord(store: &MetadataStore) -> Result<String> {
    let end = Instant::now() + FIND_OVERLORD;
    loop {
        if let Some(lease) = store.leader(NodeRole::Overlord.name(), now_ms()).await? {
            return Ok(lease.holder);
        }
        if Instant::now() > end {
            return Err(DruidError::service_unavailable("no overlord leads; the task cannot ask for locks"));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
