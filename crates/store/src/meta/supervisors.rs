//! Supervisor specs (`SQLMetadataSupervisorManager`): an append-only history; the latest row of a spec id counts.

use std::collections::BTreeMap;

use ovate_base::Result;
use serde_json::Value;

use super::db::Row;
use super::{MetadataStore, now_text, parse_json, to_bytes};

/// A spec and when it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct SupervisorVersion {
    pub spec: Value,
    pub version: String,
}

impl MetadataStore {
    /// Appends a version of a spec.
    pub async fn insert_supervisor(&self, id: &str, spec: &Value) -> Result<()> {
        self.retry(|| async {
            let mut tx = self.write().await?;
            let sql = "INSERT INTO {supervisors} (spec_id, created_date, payload) VALUES (?, ?, ?)";
            let query = self.q(sql).bind(id).bind(now_text()).bind(to_bytes(spec));
            query.run_in(&mut tx).await?;
            tx.commit().await
        })
        .await
    }

    /// The latest version of every spec.
    pub async fn latest_supervisors(&self) -> Result<BTreeMap<String, Value>> {
        let sql = "SELECT spec_id, payload FROM {supervisors} WHERE id IN (SELECT MAX(id) FROM {supervisors} GROUP BY spec_id)";
        let rows = self.q(sql).all().await?;
        let mut latest = BTreeMap::new();
        for row in rows {
            latest.insert(row.get(0)?, spec_of(&row, 1)?);
        }
        Ok(latest)
    }

    /// All versions of all specs, newest first.
    pub async fn supervisor_history(&self) -> Result<BTreeMap<String, Vec<SupervisorVersion>>> {
        let sql = "SELECT spec_id, created_date, payload FROM {supervisors} ORDER BY id DESC";
        let rows = self.q(sql).all().await?;
        let mut history: BTreeMap<String, Vec<SupervisorVersion>> = BTreeMap::new();
        for row in rows {
            let version = SupervisorVersion { version: row.get(1)?, spec: spec_of(&row, 2)? };
            history.entry(row.get(0)?).or_default().push(version);
        }
        Ok(history)
    }
}

fn spec_of(row: &Row, column: usize) -> Result<Value> {
    parse_json(row.bytes(column)?, "supervisor spec")
}
