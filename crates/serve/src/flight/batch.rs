//! Rows of ours as Arrow's record batches, and Arrow's values as parameters of our statements.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, BooleanBuilder, Date32Array, Float32Array, Float64Array, Float64Builder, Int32Array,
    Int64Array, Int64Builder, ListBuilder, RecordBatch, RecordBatchOptions, StringArray, StringBuilder,
    TimestampMillisecondArray, TimestampMillisecondBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use ovate_base::{DruidError, Result};
use ovate_compute::value::{json_text, to_json};
use ovate_compute::{Value, Vector};
use ovate_sql::types::SqlType;
use ovate_sql::{SqlParameter, SqlRows};
use serde_json::{Value as Json, json};

const DAY_MS: i64 = 86_400_000;

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

/// The Arrow type of an SQL type.
pub fn data_type(t: &SqlType) -> DataType {
    match t {
        SqlType::Boolean => DataType::Boolean,
        SqlType::Integer => DataType::Int32,
        SqlType::Bigint | SqlType::IntervalDay | SqlType::IntervalMonth => DataType::Int64,
        SqlType::Float => DataType::Float32,
        SqlType::Double | SqlType::Decimal => DataType::Float64,
        SqlType::Timestamp => instant(),
        SqlType::Date => DataType::Date32,
        SqlType::Null | SqlType::Varchar | SqlType::Char | SqlType::Any | SqlType::Complex(_) => DataType::Utf8,
        SqlType::Array(element) => DataType::List(Arc::new(Field::new_list_field(element_type(element), true))),
    }
}

/// Elements are of one of five types.
fn element_type(t: &SqlType) -> DataType {
    match t {
        SqlType::Boolean => DataType::Boolean,
        t if t.is_integer() => DataType::Int64,
        t if t.is_approximate() => DataType::Float64,
        SqlType::Timestamp => instant(),
        _ => DataType::Utf8,
    }
}

/// The Arrow schema of columns.
pub fn schema(columns: &[(Arc<str>, SqlType)]) -> SchemaRef {
    let field = |(name, t): &(Arc<str>, SqlType)| {
        let nullable = !(*t == SqlType::Timestamp && &**name == "__time");
        Field::new(&**name, data_type(t), nullable)
    };
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Array(items) if items.len() == 1 => text(&items[0]),
        Value::Array(_) | Value::Json(_) | Value::Complex(..) => Some(json_text(&to_json(value))),
        other => other.as_text().map(|text| text.to_string()),
    }
}

fn column(vector: &Vector, t: &SqlType, start: usize, end: usize) -> ArrayRef {
    if let (Vector::Long { values, nulls }, SqlType::Bigint) = (vector, t) {
        let is_null = |row: usize| nulls.as_ref().is_some_and(|nulls| nulls[row]);
        return Arc::new(Int64Array::from_iter((start..end).map(|row| (!is_null(row)).then(|| values[row]))));
    }
    let values = (start..end).map(|row| vector.value(row));
    match t {
        SqlType::Boolean => Arc::new(BooleanArray::from_iter(values.map(|v| v.as_boolean().filter(|_| !v.is_null())))),
        SqlType::Integer => Arc::new(Int32Array::from_iter(values.map(|v| v.as_long().and_then(|n| i32::try_from(n).ok())))),
        SqlType::Bigint | SqlType::IntervalDay | SqlType::IntervalMonth => {
            Arc::new(Int64Array::from_iter(values.map(|v| v.as_long())))
        }
        SqlType::Float => Arc::new(Float32Array::from_iter(values.map(|v| v.as_double().map(|n| n as f32)))),
        SqlType::Double | SqlType::Decimal => Arc::new(Float64Array::from_iter(values.map(|v| v.as_double()))),
        SqlType::Timestamp => Arc::new(TimestampMillisecondArray::from_iter(values.map(|v| v.as_long())).with_timezone("UTC")),
        SqlType::Date => {
            let days = values.map(|v| v.as_long().and_then(|ms| i32::try_from(ms.div_euclid(DAY_MS)).ok()));
            Arc::new(Date32Array::from_iter(days))
        }
        SqlType::Array(element) => list(values, element),
        _ => Arc::new(StringArray::from_iter(values.map(|v| text(&v)))),
    }
}

fn list(values: impl Iterator<Item = Value>, element: &SqlType) -> ArrayRef {
    macro_rules! built {
        ($builder:expr, $read:expr) => {{
            let mut builder = ListBuilder::new($builder);
            for value in values {
                if let Some(items) = value.as_array() {
                    items.iter().for_each(|item| builder.values().append_option($read(item)));
                    builder.append(true);
                } else {
                    builder.append(false);
                }
            }
            Arc::new(builder.finish())
        }};
    }
    match element_type(element) {
        DataType::Boolean => built!(BooleanBuilder::new(), |item: &Value| item.as_boolean()),
        DataType::Int64 => built!(Int64Builder::new(), |item: &Value| item.as_long()),
        DataType::Float64 => built!(Float64Builder::new(), |item: &Value| item.as_double()),
        DataType::Timestamp(..) => {
            built!(TimestampMillisecondBuilder::new().with_data_type(instant()), |item: &Value| item.as_long())
        }
        _ => built!(StringBuilder::new(), |item: &Value| text(item)),
    }
}

/// Rows `start..end` as a batch.
pub fn batch(rows: &SqlRows, schema: &SchemaRef, start: usize, end: usize) -> std::result::Result<RecordBatch, ArrowError> {
    let columns = rows.columns.iter().zip(&rows.rows.columns).map(|((_, t), vector)| column(vector, t, start, end));
    let options = RecordBatchOptions::new().with_row_count(Some(end - start));
    RecordBatch::try_new_with_options(schema.clone(), columns.collect(), &options)
}

/// The values of a batch's only row.
pub fn parameters(batch: &RecordBatch) -> Result<Vec<SqlParameter>> {
    if batch.num_rows() != 1 {
        let message = format!("a statement with {} rows of parameters; one row is bound at a time", batch.num_rows());
        return Err(DruidError::unsupported(message));
    }
    batch.columns().iter().map(parameter).collect()
}

fn parameter(array: &ArrayRef) -> Result<SqlParameter> {
    let typed = |sql_type: &str, value: Json| Ok(SqlParameter { sql_type: sql_type.to_owned(), value });
    let wrong =
        |error: ArrowError| DruidError::invalid_input(format!("cannot read a parameter of type {}: {error}", array.data_type()));
    if array.is_null(0) || *array.data_type() == DataType::Null {
        return typed("NULL", Json::Null);
    }
    let long = |array: &ArrayRef| -> Result<i64> {
        let cast = cast(array, &DataType::Int64).map_err(wrong)?;
        let value = cast.as_any().downcast_ref::<Int64Array>().filter(|cast| !cast.is_null(0)).map(|cast| cast.value(0));
        value.ok_or_else(|| DruidError::invalid_input(format!("a parameter of type {} is too large", array.data_type())))
    };
    match array.data_type() {
        DataType::Boolean => {
            let flag = array.as_any().downcast_ref::<BooleanArray>().map(|array| array.value(0));
            typed("BOOLEAN", json!(flag))
        }
        t if t.is_integer() => typed("BIGINT", json!(long(array)?)),
        t if t.is_floating() || matches!(t, DataType::Decimal128(..) | DataType::Decimal256(..)) => {
            let cast = cast(array, &DataType::Float64).map_err(wrong)?;
            let number = cast.as_any().downcast_ref::<Float64Array>().map(|cast| cast.value(0));
            match number.and_then(serde_json::Number::from_f64) {
                Some(number) => typed("DOUBLE", Json::Number(number)),
                None => Err(DruidError::invalid_input("a parameter is not a finite number")),
            }
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let cast = cast(array, &DataType::Utf8).map_err(wrong)?;
            let text = cast.as_any().downcast_ref::<StringArray>().map(|cast| cast.value(0).to_owned());
            typed("VARCHAR", json!(text))
        }
        DataType::Timestamp(_, zone) => {
            let ms = cast(array, &DataType::Timestamp(TimeUnit::Millisecond, zone.clone())).map_err(wrong)?;
            typed("TIMESTAMP", json!(long(&ms)?))
        }
        DataType::Date32 | DataType::Date64 => {
            let ms = cast(array, &DataType::Date64).map_err(wrong)?;
            typed("DATE", json!(long(&ms)?))
        }
        other => Err(DruidError::unsupported(format!("a parameter of type {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use ovate_compute::ColumnType;
    use ovate_engine::Relation;

    use super::*;

    #[test]
    fn rows_of_every_type_become_batches() {
        let types = [
            ("l", SqlType::Bigint, Value::Long(5)),
            ("d", SqlType::Double, Value::Double(0.5)),
            ("s", SqlType::Varchar, Value::from("x")),
            ("t", SqlType::Timestamp, Value::Long(1000)),
            ("day", SqlType::Date, Value::Long(86_400_000)),
            ("b", SqlType::Boolean, Value::Long(1)),
            ("a", SqlType::Array(Box::new(SqlType::Bigint)), Value::Array(Arc::from(vec![Value::Long(1), Value::Null]))),
        ];
        let columns: Vec<(Arc<str>, SqlType)> = types.iter().map(|(name, t, _)| (Arc::from(*name), t.clone())).collect();
        let native: Vec<ColumnType> = columns.iter().map(|(_, t)| t.native()).collect();
        let values = types.iter().map(|(_, _, value)| value.clone()).collect();
        let nulls = types.iter().map(|_| Value::Null).collect();
        let rows = SqlRows { columns, rows: Relation::from_rows(&native, vec![values, nulls]) };
        let schema = schema(&rows.columns);
        let batch = batch(&rows, &schema, 0, 2).expect("a batch");
        assert_eq!((batch.num_rows(), batch.num_columns()), (2, 7));
        for column in batch.columns() {
            assert!(!column.is_null(0) && column.is_null(1), "{:?}", column.data_type());
        }
    }

    #[test]
    fn parameters_are_read_from_one_row() {
        let arrays: Vec<(&str, ArrayRef)> = vec![
            ("a", Arc::new(Int32Array::from(vec![7]))),
            ("b", Arc::new(StringArray::from(vec!["x"]))),
            ("c", Arc::new(TimestampMillisecondArray::from(vec![5]).with_timezone("UTC"))),
            ("d", Arc::new(Float32Array::from(vec![None]))),
        ];
        let batch = RecordBatch::try_from_iter(arrays).expect("a batch");
        let read = parameters(&batch).expect("parameters");
        let shown: Vec<String> = read.iter().map(|p| format!("{}:{}", p.sql_type, p.value)).collect();
        assert_eq!(shown, ["BIGINT:7", "VARCHAR:\"x\"", "TIMESTAMP:5", "NULL:null"]);
        let two = RecordBatch::try_from_iter(vec![("a", Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef)]).expect("a batch");
        assert!(parameters(&two).is_err());
    }
}
