//! Writes Druid V9 segment directories (`formats/segment-v9.md`; Druid's `IndexMergerV9`). Little endian, Roaring bitmaps.
//! [`write_segment`] takes whole columns; `incremental` and `merge` make them.

mod bitmaps;
mod column;
mod complex;
mod compress;
mod contributed;
pub mod data;
mod front_coded;
mod indexed;
mod ints;
mod lzf;
mod metadata;
mod nested;
mod numeric;
mod pairs;
mod projection;
mod segment;
mod smoosh;
pub mod spec;
mod string;

pub use metadata::SegmentMetadata;
pub(crate) use nested::logical_type;
pub use projection::{ProjectionColumn, ProjectionRows, append_projections};
pub use segment::{SegmentRows, write_segment};
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

#[cfg(test)]
pub(crate) mod tests {
    /// Bytes written as hexadecimal text with blanks.
    pub(crate) fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }
}
