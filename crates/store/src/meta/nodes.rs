//! Announcements of processes, for a cluster that has no ZooKeeper: one row a role and address with an expiry that its
//! process keeps pushing ahead. Not one of Druid's tables.

use ovate_base::Result;

use super::MetadataStore;

/// One process in one role.
#[derive(Debug, Clone)]
pub struct Announcement {
    pub role: String,
    /// `host:port`.
    pub name: String,
    /// The announcement's JSON.
    pub payload: String,
}

impl MetadataStore {
    /// Announces, or prolongs the announcement of, a node. `payload` is its JSON.
    pub async fn announce_node(&self, role: &str, name: &str, payload: &str, expires_ms: i64) -> Result<()> {
        let announcement = Announcement { role: role.to_owned(), name: name.to_owned(), payload: payload.to_owned() };
        self.announce_nodes(&[announcement], expires_ms).await
    }

    /// Announces several at once: in one transaction, so that a slow disk writes once for all roles of a process.
    pub async fn announce_nodes(&self, nodes: &[Announcement], expires_ms: i64) -> Result<()> {
        let set = "UPDATE {ovate_nodes} SET payload = ?, expires_ms = ? WHERE role = ? AND name = ?";
        let add = "INSERT INTO {ovate_nodes} (payload, expires_ms, role, name) VALUES (?, ?, ?, ?)";
        self.retry(|| async {
            let mut tx = self.pool.begin().await?;
            for Announcement { role, name, payload } in nodes {
                for sql in [set, add] {
                    if self.q(sql).bind(payload).bind(expires_ms).bind(role).bind(name).run_in(&mut tx).await? > 0 {
                        break;
                    }
                }
            }
            tx.commit().await
        })
        .await
    }

    /// Takes an announcement back.
    pub async fn withdraw_node(&self, role: &str, name: &str) -> Result<()> {
        let sql = "DELETE FROM {ovate_nodes} WHERE role = ? AND name = ?";
        self.q(sql).bind(role).bind(name).run().await?;
        Ok(())
    }

    /// Payloads of the live nodes of a role, by name.
    pub async fn nodes(&self, role: &str, now_ms: i64) -> Result<Vec<String>> {
        let sql = "SELECT payload FROM {ovate_nodes} WHERE role = ? AND expires_ms > ? ORDER BY name";
        let rows = self.q(sql).bind(role).bind(now_ms).all().await?;
        rows.iter().map(|row| row.get(0)).collect()
    }
}
