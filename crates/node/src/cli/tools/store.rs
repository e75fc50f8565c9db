//! Which metadata store a tool works on: Druid's `--connectURI`, `--user`, `--password`, `--base`, or a configuration.

use clap::Args;
use ovate_base::{DruidError, Properties, Result};
use ovate_store::MetadataStore;
use ovate_store::meta::MetadataOptions;

use super::super::ConfigArgs;

#[derive(Debug, Args)]
pub struct StoreArgs {
    /// The store's address, such as jdbc:postgresql://localhost/druid or jdbc:sqlite:PATH; default is the configuration's.
    #[arg(long = "connectURI")]
    connect_uri: Option<String>,
    /// User of the database.
    #[arg(long)]
    user: Option<String>,
    /// Password of that user, or a password provider in JSON.
    #[arg(long)]
    password: Option<String>,
    /// Beginning of the tables' names (druid.metadata.storage.tables.base).
    #[arg(long)]
    base: Option<String>,
    #[command(flatten)]
    pub config: ConfigArgs,
}

impl StoreArgs {
    /// How to reach the store.
    pub fn options(&self) -> Result<MetadataOptions> {
        let mut properties = match &self.connect_uri {
            Some(uri) => {
                let mut properties = Properties::default();
                properties.set("druid.metadata.storage.connector.connectURI", uri.clone());
                properties
            }
            None => self.config.settings(&[])?.properties,
        };
        let given = [("connector.user", &self.user), ("connector.password", &self.password), ("tables.base", &self.base)];
        for (name, value) in given {
            if let Some(value) = value {
                properties.set(format!("druid.metadata.storage.{name}"), value.clone());
            }
        }
        let base_dir = self.config.absolute_base_dir()?;
        MetadataOptions::from_properties(&properties, &base_dir, &|name| std::env::var(name).ok())
    }

    /// Opens the store; its tables must be there.
    pub async fn open_existing(&self) -> Result<(MetadataStore, MetadataOptions)> {
        let options = MetadataOptions { create_tables: false, ..self.options()? };
        let store = MetadataStore::open(&options).await.map_err(|e: DruidError| e.prefixed(options.shown()))?;
        Ok((store, options))
    }

    /// Opens the store and makes the tables that are missing.
    pub async fn open(&self) -> Result<(MetadataStore, MetadataOptions)> {
        let options = MetadataOptions { create_tables: true, ..self.options()? };
        let store = MetadataStore::open(&options).await.map_err(|e: DruidError| e.prefixed(options.shown()))?;
        Ok((store, options))
    }
}
