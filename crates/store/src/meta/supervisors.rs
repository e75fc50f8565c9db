//! Supervisor specs (`SQLMetadataSupervisorManager`): an append-only history; the latest row of a spec id counts.

use std::collections::BTreeMap;

use ovate_base::Result;
use serde_json::Value;
use sqlx::Row as _;

use super::dialect::Row;
use super::{MetadataStore, commit, now_text, parse_json, sql_error, to_bytes};

/// A spec and when it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct SupervisorVersion {
    pub spec: Value,
    pub version: String,
}

impl MetadataStore {
    /// Appends a version of a spec.
    pub async fn insert_supervisor(&self, id: &str, spec: &Value) -> Result<()> {
        let mut tx = self.write().await?;
        let sql = self.sql("INSERT INTO {supervisors} (spec_id, created_date, payload) VALUES (?, ?, ?)");
        let query = sqlx::query(sql).bind(id).bind(now_text()).bind(to_bytes(spec));
        query.execute(&mut *tx).await.map_err(sql_error)?;
        commit(tx).await
    }

    /// The latest version of every spec.
    pub async fn latest_supervisors(&self) -> Result<BTreeMap<String, Value>> {
        let sql = "SELECT spec_id, payload FROM {supervisors} WHERE id IN (SELECT MAX(id) FROM {supervisors} GROUP BY spec_id)";
        let rows = sqlx::query(self.sql(sql)).fetch_all(&self.pool).await.map_err(sql_error)?;
        let mut latest = BTreeMap::new();
        for row in rows {
            latest.insert(row.try_get(0).map_err(sql_error)?, spec_of(&row, 1)?);
        }
        Ok(latest)
    }

    /// All versions of all specs, newest first.
    pub async fn supervisor_history(&self) -> Result<BTreeMap<String, Vec<SupervisorVersion>>> {
        let sql = self.sql("SELECT spec_id, created_date, payload FROM {supervisors} ORDER BY id DESC");
        let rows = sqlx::query(sql).fetch_all(&self.pool).await.map_err(sql_error)?;
        let mut history: BTreeMap<String, Vec<SupervisorVersion>> = BTreeMap::new();
        for row in rows {
            let version = SupervisorVersion { version: row.try_get(1).map_err(sql_error)?, spec: spec_of(&row, 2)? };
            history.entry(row.try_get(0).map_err(sql_error)?).or_default().push(version);
        }
        Ok(history)
    }
}

fn spec_of(row: &Row, column: usize) -> Result<Value> {
    parse_json(row.try_get::<&[u8], _>(column).map_err(sql_error)?, "supervisor spec")
}
