//! Reading a projection in a segment's place (SEM-06, `Projections.matchAggregateProjection`): rows that were grouped and
//! aggregated ahead of time, where they tell everything that the query asks. The one with the fewest rows is taken. Context:
//! `noProjections`, `useProjection` (only this one, or an error) and `forceProjections` (one of them, or an error).

use std::collections::HashMap;
use std::sync::Arc;

use ovate_base::{DruidError, Granularity, Interval, Result};
use ovate_compute::aggregate::AggregatorSpec;
use ovate_compute::column::{Column, ColumnCapabilities, Projection};
use ovate_compute::filter::FilterSpec;
use ovate_compute::virtual_column::{PathPart, VirtualColumnSpec};
use ovate_compute::{ColumnSource, TIME_COLUMN, with_virtual_columns};

use super::grouped::GroupedPlan;
use super::{QueryContext, SegmentRef};
use crate::document::{Context, QueryBase};

/// A query over a projection that answers a query over its segment.
pub(super) struct Projected {
    pub name: String,
    pub base: QueryBase,
    pub aggregations: Vec<AggregatorSpec>,
    pub segment: SegmentRef,
}

/// False where the context switches projections off, or no segment has any and none is asked for.
pub(super) fn may_project(context: &Context, segments: &[SegmentRef]) -> Result<bool> {
    if context.bool("noProjections", false)? {
        return Ok(false);
    }
    let asked = context.get("useProjection").is_some() || context.bool("forceProjections", false)?;
    Ok(asked || segments.iter().any(|segment| !segment.source.projections().is_empty()))
}

/// The projection to read instead of the segment; `None`: the segment itself.
pub(super) fn choose(plan: &GroupedPlan<'_>, segment: &SegmentRef, context: &QueryContext) -> Result<Option<Projected>> {
    let asked = &plan.base.context;
    if !may_project(asked, std::slice::from_ref(segment))? {
        return Ok(None);
    }
    let mut offers = segment.source.projections();
    let wanted = asked.str("useProjection");
    offers.retain(|offer| wanted.is_none_or(|name| offer.name == name));
    offers.sort_by_key(|offer| offer.row_count);
    for offer in &offers {
        if let Some(projected) = (Fit { plan, offer, segment, context }).try_fit()? {
            return Ok(Some(projected));
        }
    }
    match wanted {
        Some(name) => Err(DruidError::invalid_input(format!("Projection[{name}] specified, but does not satisfy query"))),
        None if asked.bool("forceProjections", false)? => {
            Err(DruidError::invalid_input("Force projections specified, but none satisfy query"))
        }
        None => Ok(None),
    }
}

struct Fit<'a> {
    plan: &'a GroupedPlan<'a>,
    offer: &'a Projection,
    segment: &'a SegmentRef,
    context: &'a QueryContext,
}

/// What the projection's columns are to the query.
struct Names<'a> {
    query: &'a [VirtualColumnSpec],
    stored: Vec<VirtualColumnSpec>,
    grouping: &'a [String],
    time: Option<&'a str>,
    source: &'a dyn ColumnSource,
    /// The query's virtual columns over the segment, for what they say of time.
    computed: Arc<dyn ColumnSource>,
    /// Within whose buckets the projection keeps the time apart; `None`: not at all.
    step: Option<Granularity>,
    /// The query's virtual columns that are stored, under the names that they have there.
    aliases: HashMap<String, String>,
}

impl Fit<'_> {
    fn try_fit(&self) -> Result<Option<Projected>> {
        let Some(mut names) = self.names()? else { return Ok(None) };
        let base = self.plan.base;
        let reads_time =
            base.granularity == Granularity::All || names.step.as_ref().is_some_and(|step| step.nests_in(&base.granularity));
        let Some(intervals) = self.intervals(names.step.as_ref()).filter(|_| reads_time) else { return Ok(None) };
        if !self.plan.dimensions.iter().all(|spec| names.resolve(spec.dimension(), 0)) {
            return Ok(None);
        }
        let Some(filter) = self.filter(&mut names) else { return Ok(None) };
        let mut aggregations = Vec::with_capacity(self.plan.aggregations.len());
        for wanted in self.plan.aggregations.iter() {
            let Some(combined) = self.combining(wanted, &mut names)? else { return Ok(None) };
            aggregations.push(combined);
        }
        let Some(source) = self.segment.source.projection(&self.offer.name)? else { return Ok(None) };
        let kept = base.virtual_columns.iter().filter(|spec| !names.aliases.contains_key(spec.name()));
        let base = QueryBase { filter, virtual_columns: kept.cloned().collect(), ..base.clone() };
        let source: Arc<dyn ColumnSource> = Arc::new(Renamed { source, names: names.aliases });
        let segment = SegmentRef { intervals, source, ..self.segment.clone() };
        Ok(Some(Projected { name: self.offer.name.clone(), base, aggregations, segment }))
    }

    fn names(&self) -> Result<Option<Names<'_>>> {
        let source = &self.segment.source;
        // What this build cannot read it does not use.
        let stored: Result<Vec<VirtualColumnSpec>> =
            self.offer.virtual_columns.iter().map(VirtualColumnSpec::from_json).collect();
        let Ok(stored) = stored else { return Ok(None) };
        let step = match self.offer.time_column.as_deref() {
            None => None,
            Some(TIME_COLUMN) => Some(Granularity::None),
            Some(column) => with_virtual_columns(source.clone(), &stored, &self.context.eval)?.time_step(column),
        };
        if self.offer.time_column.is_some() && step.is_none() {
            return Ok(None);
        }
        Ok(Some(Names {
            query: &self.plan.base.virtual_columns,
            stored,
            grouping: &self.offer.grouping_columns,
            time: self.offer.time_column.as_deref(),
            source: source.as_ref(),
            computed: with_virtual_columns(source.clone(), &self.plan.base.virtual_columns, &self.context.eval)?,
            step,
            aliases: HashMap::new(),
        }))
    }

    /// The parts of time to read: times are rounded down there, so an end inside of the data must be one of their buckets'.
    fn intervals(&self, step: Option<&Granularity>) -> Option<Vec<Interval>> {
        let data = self.segment.source.interval();
        let aligned = |at: i64| step.is_some_and(|step| step.bucket_start(at) == at);
        let mut intervals = Vec::with_capacity(self.segment.intervals.len());
        for interval in &self.segment.intervals {
            let start = match interval.start {
                start if start <= data.start => Interval::ETERNITY.start,
                start if aligned(start) => start,
                _ => return None,
            };
            let end = match interval.end {
                end if end >= data.end => Interval::ETERNITY.end,
                end if aligned(end) => end,
                _ => return None,
            };
            intervals.push(Interval { start, end });
        }
        Some(intervals)
    }

    /// The query's filter without the projection's own, which must be a part of it.
    fn filter(&self, names: &mut Names<'_>) -> Option<Option<FilterSpec>> {
        let mut parts = match &self.plan.base.filter {
            None => Vec::new(),
            Some(FilterSpec::And(parts)) => parts.clone(),
            Some(one) => vec![one.clone()],
        };
        if let Some(own) = &self.offer.filter {
            let own = FilterSpec::from_json(own).ok()?;
            let own = if let FilterSpec::And(parts) = own { parts } else { vec![own] };
            for part in own {
                let at = parts.iter().position(|known| *known == part)?;
                parts.remove(at);
            }
        }
        if !parts.iter().flat_map(FilterSpec::required_columns).all(|name| names.resolve(&name, 0)) {
            return None;
        }
        Some(match parts.len() {
            0 => None,
            1 => parts.pop(),
            _ => Some(FilterSpec::And(parts)),
        })
    }

    /// The aggregator that adds up the stored results of this one.
    fn combining(&self, wanted: &AggregatorSpec, names: &mut Names<'_>) -> Result<Option<AggregatorSpec>> {
        let json = wanted.to_json();
        if json["type"] == "filtered" {
            let (Some(inner), Ok(filter)) = (wanted.inner(), FilterSpec::from_json(&json["filter"])) else { return Ok(None) };
            if !filter.required_columns().iter().all(|name| names.resolve(name, 0)) {
                return Ok(None);
            }
            let Some(combined) = self.combining(inner, names)? else { return Ok(None) };
            let mut json = json.clone();
            json["aggregator"] = combined.to_json();
            return Ok(Some(AggregatorSpec::from_json(&json)?.with_name(wanted.name())));
        }
        if json["type"] == "grouping" {
            return Ok(Some(wanted.clone()));
        }
        if !wanted.required_columns().iter().all(|name| names.same_input(name)) {
            return Ok(None);
        }
        let nameless = wanted.with_name("");
        let stored = self.offer.aggregators.iter().filter_map(|json| AggregatorSpec::from_json(json).ok());
        let found = stored.into_iter().find(|stored| stored.with_name("") == nameless);
        Ok(found.map(|stored| stored.combining().with_name(wanted.name())))
    }
}

impl Names<'_> {
    /// True when the projection can give this column of the query.
    fn resolve(&mut self, name: &str, depth: usize) -> bool {
        let query = self.query;
        let Some(spec) = query.iter().find(|spec| spec.name() == name) else { return self.resolve_stored(name) };
        if let Some(stored) = self.stored.iter().find(|stored| same(stored, spec))
            && self.grouping.iter().any(|column| column == stored.name())
        {
            // Its time is called so whatever its name was.
            let known = if self.time == Some(stored.name()) { TIME_COLUMN } else { stored.name() };
            self.aliases.insert(name.to_owned(), known.to_owned());
            return true;
        }
        let inputs = spec.required_columns();
        if inputs.iter().all(|input| input == TIME_COLUMN) && !inputs.is_empty() {
            let (own, step) = (self.computed.time_step(name), self.step.as_ref());
            return own.zip(step).is_some_and(|(own, step)| step.nests_in(&own));
        }
        // A virtual column that reads itself reads the stored column of its name.
        let input = |names: &mut Self, input: &String| match input == name {
            true => names.resolve_stored(input),
            false => names.resolve(input, depth + 1),
        };
        depth < query.len() && inputs.iter().all(|name| input(self, name))
    }

    fn resolve_stored(&self, name: &str) -> bool {
        if name == TIME_COLUMN {
            return self.step == Some(Granularity::None);
        }
        // Of rows with several values Druid keeps the first one only.
        let several = || self.source.capabilities(name).is_some_and(|capabilities| capabilities.multi_value);
        self.grouping.iter().any(|column| column == name) && !self.stored.iter().any(|own| own.name() == name) && !several()
    }

    /// True when an input of an aggregator is the same column to the query and to the projection.
    fn same_input(&self, name: &str) -> bool {
        let of = |list: &[VirtualColumnSpec]| list.iter().find(|spec| spec.name() == name).cloned();
        of(self.query) == of(&self.stored)
    }
}

/// True for virtual columns that differ in nothing but the name.
fn same(a: &VirtualColumnSpec, b: &VirtualColumnSpec) -> bool {
    let nameless = |spec: &VirtualColumnSpec| {
        let mut json = spec.to_json();
        for name in ["name", "outputName"] {
            if let Some(object) = json.as_object_mut() {
                object.remove(name);
            }
        }
        json
    };
    nameless(a) == nameless(b)
}

/// A source some of whose columns have other names besides.
struct Renamed {
    source: Arc<dyn ColumnSource>,
    names: HashMap<String, String>,
}

impl Renamed {
    fn stored<'a>(&'a self, name: &'a str) -> &'a str {
        self.names.get(name).map_or(name, String::as_str)
    }
}

impl ColumnSource for Renamed {
    fn row_count(&self) -> u32 {
        self.source.row_count()
    }
    fn column_names(&self) -> Vec<String> {
        self.source.column_names()
    }
    fn capabilities(&self, name: &str) -> Option<ColumnCapabilities> {
        self.source.capabilities(self.stored(name))
    }
    fn column(&self, name: &str) -> Result<Option<Arc<dyn Column>>> {
        self.source.column(self.stored(name))
    }
    fn nested_field(&self, column: &str, path: &[PathPart]) -> Result<Option<Arc<dyn Column>>> {
        self.source.nested_field(self.stored(column), path)
    }
    fn interval(&self) -> Interval {
        self.source.interval()
    }
    fn is_time_sorted(&self) -> bool {
        self.source.is_time_sorted()
    }
}
