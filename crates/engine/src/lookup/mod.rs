//! The lookups of a process (LKP-01..05): which are wanted, as the Coordinator says or as a client pushes them; what of them is
//! loaded; one snapshot of all maps for every query. A lookup that fails to load stays as it was and says why.

mod parse;
mod read;
mod spec;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ovate_base::{DruidError, Result};
use ovate_compute::LookupMap;
use ovate_net::{Discovery, HttpClient, NodeRole};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tracing::{debug, warn};

use spec::{LookupSpec, NamespaceSpec};

/// The tier of those that name none.
pub const DEFAULT_TIER: &str = "__default";
/// How often the Coordinator is asked, and namespaces are looked at.
const REFRESH: Duration = Duration::from_secs(1);
/// Longest wait for the Coordinator's answer.
const DEADLINE: Duration = Duration::from_secs(30);
/// Between two tries of a namespace that could not be read.
const AGAIN: Duration = Duration::from_secs(10);

/// Lookups by name; the maps are replaced whole, so a query sees one state throughout.
pub struct LookupStore {
    tier: String,
    maps: ArcSwap<HashMap<String, LookupMap>>,
    entries: Mutex<BTreeMap<String, Entry>>,
    /// True while namespaces are being read.
    reads: AtomicBool,
}

/// A lookup that is wanted here.
struct Entry {
    version: String,
    factory: Value,
    spec: Result<Arc<LookupSpec>>,
    map: Option<LookupMap>,
    /// Counts the maps that it has had.
    generation: u64,
    mark: Option<String>,
    due: Instant,
    error: Option<DruidError>,
}

/// What is known of one lookup.
#[derive(Debug, Clone)]
pub struct LookupState {
    pub version: String,
    pub factory: Value,
    pub map: Option<LookupMap>,
    /// Version and number of the map.
    pub cache_version: String,
    pub error: Option<String>,
}

impl Default for LookupStore {
    fn default() -> Self {
        LookupStore::of_tier(DEFAULT_TIER)
    }
}

impl Entry {
    fn new(name: &str, version: String, factory: Value) -> Entry {
        let spec = LookupSpec::read(name, &factory).map(Arc::new);
        let map = match spec.as_deref() {
            Ok(LookupSpec::Map(map)) => Some(map.clone()),
            _ => None,
        };
        let error = spec.as_ref().err().cloned();
        Entry { version, factory, spec, map, generation: 0, mark: None, due: Instant::now(), error }
    }

    fn cache_version(&self) -> String {
        match self.generation {
            0 => self.version.clone(),
            generation => format!("{} ({generation})", self.version),
        }
    }
}

impl LookupStore {
    /// The lookups of a process in this tier (`druid.lookup.lookupTier`).
    pub fn of_tier(tier: &str) -> LookupStore {
        let (maps, entries) = (ArcSwap::default(), Mutex::default());
        LookupStore { tier: tier.to_owned(), maps, entries, reads: AtomicBool::new(false) }
    }

    /// The tier.
    pub fn tier(&self) -> &str {
        &self.tier
    }

    /// The lookups now.
    pub fn snapshot(&self) -> Arc<HashMap<String, LookupMap>> {
        self.maps.load_full()
    }

    /// Version texts of exactly these maps; `None` when they are not the present ones any more.
    pub fn versions_of(&self, maps: &Arc<HashMap<String, LookupMap>>) -> Option<BTreeMap<String, String>> {
        let entries = self.entries.lock();
        let loaded = entries.iter().filter(|(_, entry)| entry.map.is_some());
        Arc::ptr_eq(&self.maps.load_full(), maps).then(|| loaded.map(|(name, e)| (name.clone(), e.cache_version())).collect())
    }

    /// Version texts of what is loaded, by name.
    pub fn versions(&self) -> HashMap<String, String> {
        let entries = self.entries.lock();
        entries
            .iter()
            .filter(|(_, entry)| entry.map.is_some())
            .map(|(name, entry)| (name.clone(), entry.version.clone()))
            .collect()
    }

    /// Everything that is wanted here, loaded or not.
    pub fn states(&self) -> BTreeMap<String, LookupState> {
        let state = |entry: &Entry| LookupState {
            version: entry.version.clone(),
            factory: entry.factory.clone(),
            map: entry.map.clone(),
            cache_version: entry.cache_version(),
            error: entry.error.as_ref().map(|error| error.message.clone()),
        };
        self.entries.lock().iter().map(|(name, entry)| (name.clone(), state(entry))).collect()
    }

    /// Takes over a tier's configuration: `name -> {version, lookupExtractorFactory}`, and drops what it does not name. Gives what is
    /// wrong with new ones; those are not loaded.
    pub fn replace(&self, config: &Value) -> Vec<DruidError> {
        let empty = Map::new();
        let wanted = config.as_object().unwrap_or(&empty);
        let mut entries = self.entries.lock();
        let before = entries.len();
        entries.retain(|name, _| wanted.contains_key(name));
        let mut changed = entries.len() != before;
        let mut errors = Vec::new();
        for (name, entry) in wanted {
            changed |= put(&mut entries, name, entry, &mut errors);
        }
        if changed {
            self.publish(&entries);
        }
        errors
    }

    /// Adds or replaces some lookups and drops others, as they are pushed (`/druid/listen/v1/lookups`). A version that is not newer
    /// than the present one changes nothing.
    pub fn apply(&self, updates: &Map<String, Value>, drops: &[String]) -> Vec<DruidError> {
        let mut entries = self.entries.lock();
        let mut errors = Vec::new();
        for (name, entry) in updates {
            let version = entry["version"].as_str();
            if entries.get(name).is_none_or(|known| version.is_none_or(|version| version > known.version.as_str())) {
                put(&mut entries, name, entry, &mut errors);
            }
        }
        drops.iter().for_each(|name| drop(entries.remove(name)));
        self.publish(&entries);
        errors
    }

    /// Drops one; false when there is none of that name.
    pub fn remove(&self, name: &str) -> bool {
        let mut entries = self.entries.lock();
        let found = entries.remove(name).is_some();
        if found {
            self.publish(&entries);
        }
        found
    }

    /// Under the lock, so that whoever reads versions sees those of the maps.
    fn publish(&self, entries: &BTreeMap<String, Entry>) {
        let maps = entries.iter().filter_map(|(name, entry)| Some((name.clone(), entry.map.clone()?)));
        self.maps.store(Arc::new(maps.collect()));
    }

    /// Reads the namespaces that are due. One call works at a time; others return at once.
    pub async fn read_due(&self, client: &HttpClient) {
        if self.reads.swap(true, Ordering::AcqRel) {
            return;
        }
        let now = Instant::now();
        let due: Vec<(String, String, Arc<LookupSpec>, Option<String>)> = {
            let entries = self.entries.lock();
            let due = entries.iter().filter(|(_, entry)| entry.due <= now);
            due.filter_map(|(name, entry)| match entry.spec.as_ref() {
                Ok(spec) if matches!(spec.as_ref(), LookupSpec::Namespace(_)) => {
                    Some((name.clone(), entry.version.clone(), spec.clone(), entry.mark.clone()))
                }
                _ => None,
            })
            .collect()
        };
        for (name, version, spec, mark) in due {
            if let LookupSpec::Namespace(namespace) = spec.as_ref() {
                let read = namespace.source.read(client, mark.as_deref()).await;
                self.took(&name, &version, namespace, read);
            }
        }
        self.reads.store(false, Ordering::Release);
    }

    fn took(&self, name: &str, version: &str, namespace: &NamespaceSpec, read: Result<Option<read::Loaded>>) {
        let mut entries = self.entries.lock();
        // It may have been replaced or dropped meanwhile.
        let Some(entry) = entries.get_mut(name).filter(|entry| entry.version == version) else { return };
        let poll = Duration::from_millis(namespace.poll_ms.unsigned_abs());
        let never = Duration::from_secs(100 * 365 * 86_400);
        entry.due = Instant::now() + if namespace.poll_ms == 0 { never } else { poll.max(REFRESH) };
        match read {
            Ok(None) => entry.error = None,
            Ok(Some(loaded)) => {
                entry.map = Some(loaded.map);
                entry.mark = loaded.mark;
                entry.generation += 1;
                entry.error = None;
                self.publish(&entries);
            }
            Err(error) => {
                warn!("cannot read a lookup, trying again. lookup={name} error={error}");
                entry.due = Instant::now() + AGAIN.min(if namespace.poll_ms == 0 { AGAIN } else { poll.max(REFRESH) });
                entry.error = Some(error);
            }
        }
    }

    /// Keeps up with the namespaces, for ever.
    pub async fn read_forever(self: Arc<Self>, client: HttpClient) {
        loop {
            self.read_due(&client).await;
            tokio::time::sleep(REFRESH).await;
        }
    }

    /// Takes over what the Coordinator at `url` has for the tier.
    pub async fn refresh(&self, client: &HttpClient, url: &str) -> Result<()> {
        let url = format!("{url}/druid/coordinator/v1/lookups/config/{}?detailed=true", self.tier);
        let config = match client.get_json::<Value>(&url, DEADLINE).await {
            Ok(config) => config,
            // Lookups were never set up, or the tier has none.
            Err(error) if error.http_status() == 404 => json!({}),
            Err(error) => return Err(error),
        };
        self.replace(&config).iter().for_each(|error| warn!("cannot load a lookup. error={error}"));
        Ok(())
    }

    /// Asks the first Coordinator that is announced; an error when there is none.
    pub async fn refresh_from(&self, client: &HttpClient, discovery: &dyn Discovery) -> Result<()> {
        let nodes = discovery.nodes(NodeRole::Coordinator).await?;
        match nodes.first() {
            Some(node) => self.refresh(client, &node.druid_node.url()).await,
            None => Err(DruidError::service_unavailable("no coordinator is announced")),
        }
    }

    /// Keeps up with the Coordinator, whichever it is, and with the namespaces, for ever.
    pub async fn follow(self: Arc<Self>, client: HttpClient, discovery: Arc<dyn Discovery>) {
        let reading = self.clone().read_forever(client.clone());
        let following = async move {
            loop {
                if let Err(error) = self.refresh_from(&client, discovery.as_ref()).await {
                    debug!("cannot refresh lookups, trying again. error={error}");
                }
                tokio::time::sleep(REFRESH).await;
            }
        };
        futures::join!(reading, following);
    }
}

/// Puts one on the list; false when it is there already. What is wrong with a new one is noted.
fn put(entries: &mut BTreeMap<String, Entry>, name: &str, given: &Value, errors: &mut Vec<DruidError>) -> bool {
    let version = given["version"].as_str().unwrap_or_default().to_owned();
    let factory = given["lookupExtractorFactory"].clone();
    if entries.get(name).is_some_and(|known| known.version == version && known.factory == factory) {
        return false;
    }
    let mut entry = Entry::new(name, version, factory);
    errors.extend(entry.error.clone());
    // The old map goes on until the new one is there.
    if let (None, Ok(_), Some(old)) = (&entry.map, &entry.spec, entries.get_mut(name)) {
        entry.map = old.map.take();
        entry.generation = old.generation;
    }
    entries.insert(name.to_owned(), entry);
    true
}
