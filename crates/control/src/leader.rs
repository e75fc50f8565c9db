//! Election by a lease in the metadata store. A leader renews its lease at a third of its length; when it cannot, it
//! steps down before the lease ends. Its writes are fenced by term besides, so even a stopped clock does no harm.

use std::sync::Arc;
use std::time::Duration;

use ovate_net::{LeaderSelector, Leadership};
use ovate_store::meta::{Fence, Lease};
use ovate_store::{MetadataStore, now_ms};
use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::{info, warn};

/// How long a lease lasts without renewal.
const LEASE: Duration = Duration::from_secs(15);

/// The election of one role (`coordinator` or `overlord`) seen from this process.
pub struct StoreElection {
    store: MetadataStore,
    role: String,
    url: String,
    leadership: watch::Sender<Option<Leadership>>,
    leader_url: Mutex<Option<String>>,
}

impl StoreElection {
    /// `url` is this process's `http://host:port`.
    pub fn new(store: MetadataStore, role: &str, url: &str) -> Arc<StoreElection> {
        Arc::new(StoreElection {
            store,
            role: role.to_owned(),
            url: url.to_owned(),
            leadership: watch::channel(None).0,
            leader_url: Mutex::new(None),
        })
    }

    /// Takes part until `shutdown` turns true, then gives the office up.
    pub async fn run(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let mut lease: Option<Lease> = None;
        while !*shutdown.borrow() {
            lease = self.round(lease).await;
            self.leadership.send_if_modified(|current| {
                let new = lease.as_ref().map(|lease| Leadership { term: lease.term });
                let changed = *current != new;
                *current = new;
                changed
            });
            let _ = tokio::time::timeout(LEASE / 3, shutdown.wait_for(|stop| *stop)).await;
        }
        self.leadership.send_replace(None);
        if let Some(lease) = lease
            && let Err(error) = self.store.release_lease(&lease).await
        {
            warn!(role = %self.role, "cannot release the lease: {error}");
        }
    }

    /// One renewal or attempt; what is held afterwards.
    async fn round(&self, lease: Option<Lease>) -> Option<Lease> {
        let (now, ttl) = (now_ms(), LEASE.as_millis() as i64);
        if let Some(lease) = lease {
            match self.store.renew_lease(&lease, ttl, now).await {
                Ok(true) => return Some(Lease { expires_ms: now + ttl, ..lease }),
                Ok(false) => warn!(role = %self.role, term = lease.term, "lost the lease"),
                // Still ours by the clock; the next round decides.
                Err(error) if lease.expires_ms > now + ttl / 3 => {
                    warn!(role = %self.role, "cannot renew the lease: {error}");
                    return Some(lease);
                }
                Err(error) => warn!(role = %self.role, "stepping down, the lease cannot be renewed: {error}"),
            }
        }
        let acquired = self.store.acquire_lease(&self.role, &self.url, ttl, now).await;
        match acquired {
            Ok(Some(lease)) => {
                info!(role = %self.role, term = lease.term, "leading");
                *self.leader_url.lock() = Some(self.url.clone());
                return Some(lease);
            }
            Ok(None) => {}
            Err(error) => warn!(role = %self.role, "cannot take part in the election: {error}"),
        }
        if let Ok(leader) = self.store.leader(&self.role, now).await {
            *self.leader_url.lock() = leader.map(|lease| lease.holder);
        }
        None
    }
}

impl LeaderSelector for StoreElection {
    fn leadership(&self) -> Option<Leadership> {
        *self.leadership.borrow()
    }

    fn leader_url(&self) -> Option<String> {
        self.leader_url.lock().clone()
    }

    fn watch(&self) -> watch::Receiver<Option<Leadership>> {
        self.leadership.subscribe()
    }
}

/// The store for a leader of a term; term 0 is a process that is alone and needs no fence.
pub(crate) fn fenced(store: &MetadataStore, role: &str, leadership: Leadership) -> MetadataStore {
    if leadership.term == 0 {
        return store.clone();
    }
    store.fenced(Fence { role: role.to_owned(), term: leadership.term })
}
