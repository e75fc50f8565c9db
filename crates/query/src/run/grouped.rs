//! The operator of timeseries, topN and groupBy over one segment. Time buckets are row ranges where rows are sorted by
//! time; other keys are codes; strings are met only by the groups that come out.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use ovate_base::{DruidError, Granularity, Interval, Result};
use ovate_compute::aggregate::AggregatorSpec;
use ovate_compute::column::convert::LongReader;
use ovate_compute::dimension::DimensionSpec;
use ovate_compute::{Aggregator, Groups, Rows, TIME_COLUMN, Vector};

use super::context::Reservation;
use super::cursor::{Selection, TimeRows};
use super::keys::SegmentKey;
use super::projected::choose;
use super::{QueryContext, SegmentRef};
use crate::document::{DataSource, GroupByQuery, NativeQuery, QueryBase};
use crate::group::{GroupMerger, GroupTable};
use crate::partial::GroupsPartial;
use crate::source::base_of;

/// Borders between buckets are kept as row ranges up to this many.
const BUCKETS_MAX: usize = 1 << 20;
/// Zero-filling stops with an error beyond this many buckets.
const FILLED_BUCKETS_MAX: usize = 10_000_000;

/// What the three query types have in common.
pub(crate) struct GroupedPlan<'a> {
    pub base: &'a QueryBase,
    pub dimensions: &'a [DimensionSpec],
    pub aggregations: Cow<'a, [AggregatorSpec]>,
    /// Buckets without rows are part of the result.
    pub lists_buckets: bool,
    /// Rows whose dimension holds no value at all are in no group (`StringTopNColumnAggregatesProcessor`); a groupBy has them
    /// under null.
    skips_empty_rows: bool,
}

impl<'a> GroupedPlan<'a> {
    /// The plan of a timeseries, topN or groupBy.
    pub fn of(query: &'a NativeQuery) -> Result<Self> {
        match query {
            NativeQuery::Timeseries(q) => Ok(GroupedPlan {
                base: &q.base,
                dimensions: &[],
                aggregations: Cow::Borrowed(&q.aggregations),
                lists_buckets: true,
                skips_empty_rows: false,
            }),
            NativeQuery::TopN(q) => Ok(GroupedPlan {
                base: &q.base,
                dimensions: std::slice::from_ref(&q.dimension),
                aggregations: Cow::Borrowed(&q.aggregations),
                lists_buckets: true,
                skips_empty_rows: true,
            }),
            NativeQuery::GroupBy(q) => Ok(Self::of_group_by(q)),
            other => Err(DruidError::runtime(format!("query type [{}] does not group", other.query_type()))),
        }
    }

    /// The plan of a groupBy.
    pub fn of_group_by(q: &'a GroupByQuery) -> Self {
        GroupedPlan {
            base: &q.base,
            dimensions: &q.dimensions,
            aggregations: Cow::Borrowed(&q.aggregations),
            lists_buckets: false,
            skips_empty_rows: false,
        }
    }

    /// The plan with each aggregator once, and where each of its own is among those; `None` where they all differ.
    pub fn without_repeats(&self) -> Option<(GroupedPlan<'a>, Vec<usize>)> {
        if self.aggregations.len() < 2 {
            return None;
        }
        let nameless: Vec<_> = self.aggregations.iter().map(|spec| spec.with_name("").to_json()).collect();
        let (mut kept, mut places): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
        for (at, json) in nameless.iter().enumerate() {
            let known = kept.iter().position(|first| nameless[*first] == *json);
            places.push(known.unwrap_or(kept.len()));
            if known.is_none() {
                kept.push(at);
            }
        }
        if kept.len() == self.aggregations.len() {
            return None;
        }
        let aggregations = kept.iter().map(|at| self.aggregations[*at].clone()).collect();
        Some((GroupedPlan { aggregations, ..*self }, places))
    }

    /// True when the whole answer is a number of rows.
    pub fn counts_only(&self) -> bool {
        self.dimensions.is_empty() && self.aggregations.iter().all(|a| a.type_name() == "count")
    }

    /// True when the answer is only a number of rows that nothing has to be read for.
    pub fn is_quick(&self) -> bool {
        self.counts_only() && self.base.filter.is_none() && self.base.granularity == Granularity::All
    }

    /// True when every row's key has to be read: some dimension is a stored column.
    pub fn reads_keys(&self) -> bool {
        let computed = |name: &str| self.base.virtual_columns.iter().any(|column| column.name() == name);
        self.dimensions.iter().any(|spec| !computed(spec.dimension()))
    }

    /// The table whose segments share dictionaries.
    pub fn table(&self) -> &str {
        match base_of(&self.base.data_source) {
            DataSource::Table(name) | DataSource::GlobalTable(name) => name,
            _ => "",
        }
    }

    /// Number of key columns: the time bucket, unless the granularity is `all`, and the dimensions.
    pub fn key_count(&self) -> usize {
        self.dimensions.len() + usize::from(self.base.granularity != Granularity::All)
    }
}

/// Runs over one segment; every key comes out once.
pub(super) fn run(query: &NativeQuery, segment: &SegmentRef, context: &QueryContext) -> Result<GroupsPartial> {
    let plan = GroupedPlan::of(query)?;
    let (partial, may_repeat) = run_once(&plan, segment, context, false, None)?;
    if !may_repeat {
        return Ok(partial);
    }
    let mut merger = GroupMerger::new(plan.key_count(), &plan.aggregations)?;
    merger.push(&partial)?;
    merger.finish()
}

/// Runs over one segment. With true, the same key may come out more than once; `may_leave_equal` says that this is welcome
/// where it saves time. `only`: of these rows; those of other pieces of the segment may have the same keys.
pub(super) fn run_once(
    plan: &GroupedPlan<'_>,
    segment: &SegmentRef,
    context: &QueryContext,
    may_leave_equal: bool,
    only: Option<Range<u32>>,
) -> Result<(GroupsPartial, bool)> {
    if only.is_none()
        && let Some(projected) = choose(plan, segment, context)?
    {
        if let Some(profile) = &context.profile {
            profile.projected(&projected.name);
        }
        let own = GroupedPlan { base: &projected.base, aggregations: Cow::Owned(projected.aggregations), ..*plan };
        let (partial, may_repeat) = run_rows(&own, &projected.segment, context, may_leave_equal, None)?;
        if !plan.lists_buckets {
            return Ok((partial, may_repeat));
        }
        // Those of the segment's own rows: times of a projection are rounded.
        let rows = Selection::over(segment.source.clone(), None, &segment.intervals, &context.clone().with_profile(None))?;
        return Ok((GroupsPartial { buckets: listed_buckets(plan, segment, &rows)?, ..partial }, may_repeat));
    }
    run_rows(plan, segment, context, may_leave_equal, only)
}

/// Runs over the rows themselves.
fn run_rows(
    plan: &GroupedPlan<'_>,
    segment: &SegmentRef,
    context: &QueryContext,
    may_leave_equal: bool,
    only: Option<Range<u32>>,
) -> Result<(GroupsPartial, bool)> {
    let mut selection = Selection::open(plan.base, segment, context)?;
    if let Some(only) = only {
        selection.restrict(only);
    }
    let buckets = if plan.lists_buckets { listed_buckets(plan, segment, &selection)? } else { Vec::new() };
    let (pieces, time_key) = time_pieces(plan, &selection)?;
    if plan.counts_only()
        && time_key.as_ref().is_none_or(SegmentKey::is_constant)
        && let Some(partial) = count_only(plan, &selection, &pieces, &time_key)
    {
        return Ok((GroupsPartial { buckets, ..partial }, false));
    }
    let mut keys: Vec<SegmentKey> = time_key.into_iter().collect();
    let stepped = stepped_pieces(plan, &selection, &keys, &pieces)?;
    for spec in plan.dimensions {
        let column = spec.column(&selection.source, &context.eval)?;
        // Only groupBy reads the switch.
        let repeats = plan.lists_buckets || plan.base.context.bool("groupByEnableMultiValueUnnesting", true)?;
        // A column that its segment keeps has other owners than this one.
        let kept = column.clone().filter(|column| {
            matches!(spec, DimensionSpec::Default { .. }) && column.capabilities().bitmaps && Arc::strong_count(column) > 2
        });
        let key = SegmentKey::dimension(column, spec.output_type())?
            .skipping_nulls(plan.lists_buckets && filters_null(spec))
            .skipping_empty_rows(plan.skips_empty_rows)
            .single_valued((!repeats).then(|| spec.dimension()))
            .stepping(stepped.is_some() && time_step(spec, &selection).is_some());
        keys.push(key.share(kept, || context.dictionaries.column(plan.table(), spec.dimension())));
    }
    let may_repeat = keys.iter().any(SegmentKey::may_repeat);
    let aggregators: Vec<Box<dyn Aggregator>> =
        plan.aggregations.iter().map(|spec| spec.bind(&selection.source, &context.eval)).collect::<Result<_>>()?;
    let may_leave_equal = may_leave_equal && keys.iter().all(SegmentKey::is_cut_by_number);
    let mut kernel = Kernel::new(keys, aggregators, may_leave_equal, context);
    for (bucket, range) in stepped.unwrap_or(pieces) {
        kernel.start_piece(bucket, range.start)?;
        selection.batches(range, context, &mut |rows| kernel.add(rows).map(|()| true))?;
    }
    let may_repeat = may_repeat || kernel.leaves_equal;
    Ok((kernel.finish(buckets)?, may_repeat))
}

/// The granularity within which a dimension made of the time keeps its value.
fn time_step(spec: &DimensionSpec, selection: &Selection) -> Option<Granularity> {
    match spec {
        DimensionSpec::Default { dimension, .. } if selection.source.is_time_sorted() => selection.source.time_step(dimension),
        _ => None,
    }
}

/// A piece of this many rows at least, on average, is worth being run by itself.
const PIECE_ROWS_MIN: usize = 256;

/// The pieces cut further where dimensions that are made of the time change. `None` where there are none, or where they
/// change with nearly every row.
fn stepped_pieces(
    plan: &GroupedPlan<'_>,
    selection: &Selection,
    keys: &[SegmentKey],
    pieces: &[(u32, Range<u32>)],
) -> Result<Option<Vec<(u32, Range<u32>)>>> {
    let steps: Vec<Granularity> = plan.dimensions.iter().filter_map(|spec| time_step(spec, selection)).collect();
    if steps.is_empty() || !keys.iter().all(SegmentKey::is_constant) {
        return Ok(None);
    }
    let Some(mut times) = TimeRows::open(&selection.source)? else { return Ok(None) };
    let mut cut = pieces.to_vec();
    let rows: usize = cut.iter().map(|(_, range)| range.len()).sum();
    for step in &steps {
        let mut finer = Vec::with_capacity(cut.len());
        for (bucket, range) in cut {
            let most = (rows / PIECE_ROWS_MIN + 16).saturating_sub(finer.len());
            let Some(parts) = times.buckets_up_to(range, step, most)? else { return Ok(None) };
            finer.extend(parts.into_iter().map(|(_, part)| (bucket, part)));
        }
        cut = finer;
    }
    Ok(Some(cut))
}

/// True for a value filter that does not let null pass (`BaseFilteredDimensionSpec`): its rows have no value then.
fn filters_null(spec: &DimensionSpec) -> bool {
    match spec {
        DimensionSpec::ListFiltered { values, is_whitelist, .. } => values.contains(&None) != *is_whitelist,
        DimensionSpec::PrefixFiltered { .. } | DimensionSpec::RegexFiltered { .. } => true,
        DimensionSpec::Default { .. } | DimensionSpec::Extraction { .. } | DimensionSpec::Lookup { .. } => false,
    }
}

/// Row ranges with the number of their bucket, and the key that tells the bucket.
#[allow(clippy::type_complexity)]
fn time_pieces(plan: &GroupedPlan<'_>, selection: &Selection) -> Result<(Vec<(u32, std::ops::Range<u32>)>, Option<SegmentKey>)> {
    let whole = || selection.ranges.iter().map(|range| (0, range.clone())).collect();
    let granularity = &plan.base.granularity;
    if *granularity == Granularity::All {
        return Ok((whole(), None));
    }
    let Some(mut times) = TimeRows::open(&selection.source)? else {
        return Ok((whole(), Some(SegmentKey::buckets(vec![granularity.bucket_start(0)]))));
    };
    if selection.source.is_time_sorted() && *granularity != Granularity::None {
        let (mut pieces, mut starts): (Vec<_>, Vec<i64>) = (Vec::new(), Vec::new());
        for range in &selection.ranges {
            for (start, rows) in times.buckets(range.clone(), granularity)? {
                if starts.last() != Some(&start) {
                    starts.push(start);
                }
                pieces.push((starts.len() as u32 - 1, rows));
            }
        }
        if starts.len() <= BUCKETS_MAX {
            return Ok((pieces, Some(SegmentKey::buckets(starts))));
        }
    }
    let column = selection.source.column(TIME_COLUMN)?;
    Ok((whole(), Some(SegmentKey::time(LongReader::open(column.as_ref())?, granularity.clone()))))
}

/// Buckets that this segment answers for, with rows or without: those of its intervals between its first and last row
/// (`CursorGranularizer`). For granularity `all` the first instant looked at.
pub(super) fn listed_buckets(plan: &GroupedPlan<'_>, segment: &SegmentRef, selection: &Selection) -> Result<Vec<i64>> {
    let granularity = &plan.base.granularity;
    let bounds = match TimeRows::open(&selection.source)? {
        Some(mut times) => times.bounds(selection.source.is_time_sorted())?,
        None => (selection.source.row_count() > 0).then_some((0, 0)),
    };
    let Some((min, max)) = bounds else { return Ok(Vec::new()) };
    let end = match granularity {
        Granularity::All | Granularity::None => max.saturating_add(1),
        _ => granularity.bucket_end(max),
    };
    let data = Interval { start: min, end };
    let mut buckets = Vec::new();
    for interval in &segment.intervals {
        let Some(clipped) = interval.intersect(&data) else { continue };
        match granularity {
            Granularity::All => return Ok(vec![clipped.start]),
            // Every millisecond would be a bucket; only rows that are there count.
            Granularity::None => return Ok(Vec::new()),
            _ => {}
        }
        for bucket in granularity.buckets(clipped) {
            if buckets.last() != Some(&bucket.start) {
                buckets.push(bucket.start);
            }
            if buckets.len() > FILLED_BUCKETS_MAX {
                return Err(DruidError::resource_limit(format!("granularity gives more than {FILLED_BUCKETS_MAX} buckets")));
            }
        }
    }
    Ok(buckets)
}

/// Counts from row ranges and bitmaps alone.
fn count_only(
    plan: &GroupedPlan<'_>,
    selection: &Selection,
    pieces: &[(u32, std::ops::Range<u32>)],
    time_key: &Option<SegmentKey>,
) -> Option<GroupsPartial> {
    let buckets = time_key.as_ref().map_or(1, |key| key.limit() as usize);
    let mut counts = vec![0i64; buckets];
    for (bucket, range) in pieces {
        counts[*bucket as usize] += selection.count_without_reading(range)? as i64;
    }
    let met: Vec<u32> = (0..buckets as u32).filter(|bucket| counts[*bucket as usize] > 0).collect();
    let values: Vec<i64> = met.iter().map(|bucket| counts[*bucket as usize]).collect();
    let rows = met.len();
    let keys = time_key.as_ref().map(|key| key.bucket_vector(met)).into_iter().collect();
    let aggregates = plan.aggregations.iter().map(|_| Vector::Long { values: values.clone(), nulls: None }).collect();
    Some(GroupsPartial { keys, aggregates, rows, ..GroupsPartial::default() })
}

/// Keys, groups and aggregators of one segment on one thread.
struct Kernel {
    keys: Vec<SegmentKey>,
    table: GroupTable,
    aggregators: Vec<Box<dyn Aggregator>>,
    constant: bool,
    ids: Vec<Vec<u32>>,
    offsets: Vec<Vec<u32>>,
    groups: Vec<u32>,
    reservation: Reservation,
    batches: u32,
    rows: usize,
    may_leave_equal: bool,
    /// Groups with equal keys may be left apart.
    leaves_equal: bool,
}

/// After so many rows a kernel knows whether its keys repeat.
const TRIED_ROWS: usize = 4 * 8192;

impl Kernel {
    fn new(keys: Vec<SegmentKey>, aggregators: Vec<Box<dyn Aggregator>>, may_leave_equal: bool, context: &QueryContext) -> Self {
        let limits: Vec<u64> = keys.iter().map(SegmentKey::limit).collect();
        Kernel {
            table: GroupTable::new(&limits),
            constant: keys.iter().all(SegmentKey::is_constant),
            ids: vec![Vec::new(); keys.len()],
            offsets: vec![Vec::new(); keys.len()],
            groups: Vec::new(),
            reservation: context.reservation(),
            batches: 0,
            rows: 0,
            may_leave_equal,
            leaves_equal: false,
            keys,
            aggregators,
        }
    }

    /// Says that the next rows lie in this bucket, the first of them being `row`.
    fn start_piece(&mut self, bucket: u32, row: u32) -> Result<()> {
        if let Some(key) = self.keys.first_mut() {
            key.set_bucket(bucket);
        }
        self.keys.iter_mut().try_for_each(|key| key.start_piece(row))
    }

    fn add(&mut self, rows: Rows<'_>) -> Result<()> {
        if self.constant {
            for ((key, ids), offsets) in self.keys.iter_mut().zip(&mut self.ids).zip(&mut self.offsets) {
                key.read(Rows::Range(0..1), ids, offsets)?;
            }
            self.table.groups_of(&self.ids, 1, &mut self.groups);
            let group = self.groups[0];
            for aggregator in &mut self.aggregators {
                aggregator.resize(self.table.len());
                aggregator.add(rows.clone(), Groups::One(group))?;
            }
            return Ok(());
        }
        let mut multi = false;
        for ((key, ids), offsets) in self.keys.iter_mut().zip(&mut self.ids).zip(&mut self.offsets) {
            if key.read(rows.clone(), ids, offsets)? {
                multi = true;
            } else {
                offsets.clear();
            }
        }
        if multi {
            return self.add_exploded(&rows);
        }
        self.table.groups_of(&self.ids, rows.len(), &mut self.groups);
        self.rows += rows.len();
        if self.may_leave_equal && self.rows >= TRIED_ROWS {
            self.may_leave_equal = false;
            if self.table.is_hashed() && self.table.len() > self.rows / 8 * 7 {
                self.leaves_equal = true;
                self.table.stop_looking();
            }
        }
        self.aggregate(rows)
    }

    fn aggregate(&mut self, rows: Rows<'_>) -> Result<()> {
        for aggregator in &mut self.aggregators {
            aggregator.resize(self.table.len());
            aggregator.add(rows.clone(), Groups::Each(&self.groups))?;
        }
        self.batches += 1;
        if self.batches.is_multiple_of(16) {
            let keys: usize = self.keys.iter().map(SegmentKey::memory_bytes).sum();
            let states: usize = self.aggregators.iter().map(|a| a.memory_bytes()).sum();
            self.reservation.set(keys + states + self.table.memory_bytes())?;
        }
        Ok(())
    }

    /// Rows with several values go to the group of each combination. Round `r` takes the `r`th combination of every row
    /// that has so many, so that row numbers stay distinct within a round.
    fn add_exploded(&mut self, rows: &Rows<'_>) -> Result<()> {
        let row_ids: Vec<u32> = match rows {
            Rows::Range(range) => range.clone().collect(),
            Rows::Ids(ids) => ids.to_vec(),
        };
        let all = std::mem::replace(&mut self.ids, vec![Vec::new(); self.keys.len()]);
        let count = |key: usize, row: usize| -> u64 {
            let offsets = &self.offsets[key];
            if offsets.is_empty() { 1 } else { u64::from(offsets[row + 1] - offsets[row]) }
        };
        let combinations: Vec<u64> = (0..row_ids.len()).map(|row| (0..all.len()).map(|key| count(key, row)).product()).collect();
        let rounds = combinations.iter().copied().max().unwrap_or(0);
        let mut alive: Vec<u32> = (0..row_ids.len() as u32).collect();
        for round in 0..rounds {
            alive.retain(|row| combinations[*row as usize] > round);
            for (key, column) in all.iter().enumerate() {
                self.ids[key].clear();
                let offsets = &self.offsets[key];
                for row in &alive {
                    let row = *row as usize;
                    if offsets.is_empty() {
                        self.ids[key].push(column[row]);
                        continue;
                    }
                    let stride: u64 = (key + 1..all.len())
                        .map(|later| {
                            let offsets = &self.offsets[later];
                            if offsets.is_empty() { 1 } else { u64::from(offsets[row + 1] - offsets[row]) }
                        })
                        .product();
                    let values = u64::from(offsets[row + 1] - offsets[row]);
                    self.ids[key].push(column[(u64::from(offsets[row]) + round / stride % values) as usize]);
                }
            }
            let picked: Vec<u32> = alive.iter().map(|row| row_ids[*row as usize]).collect();
            self.table.groups_of(&self.ids, picked.len(), &mut self.groups);
            self.aggregate(Rows::Ids(&picked))?;
        }
        self.ids = all;
        Ok(())
    }

    fn finish(mut self, buckets: Vec<i64>) -> Result<GroupsPartial> {
        let rows = self.table.len();
        let mut aggregates = Vec::with_capacity(self.aggregators.len());
        for aggregator in &mut self.aggregators {
            aggregator.resize(rows);
            aggregates.push(aggregator.take_partial()?);
        }
        let keys =
            self.keys.into_iter().zip(self.table.into_keys()).map(|(key, ids)| key.into_vector(ids)).collect::<Result<_>>()?;
        Ok(GroupsPartial { keys, aggregates, rows, buckets, ..GroupsPartial::default() })
    }
}
