//! Blobs of a Hadoop file system over the `hdfs-native` crate, without a JVM. A file is written under a temporary name and
//! renamed; its blocks carry checksums, which the client verifies as it reads.

use std::ops::Range;
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use hdfs_native::client::FileStatus;
use hdfs_native::{Client, HdfsError, WriteOptions};
use tokio::io::AsyncReadExt;

use super::{Blob, BlobError, BlobErrorKind, BlobResult, Blobs, LISTING_MAX};

/// One file system; keys are absolute paths.
#[derive(Debug, Clone)]
pub struct HdfsBlobs {
    client: Client,
    name: String,
}

/// Bytes read from a file before they are handed to the writer.
const WRITE_BYTES: usize = 1 << 20;

impl HdfsBlobs {
    /// `name` is `hdfs://host:port` or a name service.
    pub fn new(client: Client, name: impl Into<String>) -> HdfsBlobs {
        HdfsBlobs { client, name: name.into() }
    }

    fn failed(&self, key: &str, kind: BlobErrorKind, error: impl std::fmt::Display) -> BlobError {
        BlobError::new(kind, format!("{error}. file={}{key}", self.name))
    }

    fn at(&self, key: &str, error: HdfsError) -> BlobError {
        use HdfsError as E;
        let kind = match &error {
            E::FileNotFound(_) => BlobErrorKind::Missing,
            E::InvalidPath(_)
            | E::InvalidArgument(_)
            | E::UrlParseError(_)
            | E::UnsupportedFeature(_)
            | E::IsADirectoryError(_) => BlobErrorKind::Refused,
            E::SASLError(_) | E::GSSAPIError(..) | E::NoSASLMechanism | E::XmlParseError(_) => BlobErrorKind::Refused,
            E::RPCError(class, _) | E::FatalRPCError(class, _) if class.contains("FileNotFound") => BlobErrorKind::Missing,
            E::RPCError(class, _) | E::FatalRPCError(class, _) if class.contains("AccessControl") => BlobErrorKind::Refused,
            _ => BlobErrorKind::Transient,
        };
        self.failed(key, kind, error)
    }

    /// Writes `temporary` by `write`, checks its size and gives it its name; a file of that name is replaced as a whole.
    async fn put_renamed(&self, key: &str, source: &mut (dyn tokio::io::AsyncRead + Send + Unpin), size: u64) -> BlobResult<()> {
        let dir = key.rsplit_once('/').map_or("", |(dir, _)| dir);
        let temporary = format!("{dir}/.{}.tmp", uuid::Uuid::new_v4());
        let written = self.write(&temporary, source, size).await;
        let result = match written {
            Ok(()) => self.client.rename(&temporary, key, true).await.map_err(|error| self.at(key, error)),
            Err(error) => Err(error),
        };
        if result.is_err() {
            // Whatever is left has a name that nobody reads.
            let _ = self.client.delete(&temporary, false).await;
        }
        result
    }

    async fn write(&self, path: &str, source: &mut (dyn tokio::io::AsyncRead + Send + Unpin), size: u64) -> BlobResult<()> {
        let options = WriteOptions::default().create_parent(true);
        let mut writer = self.client.create(path, options).await.map_err(|error| self.at(path, error))?;
        let mut buffer = vec![0; WRITE_BYTES];
        loop {
            let local =
                |error: std::io::Error| self.failed(path, BlobErrorKind::Transient, format!("cannot read the file: {error}"));
            let count = source.read(&mut buffer).await.map_err(local)?;
            if count == 0 {
                break;
            }
            writer.write(Bytes::copy_from_slice(&buffer[..count])).await.map_err(|error| self.at(path, error))?;
        }
        writer.close().await.map_err(|error| self.at(path, error))?;
        match self.stat(path).await? {
            Some(blob) if blob.size == size => Ok(()),
            seen => {
                let seen = seen.map_or("nothing".to_owned(), |blob| format!("{} bytes", blob.size));
                Err(self.failed(path, BlobErrorKind::Transient, format!("{size} bytes were written, {seen} are there")))
            }
        }
    }

    fn blob(status: FileStatus) -> Blob {
        // HDFS files have no tag; a file that is replaced gets another time.
        Blob { key: status.path, size: status.length as u64, tag: Some(status.modification_time.to_string()) }
    }
}

#[async_trait]
impl Blobs for HdfsBlobs {
    fn name(&self) -> &str {
        &self.name
    }

    async fn put_file(&self, key: &str, file: &Path) -> BlobResult<()> {
        let local = |error: std::io::Error| self.failed(key, BlobErrorKind::Transient, format!("cannot read the file: {error}"));
        let mut file = tokio::fs::File::open(file).await.map_err(local)?;
        let size = file.metadata().await.map_err(local)?.len();
        self.put_renamed(key, &mut file, size).await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> BlobResult<()> {
        let size = bytes.len() as u64;
        self.put_renamed(key, &mut &bytes[..], size).await
    }

    async fn stat(&self, key: &str) -> BlobResult<Option<Blob>> {
        match self.client.get_file_info(key).await {
            Ok(status) if status.isdir => Ok(None),
            Ok(status) => Ok(Some(Blob { key: key.to_owned(), ..Self::blob(status) })),
            Err(error) => match self.at(key, error) {
                error if error.kind == BlobErrorKind::Missing => Ok(None),
                error => Err(error),
            },
        }
    }

    async fn read(&self, blob: &Blob, range: Range<u64>) -> BlobResult<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let reader = self.client.read(&blob.key).await.map_err(|error| self.at(&blob.key, error))?;
        if reader.file_length() as u64 != blob.size {
            let what = format!("the file has {} bytes, not {}", reader.file_length(), blob.size);
            return Err(self.failed(&blob.key, BlobErrorKind::Changed, what));
        }
        let read = reader.read_range(range.start as usize, (range.end - range.start) as usize).await;
        read.map_err(|error| self.at(&blob.key, error))
    }

    async fn list(&self, prefix: &str) -> BlobResult<Vec<Blob>> {
        let listing = self.client.list_status_iter(prefix, true);
        let mut found = Vec::new();
        while let Some(status) = listing.next().await {
            match status {
                Ok(status) if status.isdir => {}
                Ok(status) => found.push(Self::blob(status)),
                Err(error) => match self.at(prefix, error) {
                    error if error.kind == BlobErrorKind::Missing => break,
                    error => return Err(error),
                },
            }
            if found.len() > LISTING_MAX {
                return Err(self.failed(prefix, BlobErrorKind::Refused, format!("more than {LISTING_MAX} files in a listing")));
            }
        }
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    async fn delete(&self, key: &str) -> BlobResult<()> {
        match self.client.delete(key, false).await {
            // False: it was gone.
            Ok(_) => Ok(()),
            Err(error) => match self.at(key, error) {
                error if error.kind == BlobErrorKind::Missing => Ok(()),
                error => Err(error),
            },
        }
    }

    async fn prune(&self, dir: &str, root: &str) {
        let mut dir = dir;
        while dir.len() > root.len() && dir.starts_with(root) {
            // A folder that is not empty is not deleted without `recursive`.
            if !matches!(self.client.delete(dir, false).await, Ok(true)) {
                return;
            }
            dir = dir.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
    }
}
