//! The lookups that this process has loaded (LKP): fetched from the Coordinator, handed to every query as one snapshot.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ovate_base::{DruidError, Result};
use ovate_compute::LookupMap;
use ovate_net::{Discovery, HttpClient, NodeRole};
use serde_json::Value;
use tracing::{debug, warn};

/// How often the Coordinator is asked.
const REFRESH: Duration = Duration::from_secs(1);
/// Longest wait for its answer.
const DEADLINE: Duration = Duration::from_secs(30);

/// Lookups by name; replaced whole, so a query sees one state throughout.
#[derive(Default)]
pub struct LookupStore {
    maps: ArcSwap<HashMap<String, LookupMap>>,
    versions: parking_lot::Mutex<HashMap<String, String>>,
}

impl LookupStore {
    /// The lookups now.
    pub fn snapshot(&self) -> Arc<HashMap<String, LookupMap>> {
        self.maps.load_full()
    }

    /// Version texts of exactly these maps; `None` when they are not the present ones any more.
    pub fn versions_of(&self, maps: &Arc<HashMap<String, LookupMap>>) -> Option<BTreeMap<String, String>> {
        let versions = self.versions.lock();
        Arc::ptr_eq(&self.maps.load_full(), maps).then(|| versions.iter().map(|(name, v)| (name.clone(), v.clone())).collect())
    }

    /// Version texts by name.
    pub fn versions(&self) -> HashMap<String, String> {
        self.versions.lock().clone()
    }

    /// Takes over a tier's configuration: `name -> {version, lookupExtractorFactory}`. Lookups of a type that is not
    /// supported are left out and reported.
    pub fn replace(&self, config: &Value) -> Vec<DruidError> {
        let (mut maps, mut versions, mut errors) = (HashMap::new(), HashMap::new(), Vec::new());
        for (name, entry) in config.as_object().into_iter().flatten() {
            match read_map(name, &entry["lookupExtractorFactory"]) {
                Ok(map) => {
                    maps.insert(name.clone(), map);
                    versions.insert(name.clone(), entry["version"].as_str().unwrap_or_default().to_owned());
                }
                Err(error) => errors.push(error),
            }
        }
        // Under the lock, so that whoever reads versions sees those of the maps.
        let mut known = self.versions.lock();
        if *known != versions || self.maps.load().len() != maps.len() {
            self.maps.store(Arc::new(maps));
            *known = versions;
        }
        errors
    }
}

impl LookupStore {
    /// Takes over what the Coordinator at `url` has for the default tier.
    pub async fn refresh(&self, client: &HttpClient, url: &str) -> Result<()> {
        let url = format!("{url}/druid/coordinator/v1/lookups/config/__default?detailed=true");
        match client.get_json::<Value>(&url, DEADLINE).await {
            Ok(config) => {
                self.replace(&config).iter().for_each(|error| warn!("cannot load a lookup. error={error}"));
                Ok(())
            }
            // Lookups were never set up, or the tier has none.
            Err(error) if error.http_status() == 404 => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Keeps up with the Coordinator, whichever it is, for ever.
    pub async fn follow(self: Arc<Self>, client: HttpClient, discovery: Arc<dyn Discovery>) {
        loop {
            if let Ok(nodes) = discovery.nodes(NodeRole::Coordinator).await
                && let Some(node) = nodes.first()
                && let Err(error) = self.refresh(&client, &node.druid_node.url()).await
            {
                debug!("cannot refresh lookups, trying again. error={error}");
            }
            tokio::time::sleep(REFRESH).await;
        }
    }
}

/// Reads a `map` lookup (`MapLookupExtractorFactory`).
fn read_map(name: &str, factory: &Value) -> Result<LookupMap> {
    let kind = factory["type"].as_str().unwrap_or_default();
    if kind != "map" {
        return Err(DruidError::unsupported(format!("lookup [{name}] of type [{kind}]; supported: map")));
    }
    let Some(entries) = factory["map"].as_object() else {
        return Err(DruidError::invalid_input(format!("lookup [{name}] has no map")));
    };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Ok(Arc::new(entries.iter().map(|(key, value)| (key.clone(), text(value))).collect()))
}
