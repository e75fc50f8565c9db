//! An office held by the recipe of Curator's `LeaderLatch`: every candidate has an ephemeral, numbered child, the lowest
//! leads, each watches the one before it. Whoever becomes first takes a new term, by which its writes are known; when the
//! link is lost or somebody took a later term, it steps down at once.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Duration, sleep, timeout};
use tracing::{info, warn};
use uuid::Uuid;
use zookeeper_client::{Client, CreateMode, Error, OneshotWatcher};

use super::Inner;
use super::client::{make_folder, options, remove, within};
use super::follow::{list, sequence};
use super::session::Link;
use crate::coordination::TermSource;
use crate::discovery::NodeRole;
use crate::election::{LeaderSelector, Leadership};

/// How often a leader looks whether its term still holds.
const LOOK: Duration = Duration::from_secs(2);
/// Wait before standing again after a failure; random between one and two of it, so that candidates do not march in step.
const AGAIN: Duration = Duration::from_millis(300);
/// Longest wait for giving the office up in order.
const RESIGN: Duration = Duration::from_secs(2);

struct Candidate {
    inner: Arc<Inner>,
    terms: Arc<dyn TermSource>,
    role: NodeRole,
    folder: String,
    url: String,
    /// Curator's protection: finds our own node again when its creation was not answered.
    id: Uuid,
    state: watch::Sender<Option<Leadership>>,
}

/// Why a candidate stopped.
enum Over {
    Stopped,
    LinkLost,
    NodeGone,
    TermTaken,
    Failed(Error),
}

impl From<Error> for Over {
    fn from(error: Error) -> Self {
        Over::Failed(error)
    }
}

/// Stands for an office until `stop` turns true.
pub(super) fn start(
    inner: Arc<Inner>,
    terms: Arc<dyn TermSource>,
    role: NodeRole,
    folder: String,
    url: &str,
    stop: watch::Receiver<bool>,
) -> (Arc<dyn LeaderSelector>, JoinHandle<()>) {
    let state = watch::channel(None).0;
    let id = Uuid::new_v4();
    let candidate = Arc::new(Candidate { inner, terms, role, folder, url: url.to_owned(), id, state });
    let running = tokio::spawn(candidate.clone().run(stop));
    (candidate, running)
}

impl Candidate {
    async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut link = self.inner.link.subscribe();
        loop {
            let up = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                up = link.wait_for(|link| matches!(link, Link::Up { .. })) => up.map(|link| link.clone()),
            };
            let Ok(Link::Up { client, generation }) = up else { return };
            let mut round = Round { candidate: &self, client: &client, generation, link: link.clone(), stop: stop.clone() };
            let over = round.stand().await;
            let held = self.state.send_replace(None);
            if let Some(held) = held {
                warn!("no longer leading. role={} term={}", self.role.name(), held.term);
            }
            match over {
                Over::Stopped => {
                    if let Some(held) = held {
                        let _ = timeout(RESIGN, self.terms.release(self.role, &self.url, held.term)).await;
                    }
                    let _ = timeout(RESIGN, self.leave(&client)).await;
                    return;
                }
                Over::LinkLost => continue,
                Over::NodeGone => warn!("our node in the election is gone, standing again. role={}", self.role.name()),
                Over::TermTaken => {
                    warn!("another process took a later term, standing again. role={}", self.role.name());
                    let _ = timeout(RESIGN, self.leave(&client)).await;
                }
                Over::Failed(error) => warn!("cannot take part in the election. role={} error={error}", self.role.name()),
            }
            sleep(AGAIN.mul_f64(rand::random_range(1.0..2.0))).await;
        }
    }

    /// Names of our own nodes begin with this.
    fn prefix(&self) -> String {
        format!("_c_{}-latch-", self.id)
    }

    /// Our node in this session; made unless it is there. One of an earlier session is removed.
    async fn enter(&self, client: &Client) -> Result<String, Error> {
        let (names, _) = list(&self.inner, client, &self.folder).await?;
        let mut own = None;
        for name in names.into_iter().filter(|name| name.starts_with(&self.prefix())) {
            let path = format!("{}/{name}", self.folder);
            match within(client.check_stat(&path)).await? {
                Some(stat) if stat.ephemeral_owner == client.session_id().0 && own.is_none() => own = Some(name),
                Some(_) => remove(client, &path).await?,
                None => {}
            }
        }
        if let Some(own) = own {
            return Ok(own);
        }
        let mode = options(&self.inner.settings, CreateMode::EphemeralSequential);
        let path = format!("{}/{}", self.folder, self.prefix());
        let made = match within(client.create(&path, self.url.as_bytes(), &mode)).await {
            Err(Error::NoNode) => {
                make_folder(client, &self.inner.settings, &self.folder).await?;
                within(client.create(&path, self.url.as_bytes(), &mode)).await
            }
            other => other,
        };
        Ok(format!("{}{}", self.prefix(), made?.1))
    }

    async fn leave(&self, client: &Client) -> Result<(), Error> {
        let (names, _) = list(&self.inner, client, &self.folder).await?;
        for name in names.into_iter().filter(|name| name.starts_with(&self.prefix())) {
            remove(client, &format!("{}/{name}", self.folder)).await?;
        }
        Ok(())
    }
}

/// One stand for the office, within one link.
struct Round<'a> {
    candidate: &'a Candidate,
    client: &'a Client,
    generation: u64,
    link: watch::Receiver<Link>,
    stop: watch::Receiver<bool>,
}

impl Round<'_> {
    async fn stand(&mut self) -> Over {
        let stood = self.until_over().await;
        match stood {
            Ok(never) => match never {},
            Err(over) => over,
        }
    }

    async fn until_over(&mut self) -> Result<std::convert::Infallible, Over> {
        let candidate = self.candidate;
        let own = candidate.enter(self.client).await?;
        let number = sequence(&own).ok_or(Over::NodeGone)?;
        loop {
            let (names, _) = list(&candidate.inner, self.client, &candidate.folder).await?;
            if !names.contains(&own) {
                return Err(Over::NodeGone);
            }
            let before = names.into_iter().filter_map(|name| Some((sequence(&name)?, name))).filter(|(n, _)| *n < number).max();
            let watched = before.as_ref().map_or(&own, |(_, name)| name);
            let path = format!("{}/{watched}", candidate.folder);
            let (stat, watcher) = within(self.client.check_and_watch_stat(&path)).await?;
            match (stat, before) {
                (Some(_), Some(_)) => drop(self.wait(watcher.changed()).await?),
                (Some(_), None) => self.lead(watcher).await?,
                (None, _) => {}
            }
        }
    }

    /// Leads until our node is touched or the link goes.
    async fn lead(&mut self, watcher: OneshotWatcher) -> Result<(), Over> {
        let candidate = self.candidate;
        let mut touched = std::pin::pin!(watcher.changed());
        let term = loop {
            match self.wait(candidate.terms.take(candidate.role, &candidate.url)).await? {
                Ok(term) => break term,
                Err(error) => warn!("elected, but no term could be taken. role={} error={error}", candidate.role.name()),
            }
            self.wait(sleep(AGAIN)).await?;
        };
        info!("leading. role={} term={term}", candidate.role.name());
        candidate.state.send_replace(Some(Leadership { term }));
        loop {
            let holds = candidate.terms.holds(candidate.role, &candidate.url, term);
            match self.wait(holds).await? {
                Ok(true) => {}
                Ok(false) => return Err(Over::TermTaken),
                // The office is ZooKeeper's to give; a store that is away refuses our writes by itself.
                Err(error) => warn!("cannot look whether the term holds. role={} error={error}", candidate.role.name()),
            }
            if self.wait(timeout(LOOK, touched.as_mut())).await?.is_ok() {
                candidate.state.send_replace(None);
                return Ok(());
            }
        }
    }

    /// Waits for something, unless the link goes or the process stops.
    async fn wait<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Over> {
        let generation = self.generation;
        tokio::select! {
            biased;
            _ = self.stop.wait_for(|stop| *stop) => Err(Over::Stopped),
            _ = self.link.wait_for(|link| !link.is_generation(generation)) => Err(Over::LinkLost),
            done = work => Ok(done),
        }
    }
}

impl LeaderSelector for Candidate {
    fn leadership(&self) -> Option<Leadership> {
        *self.state.borrow()
    }

    fn leader_url(&self) -> Option<String> {
        if self.leadership().is_some() {
            return Some(self.url.clone());
        }
        // First in line but not yet, or no longer, in office: nobody must be sent to us.
        self.inner.leaders.read().get(&self.role).cloned().flatten().filter(|leader| *leader != self.url)
    }

    fn watch(&self) -> watch::Receiver<Option<Leadership>> {
        self.state.subscribe()
    }
}
