//! Blobs: whole objects under names in one bucket, container or file system. One small trait over object stores and HDFS,
//! so that deep storage, task logs and input sources exist once. A blob that is seen is whole.

mod error;
mod fetch;
mod hdfs;
mod objects;

use std::fmt::Debug;
use std::ops::Range;
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;

pub use error::{BlobError, BlobErrorKind, BlobResult};
pub use fetch::{fetch, read_chunk};
pub use hdfs::HdfsBlobs;
pub use objects::ObjectBlobs;

/// A blob as it was when somebody looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    pub key: String,
    pub size: u64,
    /// What tells this content from another under the same name, where the store has it.
    pub tag: Option<String>,
}

/// Most blobs of one listing; more are an error rather than a process without memory.
pub const LISTING_MAX: usize = 1_000_000;

/// One bucket, container or file system.
#[async_trait]
pub trait Blobs: Debug + Send + Sync {
    /// For messages, such as `s3://bucket`.
    fn name(&self) -> &str;

    /// Stores a file, read in parts; the blob appears whole or not at all, and has its size verified.
    async fn put_file(&self, key: &str, file: &Path) -> BlobResult<()>;

    /// Stores bytes that are in memory.
    async fn put(&self, key: &str, bytes: Bytes) -> BlobResult<()>;

    /// `None`: there is no such blob.
    async fn stat(&self, key: &str) -> BlobResult<Option<Blob>>;

    /// Bytes of a blob; an error when it is another one by now.
    async fn read(&self, blob: &Blob, range: Range<u64>) -> BlobResult<Bytes>;

    /// Every blob below a folder (`prefix` without its last slash), in order of names.
    async fn list(&self, prefix: &str) -> BlobResult<Vec<Blob>>;

    /// Deletes; fine when it is gone already.
    async fn delete(&self, key: &str) -> BlobResult<()>;

    /// Removes folders from `dir` upwards that are empty, below `root`. Object stores have no folders.
    async fn prune(&self, _dir: &str, _root: &str) {}
}
