//! Putting batches together.

use std::sync::Arc;

use ovate_compute::{ColumnType, Dictionary, Value, Vector};

use super::RowBatch;

/// All rows in one batch.
pub(crate) fn concatenate(signature: &[(Arc<str>, Option<ColumnType>)], mut batches: Vec<RowBatch>) -> RowBatch {
    if batches.len() == 1 {
        return batches.remove(0);
    }
    let rows = batches.iter().map(|batch| batch.rows).sum();
    let columns = (0..signature.len()).map(|at| join(batches.iter().map(|batch| &batch.columns[at]).collect())).collect();
    RowBatch { columns, rows }
}

/// The rows of all parts, one after the other.
pub(crate) fn join(parts: Vec<&Vector>) -> Vector {
    let rows: usize = parts.iter().map(|part| part.len()).sum();
    let typed = parts.iter().find(|part| !matches!(part, Vector::Null { .. }));
    let joined = match typed {
        None => return Vector::Null { len: rows },
        Some(Vector::Long { .. }) => numbers(&parts, |part| match part {
            Vector::Long { values, nulls } => Some((values, nulls)),
            _ => None,
        })
        .map(|(values, nulls)| Vector::Long { values, nulls }),
        Some(Vector::Double { .. }) => numbers(&parts, |part| match part {
            Vector::Double { values, nulls } => Some((values, nulls)),
            _ => None,
        })
        .map(|(values, nulls)| Vector::Double { values, nulls }),
        Some(Vector::Codes { dictionary, .. }) => codes(&parts, dictionary),
        Some(_) => None,
    };
    if let Some(joined) = joined {
        return joined;
    }
    let values: Vec<Value> = parts.iter().flat_map(|part| part.to_values()).collect();
    match typed.and_then(|part| part.column_type()) {
        None => Vector::Null { len: rows },
        // Multi-value strings stay arrays in a STRING column.
        Some(ColumnType::String) if values.iter().any(|v| matches!(v, Value::Array(_))) => {
            Vector::Any { column_type: ColumnType::String, values }
        }
        Some(column_type) => Vector::from_values(&column_type, values),
    }
}

#[allow(clippy::type_complexity)]
fn numbers<T: Copy>(
    parts: &[&Vector],
    slices: impl Fn(&Vector) -> Option<(&Vec<T>, &Option<Vec<bool>>)>,
) -> Option<(Vec<T>, Option<Vec<bool>>)> {
    let (mut all, mut nulls) = (Vec::new(), Vec::new());
    for part in parts {
        let (values, own) = slices(part)?;
        all.extend_from_slice(values);
        match own {
            Some(own) => {
                nulls.resize(all.len() - own.len(), false);
                nulls.extend_from_slice(own);
            }
            None if nulls.is_empty() => {}
            None => nulls.resize(all.len(), false),
        }
    }
    nulls.resize(if nulls.is_empty() { 0 } else { all.len() }, false);
    Some((all, (!nulls.is_empty()).then_some(nulls)))
}

/// Codes of one dictionary stay codes.
fn codes(parts: &[&Vector], dictionary: &Arc<dyn Dictionary>) -> Option<Vector> {
    let mut all = Vec::new();
    for part in parts {
        match part {
            Vector::Codes { dictionary: own, codes } if Arc::ptr_eq(own, dictionary) => all.extend_from_slice(codes),
            _ => return None,
        }
    }
    Some(Vector::Codes { dictionary: dictionary.clone(), codes: all })
}
