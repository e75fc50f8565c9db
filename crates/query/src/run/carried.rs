//! Grouping by nothing, or by one column whose values have the same small numbers in all segments, over many segments: the
//! numbers are the groups, a thread takes its groups along from segment to segment, and threads add theirs up place by
//! place. No group is looked up in a table, and no sketch becomes bytes before the end.

use std::sync::Arc;

use ovate_base::{DruidError, Granularity, Result};
use ovate_compute::column::{Column, ColumnReader, LongBounds};
use ovate_compute::{Aggregator, ColumnSource, ColumnType, Dictionary, DimensionSpec, Groups, Rows, Vector};

use super::context::Reservation;
use super::cursor::Selection;
use super::grouped::{GroupedPlan, listed_buckets};
use super::projected::may_project;
use super::{QueryContext, SegmentRef};
use crate::group::{CodeMap, SharedDictionary};
use crate::partial::GroupsPartial;

/// Numbers up to this many are groups of their own.
const GROUPS_MAX: u64 = 1 << 23;
/// With a filter that leaves few rows, up to this many.
const FILTERED_GROUPS_MAX: u64 = 1 << 14;
/// Numbers of fewer texts are sooner added up in each segment's own codes, a few numbers at a time; sketches are not.
const PLAIN_TEXTS_MIN: u64 = 1 << 12;
/// Bytes that the groups of one thread may take at most.
const THREAD_BYTES_MAX: u64 = 512 << 20;

/// What the numbers stand for.
pub(super) enum Numbers {
    /// There is no key.
    None,
    /// The codes of the one segment of which all are pieces.
    Codes(Arc<dyn Dictionary>),
    Texts(Arc<SharedDictionary>),
    /// `min + number * step`; the number after the last is null.
    Longs(LongBounds),
}

/// How the plan can be carried along over these segments; `None` where it cannot.
pub(super) fn numbers_for(plan: &GroupedPlan<'_>, segments: &[SegmentRef], context: &QueryContext) -> Result<Option<Numbers>> {
    if plan.base.granularity != Granularity::All || plan.counts_only() || may_project(&plan.base.context, segments)? {
        return Ok(None);
    }
    let mut group_bytes = 0;
    for spec in plan.aggregations.iter() {
        let mut merger = spec.merger()?;
        if merger.as_any().is_none() {
            return Ok(None);
        }
        merger.resize(1024);
        group_bytes += merger.memory_bytes() as u64 / 1024 + 1;
    }
    let numbers = match plan.dimensions {
        [] => Numbers::None,
        [DimensionSpec::Default { dimension, output_type, .. }]
            if !plan.base.virtual_columns.iter().any(|column| column.name() == dimension) =>
        {
            match key_numbers(plan, dimension, output_type, segments, context)? {
                Some(numbers) => numbers,
                None => return Ok(None),
            }
        }
        _ => return Ok(None),
    };
    let is_plain = plan.aggregations.iter().all(|spec| spec.intermediate_type().is_numeric());
    if is_plain && matches!(numbers, Numbers::Texts(_)) && texts_at_most(plan, segments, PLAIN_TEXTS_MIN)? {
        return Ok(None);
    }
    let groups_max = if plan.base.filter.is_some() { FILTERED_GROUPS_MAX } else { GROUPS_MAX };
    let rows: u64 = segments.iter().map(|segment| u64::from(segment.source.row_count())).sum();
    let groups = numbers.count();
    let fits = groups <= groups_max
        && groups / 4 <= rows
        && groups * group_bytes <= THREAD_BYTES_MAX.min(context.budget().limit_bytes() / 8);
    Ok(fits.then_some(numbers))
}

/// True when no segment's dictionary of the key is larger.
fn texts_at_most(plan: &GroupedPlan<'_>, segments: &[SegmentRef], most: u64) -> Result<bool> {
    let [spec] = plan.dimensions else { return Ok(false) };
    for segment in segments {
        let dictionary = segment.source.column(spec.dimension())?.and_then(|column| column.dictionary());
        if dictionary.is_some_and(|dictionary| u64::from(dictionary.cardinality()) > most) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn key_numbers(
    plan: &GroupedPlan<'_>,
    dimension: &str,
    output_type: &ColumnType,
    segments: &[SegmentRef],
    context: &QueryContext,
) -> Result<Option<Numbers>> {
    let pieces_of_one = segments.windows(2).all(|pair| Arc::ptr_eq(&pair[0].source, &pair[1].source));
    if pieces_of_one
        && *output_type == ColumnType::String
        && let Some(first) = segments.first()
        && let Some(column) = first.source.column(dimension)?
        && let Some(dictionary) = column.dictionary()
    {
        let capabilities = column.capabilities();
        let plain = capabilities.column_type == ColumnType::String && capabilities.dictionary && !capabilities.multi_value;
        return Ok((plain && dictionary.is_sorted()).then_some(Numbers::Codes(dictionary)));
    }
    let (mut bounds, mut texts): (Option<LongBounds>, u64) = (None, 0);
    for segment in segments {
        let Some(column) = segment.source.column(dimension)? else { return Ok(None) };
        match column.capabilities().column_type {
            ColumnType::Long if *output_type == ColumnType::Long => {
                let Some(own) = column.long_bounds()? else { return Ok(None) };
                bounds = Some(bounds.map_or(own, |known| known.union(own)));
            }
            ColumnType::String if *output_type == ColumnType::String && is_shared(&column) => {
                texts = texts.max(column.dictionary().map_or(0, |dictionary| u64::from(dictionary.cardinality())));
            }
            _ => return Ok(None),
        }
    }
    Ok(match (bounds, texts) {
        (Some(bounds), 0) => Some(Numbers::Longs(bounds)),
        (None, 1..=GROUPS_MAX) => Some(Numbers::Texts(context.dictionaries.column(plan.table(), dimension))),
        _ => None,
    })
}

/// True for a column of texts, one a row, that its segment keeps open, so that its codes can be mapped once and for all.
fn is_shared(column: &Arc<dyn Column>) -> bool {
    let capabilities = column.capabilities();
    capabilities.dictionary && !capabilities.multi_value && capabilities.bitmaps && Arc::strong_count(column) > 1
}

impl Numbers {
    /// How many groups there are, as far as is known.
    fn count(&self) -> u64 {
        match self {
            Numbers::None => 1,
            Numbers::Codes(dictionary) => u64::from(dictionary.cardinality()),
            Numbers::Texts(dictionary) => u64::from(dictionary.cardinality()),
            Numbers::Longs(bounds) => bounds.count().map_or(u64::MAX / 2, |count| count.saturating_add(1)),
        }
    }
}

/// The groups of one thread.
pub(super) struct Carried<'a> {
    plan: &'a GroupedPlan<'a>,
    numbers: &'a Numbers,
    aggregators: Vec<Box<dyn Aggregator>>,
    /// Whether each number was met.
    met: Vec<bool>,
    groups: usize,
    buckets: Vec<i64>,
    ids: Vec<u32>,
    reservation: Reservation,
}

impl<'a> Carried<'a> {
    /// No groups yet.
    pub fn new(plan: &'a GroupedPlan<'a>, numbers: &'a Numbers, context: &QueryContext) -> Self {
        let (aggregators, met, buckets, ids) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Carried { plan, numbers, aggregators, met, groups: 0, buckets, ids, reservation: context.reservation() }
    }

    /// Adds a segment's rows. False, and nothing added, where its values cannot be numbered.
    pub fn add(&mut self, segment: &SegmentRef, context: &QueryContext) -> Result<bool> {
        let mut selection = Selection::open(self.plan.base, segment, context)?;
        let Some(mut key) = self.key(&selection.source)? else { return Ok(false) };
        if self.plan.lists_buckets {
            self.buckets.extend(listed_buckets(self.plan, segment, &selection)?);
        }
        let mut aggregators = Vec::with_capacity(self.plan.aggregations.len());
        for spec in self.plan.aggregations.iter() {
            aggregators.push(spec.bind(&selection.source, &context.eval)?);
        }
        for (new, before) in aggregators.iter_mut().zip(&mut self.aggregators) {
            if !new.take_groups(before.as_mut()) {
                return Err(DruidError::runtime("aggregator did not take its groups along"));
            }
        }
        self.aggregators = aggregators;
        self.groups = self.groups.max(usize::try_from(self.numbers.count()).unwrap_or(usize::MAX));
        self.met.resize(self.groups, false);
        self.aggregators.iter_mut().for_each(|aggregator| aggregator.resize(self.groups));
        self.reserve()?;
        for range in selection.ranges.clone() {
            selection.batches(range, context, &mut |rows| self.add_batch(&mut key, rows).map(|()| true))?;
        }
        self.reserve()?;
        Ok(true)
    }

    fn reserve(&mut self) -> Result<()> {
        let states: usize = self.aggregators.iter().map(|a| a.memory_bytes()).sum();
        self.reservation.set(states + self.met.len())
    }

    fn key(&self, source: &Arc<dyn ColumnSource>) -> Result<Option<Key>> {
        let [spec] = self.plan.dimensions else { return Ok(Some(Key::None)) };
        let Some(column) = source.column(spec.dimension())? else { return Ok(None) };
        match self.numbers {
            Numbers::None => Ok(Some(Key::None)),
            Numbers::Codes(_) => Ok(Some(Key::Codes(column.reader()?))),
            Numbers::Longs(bounds) => Ok(Some(Key::Longs(column.reader()?, Places::of(bounds)))),
            Numbers::Texts(shared) => {
                let Some(dictionary) = column.dictionary() else { return Ok(None) };
                match shared.complete_map(&column, dictionary.as_ref())? {
                    Some(map) => Ok(Some(Key::Texts(column.reader()?, map))),
                    None => Ok(None),
                }
            }
        }
    }

    fn add_batch(&mut self, key: &mut Key, rows: Rows<'_>) -> Result<()> {
        let ids = &mut self.ids;
        ids.clear();
        match key {
            Key::None => {
                self.met[0] = true;
                return self.aggregators.iter_mut().try_for_each(|aggregator| aggregator.add(rows.clone(), Groups::One(0)));
            }
            Key::Codes(reader) => ids.extend_from_slice(reader.codes(rows.clone())?),
            Key::Texts(reader, map) => {
                let codes = reader.codes(rows.clone())?;
                ids.extend(codes.iter().map(|code| map.get(*code)));
            }
            Key::Longs(reader, places) => {
                let longs = reader.longs(rows.clone())?;
                match longs.nulls {
                    None => ids.extend(longs.values.iter().map(|value| places.of_value(*value))),
                    Some(nulls) => ids.extend(
                        longs
                            .values
                            .iter()
                            .zip(nulls)
                            .map(|(value, null)| if *null { places.null } else { places.of_value(*value) }),
                    ),
                }
            }
        }
        // Bounds are a promise of the column; a number beyond them would be damage.
        if ids.iter().fold(0, |max, id| max.max(*id)) as usize >= self.groups {
            return Err(DruidError::runtime("value outside the bounds of its column"));
        }
        ids.iter().for_each(|id| self.met[*id as usize] = true);
        self.aggregators.iter_mut().try_for_each(|aggregator| aggregator.add(rows.clone(), Groups::Each(ids)))
    }

    /// Adds up the groups of another thread.
    pub fn absorb(&mut self, mut other: Carried<'_>) -> Result<()> {
        self.buckets.append(&mut other.buckets);
        if other.aggregators.is_empty() {
            return Ok(());
        }
        if self.aggregators.is_empty() {
            (self.aggregators, self.met, self.groups) = (other.aggregators, other.met, other.groups);
            return Ok(());
        }
        let groups = self.groups.max(other.groups);
        for (own, theirs) in self.aggregators.iter_mut().zip(&mut other.aggregators) {
            own.resize(groups);
            theirs.resize(groups);
            own.absorb(theirs.as_mut())?;
        }
        self.met.resize(groups, false);
        self.met.iter_mut().zip(&other.met).for_each(|(own, theirs)| *own |= theirs);
        self.groups = groups;
        Ok(())
    }

    /// The groups met.
    pub fn finish(mut self) -> Result<GroupsPartial> {
        if self.aggregators.is_empty() {
            for spec in self.plan.aggregations.iter() {
                self.aggregators.push(spec.merger()?);
            }
        }
        let ids: Vec<u32> = (0u32..).zip(&self.met).filter(|(_, met)| **met).map(|(id, _)| id).collect();
        let mut aggregates = Vec::with_capacity(self.aggregators.len());
        for aggregator in &mut self.aggregators {
            let all = aggregator.take_partial()?;
            aggregates.push(if all.len() == ids.len() { all } else { without_flags(all.gather(&ids)) });
        }
        let rows = ids.len();
        let keys = match self.numbers {
            Numbers::None => Vec::new(),
            Numbers::Codes(dictionary) => vec![Vector::Codes { dictionary: dictionary.clone(), codes: ids }],
            Numbers::Texts(dictionary) => vec![Vector::Codes { dictionary: dictionary.clone(), codes: ids }],
            Numbers::Longs(bounds) => vec![longs(bounds, &ids)],
        };
        self.buckets.sort_unstable();
        self.buckets.dedup();
        Ok(GroupsPartial { keys, aggregates, rows, buckets: self.buckets, ..GroupsPartial::default() })
    }
}

fn longs(bounds: &LongBounds, ids: &[u32]) -> Vector {
    let null = Places::of(bounds).null;
    let value = |id: &u32| bounds.min.wrapping_add((u64::from(*id) * bounds.step) as i64);
    let values = ids.iter().map(|id| if *id == null { 0 } else { value(id) }).collect();
    let nulls = ids.last().filter(|last| **last == null).map(|_| ids.iter().map(|id| *id == null).collect());
    Vector::Long { values, nulls }
}

/// Without null flags that are all false.
fn without_flags(vector: Vector) -> Vector {
    let none = |nulls: &Option<Vec<bool>>| nulls.as_ref().is_some_and(|nulls| !nulls.contains(&true));
    match vector {
        Vector::Long { values, nulls } if none(&nulls) => Vector::Long { values, nulls: None },
        Vector::Double { values, nulls } if none(&nulls) => Vector::Double { values, nulls: None },
        Vector::Float { values, nulls } if none(&nulls) => Vector::Float { values, nulls: None },
        other => other,
    }
}

/// One segment's key column.
enum Key {
    None,
    Codes(Box<dyn ColumnReader>),
    Texts(Box<dyn ColumnReader>, Arc<CodeMap>),
    Longs(Box<dyn ColumnReader>, Places),
}

/// The number of a long: exact division by the step, as a shift and a product with the inverse of its odd part.
struct Places {
    min: i64,
    shift: u32,
    inverse: u64,
    null: u32,
}

impl Places {
    fn of(bounds: &LongBounds) -> Self {
        let shift = bounds.step.trailing_zeros();
        let odd = bounds.step >> shift;
        // Newton's iteration doubles the right bits: 3, 6, 12, 24, 48, 96.
        let inverse = (0..5).fold(odd, |x, _| x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x))));
        Places {
            min: bounds.min,
            shift,
            inverse,
            null: bounds.count().map_or(u32::MAX, |count| count.min(u64::from(u32::MAX)) as u32),
        }
    }

    #[inline]
    fn of_value(&self, value: i64) -> u32 {
        let place = (value.wrapping_sub(self.min) as u64 >> self.shift).wrapping_mul(self.inverse);
        place.min(u64::from(u32::MAX)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_longs_come_back() {
        for (min, max, step) in
            [(0, 200_000, 1), (-86_400_000 * 5, 86_400_000 * 2_000, 86_400_000), (7, 7 + 15 * 99, 15), (5, 5, 1)]
        {
            let bounds = LongBounds { min, max, step };
            let places = Places::of(&bounds);
            let count = bounds.count().unwrap();
            for id in [0, 1, count / 2, count - 1].into_iter().filter(|id| *id < count) {
                assert_eq!(u64::from(places.of_value(min + (id * step) as i64)), id);
            }
            assert_eq!(u64::from(places.null), count);
            let vector = longs(&bounds, &[0, count as u32]);
            assert_eq!((vector.value(0), vector.is_null(1)), (ovate_compute::Value::Long(min), true));
        }
    }
}
