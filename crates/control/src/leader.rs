//! Election by a lease in the metadata store, and terms for those elected elsewhere. A leader renews its lease from a quarter
//! of its length on, for as long as it lasts; when it cannot, it steps down before the lease ends. Its writes are fenced by
//! term besides, so even a stopped clock does no harm.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ovate_base::{DruidError, Result};
use ovate_net::{LeaderSelector, Leadership, NodeRole, TermSource};
use ovate_store::meta::{Fence, Lease};
use ovate_store::{MetadataStore, now_ms};
use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::{error, info, warn};

/// Shortest rest between two renewals, where each takes most of a lease.
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// What a leader of some role does between its election and the loss of the office.
#[async_trait]
pub(crate) trait Office: Send + Sync {
    type Term: Send + Sync;
    const ROLE: &'static str;
    /// Wait after a term that could not begin.
    const RETRY: Duration = Duration::from_secs(1);

    fn selector(&self) -> &dyn LeaderSelector;
    /// Reads what a leader has in memory, and starts to answer.
    async fn begin(&self, office: Leadership) -> Result<Arc<Self::Term>>;
    /// Works until it is dropped.
    async fn work(&self, term: &Arc<Self::Term>);
    /// Stops answering.
    fn end(&self);
}

/// Holds the office whenever this process is elected, until `shutdown` turns true.
pub(crate) async fn lead_when_elected<O: Office>(holder: &O, mut shutdown: watch::Receiver<bool>) {
    let mut leadership = holder.selector().watch();
    while !*shutdown.borrow() {
        let current = *leadership.borrow_and_update();
        let Some(office) = current else {
            tokio::select! {
                changed = leadership.changed() => if changed.is_err() { return },
                _ = shutdown.wait_for(|stop| *stop) => return,
            }
            continue;
        };
        let term = match holder.begin(office).await {
            Ok(term) => term,
            Err(error) => {
                error!("cannot begin a term of the {}: {error}", O::ROLE);
                let _ = tokio::time::timeout(O::RETRY, shutdown.wait_for(|stop| *stop)).await;
                continue;
            }
        };
        tokio::select! {
            () = holder.work(&term) => {}
            _ = leadership.wait_for(|now| *now != Some(office)) => info!("the term of the {} is over", O::ROLE),
            _ = shutdown.wait_for(|stop| *stop) => {}
        }
        holder.end();
    }
}

/// Where leases are kept.
#[async_trait]
trait Leases: Send + Sync {
    async fn leader(&self, role: &str, now_ms: i64) -> Result<Option<Lease>>;
    async fn acquire(&self, role: &str, holder: &str, ttl_ms: i64, now_ms: i64) -> Result<Option<Lease>>;
    async fn renew(&self, lease: &Lease, ttl_ms: i64, now_ms: i64) -> Result<bool>;
    async fn release(&self, lease: &Lease) -> Result<()>;
}

#[async_trait]
impl Leases for MetadataStore {
    async fn leader(&self, role: &str, now_ms: i64) -> Result<Option<Lease>> {
        MetadataStore::leader(self, role, now_ms).await
    }

    async fn acquire(&self, role: &str, holder: &str, ttl_ms: i64, now_ms: i64) -> Result<Option<Lease>> {
        self.acquire_lease(role, holder, ttl_ms, now_ms).await
    }

    async fn renew(&self, lease: &Lease, ttl_ms: i64, now_ms: i64) -> Result<bool> {
        self.renew_lease(lease, ttl_ms, now_ms).await
    }

    async fn release(&self, lease: &Lease) -> Result<()> {
        self.release_lease(lease).await
    }
}

/// The election of one role (`coordinator` or `overlord`) seen from this process.
pub struct StoreElection {
    leases: Arc<dyn Leases>,
    role: String,
    url: String,
    /// How long a lease lasts without renewal.
    length: Duration,
    leadership: watch::Sender<Option<Leadership>>,
    leader_url: Mutex<Option<String>>,
}

/// A lease, and until when it is surely ours: counted from before it was asked for.
struct Held {
    lease: Lease,
    until: Instant,
}

impl StoreElection {
    /// `url` is this process's `http://host:port`; `length` is that of a lease.
    pub fn new(store: MetadataStore, role: &str, url: &str, length: Duration) -> Arc<StoreElection> {
        Self::over(Arc::new(store), role, url, length)
    }

    fn over(leases: Arc<dyn Leases>, role: &str, url: &str, length: Duration) -> Arc<StoreElection> {
        Arc::new(StoreElection {
            leases,
            role: role.to_owned(),
            url: url.to_owned(),
            length,
            leadership: watch::channel(None).0,
            leader_url: Mutex::new(None),
        })
    }

    /// Takes part until `shutdown` turns true, then gives the office up.
    pub async fn run(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let mut held: Option<Held> = None;
        while !*shutdown.borrow() {
            let round = async {
                match &held {
                    Some(held) => self.renew(held).await,
                    None => self.attempt().await,
                }
            };
            let next = tokio::select! {
                next = round => next,
                _ = shutdown.wait_for(|stop| *stop) => break,
            };
            held = next;
            let leadership = held.as_ref().map(|held| Leadership { term: held.lease.term });
            self.leadership.send_if_modified(|current| std::mem::replace(current, leadership) != leadership);
            let pause = match &held {
                // After a quarter of the lease, so that a slow store has most of it for the renewal.
                Some(held) => (held.until - self.length * 3 / 4).saturating_duration_since(Instant::now()).max(PAUSE_MIN),
                None => self.length / 6,
            };
            let _ = tokio::time::timeout(pause, shutdown.wait_for(|stop| *stop)).await;
        }
        self.leadership.send_replace(None);
        if let Some(held) = held
            && let Err(error) = within(self.length / 6, self.leases.release(&held.lease)).await
        {
            warn!(role = %self.role, "cannot release the lease: {error}");
        }
    }

    /// Renews, as patiently as the lease itself allows: a slow store is no reason to step down, a lease that is about to end is.
    async fn renew(&self, held: &Held) -> Option<Held> {
        let lease = &held.lease;
        let give_up = held.until - self.length / 12;
        let mut told = false;
        loop {
            let begin = Instant::now();
            let left = give_up.saturating_duration_since(begin);
            if left.is_zero() {
                warn!(role = %self.role, term = lease.term, "stepping down, the lease could not be renewed in its time");
                return None;
            }
            let ttl = self.length.as_millis() as i64;
            let now = now_ms();
            match within(left, self.leases.renew(lease, ttl, now)).await {
                Ok(true) => {
                    let lease = Lease { expires_ms: now + ttl, ..lease.clone() };
                    return Some(Held { lease, until: begin + self.length });
                }
                Ok(false) => {
                    warn!(role = %self.role, term = lease.term, "lost the lease");
                    return None;
                }
                Err(error) => {
                    if !told {
                        warn!(role = %self.role, "cannot renew the lease, trying again while it lasts: {error}");
                    }
                    told = true;
                    tokio::time::sleep(left.min(self.length / 12)).await;
                }
            }
        }
    }

    /// Takes the office if nobody holds it. Most looks find a leader, so that they only read.
    async fn attempt(&self) -> Option<Held> {
        let begin = Instant::now();
        // A lease that took longer to get than most of its life would be over before its first renewal.
        match within(self.length * 3 / 4, self.take()).await {
            Ok(lease) => lease.map(|lease| Held { lease, until: begin + self.length }),
            Err(error) => {
                warn!(role = %self.role, "cannot take part in the election: {error}");
                None
            }
        }
    }

    async fn take(&self) -> Result<Option<Lease>> {
        let (now, ttl) = (now_ms(), self.length.as_millis() as i64);
        let held = self.leases.leader(&self.role, now).await?;
        if let Some(held) = held.filter(|held| held.holder != self.url) {
            *self.leader_url.lock() = Some(held.holder);
            return Ok(None);
        }
        let lease = self.leases.acquire(&self.role, &self.url, ttl, now).await?;
        *self.leader_url.lock() = lease.as_ref().map(|lease| lease.holder.clone());
        if let Some(lease) = &lease {
            info!(role = %self.role, term = lease.term, "leading");
        }
        Ok(lease)
    }
}

/// A store that hangs must not keep a leader in office beyond its lease.
async fn within<T>(limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(DruidError::timeout(format!("the metadata store did not answer within {limit:?}"))))
}

impl LeaderSelector for StoreElection {
    fn leadership(&self) -> Option<Leadership> {
        *self.leadership.borrow()
    }

    fn leader_url(&self) -> Option<String> {
        // Not in office: whoever asks must not be sent to us.
        let leads = self.leadership().is_some();
        self.leader_url.lock().clone().filter(|leader| leads || *leader != self.url)
    }

    fn watch(&self) -> watch::Receiver<Option<Leadership>> {
        self.leadership.subscribe()
    }
}

/// Terms in the metadata store for leaders that ZooKeeper elects: the same row as a lease's, so that one fence serves both.
pub struct StoreTerms {
    store: MetadataStore,
    /// How long the row says that its holder leads unless it is renewed.
    length: Duration,
}

impl StoreTerms {
    pub fn new(store: MetadataStore, length: Duration) -> StoreTerms {
        StoreTerms { store, length }
    }

    fn lease(role: NodeRole, holder: &str, term: i64) -> Lease {
        Lease { role: role.name().to_owned(), holder: holder.to_owned(), term, expires_ms: 0 }
    }
}

#[async_trait]
impl TermSource for StoreTerms {
    async fn take(&self, role: NodeRole, holder: &str) -> Result<i64> {
        let ttl = self.length.as_millis() as i64;
        // Who was elected need not wait for a lease to run out: the one before is no longer in office, whatever it thinks.
        for _ in 0..10 {
            let now = now_ms();
            if let Some(lease) = self.store.acquire_lease(role.name(), holder, ttl, now).await? {
                return Ok(lease.term);
            }
            if let Some(old) = self.store.leader(role.name(), now).await? {
                self.store.release_lease(&old).await?;
            }
        }
        Err(DruidError::service_unavailable(format!("others take terms of the {} all the time", role.name())))
    }

    async fn holds(&self, role: NodeRole, holder: &str, term: i64) -> Result<bool> {
        self.store.renew_lease(&Self::lease(role, holder, term), self.length.as_millis() as i64, now_ms()).await
    }

    async fn release(&self, role: NodeRole, holder: &str, term: i64) {
        if let Err(error) = self.store.release_lease(&Self::lease(role, holder, term)).await {
            warn!(role = role.name(), "cannot release the term: {error}");
        }
    }
}

/// The store for a leader of a term; term 0 is a process that is alone and needs no fence.
pub(crate) fn fenced(store: &MetadataStore, role: &str, leadership: Leadership) -> MetadataStore {
    if leadership.term == 0 {
        return store.clone();
    }
    store.fenced(Fence { role: role.to_owned(), term: leadership.term })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What renewals do, one after the other; the last one goes on.
    #[derive(Clone, Copy)]
    enum Renewal {
        Takes(Duration, bool),
        Fails,
        Hangs,
    }

    struct Scripted(Mutex<Vec<Renewal>>);

    #[async_trait]
    impl Leases for Scripted {
        async fn leader(&self, _: &str, _: i64) -> Result<Option<Lease>> {
            Ok(None)
        }

        async fn acquire(&self, _: &str, _: &str, _: i64, _: i64) -> Result<Option<Lease>> {
            Ok(None)
        }

        async fn renew(&self, _: &Lease, _: i64, _: i64) -> Result<bool> {
            let next = {
                let mut script = self.0.lock();
                if script.len() > 1 { script.remove(0) } else { script[0] }
            };
            match next {
                Renewal::Takes(time, outcome) => {
                    tokio::time::sleep(time).await;
                    Ok(outcome)
                }
                Renewal::Fails => Err(DruidError::service_unavailable("the disk is away")),
                Renewal::Hangs => std::future::pending().await,
            }
        }

        async fn release(&self, _: &Lease) -> Result<()> {
            Ok(())
        }
    }

    const LENGTH: Duration = Duration::from_millis(240);

    /// What is left of a lease of term 7 that lasts for `left` longer.
    async fn renewed(script: &[Renewal], left: Duration) -> Option<i64> {
        let election = StoreElection::over(Arc::new(Scripted(Mutex::new(script.to_vec()))), "overlord", "http://a:1", LENGTH);
        let lease = Lease { role: "overlord".into(), holder: "http://a:1".into(), term: 7, expires_ms: 0 };
        let held = Held { lease, until: Instant::now() + left };
        election.renew(&held).await.map(|held| held.lease.term)
    }

    #[tokio::test]
    async fn a_renewal_may_take_what_the_lease_has_left() {
        let plenty = Duration::from_secs(60);
        let slow = Renewal::Takes(LENGTH, true);
        assert_eq!(renewed(&[slow], plenty).await, Some(7), "one slow write");
        assert_eq!(renewed(&[Renewal::Fails, Renewal::Fails, Renewal::Fails, slow], plenty).await, Some(7), "after failures");
        assert_eq!(renewed(&[Renewal::Takes(Duration::ZERO, false)], plenty).await, None, "somebody took a later term");
    }

    #[tokio::test]
    async fn a_lease_that_cannot_be_renewed_in_its_time_is_given_up() {
        assert_eq!(renewed(&[Renewal::Hangs], LENGTH).await, None);
        assert_eq!(renewed(&[Renewal::Fails], LENGTH).await, None);
        assert_eq!(renewed(&[Renewal::Takes(Duration::ZERO, true)], Duration::ZERO).await, None, "over already");
    }
}
