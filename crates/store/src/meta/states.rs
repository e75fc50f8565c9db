//! Indexing states (`druid_indexingStates`, 37): what compaction made of segments, named by a fingerprint that the segments
//! carry.

use ovate_base::Result;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{MetadataStore, now_text, parse_json, to_bytes};

impl MetadataStore {
    /// Notes a state under its fingerprint; one that is there stays.
    pub async fn put_indexing_state(&self, data_source: &str, fingerprint: &str, state: &Value) -> Result<()> {
        self.retry(|| async {
        let mut tx = self.write().await?;
        let sql = "INSERT INTO {indexingStates} (created_date, datasource, fingerprint, payload, used, pending, used_status_last_updated) \
                   VALUES (?, ?, ?, ?, ?, ?, ?) {keep:fingerprint}";
        let now = now_text();
        let query = self.q(sql)
            .bind(&now)
            .bind(data_source)
            .bind(fingerprint)
            .bind(to_bytes(state))
            .bind(true)
            .bind(false)
            .bind(&now);
        query.run_in(&mut tx).await?;
        tx.commit().await
        })
        .await
    }

    /// The state of a fingerprint.
    pub async fn indexing_state(&self, fingerprint: &str) -> Result<Option<Value>> {
        let sql = "SELECT payload FROM {indexingStates} WHERE fingerprint = ?";
        let row = self.q(sql).bind(fingerprint).one().await?;
        row.map(|row| parse_json(row.bytes(0)?, "indexing state")).transpose()
    }
}

/// SHA-256 in upper-case hex over the data source and the state (`DefaultIndexingStateFingerprintMapper`): properties in
/// alphabetical order with `type` first, parts ended by FF.
pub fn indexing_state_fingerprint(data_source: &str, state: &Value) -> String {
    let mut hasher = Sha256::new();
    hasher.update(data_source.as_bytes());
    hasher.update([0xff]);
    hasher.update(sorted(state).to_string().as_bytes());
    hasher.update([0xff]);
    hasher.finalize().iter().map(|byte| format!("{byte:02X}")).collect()
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort_by_key(|name| (name.as_str() != "type", name.as_str()));
            Value::Object(names.into_iter().map(|name| (name.clone(), sorted(&fields[name]))).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}
