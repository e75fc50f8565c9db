//! Time as Druid has it from Joda: instants are UTC milliseconds in an `i64`, of any year; zones, periods and patterns
//! follow Joda's rules. All arithmetic is ours and total: no text or number from outside can make it panic.

pub mod calendar;
mod instant;
pub mod pattern;
mod period;
mod timestamp;
mod zone;

pub use calendar::Civil;
pub use instant::{format_iso, format_iso_in, format_iso_into, instant_from_json, parse_instant, parse_instant_in};
pub use pattern::DateTimePattern;
pub use period::Period;
pub use timestamp::TimestampFormat;
pub use zone::Zone;
