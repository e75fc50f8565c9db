//! `base`: what every room talks in - instants, intervals, granularities, segment ids, shard specs, the timeline,
//! error kinds, properties and budgets. No I/O, no runtime, no HTTP.

pub mod error;
pub mod granularity;
pub mod interval;
pub mod time;

pub use error::{Category, DruidError, Persona, Result};
pub use granularity::Granularity;
pub use interval::Interval;
