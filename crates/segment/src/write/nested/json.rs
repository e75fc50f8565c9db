//! Nested columns (`NestedDataColumnSerializer`): the whole values as Smile, and one field column for each path that
//! ends in a scalar or an array of scalars somewhere (`StructuredDataProcessor`).

use std::collections::BTreeMap;

use ovate_base::Result;

use super::dictionary::{GlobalDictionary, Leaf};
use super::field::put_field;
use super::smile::SmileWriter;
use super::types::TypeSet;
use super::variant::put_dictionaries;
use super::{Writer, is_leaf_array};
use crate::order::utf16_order;
use crate::packed::Packed;
use crate::write::complex::{put_blob, sized_bitmap};
use crate::write::data::{ByteTable, StringTable};
use crate::write::string::put_dictionary;

/// The values of one path: types, and which value each table entry has there.
#[derive(Default)]
struct FieldValues {
    types: TypeSet,
    leaves: Vec<(u32, Leaf)>,
}

pub(super) fn encode(mut writer: Writer<'_>) -> Result<Vec<(String, Vec<u8>)>> {
    let (column, spec) = (writer.column, writer.spec);
    let mut fields: BTreeMap<String, FieldValues> = BTreeMap::new();
    let mut values = GlobalDictionary::default();
    let mut path = String::from("$");
    for code in 0..column.table.len() as u32 {
        walk(column.table.view(code), &mut path, &mut |path, value| {
            if let Some(leaf) = values.add(value) {
                if !fields.contains_key(path) {
                    fields.insert(path.to_owned(), FieldValues::default());
                }
                let field = fields.get_mut(path).expect("inserted above");
                field.types.add(value);
                field.leaves.push((code, leaf));
            }
        });
    }
    let sorted = values.sort();
    put_dictionaries(&mut writer, &sorted)?;
    put_raw(&mut writer)?;
    let null_rows: Vec<u32> =
        column.codes.iter().enumerate().filter(|(_, code)| **code == 0).map(|(row, _)| row as u32).collect();
    if !null_rows.is_empty() {
        writer.add("__nullIndex", sized_bitmap(&null_rows, spec.roaring_runs));
    }
    let mut fields: Vec<(String, FieldValues)> = fields.into_iter().collect();
    fields.sort_by(|(a, _), (b, _)| utf16_order(a, b));
    let mut names = ByteTable::default();
    let mut ids_of_codes = vec![0; column.table.len()];
    for (index, (name, field)) in fields.iter().enumerate() {
        names.push(name.as_bytes());
        ids_of_codes.fill(0);
        field.leaves.iter().for_each(|(code, leaf)| ids_of_codes[*code as usize] = sorted.id(*leaf));
        let bytes = put_field(&ids_of_codes, &column.codes, field.types.mask(), &sorted, spec)?;
        writer.add(&format!("__field_{index}"), bytes);
    }
    let masks: Vec<u8> = fields.iter().map(|(_, field)| field.types.mask()).collect();
    let table = StringTable { has_null: false, texts: names };
    writer.put_header("COMPLEX<json>", false, |out| {
        put_dictionary(&table, spec.string_dictionary_encoding, out)?;
        out.extend_from_slice(&masks);
        Ok(())
    })?;
    Ok(writer.files)
}

fn put_raw(writer: &mut Writer<'_>) -> Result<()> {
    let column = writer.column;
    let mut encoded = ByteTable::default();
    for code in 0..column.table.len() as u32 {
        match column.table.view(code) {
            Packed::Null => encoded.push(&[]),
            value => encoded.push(&SmileWriter::write(value)),
        }
    }
    let mut rows = ByteTable::with_capacity(column.codes.len(), 0);
    column.codes.iter().for_each(|code| rows.push(encoded.get(*code as usize)));
    put_blob(&format!("{}.__raw", writer.name), &rows, writer.spec.json_compression.or_lz4(), &mut writer.files)
}

/// Visits every scalar and array of scalars with its JSONPath; nulls and empty objects give nothing.
fn walk(value: Packed<'_>, path: &mut String, visit: &mut dyn FnMut(&str, Packed<'_>)) {
    match value {
        Packed::Object(fields) => {
            for (name, value) in fields.fields() {
                let length = path.len();
                push_name(path, name);
                walk(value, path, visit);
                path.truncate(length);
            }
        }
        Packed::Array(items) if !is_leaf_array(&value) => {
            for (index, value) in items.elements().enumerate() {
                let length = path.len();
                path.push_str(&format!("[{index}]"));
                walk(value, path, visit);
                path.truncate(length);
            }
        }
        leaf => visit(path, leaf),
    }
}

/// `.name`, or `['name']` where the plain form would read otherwise (`NestedPathFinder.toNormalizedJsonPath`).
fn push_name(path: &mut String, name: &str) {
    if name.is_empty() || name.contains(['.', '\'', '"', '[', ']']) {
        path.push_str("['");
        path.push_str(name);
        path.push_str("']");
    } else {
        path.push('.');
        path.push_str(name);
    }
}
