//! A data server as the Broker knows it: where it stands, how busy it is with our calls, and whether it answers at all
//! (`QueryableDruidServer`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

use crate::data_server::DataServer;

/// What a server says of itself in its announcement (`DruidServerMetadata`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    pub tier: String,
    pub priority: i64,
    /// `historical`, or a kind of task.
    pub server_type: String,
    /// What its segment cache may hold.
    pub max_bytes: i64,
}

impl Default for Placement {
    fn default() -> Self {
        let (tier, server_type) = ("_default_tier".to_owned(), "historical".to_owned());
        Placement { tier, priority: 0, server_type, max_bytes: i64::MAX }
    }
}

/// One server; shared by the view and by running queries.
pub struct KnownServer {
    pub server: Arc<dyn DataServer>,
    pub placement: Placement,
    calls: AtomicUsize,
    /// When calls last went unanswered, until one is answered again.
    unstable_since: watch::Sender<Option<tokio::time::Instant>>,
}

/// Counts a call while it runs.
pub struct CallGuard(Arc<KnownServer>);

impl Drop for CallGuard {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

impl KnownServer {
    pub fn new(server: Arc<dyn DataServer>, placement: Placement) -> Self {
        KnownServer { server, placement, calls: AtomicUsize::new(0), unstable_since: watch::channel(None).0 }
    }

    /// `host:port`.
    pub fn name(&self) -> &str {
        self.server.name()
    }

    /// True for a running task: its segments grow, and so may their columns.
    pub fn grows(&self) -> bool {
        matches!(self.placement.server_type.as_str(), "realtime" | "indexer-executor")
    }

    /// A call begins.
    pub fn begin(self: &Arc<Self>) -> CallGuard {
        self.calls.fetch_add(1, Ordering::Relaxed);
        CallGuard(self.clone())
    }

    /// Calls under way.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// Whether the last try to reach it succeeded.
    pub fn is_stable(&self) -> bool {
        self.unstable_since.borrow().is_none()
    }

    /// Told by whoever tried to reach it.
    pub fn set_stable(&self, stable: bool) {
        self.unstable_since.send_if_modified(|since| {
            let changed = since.is_none() != stable;
            if changed {
                *since = (!stable).then(tokio::time::Instant::now);
            }
            changed
        });
    }

    /// Ends when the server has been out of reach for this long without a break.
    pub async fn out_of_reach_for(&self, time: std::time::Duration) {
        let mut changes = self.unstable_since.subscribe();
        loop {
            let since = *changes.borrow_and_update();
            let changed = match since {
                None => changes.changed().await,
                Some(since) => match tokio::time::timeout_at(since + time, changes.changed()).await {
                    Err(_) => return,
                    Ok(changed) => changed,
                },
            };
            if changed.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
