//! Fenced leadership: one row a role, a term that grows with every change of holder, and an expiry. A holder that was
//! slow keeps nothing: its writes carry the old term and are refused inside the transaction.

use ovate_base::{DruidError, Result};
use sqlx::Row as _;

use super::dialect::Tx;
use super::{MetadataStore, commit, sql_error};

/// Which term a leader's writes belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    pub role: String,
    pub term: i64,
}

/// Who leads a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub role: String,
    /// The leader's id, `http://host:port`.
    pub holder: String,
    pub term: i64,
    pub expires_ms: i64,
}

impl Lease {
    pub fn fence(&self) -> Fence {
        Fence { role: self.role.clone(), term: self.term }
    }
}

impl MetadataStore {
    /// Takes the lease of a role under a new term. `None`: somebody else holds it. A holder that asks again has been
    /// restarted: whoever listens on its address is the only one there, so it need not wait for its old lease to expire.
    pub async fn acquire_lease(&self, role: &str, holder: &str, ttl_ms: i64, now_ms: i64) -> Result<Option<Lease>> {
        let mut tx = self.unfenced().write().await?;
        let current = self.read_lease(&mut tx, role).await?;
        let term = match &current {
            Some(lease) if lease.expires_ms > now_ms && lease.holder != holder => return Ok(None),
            Some(lease) => lease.term + 1,
            None => 1,
        };
        let expires_ms = now_ms.saturating_add(ttl_ms);
        let sql = match current {
            Some(_) => "UPDATE {ovate_lease} SET holder = ?, term = ?, expires_ms = ? WHERE role = ?",
            None => "INSERT INTO {ovate_lease} (holder, term, expires_ms, role) VALUES (?, ?, ?, ?)",
        };
        let query = sqlx::query(self.sql(sql)).bind(holder).bind(term).bind(expires_ms).bind(role);
        query.execute(&mut *tx).await.map_err(sql_error)?;
        commit(tx).await?;
        Ok(Some(Lease { role: role.to_owned(), holder: holder.to_owned(), term, expires_ms }))
    }

    /// Prolongs the lease of this very term; false when it is lost.
    pub async fn renew_lease(&self, lease: &Lease, ttl_ms: i64, now_ms: i64) -> Result<bool> {
        let sql = self.sql("UPDATE {ovate_lease} SET expires_ms = ? WHERE role = ? AND term = ? AND holder = ?");
        let query = sqlx::query(sql).bind(now_ms.saturating_add(ttl_ms)).bind(&lease.role).bind(lease.term).bind(&lease.holder);
        Ok(query.execute(&self.pool).await.map_err(sql_error)?.rows_affected() > 0)
    }

    /// Gives the lease up at once; the term stays used.
    pub async fn release_lease(&self, lease: &Lease) -> Result<()> {
        let sql = self.sql("UPDATE {ovate_lease} SET expires_ms = 0 WHERE role = ? AND term = ?");
        sqlx::query(sql).bind(&lease.role).bind(lease.term).execute(&self.pool).await.map_err(sql_error)?;
        Ok(())
    }

    /// Who leads a role now.
    pub async fn leader(&self, role: &str, now_ms: i64) -> Result<Option<Lease>> {
        let mut connection = self.pool.acquire().await.map_err(sql_error)?;
        let sql = self.sql("SELECT holder, term, expires_ms FROM {ovate_lease} WHERE role = ?");
        let row = sqlx::query(sql).bind(role).fetch_optional(&mut *connection).await.map_err(sql_error)?;
        Ok(row.map(|row| lease_of(role, &row)).transpose()?.filter(|lease| lease.expires_ms > now_ms))
    }

    /// Refuses when the term is not the role's current one.
    pub(super) async fn check_fence(&self, tx: &mut Tx, fence: &Fence) -> Result<()> {
        match self.read_lease(tx, &fence.role).await? {
            Some(lease) if lease.term == fence.term => Ok(()),
            _ => Err(DruidError::service_unavailable(format!("term {} of the {} leader is over", fence.term, fence.role))),
        }
    }

    async fn read_lease(&self, tx: &mut Tx, role: &str) -> Result<Option<Lease>> {
        let sql = self.sql("SELECT holder, term, expires_ms FROM {ovate_lease} WHERE role = ?");
        let row = sqlx::query(sql).bind(role).fetch_optional(&mut **tx).await.map_err(sql_error)?;
        row.map(|row| lease_of(role, &row)).transpose()
    }
}

fn lease_of(role: &str, row: &super::dialect::Row) -> Result<Lease> {
    Ok(Lease {
        role: role.to_owned(),
        holder: row.try_get(0).map_err(sql_error)?,
        term: row.try_get(1).map_err(sql_error)?,
        expires_ms: row.try_get(2).map_err(sql_error)?,
    })
}
