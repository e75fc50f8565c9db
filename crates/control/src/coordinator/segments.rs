//! What the Coordinator knows of the metadata store (`SqlSegmentsMetadataManager`): used segments by data source in
//! timelines. Kept fresh by polling only the rows that changed, with a full poll now and then.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ovate_base::time::{format_iso, parse_instant};
use ovate_base::{DataSegment, Interval, SegmentId, Timeline};
use ovate_store::meta::SegmentChange;

/// A used segment and when its row was made.
#[derive(Debug, Clone)]
pub struct UsedSegment {
    pub segment: Arc<DataSegment>,
    pub created: Arc<str>,
}

/// Used segments.
#[derive(Debug, Default)]
pub struct SegmentView {
    timelines: BTreeMap<Arc<str>, Timeline<UsedSegment>>,
    ids: HashMap<SegmentId, UsedSegment>,
    /// The newest change seen.
    updated: Option<String>,
    /// Grows whenever a used segment is added, removed or replaced.
    version: u64,
    /// Changed since [`SegmentView::take_touched`] was last called.
    touched: Vec<SegmentId>,
}

/// A change may become visible this long after the time in its row, because its transaction was slow.
const LATE_MS: i64 = 60_000;

impl SegmentView {
    /// Starts over from all used segments.
    pub fn replace(&mut self, changes: Vec<SegmentChange>) {
        let before = std::mem::take(self);
        self.updated = before.updated;
        self.apply(changes);
        let other = |(id, used): &(&SegmentId, &UsedSegment)| before.ids.get(*id).is_none_or(|old| !same_content(old, used));
        let touched = self.ids.iter().filter(other).map(|(id, _)| id.clone());
        let gone = before.ids.keys().filter(|id| !self.ids.contains_key(*id)).cloned();
        let touched: Vec<SegmentId> = touched.chain(gone).collect();
        self.version = before.version + u64::from(!touched.is_empty());
        self.touched = before.touched;
        self.touched.extend(touched);
    }

    /// Segments that came, went or changed since the last call.
    pub fn take_touched(&mut self) -> Vec<SegmentId> {
        std::mem::take(&mut self.touched)
    }

    /// The same number means the same used segments, within a life of this view.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Applies rows that were added or marked; gives how many made a difference.
    pub fn apply(&mut self, changes: Vec<SegmentChange>) -> usize {
        let mut differences = 0;
        for change in changes {
            if self.updated.as_ref().is_none_or(|updated| change.updated > *updated) {
                self.updated = Some(change.updated.clone());
            }
            let id = change.segment.id();
            let differs = if change.used { self.add(id.clone(), change) } else { self.remove(&id) };
            if differs {
                self.touched.push(id);
                differences += 1;
            }
        }
        self.version += u64::from(differences > 0);
        differences
    }

    /// From which time on to ask for changes; `None` before the first poll.
    pub fn poll_from(&self) -> Option<String> {
        let newest = self.updated.as_ref()?;
        parse_instant(newest).ok().map(|newest| format_iso(newest - LATE_MS))
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    pub fn get(&self, id: &SegmentId) -> Option<&UsedSegment> {
        self.ids.get(id)
    }

    pub fn contains(&self, id: &SegmentId) -> bool {
        self.ids.contains_key(id)
    }

    pub fn data_sources(&self) -> impl Iterator<Item = &Arc<str>> {
        self.timelines.keys()
    }

    pub fn timeline(&self, data_source: &str) -> Option<&Timeline<UsedSegment>> {
        self.timelines.get(data_source)
    }

    /// Used segments of a data source, hidden ones too, by time.
    pub fn of(&self, data_source: &str) -> Vec<&UsedSegment> {
        let timeline = self.timelines.get(data_source);
        timeline.into_iter().flat_map(|timeline| timeline.iter().map(|(_, _, chunk)| &chunk.object)).collect()
    }

    /// Every used segment with whether newer ones hide it.
    pub fn all(&self) -> Vec<(&UsedSegment, bool)> {
        let mut result = Vec::with_capacity(self.ids.len());
        for timeline in self.timelines.values() {
            let hidden: std::collections::HashSet<SegmentId> =
                timeline.find_fully_overshadowed().iter().map(|(_, _, chunk)| chunk.object.segment.id()).collect();
            result.extend(timeline.iter().map(|(_, _, chunk)| {
                let is_hidden = !hidden.is_empty() && hidden.contains(&chunk.object.segment.id());
                (&chunk.object, is_hidden)
            }));
        }
        result
    }

    fn add(&mut self, id: SegmentId, change: SegmentChange) -> bool {
        if self.ids.contains_key(&id) {
            return false;
        }
        let used = UsedSegment { segment: Arc::new(change.segment), created: change.created.into() };
        let segment = &used.segment;
        let timeline = self.timelines.entry(segment.data_source.clone()).or_default();
        timeline.add(segment.interval, segment.version.clone(), segment.shard_spec.clone(), used.clone());
        self.ids.insert(id, used);
        true
    }

    fn remove(&mut self, id: &SegmentId) -> bool {
        let Some(used) = self.ids.remove(id) else { return false };
        let segment = &used.segment;
        if let Some(timeline) = self.timelines.get_mut(&segment.data_source) {
            timeline.remove(segment.interval, &segment.version, segment.shard_spec.partition_num());
            if timeline.is_empty() {
                self.timelines.remove(&segment.data_source);
            }
        }
        true
    }
}

/// What may change of a segment that stays used: where it is, and what it is a part of.
fn same_content(a: &UsedSegment, b: &UsedSegment) -> bool {
    let (a, b) = (&a.segment, &b.segment);
    a.load_spec == b.load_spec && a.size == b.size && a.shard_spec == b.shard_spec
}

/// Count, sizes and time range of some segments, as the API shows them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Summary {
    pub count: usize,
    pub bytes: i64,
    pub interval: Option<Interval>,
}

impl Summary {
    pub fn of<'a>(segments: impl Iterator<Item = &'a DataSegment>) -> Summary {
        let mut summary = Summary::default();
        for segment in segments {
            summary.count += 1;
            summary.bytes += segment.size;
            summary.interval = Some(summary.interval.map_or(segment.interval, |all| all.cover(&segment.interval)));
        }
        summary
    }
}

#[cfg(test)]
mod tests {
    use ovate_base::ShardSpec;

    use super::*;

    fn change(day: i64, used: bool) -> SegmentChange {
        let interval = Interval { start: day * 86_400_000, end: (day + 1) * 86_400_000 };
        let segment =
            DataSegment::new(SegmentId::new("t", interval, "v", 0), ShardSpec::Numbered { partition_num: 0, partitions: 1 });
        SegmentChange { segment, used, updated: format_iso(day), created: format_iso(day) }
    }

    #[test]
    fn the_version_grows_with_changes_alone() {
        let mut view = SegmentView::default();
        let mut versions = vec![view.version()];
        let mut step = |view: &SegmentView| {
            let grown = view.version() > *versions.last().unwrap_or(&0);
            versions.push(view.version());
            grown
        };
        view.replace(vec![change(1, true), change(2, true)]);
        assert!(step(&view));
        view.replace(vec![change(2, true), change(1, true)]);
        assert!(!step(&view), "a full poll that finds the same");
        view.apply(vec![change(2, true)]);
        assert!(!step(&view), "known already");
        view.apply(vec![change(2, false)]);
        assert!(step(&view));
        view.replace(vec![change(2, true)]);
        assert!(step(&view), "as many, but others");
        let mut moved = change(2, true);
        moved.segment.load_spec = Some(serde_json::json!({"type": "local", "path": "/elsewhere"}));
        view.take_touched();
        view.replace(vec![moved]);
        assert!(step(&view), "the same segment elsewhere");
        assert_eq!(view.take_touched(), [change(2, true).segment.id()]);
        view.apply(vec![change(1, true), change(2, true)]);
        assert_eq!(view.take_touched(), [change(1, true).segment.id()]);
    }
}
