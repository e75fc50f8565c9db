//! Reading an input for a query, without storing it (`EXTERN`, SQL-14): the columns that a signature names, cast to their
//! types, in the order of the input. Called by the process's wiring for the SQL room.

use std::collections::BTreeSet;
use std::path::Path;

use ovate_base::{DruidError, Result};
use ovate_compute::{ColumnType, Value, Vector};
use ovate_store::deep::DeepStorage;
use serde_json::{Value as Json, json};
use tokio::runtime::Handle;

use crate::append::{Feed, Input, run_feed};
use crate::format::{Batch, Wanted};
use crate::source;
use crate::spec::{InputSource, IoConfig};
use crate::task::StopFlag;

/// What to read: an `inputSource`, an `inputFormat` and the columns wanted of it.
pub struct ExternalInput {
    io: IoConfig,
    columns: Vec<(String, ColumnType)>,
    /// Input bytes (decompressed) after which reading is refused.
    bytes_max: u64,
}

/// Columns of some rows that were read together.
pub struct ExternalBatch {
    pub columns: Vec<Vector>,
    pub rows: usize,
}

impl ExternalInput {
    /// Checks the documents as tasks do.
    pub fn new(source: &Json, format: &Json, columns: Vec<(String, ColumnType)>, bytes_max: u64) -> Result<ExternalInput> {
        let io = IoConfig::from_json(&json!({"type": "index_parallel", "inputSource": source, "inputFormat": format}))?;
        if matches!(io.source, InputSource::Druid { .. }) {
            return Err(DruidError::unsupported("input source [druid] in EXTERN; name the datasource in FROM instead"));
        }
        Ok(ExternalInput { io, columns, bytes_max })
    }

    /// Reads everything on the calling thread, which must not be one of the runtime's own; ends early when `stop` is set.
    pub fn read(&self, dir: &Path, storage: &dyn DeepStorage, handle: &Handle, stop: &StopFlag) -> Result<Vec<ExternalBatch>> {
        let number = |t: &ColumnType| matches!(t, ColumnType::Double | ColumnType::Float);
        let input = Input {
            entities: source::entities(&self.io.source, source::Lookup { storage, handle })?,
            format: self.io.format.clone(),
            segments: Vec::new(),
            filter: None,
            now_ms: 0,
            wanted: Wanted {
                columns: Some(self.columns.iter().map(|(name, _)| name.clone()).collect::<BTreeSet<_>>()),
                nested: true,
                doubles: self.columns.iter().filter(|(_, t)| number(t)).map(|(name, _)| name.clone()).collect(),
            },
            dir: dir.to_owned(),
        };
        let feed = Collect { input: self, bytes: 0, batches: Vec::new() };
        // One parsing thread, so that rows come in the order of the input.
        let done = run_feed(&input, vec![feed], handle, stop)?;
        Ok(done.into_iter().flat_map(|feed| feed.batches).collect())
    }
}

struct Collect<'a> {
    input: &'a ExternalInput,
    bytes: u64,
    batches: Vec<ExternalBatch>,
}

impl Feed for Collect<'_> {
    fn take(&mut self, batch: Batch) -> Result<()> {
        if let Some(bad) = batch.bad.first() {
            return Err(DruidError::invalid_input(format!("cannot parse external data: {} [{}]", bad.message, bad.input)));
        }
        self.bytes = self.bytes.saturating_add(batch.bytes);
        if self.bytes > self.input.bytes_max {
            return Err(DruidError::resource_limit(format!(
                "EXTERN reads more than [{}] bytes; raise [externMaxBytes] in the query's context, or ingest the data first",
                self.input.bytes_max
            )));
        }
        let column = |(name, column_type): &(String, ColumnType)| match batch.column(name) {
            None => Vector::from_values(column_type, vec![Value::Null; batch.rows]),
            Some(column) => {
                Vector::from_values(column_type, (0..batch.rows).map(|row| typed(column.value(row), column_type)).collect())
            }
        };
        self.batches.push(ExternalBatch { columns: self.input.columns.iter().map(column).collect(), rows: batch.rows });
        Ok(())
    }
}

/// A field's value as its column has it: lists stay lists in text columns, everything may be JSON.
fn typed(value: Value, column_type: &ColumnType) -> Value {
    match (&value, column_type) {
        (Value::Null, _) => Value::Null,
        (Value::Array(_), ColumnType::String) => value,
        (Value::Json(json), ColumnType::String) if !json.is_boolean() => Value::from(json.to_string().as_str()),
        (Value::Json(_), ColumnType::Complex(_)) => value,
        (_, ColumnType::Complex(_)) => Value::Json(ovate_compute::value::to_json(&value).into()),
        _ => value.cast(column_type),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn rows(source: Json, format: Json, columns: &[(&str, ColumnType)], bytes_max: u64) -> Result<Vec<Vec<Value>>> {
        let columns = columns.iter().map(|(name, t)| ((*name).to_owned(), t.clone())).collect();
        let input = ExternalInput::new(&source, &format, columns, bytes_max)?;
        let (dir, handle) = (tempfile::tempdir().expect("a directory"), Handle::current());
        let storage = ovate_store::LocalDeepStorage::new(dir.path().join("deep"), false);
        let read = move || input.read(dir.path(), &storage, &handle, &StopFlag::default());
        let batches = tokio::task::spawn_blocking(read).await.expect("no panic")?;
        let row = |batch: &ExternalBatch, row: usize| batch.columns.iter().map(|c| c.value(row)).collect();
        Ok(batches.iter().flat_map(|batch| (0..batch.rows).map(move |at| row(batch, at))).collect())
    }

    #[tokio::test]
    async fn inline_rows_are_cast_to_the_signature() {
        let source = json!({"type": "inline", "data": "a,1,x\nb,two,\n"});
        let format = json!({"type": "csv", "columns": ["k", "n", "t"]});
        let columns = [("n", ColumnType::Long), ("k", ColumnType::String), ("missing", ColumnType::Double)];
        let found = rows(source, format, &columns, 1000).await.expect("rows");
        let expected =
            vec![vec![Value::Long(1), Value::from("a"), Value::Null], vec![Value::Null, Value::from("b"), Value::Null]];
        assert_eq!(found, expected);
    }

    #[tokio::test]
    async fn json_lines_keep_lists_and_objects() {
        let source = json!({"type": "inline", "data": "{\"tags\":[\"x\",\"y\"],\"o\":{\"a\":1}}\n{\"o\":7}\n"});
        let columns = [("tags", ColumnType::String), ("o", ColumnType::Complex(Some("json".into())))];
        let found = rows(source, json!({"type": "json"}), &columns, 1000).await.expect("rows");
        assert!(matches!(&found[0][0], Value::Array(list) if list.len() == 2), "{found:?}");
        assert_eq!(found[0][1], Value::Json(json!({"a": 1}).into()));
        assert_eq!(found[1], vec![Value::Null, Value::Json(json!(7).into())]);
    }

    #[tokio::test]
    async fn bad_records_long_inputs_and_unknown_sources_are_errors() {
        let source = json!({"type": "inline", "data": "{\"a\":1}\nnot json\n"});
        let columns = [("a", ColumnType::Long)];
        let error = rows(source.clone(), json!({"type": "json"}), &columns, 1000).await.expect_err("bad");
        assert!(error.message.contains("cannot parse external data"), "{error}");
        let error = rows(source, json!({"type": "json"}), &columns, 3).await.expect_err("too long");
        assert!(error.message.contains("externMaxBytes") || error.message.contains("cannot parse"), "{error}");
        let error = rows(json!({"type": "floppy"}), json!({"type": "json"}), &columns, 3).await.expect_err("unknown");
        assert!(error.message.contains("floppy"), "{error}");
    }
}
