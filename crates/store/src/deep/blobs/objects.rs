//! Blobs of an object store (S3, Google, Azure) over the `object_store` crate, which signs requests and tries them again.
//! Small files are one atomic put; larger ones are uploaded in parts, which count only once the upload is completed.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
use tokio::io::AsyncReadExt;

use super::{Blob, BlobError, BlobErrorKind, BlobResult, Blobs, LISTING_MAX};

/// Files up to this size are one request.
const MULTIPART_BYTES: u64 = 16 << 20;
/// Least bytes of a part; S3 wants at least 5 MiB.
const PART_BYTES_MIN: u64 = 8 << 20;
/// S3 takes 10,000 parts.
const PARTS_MAX: u64 = 9_000;
/// Parts in flight.
const PARTS_IN_FLIGHT: usize = 3;

/// One bucket.
#[derive(Debug, Clone)]
pub struct ObjectBlobs {
    store: Arc<dyn ObjectStore>,
    name: String,
}

impl ObjectBlobs {
    /// `name` is for messages.
    pub fn new(store: Arc<dyn ObjectStore>, name: impl Into<String>) -> ObjectBlobs {
        ObjectBlobs { store, name: name.into() }
    }

    fn key(&self, key: &str) -> BlobResult<Key> {
        Key::parse(key).map_err(|error| self.failed(key, BlobErrorKind::Refused, error))
    }

    fn failed(&self, key: &str, kind: BlobErrorKind, error: impl std::fmt::Display) -> BlobError {
        BlobError::new(kind, format!("{error}. object={}/{key}", self.name))
    }

    fn at(&self, key: &str, error: object_store::Error) -> BlobError {
        use object_store::Error as E;
        let kind = match &error {
            E::NotFound { .. } => BlobErrorKind::Missing,
            E::Precondition { .. } | E::NotModified { .. } => BlobErrorKind::Changed,
            E::PermissionDenied { .. } | E::Unauthenticated { .. } | E::InvalidPath { .. } | E::NotSupported { .. } => {
                BlobErrorKind::Refused
            }
            _ => BlobErrorKind::Transient,
        };
        self.failed(key, kind, error)
    }

    /// Uploads in parts; an upload that fails is aborted, so that its parts are not paid for.
    async fn put_parts(&self, key: &Key, file: &mut tokio::fs::File, size: u64) -> BlobResult<()> {
        let part_bytes = PART_BYTES_MIN.max(size.div_ceil(PARTS_MAX)) as usize;
        let upload = self.store.put_multipart(key).await.map_err(|error| self.at(key.as_ref(), error))?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, part_bytes);
        let mut buffer = vec![0; 1 << 20];
        let written = async {
            loop {
                let count = file.read(&mut buffer).await.map_err(|e| self.failed(key.as_ref(), BlobErrorKind::Transient, e))?;
                if count == 0 {
                    return Ok(());
                }
                upload.wait_for_capacity(PARTS_IN_FLIGHT).await.map_err(|error| self.at(key.as_ref(), error))?;
                upload.write(&buffer[..count]);
            }
        };
        let result: BlobResult<()> = written.await;
        match result {
            // `finish` aborts by itself when the last parts fail.
            Ok(()) => upload.finish().await.map(|_| ()).map_err(|error| self.at(key.as_ref(), error)),
            Err(error) => {
                if let Err(left) = upload.abort().await {
                    tracing::warn!(
                        "an upload could not be aborted; a lifecycle rule should remove its parts. key={key} error={left}"
                    );
                }
                Err(error)
            }
        }
    }

    fn blob(meta: ObjectMeta) -> Blob {
        Blob { key: meta.location.to_string(), size: meta.size, tag: meta.e_tag }
    }
}

#[async_trait]
impl Blobs for ObjectBlobs {
    fn name(&self) -> &str {
        &self.name
    }

    async fn put_file(&self, key: &str, file: &Path) -> BlobResult<()> {
        let local = |error: std::io::Error| self.failed(key, BlobErrorKind::Transient, format!("cannot read the file: {error}"));
        let path = self.key(key)?;
        let mut file = tokio::fs::File::open(file).await.map_err(local)?;
        let size = file.metadata().await.map_err(local)?.len();
        if size <= MULTIPART_BYTES {
            let mut bytes = Vec::with_capacity(size as usize);
            file.take(MULTIPART_BYTES + 1).read_to_end(&mut bytes).await.map_err(local)?;
            self.put(key, bytes.into()).await?;
        } else {
            self.put_parts(&path, &mut file, size).await?;
        }
        match self.stat(key).await? {
            Some(blob) if blob.size == size => Ok(()),
            seen => {
                let seen = seen.map_or("nothing".to_owned(), |blob| format!("{} bytes", blob.size));
                Err(self.failed(key, BlobErrorKind::Transient, format!("{size} bytes were uploaded, {seen} are there")))
            }
        }
    }

    async fn put(&self, key: &str, bytes: Bytes) -> BlobResult<()> {
        let path = self.key(key)?;
        self.store.put(&path, PutPayload::from_bytes(bytes)).await.map(|_| ()).map_err(|error| self.at(key, error))
    }

    async fn stat(&self, key: &str) -> BlobResult<Option<Blob>> {
        match self.store.head(&self.key(key)?).await {
            Ok(meta) => Ok(Some(Self::blob(meta))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.at(key, error)),
        }
    }

    async fn read(&self, blob: &Blob, range: Range<u64>) -> BlobResult<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let options = GetOptions { if_match: blob.tag.clone(), range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let answer = self.store.get_opts(&self.key(&blob.key)?, options).await.map_err(|error| self.at(&blob.key, error))?;
        answer.bytes().await.map_err(|error| self.at(&blob.key, error))
    }

    async fn list(&self, prefix: &str) -> BlobResult<Vec<Blob>> {
        let path = self.key(prefix)?;
        let mut found = Vec::new();
        let mut listing = self.store.list(Some(&path));
        while let Some(meta) = listing.try_next().await.map_err(|error| self.at(prefix, error))? {
            if found.len() == LISTING_MAX {
                return Err(self.failed(prefix, BlobErrorKind::Refused, format!("more than {LISTING_MAX} objects in a listing")));
            }
            found.push(Self::blob(meta));
        }
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    async fn delete(&self, key: &str) -> BlobResult<()> {
        match self.store.delete(&self.key(key)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.at(key, error)),
        }
    }
}
