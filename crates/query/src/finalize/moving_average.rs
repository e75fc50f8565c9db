//! movingAverage: walks the buckets in order, keeps the last values of each combination of dimensions, and gives a row a bucket
//! for every combination met so far (`MovingAverageIterable`). Called by the Broker with the rows of the inner query.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ovate_base::Result;
use ovate_compute::post_aggregate::PostAggregatorSpec;
use ovate_compute::{ColumnType, TIME_COLUMN, Value, Vector};

use super::columns::{ResultColumns, empty_aggregates};
use crate::document::{AveragerKind, AveragerSpec, MovingAverageQuery};
use crate::partial::Held;
use crate::result::{QueryRows, ResultExtra, RowBatch};
use crate::run::QueryContext;

/// A value of a combination of dimensions, ordered as values are.
#[derive(PartialEq)]
struct Key(Vec<Value>);

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let differs = self.0.iter().zip(&other.0).map(|(a, b)| a.compare(b)).find(|order| order.is_ne());
        differs.unwrap_or(std::cmp::Ordering::Equal)
    }
}

/// The last values of one averager for one combination, the newest at the end; `None` where a bucket had no row.
struct Window(VecDeque<Value>);

impl Window {
    fn push(&mut self, value: Value, buckets: usize) {
        while self.0.len() >= buckets {
            self.0.pop_front();
        }
        self.0.push_back(value);
    }

    /// Null where no bucket of the window has a value.
    fn result(&self, spec: &AveragerSpec) -> Value {
        if self.0.iter().all(Value::is_null) {
            return Value::Null;
        }
        // In a cycle, this bucket and every `cycle_size`th after the oldest count, as in Druid's ring.
        let places = (0..spec.buckets).step_by(spec.cycle_size);
        let count = places.len();
        // The ring's place `i` is the bucket `buckets - i` before this one; place 0 is this one.
        let at = |place: usize| if place == 0 { 0 } else { spec.buckets - place };
        let met = places.filter_map(|place| {
            let back = at(place);
            (back < self.0.len()).then(|| &self.0[self.0.len() - 1 - back]).filter(|value| !value.is_null())
        });
        let longs = || met.clone().map(|value| value.as_long().unwrap_or(0));
        let doubles = || met.clone().map(|value| value.as_double().unwrap_or(0.0));
        let present = met.clone().count() as f64;
        match spec.kind {
            AveragerKind::DoubleMean => Value::Double(doubles().sum::<f64>() / count as f64),
            AveragerKind::DoubleMeanNoNulls => Value::Double(doubles().sum::<f64>() / present),
            AveragerKind::DoubleSum => Value::Double(doubles().sum()),
            AveragerKind::DoubleMax => Value::Double(doubles().fold(f64::NEG_INFINITY, f64::max)),
            AveragerKind::DoubleMin => Value::Double(doubles().fold(f64::INFINITY, f64::min)),
            AveragerKind::LongMean => Value::Double(longs().fold(0, i64::wrapping_add) as f64 / count as f64),
            AveragerKind::LongMeanNoNulls => Value::Double(longs().fold(0, i64::wrapping_add) as f64 / present),
            AveragerKind::LongSum => Value::Long(longs().fold(0, i64::wrapping_add)),
            AveragerKind::LongMax => Value::Long(longs().fold(i64::MIN, i64::max)),
            AveragerKind::LongMin => Value::Long(longs().fold(i64::MAX, i64::min)),
        }
    }
}

/// What is kept of one combination of dimensions.
struct Combination {
    /// A row of the inner query that holds its values.
    row: u32,
    windows: Vec<Window>,
    /// The bucket in which it was last met.
    met: i64,
}

/// Rows of the answer before having and limit.
#[derive(Default)]
struct Output {
    times: Vec<i64>,
    /// Rows of the inner query that the dimensions come from, and the aggregates.
    dimension_rows: Vec<u32>,
    value_rows: Vec<u32>,
    averages: Vec<Vec<Value>>,
}

/// The answer over the rows of [`MovingAverageQuery::inner`].
pub fn moving_average(query: &MovingAverageQuery, inner: QueryRows, context: &QueryContext) -> Result<QueryRows> {
    context.check()?;
    let (signature, mut batch) = with_nothing(query, inner, context)?;
    let first = 1 + query.dimensions.len();
    let fields = query.averagers.iter().map(|averager| {
        let at = signature.iter().position(|(name, _)| name.as_ref() == averager.field_name);
        at.filter(|at| *at >= first).ok_or_else(|| {
            ovate_base::DruidError::invalid_input(format!(
                "averager [{}] reads [{}], which is no aggregation of the query",
                averager.name, averager.field_name
            ))
        })
    });
    let fields: Vec<usize> = fields.collect::<Result<_>>()?;
    let output = walk(query, &batch, &fields, context)?;
    let rows = output.times.len();
    let mut columns = vec![(Arc::from(TIME_COLUMN), ColumnType::Long, Vector::Long { values: output.times, nulls: None })];
    for (at, (name, column_type)) in signature.iter().enumerate().skip(1) {
        let chosen = if at < first { &output.dimension_rows } else { &output.value_rows };
        let column = batch.columns[at].gather(chosen);
        batch.columns[at] = Vector::Null { len: batch.rows };
        columns.push((name.clone(), column_type.clone().unwrap_or(ColumnType::String), column));
    }
    for (averager, values) in query.averagers.iter().zip(output.averages) {
        let result = averager.result_type();
        let column = Vector::from_values(&result, values);
        put(&mut columns, &averager.name, result, column);
    }
    for post in &query.post_averagers {
        let (result, column) = post_average(post, &columns, rows, context)?;
        put(&mut columns, post.name(), result, column);
    }
    let shape = query.shape();
    let columns = ResultColumns::new(columns, Vec::new(), rows, (&[], &[]), false, context);
    let signature = columns.signature();
    let batch = super::group_by::ordered(&shape, columns, false)?.into_batch()?;
    Ok(QueryRows { signature, batches: vec![batch], extra: ResultExtra::None, ..QueryRows::default() })
}

/// Adds a column, or puts it in the place of one of its name.
fn put(columns: &mut Vec<(Arc<str>, ColumnType, Vector)>, name: &str, column_type: ColumnType, column: Vector) {
    match columns.iter_mut().find(|(known, _, _)| known.as_ref() == name) {
        Some(known) => (known.1, known.2) = (column_type, column),
        None => columns.push((Arc::from(name), column_type, column)),
    }
}

/// The rows of the inner query and, after them, one with what aggregators say of no rows.
#[allow(clippy::type_complexity)]
fn with_nothing(
    query: &MovingAverageQuery,
    inner: QueryRows,
    context: &QueryContext,
) -> Result<(Vec<(Arc<str>, Option<ColumnType>)>, RowBatch)> {
    let QueryRows { signature, mut batches, .. } = inner;
    let aggregates = empty_aggregates(&query.aggregations, 1)?;
    let specs = (query.aggregations.as_slice(), query.post_aggregations.as_slice());
    let values = ResultColumns::new(Vec::new(), aggregates, 1, specs, true, context).into_batch()?;
    let keys = (0..1 + query.dimensions.len()).map(|_| Vector::Null { len: 1 });
    let nothing = RowBatch { columns: keys.chain(values.columns).collect(), rows: 1 };
    if signature.len() != nothing.columns.len() {
        return Err(ovate_base::DruidError::runtime("the inner query of movingAverage gave other columns than it was asked for"));
    }
    batches.push(nothing);
    let batch = crate::result::concatenate(&signature, batches);
    Ok((signature, batch))
}

/// Goes over all buckets.
fn walk(query: &MovingAverageQuery, batch: &RowBatch, fields: &[usize], context: &QueryContext) -> Result<Output> {
    let nothing = batch.rows as u32 - 1;
    let first = 1 + query.dimensions.len();
    let time = |row: u32| batch.columns[0].value(row as usize).as_long().unwrap_or(0);
    let mut rows: Vec<u32> = (0..nothing).collect();
    rows.sort_by_key(|row| time(*row));
    let mut rows = rows.into_iter().peekable();
    let mut combinations: BTreeMap<Key, Combination> = BTreeMap::new();
    let mut output = Output { averages: vec![Vec::new(); fields.len()], ..Output::default() };
    // A row is written for each combination and bucket, however few rows came in.
    let row_bytes = (size_of::<Value>() * (fields.len() + 1) + 16) as u64;
    let mut held = Vec::new();
    for interval in query.looked_at() {
        for bucket in query.base.granularity.buckets(interval) {
            context.check()?;
            while rows.next_if(|row| time(*row) < bucket.start).is_some() {}
            let report = query.base.segments.intervals.iter().any(|interval| interval.contains(bucket.start));
            let before = output.times.len();
            while let Some(row) = rows.next_if(|row| time(*row) == bucket.start) {
                let key = Key((1..first).map(|at| batch.columns[at].value(row as usize)).collect());
                let windows = || fields.iter().map(|_| Window(VecDeque::new())).collect();
                let combination =
                    combinations.entry(key).or_insert_with(|| Combination { row, windows: windows(), met: bucket.start });
                combination.met = bucket.start;
                for (window, (averager, at)) in combination.windows.iter_mut().zip(query.averagers.iter().zip(fields)) {
                    window.push(batch.columns[*at].value(row as usize), averager.buckets);
                }
                if report {
                    output.write(query, combination, bucket.start, row, &batch.columns[first..]);
                }
            }
            for combination in combinations.values_mut().filter(|combination| combination.met != bucket.start) {
                for (window, averager) in combination.windows.iter_mut().zip(&query.averagers) {
                    window.push(Value::Null, averager.buckets);
                }
                if report {
                    output.write(query, combination, bucket.start, nothing, &batch.columns[first..]);
                }
            }
            let written = (output.times.len() - before) as u64;
            if written > 0 {
                held.push(Held::reserve(context.budget(), written * row_bytes)?);
            }
        }
    }
    Ok(output)
}

impl Output {
    /// Writes a row, unless it says nothing beside its dimensions.
    fn write(&mut self, query: &MovingAverageQuery, of: &Combination, bucket: i64, row: u32, aggregates: &[Vector]) {
        let averages = of.windows.iter().zip(&query.averagers).map(|(window, spec)| window.result(spec));
        let averages: Vec<Value> = averages.collect();
        if aggregates.iter().all(|column| column.is_null(row as usize)) && averages.iter().all(Value::is_null) {
            return;
        }
        self.times.push(bucket);
        self.dimension_rows.push(of.row);
        self.value_rows.push(row);
        self.averages.iter_mut().zip(averages).for_each(|(column, value)| column.push(value));
    }
}

/// A post-averager's values; null where one of the columns it reads is (`PostAveragerCalculator`).
fn post_average(
    post: &PostAggregatorSpec,
    columns: &[(Arc<str>, ColumnType, Vector)],
    rows: usize,
    context: &QueryContext,
) -> Result<(ColumnType, Vector)> {
    let find = |name: &str| columns.iter().find(|(known, _, _)| known.as_ref() == name);
    let read = post.required_columns();
    let whole = |row: &u32| read.iter().all(|name| find(name).is_some_and(|(_, _, column)| !column.is_null(*row as usize)));
    let chosen: Vec<u32> = (0..rows as u32).filter(whole).collect();
    let column = |name: &str| find(name).map(|(_, _, column)| column.gather(&chosen));
    let computed = post.compute(&column, &[], chosen.len(), &context.eval)?;
    let result = post.result_type(&|name| find(name).map(|(_, t, _)| t.clone()), &[]);
    let result = result.or_else(|| computed.column_type()).unwrap_or(ColumnType::Double);
    let mut values = vec![Value::Null; rows];
    chosen.iter().enumerate().for_each(|(at, row)| values[*row as usize] = computed.value(at));
    Ok((result.clone(), Vector::from_values(&result, values)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(kind: AveragerKind, buckets: usize, cycle_size: usize) -> AveragerSpec {
        AveragerSpec { kind, name: "a".to_owned(), field_name: "f".to_owned(), buckets, cycle_size }
    }

    fn result(kind: AveragerKind, cycle_size: usize, values: &[Option<i64>]) -> Value {
        let mut window = Window(VecDeque::new());
        values.iter().for_each(|value| window.push(value.map_or(Value::Null, Value::Long), 4));
        window.result(&spec(kind, 4, cycle_size))
    }

    #[test]
    fn windows_count_the_buckets_they_hold() {
        use AveragerKind::*;
        let five = [Some(9), Some(1), None, Some(3), Some(4)];
        let results = [DoubleMean, DoubleMeanNoNulls, DoubleSum, DoubleMax, DoubleMin].map(|kind| result(kind, 1, &five));
        assert_eq!(results, [2.0, 8.0 / 3.0, 8.0, 4.0, 1.0].map(Value::Double));
        let results = [LongSum, LongMax, LongMin].map(|kind| result(kind, 1, &five));
        assert_eq!(results, [8, 4, 1].map(Value::Long));
        assert_eq!([LongMean, LongMeanNoNulls].map(|kind| result(kind, 1, &five)), [2.0, 8.0 / 3.0].map(Value::Double));
        // A window that is not full yet counts its missing buckets as empty.
        assert_eq!(result(DoubleMean, 1, &[Some(2)]), Value::Double(0.5));
        assert_eq!(result(LongSum, 1, &[Some(2), None, None, None, None]), Value::Null);
    }

    #[test]
    fn a_cycle_counts_this_bucket_and_every_nth_before() {
        let four = [Some(1), Some(10), Some(100), Some(1000)];
        assert_eq!(result(AveragerKind::LongSum, 2, &four), Value::Long(1010));
        assert_eq!(result(AveragerKind::LongMean, 4, &four), Value::Double(1000.0));
    }
}
