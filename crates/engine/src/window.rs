//! Window functions over rows in memory (Druid's window operators): rows are ordered once by partition and order, ranking
//! functions walk the partition, aggregates work on each row's frame.

use std::collections::HashMap;

use ovate_base::{DruidError, Result};
use ovate_compute::{ColumnType, Value, Vector};

use crate::relation::Relation;
use crate::sort::{Comparer, SortColumn, sorted_rows};

/// One end of a frame, in rows from the current one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FrameEnd {
    Unbounded,
    Offset(i64),
}

/// A window function; arguments and keys are columns of the input.
#[derive(Debug, Clone)]
pub struct WindowSpec {
    pub function: &'static str,
    pub args: Vec<usize>,
    /// Constant arguments: offset of LAG and LEAD, buckets of NTILE.
    pub number: i64,
    pub default: Value,
    pub filter: Option<usize>,
    pub partition_by: Vec<usize>,
    pub order_by: Vec<SortColumn>,
    /// ROWS; else RANGE, where the current row stands for all its peers.
    pub rows: bool,
    pub start: FrameEnd,
    pub end: FrameEnd,
    pub result: ColumnType,
    /// True when `custom` computes the aggregate from the frame's rows.
    pub custom: bool,
}

/// Computes an aggregate over some rows: the number of the call, and the rows.
pub type CustomAggregate<'a> = &'a dyn Fn(usize, &[u32]) -> Result<Value>;

/// The input's columns and one more for each call; rows come in the last call's order.
pub fn window(input: &Relation, calls: &[WindowSpec], custom: CustomAggregate<'_>) -> Result<Relation> {
    let mut results: Vec<Vector> = Vec::with_capacity(calls.len());
    let mut final_order: Option<Vec<u32>> = None;
    let mut orders: HashMap<String, Vec<u32>> = HashMap::new();
    for (number, call) in calls.iter().enumerate() {
        let mut keys: Vec<SortColumn> =
            call.partition_by.iter().map(|c| SortColumn { column: *c, descending: false, nulls_first: true }).collect();
        keys.extend(call.order_by.iter().copied());
        let order = orders.entry(format!("{keys:?}")).or_insert_with(|| sorted_rows(&input.columns, input.rows, &keys)).clone();
        let mut values = vec![Value::Null; input.rows];
        let same_partition: Vec<Comparer<'_>> =
            call.partition_by.iter().map(|c| Comparer::new(&input.columns[*c], false, true)).collect();
        let peers: Vec<Comparer<'_>> =
            call.order_by.iter().map(|k| Comparer::new(&input.columns[k.column], k.descending, k.nulls_first)).collect();
        let mut start = 0;
        while start < order.len() {
            let mut end = start + 1;
            while end < order.len() && same_partition.iter().all(|c| c.compare(order[start], order[end]).is_eq()) {
                end += 1;
            }
            let partition = Partition { rows: &order[start..end], peers: &peers, input };
            partition.evaluate(number, call, custom, &mut values)?;
            start = end;
        }
        results.push(Vector::from_values(&call.result, values));
        final_order = Some(order);
    }
    let mut out = input.clone();
    out.columns.extend(results);
    Ok(match final_order {
        Some(order) => out.gather(&order),
        None => out,
    })
}

/// One call over rows that are in order already, cut into partitions at `starts`; peers are rows beside each other that are
/// equal in its order. For functions other than aggregates.
pub fn evaluate_partitions(input: &Relation, starts: &[usize], call: &WindowSpec) -> Result<Vector> {
    let order: Vec<u32> = (0..input.rows as u32).collect();
    let peers: Vec<Comparer<'_>> =
        call.order_by.iter().map(|k| Comparer::new(&input.columns[k.column], k.descending, k.nulls_first)).collect();
    let mut values = vec![Value::Null; input.rows];
    let ends = starts.iter().skip(1).copied().chain([input.rows]);
    for (start, end) in starts.iter().copied().zip(ends) {
        let partition = Partition { rows: &order[start..end], peers: &peers, input };
        partition.evaluate(
            0,
            call,
            &|_, _| Err(DruidError::runtime("aggregates of frames are worked out apart")),
            &mut values,
        )?;
    }
    Ok(Vector::from_values(&call.result, values))
}

struct Partition<'a> {
    rows: &'a [u32],
    peers: &'a [Comparer<'a>],
    input: &'a Relation,
}

impl Partition<'_> {
    /// For each position, the first and one past the last position of its peers.
    fn peer_groups(&self) -> Vec<(usize, usize)> {
        let count = self.rows.len();
        let mut groups = vec![(0, 0); count];
        let mut start = 0;
        while start < count {
            let mut end = start + 1;
            while end < count && self.peers.iter().all(|c| c.compare(self.rows[start], self.rows[end]).is_eq()) {
                end += 1;
            }
            groups[start..end].fill((start, end));
            start = end;
        }
        groups
    }

    fn arg(&self, call: &WindowSpec, position: usize) -> Value {
        call.args.first().map_or(Value::Null, |c| self.input.columns[*c].value(self.rows[position] as usize))
    }

    fn evaluate(&self, number: usize, call: &WindowSpec, custom: CustomAggregate<'_>, out: &mut [Value]) -> Result<()> {
        let count = self.rows.len();
        let groups = self.peer_groups();
        let mut set = |position: usize, value: Value| out[self.rows[position] as usize] = value;
        match call.function {
            "ROW_NUMBER" => (0..count).for_each(|i| set(i, Value::Long(i as i64 + 1))),
            "RANK" => (0..count).for_each(|i| set(i, Value::Long(groups[i].0 as i64 + 1))),
            "DENSE_RANK" => {
                let mut rank = 0;
                for i in 0..count {
                    rank += i64::from(groups[i].0 == i);
                    set(i, Value::Long(rank));
                }
            }
            "PERCENT_RANK" => (0..count).for_each(|i| {
                let share = if count > 1 { groups[i].0 as f64 / (count - 1) as f64 } else { 0.0 };
                set(i, Value::Double(share));
            }),
            "CUME_DIST" => (0..count).for_each(|i| set(i, Value::Double(groups[i].1 as f64 / count as f64))),
            "NTILE" => {
                let buckets = call.number.max(1) as usize;
                let (size, extra) = (count / buckets, count % buckets);
                for i in 0..count {
                    let big = extra * (size + 1);
                    let bucket = if i < big { i / (size + 1) } else { extra + (i - big) / size.max(1) };
                    set(i, Value::Long(bucket as i64 + 1));
                }
            }
            "LAG" | "LEAD" => {
                let step = if call.function == "LAG" { -call.number } else { call.number };
                for i in 0..count {
                    let from = i as i64 + step;
                    let value = match usize::try_from(from) {
                        Ok(from) if from < count => self.arg(call, from),
                        _ => call.default.clone(),
                    };
                    set(i, value);
                }
            }
            "FIRST_VALUE" | "LAST_VALUE" | "NTH_VALUE" => {
                for i in 0..count {
                    let (start, end) = self.frame(call, i, &groups);
                    let at = match call.function {
                        "FIRST_VALUE" => start,
                        "LAST_VALUE" => end.wrapping_sub(1),
                        _ => start + (call.number.max(1) as usize - 1),
                    };
                    set(i, if start < end && at < end { self.arg(call, at) } else { Value::Null });
                }
            }
            _ => self.aggregate(number, call, custom, &groups, out)?,
        }
        Ok(())
    }

    /// The frame of a position as positions, end excluded.
    fn frame(&self, call: &WindowSpec, position: usize, groups: &[(usize, usize)]) -> (usize, usize) {
        let count = self.rows.len() as i64;
        let start = match (call.start, call.rows) {
            (FrameEnd::Unbounded, _) => 0,
            (FrameEnd::Offset(n), true) => position as i64 + n,
            (FrameEnd::Offset(_), false) => groups[position].0 as i64,
        };
        let end = match (call.end, call.rows) {
            (FrameEnd::Unbounded, _) => count,
            (FrameEnd::Offset(n), true) => position as i64 + n + 1,
            (FrameEnd::Offset(_), false) => groups[position].1 as i64,
        };
        let start = start.clamp(0, count) as usize;
        (start, (end.clamp(0, count) as usize).max(start))
    }

    fn aggregate(
        &self,
        number: usize,
        call: &WindowSpec,
        custom: CustomAggregate<'_>,
        groups: &[(usize, usize)],
        out: &mut [Value],
    ) -> Result<()> {
        let passes: Vec<bool> = (0..self.rows.len())
            .map(|i| {
                call.filter.is_none_or(|c| self.input.columns[c].value(self.rows[i] as usize).as_long().is_some_and(|v| v != 0))
            })
            .collect();
        let values: Vec<Value> = (0..self.rows.len()).map(|i| self.arg(call, i)).collect();
        let mut last: Option<((usize, usize), Value)> = None;
        let mut running = Running::new(call);
        for i in 0..self.rows.len() {
            let frame = self.frame(call, i, groups);
            let value = match &last {
                Some((known, value)) if *known == frame => value.clone(),
                _ if call.custom => {
                    let rows: Vec<u32> = (frame.0..frame.1).filter(|p| passes[*p]).map(|p| self.rows[p]).collect();
                    custom(number, &rows)?
                }
                _ => running.over(frame, &values, &passes, call.args.is_empty()),
            };
            out[self.rows[i] as usize] = value.clone();
            last = Some((frame, value));
        }
        Ok(())
    }
}

/// COUNT, SUM, MIN, MAX and AVG over frames whose ends only move forward; starts anew when the beginning moves.
struct Running {
    function: &'static str,
    doubles: bool,
    frame: (usize, usize),
    count: i64,
    long: i64,
    double: f64,
    best: Value,
}

impl Running {
    fn new(call: &WindowSpec) -> Running {
        let doubles = call.function == "AVG" || call.result != ColumnType::Long;
        Running { function: call.function, doubles, frame: (0, 0), count: 0, long: 0, double: 0.0, best: Value::Null }
    }

    fn over(&mut self, frame: (usize, usize), values: &[Value], passes: &[bool], star: bool) -> Value {
        if frame.0 != self.frame.0 || frame.1 < self.frame.1 {
            (self.count, self.long, self.double, self.best) = (0, 0, 0.0, Value::Null);
            self.frame = (frame.0, frame.0);
        }
        for at in self.frame.1..frame.1 {
            if passes[at] {
                self.add(&values[at], star);
            }
        }
        self.frame = frame;
        match self.function {
            "COUNT" => Value::Long(self.count),
            "MIN" | "MAX" => self.best.clone(),
            _ if self.count == 0 => Value::Null,
            "AVG" => Value::Double(self.double / self.count as f64),
            _ if self.doubles => Value::Double(self.double),
            _ => Value::Long(self.long),
        }
    }

    fn add(&mut self, value: &Value, star: bool) {
        if value.is_null() && !star {
            return;
        }
        self.count += 1;
        match self.function {
            "MIN" | "MAX" => {
                let order = value.compare(&self.best);
                if self.best.is_null() || (self.function == "MIN") == order.is_lt() && order.is_ne() {
                    self.best = value.clone();
                }
            }
            "SUM" | "AVG" => {
                self.long = self.long.wrapping_add(value.as_long().unwrap_or(0));
                self.double += value.as_double().unwrap_or(0.0);
            }
            _ => {}
        }
    }
}
