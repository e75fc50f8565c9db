//! Reads Druid segments (formats V9 and V10) straight from their mapped files. Every byte is untrusted: what does not fit is an error
//! that names segment and column. `README.md` of the room draws the layouts. Called through [`Segment`].

mod accelerator;
mod bitmap;
mod blob;
mod blocks;
mod cache;
mod clusters;
mod complex_column;
mod compression;
mod constant_column;
mod contributed;
mod cursor;
mod descriptor;
mod dictionary;
mod digests;
mod files;
mod fixed;
mod fixed_indexed;
mod front_coded;
mod generic_indexed;
mod ints;
mod long_block;
mod metadata;
mod multi_ints;
mod nested;
mod null_column;
mod numeric_column;
mod packed;
mod pairs;
mod projection;
mod row_bits;
mod segment;
mod smile;
mod string_column;
mod v10;

/// The `errorCode` of errors about damaged bytes: whoever owns the segment may look for another copy.
pub const DAMAGED: &str = "damagedSegment";

pub use accelerator::{ACCELERATED_ROWS_MIN, ACCELERATOR_FILE, Accelerator};
pub use cache::{decoded_cache_bytes, set_decoded_cache_bytes};
pub use digests::Digests;
pub use metadata::{OrderBy, SegmentMetadata};
pub use projection::ProjectionSchema;
pub use segment::Segment;
