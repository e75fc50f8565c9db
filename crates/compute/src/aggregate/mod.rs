//! Aggregators over groups. One [`Aggregator`] holds the state of all groups of one thread; its partial result is a
//! [`Vector`] with one entry a group, which crosses processes and merges in any order.

use ovate_base::Result;

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
