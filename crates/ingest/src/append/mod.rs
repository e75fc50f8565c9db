//! Rows into segments: batches go into incremental indexes by time chunk and bucket, which spill to disk when the memory
//! budget is used up; at the end the parts of each segment are merged, packaged and pushed.

mod build;
mod feed;
mod lend;
mod meter;
mod partition;
mod projection;
mod sink;

pub use build::{Builder, Built, SegmentPlan, build_segments, pack, write};
pub use feed::{Feed, Input, run_feed};
pub use meter::{Meter, Phase, Totals};
pub use partition::{Assignment, Bucket, Collector, Partitioning};
pub use projection::add_projections;
pub use sink::{Part, PartKey, Sink, SinkLimits};
