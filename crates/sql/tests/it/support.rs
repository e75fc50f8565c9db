//! An engine whose datasources are known by schema only: constants, VALUES and metadata are answered, and everything is
//! bound and checked.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use ovate_base::{DruidError, Result};
use ovate_compute::{ColumnType, LookupMap, Value};
use ovate_engine::{Catalog, CatalogSnapshot, ColumnSchema, NativeRunner, TableSchema};
use ovate_query::{NativeQuery, QueryRows};
use ovate_sql::{SqlEngine, SqlRequest, SystemScan, SystemTable, SystemTables};
use serde_json::json;

struct Nothing;

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
    let engine = SqlEngine::new(Arc::new(Nothing), Arc::new(Nothing), Arc::new(Nothing));
    let body = json!({"query": sql, "resultFormat": "arrayLines"});
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let request = SqlRequest::from_json(&body).map_err(|e| e.message)?;
    let response = runtime.block_on(engine.execute(request, 1_700_000_000_000)).map_err(|e| e.message)?;
    let text: String = response.body.iter().map(|chunk| String::from_utf8_lossy(chunk).into_owned()).collect();
    Ok(text.trim_end().lines().collect::<Vec<_>>().join(" "))
}
