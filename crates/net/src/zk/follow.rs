//! Follows what others announce: the folder of every role, and the latches of the elected ones. A watch tells that something
//! changed; what there is now is then read anew, so that no event is needed to be right.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::stream::{self, StreamExt};
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep, timeout};
use tracing::{debug, warn};
use zookeeper_client::{Client, Error, OneshotWatcher};

use super::Inner;
use super::client::{decode, make_folder, within};
use crate::discovery::{DiscoveredNode, NodeRole};

/// How often a folder is read without an event.
const REREAD: Duration = Duration::from_secs(60);
/// Wait after a failure.
const RETRY: Duration = Duration::from_millis(500);
/// Nodes read at a time.
const READS_MAX: usize = 32;

/// Follows the latches, and every role as soon as somebody asks for it: a peon, say, asks for none.
pub(super) async fn run(inner: Arc<Inner>, client: Client) {
    let mut tasks = JoinSet::new();
    for role in NodeRole::ALL {
        if let Some(folder) = inner.settings.latch(role) {
            tasks.spawn(follow_latch(inner.clone(), client.clone(), role, folder));
        }
    }
    let mut asked = inner.asked.subscribe();
    let mut followed = BTreeSet::new();
    loop {
        let roles = asked.borrow_and_update().clone();
        for role in roles {
            if followed.insert(role) {
                tasks.spawn(follow_role(inner.clone(), client.clone(), role));
            }
        }
        if asked.changed().await.is_err() {
            return;
        }
    }
}

async fn follow_role(inner: Arc<Inner>, client: Client, role: NodeRole) {
    let folder = inner.settings.announcements(role);
    loop {
        match read_role(&inner, &client, role, &folder).await {
            Ok(watcher) => {
                // What the view was held for must be looked at again when the hold is over.
                let hold = inner.view.held_until().map(|until| until.saturating_duration_since(tokio::time::Instant::now()));
                let wait = hold.map_or(REREAD, |hold| REREAD.min(hold + Duration::from_millis(10)));
                let _ = timeout(wait, watcher.changed()).await;
            }
            Err(error) => {
                debug!("cannot read announcements. role={} error={error}", role.name());
                sleep(RETRY).await;
            }
        }
    }
}

async fn read_role(inner: &Inner, client: &Client, role: NodeRole, folder: &str) -> Result<OneshotWatcher, Error> {
    let listing = inner.view.begin_listing();
    let (names, watcher) = list(inner, client, folder).await?;
    let read = |name: String| async move {
        match within(client.get_data(&format!("{folder}/{name}"))).await {
            Ok((data, _)) => match decode(&data).and_then(|data| DiscoveredNode::parse(&data)) {
                Ok(node) if node.node_type == role => Ok(Some((name, node))),
                Ok(node) => {
                    warn!("an announcement in another role's folder is left out. name={name} role={}", node.node_type.name());
                    Ok(None)
                }
                Err(error) => {
                    warn!("an announcement is left out. role={} name={name} error={error}", role.name());
                    Ok(None)
                }
            },
            // Gone between the list and the read.
            Err(Error::NoNode) => Ok(None),
            Err(error) => Err(error),
        }
    };
    let nodes: Vec<Result<Option<_>, Error>> = stream::iter(names).map(read).buffer_unordered(READS_MAX).collect().await;
    let nodes = nodes.into_iter().filter_map(Result::transpose).collect::<Result<Vec<_>, Error>>()?;
    inner.view.replace(role, nodes, listing);
    Ok(watcher)
}

async fn follow_latch(inner: Arc<Inner>, client: Client, role: NodeRole, folder: String) {
    loop {
        match read_latch(&inner, &client, &folder).await {
            Ok((leader, watcher)) => {
                let known = inner.leaders.read().get(&role).cloned();
                if known.as_ref() != Some(&leader) {
                    inner.leaders.write().insert(role, leader);
                    inner.leader_ticks.send_modify(|count| *count += 1);
                }
                let _ = timeout(REREAD, watcher.changed()).await;
            }
            Err(error) => {
                debug!("cannot read who leads. role={} error={error}", role.name());
                sleep(RETRY).await;
            }
        }
    }
}

async fn read_latch(inner: &Inner, client: &Client, folder: &str) -> Result<(Option<String>, OneshotWatcher), Error> {
    loop {
        let (names, watcher) = list(inner, client, folder).await?;
        let Some(first) = names.into_iter().filter_map(|name| Some((sequence(&name)?, name))).min() else {
            return Ok((None, watcher));
        };
        match within(client.get_data(&format!("{folder}/{}", first.1))).await {
            Ok((data, _)) => {
                let text = String::from_utf8_lossy(&decode(&data).unwrap_or_default()).trim().to_owned();
                // A participant without an id, as a bare Curator latch has it, cannot be called.
                let leader = Some(text).filter(|text| text.starts_with("http://") || text.starts_with("https://"));
                return Ok((leader, watcher));
            }
            Err(Error::NoNode) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The children of a folder, which is made when it is not there, and what tells of their next change.
pub(super) async fn list(inner: &Inner, client: &Client, folder: &str) -> Result<(Vec<String>, OneshotWatcher), Error> {
    for _ in 0..2 {
        match within(client.get_and_watch_children(folder)).await {
            Ok((names, _, watcher)) => return Ok((names, watcher)),
            Err(Error::NoNode) => make_folder(client, &inner.settings, folder).await?,
            Err(error) => return Err(error),
        }
    }
    Err(Error::NoNode)
}

/// The number behind the name of a latch's node, by which candidates are in order.
pub(super) fn sequence(name: &str) -> Option<u64> {
    let (_, number) = name.rsplit_once("latch-")?;
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_candidates_is_that_of_their_numbers() {
        assert_eq!(sequence("_c_d56d1004-80c1-4dc2-a8fc-986e7428448e-latch-0000000012"), Some(12));
        assert_eq!(sequence("_c_x-lock-0000000001"), None);
        assert_eq!(sequence("latch-"), None);
    }
}
