//! Old rows that nobody needs any more (CCO-04; `KillAuditLog`, `KillRules`, `KillSupervisors`, `KillDatasourceMetadata`). Times
//! are texts that sort as they follow each other.

use std::collections::BTreeSet;

use ovate_base::Result;
use ovate_base::time::format_iso;

use super::MetadataStore;

impl MetadataStore {
    /// Audit entries from before a time.
    pub async fn delete_audit_before(&self, before_ms: i64) -> Result<u64> {
        let before = format_iso(before_ms.max(0));
        self.retry(|| async {
            let mut tx = self.write().await?;
            let deleted = self.q("DELETE FROM {audit} WHERE created_date < ?").bind(&before).run_in(&mut tx).await?;
            tx.commit().await?;
            Ok(deleted)
        })
        .await
    }

    /// Rules from before a time, of data sources without used segments; never the cluster default.
    pub async fn delete_rules_before(&self, before_ms: i64) -> Result<u64> {
        let before = format_iso(before_ms.max(0));
        self.retry(|| async {
            let mut tx = self.write().await?;
            let sql = "DELETE FROM {rules} WHERE version < ? AND dataSource <> '_default' AND dataSource NOT IN \
                       (SELECT dataSource FROM {segments} WHERE used = ?)";
            let deleted = self.q(sql).bind(&before).bind(true).run_in(&mut tx).await?;
            tx.commit().await?;
            Ok(deleted)
        })
        .await
    }

    /// All versions of supervisors that were terminated before a time.
    pub async fn delete_terminated_supervisors_before(&self, before_ms: i64) -> Result<u64> {
        let before = format_iso(before_ms.max(0));
        let mut ended = BTreeSet::new();
        for (id, versions) in self.supervisor_history().await? {
            let Some(latest) = versions.first() else { continue };
            if is_tombstone(&latest.spec) && latest.version < before {
                ended.insert(id);
            }
        }
        self.retry(|| async {
            let mut tx = self.write().await?;
            let mut deleted = 0;
            for id in &ended {
                // One that was started again since keeps its newer versions.
                let sql = "DELETE FROM {supervisors} WHERE spec_id = ? AND created_date < ?";
                deleted += self.q(sql).bind(id).bind(&before).run_in(&mut tx).await?;
            }
            tx.commit().await?;
            Ok(deleted)
        })
        .await
    }

    /// Commit metadata from before a time, of data sources that no living supervisor writes.
    pub async fn delete_data_source_metadata_before(&self, before_ms: i64) -> Result<u64> {
        let before = format_iso(before_ms.max(0));
        let mut living: BTreeSet<String> = BTreeSet::new();
        for (id, spec) in self.latest_supervisors().await? {
            if !is_tombstone(&spec) {
                let named = spec.pointer("/spec/dataSchema/dataSource").or_else(|| spec.pointer("/spec/dataSource"));
                living.insert(named.and_then(|name| name.as_str()).unwrap_or(&id).to_owned());
            }
        }
        self.retry(|| async {
            let mut tx = self.write().await?;
            let rows = self.q("SELECT dataSource FROM {dataSource} WHERE created_date < ?").bind(&before).all_in(&mut tx).await?;
            let mut deleted = 0;
            for row in rows {
                let name: String = row.get(0)?;
                if !living.contains(&name) {
                    let sql = "DELETE FROM {dataSource} WHERE dataSource = ? AND created_date < ?";
                    deleted += self.q(sql).bind(&name).bind(&before).run_in(&mut tx).await?;
                }
            }
            tx.commit().await?;
            Ok(deleted)
        })
        .await
    }
}

/// What a terminated supervisor leaves (`NoopSupervisorSpec`).
fn is_tombstone(spec: &serde_json::Value) -> bool {
    matches!(spec["type"].as_str(), Some("NoopSupervisorSpec" | "noop"))
}

#[cfg(test)]
mod tests {
    use super::super::AuditInfo;
    use super::*;

    #[tokio::test]
    async fn old_rows_that_nobody_needs_go() {
        let store = MetadataStore::in_memory().await.unwrap();
        let (audit, far) = (AuditInfo::default(), crate::now_ms() + 86_400_000);
        let rule = [serde_json::json!({"type": "loadForever"})];
        store.override_rules("_default", &rule, &audit).await.unwrap();
        store.override_rules("gone", &rule, &audit).await.unwrap();
        let spec = |kind: &str| serde_json::json!({"type": kind, "spec": {"dataSource": "wiki"}});
        store.insert_supervisor("living", &spec("autocompact")).await.unwrap();
        store.insert_supervisor("ended", &spec("autocompact")).await.unwrap();
        store.insert_supervisor("ended", &spec("noop")).await.unwrap();
        for name in ["wiki", "gone"] {
            store.reset_data_source_metadata(name, Some(&serde_json::json!({"at": 1}))).await.unwrap();
        }
        assert_eq!(store.delete_audit_before(0).await.unwrap(), 0, "nothing is old yet");
        assert_eq!(store.delete_audit_before(far).await.unwrap(), 2);
        assert_eq!(store.delete_rules_before(far).await.unwrap(), 1);
        assert_eq!(store.delete_terminated_supervisors_before(far).await.unwrap(), 2);
        assert_eq!(store.delete_data_source_metadata_before(far).await.unwrap(), 1);
        assert_eq!(store.all_rules().await.unwrap().into_keys().collect::<Vec<_>>(), ["_default"]);
        assert_eq!(store.latest_supervisors().await.unwrap().into_keys().collect::<Vec<_>>(), ["living"]);
        assert!(store.data_source_metadata("wiki").await.unwrap().is_some());
    }
}
