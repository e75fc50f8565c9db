//! Writes Druid V9 segment directories (`formats/segment-v9.md`; Druid's `IndexMergerV9`).

pub mod spec;

pub use spec::{Compression, IndexSpec, LongEncoding, StringDictionaryEncoding};

use ovate_base::Interval;

/// What was written, as the segment's descriptor needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteReport {
    pub row_count: u64,
    /// Dimensions in stored order.
    pub dimensions: Vec<String>,
    /// Metrics by name.
    pub metrics: Vec<String>,
    /// From the first row's time to just after the last one's; `None` without rows.
    pub interval: Option<Interval>,
    /// Bytes of all files.
    pub size_bytes: u64,
}
