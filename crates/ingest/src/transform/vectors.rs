//! Our columns as compute's vectors and back.

use std::sync::Arc;

use ovate_compute::{ColumnType, Value, Vector};

use super::rows::numeric_bools;
use crate::format::column::{Column, Nulls};

/// A column for an expression.
pub fn vector_of_column(column: &Column) -> Vector {
    match column {
        Column::Null(len) => Vector::Null { len: *len },
        Column::Longs { values, nulls } => Vector::Long { values: values.clone(), nulls: owned(nulls) },
        Column::Floats { values, nulls } => Vector::Float { values: values.clone(), nulls: owned(nulls) },
        Column::Doubles { values, nulls } => Vector::Double { values: values.clone(), nulls: owned(nulls) },
        Column::Bools { values, nulls } => {
            Vector::Long { values: values.iter().map(|v| i64::from(*v)).collect(), nulls: owned(nulls) }
        }
        Column::Text(text) => Vector::String((0..column.len()).map(|row| text.get(row).map(Arc::from)).collect()),
        Column::Coded { values, codes } => Vector::String(codes.iter().map(|code| values[*code as usize].clone()).collect()),
        Column::Values(values) => {
            Vector::Any { column_type: ColumnType::String, values: values.iter().cloned().map(numeric_bools).collect() }
        }
    }
}

/// What an expression gave.
pub fn column_of_vector(vector: Vector) -> Column {
    match vector {
        Vector::Null { len } => Column::Null(len),
        Vector::Long { values, nulls } => Column::Longs { values, nulls: Nulls::from_flags(nulls) },
        Vector::Float { values, nulls } => Column::Floats { values, nulls: Nulls::from_flags(nulls) },
        Vector::Double { values, nulls } => Column::Doubles { values, nulls: Nulls::from_flags(nulls) },
        other => {
            let mut column = Column::Null(0);
            for row in 0..other.len() {
                column.push_value(match other.value(row) {
                    // A list of lists or of objects stays one value.
                    Value::Array(list) => Value::Array(list),
                    value => value,
                });
            }
            column
        }
    }
}

fn owned(nulls: &Nulls) -> Option<Vec<bool>> {
    nulls.flags().map(<[bool]>::to_vec)
}
