//! Named configuration values (`ConfigManager`) with compare-and-swap, and the audit log.

use ovate_base::time::format_iso;
use ovate_base::{Interval, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::db::{Row, Tx};
use super::{MetadataStore, now_text, parse_json, to_bytes};

/// Who changed something and why (`AuditInfo`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditInfo {
    pub author: String,
    #[serde(default)]
    pub identity: Option<String>,
    pub comment: String,
    pub ip: String,
}

/// An entry of the audit log (`AuditEntry`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    pub key: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub audit_info: AuditInfo,
    #[serde(default)]
    pub request: Option<Value>,
    /// JSON as text.
    pub payload: String,
    pub audit_time: String,
}

impl MetadataStore {
    /// The bytes of a configuration value.
    pub async fn config(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let sql = "SELECT payload FROM {config} WHERE name = ?";
        let row = self.q(sql).bind(name).one().await?;
        row.map(|row| row.get(0)).transpose()
    }

    /// A configuration value as JSON.
    pub async fn config_json(&self, name: &str) -> Result<Option<Value>> {
        self.config(name).await?.map(|bytes| parse_json(&bytes, name)).transpose()
    }

    /// Sets a value and writes the audit entry, if one is given, in the same transaction.
    pub async fn set_config(&self, name: &str, payload: &[u8], audit: Option<&AuditInfo>) -> Result<()> {
        self.retry(|| async {
            let mut tx = self.write().await?;
            self.put_config(&mut tx, name, payload).await?;
            if let Some(info) = audit {
                let text = String::from_utf8_lossy(payload).into_owned();
                self.insert_audit(&mut tx, name, name, info, &text).await?;
            }
            tx.commit().await
        })
        .await
    }

    /// Sets a value when the stored bytes are still `old`; false when they are not.
    pub async fn swap_config(&self, name: &str, old: Option<&[u8]>, new: &[u8], audit: Option<&AuditInfo>) -> Result<bool> {
        self.retry(|| async {
            let mut tx = self.write().await?;
            let sql = "SELECT payload FROM {config} WHERE name = ?{for_update}";
            let row = self.q(sql).bind(name).one_in(&mut tx).await?;
            let stored: Option<Vec<u8>> = row.map(|row| row.get(0)).transpose()?;
            if stored.as_deref() != old {
                // Equal to the new value after a try whose answer was lost.
                return Ok(stored.as_deref() == Some(new));
            }
            self.put_config(&mut tx, name, new).await?;
            if let Some(info) = audit {
                let text = String::from_utf8_lossy(new).into_owned();
                self.insert_audit(&mut tx, name, name, info, &text).await?;
            }
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Adds an audit entry of its own.
    pub async fn add_audit(&self, key: &str, kind: &str, info: &AuditInfo, payload: &str) -> Result<()> {
        self.retry(|| async {
            let mut tx = self.write().await?;
            self.insert_audit(&mut tx, key, kind, info, payload).await?;
            tx.commit().await
        })
        .await
    }

    /// Audit entries of a type, of one key when given, newest first; of an interval, or the last `count`.
    pub async fn audit(
        &self,
        key: Option<&str>,
        kind: &str,
        interval: Option<Interval>,
        count: Option<usize>,
    ) -> Result<Vec<AuditEntry>> {
        let sql = "SELECT payload FROM {audit} WHERE type = ? AND (? IS NULL OR audit_key = ?) AND created_date >= ? AND created_date < ? \
                   ORDER BY created_date DESC, id DESC LIMIT ?";
        let (from, to) = match interval {
            Some(interval) => (format_iso(interval.start.max(0)), format_iso(interval.end.clamp(0, 253_402_300_799_999))),
            None => (String::new(), "9999".to_owned()),
        };
        let query =
            self.q(sql).bind(kind).bind(key).bind(key).bind(from).bind(to).bind(count.map_or(i64::MAX, |count| count as i64));
        let rows = query.all().await?;
        let entry = |row: &Row| parse_json(row.bytes(0)?, "audit entry");
        rows.iter().map(entry).collect()
    }

    async fn put_config(&self, tx: &mut Tx, name: &str, payload: &[u8]) -> Result<()> {
        let sql = "UPDATE {config} SET payload = ? WHERE name = ?";
        let updated = self.q(sql).bind(payload).bind(name).run_in(tx).await?;
        if updated == 0 {
            let sql = "INSERT INTO {config} (name, payload) VALUES (?, ?)";
            self.q(sql).bind(name).bind(payload).run_in(tx).await?;
        }
        Ok(())
    }

    pub(super) async fn insert_audit(&self, tx: &mut Tx, key: &str, kind: &str, info: &AuditInfo, payload: &str) -> Result<()> {
        let entry = AuditEntry {
            key: key.to_owned(),
            kind: kind.to_owned(),
            audit_info: info.clone(),
            request: None,
            payload: payload.to_owned(),
            audit_time: now_text(),
        };
        let comment: String = info.comment.chars().take(2048).collect();
        let sql = "INSERT INTO {audit} (audit_key, type, author, comment, created_date, payload) VALUES (?, ?, ?, ?, ?, ?)";
        let query =
            self.q(sql).bind(key).bind(kind).bind(&info.author).bind(comment).bind(&entry.audit_time).bind(to_bytes(&entry));
        query.run_in(tx).await?;
        Ok(())
    }
}
