//! `parquet` (FMT-03): columns go from Arrow arrays into ours without rows in between. A row group is the unit of parallel
//! work. String columns whose pages are all dictionary-encoded keep their codes.

use std::fs::File;
use std::path::Path as FilePath;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, GenericListArray, OffsetSizeTrait, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal128Type, Field, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use ovate_base::{DruidError, Result};
use ovate_compute::Value;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{Encoding, EncodingMask};
use parquet::file::metadata::RowGroupMetaData;
use serde_json::{Map, Value as Json};

use super::column::{Column, Nulls, Text, json_value};
use super::{Batch, Wanted};
use crate::spec::flatten::{FlattenSource, FlattenSpec};

/// Rows of one batch.
const BATCH_ROWS: usize = 16_384;

/// An opened file; cheap to share between threads.
#[derive(Clone)]
pub struct ParquetFile {
    path: Arc<FilePath>,
    metadata: ArrowReaderMetadata,
    bytes: u64,
}

impl ParquetFile {
    /// Opens a local file and reads its footer.
    pub fn open(path: &FilePath) -> Result<ParquetFile> {
        let file = File::open(path).map_err(|e| broken(path, &e))?;
        let bytes = file.metadata().map_err(|e| broken(path, &e))?.len();
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(|e| broken(path, &e))?;
        Ok(ParquetFile { path: Arc::from(path), metadata, bytes })
    }

    /// Number of row groups.
    pub fn row_groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// Reads one row group.
    pub fn read(&self, row_group: usize, format: &FlattenSpec, binary_as_string: bool, wanted: &Wanted) -> Result<ParquetReader> {
        let group = self.metadata.metadata().row_group(row_group);
        let schema = self.schema_with_codes(group)?;
        let file = File::open(&self.path).map_err(|e| broken(&self.path, &e))?;
        let options = ArrowReaderOptions::new().with_schema(schema);
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).map_err(|e| broken(&self.path, &e))?;
        let roots = self.wanted_roots(format, wanted);
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let rows = group.num_rows().max(1) as u64;
        let reader = builder
            .with_row_groups(vec![row_group])
            .with_projection(mask)
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(|e| broken(&self.path, &e))?;
        let group_bytes = self.bytes / self.row_groups().max(1) as u64;
        Ok(ParquetReader {
            reader,
            path: self.path.clone(),
            flatten: format.clone(),
            binary_as_string,
            discover: wanted.columns.is_none(),
            nested: wanted.nested,
            bytes_per_row: group_bytes as f64 / rows as f64,
        })
    }

    /// Top-level columns that are read: those wanted and those that paths start from.
    fn wanted_roots(&self, format: &FlattenSpec, wanted: &Wanted) -> Vec<usize> {
        let fields = self.metadata.schema().fields();
        let through_tree = format.fields.iter().any(|f| !matches!(f.source, FlattenSource::Root(_)));
        match &wanted.columns {
            Some(names) if !through_tree => {
                let of_root =
                    |name: &str| format.fields.iter().any(|f| matches!(&f.source, FlattenSource::Root(root) if root == name));
                (0..fields.len()).filter(|&at| names.contains(fields[at].name()) || of_root(fields[at].name())).collect()
            }
            _ => (0..fields.len()).collect(),
        }
    }

    /// The file's schema, with text columns as dictionaries where all pages of the row group hold codes.
    fn schema_with_codes(&self, group: &RowGroupMetaData) -> Result<Arc<Schema>> {
        let coded = |root: usize| {
            let descr = self.metadata.parquet_schema();
            let leaves: Vec<usize> = (0..descr.num_columns()).filter(|&leaf| descr.get_column_root_idx(leaf) == root).collect();
            let [leaf] = leaves[..] else { return false };
            let chunk = group.column(leaf);
            let only_codes = |mask: &EncodingMask| {
                mask.encodings().all(|e| matches!(e, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY))
            };
            chunk.dictionary_page_offset().is_some() && chunk.page_encoding_stats_mask().is_some_and(only_codes)
        };
        let fields: Vec<Arc<Field>> = self
            .metadata
            .schema()
            .fields()
            .iter()
            .enumerate()
            .map(|(root, field)| match field.data_type() {
                DataType::Utf8 | DataType::LargeUtf8 if coded(root) => {
                    let codes = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
                    Arc::new(field.as_ref().clone().with_data_type(codes))
                }
                _ => field.clone(),
            })
            .collect();
        Ok(Arc::new(Schema::new_with_metadata(fields, self.metadata.schema().metadata().clone())))
    }
}

fn broken(path: &FilePath, error: &dyn std::fmt::Display) -> DruidError {
    DruidError::invalid_input(format!("cannot read parquet file [{}]: {error}", path.display()))
}

/// Batches of one row group.
pub struct ParquetReader {
    reader: ParquetRecordBatchReader,
    path: Arc<FilePath>,
    flatten: FlattenSpec,
    binary_as_string: bool,
    discover: bool,
    nested: bool,
    bytes_per_row: f64,
}

impl ParquetReader {
    /// The next batch, `None` at the end.
    pub fn next_batch(&mut self) -> Result<Option<Batch>> {
        let Some(next) = self.reader.next() else { return Ok(None) };
        let arrow = next.map_err(|e| broken(&self.path, &e))?;
        let mut batch = Batch { rows: arrow.num_rows(), ..Batch::default() };
        batch.bytes = (arrow.num_rows() as f64 * self.bytes_per_row) as u64;
        for (field, array) in arrow.schema().fields().iter().zip(arrow.columns()) {
            let nested = matches!(field.data_type(), DataType::Struct(_) | DataType::Map(_, _));
            if self.discover && (!self.flatten.use_field_discovery || (nested && !self.nested)) {
                continue;
            }
            let column = convert(array, self.binary_as_string).map_err(|e| e.prefixed(format!("column [{}]", field.name())))?;
            batch.columns.push((Arc::from(field.name().as_str()), column));
        }
        self.flatten_fields(&arrow, &mut batch)?;
        Ok(Some(batch))
    }

    fn flatten_fields(&self, arrow: &RecordBatch, batch: &mut Batch) -> Result<()> {
        let mut made = Vec::new();
        for field in &self.flatten.fields {
            let column = match &field.source {
                FlattenSource::Root(name) => match arrow.column_by_name(name) {
                    Some(array) => convert(array, self.binary_as_string)?,
                    None => Column::Null(batch.rows),
                },
                FlattenSource::Path(path) => self.by_row(arrow, |record| path.find(record).map(|found| json_value(&found)))?,
                FlattenSource::Tree(nodes) => {
                    self.by_row(arrow, |record| nodes.iter().try_fold(record, |at, node| at.get(node.as_str())).map(json_value))?
                }
            };
            made.push((field.name.clone(), column));
        }
        for (name, column) in made {
            batch.set(name, column);
        }
        Ok(())
    }

    fn by_row(&self, arrow: &RecordBatch, pick: impl Fn(&Json) -> Option<Value>) -> Result<Column> {
        let mut column = Column::Null(0);
        for row in 0..arrow.num_rows() {
            let mut record = Map::new();
            for (field, array) in arrow.schema().fields().iter().zip(arrow.columns()) {
                record.insert(field.name().clone(), to_json(array, row, self.binary_as_string)?);
            }
            column.push_value(pick(&Json::Object(record)).unwrap_or(Value::Null));
        }
        Ok(column)
    }
}

fn nulls(array: &dyn Array) -> Nulls {
    Nulls::from_flags(array.nulls().filter(|n| n.null_count() > 0).map(|n| n.iter().map(|valid| !valid).collect()))
}

fn longs<T>(array: &ArrayRef, convert: impl Fn(T::Native) -> i64) -> Column
where
    T: arrow::datatypes::ArrowPrimitiveType,
{
    let array_typed = array.as_primitive::<T>();
    Column::Longs { values: array_typed.values().iter().map(|v| convert(*v)).collect(), nulls: nulls(array) }
}

/// An Arrow array as one of our columns; times become milliseconds.
fn convert(array: &ArrayRef, binary_as_string: bool) -> Result<Column> {
    const DAY_MS: i64 = 86_400_000;
    Ok(match array.data_type() {
        DataType::Null => Column::Null(array.len()),
        DataType::Boolean => Column::Bools { values: array.as_boolean().values().iter().collect(), nulls: nulls(array) },
        DataType::Int8 => longs::<Int8Type>(array, i64::from),
        DataType::Int16 => longs::<Int16Type>(array, i64::from),
        DataType::Int32 => longs::<Int32Type>(array, i64::from),
        DataType::Int64 => longs::<Int64Type>(array, |v| v),
        DataType::UInt8 => longs::<UInt8Type>(array, i64::from),
        DataType::UInt16 => longs::<UInt16Type>(array, i64::from),
        DataType::UInt32 => longs::<UInt32Type>(array, i64::from),
        DataType::UInt64 => longs::<UInt64Type>(array, |v| v as i64),
        DataType::Date32 => longs::<Date32Type>(array, |v| i64::from(v) * DAY_MS),
        DataType::Date64 => longs::<Date64Type>(array, |v| v),
        DataType::Timestamp(TimeUnit::Second, _) => longs::<TimestampSecondType>(array, |v| v.saturating_mul(1000)),
        DataType::Timestamp(TimeUnit::Millisecond, _) => longs::<TimestampMillisecondType>(array, |v| v),
        DataType::Timestamp(TimeUnit::Microsecond, _) => longs::<TimestampMicrosecondType>(array, |v| v.div_euclid(1000)),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => longs::<TimestampNanosecondType>(array, |v| v.div_euclid(1_000_000)),
        DataType::Float16 => {
            let values = array.as_primitive::<Float16Type>().values().iter().map(|v| v.to_f32()).collect();
            Column::Floats { values, nulls: nulls(array) }
        }
        DataType::Float32 => {
            Column::Floats { values: array.as_primitive::<Float32Type>().values().to_vec(), nulls: nulls(array) }
        }
        DataType::Float64 => {
            Column::Doubles { values: array.as_primitive::<Float64Type>().values().to_vec(), nulls: nulls(array) }
        }
        DataType::Decimal128(_, scale) => {
            let power = 10f64.powi(i32::from(*scale));
            let values = array.as_primitive::<Decimal128Type>().values().iter().map(|v| *v as f64 / power).collect();
            Column::Doubles { values, nulls: nulls(array) }
        }
        DataType::Utf8 => {
            let strings = array.as_string::<i32>();
            let first = strings.value_offsets()[0];
            let last = strings.value_offsets()[strings.len()];
            Column::Text(Text {
                offsets: strings.value_offsets().iter().map(|o| o - first).collect(),
                bytes: strings.value_data()[first as usize..last as usize].to_vec(),
                nulls: nulls(array),
            })
        }
        DataType::Dictionary(_, _)
            if array.as_any_dictionary_opt().is_some_and(|d| matches!(d.values().data_type(), DataType::Utf8)) =>
        {
            let codes = array.as_any_dictionary();
            let mut values: Vec<Option<Arc<str>>> = codes.values().as_string::<i32>().iter().map(|v| v.map(Arc::from)).collect();
            let null = values.len() as u32;
            values.push(None);
            let keys = codes.normalized_keys();
            let codes = keys.iter().enumerate().map(|(row, key)| if array.is_null(row) { null } else { *key as u32 }).collect();
            Column::Coded { values, codes }
        }
        _ => {
            let mut column = Column::Null(0);
            for row in 0..array.len() {
                column.push_value(json_value(&to_json(array, row, binary_as_string)?));
            }
            column
        }
    })
}

fn list_json<O: OffsetSizeTrait>(list: &GenericListArray<O>, row: usize, binary_as_string: bool) -> Result<Json> {
    let items = list.value(row);
    (0..items.len()).map(|at| to_json(&items, at, binary_as_string)).collect::<Result<Vec<_>>>().map(Json::Array)
}

/// One cell as JSON, for nested columns.
fn to_json(array: &ArrayRef, row: usize, binary_as_string: bool) -> Result<Json> {
    if array.is_null(row) {
        return Ok(Json::Null);
    }
    let bytes = |bytes: &[u8]| {
        if binary_as_string {
            Json::from(String::from_utf8_lossy(bytes).into_owned())
        } else {
            use base64::Engine;
            Json::from(base64::engine::general_purpose::STANDARD.encode(bytes))
        }
    };
    Ok(match array.data_type() {
        DataType::Struct(fields) => {
            let parts = array.as_struct();
            let mut map = Map::new();
            for (field, part) in fields.iter().zip(parts.columns()) {
                map.insert(field.name().clone(), to_json(part, row, binary_as_string)?);
            }
            Json::Object(map)
        }
        DataType::Map(_, _) => {
            let entries = array.as_map().value(row);
            let mut map = Map::new();
            for at in 0..entries.len() {
                let key = to_json(entries.column(0), at, binary_as_string)?;
                let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
                map.insert(key, to_json(entries.column(1), at, binary_as_string)?);
            }
            Json::Object(map)
        }
        DataType::List(_) => list_json(array.as_list::<i32>(), row, binary_as_string)?,
        DataType::LargeList(_) => list_json(array.as_list::<i64>(), row, binary_as_string)?,
        DataType::LargeUtf8 => Json::from(array.as_string::<i64>().value(row)),
        DataType::Utf8View => Json::from(array.as_string_view().value(row)),
        DataType::Binary => bytes(array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => bytes(array.as_binary::<i64>().value(row)),
        DataType::FixedSizeBinary(_) => bytes(array.as_fixed_size_binary().value(row)),
        DataType::BinaryView => bytes(array.as_binary_view().value(row)),
        DataType::Float32 => number(array.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => number(array.as_primitive::<Float64Type>().value(row)),
        simple if simple.is_primitive() || matches!(simple, DataType::Boolean | DataType::Utf8 | DataType::Dictionary(_, _)) => {
            match convert(&array.slice(row, 1), binary_as_string)?.value(0) {
                Value::Long(v) => Json::from(v),
                Value::Double(v) => number(v),
                Value::Float(v) => number(v.into()),
                Value::String(text) => Json::from(&*text),
                Value::Json(json) => json.as_ref().clone(),
                _ => Json::Null,
            }
        }
        other => return Err(DruidError::unsupported(format!("parquet type [{other}] is not supported"))),
    })
}

fn number(value: f64) -> Json {
    serde_json::Number::from_f64(value).map_or(Json::Null, Json::Number)
}
