//! `base`: what every room talks in - instants, intervals, granularities, segment ids, shard specs, the timeline,
//! error kinds, properties and budgets. No I/O, no runtime, no HTTP.

pub mod error;
pub mod interval;

pub use error::{Category, DruidError, Persona, Result};
pub use interval::Interval;
