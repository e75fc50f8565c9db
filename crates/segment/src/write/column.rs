//! One column to its internal files: descriptor first, then the part's bytes (`ColumnDescriptor`).

use ovate_base::Result;
use serde_json::{Value as Json, json};

use super::data::{ColumnData, NumberColumn};
use super::indexed::put_sized;
use super::numeric::{FixedNumber, null_rows, put_fixed_numbers, put_longs, put_v2};
use super::spec::IndexSpec;
use super::{complex, nested, string};

/// The internal files of one column, the column's own first.
pub(crate) struct EncodedColumn {
    pub(crate) files: Vec<(String, Vec<u8>)>,
    /// A string column of nothing but nulls, which `index.drd` lists apart.
    pub(crate) null_only: bool,
}

/// Encodes any column.
pub(crate) fn encode(name: &str, column: &ColumnData, spec: &IndexSpec) -> Result<EncodedColumn> {
    match column {
        ColumnData::String(column) => string::encode(name, column, spec),
        ColumnData::Long(column) => encode_longs(name, &column.values, column.nulls.as_deref(), spec),
        ColumnData::Float(column) => encode_numbers(name, "FLOAT", "floatV2", column, spec),
        ColumnData::Double(column) => encode_numbers(name, "DOUBLE", "doubleV2", column, spec),
        ColumnData::Auto(column) => nested::encode(name, column, spec),
        ColumnData::Complex(column) => complex::encode(name, column, spec),
    }
}

/// Encodes a LONG column; also `__time`.
pub(crate) fn encode_longs(name: &str, values: &[i64], nulls: Option<&[bool]>, spec: &IndexSpec) -> Result<EncodedColumn> {
    let mut out = Vec::with_capacity(values.len() * 4);
    put_numeric_descriptor("LONG", "longV2", &mut out);
    let nulls = null_rows(nulls);
    let put = |out: &mut Vec<u8>| put_longs(values, spec.metric_compression, spec.long_encoding, out);
    put_v2(put, Some(&nulls), spec.roaring_runs, &mut out)?;
    Ok(EncodedColumn { files: vec![(name.to_owned(), out)], null_only: false })
}

fn encode_numbers<T: FixedNumber>(
    name: &str,
    value_type: &str,
    part: &str,
    column: &NumberColumn<T>,
    spec: &IndexSpec,
) -> Result<EncodedColumn> {
    let mut out = Vec::with_capacity(column.values.len() * 4);
    put_numeric_descriptor(value_type, part, &mut out);
    let nulls = null_rows(column.nulls.as_deref());
    let put = |out: &mut Vec<u8>| put_fixed_numbers(&column.values, spec.metric_compression, out);
    put_v2(put, Some(&nulls), spec.roaring_runs, &mut out)?;
    Ok(EncodedColumn { files: vec![(name.to_owned(), out)], null_only: false })
}

fn put_numeric_descriptor(value_type: &str, part: &str, out: &mut Vec<u8>) {
    let part = json!({"type": part, "byteOrder": "LITTLE_ENDIAN", "bitmapSerdeFactory": {"type": "roaring"}});
    put_descriptor(value_type, false, part, out);
}

/// Appends a sized descriptor with one part.
pub(crate) fn put_descriptor(value_type: &str, multi: bool, part: Json, out: &mut Vec<u8>) {
    let descriptor = json!({"valueType": value_type, "hasMultipleValues": multi, "parts": [part]});
    put_sized(descriptor.to_string().as_bytes(), out);
}
