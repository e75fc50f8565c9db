//! Properties become checked settings, once, at the door. Names are Druid's; defaults are those of one process on embedded
//! services under `./var`.

mod files;
mod machine;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ovate_base::{DruidError, Properties, Result};
use ovate_net::NodeRole;
use serde_json::Value;

pub use files::load_properties;

/// Everything a process needs to know to take its roles.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the other processes reach us by (`druid.host`).
    pub host: String,
    /// What we listen on: `druid.host`, or every address with `druid.server.http.bindAll`, which is off by default.
    pub bind: String,
    /// Role and port, in the order the roles start.
    pub roles: Vec<(NodeRole, u16)>,
    /// SQLite file of the metadata store.
    pub metadata_file: PathBuf,
    /// Local deep storage (`druid.storage.storageDirectory`).
    pub storage_dir: PathBuf,
    /// `druid.storage.zip`.
    pub storage_zip: bool,
    /// Task logs and reports (`druid.indexer.logs.directory`).
    pub task_logs_dir: PathBuf,
    /// Task directories (`druid.indexer.task.baseDir`).
    pub task_dir: PathBuf,
    /// Segment caches with their sizes in bytes (`druid.segmentCache.locations`).
    pub cache_locations: Vec<(PathBuf, u64)>,
    /// Tasks at a time (`druid.worker.capacity`).
    pub worker_capacity: usize,
    /// Threads of a query (`druid.processing.numThreads`).
    pub processing_threads: usize,
    /// Bytes that one query may hold in this process.
    pub query_memory_bytes: u64,
    /// Bytes that one task may hold.
    pub task_memory_bytes: u64,
    /// Default timeout of a query (`druid.server.http.defaultQueryTimeout`).
    pub query_timeout_ms: u64,
    /// Directory with `runtime.properties`, handed on to peons.
    pub conf_dir: Option<PathBuf>,
    /// Folder that relative paths are below, absolute.
    pub base_dir: PathBuf,
    /// Properties of the command line, handed on to peons.
    pub overrides: Vec<(String, String)>,
    /// All properties as given, for `/status/properties`.
    pub properties: Properties,
}

impl Settings {
    /// Checks properties for these roles. Relative paths are below `base_dir`.
    pub fn new(roles: &[NodeRole], properties: Properties, base_dir: &Path, conf_dir: Option<PathBuf>) -> Result<Self> {
        refuse_unsupported(&properties)?;
        let cores = machine::cores();
        let memory = machine::memory_bytes();
        let path = |name: &str, default: &str| absolute(base_dir, properties.text(name, default));
        let count = |name: &str, default: usize| positive(&properties, name, default);
        let host = properties.text("druid.host", "127.0.0.1").to_owned();
        let bind_all = properties.flag("druid.server.http.bindAll", false)?;
        let bind = if bind_all { "0.0.0.0".to_owned() } else { host.clone() };
        let budget = properties.bytes("druid.ovate.memory", memory / 2)?;
        Ok(Settings {
            bind,
            host,
            roles: ports(roles, &properties)?,
            metadata_file: metadata_file(&properties, base_dir)?,
            storage_dir: path("druid.storage.storageDirectory", "var/druid/segments"),
            storage_zip: properties.flag("druid.storage.zip", false)?,
            task_logs_dir: path("druid.indexer.logs.directory", "var/druid/indexing-logs"),
            task_dir: path("druid.indexer.task.baseDir", "var/druid/task"),
            cache_locations: cache_locations(&properties, base_dir)?,
            worker_capacity: count("druid.worker.capacity", cores.max(2))?,
            processing_threads: count("druid.processing.numThreads", cores)?,
            query_memory_bytes: budget / 2,
            task_memory_bytes: (budget / 4).max(256 << 20),
            query_timeout_ms: u64::try_from(properties.int("druid.server.http.defaultQueryTimeout", 300_000)?)
                .map_err(|_| DruidError::invalid_input("druid.server.http.defaultQueryTimeout must not be negative"))?,
            conf_dir,
            base_dir: base_dir.to_owned(),
            overrides: Vec::new(),
            properties,
        })
    }

    /// The port of a role that this process takes.
    pub fn port(&self, role: NodeRole) -> Option<u16> {
        self.roles.iter().find(|(r, _)| *r == role).map(|(_, port)| *port)
    }

    /// Properties for `/status/properties`; whoever sees them must not see passwords (`druid.server.hiddenProperties`).
    pub fn shown_properties(&self) -> BTreeMap<String, String> {
        let hidden =
            |name: &str| ["password", "secret", "accesskey", "key"].iter().any(|word| name.to_lowercase().contains(word));
        let mask =
            |(name, value): (&str, &str)| (name.to_owned(), if hidden(name) { "<masked>".to_owned() } else { value.to_owned() });
        self.properties.iter().map(mask).collect()
    }
}

/// Services that this build does not have are refused at start, by name, rather than ignored.
fn refuse_unsupported(properties: &Properties) -> Result<()> {
    const ONLY: [(&str, &[&str]); 6] = [
        ("druid.storage.type", &["local"]),
        ("druid.metadata.storage.tables.base", &["druid"]),
        ("druid.metadata.storage.type", &["sqlite"]),
        ("druid.indexer.logs.type", &["file"]),
        ("druid.discovery.type", &["metadata"]),
        ("druid.indexer.runner.type", &["httpRemote", "local"]),
    ];
    for (name, supported) in ONLY {
        if let Some(value) = properties.get(name).filter(|value| !supported.contains(value)) {
            return Err(DruidError::unsupported(format!("{name}={value}; this build has {}", supported.join(", "))));
        }
    }
    Ok(())
}

fn ports(roles: &[NodeRole], properties: &Properties) -> Result<Vec<(NodeRole, u16)>> {
    // `druid.plaintextPort` is one role's own property in Druid; with several roles each may be set by its name.
    let own = properties.get("druid.plaintextPort").filter(|_| roles.len() == 1);
    let port = |role: NodeRole| -> Result<(NodeRole, u16)> {
        let name = format!("druid.{}.plaintextPort", role.name());
        let Some(text) = properties.get(&name).or(own) else { return Ok((role, role.default_port())) };
        text.trim()
            .parse()
            .map(|port| (role, port))
            .map_err(|_| DruidError::invalid_input(format!("[{text}] is not a port. property={name}")))
    };
    roles.iter().map(|role| port(*role)).collect()
}

fn positive(properties: &Properties, name: &str, default: usize) -> Result<usize> {
    let value = properties.int(name, default as i64)?;
    usize::try_from(value)
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| DruidError::invalid_input(format!("{name} must be positive, but is {value}")))
}

fn absolute(base_dir: &Path, path: &str) -> PathBuf {
    base_dir.join(path)
}

/// `druid.metadata.storage.connector.connectURI`, such as `jdbc:sqlite:var/druid/metadata.db`.
fn metadata_file(properties: &Properties, base_dir: &Path) -> Result<PathBuf> {
    let uri = properties.text("druid.metadata.storage.connector.connectURI", "jdbc:sqlite:var/druid/metadata/ovate.db");
    match uri.strip_prefix("jdbc:sqlite:").or_else(|| uri.strip_prefix("sqlite:")) {
        Some(path) => Ok(absolute(base_dir, path)),
        None => Err(DruidError::unsupported(format!(
            "druid.metadata.storage.connector.connectURI={uri}; this build has jdbc:sqlite:PATH"
        ))),
    }
}

/// A JSON list of `{"path","maxSize"}`; sizes may be numbers or texts such as `300g`.
fn cache_locations(properties: &Properties, base_dir: &Path) -> Result<Vec<(PathBuf, u64)>> {
    const NAME: &str = "druid.segmentCache.locations";
    let text = properties.text(NAME, r#"[{"path":"var/druid/segment-cache","maxSize":"300g"}]"#);
    let bad = |what: &str| DruidError::invalid_input(format!("{what}. property={NAME} value={text}"));
    let list: Value = serde_json::from_str(text).map_err(|e| bad(&format!("not JSON: {e}")))?;
    let list = list.as_array().filter(|l| !l.is_empty()).ok_or_else(|| bad("expected a list of locations"))?;
    let location = |entry: &Value| {
        let path = entry["path"].as_str().ok_or_else(|| bad("a location without path"))?;
        let size = match &entry["maxSize"] {
            Value::Number(number) => number.as_u64().ok_or_else(|| bad("maxSize is not a size"))?,
            Value::String(size) => ovate_base::properties::parse_bytes(size)?,
            _ => return Err(bad("a location without maxSize")),
        };
        Ok((absolute(base_dir, path), size))
    };
    list.iter().map(location).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings> {
        Settings::new(&[NodeRole::Broker], Properties::parse(text)?, Path::new("/base"), None)
    }

    #[test]
    fn defaults_are_embedded_and_listen_on_loopback_only() {
        let settings = settings("").expect("defaults are valid");
        assert_eq!(settings.bind, "127.0.0.1");
        assert_eq!(settings.roles, [(NodeRole::Broker, 8082)]);
        assert_eq!(settings.cache_locations, [(PathBuf::from("/base/var/druid/segment-cache"), 300_000_000_000)]);
    }

    #[test]
    fn a_service_that_is_not_there_is_refused_by_name() {
        let error = settings("druid.storage.type=azure").expect_err("not supported");
        assert!(error.message.contains("druid.storage.type=azure"), "{error}");
    }

    #[test]
    fn a_bad_value_names_its_property() {
        let error = settings("druid.processing.numThreads=none").expect_err("not a number");
        assert!(error.message.contains("druid.processing.numThreads"), "{error}");
    }
}
