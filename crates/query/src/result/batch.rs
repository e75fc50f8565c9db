//! Putting batches together.

use std::sync::Arc;

use ovate_compute::{ColumnType, Value, Vector};

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

fn join(parts: Vec<&Vector>) -> Vector {
    let rows: usize = parts.iter().map(|part| part.len()).sum();
    if parts.iter().all(|part| matches!(part, Vector::Long { .. })) {
        let (mut all, mut nulls) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        for part in &parts {
            if let Vector::Long { values, nulls: own } = part {
                all.extend_from_slice(values);
                match own {
                    Some(own) => nulls.extend_from_slice(own),
                    None => nulls.resize(all.len(), false),
                }
            }
        }
        return Vector::Long { values: all, nulls: nulls.contains(&true).then_some(nulls) };
    }
    let values: Vec<Value> = parts.iter().flat_map(|part| part.to_values()).collect();
    match parts.iter().find_map(|part| part.column_type()) {
        None => Vector::Null { len: rows },
        // Multi-value strings stay arrays in a STRING column.
        Some(ColumnType::String) if values.iter().any(|v| matches!(v, Value::Array(_))) => {
            Vector::Any { column_type: ColumnType::String, values }
        }
        Some(column_type) => Vector::from_values(&column_type, values),
    }
}
