//! Who leads: Coordinators and Overlords elect one each. A leader carries a term, a number that only grows; every write
//! of a leader takes its term along, so that a leader that lost its office cannot write.

use tokio::sync::watch;

/// A term of office of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leadership {
    pub term: i64,
}

/// One election (`DruidLeaderSelector`), seen from one process that may take part in it.
pub trait LeaderSelector: Send + Sync {
    /// This process's term while it leads.
    fn leadership(&self) -> Option<Leadership>;
    /// `http://host:port` of the leader, if one is known.
    fn leader_url(&self) -> Option<String>;
    /// Follows this process's leadership.
    fn watch(&self) -> watch::Receiver<Option<Leadership>>;
}

/// The election of a process that is alone: it leads from the start, in term 0.
pub struct AlwaysLeader {
    url: String,
    state: watch::Sender<Option<Leadership>>,
}

impl AlwaysLeader {
    /// `url`: this process's own address.
    pub fn new(url: impl Into<String>, term: i64) -> Self {
        AlwaysLeader { url: url.into(), state: watch::channel(Some(Leadership { term })).0 }
    }
}

impl LeaderSelector for AlwaysLeader {
    fn leadership(&self) -> Option<Leadership> {
        *self.state.borrow()
    }

    fn leader_url(&self) -> Option<String> {
        Some(self.url.clone())
    }

    fn watch(&self) -> watch::Receiver<Option<Leadership>> {
        self.state.subscribe()
    }
}
