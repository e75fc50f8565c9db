//! What a data server announces: a counted log of loads and drops that brokers and coordinators follow by long polls
//! (`ChangeRequestHistory`, `formats/cluster-protocols.md` 2). Bounded: who falls too far behind starts anew.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

/// Changes kept for followers; older ones are only in the full list.
const CHANGES_MAX: usize = 10_000;
/// Longest long poll, whatever the follower asks for.
const POLL_MAX: Duration = Duration::from_secs(300);

/// Load or drop of one segment, as it goes over the wire.
#[derive(Debug, Clone)]
pub struct Change {
    /// `load` or `drop`.
    pub action: &'static str,
    /// The `DataSegment` document.
    pub segment: Value,
}

impl Change {
    fn to_json(&self) -> Value {
        let mut document = self.segment.clone();
        if let Some(object) = document.as_object_mut() {
            object.insert("action".to_owned(), json!(self.action));
        }
        document
    }
}

struct Log {
    counter: u64,
    changes: VecDeque<Change>,
}

/// The log of one server.
pub struct ChangeLog {
    /// Tells this server's life from an earlier one at the same address.
    hash: i64,
    log: Mutex<Log>,
    counter: watch::Sender<u64>,
}

impl ChangeLog {
    /// `hash`: any number that another life of this server would not have, for example its start in milliseconds.
    pub fn new(hash: i64) -> Self {
        ChangeLog { hash, log: Mutex::new(Log { counter: 0, changes: VecDeque::new() }), counter: watch::channel(0).0 }
    }

    /// Appends changes; followers are woken once.
    pub fn append(&self, changes: impl IntoIterator<Item = Change>) {
        let mut log = self.log.lock();
        for change in changes {
            log.counter += 1;
            log.changes.push_back(change);
            if log.changes.len() > CHANGES_MAX {
                log.changes.pop_front();
            }
        }
        self.counter.send_replace(log.counter);
    }

    /// Counter now, for a full list that was read under the same lock as the segments.
    pub fn counter(&self) -> u64 {
        self.log.lock().counter
    }

    /// Waits until there is something after `counter`, at most `timeout`. `None`: nothing came.
    pub async fn follow(&self, counter: u64, hash: i64, timeout: Duration) -> Option<Value> {
        if hash != self.hash || counter > self.counter() {
            return Some(self.reset("the counter is of another life of this server"));
        }
        let mut watched = self.counter.subscribe();
        let wait = watched.wait_for(|now| *now > counter);
        if tokio::time::timeout(timeout.min(POLL_MAX), wait).await.is_err() {
            return None;
        }
        let log = self.log.lock();
        let behind = usize::try_from(log.counter - counter).unwrap_or(usize::MAX);
        if behind > log.changes.len() {
            drop(log);
            return Some(self.reset("the counter is too old"));
        }
        let requests: Vec<Value> = log.changes.iter().skip(log.changes.len() - behind).map(Change::to_json).collect();
        Some(self.answer(log.counter, &requests))
    }

    /// The full list as one answer.
    pub fn snapshot(&self, counter: u64, segments: impl Iterator<Item = Value>) -> Value {
        let requests: Vec<Value> = segments.map(|segment| Change { action: "load", segment }.to_json()).collect();
        self.answer(counter, &requests)
    }

    fn answer(&self, counter: u64, requests: &[Value]) -> Value {
        json!({"resetCounter": false, "resetCause": null, "counter": {"counter": counter, "hash": self.hash}, "requests": requests})
    }

    fn reset(&self, cause: &str) -> Value {
        json!({"resetCounter": true, "resetCause": cause, "counter": null, "requests": null})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(id: &str) -> Change {
        Change { action: "load", segment: json!({"identifier": id}) }
    }

    #[tokio::test]
    async fn a_follower_gets_what_came_after_its_counter() {
        let log = ChangeLog::new(7);
        log.append([load("a"), load("b")]);
        let answer = log.follow(1, 7, Duration::from_secs(1)).await.expect("there is a change");
        assert_eq!(answer["requests"], json!([{"identifier": "b", "action": "load"}]));
        assert_eq!(answer["counter"], json!({"counter": 2, "hash": 7}));
    }

    #[tokio::test]
    async fn nothing_new_ends_with_the_timeout() {
        let log = ChangeLog::new(7);
        assert!(log.follow(0, 7, Duration::from_millis(5)).await.is_none());
    }

    #[tokio::test]
    async fn another_life_or_too_old_a_counter_starts_anew() {
        let log = ChangeLog::new(7);
        log.append((0..CHANGES_MAX + 5).map(|i| load(&i.to_string())));
        for (counter, hash) in [(1, 7), (3, 8)] {
            let answer = log.follow(counter, hash, Duration::from_secs(1)).await.expect("a reset");
            assert_eq!(answer["resetCounter"], json!(true));
        }
    }
}
