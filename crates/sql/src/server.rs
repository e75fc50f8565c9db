//! The door of this room: a statement in, a written answer out (`SqlResource`, `DirectStatement`).

use std::sync::Arc;

use ovate_base::Result;
use ovate_engine::{Catalog, NativeRunner};

use crate::request::{SqlRequest, SqlResponse};
use crate::system::SystemTables;

/// Plans and runs SQL; shared by all requests.
pub struct SqlEngine {
    pub(crate) runner: Arc<dyn NativeRunner>,
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) system: Arc<dyn SystemTables>,
}

impl SqlEngine {
    /// An engine over the broker's runner and catalog and the server's system tables.
    pub fn new(runner: Arc<dyn NativeRunner>, catalog: Arc<dyn Catalog>, system: Arc<dyn SystemTables>) -> Self {
        SqlEngine { runner, catalog, system }
    }

    /// Parses, plans, runs and writes one statement. `now_ms` is the clock, for CURRENT_TIMESTAMP.
    pub async fn execute(&self, request: SqlRequest, now_ms: i64) -> Result<SqlResponse> {
        let _ = (&self.runner, &self.catalog, &self.system, now_ms);
        Err(ovate_base::DruidError::unsupported(format!("SQL statement [{}]", request.query)))
    }
}
