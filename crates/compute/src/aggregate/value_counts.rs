//! Counting before sketching: longs within narrow bounds are counted value by value in each group, and only the counts go into
//! the sketch, which is much less work than a sketch of each row.

use std::sync::Arc;

use ovate_base::Result;

use super::Groups;
use super::sketched::{SketchKind, slot};
use crate::column::{Column, Numbers};

/// How often each value was met in each group, for values within narrow bounds.
pub(super) struct ValueCounts {
    min: i64,
    /// Values from `min` on.
    width: usize,
    counts: Vec<u32>,
}

/// Values within bounds of so many are counted, and this many counts are kept at most.
const COUNTED_VALUES_MAX: u64 = 1 << 17;
const COUNTS_MAX: usize = 1 << 21;

impl ValueCounts {
    /// For a column of longs within narrow bounds.
    pub(super) fn of(column: &Arc<dyn Column>) -> Result<Option<Self>> {
        let Some(bounds) = column.long_bounds()? else { return Ok(None) };
        // Values step by step of more than one would leave most counts unused.
        let width = (bounds.max.wrapping_sub(bounds.min) as u64).saturating_add(1);
        if width > COUNTED_VALUES_MAX {
            return Ok(None);
        }
        Ok(Some(ValueCounts { min: bounds.min, width: width as usize, counts: Vec::new() }))
    }

    /// Counts a batch; false, and nothing counted, when there is no room for the groups.
    pub(super) fn add(&mut self, numbers: &Numbers<'_, i64>, groups: Groups<'_>, group_count: usize) -> bool {
        let wanted = group_count.saturating_mul(self.width);
        if wanted > COUNTS_MAX {
            return false;
        }
        if self.counts.len() < wanted {
            self.counts.resize(wanted, 0);
        }
        // A count must not run over before the next flush; segments have fewer rows than that.
        let (min, width) = (self.min, self.width);
        let counts = self.counts.as_mut_slice();
        let mut one = |value: i64, group: usize| {
            let slot = group * width + value.wrapping_sub(min) as usize;
            counts[slot] = counts[slot].saturating_add(1);
        };
        match (numbers.nulls, groups) {
            (None, Groups::One(group)) => numbers.values.iter().for_each(|value| one(*value, group as usize)),
            (None, Groups::Each(groups)) => {
                numbers.values.iter().zip(groups).for_each(|(value, group)| one(*value, *group as usize));
            }
            (Some(nulls), groups) => {
                for (row, (value, null)) in numbers.values.iter().zip(nulls).enumerate() {
                    if !null {
                        one(*value, groups.of(row));
                    }
                }
            }
        }
        true
    }

    /// Gives the counts to the sketches and starts anew.
    pub(super) fn flush<K: SketchKind>(&mut self, kind: &K, states: &mut [Option<K::State>]) -> Result<()> {
        let mut counted = Vec::new();
        for (group, counts) in self.counts.chunks_exact(self.width).enumerate() {
            counted.clear();
            let met = counts.iter().enumerate().filter(|(_, count)| **count > 0);
            counted.extend(met.map(|(at, count)| (self.min + at as i64, u64::from(*count))));
            if !counted.is_empty() {
                kind.update_counted(slot(kind, states, group)?, &counted)?;
            }
        }
        self.counts.clear();
        Ok(())
    }
}
