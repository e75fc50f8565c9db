//! EXTERN in SQL: the ingestion room's input sources and formats behind the SQL room's trait.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ovate_base::{DruidError, Result};
use ovate_compute::ColumnType;
use ovate_engine::Relation;
use ovate_ingest::StopFlag;
use ovate_ingest::external::ExternalInput;
use ovate_sql::{ExternalTable, ExternalTables};
use ovate_store::deep::DeepStorage;
use serde_json::{Map, Value};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// Inputs read at a time.
const READS_MAX: usize = 8;
/// Bytes that one EXTERN may read, unless the context says otherwise.
const BYTES_MAX: u64 = 1 << 30;

/// Reads inputs in this process.
pub struct ExternalReader {
    storage: Arc<dyn DeepStorage>,
    /// For files that have to be fetched whole before they can be read.
    dir: PathBuf,
    timeout_ms: u64,
    turns: Semaphore,
}

impl ExternalReader {
    /// A reader with the process's deep storage, which knows the credentials of cloud sources.
    pub fn new(storage: Arc<dyn DeepStorage>, dir: PathBuf, timeout_ms: u64) -> ExternalReader {
        ExternalReader { storage, dir, timeout_ms, turns: Semaphore::new(READS_MAX) }
    }
}

/// Ends the reading when nobody waits for it any more.
struct StopOnDrop(StopFlag);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn number(context: &Map<String, Value>, key: &str) -> Option<u64> {
    let value = context.get(key)?;
    value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()))
}

#[async_trait]
impl ExternalTables for ExternalReader {
    async fn read(&self, table: &ExternalTable, context: &Map<String, Value>) -> Result<Relation> {
        let bytes_max = number(context, "externMaxBytes").unwrap_or(BYTES_MAX);
        let timeout_ms = number(context, "timeout").unwrap_or(self.timeout_ms);
        let input = ExternalInput::new(&table.source, &table.format, table.columns.clone(), bytes_max)?;
        let stop = StopFlag::default();
        let _guard = StopOnDrop(stop.clone());
        let work = async {
            let _turn = self.turns.acquire().await.map_err(|_| DruidError::runtime("the reader was closed"))?;
            let (storage, handle) = (self.storage.clone(), Handle::current());
            let dir = self.dir.join(format!("extern-{}", uuid::Uuid::new_v4()));
            let reading = tokio::task::spawn_blocking(move || {
                let batches = input.read(&dir, &*storage, &handle, &stop);
                let _ = std::fs::remove_dir_all(&dir);
                batches
            });
            reading.await.map_err(|e| DruidError::runtime(format!("reading external data ended early: {e}")))?
        };
        let batches = match timeout_ms {
            0 => work.await?,
            ms => tokio::time::timeout(Duration::from_millis(ms), work).await.map_err(|_| {
                DruidError::timeout(format!("EXTERN was not read within {ms} ms; raise [timeout] in the query's context"))
            })??,
        };
        let types: Vec<ColumnType> = table.columns.iter().map(|(_, t)| t.clone()).collect();
        let parts = batches.into_iter().map(|batch| Relation { columns: batch.columns, rows: batch.rows }).collect();
        Ok(Relation::concat(&types, parts))
    }
}
