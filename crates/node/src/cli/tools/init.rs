//! `metadata-init` (`CreateTables`) and `metadata-update` (`UpdateTables`).

use clap::Args;
use ovate_base::{DruidError, Result};

use super::store::StoreArgs;

#[derive(Debug, Args)]
pub struct InitArgs {
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Args)]
pub struct UpdateArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// add-used-flag-last-updated-to-segments (Druid's), or add-missing-columns (that and all later ones).
    #[arg(long)]
    action: String,
}

/// Makes tables, columns and indexes that are missing.
pub async fn init(args: &InitArgs) -> Result<()> {
    let (store, options) = args.store.open().await?;
    println!("the tables are there: {}", options.shown());
    store.close().await;
    Ok(())
}

/// Adds what later releases added, and gives old rows a value where one is needed.
pub async fn update(args: &UpdateArgs) -> Result<()> {
    if !matches!(args.action.as_str(), "add-used-flag-last-updated-to-segments" | "add-missing-columns") {
        return Err(DruidError::unsupported(format!(
            "--action {}; there are add-used-flag-last-updated-to-segments and add-missing-columns",
            args.action
        )));
    }
    let (store, options) = args.store.open().await?;
    let filled = store.fill_used_status_times().await?;
    println!("the tables are up to date: {}; {filled} segments got a time", options.shown());
    store.close().await;
    Ok(())
}
