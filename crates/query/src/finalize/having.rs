//! `having` over the columns of a groupBy's result.

use std::cmp::Ordering;
use std::sync::Arc;

use ovate_base::Result;
use ovate_compute::column::MemoryTable;
use ovate_compute::filter::FilterSpec;
use ovate_compute::value::compare_doubles;
use ovate_compute::{ColumnSource, Rows, Value, Vector};

use super::columns::ResultColumns;
use crate::document::HavingSpec;

/// The rows that pass, ascending.
pub(super) fn kept_rows(having: &HavingSpec, columns: &ResultColumns<'_>) -> Result<Vec<u32>> {
    let keep = evaluate(having, columns)?;
    Ok((0..columns.rows as u32).filter(|row| keep[*row as usize]).collect())
}

fn evaluate(having: &HavingSpec, columns: &ResultColumns<'_>) -> Result<Vec<bool>> {
    let rows = columns.rows;
    match having {
        HavingSpec::Always => Ok(vec![true; rows]),
        HavingSpec::Never => Ok(vec![false; rows]),
        HavingSpec::And(specs) => combine(specs, columns, true),
        HavingSpec::Or(specs) => combine(specs, columns, false),
        HavingSpec::Not(spec) => Ok(evaluate(spec, columns)?.into_iter().map(|keep| !keep).collect()),
        HavingSpec::EqualTo { aggregation, value } => compared(aggregation, value, columns, Ordering::Equal),
        HavingSpec::GreaterThan { aggregation, value } => compared(aggregation, value, columns, Ordering::Greater),
        HavingSpec::LessThan { aggregation, value } => compared(aggregation, value, columns, Ordering::Less),
        HavingSpec::Filter(filter) => filtered(filter, columns),
        HavingSpec::DimSelector { dimension, value } => {
            let source = table(&[dimension.dimension().to_owned()], columns)?;
            let context = columns.eval();
            let Some(column) = dimension.column(&source, context)? else { return Ok(vec![value.is_none(); rows]) };
            let mut reader = column.reader()?;
            let wanted = value.as_deref();
            Ok(reader.values(Rows::Range(0..rows as u32))?.iter().map(|v| v.as_text().as_deref() == wanted).collect())
        }
    }
}

fn combine(specs: &[HavingSpec], columns: &ResultColumns<'_>, all: bool) -> Result<Vec<bool>> {
    let mut result = vec![all; columns.rows];
    for spec in specs {
        for (keep, passed) in result.iter_mut().zip(evaluate(spec, columns)?) {
            *keep = if all { *keep && passed } else { *keep || passed };
        }
    }
    Ok(result)
}

/// Null passes no comparison (`HavingSpecMetricComparator`).
fn compared(name: &str, value: &serde_json::Number, columns: &ResultColumns<'_>, wanted: Ordering) -> Result<Vec<bool>> {
    let vector = columns.get(name)?.unwrap_or(Vector::Null { len: columns.rows });
    let passes = |row: usize| match (vector.value(row), value.as_i64()) {
        (Value::Null, _) => false,
        (Value::Long(own), Some(bound)) => own.cmp(&bound) == wanted,
        (own, _) => own.as_double().is_some_and(|own| compare_doubles(own, value.as_f64().unwrap_or(f64::NAN)) == wanted),
    };
    Ok((0..columns.rows).map(passes).collect())
}

fn filtered(filter: &FilterSpec, columns: &ResultColumns<'_>) -> Result<Vec<bool>> {
    let source = table(&filter.required_columns(), columns)?;
    let mut bound = filter.bind(&source, columns.eval())?;
    let mut ids: Vec<u32> = match &bound.bitmap {
        Some(bitmap) => bitmap.iter().collect(),
        None => (0..columns.rows as u32).collect(),
    };
    if let Some(matcher) = &mut bound.residual {
        let mut kept = Vec::new();
        matcher.keep(Rows::Ids(&ids), &mut kept)?;
        ids = kept;
    }
    let mut keep = vec![false; columns.rows];
    ids.into_iter().for_each(|row| keep[row as usize] = true);
    Ok(keep)
}

/// The named columns of the result as a table; those that are not there are left out, and read as null.
fn table(names: &[String], columns: &ResultColumns<'_>) -> Result<Arc<dyn ColumnSource>> {
    let mut found = Vec::new();
    for name in names {
        if let Some(vector) = columns.get(name)? {
            found.push((name.clone(), vector));
        }
    }
    if found.is_empty() {
        return Ok(Arc::new(MemoryTable::without_columns(columns.rows as u32)));
    }
    Ok(Arc::new(MemoryTable::new(found)?))
}
