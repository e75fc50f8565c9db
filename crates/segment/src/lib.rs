//! `segment`: the immutable Druid V9 file and the mutable index that becomes one. Knows nothing of where bytes came from.

pub mod incremental;
mod interner;
pub mod merge;
pub mod order;
mod packed;
mod parallel;
pub mod read;
pub mod write;

pub use read::Segment;
