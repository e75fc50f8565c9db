//! Segments on S3, Google, Azure and HDFS in Druid's layouts and load specs (`S3DataSegmentPusher`, `HdfsDataSegmentPusher`
//! and so on). A load spec is read whatever the configured storage is; only pushes need a target.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ovate_base::{DataSegment, DruidError, Properties, Result};
use serde_json::{Value, json};

use super::archive::{unzip, zip_dir};
use super::blobs::{Blob, BlobError, BlobErrorKind, BlobResult, Blobs, fetch};
use super::local::blocking;
use super::names::{below, colonless_dir, default_dir, hdfs_file};
use super::services::{ServiceKind, Services, hdfs_split};
use super::{DeepStorage, tree_bytes};

/// Where pushes go.
#[derive(Debug, Clone)]
pub struct Target {
    kind: ServiceKind,
    bucket: String,
    prefix: String,
    zip: bool,
    /// `druid.storage.useS3aSchema`, which only says how Hadoop would read the segment.
    s3a: bool,
}

/// Object stores and HDFS.
pub struct RemoteDeepStorage {
    services: Arc<Services>,
    target: Option<Target>,
}

/// Attempts of an upload, beside the client's own.
const UPLOADS_MAX: u32 = 3;

impl Target {
    /// `druid.storage.*` and the service's own properties.
    pub fn from_properties(kind: ServiceKind, properties: &Properties) -> Result<Target> {
        let need = |name: &str| {
            let value = properties.text(name, "").trim();
            if value.is_empty() { Err(DruidError::invalid_input(format!("{name} must be set"))) } else { Ok(value.to_owned()) }
        };
        let text = |name: &str| properties.text(name, "").trim().to_owned();
        let (bucket, prefix) = match kind {
            ServiceKind::S3 => (need("druid.storage.bucket")?, text("druid.storage.baseKey")),
            ServiceKind::Google => (need("druid.google.bucket")?, text("druid.google.prefix")),
            ServiceKind::Azure => (need("druid.azure.container")?, text("druid.azure.prefix")),
            ServiceKind::Hdfs => {
                let dir = need("druid.storage.storageDirectory")?;
                let (name, path) = hdfs_split(&dir)?;
                (name.to_owned(), path.trim_end_matches('/').to_owned())
            }
        };
        let format = properties.text("druid.storage.compressionFormat", "zip");
        if format != "zip" {
            return Err(DruidError::unsupported(format!("druid.storage.compressionFormat={format}; this build has zip")));
        }
        let zip = properties.flag("druid.storage.zip", true)?;
        if !zip && kind == ServiceKind::Hdfs {
            return Err(DruidError::unsupported("druid.storage.zip=false with druid.storage.type=hdfs"));
        }
        let s3a = properties.flag("druid.storage.useS3aSchema", false)?;
        Ok(Target { kind, bucket, prefix, zip, s3a })
    }

    /// The object of an archive, or with a slash at the end the folder of the files.
    fn key(&self, segment: &DataSegment, unique: bool) -> Result<String> {
        let dir = match self.kind {
            ServiceKind::S3 | ServiceKind::Google => default_dir(segment, unique)?,
            ServiceKind::Azure => colonless_dir(segment, unique)?,
            ServiceKind::Hdfs => return Ok(format!("{}/{}", self.prefix, hdfs_file(segment, unique)?)),
        };
        let dir = below(&self.prefix, &dir);
        Ok(if self.zip { format!("{dir}/index.zip") } else { format!("{dir}/") })
    }

    fn load_spec(&self, key: &str) -> Value {
        match self.kind {
            ServiceKind::S3 => {
                let schema = if self.s3a { "s3a" } else { "s3n" };
                json!({"type": "s3_zip", "bucket": self.bucket, "key": key, "S3Schema": schema})
            }
            ServiceKind::Google => json!({"type": "google", "bucket": self.bucket, "path": key}),
            ServiceKind::Azure => json!({"type": "azure", "containerName": self.bucket, "blobPath": key}),
            ServiceKind::Hdfs => json!({"type": "hdfs", "path": format!("{}{key}", self.bucket)}),
        }
    }
}

/// What a load spec names.
struct Place {
    kind: ServiceKind,
    blobs: Arc<dyn Blobs>,
    key: String,
}

impl RemoteDeepStorage {
    /// Opens the target's bucket, so that bad credentials and names are told at start.
    pub fn new(services: Arc<Services>, target: Option<Target>) -> Result<RemoteDeepStorage> {
        if let Some(target) = &target {
            services.bucket(target.kind, &target.bucket)?;
        }
        Ok(RemoteDeepStorage { services, target })
    }

    /// The services it reaches.
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    fn place(&self, segment: &DataSegment) -> Result<Place> {
        let spec = segment.load_spec.as_ref();
        let text = |name: &str| spec.and_then(|spec| spec.get(name)).and_then(Value::as_str).map(str::to_owned);
        let bad = |what: &str| DruidError::invalid_input(format!("loadSpec of segment [{}] {what}", segment.id()));
        let kind = text("type").unwrap_or_else(|| "none".to_owned());
        let Some(service) = ServiceKind::from_load_spec(&kind) else {
            return Err(DruidError::unsupported(format!("loadSpec type [{kind}] of segment [{}]", segment.id())));
        };
        let need = |name: &str| text(name).ok_or_else(|| bad(&format!("has no {name}")));
        let (bucket, key) = match service {
            ServiceKind::S3 => (need("bucket")?, need("key")?),
            ServiceKind::Google => (need("bucket")?, need("path")?),
            ServiceKind::Azure => {
                // Recent versions may name another account than the configured one.
                let own = self.services.properties().text("druid.azure.account", "").to_owned();
                if let Some(account) = text("storageAccount").filter(|account| !account.is_empty() && *account != own) {
                    return Err(DruidError::unsupported(format!("storage account [{account}] of segment [{}]", segment.id())));
                }
                (need("containerName")?, need("blobPath")?)
            }
            ServiceKind::Hdfs => {
                let path = need("path")?;
                let (name, path) = hdfs_split(&path)?;
                (name.to_owned(), path.to_owned())
            }
        };
        // A folder of files is deleted as a whole: it must not be the bucket's root, nor near it.
        if key.trim_matches('/').split('/').count() < 3 {
            return Err(bad("names nothing that could be a segment"));
        }
        Ok(Place { kind: service, blobs: self.services.bucket(service, &bucket)?, key })
    }

    async fn push_zip(&self, blobs: &dyn Blobs, dir: &Path, key: &str) -> Result<u64> {
        // Beside the segment, on the task's own disk.
        let parent = dir.parent().unwrap_or(Path::new(".")).to_owned();
        let source = dir.to_owned();
        let (archive, bytes) = blocking(move || {
            let at = |error: std::io::Error| DruidError::runtime(format!("cannot pack [{}]: {error}", source.display()));
            let archive = tempfile::Builder::new().prefix(".index").suffix(".zip").tempfile_in(parent).map_err(at)?;
            let bytes = zip_dir(&source, archive.path()).map_err(at)?;
            Ok((archive, bytes))
        })
        .await?;
        upload(blobs, key, archive.path()).await?;
        Ok(bytes)
    }

    /// Files one by one; nothing refers to them before all are there.
    async fn push_files(&self, blobs: &dyn Blobs, dir: &Path, key: &str) -> Result<u64> {
        let source = dir.to_owned();
        let (names, bytes) = blocking(move || {
            let list = || -> std::io::Result<(Vec<String>, u64)> {
                let mut names = Vec::new();
                for entry in std::fs::read_dir(&source)? {
                    names.push(entry?.file_name().to_string_lossy().into_owned());
                }
                Ok((names, tree_bytes(&source)?))
            };
            list().map_err(|error| DruidError::runtime(format!("cannot list [{}]: {error}", source.display())))
        })
        .await?;
        // Files of an attempt that never published would be read as part of this one.
        for left in blobs.list(key.trim_end_matches('/')).await? {
            if !left.key.strip_prefix(key).is_some_and(|name| names.iter().any(|own| own == name)) {
                blobs.delete(&left.key).await?;
            }
        }
        for name in &names {
            upload(blobs, &format!("{key}{name}"), &dir.join(name)).await?;
        }
        Ok(bytes)
    }

    async fn pull_zip(&self, place: &Place, into: &Path) -> Result<u64> {
        let blob = existing(&*place.blobs, &place.key).await?;
        let part = into.join(".index.zip.part");
        let fetched = fetch(&*place.blobs, &blob, &part).await;
        let result = match fetched {
            Ok(()) => {
                let (part, into, name) = (part.clone(), into.to_owned(), format!("{}/{}", place.blobs.name(), place.key));
                blocking(move || {
                    unzip(&part, &into).map_err(|error| DruidError::runtime(format!("cannot unpack [{name}]: {error}")))
                })
                .await
            }
            Err(error) => Err(error.into()),
        };
        let _ = tokio::fs::remove_file(&part).await;
        result
    }

    async fn pull_files(&self, place: &Place, into: &Path) -> Result<u64> {
        let folder = format!("{}/", place.key.trim_end_matches('/'));
        let blobs = place.blobs.list(folder.trim_end_matches('/')).await?;
        let mut bytes = 0;
        for blob in &blobs {
            let name = blob.key.strip_prefix(&folder).filter(|name| !name.is_empty() && !name.contains('/') && *name != "..");
            let Some(name) = name else {
                return Err(DruidError::invalid_input(format!("[{}/{}] is no file of a segment", place.blobs.name(), blob.key)));
            };
            fetch(&*place.blobs, blob, &into.join(name)).await?;
            bytes += blob.size;
        }
        if blobs.is_empty() {
            return Err(DruidError::not_found(format!("nothing is below [{}/{folder}]", place.blobs.name())));
        }
        Ok(bytes)
    }
}

#[async_trait]
impl DeepStorage for RemoteDeepStorage {
    async fn push(&self, dir: &Path, segment: &DataSegment, unique: bool) -> Result<DataSegment> {
        let target = self.target.as_ref().ok_or_else(|| DruidError::defensive("a push without a target"))?;
        let blobs = self.services.bucket(target.kind, &target.bucket)?;
        let key = target.key(segment, unique)?;
        let size = match target.zip {
            true => self.push_zip(&*blobs, dir, &key).await,
            false => self.push_files(&*blobs, dir, &key).await,
        };
        let size = size.map_err(|error| error.prefixed(format_args!("cannot push segment [{}]", segment.id())))?;
        let mut pushed = segment.clone();
        pushed.load_spec = Some(target.load_spec(&key));
        pushed.size = size as i64;
        Ok(pushed)
    }

    async fn pull(&self, segment: &DataSegment, into: &Path) -> Result<u64> {
        let place = self.place(segment)?;
        let pulled = if place.key.ends_with(".zip") {
            self.pull_zip(&place, into).await
        } else if place.key.ends_with('/') || place.kind == ServiceKind::Hdfs {
            self.pull_files(&place, into).await
        } else {
            return Err(DruidError::unsupported(format!("[{}] is neither a zip nor a folder", place.key)));
        };
        pulled.map_err(|error| error.prefixed(format_args!("cannot pull segment [{}]", segment.id())))
    }

    async fn kill(&self, segment: &DataSegment) -> Result<()> {
        if segment.is_tombstone() {
            return Ok(());
        }
        let place = self.place(segment)?;
        let killed = async {
            if place.key.ends_with('/') {
                for blob in place.blobs.list(place.key.trim_end_matches('/')).await? {
                    place.blobs.delete(&blob.key).await?;
                }
                return Ok(());
            }
            place.blobs.delete(&place.key).await
        };
        let result: BlobResult<()> = killed.await;
        result.map_err(|error| DruidError::from(error).prefixed(format_args!("cannot kill segment [{}]", segment.id())))?;
        let root = self.target.as_ref().filter(|target| target.kind == place.kind);
        if let (Some(target), Some((dir, _))) = (root, place.key.rsplit_once('/')) {
            place.blobs.prune(dir, &target.prefix).await;
        }
        Ok(())
    }
}

async fn existing(blobs: &dyn Blobs, key: &str) -> BlobResult<Blob> {
    let gone = || BlobError::new(BlobErrorKind::Missing, format!("there is no [{}/{key}]", blobs.name()));
    blobs.stat(key).await?.ok_or_else(gone)
}

/// Uploads with retries; each attempt is whole or nothing.
pub(crate) async fn upload(blobs: &dyn Blobs, key: &str, file: &Path) -> BlobResult<()> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match blobs.put_file(key, file).await {
            Err(error) if error.kind == BlobErrorKind::Transient && attempt < UPLOADS_MAX => {
                tracing::warn!("upload failed, trying again. attempt={attempt} error={error}");
                tokio::time::sleep(Duration::from_millis(500 << attempt)).await;
            }
            result => return result,
        }
    }
}
