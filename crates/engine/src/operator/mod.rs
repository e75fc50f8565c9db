//! Runs the operators of a `windowOperator` query over rows in memory (`OperatorFactory.wrap`). Rows stand in one table; a
//! partition is a run of them. Called by the Broker, which has the rows of the datasource ready.

mod frame;
mod scan;

use std::sync::Arc;

use ovate_base::{DruidError, Result};
use ovate_compute::column::MemoryTable;
use ovate_compute::{ColumnSource, ColumnType, Value, Vector};
use ovate_query::document::{ColumnWithDirection, Direction, OperatorSpec, ProcessorSpec, WindowFrame, WindowOperatorQuery};
use ovate_query::{QueryContext, QueryRows, RowBatch};

use crate::relation::Relation;
use crate::sort::{Comparer, SortColumn, sorted_rows};
use crate::window::{FrameEnd, WindowSpec, evaluate_partitions};

/// Rows with named columns, cut into partitions.
pub(crate) struct Rows {
    names: Vec<Arc<str>>,
    relation: Relation,
    /// First rows of the partitions; the end of one is the start of the next.
    starts: Vec<usize>,
}

/// The answer of the query over the rows of its datasource.
pub fn run_window_operators(query: &WindowOperatorQuery, input: QueryRows, context: &QueryContext) -> Result<QueryRows> {
    let mut rows = Rows::of(input);
    for operator in query.leaf_operators.iter().chain(&query.operators) {
        context.check()?;
        rows = rows.apply(operator, context)?;
    }
    let column = |(name, column_type): &(String, Option<ColumnType>)| match rows.place(name) {
        // Values that are not of the declared type stay what they are.
        Some(at) => rows.relation.columns[at].clone(),
        None => Vector::from_values(column_type.as_ref().unwrap_or(&ColumnType::String), vec![Value::Null; rows.relation.rows]),
    };
    let columns = query.output.iter().map(column).collect();
    Ok(QueryRows {
        signature: query.output.iter().map(|(name, t)| (Arc::from(name.as_str()), t.clone())).collect(),
        batches: vec![RowBatch { columns, rows: rows.relation.rows }],
        ..QueryRows::default()
    })
}

impl Rows {
    fn of(input: QueryRows) -> Rows {
        let (signature, batch) = input.into_one_batch();
        let names = signature.into_iter().map(|(name, _)| name).collect();
        Rows { names, starts: vec![0], relation: Relation { columns: batch.columns, rows: batch.rows } }
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known.as_ref() == name)
    }

    fn required(&self, name: &str, function: &str) -> Result<usize> {
        self.place(name).ok_or_else(|| {
            DruidError::invalid_input(format!("column[{name}] doesn't exist, but window function {function} wants it to"))
        })
    }

    /// The partitions as ranges of rows; none is empty.
    fn partitions(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let ends = self.starts.iter().skip(1).copied().chain([self.relation.rows]);
        self.starts.iter().copied().zip(ends).filter(|(start, end)| start < end)
    }

    /// Adds a column, in the place of one of its name.
    fn put(&mut self, name: &str, column: Vector) {
        match self.place(name) {
            Some(at) => self.relation.columns[at] = column,
            None => {
                self.names.push(Arc::from(name));
                self.relation.columns.push(column);
            }
        }
    }

    fn as_source(&self) -> Result<Arc<dyn ColumnSource>> {
        if self.names.is_empty() {
            return Ok(Arc::new(MemoryTable::without_columns(self.relation.rows as u32)));
        }
        let columns = self.names.iter().map(|n| n.to_string()).zip(self.relation.columns.iter().cloned()).collect();
        Ok(Arc::new(MemoryTable::new(columns)?))
    }

    fn apply(mut self, operator: &OperatorSpec, context: &QueryContext) -> Result<Rows> {
        match operator {
            OperatorSpec::NaivePartition { columns } => {
                self.starts = self.cut(&self.starts, columns);
                Ok(self)
            }
            OperatorSpec::GlueingPartition { columns, rows_max } => {
                self.starts = self.cut(&[0], columns);
                let longest = self.partitions().map(|(start, end)| (end - start) as u64).max().unwrap_or(0);
                match rows_max {
                    Some(max) if longest > *max => Err(DruidError::resource_limit(format!(
                        "Too many rows to process (requested = {longest}, max = {max}); raise maxRowsMaterialized"
                    ))),
                    _ => Ok(self),
                }
            }
            OperatorSpec::NaiveSort { columns } => {
                let order = sorted_rows(&self.relation.columns, self.relation.rows, &self.sort_columns(columns));
                Ok(Rows { relation: self.relation.gather(&order), names: self.names, starts: vec![0] })
            }
            OperatorSpec::PartitionSort { columns } => {
                let keys = self.sort_columns(columns);
                let comparers: Vec<Comparer<'_>> = keys
                    .iter()
                    .map(|key| Comparer::new(&self.relation.columns[key.column], key.descending, key.nulls_first))
                    .collect();
                let mut order: Vec<u32> = (0..self.relation.rows as u32).collect();
                for (start, end) in self.partitions() {
                    order[start..end].sort_by(|a, b| crate::sort::first_difference(&comparers, *a, *b));
                }
                Ok(Rows { relation: self.relation.gather(&order), ..self })
            }
            OperatorSpec::Scan(spec) => scan::scan(self, spec, context),
            OperatorSpec::Window(processors) => {
                for processor in processors {
                    context.check()?;
                    self.process(processor, context)?;
                }
                Ok(self)
            }
        }
    }

    /// The starts of partitions when those that begin at `starts` are cut where one of the columns changes; columns that are
    /// not there never do.
    fn cut(&self, starts: &[usize], columns: &[String]) -> Vec<usize> {
        let comparers: Vec<Comparer<'_>> = columns
            .iter()
            .filter_map(|name| self.place(name))
            .map(|at| Comparer::new(&self.relation.columns[at], false, true))
            .collect();
        let mut given = starts.iter().copied().peekable();
        let mut cut = Vec::new();
        for row in 0..self.relation.rows {
            let known = given.next_if_eq(&row).is_some();
            if known || row == 0 || comparers.iter().any(|c| c.compare(row as u32 - 1, row as u32).is_ne()) {
                cut.push(row);
            }
        }
        if cut.is_empty() { vec![0] } else { cut }
    }

    /// Nulls come first when ascending; columns that are not there do not count.
    fn sort_columns(&self, columns: &[ColumnWithDirection]) -> Vec<SortColumn> {
        let one = |c: &ColumnWithDirection| {
            let descending = c.direction == Direction::Descending;
            self.place(&c.column).map(|column| SortColumn { column, descending, nulls_first: !descending })
        };
        columns.iter().filter_map(one).collect()
    }

    fn process(&mut self, processor: &ProcessorSpec, context: &QueryContext) -> Result<()> {
        let (name, column) = match processor {
            ProcessorSpec::RowNumber { output } => (output, self.ranking("ROW_NUMBER", &[], 1)?),
            ProcessorSpec::Rank { group, output, as_percent } => {
                (output, self.ranking(if *as_percent { "PERCENT_RANK" } else { "RANK" }, group, 1)?)
            }
            ProcessorSpec::DenseRank { group, output } => (output, self.ranking("DENSE_RANK", group, 1)?),
            ProcessorSpec::CumeDist { group, output } => (output, self.ranking("CUME_DIST", group, 1)?),
            ProcessorSpec::Percentile { output, buckets } => (output, self.ranking("NTILE", &[], i64::from(*buckets))?),
            ProcessorSpec::First { input, output, frame } => (output, self.value("FIRST", input, frame.as_ref())?),
            ProcessorSpec::Last { input, output, frame } => (output, self.value("LAST", input, frame.as_ref())?),
            ProcessorSpec::Offset { input, output, offset } => {
                let at = self.required(input, "OFFSET")?;
                let spec = self.spec("LEAD", vec![at], *offset, &[]);
                (output, evaluate_partitions(&self.relation, &self.starts, &spec)?)
            }
            ProcessorSpec::FramedAggregate { frame, aggregations } => {
                let frames = self.frames(frame);
                let source = self.as_source()?;
                for spec in aggregations {
                    let column = frame::aggregate(spec, &source, &frames, context)?;
                    self.put(spec.name(), column);
                }
                return Ok(());
            }
        };
        self.put(name, column);
        Ok(())
    }

    fn spec(&self, function: &'static str, args: Vec<usize>, number: i64, group: &[String]) -> WindowSpec {
        let result = match function {
            "PERCENT_RANK" | "CUME_DIST" => ColumnType::Double,
            "LEAD" => args.first().and_then(|at| self.relation.columns[*at].column_type()).unwrap_or(ColumnType::String),
            _ => ColumnType::Long,
        };
        let peer = |column: usize| SortColumn { column, descending: false, nulls_first: true };
        WindowSpec {
            function,
            args,
            number,
            default: Value::Null,
            filter: None,
            partition_by: Vec::new(),
            order_by: group.iter().filter_map(|name| self.place(name)).map(peer).collect(),
            rows: true,
            start: FrameEnd::Unbounded,
            end: FrameEnd::Unbounded,
            result,
            custom: false,
        }
    }

    fn ranking(&self, function: &'static str, group: &[String], number: i64) -> Result<Vector> {
        evaluate_partitions(&self.relation, &self.starts, &self.spec(function, Vec::new(), number, group))
    }

    /// The first or last value of each row's frame; null where it has no rows.
    fn value(&self, function: &'static str, input: &str, frame: Option<&WindowFrame>) -> Result<Vector> {
        let column = &self.relation.columns[self.required(input, function)?];
        let whole = WindowFrame::Rows { lower: None, upper: None };
        let frames = self.frames(frame.unwrap_or(&whole));
        let end = |(start, end): (u32, u32)| match (start < end, function) {
            (false, _) => crate::relation::NO_ROW,
            (true, "FIRST") => start,
            (true, _) => end - 1,
        };
        let picked: Vec<u32> = frames.of_row.iter().map(|at| end(frames.frames[*at as usize].range)).collect();
        let one = Relation { columns: vec![column.clone()], rows: self.relation.rows };
        let mut values = one.gather_or_null(&picked);
        Ok(values.columns.remove(0))
    }

    fn frames(&self, frame: &WindowFrame) -> frame::Frames {
        let starts_of = |order_by: &[String]| self.cut(&self.starts, order_by);
        frame::Frames::of(frame, &self.partitions().collect::<Vec<_>>(), self.relation.rows, &starts_of)
    }
}

#[cfg(test)]
mod tests;
