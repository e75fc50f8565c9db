//! Data outside the cluster's tables (`TABLE(EXTERN(…))`): what is to be read, and the trait by which the process's wiring
//! reads it.

use async_trait::async_trait;
use ovate_base::{DruidError, Result};
use ovate_compute::ColumnType;
use ovate_engine::Relation;
use serde_json::{Map, Value as Json};

/// One EXTERN: Druid's `inputSource` and `inputFormat` documents and the columns of the signature.
#[derive(Debug, Clone, PartialEq)]
pub struct ExternalTable {
    pub source: Json,
    pub format: Json,
    pub columns: Vec<(String, ColumnType)>,
}

/// Reads external tables; the ingestion room knows how.
#[async_trait]
pub trait ExternalTables: Send + Sync {
    /// All rows, in the order of the input. `context` is the statement's.
    async fn read(&self, table: &ExternalTable, context: &Map<String, Json>) -> Result<Relation>;
}

/// A process that reads nothing from outside.
pub struct NoExternalTables;

#[async_trait]
impl ExternalTables for NoExternalTables {
    async fn read(&self, _table: &ExternalTable, _context: &Map<String, Json>) -> Result<Relation> {
        Err(DruidError::unsupported("EXTERN on this server; set [druid.sql.extern.enabled] to true on the Broker"))
    }
}
