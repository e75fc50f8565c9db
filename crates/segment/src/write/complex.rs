//! Columns of a complex type (`ComplexColumnPartSerde`): rows are the bytes that the type's codec gives, as a plain list
//! or, with `complexMetricCompression`, in compressed blocks.

use ovate_base::Result;
use serde_json::json;

use super::bitmaps::put_roaring;
use super::column::{EncodedColumn, put_descriptor};
use super::compress::write_compressed_stream;
use super::data::{ByteTable, ComplexColumn};
use super::indexed::{IndexedBytes, put_sized};
use super::spec::{Compression, IndexSpec};

/// Encodes a complex column.
pub(crate) fn encode(name: &str, column: &ComplexColumn, spec: &IndexSpec) -> Result<EncodedColumn> {
    let mut out = Vec::new();
    put_descriptor("COMPLEX", false, json!({"type": "complex", "typeName": &*column.type_name}), &mut out);
    if super::pairs::is_pair_type(&column.type_name) {
        super::pairs::put_pairs(&column.type_name, &column.rows, &mut out)?;
        return Ok(EncodedColumn { files: vec![(name.to_owned(), out)], null_only: false });
    }
    if super::contributed::put(&column.type_name, &column.rows, &mut out)? {
        return Ok(EncodedColumn { files: vec![(name.to_owned(), out)], null_only: false });
    }
    if let Some(compression) = spec.complex_compression {
        return encode_blocks(name, column, compression, spec.roaring_runs, out);
    }
    let mut list = IndexedBytes::with_capacity(column.rows.len());
    for row in column.rows.iter() {
        list.push(Some(row))?;
    }
    list.write(false, &mut out)?;
    Ok(EncodedColumn { files: vec![(name.to_owned(), out)], null_only: false })
}

/// `CompressedComplexColumnSerializer`.
fn encode_blocks(
    name: &str,
    column: &ComplexColumn,
    compression: Compression,
    runs: bool,
    mut out: Vec<u8>,
) -> Result<EncodedColumn> {
    let nulls: Vec<u32> = (0..column.rows.len()).filter(|row| column.rows.get(*row).is_empty()).map(|row| row as u32).collect();
    out.extend_from_slice(&[0x7F, 0]);
    let header = json!({"byteOrder": "LITTLE_ENDIAN", "bitmapSerdeFactory": {"type": "roaring"}, "fileNameBase": name,
        "hasNulls": !nulls.is_empty()});
    put_sized(header.to_string().as_bytes(), &mut out);
    let mut files = vec![(name.to_owned(), out)];
    put_blob(&format!("{name}.__complexColumn"), &column.rows, compression, &mut files)?;
    if !nulls.is_empty() {
        files.push((format!("{name}.__nullIndex"), sized_bitmap(&nulls, runs)));
    }
    Ok(EncodedColumn { files, null_only: false })
}

/// A bitmap with its length before it.
pub(crate) fn sized_bitmap(rows: &[u32], runs: bool) -> Vec<u8> {
    let (mut bitmap, mut out) = (Vec::new(), Vec::new());
    put_roaring(rows, runs, &mut bitmap);
    put_sized(&bitmap, &mut out);
    out
}

/// Values of any size in compressed blocks, over three internal files (`CompressedVariableSizedBlobColumnSerializer`).
pub(crate) fn put_blob(
    name: &str,
    values: &ByteTable,
    compression: Compression,
    files: &mut Vec<(String, Vec<u8>)>,
) -> Result<()> {
    let mut base = vec![1];
    base.extend_from_slice(&(values.len() as i32).to_be_bytes());
    let (mut ends, mut end) = (Vec::with_capacity(values.len() * 8), 0i64);
    for value in values.iter() {
        end += value.len() as i64;
        ends.extend_from_slice(&end.to_le_bytes());
    }
    let (mut offsets, mut data) = (Vec::new(), Vec::new());
    write_compressed_stream(&ends, compression, &mut offsets)?;
    write_compressed_stream(values.all_bytes(), compression, &mut data)?;
    files.push((name.to_owned(), base));
    files.push((format!("{name}_offsets"), offsets));
    files.push((format!("{name}_compressed"), data));
    Ok(())
}
