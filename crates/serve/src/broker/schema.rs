//! One table's columns out of its segments' (`SegmentMetadataCache`): every column that any segment has, types merged to the
//! least restrictive (SEM-05).

use indexmap::IndexMap;
use ovate_compute::ColumnType;
use ovate_engine::catalog::{ColumnSchema, TableSchema};

use crate::data_server::SegmentSchema;

/// The table's schema; `segments` come newest first. `__time` stands first.
pub fn table<'a>(name: &str, segments: impl Iterator<Item = &'a SegmentSchema>) -> TableSchema {
    let mut columns: IndexMap<String, ColumnType> = IndexMap::new();
    columns.insert("__time".to_owned(), ColumnType::Long);
    for segment in segments {
        for (column, column_type) in segment.typed_columns() {
            match columns.get_mut(column) {
                None => {
                    columns.insert(column.to_owned(), column_type);
                }
                Some(known) if *known != column_type => *known = least_restrictive(known, &column_type),
                Some(_) => {}
            }
        }
    }
    let columns = columns.into_iter().map(|(name, column_type)| ColumnSchema { name, column_type });
    TableSchema::new(name, columns.collect())
}

/// True when a segment has the first of the table's columns, in that order: it changes nothing of the table's.
pub fn is_beginning_of(segment: &SegmentSchema, table: &TableSchema) -> bool {
    let mut known = table.columns.iter().filter(|column| column.name != "__time");
    let mut own = segment.typed_columns().filter(|(name, _)| *name != "__time");
    own.all(|(name, column_type)| known.next().is_some_and(|c| c.name == name && c.column_type == column_type))
}

/// The type that holds values of both (`ColumnType.leastRestrictiveType`); where Druid would refuse, the newer type.
fn least_restrictive(newer: &ColumnType, older: &ColumnType) -> ColumnType {
    use ColumnType::{Array, Complex, Double, Float, Long, String};
    let is_json = |t: &ColumnType| matches!(t, Complex(Some(name)) if &**name == "json");
    match (newer, older) {
        (json, _) | (_, json) if is_json(json) => ColumnType::complex("json"),
        (Complex(_), _) => newer.clone(),
        (_, Complex(_)) => older.clone(),
        (Array(a), Array(b)) => ColumnType::array(least_restrictive(a, b)),
        (Array(element), scalar) | (scalar, Array(element)) => ColumnType::array(least_restrictive(element, scalar)),
        (String, _) | (_, String) => String,
        (Double, _) | (_, Double) => Double,
        (Float, _) | (_, Float) => Float,
        (Long, Long) => Long,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(columns: &[(&str, &str)]) -> SegmentSchema {
        SegmentSchema { rows: 1, columns: columns.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect() }
    }

    #[test]
    fn time_stands_first_and_the_newest_segment_decides_the_order() {
        let segments = [segment(&[("b", "LONG"), ("__time", "LONG")]), segment(&[("a", "STRING"), ("b", "DOUBLE")])];
        let table = table("t", segments.iter());
        let shown: Vec<_> = table.columns.iter().map(|c| format!("{} {}", c.name, c.column_type)).collect();
        assert_eq!(shown, ["__time LONG", "b DOUBLE", "a STRING"]);
    }

    #[test]
    fn types_merge_to_the_least_restrictive() {
        let merge = |a: &str, b: &str| {
            let parse = |t: &str| ColumnType::parse(t).expect("a type");
            least_restrictive(&parse(a), &parse(b)).to_string()
        };
        assert_eq!(merge("LONG", "STRING"), "STRING");
        assert_eq!(merge("LONG", "FLOAT"), "FLOAT");
        assert_eq!(merge("ARRAY<LONG>", "DOUBLE"), "ARRAY<DOUBLE>");
        assert_eq!(merge("STRING", "COMPLEX<json>"), "COMPLEX<json>");
    }
}
