//! Properties become checked settings, once, at the door. Names are Druid's; defaults are those of one process on embedded
//! services under `./var`.

pub mod budget;
mod extensions;
mod files;
mod hidden;
pub mod jvm;
pub mod launch;
pub mod machine;
mod places;
mod ports;
pub mod registry;
#[cfg(test)]
mod shipped_tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ovate_base::{DruidError, Properties, Result};
use ovate_net::NodeRole;
use ovate_store::deep::StorageSources;
use ovate_store::meta::MetadataOptions;

pub use files::{Conf, load_conf};
use registry::Notices;

/// Everything a process needs to know to take its roles.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the other processes reach us by (`druid.host`).
    pub host: String,
    /// What we listen on: `druid.host`, or every address with `druid.server.http.bindAll`, which is off by default.
    pub bind: String,
    /// Role and port, in the order the roles start; roles of one port share a server.
    pub roles: Vec<(NodeRole, u16)>,
    /// The metadata store (`druid.metadata.storage.*`).
    pub metadata: MetadataOptions,
    /// Local deep storage (`druid.storage.storageDirectory`).
    pub storage_dir: PathBuf,
    /// Task directories (`druid.indexer.task.baseDir`).
    pub task_dirs: Vec<PathBuf>,
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
    /// Temporary files (`-Djava.io.tmpdir` of `jvm.config`).
    pub tmp_dir: Option<PathBuf>,
    /// `druid.labels`, announced with every role.
    pub labels: Option<BTreeMap<String, String>>,
    /// Properties of the command line, handed on to peons.
    pub overrides: Vec<(String, String)>,
    /// What the log says of the configuration when a server starts.
    pub notices: Notices,
    /// All properties as given, for `/status/properties`.
    pub properties: Properties,
}

impl Settings {
    /// Checks a configuration for these roles. Relative paths are below `base_dir`.
    pub fn new(roles: &[NodeRole], conf: impl Into<Conf>, base_dir: &Path, conf_dir: Option<PathBuf>) -> Result<Self> {
        let mut conf = conf.into();
        let mut notices = registry::check(&conf.properties)?;
        if roles == [NodeRole::Peon] {
            peons_own(&mut conf.properties)?;
        }
        let budget = budget::Budget::new(roles, &conf)?;
        notices.infos.extend(conf.jvm.notices());
        notices.infos.push(format!(
            "memory. process={} task={} from={}",
            ovate_base::properties::format_bytes(budget.total_bytes),
            ovate_base::properties::format_bytes(budget.task_bytes),
            budget.told
        ));
        let cores = machine::cores();
        let properties = conf.properties;
        let path = |name: &str, default: &str| base_dir.join(properties.text(name, default));
        let count = |name: &str, default: usize| positive(&properties, name, default);
        let host = properties.text("druid.host", "127.0.0.1").to_owned();
        Ok(Settings {
            bind: ports::bind(&properties, &host)?,
            host,
            roles: ports::ports(roles, &properties)?,
            metadata: places::metadata(&properties, base_dir, &mut notices)?,
            storage_dir: path("druid.storage.storageDirectory", "var/druid/segments"),
            task_dirs: places::task_dirs(&properties, base_dir)?,
            cache_locations: places::cache_locations(&properties, base_dir)?,
            worker_capacity: count("druid.worker.capacity", cores.max(2))?,
            processing_threads: count("druid.processing.numThreads", cores)?,
            query_memory_bytes: budget.total_bytes / 2,
            task_memory_bytes: budget.task_bytes,
            query_timeout_ms: u64::try_from(properties.int("druid.server.http.defaultQueryTimeout", 300_000)?)
                .map_err(|_| DruidError::invalid_input("druid.server.http.defaultQueryTimeout must not be negative"))?,
            conf_dir,
            base_dir: base_dir.to_owned(),
            tmp_dir: conf.jvm.system.get("java.io.tmpdir").map(|dir| base_dir.join(dir)),
            labels: labels(&properties)?,
            overrides: Vec::new(),
            notices,
            properties,
        })
    }

    /// The port of a role that this process takes.
    pub fn port(&self, role: NodeRole) -> Option<u16> {
        self.roles.iter().find(|(r, _)| *r == role).map(|(_, port)| *port)
    }

    /// Deep storage and task logs of these properties. Hadoop's files are looked for where the properties were.
    pub fn storage(&self) -> StorageSources<'_> {
        let conf = self
            .conf_dir
            .iter()
            .flat_map(|dir| [dir.clone(), dir.join("_common"), dir.join("../_common"), dir.join("../../_common")]);
        StorageSources { properties: &self.properties, base_dir: &self.base_dir, conf_dirs: conf.collect() }
    }

    /// Properties for `/status/properties`; whoever sees them must not see passwords (`druid.server.hiddenProperties`).
    pub fn shown_properties(&self) -> Result<BTreeMap<String, String>> {
        hidden::shown(&self.properties)
    }

    /// Writes what there is to say about the configuration to the log.
    pub fn log_notices(&self) -> Result<()> {
        self.notices.infos.iter().for_each(|text| tracing::info!("{text}"));
        self.notices.warnings.iter().for_each(|text| tracing::warn!("{text}"));
        if self.properties.flag("druid.startup.logging.logProperties", false)? {
            self.shown_properties()?.iter().for_each(|(name, value)| tracing::info!("property. {name}={value}"));
        }
        Ok(())
    }
}

/// What a peon takes from its MiddleManager's file: `druid.indexer.fork.property.X` is `X` to it, and so is every
/// `-Ddruid.X` of its JVM's options (`ForkingTaskRunner`).
fn peons_own(properties: &mut Properties) -> Result<()> {
    let forked = properties.with_prefix("druid.indexer.fork.property.");
    let options = budget::peon_options(properties)?;
    properties.overlay(&forked);
    options.druid_properties().for_each(|(name, value)| properties.set(name, value));
    Ok(())
}

/// A JSON object of texts.
fn labels(properties: &Properties) -> Result<Option<BTreeMap<String, String>>> {
    const NAME: &str = "druid.labels";
    match properties.text(NAME, "").trim() {
        "" => Ok(None),
        text => serde_json::from_str(text)
            .map(Some)
            .map_err(|e| DruidError::invalid_input(format!("property {NAME} must be a JSON object of texts: {e}"))),
    }
}

fn positive(properties: &Properties, name: &str, default: usize) -> Result<usize> {
    let value = properties.int(name, default as i64)?;
    usize::try_from(value)
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| DruidError::invalid_input(format!("{name} must be positive, but is {value}")))
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
        let error = settings("druid.storage.type=cassandra\ndruid.emitter=kafka").expect_err("not supported");
        for named in ["druid.storage.type=cassandra", "druid.emitter=kafka"] {
            assert!(error.message.contains(named), "{error}");
        }
    }

    #[test]
    fn a_bad_value_names_its_property() {
        let error = settings("druid.processing.numThreads=none").expect_err("not a number");
        assert!(error.message.contains("druid.processing.numThreads"), "{error}");
    }

    #[test]
    fn unknown_and_idle_properties_are_told() {
        let settings = settings("druid.no.such=1\ndruid.server.http.uriCompliance=x\nother=1").expect("accepted");
        assert!(settings.notices.warnings[0].contains("druid.no.such"), "{:?}", settings.notices);
        assert!(settings.notices.infos[0].contains("druid.server.http.uriCompliance"), "{:?}", settings.notices);
    }

    #[test]
    fn labels_are_an_object_of_texts() {
        let labels = settings("druid.labels={\"location\":\"rack 1\"}").expect("accepted").labels.expect("labels");
        assert_eq!(labels.into_iter().collect::<Vec<_>>(), [("location".to_owned(), "rack 1".to_owned())]);
        assert!(settings("druid.labels=[1]").expect_err("no object").message.contains("druid.labels"));
    }

    #[test]
    fn a_peon_takes_the_forked_properties() {
        let text = "druid.processing.numThreads=7\ndruid.indexer.fork.property.druid.processing.numThreads=1";
        let peon = Settings::new(&[NodeRole::Peon], Properties::parse(text).unwrap(), Path::new("/base"), None).unwrap();
        assert_eq!(peon.processing_threads, 1);
    }
}
