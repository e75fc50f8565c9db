//! Aggregators over groups. An [`AggregatorSpec`] is what a query or a metrics spec says (`AggregatorFactory`); bound
//! to a column source it gives an [`Aggregator`], which holds the state of all groups of one thread. Its partial result
//! is a [`Vector`] with one entry a group in Druid's intermediate form: it crosses processes, merges in any order and
//! is what segments store. One file a feature; `registry.rs` lists them.

mod any;
mod bloom;
mod cardinality;
mod count;
mod filtered;
mod first_last;
mod grouping;
pub(crate) mod histogram;
mod hll_sketch;
pub(crate) mod hyper_unique;
mod input;
pub(crate) mod json;
mod lambda;
mod mean;
pub(crate) mod number;
mod quantiles_sketch;
mod registry;
mod simple;
mod single_value;
pub(crate) mod sketched;
mod spec;
pub(crate) mod theta_sketch;
pub(crate) mod tuple_sketch;
pub(crate) mod variance;

use ovate_base::Result;

pub use spec::{AggregatorFactory, AggregatorSpec};

use crate::column::Rows;
use crate::vector::Vector;

/// Which group each of the rows belongs to.
#[derive(Debug, Clone, Copy)]
pub enum Groups<'a> {
    /// All rows belong to this group.
    One(u32),
    /// One group number a row.
    Each(&'a [u32]),
}

impl Groups<'_> {
    /// The group of the `index`th row of the batch; for loops that are not hot.
    pub fn of(&self, index: usize) -> usize {
        match self {
            Groups::One(group) => *group as usize,
            Groups::Each(groups) => groups[index] as usize,
        }
    }
}

/// Running state of one aggregator, bound to a column source, for group numbers `0..groups`.
pub trait Aggregator: Send {
    /// Makes room for this many groups; new groups start empty. Never shrinks.
    fn resize(&mut self, groups: usize);
    /// Adds rows of the bound source.
    fn add(&mut self, rows: Rows<'_>, groups: Groups<'_>) -> Result<()>;
    /// Merges partial entries: entry `i` of `partial` goes to group `groups[i]`.
    fn merge(&mut self, partial: &Vector, groups: &[u32]) -> Result<()>;
    /// Takes the partial result of all groups, in Druid's intermediate form, and leaves the state empty.
    fn take_partial(&mut self) -> Result<Vector>;
    /// Bytes held, for the memory budget.
    fn memory_bytes(&self) -> usize;
}

/// A merger was asked to read rows.
fn merge_only() -> ovate_base::DruidError {
    ovate_base::DruidError::runtime("aggregator state without a source was asked to add rows")
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod laws;
