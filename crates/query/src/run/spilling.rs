//! Grouping within a budget: the groups of segments that have run wait in memory, and on disk once memory is short; a segment
//! whose own groups do not fit is run in pieces. What waits on disk is merged part by part.

use ovate_base::{DruidError, Result};
use parking_lot::Mutex;

use super::grouped::{GroupedPlan, run_once};
use super::parallel::on_threads;
use super::{QueryContext, SegmentRef};
use crate::group::{GroupMerger, Spilled};
use crate::partial::{GroupsPartial, Held};

/// Rows of a segment that are grouped at a time when all do not fit, at first.
const PIECE_ROWS_MAX: u32 = 1 << 20;
/// And at least; where even these do not fit, the query is refused.
const PIECE_ROWS_MIN: u32 = 1 << 14;

/// True for an error that spilling may help against.
pub(crate) fn is_short_of_memory(error: &DruidError) -> bool {
    error.is_resource_limit()
}

/// What waits to be merged.
pub(super) struct Waiting<'a> {
    plan: &'a GroupedPlan<'a>,
    context: &'a QueryContext,
    held: Mutex<Vec<(GroupsPartial, bool)>>,
    spilled: Mutex<Option<Spilled>>,
}

impl<'a> Waiting<'a> {
    pub fn new(plan: &'a GroupedPlan<'a>, context: &'a QueryContext) -> Self {
        Waiting { plan, context, held: Mutex::default(), spilled: Mutex::new(None) }
    }

    /// Runs the plan over a segment; `None` when its groups wait here already.
    pub fn run(&self, segment: &SegmentRef, may_leave_equal: bool) -> Result<Option<(GroupsPartial, bool)>> {
        let error = match run_once(self.plan, segment, self.context, may_leave_equal, None) {
            Err(error) if self.helps(&error) => error,
            other => return other.map(Some),
        };
        self.flush()?;
        let (rows, mut step) = (segment.source.row_count(), PIECE_ROWS_MAX);
        let mut start = 0;
        while start < rows {
            self.context.check()?;
            let piece = start..rows.min(start.saturating_add(step));
            match run_once(self.plan, segment, self.context, false, Some(piece.clone())) {
                Ok((partial, _)) => {
                    self.spill(&partial)?;
                    start = piece.end;
                }
                Err(short) if is_short_of_memory(&short) && step > PIECE_ROWS_MIN => step /= 4,
                Err(short) if is_short_of_memory(&short) => return Err(error),
                Err(other) => return Err(other),
            }
        }
        Ok(None)
    }

    fn helps(&self, error: &DruidError) -> bool {
        self.context.spill().is_some() && is_short_of_memory(error)
    }

    /// Keeps groups, in memory if they fit.
    pub fn add(&self, mut partial: GroupsPartial, may_repeat: bool) -> Result<()> {
        match Held::reserve(self.context.budget(), partial.memory_bytes() as u64) {
            Ok(held) => {
                partial.memory = held;
                self.held.lock().push((partial, may_repeat));
                Ok(())
            }
            Err(error) if self.helps(&error) => {
                self.flush()?;
                self.spill(&partial)
            }
            Err(error) => Err(self.context.grouping_refused(error)),
        }
    }

    fn flush(&self) -> Result<()> {
        let held = std::mem::take(&mut *self.held.lock());
        held.into_iter().try_for_each(|(partial, _)| self.spill(&partial))
    }

    fn spill(&self, partial: &GroupsPartial) -> Result<()> {
        let Some(spill) = self.context.spill() else { return Err(DruidError::defensive("spilling is not allowed")) };
        let mut spilled = self.spilled.lock();
        let spilled = match &mut *spilled {
            Some(spilled) => spilled,
            none => none.insert(Spilled::create(spill)?),
        };
        let before = spilled.bytes();
        spilled.write(partial)?;
        if let Some(profile) = &self.context.profile {
            profile.spilled(spilled.bytes() - before);
        }
        Ok(())
    }

    /// What waits in memory and, if anything was spilled, everything on disk.
    pub fn finish(self) -> Result<(Vec<(GroupsPartial, bool)>, Option<Spilled>)> {
        if self.spilled.lock().is_some() {
            self.flush()?;
        }
        Ok((self.held.into_inner(), self.spilled.into_inner()))
    }
}

/// Merges what waits on disk; `keep` may cut the groups of a part.
pub(crate) fn merge_spilled(
    plan: &GroupedPlan<'_>,
    spilled: Spilled,
    context: &QueryContext,
    threads: usize,
    keep: &(dyn Fn(GroupsPartial) -> Result<GroupsPartial> + Sync),
) -> Result<GroupsPartial> {
    let merged = on_threads(spilled.parts(), threads, &|part| {
        context.check()?;
        let mut merger = GroupMerger::of_part(plan.key_count(), &plan.aggregations)?;
        let mut reservation = context.reservation();
        let reading = spilled.part_bytes(part) as usize;
        reservation.set(reading)?;
        spilled.read(part, &mut |piece| {
            merger.push(&piece)?;
            reservation.set(reading + merger.memory_bytes())
        })?;
        let mut groups = keep(merger.finish()?)?;
        groups.memory = context.hold(&groups)?;
        drop(reservation);
        Ok(groups)
    })?;
    let buckets = spilled.take_buckets();
    drop(spilled);
    let whole: usize = merged.iter().map(GroupsPartial::memory_bytes).sum();
    let memory = Held::reserve(context.budget(), whole as u64).map_err(|error| context.grouping_refused(error))?;
    Ok(GroupsPartial { buckets, memory, ..GroupsPartial::concatenate(merged) })
}
