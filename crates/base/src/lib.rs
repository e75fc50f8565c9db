//! `base`: what every room talks in - instants, intervals, granularities, segment ids, shard specs, the timeline,
//! error kinds, properties, budgets and Smile. No I/O, no runtime, no HTTP.

pub mod budget;
pub mod error;
pub mod granularity;
#[cfg(test)]
mod hostile;
pub mod interval;
pub mod properties;
pub mod segment;
pub mod smile;
pub mod time;
pub mod timeline;

pub use budget::{Budget, Reservation};
pub use error::{Category, DruidError, Persona, Result};
pub use granularity::Granularity;
pub use interval::Interval;
pub use properties::Properties;
pub use segment::{DataSegment, SegmentDescriptor, SegmentId, ShardSpec};
pub use timeline::Timeline;
