//! Clustered base tables of V10 (`clustered-value-groups-base-table`, SEG-14): rows stand in groups, one for each combination of the
//! clustering columns' values, each with files of its own; the clustering columns have none. A column of the table is put together
//! in memory when it is first asked for, group after group.

use std::sync::Arc;

use ovate_base::Result;
use ovate_compute::column::{Column, ColumnSource, MemoryTable};
use ovate_compute::{ColumnType, Rows, Value, Vector};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::cursor::damaged;

/// What the metadata says of the groups.
pub(crate) struct Clustering {
    pub(crate) columns: Vec<(String, ColumnType)>,
    pub(crate) groups: Vec<Group>,
}

/// One group: where its files are, and the values of the clustering columns.
pub(crate) struct Group {
    pub(crate) prefix: String,
    pub(crate) row_count: u32,
    pub(crate) values: Vec<Value>,
}

#[derive(Deserialize)]
struct ClusteringColumn {
    name: String,
    #[serde(rename = "type")]
    column_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupEntry {
    ids: Vec<usize>,
    num_rows: u32,
}

impl Clustering {
    /// Reads `clusteringColumns`, `clusteringDictionaries` and `groups`; together they have `rows` rows.
    pub(crate) fn read(columns: &[Json], dictionaries: &Map<String, Json>, groups: &[Json], rows: u32) -> Result<Self> {
        let bad = |e: serde_json::Error| damaged(format!("bad clustering: {e}"));
        let columns = columns.iter().map(|json| {
            let column = ClusteringColumn::deserialize(json).map_err(bad)?;
            Ok((column.name, ColumnType::parse(&column.column_type).map_err(|e| damaged(e.message))?))
        });
        let columns: Vec<(String, ColumnType)> = columns.collect::<Result<_>>()?;
        let groups = groups.iter().map(|json| {
            let entry = GroupEntry::deserialize(json).map_err(bad)?;
            if entry.ids.len() != columns.len() {
                return Err(damaged(format!("a group has values of {} of {} columns", entry.ids.len(), columns.len())));
            }
            let values = entry.ids.iter().zip(&columns).map(|(id, (_, kind))| value_of(dictionaries, kind, *id));
            let ids: Vec<String> = entry.ids.iter().map(usize::to_string).collect();
            let prefix = format!("__base${}/", ids.join("_"));
            Ok(Group { prefix, row_count: entry.num_rows, values: values.collect::<Result<_>>()? })
        });
        let groups: Vec<Group> = groups.collect::<Result<_>>()?;
        let total: u64 = groups.iter().map(|group| u64::from(group.row_count)).sum();
        if total != u64::from(rows) {
            return Err(damaged(format!("groups have {total} rows of {rows}")));
        }
        Ok(Clustering { columns, groups })
    }
}

/// A value of the dictionary of a type.
fn value_of(dictionaries: &Map<String, Json>, kind: &ColumnType, id: usize) -> Result<Value> {
    let name = kind.to_string().to_lowercase();
    let value = dictionaries.get(&name).and_then(|list| list.get(id));
    let value = value.ok_or_else(|| damaged(format!("no value of a clustering column. type={name} id={id}")))?;
    Ok(ovate_compute::value::from_json(value).cast(kind))
}

/// One column's rows of one group.
pub(super) enum Part {
    Column(Arc<dyn Column>, u32),
    Constant(Value, u32),
}

/// Puts a column together; strings get a dictionary and bitmaps.
pub(super) fn stitch(name: &str, parts: Vec<Part>) -> Result<Arc<dyn Column>> {
    let mut values = Vec::new();
    let mut types: Vec<ColumnType> = Vec::new();
    for part in parts {
        match part {
            Part::Constant(value, rows) => {
                types.extend(value.value_type());
                values.resize(values.len() + rows as usize, value);
            }
            Part::Column(column, rows) => {
                let capabilities = column.capabilities();
                let mut reader = column.reader()?;
                // A batch at a time, as other readers of the column are asked.
                for start in (0..rows).step_by(4096) {
                    values.extend_from_slice(reader.values(Rows::Range(start..rows.min(start + 4096)))?);
                }
                types.push(capabilities.column_type);
            }
        }
    }
    types.dedup();
    let vector = match &types[..] {
        [] => Vector::Null { len: values.len() },
        [ColumnType::String] if values.iter().any(|value| matches!(value, Value::Array(_))) => {
            Vector::Any { column_type: ColumnType::String, values }
        }
        [one] => Vector::from_values(one, values),
        _ => Vector::from_untyped(values),
    };
    let table = MemoryTable::new(vec![(name.to_owned(), vector)])?.with_bitmaps()?;
    table.column(name)?.ok_or_else(|| damaged("column is missing"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn groups_must_fit_their_dictionaries_and_rows() {
        let columns = [json!({"name": "page", "type": "STRING"}), json!({"name": "n", "type": "LONG"})];
        let dictionaries = json!({"string": [null, "a"], "long": [7]});
        let read = |groups: Json, rows: u32| {
            Clustering::read(&columns, dictionaries.as_object().unwrap(), groups.as_array().unwrap(), rows)
        };
        let clustering = read(json!([{"ids": [0, 0], "numRows": 2}, {"ids": [1, 0], "numRows": 3}]), 5).unwrap();
        assert_eq!(clustering.groups[1].prefix, "__base$1_0/");
        assert_eq!(clustering.groups[0].values, [Value::Null, Value::Long(7)]);
        for groups in
            [json!([{"ids": [2, 0], "numRows": 5}]), json!([{"ids": [0], "numRows": 5}]), json!([{"ids": [0, 0], "numRows": 4}])]
        {
            assert!(read(groups.clone(), 5).is_err(), "{groups}");
        }
    }
}
