//! What a segment is called and described by: ids, descriptors, `DataSegment` and shard specs.

mod data_segment;
mod id;
pub mod shard;

pub use data_segment::DataSegment;
pub use id::{SegmentDescriptor, SegmentId};
pub use shard::ShardSpec;
