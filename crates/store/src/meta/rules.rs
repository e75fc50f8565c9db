//! Retention rules (`SQLMetadataRuleManager`): the row with the highest version of a data source counts.

use std::collections::BTreeMap;

use ovate_base::Result;
use serde_json::Value;
use sqlx::Row as _;

use super::{AuditInfo, MetadataStore, commit, now_text, parse_json, sql_error, to_bytes};

impl MetadataStore {
    /// Rules by data source, also those of `_default`.
    pub async fn all_rules(&self) -> Result<BTreeMap<String, Vec<Value>>> {
        let sql = self.sql("SELECT dataSource, payload FROM {rules} ORDER BY dataSource, version");
        let rows = sqlx::query(sql).fetch_all(&self.pool).await.map_err(sql_error)?;
        let mut rules = BTreeMap::new();
        for row in rows {
            let data_source: String = row.try_get(0).map_err(sql_error)?;
            rules.insert(data_source, parse_json(row.try_get::<&[u8], _>(1).map_err(sql_error)?, "rules")?);
        }
        Ok(rules)
    }

    /// Replaces the rules of a data source.
    pub async fn override_rules(&self, data_source: &str, rules: &[Value], audit: &AuditInfo) -> Result<()> {
        let mut tx = self.write().await?;
        let version = now_text();
        let payload = to_bytes(&rules);
        let id = format!("{data_source}_{version}");
        // Two changes in one millisecond share an id; the later one wins.
        let deleted = sqlx::query(self.sql("DELETE FROM {rules} WHERE id = ?")).bind(&id);
        deleted.execute(&mut *tx).await.map_err(sql_error)?;
        let sql = self.sql("INSERT INTO {rules} (id, dataSource, version, payload) VALUES (?, ?, ?, ?)");
        let query = sqlx::query(sql).bind(&id).bind(data_source).bind(&version).bind(&payload);
        query.execute(&mut *tx).await.map_err(sql_error)?;
        self.insert_audit(&mut tx, data_source, "rules", audit, &String::from_utf8_lossy(&payload)).await?;
        commit(tx).await
    }

    /// Writes the cluster default when there is none; the first coordinator to start does this.
    pub async fn ensure_default_rules(&self, rules: &[Value]) -> Result<()> {
        let mut tx = self.write().await?;
        let sql = self.sql("SELECT COUNT(*) FROM {rules} WHERE dataSource = ?");
        let count: i64 = sqlx::query_scalar(sql).bind("_default").fetch_one(&mut *tx).await.map_err(sql_error)?;
        if count == 0 {
            let version = now_text();
            let sql = self.sql("INSERT INTO {rules} (id, dataSource, version, payload) VALUES (?, ?, ?, ?)");
            let query =
                sqlx::query(sql).bind(format!("_default_{version}")).bind("_default").bind(&version).bind(to_bytes(&rules));
            query.execute(&mut *tx).await.map_err(sql_error)?;
        }
        commit(tx).await
    }
}
