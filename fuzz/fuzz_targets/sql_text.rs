//! Any text as an SQL statement, from the lexer through binding, optimising and the native plan: an answer or an error. What reads
//! no datasource is run too, as it is in memory.
#![no_main]

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use libfuzzer_sys::fuzz_target;
use ovate_base::{DruidError, Result};
use ovate_compute::{ColumnType, LookupMap, Value};
use ovate_engine::{Catalog, CatalogSnapshot, ColumnSchema, NativeRunner, TableSchema};
use ovate_query::{NativeQuery, QueryRows};
use ovate_sql::{SqlEngine, SqlRequest, SystemScan, SystemTable, SystemTables};
use serde_json::json;

struct Nothing;

#[async_trait]
impl NativeRunner for Nothing {
    async fn run(&self, query: NativeQuery) -> Result<QueryRows> {
        // The plan must be a document that other servers read.
        NativeQuery::from_json(&query.to_json())?;
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
        let column = |name: &str, column_type| ColumnSchema { name: name.to_owned(), column_type };
        let columns = vec![
            column("__time", ColumnType::Long),
            column("s", ColumnType::String),
            column("n", ColumnType::Long),
            column("d", ColumnType::Double),
            column("a", ColumnType::array(ColumnType::String)),
            column("j", ColumnType::Complex(Some("json".into()))),
        ];
        let tables = ["t", "u"].map(|name| (name.to_owned(), Arc::new(TableSchema::new(name, columns.clone()))));
        Arc::new(CatalogSnapshot { version: 1, tables: BTreeMap::from(tables) })
    }

    fn lookups(&self) -> Arc<HashMap<String, LookupMap>> {
        Arc::new(HashMap::new())
    }
}

fuzz_target!(|data: &[u8]| {
    static ENGINE: OnceLock<(SqlEngine, tokio::runtime::Runtime)> = OnceLock::new();
    let (engine, runtime) = ENGINE.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        (SqlEngine::new(Arc::new(Nothing), Arc::new(Nothing), Arc::new(Nothing)), runtime)
    });
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Sizes and products are bounded by limits with tests of their own; here they would only be slow.
    if text.len() > 1 << 16 {
        return;
    }
    for sql in [text.to_owned(), format!("EXPLAIN PLAN FOR {text}")] {
        if let Ok(request) = SqlRequest::from_json(&json!({"query": sql})) {
            let _ = runtime.block_on(engine.execute(request, 1_700_000_000_000));
        }
    }
});
