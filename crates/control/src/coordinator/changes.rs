//! Which used segments changed of late, by number, so that Brokers that know the rest are told these alone. A log of bounded length:
//! who asks from before its beginning gets everything.

use std::collections::{HashMap, VecDeque};

use ovate_base::SegmentId;

/// What is new of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is used now, or not any more, or its content is another.
    Use,
    /// Only how many copies the rules want of it.
    Replicas,
}

/// The log.
#[derive(Debug, Default)]
pub struct Changes {
    /// Of the last change.
    number: u64,
    /// The log is complete for whoever knows all up to this number.
    from: u64,
    log: VecDeque<(u64, SegmentId, Change)>,
}

/// Entries are kept for so many segments, or for twice as many as are used.
const ENTRIES_MIN: usize = 100_000;

impl Changes {
    /// The number of the last change.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Notes changes that happened together, where so many segments are used.
    pub fn note(&mut self, changes: impl Iterator<Item = (SegmentId, Change)>, used: usize) {
        let most = ENTRIES_MIN.max(used.saturating_mul(2));
        self.number += 1;
        let number = self.number;
        let before = self.log.len();
        for (id, change) in changes {
            self.log.push_back((number, id, change));
            if self.log.len() > most
                && let Some((gone, _, _)) = self.log.pop_front()
            {
                self.from = gone;
            }
        }
        if self.log.len() == before && self.log.back().is_none_or(|(last, _, _)| *last != number) {
            self.number -= 1;
        }
    }

    /// What changed after `number`, each segment once; `None` where the log does not reach back so far.
    pub fn since(&self, number: u64) -> Option<HashMap<SegmentId, Change>> {
        if number < self.from || number > self.number {
            return None;
        }
        let mut changed = HashMap::new();
        for (_, id, change) in self.log.iter().rev().take_while(|(at, _, _)| *at > number) {
            let known = changed.entry(id.clone()).or_insert(*change);
            if *change == Change::Use {
                *known = Change::Use;
            }
        }
        Some(changed)
    }
}

#[cfg(test)]
mod tests {
    use ovate_base::Interval;

    use super::*;

    fn id(partition: i32) -> SegmentId {
        SegmentId::new("t", Interval { start: 0, end: 1 }, "v", partition)
    }

    #[test]
    fn each_segment_is_told_once_and_use_counts_more_than_copies() {
        let mut changes = Changes::default();
        changes.note([(id(1), Change::Use), (id(2), Change::Use)].into_iter(), 2);
        let known = changes.number();
        assert_eq!(changes.since(known), Some(HashMap::new()));
        changes.note(std::iter::empty(), 2);
        assert_eq!(changes.number(), known, "nothing changed");
        changes.note([(id(2), Change::Use)].into_iter(), 2);
        changes.note([(id(2), Change::Replicas), (id(3), Change::Replicas)].into_iter(), 2);
        let expected = HashMap::from([(id(2), Change::Use), (id(3), Change::Replicas)]);
        assert_eq!(changes.since(known), Some(expected));
        assert_eq!(changes.since(changes.number() + 1), None, "of another life");
    }

    #[test]
    fn whoever_is_too_far_behind_gets_everything() {
        let mut changes = Changes::default();
        changes.note([(id(0), Change::Use)].into_iter(), 1);
        let known = changes.number();
        changes.note((0..ENTRIES_MIN as i32).map(|n| (id(n), Change::Use)), 1);
        assert_eq!(changes.since(known - 1), None);
        assert_eq!(changes.since(known).map(|changed| changed.len()), Some(ENTRIES_MIN));
        changes.note([(id(0), Change::Use)].into_iter(), 1);
        assert_eq!(changes.since(known), None);
    }
}
