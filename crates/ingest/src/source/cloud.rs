//! Objects of an input source on other storage: names become blobs with their sizes, and a blob becomes a stream that is
//! read in ranges, one ahead, so that a broken connection costs one range.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use ovate_base::{DruidError, Result};
use ovate_store::deep::blobs::{Blob, BlobResult, Blobs, read_chunk};
use ovate_store::deep::services::{ServiceKind, Services};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::ByteStream;
use super::path_glob::PathGlob;
use crate::spec::cloud::{CloudSource, Location, Wanted};

/// A blob of a source.
#[derive(Debug, Clone)]
pub struct CloudObject {
    pub blobs: Arc<dyn Blobs>,
    pub blob: Blob,
    pub location: Location,
    /// As Druid writes it: `s3://bucket/path`.
    pub uri: String,
}

/// Names looked up at a time.
const LOOKUPS_MAX: usize = 16;
/// Bytes of one range.
const RANGE_BYTES: u64 = 4 << 20;

/// Everything that the source names, in its order; listings in order of names, without empty objects, as Druid has them.
pub async fn objects(source: &CloudSource, services: &Services) -> Result<Vec<CloudObject>> {
    let mut properties = services.properties().clone();
    properties.overlay(&source.properties);
    let own = services.with_properties(properties);
    let glob = source.glob.as_deref().map(PathGlob::new);
    let mut found = Vec::new();
    match &source.wanted {
        Wanted::Objects(locations) => {
            let lookups = locations.iter().map(|location| exact(source.kind, &own, location));
            found = stream::iter(lookups).buffered(LOOKUPS_MAX).try_collect().await?;
        }
        Wanted::Prefixes(locations) => {
            for location in locations {
                found.extend(below(source.kind, &own, location).await?);
            }
        }
        Wanted::Paths(locations) => {
            for location in locations {
                found.extend(hdfs_path(&own, location).await?);
            }
        }
    }
    found.retain(|object| object.blob.size > 0 && glob.as_ref().is_none_or(|glob| glob.matches(&object.location.path)));
    Ok(found)
}

async fn exact(kind: ServiceKind, services: &Services, location: &Location) -> Result<CloudObject> {
    let blobs = services.bucket(kind, &location.bucket)?;
    match blobs.stat(&location.path).await? {
        Some(blob) => Ok(object(kind, blobs, blob, &location.bucket)),
        None => Err(DruidError::invalid_input(format!("there is no [{}]", uri(kind, &location.bucket, &location.path)))),
    }
}

/// A prefix need not end with a folder: what is listed is the folder, what is taken begins with the prefix.
async fn below(kind: ServiceKind, services: &Services, location: &Location) -> Result<Vec<CloudObject>> {
    let blobs = services.bucket(kind, &location.bucket)?;
    let folder = location.path.rfind('/').map_or("", |at| &location.path[..at]);
    let listed = blobs.list(folder).await?.into_iter().filter(|blob| blob.key.starts_with(&location.path));
    Ok(listed.map(|blob| object(kind, blobs.clone(), blob, &location.bucket)).collect())
}

/// A file, the files of a folder, or those that a pattern matches; hidden ones are passed over (`HdfsInputSource.getPaths`).
async fn hdfs_path(services: &Services, location: &Location) -> Result<Vec<CloudObject>> {
    let (kind, path) = (ServiceKind::Hdfs, location.path.trim_end_matches('/'));
    let blobs = services.bucket(kind, &location.bucket)?;
    let file = if PathGlob::is_special(path) { None } else { blobs.stat(path).await? };
    if let Some(blob) = file {
        return Ok(vec![object(kind, blobs, blob, &location.bucket)]);
    }
    let (folder, glob) = match PathGlob::is_special(path) {
        // A folder that the pattern matches gives its files.
        true => (PathGlob::folder(path), PathGlob::new(&format!("{{{path},{path}/*}}"))),
        false => (path, PathGlob::new(&format!("{path}/*"))),
    };
    let hidden = |key: &str| key.rsplit('/').next().is_some_and(|name| name.starts_with(['.', '_']));
    let listed = blobs.list(if folder.is_empty() { "/" } else { folder }).await?;
    let found = listed.into_iter().filter(|blob| glob.matches(&blob.key) && !hidden(&blob.key));
    let found: Vec<CloudObject> = found.map(|blob| object(kind, blobs.clone(), blob, &location.bucket)).collect();
    if found.is_empty() {
        return Err(DruidError::invalid_input(format!("no file matches [{}{}]", location.bucket, location.path)));
    }
    Ok(found)
}

fn object(kind: ServiceKind, blobs: Arc<dyn Blobs>, blob: Blob, bucket: &str) -> CloudObject {
    let location = Location { bucket: bucket.to_owned(), path: blob.key.clone() };
    CloudObject { blobs, uri: uri(kind, bucket, &blob.key), blob, location }
}

fn uri(kind: ServiceKind, bucket: &str, path: &str) -> String {
    match kind {
        ServiceKind::S3 => format!("s3://{bucket}/{path}"),
        ServiceKind::Google => format!("gs://{bucket}/{path}"),
        ServiceKind::Azure => format!("azure://{bucket}/{path}"),
        ServiceKind::Hdfs => format!("{bucket}{path}"),
    }
}

/// Opens an object for reading.
pub fn open(object: &CloudObject, handle: &Handle) -> ByteStream {
    let mut stream = CloudStream {
        blobs: object.blobs.clone(),
        blob: object.blob.clone(),
        handle: handle.clone(),
        asked: 0,
        ahead: None,
        rest: Bytes::new(),
    };
    stream.ask();
    Box::new(stream)
}

struct CloudStream {
    blobs: Arc<dyn Blobs>,
    blob: Blob,
    handle: Handle,
    /// Where the next range begins.
    asked: u64,
    ahead: Option<JoinHandle<BlobResult<Bytes>>>,
    rest: Bytes,
}

impl CloudStream {
    /// Begins to read the next range, where there is one.
    fn ask(&mut self) {
        if self.asked < self.blob.size {
            let range = self.asked..self.blob.size.min(self.asked + RANGE_BYTES);
            self.asked = range.end;
            let (blobs, blob) = (self.blobs.clone(), self.blob.clone());
            self.ahead = Some(self.handle.spawn(async move { read_chunk(&*blobs, &blob, range).await }));
        }
    }
}

impl Read for CloudStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            let Some(ahead) = self.ahead.take() else { return Ok(0) };
            self.rest = self.handle.block_on(ahead).map_err(io::Error::other)?.map_err(io::Error::other)?;
            self.ask();
        }
        let count = buf.len().min(self.rest.len());
        buf[..count].copy_from_slice(&self.rest.split_to(count));
        Ok(count)
    }
}

impl Drop for CloudStream {
    fn drop(&mut self) {
        if let Some(ahead) = &self.ahead {
            ahead.abort();
        }
    }
}
