//! What tables there are, as SQL sees them. The broker keeps it up to date from its segments' schemas (`DruidSchema`).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ovate_compute::{ColumnType, LookupMap};

/// Gives the current picture of tables and lookups; implemented by the broker. Calls are cheap: no I/O.
pub trait Catalog: Send + Sync {
    /// The tables now; the same `Arc` (or at least the same `version`) as long as nothing changed.
    fn snapshot(&self) -> Arc<CatalogSnapshot>;
    /// The lookups loaded now, by name.
    fn lookups(&self) -> Arc<HashMap<String, LookupMap>>;
}

/// All tables of the schema `druid` at one moment.
#[derive(Debug, Default)]
pub struct CatalogSnapshot {
    /// Grows with every change of a schema; plans are cached under it.
    pub version: u64,
    pub tables: BTreeMap<String, Arc<TableSchema>>,
}

/// One datasource's columns in order, `__time` first.
#[derive(Debug, Clone, PartialEq)]
pub struct TableSchema {
    pub name: String,
    pub columns: Vec<ColumnSchema>,
    pub kind: TableKind,
}

/// One column: native name and type.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnSchema {
    pub name: String,
    pub column_type: ColumnType,
}

/// How a datasource is loaded (`IS_JOINABLE`, `IS_BROADCAST`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TableKind {
    #[default]
    Ordinary,
    /// Loaded whole by every server (broadcast load rule).
    Broadcast,
}

impl TableSchema {
    /// An ordinary table.
    pub fn new(name: impl Into<String>, columns: Vec<ColumnSchema>) -> Self {
        TableSchema { name: name.into(), columns, kind: TableKind::Ordinary }
    }
}
