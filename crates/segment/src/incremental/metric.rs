//! Metrics of an incremental index, by row. Counts, sums, minima and maxima of plain columns are folded here, straight from
//! the input; every other aggregator runs over the batch and its partial results are kept or merged.

use std::sync::Arc;

use ovate_base::{DruidError, Result};
use ovate_compute::aggregate::{Aggregator, AggregatorSpec, Groups};
use ovate_compute::{ColumnSource, ColumnType, EvalContext, Rows, Value, Vector};

use super::batch::{InputColumn, RowProblem, Selection};
use super::dimension::{NumberKind, NumberStore, read_number};
use crate::write::data::{ByteTable, ColumnData, ComplexColumn, NumberColumn};

/// How a simple metric folds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fold {
    Sum,
    Min,
    Max,
}

/// State of one metric.
pub(crate) enum MetricStore {
    Count(NumberStore<i64>),
    Long(Fold, NumberStore<i64>),
    Float(Fold, NumberStore<f32>),
    Double(Fold, NumberStore<f64>),
    /// Without rollup: partial results of the batches, one entry a row.
    Rows(Vec<Vector>),
    /// With rollup.
    Groups(Box<dyn Aggregator>),
}

/// A metric with its spec.
pub(crate) struct Metric {
    pub(crate) name: String,
    pub(crate) spec: AggregatorSpec,
    /// The one input of a simple metric.
    field: String,
    pub(crate) store: MetricStore,
}

/// One batch as metrics see it.
pub(crate) struct MetricBatch<'a> {
    pub(crate) selection: Selection<'a>,
    /// The row of the index that each selected row belongs to.
    pub(crate) rows: &'a [u32],
    /// Number of rows in the index after this batch.
    pub(crate) row_count: usize,
    /// The batch as a table, for metrics that are not simple.
    pub(crate) source: Option<&'a Arc<dyn ColumnSource>>,
    /// For rollup: the batch's own group of each selected row, and the index row of each group.
    pub(crate) local_groups: &'a [u32],
    pub(crate) local_rows: &'a [u32],
}

impl Metric {
    pub(crate) fn new(spec: &AggregatorSpec, rollup: bool) -> Result<Self> {
        let json = spec.to_json();
        let kind = json["type"].as_str().unwrap_or_default();
        let field = json["fieldName"].as_str().filter(|_| json.get("expression").is_none_or(|e| e.is_null()));
        let fold = match kind {
            _ if kind.ends_with("Sum") => Some(Fold::Sum),
            _ if kind.ends_with("Min") => Some(Fold::Min),
            _ if kind.ends_with("Max") => Some(Fold::Max),
            _ => None,
        };
        let store = match (kind, field, fold) {
            ("count", ..) => MetricStore::Count(NumberStore::default()),
            ("longSum" | "longMin" | "longMax", Some(_), Some(fold)) => MetricStore::Long(fold, NumberStore::default()),
            ("floatSum" | "floatMin" | "floatMax", Some(_), Some(fold)) => MetricStore::Float(fold, NumberStore::default()),
            ("doubleSum" | "doubleMin" | "doubleMax", Some(_), Some(fold)) => MetricStore::Double(fold, NumberStore::default()),
            _ if rollup => MetricStore::Groups(spec.merger()?),
            _ => MetricStore::Rows(Vec::new()),
        };
        let field = field.unwrap_or_default().to_owned();
        Ok(Metric { name: spec.name().to_owned(), spec: spec.clone(), field, store })
    }

    /// Whether it reads the batch as a table.
    pub(crate) fn needs_source(&self) -> bool {
        matches!(self.store, MetricStore::Rows(_) | MetricStore::Groups(_))
    }

    /// Adds a batch. `input` finds a column of it.
    pub(crate) fn add<'a>(
        &mut self,
        input: &dyn Fn(&str) -> InputColumn<'a>,
        batch: &MetricBatch<'_>,
        problems: &mut Vec<RowProblem>,
    ) -> Result<()> {
        let name = &self.field;
        let mut problem = |row: usize, text: String| {
            let message = format!("Unable to parse value[{text}] for field[{name}]");
            problems.push(RowProblem { row: row as u32, message });
        };
        match &mut self.store {
            MetricStore::Count(counts) => {
                for row in batch.rows {
                    match *row as usize {
                        row if row == counts.values.len() => counts.values.push(1),
                        row => counts.values.set(row, counts.values.get(row) + 1),
                    }
                }
            }
            MetricStore::Long(Fold::Sum, s) => fold(s, input(name), batch, |v| v, i64::wrapping_add, &mut problem),
            MetricStore::Long(Fold::Min, s) => fold(s, input(name), batch, |v| v, i64::min, &mut problem),
            MetricStore::Long(Fold::Max, s) => fold(s, input(name), batch, |v| v, i64::max, &mut problem),
            MetricStore::Float(Fold::Sum, s) => fold(s, input(name), batch, |v| 0.0 + v, |a, b| a + b, &mut problem),
            MetricStore::Float(Fold::Min, s) => {
                fold(s, input(name), batch, |v| v, |a, b| if b < a || b.is_nan() { b } else { a }, &mut problem)
            }
            MetricStore::Float(Fold::Max, s) => {
                fold(s, input(name), batch, |v| v, |a, b| if b > a || b.is_nan() { b } else { a }, &mut problem)
            }
            MetricStore::Double(Fold::Sum, s) => fold(s, input(name), batch, |v| 0.0 + v, |a, b| a + b, &mut problem),
            MetricStore::Double(Fold::Min, s) => {
                fold(s, input(name), batch, |v| v, |a, b| if b < a || b.is_nan() { b } else { a }, &mut problem)
            }
            MetricStore::Double(Fold::Max, s) => {
                fold(s, input(name), batch, |v| v, |a, b| if b > a || b.is_nan() { b } else { a }, &mut problem)
            }
            MetricStore::Rows(_) | MetricStore::Groups(_) => self.add_source(batch)?,
        }
        Ok(())
    }

    fn add_source(&mut self, batch: &MetricBatch<'_>) -> Result<()> {
        let source = batch.source.ok_or_else(|| DruidError::runtime("metric without its batch"))?;
        let mut aggregator = self.spec.bind(source, &EvalContext::at(0))?;
        let count = batch.selection.len() as u32;
        match &mut self.store {
            MetricStore::Groups(merger) => {
                aggregator.resize(batch.local_rows.len());
                aggregator.add(Rows::Range(0..count), Groups::Each(batch.local_groups))?;
                merger.resize(batch.row_count);
                merger.merge(&aggregator.take_partial()?, batch.local_rows)?;
            }
            MetricStore::Rows(chunks) => {
                aggregator.resize(count as usize);
                let each: Vec<u32> = (0..count).collect();
                aggregator.add(Rows::Range(0..count), Groups::Each(&each))?;
                chunks.push(aggregator.take_partial()?);
            }
            _ => {}
        }
        Ok(())
    }

    /// The stored column, rows taken in this order.
    pub(crate) fn column(&mut self, order: Option<&[u32]>, row_count: usize) -> Result<ColumnData> {
        Ok(match &mut self.store {
            MetricStore::Count(store) | MetricStore::Long(_, store) => ColumnData::Long(gather(store, order)),
            MetricStore::Float(_, store) => ColumnData::Float(gather(store, order)),
            MetricStore::Double(_, store) => ColumnData::Double(gather(store, order)),
            MetricStore::Rows(chunks) => {
                let mut builder = MetricColumn::new(&self.spec.intermediate_type());
                chunks.iter().try_for_each(|chunk| builder.append(chunk))?;
                builder.finish(order)
            }
            MetricStore::Groups(merger) => {
                // Looking takes the state out; it goes back in at once.
                let partial = merger.take_partial()?;
                let identity: Vec<u32> = (0..row_count as u32).collect();
                merger.resize(row_count);
                merger.merge(&partial, &identity)?;
                let mut builder = MetricColumn::new(&self.spec.intermediate_type());
                builder.append(&partial)?;
                builder.finish(order)
            }
        })
    }

    /// Bytes held.
    pub(crate) fn memory_bytes(&self) -> usize {
        match &self.store {
            MetricStore::Count(store) | MetricStore::Long(_, store) => store.memory_bytes(),
            MetricStore::Float(_, store) => store.memory_bytes(),
            MetricStore::Double(_, store) => store.memory_bytes(),
            MetricStore::Rows(chunks) => chunks.iter().map(vector_bytes).sum(),
            MetricStore::Groups(merger) => merger.memory_bytes(),
        }
    }
}

/// Folds a column into rows; rows that are new start with `begin` of their first value, or null. (A sum begins at 0.0, so
/// that -0.0 alone gives 0.0.)
fn fold<T: NumberKind>(
    store: &mut NumberStore<T>,
    input: InputColumn<'_>,
    batch: &MetricBatch<'_>,
    begin: impl Fn(T) -> T,
    fold: impl Fn(T, T) -> T,
    problem: &mut dyn FnMut(usize, String),
) {
    let each = |place: usize, value: Option<T>| {
        let row = batch.rows[place] as usize;
        if row == store.values.len() {
            return store.push(value.map(&begin));
        }
        if let Some(value) = value {
            let value = store.get(row).map_or_else(|| begin(value), |old| fold(old, value));
            store.set(row, value);
        }
    };
    read_number(input, batch.selection, each, problem);
}

/// Values in this order.
pub(crate) fn gather<T: NumberKind>(store: &NumberStore<T>, order: Option<&[u32]>) -> NumberColumn<T> {
    let pick = |rows: &[u32]| NumberColumn {
        values: rows.iter().map(|row| store.values.get(*row as usize)).collect(),
        nulls: store.nulls.as_ref().map(|nulls| rows.iter().map(|row| nulls.get(*row as usize)).collect()),
    };
    let all = || NumberColumn { values: store.values.to_vec(), nulls: store.nulls.as_ref().map(|nulls| nulls.to_vec()) };
    order.map_or_else(all, pick)
}

fn vector_bytes(vector: &Vector) -> usize {
    match vector {
        Vector::Long { values, .. } => 9 * values.len(),
        Vector::Float { values, .. } => 5 * values.len(),
        Vector::Double { values, .. } => 9 * values.len(),
        Vector::Codes { codes, .. } => 4 * codes.len(),
        Vector::String(values) => values.iter().flatten().map(|text| text.len() + 32).sum(),
        Vector::Any { values, .. } => {
            values.iter().map(|value| if let Value::Complex(_, bytes) = value { bytes.len() + 64 } else { 64 }).sum()
        }
        Vector::Null { .. } => 0,
    }
}

/// Collects partial results into the column that a segment stores.
pub(crate) enum MetricColumn {
    Long(NumberStore<i64>),
    Float(NumberStore<f32>),
    Double(NumberStore<f64>),
    Complex(Arc<str>, ByteTable),
    /// Types without a stored form of their own.
    Values(crate::incremental::dimension::AutoStore),
}

impl MetricColumn {
    pub(crate) fn new(column_type: &ColumnType) -> Self {
        match column_type {
            ColumnType::Long => MetricColumn::Long(NumberStore::default()),
            ColumnType::Float => MetricColumn::Float(NumberStore::default()),
            ColumnType::Double => MetricColumn::Double(NumberStore::default()),
            ColumnType::Complex(Some(name)) if &**name != "json" => MetricColumn::Complex(name.clone(), ByteTable::default()),
            _ => MetricColumn::Values(crate::incremental::dimension::AutoStore::new(false, None)),
        }
    }

    pub(crate) fn append(&mut self, vector: &Vector) -> Result<()> {
        match self {
            MetricColumn::Long(store) => append_numbers(store, vector, |v| v.as_long()),
            MetricColumn::Float(store) => append_numbers(store, vector, |v| v.as_double().map(|v| v as f32)),
            MetricColumn::Double(store) => append_numbers(store, vector, |v| v.as_double()),
            MetricColumn::Complex(name, rows) => {
                for row in 0..vector.len() {
                    match vector.value(row) {
                        Value::Null => rows.push(&[]),
                        Value::Complex(_, bytes) => rows.push(&bytes),
                        other => {
                            let found = other.value_type().map_or_else(String::new, |t| t.to_string());
                            return Err(DruidError::runtime(format!("metric of type {name} gave a value of type {found}")));
                        }
                    }
                }
            }
            MetricColumn::Values(store) => {
                let values: Vec<Value> = (0..vector.len()).map(|row| vector.value(row)).collect();
                store.stage(InputColumn::Values(&values), Selection::All(values.len()))?;
                store.commit_all();
            }
        }
        Ok(())
    }

    pub(crate) fn finish(self, order: Option<&[u32]>) -> ColumnData {
        match self {
            MetricColumn::Long(store) => ColumnData::Long(gather(&store, order)),
            MetricColumn::Float(store) => ColumnData::Float(gather(&store, order)),
            MetricColumn::Double(store) => ColumnData::Double(gather(&store, order)),
            MetricColumn::Complex(type_name, rows) => {
                let rows = match order {
                    None => rows,
                    Some(order) => {
                        let mut sorted = ByteTable::with_capacity(rows.len(), rows.all_bytes().len());
                        order.iter().for_each(|row| sorted.push(rows.get(*row as usize)));
                        sorted
                    }
                };
                ColumnData::Complex(ComplexColumn { type_name, rows })
            }
            MetricColumn::Values(store) => ColumnData::Auto(super::prepared::auto_column(&store, order)),
        }
    }
}

fn append_numbers<T: NumberKind>(store: &mut NumberStore<T>, vector: &Vector, convert: impl Fn(&Value) -> Option<T>) {
    let input = match vector {
        Vector::Long { values, nulls } => InputColumn::Longs { values, nulls: nulls.as_deref() },
        Vector::Float { values, nulls } => InputColumn::Floats { values, nulls: nulls.as_deref() },
        Vector::Double { values, nulls } => InputColumn::Doubles { values, nulls: nulls.as_deref() },
        _ => return (0..vector.len()).for_each(|row| store.push(convert(&vector.value(row)))),
    };
    read_number(input, Selection::All(vector.len()), |_, value| store.push(value), |_, _| {});
}
