//! Retention rules (`SQLMetadataRuleManager`): the row with the highest version of a data source counts.

use std::collections::BTreeMap;

use ovate_base::Result;
use serde_json::Value;

use super::{AuditInfo, MetadataStore, now_text, parse_json, to_bytes};

impl MetadataStore {
    /// Rules by data source, also those of `_default`.
    pub async fn all_rules(&self) -> Result<BTreeMap<String, Vec<Value>>> {
        let sql = "SELECT dataSource, payload FROM {rules} ORDER BY dataSource, version";
        let rows = self.q(sql).all().await?;
        let mut rules = BTreeMap::new();
        for row in rows {
            let data_source: String = row.get(0)?;
            rules.insert(data_source, parse_json(row.bytes(1)?, "rules")?);
        }
        Ok(rules)
    }

    /// Replaces the rules of a data source.
    pub async fn override_rules(&self, data_source: &str, rules: &[Value], audit: &AuditInfo) -> Result<()> {
        self.retry(|| async {
            let mut tx = self.write().await?;
            let version = now_text();
            let payload = to_bytes(&rules);
            let id = format!("{data_source}_{version}");
            // Two changes in one millisecond share an id; the later one wins.
            let deleted = self.q("DELETE FROM {rules} WHERE id = ?").bind(&id);
            deleted.run_in(&mut tx).await?;
            let sql = "INSERT INTO {rules} (id, dataSource, version, payload) VALUES (?, ?, ?, ?)";
            let query = self.q(sql).bind(&id).bind(data_source).bind(&version).bind(&payload);
            query.run_in(&mut tx).await?;
            self.insert_audit(&mut tx, data_source, "rules", audit, &String::from_utf8_lossy(&payload)).await?;
            tx.commit().await
        })
        .await
    }

    /// Writes the cluster default when there is none; the first coordinator to start does this.
    pub async fn ensure_default_rules(&self, rules: &[Value]) -> Result<()> {
        self.retry(|| async {
            let mut tx = self.write().await?;
            let count = self.q("SELECT COUNT(*) FROM {rules} WHERE dataSource = ?").bind("_default").one_in(&mut tx).await?;
            let count: i64 = count.map_or(Ok(0), |row| row.get(0))?;
            if count == 0 {
                let version = now_text();
                let sql = "INSERT INTO {rules} (id, dataSource, version, payload) VALUES (?, ?, ?, ?)";
                let query =
                    self.q(sql).bind(format!("_default_{version}")).bind("_default").bind(&version).bind(to_bytes(&rules));
                query.run_in(&mut tx).await?;
            }
            tx.commit().await
        })
        .await
    }
}
