//! Columns of mixed scalars and arrays of scalars (`VariantColumnSerializer`): rows are global ids.

use std::collections::BTreeMap;

use ovate_base::Result;
use ovate_compute::ColumnType;

use super::Writer;
use super::dictionary::{GlobalDictionary, SortedDictionary};
use super::types::TypeSet;
use crate::write::bitmaps::put_roaring;
use crate::write::front_coded::put_front_coded_ints;
use crate::write::indexed::{IndexedBytes, put_fixed};

pub(super) fn encode(mut writer: Writer<'_>, types: TypeSet) -> Result<Vec<(String, Vec<u8>)>> {
    let column = writer.column;
    let mut values = GlobalDictionary::default();
    let leaves: Vec<_> = (0..column.table.len() as u32).map(|code| values.add(column.table.view(code))).collect();
    let sorted = values.sort();
    let ids_of_codes: Vec<u32> = leaves.iter().map(|leaf| leaf.map_or(0, |leaf| sorted.id(leaf))).collect();
    let ids: Vec<u32> = column.codes.iter().map(|code| ids_of_codes[*code as usize]).collect();
    let cardinality = sorted.cardinality();
    put_dictionaries(&mut writer, &sorted)?;
    let (elements, bitmaps) = array_elements(ids.iter().copied(), &sorted, writer.spec.roaring_runs)?;
    writer.add("__arrayElementDictionary", elements);
    writer.add("__arrayElementIndexes", bitmaps);
    writer.add_ids(&ids, cardinality)?;
    let logical_type = match &column.cast_to {
        Some(cast_to @ ColumnType::Array(_)) => cast_to.clone(),
        _ => types.least_restrictive(),
    };
    writer.put_header(&logical_type.to_string(), types.is_mixed(), |out| {
        if types.is_mixed() {
            out.push(types.mask());
        }
        Ok(())
    })?;
    Ok(writer.files)
}

/// The four dictionaries that variant and nested columns have.
pub(super) fn put_dictionaries(writer: &mut Writer<'_>, sorted: &SortedDictionary) -> Result<()> {
    let (mut longs, mut doubles, mut arrays) = (Vec::new(), Vec::new(), Vec::new());
    put_fixed(false, sorted.longs.iter().map(|v| v.to_le_bytes()), &mut longs);
    put_fixed(false, sorted.doubles.iter().map(|v| v.to_le_bytes()), &mut doubles);
    put_front_coded_ints(sorted.arrays.iter().map(Vec::as_slice), &mut arrays)?;
    writer.add_string_dictionary(sorted.strings.clone())?;
    writer.add("__longDictionary", longs);
    writer.add("__doubleDictionary", doubles);
    writer.add("__arrayDictionary", arrays);
    Ok(())
}

/// The elements of all rows' arrays, and a bitmap of rows for each.
pub(super) fn array_elements(
    ids: impl Iterator<Item = u32>,
    sorted: &SortedDictionary,
    runs: bool,
) -> Result<(Vec<u8>, Vec<u8>)> {
    let mut rows: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (row, id) in ids.enumerate() {
        for element in sorted.array(id).unwrap_or_default() {
            let rows = rows.entry(*element).or_default();
            if rows.last() != Some(&(row as u32)) {
                rows.push(row as u32);
            }
        }
    }
    let (mut elements, mut list) = (Vec::new(), IndexedBytes::with_capacity(rows.len()));
    put_fixed(false, rows.keys().map(|id| id.to_le_bytes()), &mut elements);
    for rows in rows.values() {
        list.push_with(|bytes| {
            put_roaring(rows, runs, bytes);
            Ok(())
        })?;
    }
    let mut bitmaps = Vec::new();
    list.write(false, &mut bitmaps)?;
    Ok((elements, bitmaps))
}
