//! Errors of blobs: a message with the store and the key, and the kind that says whether another attempt can help.

use ovate_base::DruidError;

/// What a caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobErrorKind {
    /// No such blob, or no such bucket.
    Missing,
    /// The blob has other content than when it was looked at.
    Changed,
    /// Credentials, permissions or the request itself are wrong; the same again has no sense.
    Refused,
    /// Anything that may pass.
    Transient,
}

/// A failure of a store.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct BlobError {
    pub kind: BlobErrorKind,
    pub message: String,
}

pub type BlobResult<T> = Result<T, BlobError>;

impl BlobError {
    pub fn new(kind: BlobErrorKind, message: impl Into<String>) -> BlobError {
        BlobError { kind, message: message.into() }
    }
}

impl From<BlobError> for DruidError {
    fn from(error: BlobError) -> DruidError {
        match error.kind {
            BlobErrorKind::Missing => DruidError::not_found(error.message),
            BlobErrorKind::Refused => DruidError::forbidden(error.message),
            BlobErrorKind::Changed | BlobErrorKind::Transient => DruidError::runtime(error.message),
        }
    }
}
