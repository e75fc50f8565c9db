//! `store`: what outlives a process - the metadata store, deep storage with task logs, and the local segment cache.
//! Nothing here knows what a column is.

pub mod deep;
pub mod local;
pub mod meta;

pub use deep::{DeepStorage, LocalDeepStorage, LocalTaskLogs, TaskLogs};
pub use local::{CacheLocation, LocationSelector, SegmentCache, SegmentCacheSettings};
pub use meta::MetadataStore;

/// Milliseconds since 1970; the clock of this edge.
pub fn now_ms() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_millis() as i64)
}
