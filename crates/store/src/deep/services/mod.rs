//! The services that hold blobs, made from Druid's properties: S3, Google, Azure, HDFS. Buckets are opened when a segment
//! or a log first names them and stay open.

mod azure;
mod credentials;
mod google;
mod hdfs;
mod s3;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use ovate_base::{DruidError, Properties, Result};
use parking_lot::Mutex;

pub use hdfs::split as hdfs_split;
use s3::S3Options;

use super::blobs::Blobs;

/// Kinds of services; a load spec's `type` and `druid.storage.type` lead to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServiceKind {
    S3,
    Google,
    Azure,
    Hdfs,
}

impl ServiceKind {
    /// By the value of `druid.storage.type` or `druid.indexer.logs.type`.
    pub fn from_name(name: &str) -> Option<ServiceKind> {
        Some(match name {
            "s3" => ServiceKind::S3,
            "google" => ServiceKind::Google,
            "azure" => ServiceKind::Azure,
            "hdfs" => ServiceKind::Hdfs,
            _ => return None,
        })
    }

    /// By a load spec's `type`.
    pub fn from_load_spec(kind: &str) -> Option<ServiceKind> {
        if kind == "s3_zip" { Some(ServiceKind::S3) } else { Self::from_name(kind).filter(|kind| *kind != ServiceKind::S3) }
    }
}

/// Buckets that may be open at a time; more than this many names in load specs means something is wrong.
const BUCKETS_MAX: usize = 256;

/// Opens buckets of every service from one set of properties.
pub struct Services {
    properties: Properties,
    /// Folder with `core-site.xml` and `hdfs-site.xml`, where the configuration has one.
    hadoop_conf_dir: Option<PathBuf>,
    open: Mutex<HashMap<(ServiceKind, String), Arc<dyn Blobs>>>,
}

impl Services {
    pub fn new(properties: Properties, hadoop_conf_dir: Option<PathBuf>) -> Services {
        Services { properties, hadoop_conf_dir, open: Mutex::default() }
    }

    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// A bucket, a container, or for HDFS the part of a URI before the path; empty: the default file system.
    pub fn bucket(&self, kind: ServiceKind, name: &str) -> Result<Arc<dyn Blobs>> {
        let mut open = self.open.lock();
        let key = (kind, name.to_owned());
        if let Some(blobs) = open.get(&key) {
            return Ok(blobs.clone());
        }
        if open.len() == BUCKETS_MAX {
            return Err(DruidError::resource_limit(format!("more than {BUCKETS_MAX} buckets in use. bucket={name}")));
        }
        let blobs: Arc<dyn Blobs> = match kind {
            ServiceKind::S3 => s3::open(&S3Options::from_properties(&self.properties)?, name)?,
            ServiceKind::Google => google::open(name)?,
            ServiceKind::Azure => azure::open(&self.properties, name)?,
            ServiceKind::Hdfs => hdfs::open(&self.properties, self.hadoop_conf_dir.as_deref(), name)?,
        };
        open.insert(key, blobs.clone());
        Ok(blobs)
    }

    /// The same with other properties, as an input source with credentials of its own needs them; buckets are opened anew.
    pub fn with_properties(&self, properties: Properties) -> Services {
        Services::new(properties, self.hadoop_conf_dir.clone())
    }
}

/// Requests are tried again a few times, within the time a caller can wait.
fn retries() -> RetryConfig {
    let backoff = BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(5), base: 2.0 };
    RetryConfig { backoff, max_retries: 6, retry_timeout: Duration::from_secs(60) }
}

/// Deadlines of one request.
fn client_options() -> ClientOptions {
    ClientOptions::new().with_connect_timeout(Duration::from_secs(10)).with_timeout(Duration::from_secs(120))
}

fn unusable(what: &str, error: impl std::fmt::Display) -> DruidError {
    DruidError::invalid_input(format!("{what} cannot be used: {error}"))
}
