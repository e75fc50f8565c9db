//! Post-aggregators: values computed from the aggregated values of one result row (`PostAggregator`). They run over
//! whole vectors of rows. One file a feature; `registry.rs` lists them.

mod arithmetic;
mod bitmap64;
mod contributed;
mod expression;
mod extremes;
mod field;
mod histogram;
mod hll;
mod moments;
mod quantiles;
mod registry;
mod sketched;
mod spec;
mod spectator;
mod stats;
mod t_test;
#[cfg(test)]
mod tests;
mod theta;
mod tuple;
mod ztest;

pub use spec::{PostAggregatorFactory, PostAggregatorSpec, PostInputs};
