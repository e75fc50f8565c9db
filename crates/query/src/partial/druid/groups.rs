//! Groups from the answers of timeseries, topN and groupBy.

use std::collections::HashMap;
use std::sync::Arc;

use ovate_base::smile::SmileValue;
use ovate_base::{Granularity, Result};
use ovate_compute::aggregate::AggregatorSpec;
use ovate_compute::{ColumnType, Value, Vector};

use super::{Elements, fields, take, timestamp, unexpected};
use crate::document::{GroupByQuery, NativeQuery};
use crate::partial::{GroupsPartial, Partial};
use crate::result::cell;
use crate::run::{GroupedPlan, QueryContext};

/// Rows between looks at the query's deadline.
const CHECK_EVERY: usize = 4096;

/// One column of groups being read.
struct Column {
    name: String,
    kind: ColumnType,
    values: Vec<Value>,
}

impl Column {
    fn new(name: &str, kind: ColumnType) -> Self {
        Column { name: name.to_owned(), kind, values: Vec::new() }
    }
}

/// Keys and aggregates of groups.
struct Builder {
    /// The bucket's time, unless the granularity is `all`.
    times: Option<Vec<i64>>,
    columns: Vec<Column>,
    dimensions: usize,
    rows: usize,
    places: HashMap<Arc<str>, Option<usize>>,
}

impl Builder {
    fn new(plan: &GroupedPlan<'_>) -> Self {
        let dimensions = plan.dimensions.iter().map(|spec| Column::new(spec.output_name(), spec.output_type()));
        let aggregates = plan.aggregations.iter().map(|spec: &AggregatorSpec| Column::new(spec.name(), spec.intermediate_type()));
        Builder {
            times: (plan.base.granularity != Granularity::All).then(Vec::new),
            columns: dimensions.chain(aggregates).collect(),
            dimensions: plan.dimensions.len(),
            rows: 0,
            places: HashMap::new(),
        }
    }

    /// Adds a group given by name; what is not ours (post-aggregators) is passed over, what is missing is null.
    fn add_object(&mut self, time: i64, object: SmileValue) -> Result<()> {
        self.begin(time);
        for (name, value) in fields(object)? {
            let columns = &self.columns;
            let place = self.places.entry(name).or_insert_with_key(|name| columns.iter().position(|c| *c.name == **name));
            if let Some(place) = *place {
                self.set(place, value)?;
            }
        }
        self.end();
        Ok(())
    }

    /// Adds a group given by position: time, dimensions, aggregators.
    fn add_array(&mut self, items: Vec<SmileValue>) -> Result<()> {
        let mut items = items.into_iter();
        let time = if self.times.is_some() { timestamp(items.next().as_ref())? } else { 0 };
        self.begin(time);
        for place in 0..self.columns.len() {
            let value = items.next().ok_or_else(|| unexpected("a row that is too short"))?;
            self.set(place, value)?;
        }
        self.end();
        Ok(())
    }

    fn begin(&mut self, time: i64) {
        if let Some(times) = &mut self.times {
            times.push(time);
        }
    }

    fn set(&mut self, place: usize, value: SmileValue) -> Result<()> {
        let column = &mut self.columns[place];
        let value = cell::read(&column.kind, value).map_err(|e| e.prefixed(&column.name))?;
        column.values.truncate(self.rows);
        column.values.push(value);
        Ok(())
    }

    fn end(&mut self) {
        self.rows += 1;
        self.columns.iter_mut().for_each(|column| column.values.resize(self.rows, Value::Null));
    }

    fn finish(self, buckets: Vec<i64>) -> GroupsPartial {
        let times = self.times.map(|values| Vector::Long { values, nulls: None });
        let mut vectors: Vec<Vector> =
            self.columns.into_iter().map(|column| Vector::from_values(&column.kind, column.values)).collect();
        let aggregates = vectors.split_off(self.dimensions);
        GroupsPartial {
            keys: times.into_iter().chain(vectors).collect(),
            aggregates,
            rows: self.rows,
            buckets,
            ..GroupsPartial::default()
        }
    }
}

/// timeseries and topN: an object for every bucket.
pub(super) fn by_bucket(query: &NativeQuery, elements: &mut Elements<'_>, context: &QueryContext) -> Result<Vec<Partial>> {
    let plan = GroupedPlan::of(query)?;
    let all = plan.base.granularity == Granularity::All;
    let (mut partials, mut builder, mut buckets) = (Vec::new(), Builder::new(&plan), Vec::new());
    while let Some(element) = elements.next()? {
        let time = timestamp(element.get("timestamp"))?;
        match (query, take(element, "result")?) {
            (NativeQuery::TopN(_), SmileValue::Array(values)) => {
                values.into_iter().try_for_each(|value| builder.add_object(time, value))?;
            }
            (NativeQuery::TopN(_), _) => return Err(unexpected("no list for a bucket of a topN")),
            (_, result) => builder.add_object(time, result)?,
        }
        buckets.push(time);
        // Without a time key every element is a result of its own.
        if all {
            let done = std::mem::replace(&mut builder, Builder::new(&plan));
            partials.push(Partial::Groups(done.finish(std::mem::take(&mut buckets))));
        }
        if builder.rows.is_multiple_of(CHECK_EVERY) {
            context.check()?;
        }
    }
    if !buckets.is_empty() {
        buckets.sort_unstable();
        buckets.dedup();
        partials.push(Partial::Groups(builder.finish(buckets)));
    }
    Ok(partials)
}

/// groupBy: rows as arrays or as objects.
pub(super) fn group_by(query: &GroupByQuery, elements: &mut Elements<'_>, context: &QueryContext) -> Result<Vec<Partial>> {
    let plan = GroupedPlan::of_group_by(query);
    let mut builder = Builder::new(&plan);
    while let Some(element) = elements.next()? {
        match element {
            SmileValue::Array(items) => builder.add_array(items)?,
            object => {
                let time = timestamp(object.get("timestamp"))?;
                builder.add_object(time, take(object, "event")?)?;
            }
        }
        if builder.rows.is_multiple_of(CHECK_EVERY) {
            context.check()?;
        }
    }
    let rows = builder.rows;
    let partial = builder.finish(Vec::new());
    // Without keys there is one group at most.
    if rows > 1 && partial.keys.is_empty() {
        return Err(unexpected("several rows for a groupBy without dimensions"));
    }
    Ok(if rows == 0 { Vec::new() } else { vec![Partial::Groups(partial)] })
}
