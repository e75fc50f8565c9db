//! Follows the Coordinator's used segments (`MetadataSegmentView`): our Coordinators tell what changed since the last answer, JVM ones
//! everything each time. What comes goes to the view, and to the table behind `sys.segments`.

use std::sync::Arc;
use std::time::Duration;

use ovate_base::{DataSegment, DruidError, Result, SegmentId};
use ovate_net::{Discovery, HttpClient, NodeRole};
use parking_lot::RwLock;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::follow::Watched;
use super::segments::SegmentTable;
use super::view::{ServerView, Touched};

/// Longest wait for the Coordinator's answer, which may be long.
const DEADLINE: Duration = Duration::from_secs(60);

/// The used segments as this Broker knows them.
pub struct UsedSegments {
    view: Arc<ServerView>,
    client: HttpClient,
    discovery: Arc<dyn Discovery>,
    watched: Watched,
    /// The tag of the last answer; held while a Coordinator is asked, so that answers are taken in order.
    known: tokio::sync::Mutex<Option<String>>,
    table: RwLock<SegmentTable>,
}

impl UsedSegments {
    pub fn new(view: Arc<ServerView>, client: HttpClient, discovery: Arc<dyn Discovery>, watched: Watched) -> Self {
        let (known, table) = (tokio::sync::Mutex::default(), RwLock::default());
        UsedSegments { view, client, discovery, watched, known, table }
    }

    /// Asks the Coordinator what changed. Gives the address of the one that answered; `None` when there is none.
    pub async fn refresh(&self) -> Result<Option<String>> {
        let mut known = self.known.lock().await;
        // Any Coordinator answers or leads to the one that does; one that is gone is still listed for a while.
        let mut outcome = Ok(None);
        for node in self.discovery.nodes(NodeRole::Coordinator).await? {
            let base = node.druid_node.url();
            outcome = self.refresh_from(&base, &mut known).await.map(|()| Some(base));
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    async fn refresh_from(&self, base: &str, known: &mut Option<String>) -> Result<()> {
        let tag = known.as_deref().unwrap_or_default();
        let url = format!("{base}/druid/coordinator/v1/metadata/segments?includeOvershadowedStatus&ovateSince={tag}");
        let list = self.view.begin_list();
        let bytes = self.client.send(self.client.raw().get(&url), &url, DEADLINE).await?;
        let few = bytes.len() < 1 << 16;
        let parse = move || Answer::parse(&bytes);
        let answer = if few { parse() } else { tokio::task::spawn_blocking(parse).await.map_err(|_| stopped())? };
        let mut answer = answer.map_err(|e| DruidError::runtime(format!("cannot parse the answer of [{url}]: {e}")))?;
        answer.segments.retain(|used| self.watched.has_table(&used.segment.data_source));
        let segments = answer.segments.iter().map(|used| used.segment.clone()).collect();
        if answer.full {
            self.view.set_wanted(segments, list);
        } else {
            self.view.change_wanted(segments, &answer.removed, list);
        }
        *known = answer.tag.take();
        self.table.write().apply(answer);
        Ok(())
    }

    /// Works on the rows of `sys.segments` as they are now.
    pub fn read<T>(&self, work: impl FnOnce(&SegmentTable) -> T) -> T {
        self.follow_announcements();
        work(&self.table.read())
    }

    fn follow_announcements(&self) {
        if !self.view.is_touched() {
            return;
        }
        // The table first: whoever finds nothing touched any more waits until this is done.
        let mut table = self.table.write();
        let touched = self.view.take_touched();
        match touched {
            Touched::Some(ids) => ids.iter().for_each(|id| table.serve(id, self.view.served(id).as_ref())),
            Touched::All => {
                table.serve_none();
                self.view.each_served(|served| table.serve(&served.segment.id(), Some(served)));
            }
        }
    }
}

fn stopped() -> DruidError {
    DruidError::runtime("the server stops")
}

/// A used segment, and how many copies the rules want; `None` where no rule loads it.
pub struct UsedSegment {
    pub segment: Arc<DataSegment>,
    pub replication: Option<i64>,
}

impl<'de> Deserialize<'de> for UsedSegment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let document = Value::deserialize(deserializer)?;
        let segment = DataSegment::from_json(&document).map_err(serde::de::Error::custom)?;
        Ok(UsedSegment { segment: Arc::new(segment), replication: document["replicationFactor"].as_i64() })
    }
}

/// What a Coordinator tells.
#[derive(Deserialize)]
pub struct Answer {
    /// Everything, not only what changed.
    #[serde(default)]
    pub full: bool,
    pub tag: Option<String>,
    pub segments: Vec<UsedSegment>,
    #[serde(default, deserialize_with = "ids")]
    pub removed: Vec<SegmentId>,
    #[serde(default, deserialize_with = "copies")]
    pub replicas: Vec<(SegmentId, Option<i64>)>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> serde_json::Result<Answer> {
        match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
            // A JVM Coordinator's list.
            Some(b'[') => {
                let segments = serde_json::from_slice(bytes)?;
                Ok(Answer { full: true, tag: None, segments, removed: Vec::new(), replicas: Vec::new() })
            }
            _ => serde_json::from_slice(bytes),
        }
    }
}

fn id<E: serde::de::Error>(data_source: &str, id: &str) -> std::result::Result<SegmentId, E> {
    SegmentId::parse(data_source, id).ok_or_else(|| E::custom(format!("not a segment id of [{data_source}]: {id}")))
}

fn ids<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<SegmentId>, D::Error> {
    let pairs = Vec::<(String, String)>::deserialize(deserializer)?;
    pairs.iter().map(|(data_source, text)| id(data_source, text)).collect()
}

fn copies<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<(SegmentId, Option<i64>)>, D::Error> {
    let list = Vec::<(String, String, Option<i64>)>::deserialize(deserializer)?;
    list.iter().map(|(data_source, text, copies)| Ok((id(data_source, text)?, *copies))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_answers_are_read() {
        let segment = r#"{"dataSource":"t","interval":"2024/2025","version":"v","replicationFactor":2,"overshadowed":false}"#;
        let list = Answer::parse(format!(" [{segment}]").as_bytes()).expect("a JVM's list");
        assert_eq!((list.full, list.tag, list.segments[0].replication), (true, None, Some(2)));
        let id = list.segments[0].segment.id();
        let text =
            format!(r#"{{"segments":[],"removed":[["t","{id}"]],"replicas":[["t","{id}",null]],"full":false,"tag":"a-1"}}"#);
        let difference = Answer::parse(text.as_bytes()).expect("a difference");
        assert_eq!((difference.full, difference.tag.as_deref()), (false, Some("a-1")));
        assert_eq!((difference.removed, difference.replicas), (vec![id.clone()], vec![(id, None)]));
        assert!(Answer::parse(br#"{"segments":[],"removed":[["t","x"]]}"#).is_err());
        assert!(Answer::parse(b"").is_err());
    }
}
