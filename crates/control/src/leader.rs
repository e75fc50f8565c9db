//! Election by a lease in the metadata store, and terms for those elected elsewhere. A leader renews its lease at a third
//! of its length; when it cannot, it steps down before the lease ends. Its writes are fenced by term besides, so even a
//! stopped clock does no harm.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ovate_base::{DruidError, Result};
use ovate_net::{LeaderSelector, Leadership, NodeRole, TermSource};
use ovate_store::meta::{Fence, Lease};
use ovate_store::{MetadataStore, now_ms};
use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::{error, info, warn};

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

/// The election of one role (`coordinator` or `overlord`) seen from this process.
pub struct StoreElection {
    store: MetadataStore,
    role: String,
    url: String,
    /// How long a lease lasts without renewal.
    length: Duration,
    leadership: watch::Sender<Option<Leadership>>,
    leader_url: Mutex<Option<String>>,
}

impl StoreElection {
    /// `url` is this process's `http://host:port`; `length` is that of a lease.
    pub fn new(store: MetadataStore, role: &str, url: &str, length: Duration) -> Arc<StoreElection> {
        Arc::new(StoreElection {
            store,
            role: role.to_owned(),
            url: url.to_owned(),
            length,
            leadership: watch::channel(None).0,
            leader_url: Mutex::new(None),
        })
    }

    /// Takes part until `shutdown` turns true, then gives the office up.
    pub async fn run(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let mut lease: Option<Lease> = None;
        while !*shutdown.borrow() {
            let next = self.round(lease.clone()).await;
            // A leader is in no hurry while its renewals succeed; who waits, or has trouble, looks more often.
            let renewed = next.as_ref().is_some_and(|next| lease.as_ref().is_none_or(|old| next.expires_ms > old.expires_ms));
            lease = next;
            self.leadership.send_if_modified(|current| {
                let new = lease.as_ref().map(|lease| Leadership { term: lease.term });
                let changed = *current != new;
                *current = new;
                changed
            });
            let pause = if renewed { self.length / 3 } else { self.length / 6 };
            let _ = tokio::time::timeout(pause, shutdown.wait_for(|stop| *stop)).await;
        }
        self.leadership.send_replace(None);
        if let Some(lease) = lease
            && let Err(error) = self.in_time(self.store.release_lease(&lease)).await
        {
            warn!(role = %self.role, "cannot release the lease: {error}");
        }
    }

    /// One renewal or attempt; what is held afterwards.
    async fn round(&self, lease: Option<Lease>) -> Option<Lease> {
        let (now, ttl) = (now_ms(), self.length.as_millis() as i64);
        if let Some(lease) = lease {
            match self.in_time(self.store.renew_lease(&lease, ttl, now)).await {
                Ok(true) => return Some(Lease { expires_ms: now + ttl, ..lease }),
                Ok(false) => warn!(role = %self.role, term = lease.term, "lost the lease"),
                // Still ours by the clock, and will be after another such attempt; the next round decides.
                Err(error) if lease.expires_ms > now_ms() + ttl / 3 => {
                    warn!(role = %self.role, "cannot renew the lease: {error}");
                    return Some(lease);
                }
                Err(error) => warn!(role = %self.role, "stepping down, the lease cannot be renewed: {error}"),
            }
            return None;
        }
        match self.in_time(self.attempt(now, ttl)).await {
            Ok(lease) => lease,
            Err(error) => {
                warn!(role = %self.role, "cannot take part in the election: {error}");
                None
            }
        }
    }

    /// Takes the office if nobody holds it. Most looks find a leader, so that they only read.
    async fn attempt(&self, now: i64, ttl: i64) -> Result<Option<Lease>> {
        let held = self.store.leader(&self.role, now).await?;
        if let Some(held) = held.filter(|held| held.holder != self.url) {
            *self.leader_url.lock() = Some(held.holder);
            return Ok(None);
        }
        let lease = self.store.acquire_lease(&self.role, &self.url, ttl, now).await?;
        *self.leader_url.lock() = lease.as_ref().map(|lease| lease.holder.clone());
        if let Some(lease) = &lease {
            info!(role = %self.role, term = lease.term, "leading");
        }
        Ok(lease)
    }

    /// A store that hangs must not keep a leader in office beyond its lease.
    async fn in_time<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let limit = self.length / 6;
        tokio::time::timeout(limit, work)
            .await
            .unwrap_or_else(|_| Err(DruidError::timeout(format!("the metadata store did not answer within {limit:?}"))))
    }
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
