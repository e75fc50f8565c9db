//! Announcements of processes, for a cluster that has no ZooKeeper: one row a role and address with an expiry that its
//! process keeps pushing ahead. Not one of Druid's tables.

use ovate_base::Result;
use sqlx::Row as _;

use super::{MetadataStore, sql_error};

impl MetadataStore {
    /// Announces, or prolongs the announcement of, a node. `payload` is its JSON.
    pub async fn announce_node(&self, role: &str, name: &str, payload: &str, expires_ms: i64) -> Result<()> {
        let sql = self.sql(
            "INSERT INTO {ovate_nodes} (role, name, payload, expires_ms) VALUES (?, ?, ?, ?) \
             ON CONFLICT (role, name) DO UPDATE SET payload = excluded.payload, expires_ms = excluded.expires_ms",
        );
        let query = sqlx::query(sql).bind(role).bind(name).bind(payload).bind(expires_ms);
        query.execute(&self.pool).await.map_err(sql_error)?;
        Ok(())
    }

    /// Takes an announcement back.
    pub async fn withdraw_node(&self, role: &str, name: &str) -> Result<()> {
        let sql = self.sql("DELETE FROM {ovate_nodes} WHERE role = ? AND name = ?");
        sqlx::query(sql).bind(role).bind(name).execute(&self.pool).await.map_err(sql_error)?;
        Ok(())
    }

    /// Payloads of the live nodes of a role, by name.
    pub async fn nodes(&self, role: &str, now_ms: i64) -> Result<Vec<String>> {
        let sql = self.sql("SELECT payload FROM {ovate_nodes} WHERE role = ? AND expires_ms > ? ORDER BY name");
        let rows = sqlx::query(sql).bind(role).bind(now_ms).fetch_all(&self.pool).await.map_err(sql_error)?;
        rows.iter().map(|row| row.try_get(0).map_err(sql_error)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_announcement_lives_until_it_expires_or_is_withdrawn() -> Result<()> {
        let store = MetadataStore::in_memory().await?;
        store.announce_node("broker", "a:1", "{}", 100).await?;
        store.announce_node("broker", "b:1", "{\"x\":1}", 200).await?;
        store.announce_node("router", "c:1", "{}", 200).await?;
        assert_eq!(store.nodes("broker", 50).await?.len(), 2);
        assert_eq!(store.nodes("broker", 150).await?, ["{\"x\":1}"]);
        store.withdraw_node("broker", "b:1").await?;
        assert!(store.nodes("broker", 150).await?.is_empty());
        Ok(())
    }
}
