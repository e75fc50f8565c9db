//! A batch as the table that aggregators read while rows are ingested (Druid's `makeColumnSelectorFactory` over input rows):
//! numbers as they are, texts by value. Input has no dictionary, and `stringFirst` and its kin act on that.

use std::sync::Arc;

use ovate_base::{Interval, Result};
use ovate_compute::column::MemoryColumn;
use ovate_compute::{Column, ColumnCapabilities, ColumnReader, ColumnSource, ColumnType, Rows, Value, Vector};

/// Columns of one batch.
pub(crate) struct BatchSource {
    columns: Vec<(String, Arc<dyn Column>)>,
    row_count: u32,
}

impl BatchSource {
    /// All columns have `row_count` rows.
    pub(crate) fn new(row_count: usize, columns: Vec<(String, Vector)>) -> Result<Self> {
        let column = |vector: Vector| -> Result<Arc<dyn Column>> {
            Ok(match vector {
                Vector::String(texts) => {
                    let values = texts.into_iter().map(|text| text.map_or(Value::Null, Value::String)).collect();
                    Arc::new(TextColumn { values })
                }
                Vector::Any { column_type: ColumnType::String, values } => Arc::new(TextColumn { values: values.into() }),
                other => Arc::new(MemoryColumn::new(other)?),
            })
        };
        let columns = columns.into_iter().map(|(name, vector)| Ok((name, column(vector)?))).collect::<Result<_>>()?;
        Ok(BatchSource { columns, row_count: row_count as u32 })
    }
}

impl ColumnSource for BatchSource {
    fn row_count(&self) -> u32 {
        self.row_count
    }
    fn column_names(&self) -> Vec<String> {
        self.columns.iter().map(|(name, _)| name.clone()).collect()
    }
    fn capabilities(&self, name: &str) -> Option<ColumnCapabilities> {
        self.columns.iter().find(|(known, _)| known == name).map(|(_, column)| column.capabilities())
    }
    fn column(&self, name: &str) -> Result<Option<Arc<dyn Column>>> {
        Ok(self.columns.iter().find(|(known, _)| known == name).map(|(_, column)| column.clone()))
    }
    fn interval(&self) -> Interval {
        Interval::ETERNITY
    }
    fn is_time_sorted(&self) -> bool {
        false
    }
}

struct TextColumn {
    values: Arc<[Value]>,
}

impl Column for TextColumn {
    fn capabilities(&self) -> ColumnCapabilities {
        let multi_value = self.values.iter().any(|value| matches!(value, Value::Array(_)));
        ColumnCapabilities { column_type: ColumnType::String, multi_value, dictionary: false, bitmaps: false, has_nulls: true }
    }
    fn reader(&self) -> Result<Box<dyn ColumnReader>> {
        Ok(Box::new(TextReader { values: self.values.clone(), picked: Vec::new() }))
    }
}

struct TextReader {
    values: Arc<[Value]>,
    picked: Vec<Value>,
}

impl ColumnReader for TextReader {
    fn values(&mut self, rows: Rows<'_>) -> Result<&[Value]> {
        Ok(match rows {
            Rows::Range(range) => &self.values[range.start as usize..range.end as usize],
            Rows::Ids(ids) => {
                self.picked.clear();
                self.picked.extend(ids.iter().map(|row| self.values[*row as usize].clone()));
                &self.picked
            }
        })
    }
}
