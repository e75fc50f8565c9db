//! `reset-cluster` (`ResetCluster`): empties the metadata tables and deletes segments and task logs of local folders, each
//! when asked. The services must be down.

use std::path::Path;

use clap::Args;
use ovate_base::{DruidError, Result};
use ovate_store::MetadataStore;

use super::store::StoreArgs;

#[derive(Debug, Args)]
pub struct ResetArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Everything below.
    #[arg(long)]
    all: bool,
    /// The rows of all metadata tables.
    #[arg(long = "metadataStore")]
    metadata_store: bool,
    /// The segments in deep storage.
    #[arg(long = "segmentFiles")]
    segment_files: bool,
    /// Logs and reports of tasks.
    #[arg(long = "taskLogs")]
    task_logs: bool,
}

/// Deletes what is asked for.
pub async fn run(args: &ResetArgs) -> Result<()> {
    if !(args.all || args.metadata_store || args.segment_files || args.task_logs) {
        return Err(DruidError::invalid_input("say what to reset: --all, --metadataStore, --segmentFiles, --taskLogs"));
    }
    let settings = args.store.config.settings(&[])?;
    let kind = settings.properties.text("druid.storage.type", "local");
    if (args.all || args.segment_files) && kind != "local" {
        return Err(DruidError::unsupported(format!(
            "--segmentFiles with druid.storage.type={kind}; use the tools of that storage"
        )));
    }
    let logs = settings.properties.text("druid.indexer.logs.type", "file");
    if (args.all || args.task_logs) && logs != "file" {
        return Err(DruidError::unsupported(format!(
            "--taskLogs with druid.indexer.logs.type={logs}; use the tools of that storage"
        )));
    }
    if args.all || args.metadata_store {
        let (store, options) = args.store.open_existing().await?;
        for token in MetadataStore::druid_tables() {
            let count = store.empty_table(token).await?;
            println!("deleted {count} rows of {}", options.tables.name(token));
        }
        store.close().await;
    }
    let folder = |name: &str, default: &str| settings.base_dir.join(settings.properties.text(name, default));
    if args.all || args.segment_files {
        empty(&folder("druid.storage.storageDirectory", "var/druid/segments"))?;
    }
    if args.all || args.task_logs {
        empty(&folder("druid.indexer.logs.directory", "var/druid/indexing-logs"))?;
    }
    Ok(())
}

/// Deletes everything in a folder, not the folder itself, which may be a mount.
fn empty(dir: &Path) -> Result<()> {
    let failed = |e: std::io::Error| DruidError::runtime(format!("cannot empty {}: {e}", dir.display()));
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let mut count = 0;
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let deleted = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        deleted.map_err(failed)?;
        count += 1;
    }
    println!("deleted {count} entries of {}", dir.display());
    Ok(())
}
