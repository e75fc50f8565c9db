//! Fenced leadership: one row a role, a term that grows with every change of holder, and an expiry. A holder that was
//! slow keeps nothing: its writes carry the old term and are refused inside the transaction. The term stands in a second
//! row besides, `role#turn`, which a writer locks; so a long write never holds up the renewal of its own lease.

use ovate_base::{DruidError, Result};

use super::MetadataStore;
use super::db::Tx;

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
        let mut tx = self.pool.begin().await?;
        let current = self.read_lease(&mut tx, role).await?;
        if current.as_ref().is_some_and(|lease| lease.expires_ms > now_ms && lease.holder != holder) {
            return Ok(None);
        }
        let expires_ms = now_ms.saturating_add(ttl_ms);
        let before = current.as_ref().map_or(0, |lease| lease.term);
        let term = self.next_term(&mut tx, role, holder, before).await?;
        self.put_lease(&mut tx, role, holder, term, expires_ms, current.is_some()).await?;
        tx.commit().await?;
        Ok(Some(Lease { role: role.to_owned(), holder: holder.to_owned(), term, expires_ms }))
    }

    /// A new term for a leader that was elected elsewhere (by ZooKeeper); from then on the writes of all earlier terms are
    /// refused. Waits for a write of the old leader that is under way.
    pub async fn claim_term(&self, role: &str, holder: &str) -> Result<Fence> {
        self.retry(|| async {
            let mut tx = self.pool.begin().await?;
            let before = self.read_lease(&mut tx, role).await?.map_or(0, |lease| lease.term);
            let term = self.next_term(&mut tx, role, holder, before).await?;
            tx.commit().await?;
            Ok(Fence { role: role.to_owned(), term })
        })
        .await
    }

    /// Prolongs the lease of this very term; false when it is lost.
    pub async fn renew_lease(&self, lease: &Lease, ttl_ms: i64, now_ms: i64) -> Result<bool> {
        let sql = "UPDATE {ovate_lease} SET expires_ms = ? WHERE role = ? AND term = ? AND holder = ?";
        let query = self.q(sql).bind(now_ms.saturating_add(ttl_ms)).bind(&lease.role).bind(lease.term).bind(&lease.holder);
        Ok(query.run().await? > 0)
    }

    /// Gives the lease up at once; the term stays used.
    pub async fn release_lease(&self, lease: &Lease) -> Result<()> {
        let sql = "UPDATE {ovate_lease} SET expires_ms = 0 WHERE role = ? AND term = ?";
        self.q(sql).bind(&lease.role).bind(lease.term).run().await?;
        Ok(())
    }

    /// Who leads a role now.
    pub async fn leader(&self, role: &str, now_ms: i64) -> Result<Option<Lease>> {
        let row = self.q("SELECT holder, term, expires_ms FROM {ovate_lease} WHERE role = ?").bind(role).one().await?;
        Ok(row.map(|row| lease_of(role, &row)).transpose()?.filter(|lease| lease.expires_ms > now_ms))
    }

    /// Waits until the writers before have ended and refuses when the term is not the role's current one.
    pub(super) async fn take_turn(&self, tx: &mut Tx) -> Result<()> {
        let Some(fence) = &self.fence else {
            if self.read_lease(tx, TURN).await?.is_none() {
                self.put_lease(tx, TURN, "", 0, 0, false).await?;
            }
            return Ok(());
        };
        match self.read_lease(tx, &turn(&fence.role)).await? {
            Some(row) if row.term == fence.term => Ok(()),
            _ => Err(DruidError::service_unavailable(format!("term {} of the {} leader is over", fence.term, fence.role))),
        }
    }

    /// Counts the term up, in the row that writers lock.
    async fn next_term(&self, tx: &mut Tx, role: &str, holder: &str, before: i64) -> Result<i64> {
        let turn = turn(role);
        let current = self.read_lease(tx, &turn).await?;
        let term = current.as_ref().map_or(before, |row| row.term.max(before)) + 1;
        self.put_lease(tx, &turn, holder, term, 0, current.is_some()).await?;
        Ok(term)
    }

    /// The row of a role, locked until the transaction ends.
    async fn read_lease(&self, tx: &mut Tx, role: &str) -> Result<Option<Lease>> {
        let sql = "SELECT holder, term, expires_ms FROM {ovate_lease} WHERE role = ?{for_update}";
        let row = self.q(sql).bind(role).one_in(tx).await?;
        row.map(|row| lease_of(role, &row)).transpose()
    }

    async fn put_lease(&self, tx: &mut Tx, role: &str, holder: &str, term: i64, expires_ms: i64, exists: bool) -> Result<()> {
        let sql = match exists {
            true => "UPDATE {ovate_lease} SET holder = ?, term = ?, expires_ms = ? WHERE role = ?",
            false => "INSERT INTO {ovate_lease} (holder, term, expires_ms, role) VALUES (?, ?, ?, ?)",
        };
        self.q(sql).bind(holder).bind(term).bind(expires_ms).bind(role).run_in(tx).await?;
        Ok(())
    }
}

/// The row that writers without a fence lock.
const TURN: &str = "#turn";

fn turn(role: &str) -> String {
    format!("{role}{TURN}")
}

fn lease_of(role: &str, row: &super::db::Row) -> Result<Lease> {
    Ok(Lease { role: role.to_owned(), holder: row.get(0)?, term: row.get(1)?, expires_ms: row.get(2)? })
}
