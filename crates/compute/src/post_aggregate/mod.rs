//! Post-aggregators: values computed from the aggregated values of one result row (`PostAggregator`). They run over
//! whole vectors of rows. One file a feature; `registry.rs` lists them.

mod arithmetic;
mod field;
mod registry;
mod spec;

pub use spec::{PostAggregatorFactory, PostAggregatorSpec, PostInputs};
