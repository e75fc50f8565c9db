//! `auto` and `json` columns (`NestedCommonFormatColumnPartSerde`): one type gives a scalar column, mixed types and
//! arrays a variant column, objects (or a `json` dimension) a nested column with one field column a path.

mod dictionary;
mod field;
mod json;
mod smile;
mod types;
mod variant;

use ovate_base::Result;
use ovate_compute::ColumnType;
use serde_json::{Value as Json, json};

use super::bitmaps::RowsByCode;
use super::column::{EncodedColumn, put_descriptor};
use super::data::{AutoColumn, ByteTable, StringTable};
use super::indexed::{put_fixed, put_vbyte};
use super::ints::put_compressed_ints;
use super::numeric::{put_fixed_numbers, put_longs};
use super::spec::{Compression, IndexSpec, LongEncoding};
use super::string::put_dictionary;
use crate::packed::{Packed, PackedTable};
use types::TypeSet;

/// The type that queries see of these values.
pub(crate) fn logical_type(table: &PackedTable, always_json: bool, cast_to: Option<&ColumnType>) -> ColumnType {
    let types = TypeSet::of(table);
    if types.nested || (always_json && !table.is_empty()) {
        return ColumnType::complex("json");
    }
    cast_to.cloned().or_else(|| types.single_scalar()).unwrap_or_else(|| types.least_restrictive())
}

/// What all parts of one column need.
struct Writer<'a> {
    name: &'a str,
    column: &'a AutoColumn,
    spec: &'a IndexSpec,
    files: Vec<(String, Vec<u8>)>,
}

/// Encodes an `auto` or `json` column.
pub(crate) fn encode(name: &str, column: &AutoColumn, spec: &IndexSpec) -> Result<EncodedColumn> {
    let types = TypeSet::of(&column.table);
    let writer = Writer { name, column, spec, files: Vec::new() };
    let all_null = column.table.is_empty();
    let files = if types.nested || (column.always_json && !all_null) {
        json::encode(writer)?
    } else if let Some(ColumnType::Array(_)) = &column.cast_to
        && all_null
    {
        variant::encode(writer, types)?
    } else {
        match types.single_scalar() {
            Some(scalar) if all_null => writer.encode_scalar(column.cast_to.clone().unwrap_or(scalar))?,
            Some(scalar) => writer.encode_scalar(scalar)?,
            None => variant::encode(writer, types)?,
        }
    };
    Ok(EncodedColumn { files, null_only: false })
}

impl Writer<'_> {
    fn add(&mut self, suffix: &str, bytes: Vec<u8>) {
        self.files.push((format!("{}.{suffix}", self.name), bytes));
    }

    fn id_compression(&self) -> Compression {
        self.spec.dimension_compression.or_lz4()
    }

    fn number_compression(&self) -> Compression {
        self.spec.metric_compression.or_lz4()
    }

    /// The column's own file: descriptor, version and name, then what `more` adds.
    fn put_header(&mut self, logical_type: &str, variant: bool, more: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
        let has_nulls = self.column.codes.contains(&0);
        let part = json!({
            "type": "nestedCommonFormat",
            "logicalType": logical_type,
            "hasNulls": has_nulls,
            "isVariantType": variant,
            "enforceLogicalType": self.column.cast_to.is_some(),
            "byteOrder": "LITTLE_ENDIAN",
            "bitmapSerdeFactory": {"type": "roaring"},
            "columnFormatSpec": self.format_spec(),
            "pathParserVersion": 1,
        });
        let mut out = Vec::new();
        put_descriptor("COMPLEX", false, part, &mut out);
        out.push(0);
        put_vbyte(self.name.len() as u32, &mut out);
        out.extend_from_slice(self.name.as_bytes());
        more(&mut out)?;
        self.files.insert(0, (self.name.to_owned(), out));
        Ok(())
    }

    fn format_spec(&self) -> Json {
        let dictionary = self.spec.string_dictionary_encoding.to_json();
        let encoding = match self.spec.long_encoding {
            LongEncoding::Longs => "longs",
            LongEncoding::Auto => "auto",
        };
        json!({
            "objectFieldsDictionaryEncoding": dictionary,
            "objectStorageEncoding": "smile",
            "objectStorageCompression": self.spec.json_compression.or_lz4().name(),
            "stringDictionaryEncoding": dictionary,
            "dictionaryEncodedColumnCompression": self.id_compression().name(),
            "longColumnEncoding": encoding,
            "longColumnCompression": self.number_compression().name(),
            "doubleColumnCompression": self.number_compression().name(),
            "bitmapEncoding": {"type": "roaring"},
            "longFieldBitmapIndexType": {"type": "dictionaryEncodedValueIndex"},
            "doubleFieldBitmapIndexType": {"type": "dictionaryEncodedValueIndex"},
        })
    }

    fn add_string_dictionary(&mut self, texts: ByteTable) -> Result<()> {
        let mut out = Vec::new();
        let table = StringTable { has_null: true, texts };
        put_dictionary(&table, self.spec.string_dictionary_encoding, &mut out)?;
        self.add("__stringDictionary", out);
        Ok(())
    }

    /// Row ids with their bitmaps.
    fn add_ids(&mut self, ids: &[u32], cardinality: usize) -> Result<()> {
        let (mut encoded, mut bitmaps) = (Vec::new(), Vec::new());
        put_compressed_ints(ids, cardinality as u32, self.id_compression(), &mut encoded)?;
        RowsByCode::single(ids, cardinality).put_bitmaps(self.spec.roaring_runs, &mut bitmaps)?;
        self.add("__encodedColumn", encoded);
        self.add("__valueIndexes", bitmaps);
        Ok(())
    }

    /// A column of one scalar type; null is always element 0 of the dictionary.
    fn encode_scalar(mut self, scalar: ColumnType) -> Result<Vec<(String, Vec<u8>)>> {
        let (column, spec) = (self.column, self.spec);
        let mut values = dictionary::GlobalDictionary::default();
        let leaves: Vec<Option<dictionary::Leaf>> =
            (0..column.table.len() as u32).map(|code| values.add_scalar(column.table.view(code))).collect();
        let sorted = values.sort();
        let ids_of_codes: Vec<u32> = leaves.iter().map(|leaf| leaf.map_or(0, |leaf| sorted.scalar_rank(leaf) + 1)).collect();
        let ids: Vec<u32> = column.codes.iter().map(|code| ids_of_codes[*code as usize]).collect();
        let mut out = Vec::new();
        let cardinality = match scalar {
            ColumnType::Long => {
                put_fixed(true, sorted.longs.iter().map(|v| v.to_le_bytes()), &mut out);
                self.add("__longDictionary", std::mem::take(&mut out));
                let rows: Vec<i64> = ids.iter().map(|id| if *id == 0 { 0 } else { sorted.longs[*id as usize - 1] }).collect();
                put_longs(&rows, self.number_compression(), spec.long_encoding, &mut out)?;
                self.add("__longColumn", out);
                sorted.longs.len() + 1
            }
            ColumnType::Double | ColumnType::Float => {
                put_fixed(true, sorted.doubles.iter().map(|v| v.to_le_bytes()), &mut out);
                self.add("__doubleDictionary", std::mem::take(&mut out));
                let rows: Vec<f64> = ids.iter().map(|id| if *id == 0 { 0.0 } else { sorted.doubles[*id as usize - 1] }).collect();
                put_fixed_numbers(&rows, self.number_compression(), &mut out)?;
                self.add("__doubleColumn", out);
                sorted.doubles.len() + 1
            }
            _ => {
                let cardinality = sorted.strings.len() + 1;
                self.add_string_dictionary(sorted.strings)?;
                cardinality
            }
        };
        self.add_ids(&ids, cardinality)?;
        let logical = if scalar == ColumnType::Float { ColumnType::Double } else { scalar };
        self.put_header(&logical.to_string(), false, |_| Ok(()))?;
        Ok(self.files)
    }
}

/// Whether an array is stored as one value: it holds only scalars.
fn is_leaf_array(value: &Packed<'_>) -> bool {
    matches!(value, Packed::Array(items) if items.elements().all(|e| e.is_scalar()))
}
