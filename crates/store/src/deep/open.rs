//! From properties to storage: `druid.storage.type` says where pushes go, a segment's load spec where it comes from, and
//! `druid.indexer.logs.type` where logs are kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use ovate_base::{DataSegment, DruidError, Properties, Result};

use super::remote::{RemoteDeepStorage, Target};
use super::remote_logs::{NoopTaskLogs, RemoteTaskLogs};
use super::services::{ServiceKind, Services};
use super::{DeepStorage, LocalDeepStorage, LocalTaskLogs, TaskLogs};

/// Every kind of deep storage; pushes go to the configured one.
struct DeepStores {
    local: LocalDeepStorage,
    remote: RemoteDeepStorage,
    push_local: bool,
}

impl DeepStores {
    fn of(&self, segment: &DataSegment) -> &dyn DeepStorage {
        let kind = segment.load_spec.as_ref().and_then(|spec| spec.get("type")).and_then(|kind| kind.as_str());
        if matches!(kind, None | Some("local")) { &self.local } else { &self.remote }
    }
}

#[async_trait]
impl DeepStorage for DeepStores {
    async fn push(&self, dir: &Path, segment: &DataSegment, unique: bool) -> Result<DataSegment> {
        let storage: &dyn DeepStorage = if self.push_local { &self.local } else { &self.remote };
        storage.push(dir, segment, unique).await
    }

    async fn pull(&self, segment: &DataSegment, into: &Path) -> Result<u64> {
        self.of(segment).pull(segment, into).await
    }

    async fn kill(&self, segment: &DataSegment) -> Result<()> {
        self.of(segment).kill(segment).await
    }

    fn services(&self) -> Arc<Services> {
        self.remote.services().clone()
    }
}

/// What storages are opened from; relative local paths are below `base_dir`.
pub struct StorageSources<'a> {
    pub properties: &'a Properties,
    pub base_dir: &'a Path,
    /// Folders where `core-site.xml` and `hdfs-site.xml` may be, in order: those of the configuration.
    pub conf_dirs: Vec<PathBuf>,
}

impl StorageSources<'_> {
    /// The services of these properties, which input sources use too.
    pub fn services(&self) -> Services {
        let has_hadoop = |dir: &&PathBuf| dir.join("core-site.xml").is_file() || dir.join("hdfs-site.xml").is_file();
        Services::new(self.properties.clone(), self.conf_dirs.iter().find(has_hadoop).cloned())
    }

    /// The configured deep storage, which also pulls and kills what others of these services hold.
    pub fn deep_storage(&self) -> Result<Arc<dyn DeepStorage>> {
        let properties = self.properties;
        let kind = properties.text("druid.storage.type", "local");
        let push_local = kind == "local";
        let target = match ServiceKind::from_name(kind) {
            Some(kind) => Some(Target::from_properties(kind, properties)?),
            None if push_local => None,
            None => {
                let known = "local, s3, hdfs, google, azure";
                return Err(DruidError::unsupported(format!("druid.storage.type={kind}; this build has {known}")));
            }
        };
        // With another storage the directory is that one's; load specs of local segments have whole paths.
        let dir = if push_local {
            properties.text("druid.storage.storageDirectory", "var/druid/segments")
        } else {
            "var/druid/segments"
        };
        let zip = push_local && properties.flag("druid.storage.zip", false)?;
        let local = LocalDeepStorage::new(self.base_dir.join(dir), zip);
        let remote = RemoteDeepStorage::new(Arc::new(self.services()), target)?;
        Ok(Arc::new(DeepStores { local, remote, push_local }))
    }

    /// The configured store of task logs.
    pub fn task_logs(&self) -> Result<Arc<dyn TaskLogs>> {
        let properties = self.properties;
        match properties.text("druid.indexer.logs.type", "file") {
            "file" => {
                let dir = properties.text("druid.indexer.logs.directory", "var/druid/indexing-logs");
                Ok(Arc::new(LocalTaskLogs::new(self.base_dir.join(dir))))
            }
            "noop" => Ok(Arc::new(NoopTaskLogs)),
            kind => match ServiceKind::from_name(kind) {
                Some(kind) => Ok(Arc::new(RemoteTaskLogs::from_properties(kind, &self.services(), properties)?)),
                None => {
                    let known = "file, s3, hdfs, google, azure, noop";
                    Err(DruidError::unsupported(format!("druid.indexer.logs.type={kind}; this build has {known}")))
                }
            },
        }
    }
}
