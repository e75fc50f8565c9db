//! The column of one path inside a nested column (`__field_<i>`): local ids into a dictionary of global ids, values of
//! fields that are purely numeric, bitmaps.

use ovate_base::{DruidError, Result};

use super::dictionary::SortedDictionary;
use super::types;
use super::variant::array_elements;
use crate::write::bitmaps::RowsByCode;
use crate::write::indexed::put_fixed;
use crate::write::ints::put_compressed_ints;
use crate::write::numeric::{put_fixed_numbers, put_longs};
use crate::write::spec::IndexSpec;

/// Encodes one field. `ids_of_codes` are global ids by table code, 0 for values without the field.
pub(super) fn put_field(
    ids_of_codes: &[u32],
    codes: &[u32],
    type_mask: u8,
    sorted: &SortedDictionary,
    spec: &IndexSpec,
) -> Result<Vec<u8>> {
    let mut dictionary: Vec<u32> = codes.iter().map(|code| ids_of_codes[*code as usize]).collect();
    let global_rows = dictionary.clone();
    dictionary.sort_unstable();
    dictionary.dedup();
    let locals: Vec<u32> = ids_of_codes.iter().map(|id| dictionary.binary_search(id).unwrap_or(0) as u32).collect();
    let rows: Vec<u32> = codes.iter().map(|code| locals[*code as usize]).collect();

    let mut out = vec![2, 0, 0, 0, 0];
    put_fixed(false, dictionary.iter().map(|id| id.to_le_bytes()), &mut out);
    let (mut longs, mut doubles) = (Vec::new(), Vec::new());
    if type_mask == types::LONG {
        let values: Vec<i64> = global_rows.iter().map(|id| if *id == 0 { 0 } else { sorted.long(*id) }).collect();
        put_longs(&values, spec.metric_compression.or_lz4(), spec.long_encoding, &mut longs)?;
    }
    if type_mask == types::DOUBLE {
        let values: Vec<f64> = global_rows.iter().map(|id| if *id == 0 { 0.0 } else { sorted.double(*id) }).collect();
        put_fixed_numbers(&values, spec.metric_compression.or_lz4(), &mut doubles)?;
    }
    for bytes in [&longs, &doubles] {
        let size = i32::try_from(bytes.len()).map_err(|_| DruidError::unsupported("a nested field of more than 2 GiB"))?;
        out.extend_from_slice(&size.to_le_bytes());
    }
    out.extend_from_slice(&longs);
    out.extend_from_slice(&doubles);
    let max = dictionary.last().copied().unwrap_or(0);
    put_compressed_ints(&rows, max, spec.dimension_compression.or_lz4(), &mut out)?;
    RowsByCode::single(&rows, dictionary.len()).put_bitmaps(spec.roaring_runs, &mut out)?;
    if type_mask & (types::STRING_ARRAY | types::LONG_ARRAY | types::DOUBLE_ARRAY) != 0 {
        let (elements, bitmaps) = array_elements(global_rows.iter().copied(), sorted, spec.roaring_runs)?;
        out.extend_from_slice(&elements);
        out.extend_from_slice(&bitmaps);
    }
    Ok(out)
}
