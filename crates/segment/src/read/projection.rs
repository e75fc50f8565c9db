//! What a segment's metadata says of an aggregate projection (`AggregateProjectionMetadata`).

use ovate_base::Result;
use serde::Deserialize;
use serde_json::Value as Json;

use super::cursor::damaged;
use super::metadata::OrderBy;

/// One projection: rows of the base table grouped and aggregated ahead of time.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectionSchema {
    pub name: String,
    pub row_count: u32,
    /// The grouping column that holds the (floored) time; `None`: not grouped by time.
    pub time_column: Option<String>,
    pub filter: Option<Json>,
    pub virtual_columns: Vec<Json>,
    pub grouping_columns: Vec<String>,
    pub aggregators: Vec<Json>,
    pub ordering: Vec<OrderBy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    num_rows: u32,
    schema: Schema,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Schema {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    time_column_name: Option<String>,
    filter: Option<Json>,
    virtual_columns: Option<Vec<Json>>,
    grouping_columns: Option<Vec<String>>,
    aggregators: Option<Vec<Json>>,
    ordering: Option<Vec<OrderBy>>,
}

impl ProjectionSchema {
    /// Reads `{"schema": …, "numRows": …}` of type `aggregate`.
    pub(crate) fn from_json(json: &Json) -> Result<Self> {
        let entry = Entry::deserialize(json).map_err(|e| damaged(format!("bad projection: {e}")))?;
        let schema = entry.schema;
        if schema.kind != "aggregate" {
            return Err(damaged(format!("unknown type of projection. type={}", schema.kind)));
        }
        Ok(ProjectionSchema {
            name: schema.name,
            row_count: entry.num_rows,
            time_column: schema.time_column_name,
            filter: schema.filter,
            virtual_columns: schema.virtual_columns.unwrap_or_default(),
            grouping_columns: schema.grouping_columns.unwrap_or_default(),
            aggregators: schema.aggregators.unwrap_or_default(),
            ordering: schema.ordering.unwrap_or_default(),
        })
    }

    /// True when rows ascend by time: it is first in the ordering, or the same in all rows.
    pub fn is_time_sorted(&self) -> bool {
        match (&self.time_column, self.ordering.first()) {
            (None, _) => true,
            (Some(time), Some(first)) => first.column_name == *time && first.order == "ascending",
            (Some(_), None) => false,
        }
    }
}
