//! The sketches behind approximate aggregators, in the bytes that Druid and Apache DataSketches store.

pub mod hyperloglog;
pub mod murmur3;
pub mod pair;
