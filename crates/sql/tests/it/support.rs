//! An engine whose datasources are known by schema only: constants, VALUES and metadata are answered, and everything is
//! bound and checked.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use ovate_base::{DruidError, Result};
use ovate_compute::{ColumnType, LookupMap, Value};
use ovate_engine::{Catalog, CatalogSnapshot, ColumnSchema, NativeRunner, Relation, TableSchema};
use ovate_ingest::StopFlag;
use ovate_ingest::external::ExternalInput;
use ovate_query::{NativeQuery, QueryRows};
use ovate_sql::{ExternalTable, ExternalTables, SqlEngine, SqlRequest, SystemScan, SystemTable, SystemTables};
use ovate_store::deep::LocalDeepStorage;
use serde_json::{Map, Value as Json, json};

struct Nothing;

#[async_trait]
impl ExternalTables for Nothing {
    async fn read(&self, table: &ExternalTable, _context: &Map<String, Json>) -> Result<Relation> {
        let input = ExternalInput::new(&table.source, &table.format, table.columns.clone(), 1 << 20)?;
        let dir = std::env::temp_dir();
        let storage = LocalDeepStorage::new(dir.join("none"), false);
        let handle = tokio::runtime::Handle::current();
        let read = move || input.read(&dir, &storage, &handle, &StopFlag::default());
        let batches = tokio::task::spawn_blocking(read).await.map_err(|e| DruidError::runtime(e.to_string()))??;
        let types: Vec<ColumnType> = table.columns.iter().map(|(_, t)| t.clone()).collect();
        let parts = batches.into_iter().map(|batch| Relation { columns: batch.columns, rows: batch.rows }).collect();
        Ok(Relation::concat(&types, parts))
    }
}

#[async_trait]
impl NativeRunner for Nothing {
    async fn run(&self, _query: NativeQuery) -> Result<QueryRows> {
        Err(DruidError::runtime("there are no rows here"))
    }
}

#[async_trait]
impl SystemTables for Nothing {
    async fn fetch(&self, _table: SystemTable, _scan: &SystemScan) -> Result<Vec<Vec<Value>>> {
        Ok(Vec::new())
    }
}

impl Catalog for Nothing {
    fn snapshot(&self) -> Arc<CatalogSnapshot> {
        let complex = ColumnType::Complex(Some("hyperUnique".into()));
        let columns = [
            ("__time", ColumnType::Long),
            ("dim1", ColumnType::String),
            ("dim2", ColumnType::String),
            ("dim3", ColumnType::String),
            ("cnt", ColumnType::Long),
            ("m1", ColumnType::Float),
            ("m2", ColumnType::Double),
            ("unique_dim1", complex),
        ];
        let columns = columns.map(|(name, column_type)| ColumnSchema { name: name.to_owned(), column_type }).to_vec();
        let table = Arc::new(TableSchema::new("foo", columns));
        Arc::new(CatalogSnapshot { version: 1, tables: BTreeMap::from([("foo".to_owned(), table)]) })
    }

    fn lookups(&self) -> Arc<HashMap<String, LookupMap>> {
        let map = [("a".to_owned(), "xa".to_owned()), ("abc".to_owned(), "xabc".to_owned())];
        Arc::new(HashMap::from([("lookyloo".to_owned(), Arc::new(map.into_iter().collect()))]))
    }
}

/// The rows of a statement as JSON arrays on one line, or the error's message. Runs on a stack as large as the server's.
pub fn answer(sql: &str) -> std::result::Result<String, String> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(16 << 20).spawn_scoped(scope, || answer_here(sql));
        thread.expect("a thread").join().unwrap_or_else(|_| Err("panic".to_owned()))
    })
}

fn answer_here(sql: &str) -> std::result::Result<String, String> {
    Server::new().answer(sql)
}

/// One engine for many statements, which keeps their plans.
pub struct Server {
    engine: SqlEngine,
    runtime: tokio::runtime::Runtime,
}

impl Server {
    /// An engine over nothing.
    pub fn new() -> Server {
        let engine = SqlEngine::new(Arc::new(Nothing), Arc::new(Nothing), Arc::new(Nothing)).with_external(Arc::new(Nothing));
        Server { engine, runtime: tokio::runtime::Builder::new_current_thread().build().expect("a runtime") }
    }

    /// The rows of a statement as JSON arrays on one line, or the error's message.
    pub fn answer(&self, sql: &str) -> std::result::Result<String, String> {
        let body = json!({"query": sql, "resultFormat": "arrayLines"});
        let request = SqlRequest::from_json(&body).map_err(|e| e.message)?;
        let response = self.runtime.block_on(self.engine.execute(request, 1_700_000_000_000)).map_err(|e| e.message)?;
        let text: String = response.body.iter().map(|chunk| String::from_utf8_lossy(chunk).into_owned()).collect();
        Ok(text.trim_end().lines().collect::<Vec<_>>().join(" "))
    }

    /// The same as it goes out piece by piece, and how many pieces there were.
    pub fn streamed(&self, sql: &str) -> std::result::Result<(String, usize), String> {
        let body = json!({"query": sql, "resultFormat": "arrayLines"});
        let request = SqlRequest::from_json(&body).map_err(|e| e.message)?;
        let (pieces, mut received) = tokio::sync::mpsc::channel(1);
        let running = async {
            let outcome = self.engine.execute_into(request, 1_700_000_000_000, &pieces).await;
            drop(pieces);
            outcome
        };
        let taking = async {
            let (mut text, mut count) = (String::new(), 0);
            while let Some(piece) = received.recv().await {
                text += &String::from_utf8_lossy(&piece);
                count += 1;
            }
            (text, count)
        };
        let (outcome, (text, count)) = self.runtime.block_on(async { tokio::join!(running, taking) });
        outcome.map_err(|e| e.message)?;
        Ok((text.trim_end().lines().collect::<Vec<_>>().join(" "), count))
    }

    /// Whether a statement is known to take next to nothing beside its native query.
    pub fn is_quick(&self, sql: &str) -> bool {
        SqlRequest::from_json(&json!({"query": sql})).is_ok_and(|request| self.engine.is_quick(&request))
    }
}
