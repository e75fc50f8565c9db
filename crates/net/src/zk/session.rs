//! The session: made, watched, made again. While it stands, tasks announce and follow; what the rest of the process sees of
//! it is the [`Link`].

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep, timeout};
use tracing::{info, warn};
use zookeeper_client::{Client, Error, SessionInfo, SessionState, StateWatcher};

use super::{Inner, client, follow};

/// Waits between attempts to connect double from the first to the last.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// Longest time for which the view is held after an outage, but for what others may need to try again.
const HOLD_MAX: Duration = Duration::from_secs(30);
/// How long the end of a session may take.
const CLOSE: Duration = Duration::from_secs(2);
/// How often announcements are looked after without a reason.
const LOOK_AFTER: Duration = Duration::from_secs(30);

/// The connection as the rest of the process may rely on it.
#[derive(Clone)]
pub(super) enum Link {
    /// No session, or silence for so long that others may soon take this session for dead.
    Lost,
    /// A session; the generation grows with every new link.
    Up { client: Client, generation: u64 },
}

impl Link {
    pub(super) fn is_generation(&self, wanted: u64) -> bool {
        matches!(self, Link::Up { generation, .. } if *generation == wanted)
    }
}

/// Keeps a session until told to stop; then ends it, which takes back all that is ephemeral.
pub(super) async fn run(inner: Arc<Inner>, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => {}
        () = keep(&inner) => {}
    }
    // The session ends with the last handle on its client; elections have theirs until they have resigned.
    if let Link::Up { client, .. } = inner.link.send_replace(Link::Lost) {
        let mut states = client.state_watcher();
        drop(client);
        let closed = async { while !states.changed().await.is_terminated() {} };
        let _ = timeout(CLOSE, closed).await;
    }
}

async fn keep(inner: &Arc<Inner>) {
    let mut last: Option<SessionInfo> = None;
    let mut seen = false;
    let mut pause = RETRY_MIN;
    let mut generation = 0;
    loop {
        match connect(inner, last.clone()).await {
            Ok(client) => {
                pause = RETRY_MIN;
                generation += 1;
                if seen {
                    // Others may be slower to come back than we are: they may just have begun their longest wait, which varies
                    // by a quarter, and then need a moment to announce themselves.
                    inner.view.hold(client.session_timeout().min(HOLD_MAX) + RETRY_MAX * 2);
                }
                seen = true;
                info!("in session with ZooKeeper. session={} timeout={:?}", client.session_id(), client.session_timeout());
                last = Some(client.session().clone());
                generation = serve(inner, client, generation).await;
            }
            Err(Error::SessionExpired) => last = None,
            Err(error) => {
                warn!("cannot reach ZooKeeper, trying again. hosts={} error={error}", inner.settings.hosts);
                sleep(pause.mul_f64(rand::random_range(0.75..1.25))).await;
                pause = (pause * 2).min(RETRY_MAX);
            }
        }
    }
}

/// A new session, or the last one again if the servers still know it: its ephemeral nodes then never vanish.
async fn connect(inner: &Inner, last: Option<SessionInfo>) -> Result<Client, Error> {
    let settings = &inner.settings;
    let mut connector = Client::connector()
        .with_session_timeout(settings.session_timeout)
        .with_connection_timeout(settings.connection_timeout)
        .with_fail_eagerly();
    if let Some((scheme, auth)) = &settings.auth {
        connector = connector.with_auth(scheme, auth.as_bytes());
    }
    if let Some(last) = last {
        connector = connector.with_session(last);
    }
    let limit = settings.connection_timeout.max(Duration::from_secs(1)) * 2;
    let client = timeout(limit, connector.connect(&settings.hosts)).await.unwrap_or(Err(Error::Timeout))?;
    if settings.chroot.is_empty() {
        return Ok(client);
    }
    client::make_folder(&client, settings, &settings.chroot).await?;
    client.chroot(settings.chroot.as_str()).map_err(|_| Error::BadArguments(&"the chroot is no path"))
}

/// Serves one session to its end; gives the last generation that was used.
async fn serve(inner: &Arc<Inner>, client: Client, mut generation: u64) -> u64 {
    let mut states = client.state_watcher();
    let mut tasks = JoinSet::new();
    tasks.spawn(keep_announced(inner.clone(), client.clone()));
    tasks.spawn(follow::run(inner.clone(), client.clone()));
    // We fall silent at 2/5 of the timeout at the latest, the servers forget us after all of it: between, we step down.
    let grace = client.session_timeout() * 2 / 5;
    inner.link.send_replace(Link::Up { client: client.clone(), generation });
    let mut state = states.state();
    while !state.is_terminated() {
        if state == SessionState::Disconnected {
            warn!("connection to ZooKeeper is lost, going on with the last known view");
            let soon = timeout(grace, states.changed()).await;
            let lost = soon.is_err();
            state = match soon {
                Ok(next) => next,
                Err(_) => silent(inner, &mut states).await,
            };
            if !state.is_terminated() && state != SessionState::Disconnected {
                info!("connected to ZooKeeper again. session={}", client.session_id());
                inner.wanted.notify_one();
                if lost {
                    generation += 1;
                    inner.link.send_replace(Link::Up { client: client.clone(), generation });
                }
            }
            continue;
        }
        state = states.changed().await;
    }
    warn!("the session with ZooKeeper is over. state={state}");
    inner.link.send_replace(Link::Lost);
    generation
}

/// The grace is over: the link is lost until there is news.
async fn silent(inner: &Inner, states: &mut StateWatcher) -> SessionState {
    inner.link.send_replace(Link::Lost);
    states.changed().await
}

/// Writes this process's announcements, and looks after them from time to time.
async fn keep_announced(inner: Arc<Inner>, client: Client) {
    loop {
        let names: Vec<_> = inner.mine.lock().keys().cloned().collect();
        let mut wait = LOOK_AFTER;
        for (role, name) in names {
            if let Err(error) = inner.write(&client, role, &name).await {
                warn!("cannot announce, trying again. role={} name={name} error={error}", role.name());
                wait = Duration::from_millis(500);
            }
        }
        let _ = timeout(wait, inner.wanted.notified()).await;
    }
}
