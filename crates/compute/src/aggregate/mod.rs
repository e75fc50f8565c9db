//! Aggregators over groups. An [`AggregatorSpec`] is what a query or a metrics spec says (`AggregatorFactory`); bound
//! to a column source it gives an [`Aggregator`], which holds the state of all groups of one thread. Its partial result
//! is a [`Vector`] with one entry a group in Druid's intermediate form: it crosses processes, merges in any order and
//! is what segments store. One file a feature; `registry.rs` lists them.

mod any;
pub(crate) mod bitmap64;
mod bloom;
mod break_histogram;
mod cardinality;
mod count;
mod dd_sketch;
mod decimal;
mod distinct_count;
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
mod moments;
pub(crate) mod number;
mod quantiles_sketch;
mod registry;
mod simple;
mod single_value;
pub(crate) mod sketched;
mod spec;
mod spectator;
pub mod stored_items;
mod t_digest;
pub(crate) mod theta_sketch;
mod time_extreme;
pub(crate) mod tuple_sketch;
mod value_counts;
pub(crate) mod variance;

use std::any::Any;

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
    /// The state itself, for [`Aggregator::take_groups`] and [`Aggregator::absorb`]; only kinds that can do the first give it.
    fn as_any(&mut self) -> Option<&mut dyn Any> {
        None
    }
    /// Takes the groups of a state of the same aggregator that was bound to another source, group numbers and all, so that a
    /// thread goes on with them over its next segment. False when it cannot, and nothing changed.
    fn take_groups(&mut self, _before: &mut dyn Aggregator) -> bool {
        false
    }
    /// Merges a state of the same aggregator, of as many groups with the same numbers, and leaves that one empty.
    fn absorb(&mut self, other: &mut dyn Aggregator) -> Result<()> {
        let partial = other.take_partial()?;
        let groups: Vec<u32> = (0..partial.len() as u32).collect();
        self.merge(&partial, &groups)
    }
}

/// The state of this very type, when `before` is one.
fn same_kind<A: 'static>(before: &mut dyn Aggregator) -> Option<&mut A> {
    before.as_any().and_then(|state| state.downcast_mut::<A>())
}

/// A merger was asked to read rows.
fn merge_only() -> ovate_base::DruidError {
    ovate_base::DruidError::runtime("aggregator state without a source was asked to add rows")
}

/// Two states of different aggregators were to become one.
fn other_kind() -> ovate_base::DruidError {
    ovate_base::DruidError::runtime("aggregator states of different kinds do not merge")
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod laws;
