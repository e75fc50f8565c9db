//! Rows in memory, column by column: what leaves give and operators work on.

use std::sync::Arc;

use ovate_base::Result;
use ovate_compute::column::MemoryTable;
use ovate_compute::{ColumnSource, ColumnType, Value, Vector};
use ovate_query::QueryRows;
use parking_lot::Mutex;

use crate::codes::{gather_codes, joined_codes};
use crate::parallel::{on_threads, threads_for};

/// Columns of equal length; `rows` also counts where there are no columns.
#[derive(Clone, Default)]
pub struct Relation {
    pub columns: Vec<Vector>,
    pub rows: usize,
}

/// Stands for "no row" in row numbers given to `gather_or_null`.
pub const NO_ROW: u32 = u32::MAX;

impl Relation {
    /// Rows by value, for small things.
    pub fn from_rows(types: &[ColumnType], rows: Vec<Vec<Value>>) -> Relation {
        let count = rows.len();
        let mut columns: Vec<Vec<Value>> = types.iter().map(|_| Vec::with_capacity(count)).collect();
        for row in rows {
            for (column, value) in columns.iter_mut().zip(row) {
                column.push(value);
            }
        }
        let columns = columns.into_iter().zip(types).map(|(values, t)| Vector::from_values(t, values)).collect();
        Relation { columns, rows: count }
    }

    /// These rows in this order.
    pub fn gather(&self, rows: &[u32]) -> Relation {
        Relation { columns: each_column(&self.columns, rows.len(), &|c| c.gather(rows)), rows: rows.len() }
    }

    /// These rows of some columns.
    pub fn gather_columns(columns: &[&Vector], rows: &[u32]) -> Vec<Vector> {
        let work = |at: usize| Ok(columns[at].gather(rows));
        on_threads(columns.len(), threads_for(rows.len() * columns.len()), &work).expect("gathering rows has no errors")
    }

    /// These rows, with nulls for `NO_ROW`.
    pub fn gather_or_null(&self, rows: &[u32]) -> Relation {
        if !rows.contains(&NO_ROW) {
            return self.gather(rows);
        }
        Relation { columns: each_column(&self.columns, rows.len(), &|c| gather_or_null(c, rows)), rows: rows.len() }
    }

    /// Rows `offset..offset + limit`.
    pub fn slice(&self, offset: u64, limit: Option<u64>) -> Relation {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.rows);
        let length = limit.map_or(usize::MAX, |l| usize::try_from(l).unwrap_or(usize::MAX)).min(self.rows - start);
        if start == 0 && length == self.rows {
            return self.clone();
        }
        let rows: Vec<u32> = (start as u32..(start + length) as u32).collect();
        self.gather(&rows)
    }

    /// Columns side by side.
    pub fn beside(mut self, other: Relation) -> Relation {
        self.columns.extend(other.columns);
        self
    }

    /// All rows of all relations; the columns' types must agree.
    pub fn concat(types: &[ColumnType], mut parts: Vec<Relation>) -> Relation {
        if parts.len() == 1 {
            return parts.remove(0);
        }
        let rows = parts.iter().map(|p| p.rows).sum();
        let columns =
            types.iter().enumerate().map(|(i, t)| concat(t, parts.iter().map(|p| p.columns[i].clone()).collect())).collect();
        Relation { columns, rows }
    }

    /// The named columns of a query's result; columns that it does not have are null.
    pub fn from_query(rows: QueryRows, names: &[(&str, ColumnType)]) -> Relation {
        let places: Vec<Option<usize>> =
            names.iter().map(|(name, _)| rows.signature.iter().position(|(n, _)| n.as_ref() == *name)).collect();
        let total = rows.row_count();
        let mut columns: Vec<Vec<Vector>> = names.iter().map(|_| Vec::with_capacity(rows.batches.len())).collect();
        for batch in rows.batches {
            for (column, place) in columns.iter_mut().zip(&places) {
                column.push(match place {
                    Some(at) => batch.columns[*at].clone(),
                    None => Vector::Null { len: batch.rows },
                });
            }
        }
        let parts: Vec<Mutex<Vec<Vector>>> = columns.into_iter().map(Mutex::new).collect();
        let work = |at: usize| Ok(concat(&names[at].1, std::mem::take(&mut *parts[at].lock())));
        let columns =
            on_threads(names.len(), threads_for(total * names.len()), &work).expect("putting columns together has no errors");
        Relation { columns, rows: total }
    }

    /// The relation cut into so many tables of about equal size.
    pub fn as_sources(&self, count: usize) -> Result<Vec<Arc<dyn ColumnSource>>> {
        let step = self.rows.div_ceil(count.max(1)).max(1);
        let starts: Vec<usize> = (0..self.rows).step_by(step).collect();
        starts
            .into_iter()
            .map(|start| {
                let end = (start + step).min(self.rows);
                Relation { columns: self.columns.iter().map(|c| part(c, start, end)).collect(), rows: end - start }.into_source()
            })
            .collect()
    }

    /// The relation as a table that native queries run over; columns are named `c0`, `c1` and so on.
    pub fn into_source(self) -> Result<Arc<dyn ColumnSource>> {
        if self.columns.is_empty() {
            return Ok(Arc::new(MemoryTable::without_columns(self.rows as u32)));
        }
        let columns = self.columns.into_iter().enumerate().map(|(i, c)| (format!("c{i}"), c)).collect();
        Ok(Arc::new(MemoryTable::new(columns)?))
    }
}

/// Rows `start..end` of a column.
fn part(column: &Vector, start: usize, end: usize) -> Vector {
    let flags = |nulls: &Option<Vec<bool>>| nulls.as_ref().map(|n| n[start..end].to_vec());
    match column {
        Vector::Long { values, nulls } => Vector::Long { values: values[start..end].to_vec(), nulls: flags(nulls) },
        Vector::Double { values, nulls } => Vector::Double { values: values[start..end].to_vec(), nulls: flags(nulls) },
        Vector::Float { values, nulls } => Vector::Float { values: values[start..end].to_vec(), nulls: flags(nulls) },
        Vector::Codes { dictionary, codes } => {
            Vector::Codes { dictionary: dictionary.clone(), codes: codes[start..end].to_vec() }
        }
        Vector::String(values) => Vector::String(values[start..end].to_vec()),
        Vector::Any { column_type, values } => {
            Vector::Any { column_type: column_type.clone(), values: values[start..end].to_vec() }
        }
        Vector::Null { .. } => Vector::Null { len: end - start },
    }
}

/// Every column through `f`, several at a time where there are many rows.
fn each_column(columns: &[Vector], rows: usize, f: &(dyn Fn(&Vector) -> Vector + Sync)) -> Vec<Vector> {
    on_threads(columns.len(), threads_for(rows * columns.len()), &|at| Ok(f(&columns[at]))).expect("gathering rows has no errors")
}

fn gather_or_null(column: &Vector, rows: &[u32]) -> Vector {
    let absent: Vec<bool> = rows.iter().map(|r| *r == NO_ROW).collect();
    let merge = |given: &Option<Vec<bool>>| {
        let null = |row: u32| given.as_ref().is_some_and(|n| n[row as usize]);
        Some(rows.iter().map(|r| *r == NO_ROW || null(*r)).collect::<Vec<bool>>())
    };
    match column {
        Vector::Long { values, nulls } => Vector::Long {
            values: rows.iter().map(|r| values.get(*r as usize).copied().unwrap_or(0)).collect(),
            nulls: merge(nulls),
        },
        Vector::Double { values, nulls } => Vector::Double {
            values: rows.iter().map(|r| values.get(*r as usize).copied().unwrap_or(0.0)).collect(),
            nulls: merge(nulls),
        },
        Vector::Float { values, nulls } => Vector::Float {
            values: rows.iter().map(|r| values.get(*r as usize).copied().unwrap_or(0.0)).collect(),
            nulls: merge(nulls),
        },
        Vector::Codes { .. } | Vector::String(_) => gather_codes(column, rows),
        Vector::Any { column_type, values } => {
            let value = |row: &u32| values.get(*row as usize).cloned().unwrap_or(Value::Null);
            Vector::Any { column_type: column_type.clone(), values: rows.iter().map(value).collect() }
        }
        Vector::Null { .. } => Vector::Null { len: absent.len() },
    }
}

/// Vectors one after the other; where their forms differ, as values of the given type.
pub fn concat(column_type: &ColumnType, mut parts: Vec<Vector>) -> Vector {
    if parts.len() > 1 {
        parts.retain(|p| !p.is_empty());
    }
    match parts.len() {
        0 => return Vector::from_values(column_type, Vec::new()),
        1 => return parts.remove(0),
        _ => {}
    }
    macro_rules! numbers {
        ($variant:ident) => {{
            let (mut all, mut all_nulls, mut any) = (Vec::new(), Vec::new(), false);
            for part in &parts {
                if let Vector::$variant { values, nulls } = part {
                    all.extend_from_slice(values);
                    any |= nulls.is_some();
                    match nulls {
                        Some(nulls) => all_nulls.extend_from_slice(nulls),
                        None => all_nulls.resize(all.len(), false),
                    }
                }
            }
            Vector::$variant { values: all, nulls: any.then_some(all_nulls) }
        }};
    }
    if parts.iter().all(|p| matches!(p, Vector::Long { .. })) {
        return numbers!(Long);
    }
    if parts.iter().all(|p| matches!(p, Vector::Double { .. })) {
        return numbers!(Double);
    }
    if parts.iter().all(|p| matches!(p, Vector::Float { .. })) {
        return numbers!(Float);
    }
    if let Vector::Codes { dictionary, .. } = &parts[0] {
        let first = dictionary.clone();
        let same = |p: &Vector| matches!(p, Vector::Codes { dictionary, .. } if Arc::ptr_eq(dictionary, &first));
        if parts.iter().all(same) {
            let mut all = Vec::new();
            for part in &parts {
                if let Vector::Codes { codes, .. } = part {
                    all.extend_from_slice(codes);
                }
            }
            return Vector::Codes { dictionary: first, codes: all };
        }
    }
    if parts.iter().all(|p| matches!(p, Vector::Null { .. })) {
        return Vector::Null { len: parts.iter().map(Vector::len).sum() };
    }
    if *column_type == ColumnType::String
        && let Some(codes) = joined_codes(&parts)
    {
        return codes;
    }
    let values: Vec<Value> = parts.iter().flat_map(Vector::to_values).collect();
    match column_type {
        // Values that are not of the declared type stay what they are.
        ColumnType::Long | ColumnType::Float | ColumnType::Double
            if values.iter().any(|v| matches!(v, Value::String(_) | Value::Array(_))) =>
        {
            Vector::from_untyped(values)
        }
        other => Vector::from_values(other, values),
    }
}
