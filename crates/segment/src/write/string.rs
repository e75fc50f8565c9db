//! String columns (`DictionaryEncodedColumnPartSerde`): dictionary, ids by row, bitmaps by id.

use ovate_base::{DruidError, Result};
use serde_json::json;

use super::bitmaps::RowsByCode;
use super::column::{EncodedColumn, put_descriptor};
use super::data::{CodeRows, StringColumn, StringTable};
use super::front_coded::put_front_coded;
use super::indexed::IndexedBytes;
use super::ints;
use super::spec::{Compression, IndexSpec, StringDictionaryEncoding};

const FLAG_MULTI_VALUE: i32 = 1;
const FLAG_MULTI_VALUE_V3: i32 = 2;
const FLAG_NO_BITMAP_INDEX: i32 = 4;

/// Encodes a string column; one that holds nothing but null becomes a `null` part.
pub(crate) fn encode(name: &str, column: &StringColumn, spec: &IndexSpec) -> Result<EncodedColumn> {
    let cardinality = column.table.cardinality();
    if cardinality > i32::MAX as usize {
        return Err(DruidError::unsupported(format!("column [{name}] has more than 2^31 distinct values")));
    }
    let mut out = Vec::new();
    if let CodeRows::Single(codes) = &column.rows
        && column.table.texts.is_empty()
    {
        let part = json!({"type": "null", "numRows": codes.len(), "bitmapSerdeFactory": {"type": "roaring"}});
        put_descriptor("STRING", false, part, &mut out);
        return Ok(EncodedColumn { files: vec![(name.to_owned(), out)], null_only: true });
    }
    let multi = matches!(column.rows, CodeRows::Multi { .. });
    let part = json!({"type": "stringDictionary", "bitmapSerdeFactory": {"type": "roaring"}, "byteOrder": "LITTLE_ENDIAN"});
    put_descriptor("STRING", multi, part, &mut out);
    put_version(column.bitmap_index, multi, spec.dimension_compression, &mut out);
    put_dictionary(&column.table, spec.string_dictionary_encoding, &mut out)?;
    put_rows(column, cardinality as u32, spec.dimension_compression, &mut out)?;
    if column.bitmap_index {
        let rows_by_code = match &column.rows {
            CodeRows::Single(codes) => RowsByCode::single(codes, cardinality),
            CodeRows::Multi { offsets, codes } => {
                RowsByCode::multi(offsets, codes, cardinality, column.table.has_null.then_some(0))
            }
        };
        rows_by_code.put_bitmaps(spec.roaring_runs, &mut out)?;
    }
    Ok(EncodedColumn { files: vec![(name.to_owned(), out)], null_only: false })
}

/// Encodes a column of a projection whose dictionary is the segment's: a bitmap for each of its codes, and no dictionary.
pub(crate) fn encode_shared(name: &str, codes: &[u32], cardinality: usize, spec: &IndexSpec) -> Result<EncodedColumn> {
    let mut out = Vec::new();
    let part = json!({"type": "stringDictionary", "bitmapSerdeFactory": {"type": "roaring"}, "byteOrder": "LITTLE_ENDIAN"});
    put_descriptor("STRING", false, part, &mut out);
    put_version(true, false, spec.dimension_compression, &mut out);
    match spec.dimension_compression {
        Compression::Uncompressed => ints::put_plain_ints(codes, cardinality as u32, &mut out)?,
        compression => ints::put_compressed_ints(codes, cardinality as u32, compression, &mut out)?,
    }
    RowsByCode::single(codes, cardinality).put_bitmaps(spec.roaring_runs, &mut out)?;
    Ok(EncodedColumn { files: vec![(name.to_owned(), out)], null_only: false })
}

/// Version and flags as 37.0.0 chooses them.
fn put_version(bitmap_index: bool, multi: bool, compression: Compression, out: &mut Vec<u8>) {
    let no_index = if bitmap_index { 0 } else { FLAG_NO_BITMAP_INDEX };
    let (version, flags) = match (compression == Compression::Uncompressed, multi) {
        (false, false) => (2u8, no_index),
        (false, true) => (2, no_index | FLAG_MULTI_VALUE_V3),
        (true, multi) if bitmap_index => (u8::from(multi), 0),
        (true, multi) => (3, no_index | if multi { FLAG_MULTI_VALUE } else { 0 }),
    };
    out.push(version);
    if version >= 2 {
        out.extend_from_slice(&flags.to_be_bytes());
    }
}

fn put_rows(column: &StringColumn, max: u32, compression: Compression, out: &mut Vec<u8>) -> Result<()> {
    let plain = compression == Compression::Uncompressed;
    match &column.rows {
        CodeRows::Single(codes) if plain => ints::put_plain_ints(codes, max, out),
        CodeRows::Single(codes) => ints::put_compressed_ints(codes, max, compression, out),
        CodeRows::Multi { offsets, codes } if plain => ints::put_plain_multi(offsets, codes, max, out),
        CodeRows::Multi { offsets, codes } => ints::put_compressed_multi(offsets, codes, max, compression, out),
    }
}

/// Appends a dictionary in the wanted encoding.
pub(crate) fn put_dictionary(table: &StringTable, encoding: StringDictionaryEncoding, out: &mut Vec<u8>) -> Result<()> {
    match encoding {
        StringDictionaryEncoding::Utf8 => {
            let mut list = IndexedBytes::with_capacity(table.cardinality());
            if table.has_null {
                list.push(None)?;
            }
            for text in table.texts.iter() {
                list.push(Some(text))?;
            }
            list.write(true, out)
        }
        StringDictionaryEncoding::FrontCoded { bucket_size, format_version } => {
            out.extend_from_slice(&[0x7F, 1]);
            put_front_coded(table.has_null, table.texts.iter(), bucket_size, format_version, out)
        }
    }
}
