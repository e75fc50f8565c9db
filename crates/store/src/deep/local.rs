//! Segments on a local (or mounted) disk in Druid's layout: `<storageDirectory>/<dataSource>/<start>_<end>/<version>/
//! <partition>[/<uuid>]/index/`, or `index.zip`. A push is written to `intermediate_pushes/<uuid>` and renamed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use ovate_base::{DataSegment, DruidError, Result};
use serde_json::{Value, json};

use super::archive::{unzip, zip_dir};
use super::names::default_dir;
use super::{DeepStorage, copy_tree, sync_dir, sync_tree, tree_bytes};

/// `druid.storage.type=local`.
#[derive(Debug, Clone)]
pub struct LocalDeepStorage {
    root: PathBuf,
    zip: bool,
}

impl LocalDeepStorage {
    /// `root` is `druid.storage.storageDirectory`, `zip` is `druid.storage.zip`.
    pub fn new(root: impl Into<PathBuf>, zip: bool) -> LocalDeepStorage {
        LocalDeepStorage { root: root.into(), zip }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    fn push_blocking(&self, dir: &Path, segment: &DataSegment, unique: bool) -> Result<DataSegment> {
        let at = |error: io::Error| failed("push", segment, error);
        let target_dir = self.root.join(default_dir(segment, unique)?);
        let size = tree_bytes(dir).map_err(at)?;
        let intermediate = self.root.join("intermediate_pushes").join(uuid::Uuid::new_v4().to_string());
        fs::create_dir_all(&intermediate).map_err(at)?;
        let result = (|| {
            let (name, shown) = if self.zip { ("index.zip", "index.zip") } else { ("index", "index/") };
            let (source, target) = (intermediate.join(name), target_dir.join(name));
            if self.zip {
                zip_dir(dir, &source)?;
            } else {
                fs::create_dir(&source)?;
                copy_tree(dir, &source)?;
                sync_tree(&source)?;
            }
            create_dirs_synced(&self.root, &target_dir)?;
            // What is there is left over from an attempt that never published; it is replaced as a whole.
            if target.exists() {
                fs::rename(&target, intermediate.join("old"))?;
            }
            fs::rename(&source, &target)?;
            sync_dir(&target_dir)?;
            Ok(format!("{}/{shown}", absolute(&target_dir)?.display()))
        })();
        let _ = fs::remove_dir_all(&intermediate);
        let path = result.map_err(at)?;
        let mut pushed = segment.clone();
        pushed.load_spec = Some(json!({"type": "local", "path": path}));
        pushed.size = size as i64;
        Ok(pushed)
    }
}

#[async_trait]
impl DeepStorage for LocalDeepStorage {
    async fn push(&self, dir: &Path, segment: &DataSegment, unique: bool) -> Result<DataSegment> {
        let (storage, dir, segment) = (self.clone(), dir.to_owned(), segment.clone());
        blocking(move || storage.push_blocking(&dir, &segment, unique)).await
    }

    async fn pull(&self, segment: &DataSegment, into: &Path) -> Result<u64> {
        let (segment, into) = (segment.clone(), into.to_owned());
        blocking(move || {
            let at = |error: io::Error| failed("pull", &segment, error);
            let path = local_path(&segment)?;
            if path.is_dir() {
                return copy_tree(&path, &into).map_err(at);
            }
            if !path.exists() {
                return Err(failed(
                    "pull",
                    &segment,
                    io::Error::new(io::ErrorKind::NotFound, format!("{} is gone", path.display())),
                ));
            }
            unzip(&path, &into).map_err(at)
        })
        .await
    }

    async fn kill(&self, segment: &DataSegment) -> Result<()> {
        let (storage, segment) = (self.clone(), segment.clone());
        blocking(move || {
            if segment.is_tombstone() {
                return Ok(());
            }
            let path = local_path(&segment)?;
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("kill", &segment, error)),
                _ => {}
            }
            // Folders that have become empty go too, up to the root.
            let mut parent = path.parent();
            while let Some(dir) = parent.filter(|dir| dir.starts_with(&storage.root) && **dir != storage.root) {
                if fs::remove_dir(dir).is_err() {
                    break;
                }
                parent = dir.parent();
            }
            Ok(())
        })
        .await
    }
}

/// The path of a `local` load spec.
fn local_path(segment: &DataSegment) -> Result<PathBuf> {
    let spec = segment.load_spec.as_ref();
    let kind = spec.and_then(|spec| spec.get("type")).and_then(Value::as_str);
    match (kind, spec.and_then(|spec| spec.get("path")).and_then(Value::as_str)) {
        (Some("local"), Some(path)) => Ok(PathBuf::from(path)),
        (kind, _) => {
            Err(DruidError::unsupported(format!("loadSpec type [{}] of segment [{}]", kind.unwrap_or("none"), segment.id())))
        }
    }
}

/// Creates directories and syncs the parent of each new one.
fn create_dirs_synced(root: &Path, dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    for parent in dir.ancestors().skip(1).take_while(|parent| parent.starts_with(root)) {
        sync_dir(parent)?;
    }
    Ok(())
}

fn absolute(path: &Path) -> io::Result<PathBuf> {
    std::path::absolute(path)
}

fn failed(what: &str, segment: &DataSegment, error: io::Error) -> DruidError {
    DruidError::runtime(format!("cannot {what} segment [{}]: {error}", segment.id()))
}

/// Runs file work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(DruidError::runtime(format!("file work was stopped: {error}"))),
    }
}
