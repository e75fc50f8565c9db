//! Reads blobs in ranges: a few in flight, each tried again with pauses that grow, so that a broken connection costs one
//! range and memory stays bounded.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::io::AsyncWriteExt;

use super::{Blob, BlobError, BlobErrorKind, BlobResult, Blobs};

/// Bytes of one range.
const RANGE_BYTES: u64 = 8 << 20;
/// Ranges in flight for one file.
const RANGES_MAX: usize = 3;
/// Attempts for one range, beside those of the client itself.
const ATTEMPTS_MAX: u32 = 4;
/// A range that takes longer is given up and tried again.
const RANGE_TIMEOUT: Duration = Duration::from_secs(120);

/// Copies a blob into a new file and syncs it. The file is exactly as long as the blob was said to be.
pub async fn fetch(blobs: &dyn Blobs, blob: &Blob, into: &Path) -> BlobResult<()> {
    let local =
        |error: std::io::Error| BlobError::new(BlobErrorKind::Transient, format!("cannot write [{}]: {error}", into.display()));
    let mut file = tokio::fs::File::create(into).await.map_err(local)?;
    let ranges = (0..blob.size.div_ceil(RANGE_BYTES)).map(|i| i * RANGE_BYTES..((i + 1) * RANGE_BYTES).min(blob.size));
    let mut chunks = stream::iter(ranges.map(|range| read_chunk(blobs, blob, range))).buffered(RANGES_MAX);
    while let Some(chunk) = chunks.try_next().await? {
        file.write_all(&chunk).await.map_err(local)?;
    }
    file.flush().await.map_err(local)?;
    file.sync_all().await.map_err(local)
}

/// Reads one range with retries; the answer has exactly the range's length.
pub async fn read_chunk(blobs: &dyn Blobs, blob: &Blob, range: Range<u64>) -> BlobResult<Bytes> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let read = tokio::time::timeout(RANGE_TIMEOUT, blobs.read(blob, range.clone())).await;
        let error = match read {
            Ok(Ok(bytes)) if bytes.len() as u64 == range.end - range.start => return Ok(bytes),
            Ok(Ok(bytes)) => failed(blobs, blob, &format!("{} bytes came for the range {range:?}", bytes.len())),
            Ok(Err(error)) => error,
            Err(_) => failed(blobs, blob, &format!("the range {range:?} did not come in time")),
        };
        if error.kind != BlobErrorKind::Transient || attempt == ATTEMPTS_MAX {
            return Err(error);
        }
        tracing::warn!("reading a range failed, trying again. attempt={attempt} error={error}");
        tokio::time::sleep(Duration::from_millis(200 << attempt)).await;
    }
}

fn failed(blobs: &dyn Blobs, blob: &Blob, what: &str) -> BlobError {
    BlobError::new(BlobErrorKind::Transient, format!("{what}. blob={}/{}", blobs.name(), blob.key))
}
