//! Running over many segments of one server with several threads: each takes the next segment as it gets free. Few groups are
//! merged as they come; where there are many, they are cut by the hash of their keys, so that each thread merges its
//! own part of them, in tables that fit the cache, and no group is met by two.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};

use ovate_base::{DruidError, Result};
use parking_lot::Mutex;

use super::carried::{Carried, numbers_for};
use super::grouped::GroupedPlan;
use super::pieces::cut;
use super::spilling::{Waiting, is_short_of_memory, merge_spilled};
use super::{QueryContext, SegmentRef, Stage, layered, run_layered};
use crate::document::{Direction, NativeQuery};
use crate::group::{GroupMerger, Spilled, partition};
use crate::merge::merge;
use crate::partial::{GroupsPartial, Held, Partial};
use crate::source::{Layers, push_filter_down};

/// From this many groups in all partials on, merging is cut into parts.
const PARTITIONED_FROM: usize = 50_000;
/// Of this many rows at most, equal groups of one segment may be left to the merge: so many fit in memory even if all are
/// groups of their own.
const LEFT_EQUAL_ROWS_MAX: u64 = 8_000_000;
/// Groups in a part; a table of so many fits the second-level cache.
const PART_ROWS: usize = 20_000;

/// Runs over segments of the query's base table on up to `threads` threads and merges.
pub fn run_segments(query: &NativeQuery, segments: &[SegmentRef], context: &QueryContext, threads: usize) -> Result<Partial> {
    let _timer = context.timer(Stage::Run);
    let query = &push_filter_down(query.clone());
    let layers = Layers::of(query.data_source(), &context.eval)?;
    if matches!(query, NativeQuery::Timeseries(_) | NativeQuery::TopN(_) | NativeQuery::GroupBy(_)) {
        let groups = run_grouped(query, &layers, segments, context, threads.max(1))?;
        if let Some(profile) = &context.profile {
            profile.grouped(groups.rows as u64);
        }
        return Ok(Partial::Groups(groups));
    }
    let threads = threads.clamp(1, segments.len().max(1));
    let one = |segment: &SegmentRef| run_layered(query, &*layered(segment, &layers, context)?, context);
    if let NativeQuery::Scan(scan) = query
        && let Some(limit) = scan.limit
        && (scan.order_by.is_empty() || scan.time_order().is_some())
    {
        let needed = usize::try_from(limit.saturating_add(scan.offset)).unwrap_or(usize::MAX);
        return merge(query, first_rows(segments, threads, needed, scan.time_order(), &one)?, context);
    }
    let partials = on_threads(segments.len(), threads, &|at| one(&segments[at]))?;
    merge(query, partials, context)
}

/// Runs over each segment apart from the others, on up to `threads` threads; partials in the order of the segments.
pub fn run_each(query: &NativeQuery, segments: &[SegmentRef], context: &QueryContext, threads: usize) -> Result<Vec<Partial>> {
    let query = &push_filter_down(query.clone());
    let layers = Layers::of(query.data_source(), &context.eval)?;
    on_threads(segments.len(), threads.clamp(1, segments.len().max(1)), &|at| {
        run_layered(query, &*layered(&segments[at], &layers, context)?, context)
    })
}

/// Scans a few segments at a time, in the order of the rows wanted, until no later segment can add to the first `needed` rows.
fn first_rows(
    segments: &[SegmentRef],
    threads: usize,
    needed: usize,
    order: Option<Direction>,
    one: &(dyn Fn(&SegmentRef) -> Result<Partial> + Sync),
) -> Result<Vec<Partial>> {
    let mut sorted: Vec<&SegmentRef> = segments.iter().collect();
    match order {
        None => {}
        Some(Direction::Ascending) => sorted.sort_by_key(|segment| segment.source.interval().start),
        Some(Direction::Descending) => sorted.sort_by_key(|segment| std::cmp::Reverse(segment.source.interval().end)),
    }
    let (mut partials, mut rows, mut done) = (Vec::new(), 0, 0);
    // The time that has been looked at as a whole.
    let (mut earliest, mut latest) = (i64::MAX, i64::MIN);
    while let Some(next) = sorted.get(done) {
        let next = next.source.interval();
        let beyond = match order {
            None => true,
            Some(Direction::Ascending) => next.start >= latest,
            Some(Direction::Descending) => next.end <= earliest,
        };
        if rows >= needed && beyond {
            break;
        }
        let batch = &sorted[done..(done + threads).min(sorted.len())];
        for segment in batch {
            let interval = segment.source.interval();
            (earliest, latest) = (earliest.min(interval.start), latest.max(interval.end));
        }
        for partial in on_threads(batch.len(), threads, &|at| one(batch[at]))? {
            if let Partial::Scan(scan) = &partial {
                rows += scan.row_count();
            }
            partials.push(partial);
        }
        done += batch.len();
    }
    Ok(partials)
}

/// Does `count` pieces of work on some threads; results in the order of the pieces. The first error ends it.
pub fn on_threads<T: Send>(count: usize, threads: usize, work: &(dyn Fn(usize) -> Result<T> + Sync)) -> Result<Vec<T>> {
    if threads <= 1 || count <= 1 {
        return (0..count).map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<T>>> = (0..count).map(|_| Mutex::new(None)).collect();
    let worker = || -> Result<()> {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                return Ok(());
            }
            match work(at) {
                Ok(result) => *results[at].lock() = Some(result),
                Err(error) => {
                    next.store(count, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(count)).map(|_| scope.spawn(worker)).collect();
        let mut outcome = worker();
        for handle in others {
            let joined = handle.join().unwrap_or_else(|_| Err(DruidError::runtime("a query thread panicked")));
            outcome = outcome.and(joined);
        }
        outcome
    })?;
    Ok(results.into_iter().filter_map(Mutex::into_inner).collect())
}

fn run_grouped(
    query: &NativeQuery,
    layers: &Layers,
    segments: &[SegmentRef],
    context: &QueryContext,
    threads: usize,
) -> Result<GroupsPartial> {
    let plan = GroupedPlan::of(query)?;
    // What sits on top of a segment numbers its rows anew, mere counting ends before a thread has begun, a filter is bound for
    // each piece anew, which may look at whole dictionaries, and buckets of time are mostly answered by block summaries.
    let by_rows = plan.base.filter.is_none() && plan.reads_keys();
    let cut = if layers.is_empty() && !plan.is_quick() && (by_rows || segments.len() < threads) {
        cut(segments, threads, context.piece_rows)?
    } else {
        Cow::Borrowed(segments)
    };
    let segments = cut.as_ref();
    let threads = if plan.is_quick() { 1 } else { threads.clamp(1, segments.len().max(1)) };
    match plan.without_repeats() {
        None => {
            let keep = |groups: GroupsPartial| crate::finalize::keep_needed(query, groups, context);
            run_plan(&plan, layers, segments, context, threads, &keep)
        }
        Some((fewer, places)) => {
            let groups = run_plan(&fewer, layers, segments, context, threads, &Ok)?;
            let aggregates = places.iter().map(|at| groups.aggregates[*at].clone()).collect();
            Ok(GroupsPartial { aggregates, ..groups })
        }
    }
}

/// Over several segments, where the plan allows it, each thread takes its groups along. `None` where it does not.
fn run_carried(
    plan: &GroupedPlan<'_>,
    segments: &[SegmentRef],
    context: &QueryContext,
    threads: usize,
) -> Result<Option<GroupsPartial>> {
    let Some(numbers) = numbers_for(plan, segments, context)? else { return Ok(None) };
    let next = AtomicUsize::new(0);
    let carried = on_threads(threads, threads, &|_| {
        let mut carried = Carried::new(plan, &numbers, context);
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(segment) = segments.get(at) else { return Ok(Some(carried)) };
            if !carried.add(segment, context)? {
                next.store(segments.len(), Ordering::Relaxed);
                return Ok(None);
            }
        }
    })?;
    let mut all: Option<Carried<'_>> = None;
    for carried in carried {
        match (&mut all, carried) {
            (_, None) => return Ok(None),
            (None, first) => all = first,
            (Some(all), Some(carried)) => all.absorb(carried)?,
        }
    }
    if let Some(profile) = &context.profile {
        profile.carried(segments.len() as u64);
    }
    all.map(Carried::finish).transpose()
}

fn run_plan(
    plan: &GroupedPlan<'_>,
    layers: &Layers,
    segments: &[SegmentRef],
    context: &QueryContext,
    threads: usize,
    keep: &(dyn Fn(GroupsPartial) -> Result<GroupsPartial> + Sync),
) -> Result<GroupsPartial> {
    // As Druid merges those of one server in the order of the segments asked for (`ChainedExecutionQueryRunner`).
    let grouped = !plan.dimensions.is_empty();
    let in_order = plan.aggregations.iter().any(|spec| spec.shows_order(grouped));
    if segments.len() > 1 && layers.is_empty() && !in_order {
        match run_carried(plan, segments, context, threads) {
            Ok(Some(groups)) => return Ok(groups),
            Err(short) if context.spill().is_some() && is_short_of_memory(&short) => {}
            other => drop(other?),
        }
    }
    let rows: u64 = segments.iter().map(|segment| u64::from(segment.source.row_count())).sum();
    let may_leave_equal =
        segments.len() > 1 && rows <= LEFT_EQUAL_ROWS_MAX && rows.saturating_mul(128) < context.budget().limit_bytes();
    let pending = Mutex::new((Vec::new(), 0usize));
    let waiting = Waiting::new(plan, context);
    let ran = on_threads(segments.len(), threads, &|at| {
        let segment = layered(&segments[at], layers, context)?;
        let Some((partial, may_repeat)) = waiting.run(&segment, may_leave_equal)? else { return Ok(None) };
        if in_order {
            return Ok(Some((partial, may_repeat)));
        }
        // Small partials are merged at once, so that thousands of segments do not pile up.
        if partial.rows * 8 > PARTITIONED_FROM {
            return waiting.add(partial, may_repeat).map(|()| None);
        }
        let mut small = pending.lock();
        small.1 += partial.rows;
        small.0.push(partial);
        if small.0.len() >= 64 || small.1 > PARTITIONED_FROM {
            let batch = std::mem::take(&mut small.0);
            let merged = sequential(plan, &batch, context)?;
            small.1 = merged.rows;
            small.0.push(merged);
        }
        Ok(None)
    })?;
    ran.into_iter().flatten().try_for_each(|(partial, may_repeat)| waiting.add(partial, may_repeat))?;
    let (small, _) = pending.into_inner();
    if !small.is_empty() {
        waiting.add(sequential(plan, &small, context)?, false)?;
    }
    let (ran, spilled) = waiting.finish()?;
    if let Some(spilled) = spilled {
        return merge_spilled(plan, spilled, context, threads, keep);
    }
    let may_repeat = ran.iter().any(|(_, repeats)| *repeats);
    let mut partials: Vec<GroupsPartial> = ran.into_iter().map(|(partial, _)| partial).collect();
    match merge_held(plan, &mut partials, may_repeat, context, threads) {
        Err(short) if context.spill().is_some() && is_short_of_memory(&short) && !partials.is_empty() => {
            let spilled = spill_all(partials, context)?;
            merge_spilled(plan, spilled, context, threads, keep)
        }
        other => other,
    }
}

/// Puts groups on disk, giving their memory back one by one.
pub(crate) fn spill_all(partials: Vec<GroupsPartial>, context: &QueryContext) -> Result<Spilled> {
    let spill = context.spill().ok_or_else(|| DruidError::defensive("spilling is not allowed"))?;
    let spilled = Spilled::create(spill)?;
    partials.into_iter().try_for_each(|partial| spilled.write(&partial))?;
    if let Some(profile) = &context.profile {
        profile.spilled(spilled.bytes());
    }
    Ok(spilled)
}

/// Merges groups in memory; where there is not enough of it they stay as they were.
fn merge_held(
    plan: &GroupedPlan<'_>,
    partials: &mut Vec<GroupsPartial>,
    may_repeat: bool,
    context: &QueryContext,
    threads: usize,
) -> Result<GroupsPartial> {
    if partials.len() == 1 && !may_repeat {
        return Ok(partials.remove(0));
    }
    let rows: usize = partials.iter().map(|partial| partial.rows).sum();
    if rows < PARTITIONED_FROM {
        return sequential(plan, partials, context);
    }
    let parts = rows.div_ceil(PART_ROWS).next_power_of_two().min(256);
    let cut = on_threads(partials.len(), threads, &|at| Ok(partition(&partials[at], parts, &context.dictionaries)))?;
    if cut.iter().any(Option::is_none) {
        return sequential(plan, partials, context);
    }
    let cut: Vec<Vec<Vec<u32>>> = cut.into_iter().flatten().collect();
    let merged = on_threads(parts, threads, &|part| {
        context.check()?;
        let mut merger = GroupMerger::of_part(plan.key_count(), &plan.aggregations)?.with_dictionaries(&context.dictionaries);
        let mut reservation = context.reservation();
        for (partial, rows) in partials.iter().zip(&cut) {
            merger.push(&partial.pick(&rows[part]))?;
            reservation.set(merger.memory_bytes())?;
        }
        let mut groups = merger.finish()?;
        groups.memory = context.hold(&groups)?;
        Ok(groups)
    })?;
    drop(cut);
    let mut buckets: Vec<i64> = partials.iter().flat_map(|partial| partial.buckets.iter().copied()).collect();
    buckets.sort_unstable();
    buckets.dedup();
    partials.clear();
    let bytes: usize = merged.iter().map(GroupsPartial::memory_bytes).sum();
    let memory = Held::reserve(context.budget(), bytes as u64).map_err(|error| context.grouping_refused(error))?;
    Ok(GroupsPartial { buckets, memory, ..GroupsPartial::concatenate(merged) })
}

fn sequential(plan: &GroupedPlan<'_>, partials: &[GroupsPartial], context: &QueryContext) -> Result<GroupsPartial> {
    let mut merger = GroupMerger::new(plan.key_count(), &plan.aggregations)?.with_dictionaries(&context.dictionaries);
    let mut reservation = context.reservation();
    for partial in partials {
        context.check()?;
        merger.push(partial)?;
        reservation.set(merger.memory_bytes())?;
    }
    let mut groups = merger.finish()?;
    drop(reservation);
    groups.memory = context.hold(&groups)?;
    Ok(groups)
}
