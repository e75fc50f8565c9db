//! The overshadowing timeline (`VersionedIntervalTimeline`): which segments of one data source are visible. A time
//! chunk is an interval and a version; it counts once its core partitions are complete; the highest version wins at
//! every instant. Lookups are range scans over the visible slices; adding and removing touch only slices they overlap.

mod holder;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use holder::Chunk;
use holder::PartitionHolder;

use crate::Interval;
use crate::segment::ShardSpec;

/// Start, end and version of a time chunk; ordered so that chunks that start together lie together.
type ChunkKey = (i64, i64, Arc<str>);

/// Visible and hidden segments of a data source.
#[derive(Debug, Clone)]
pub struct Timeline<T> {
    chunks: BTreeMap<ChunkKey, PartitionHolder<T>>,
    /// Start of a visible slice to its end and the chunk that owns it. Slices never overlap.
    slices: BTreeMap<i64, (i64, ChunkKey)>,
    /// The longest chunk ever added, which bounds how far before an instant an overlapping chunk can start.
    longest_ms: i64,
    len: usize,
}

/// The visible segments of a slice of time.
#[derive(Debug)]
pub struct TimelineHolder<'a, T> {
    /// The visible part of the chunk, clipped to what was asked for.
    pub interval: Interval,
    /// The chunk's own interval.
    pub true_interval: Interval,
    pub version: &'a Arc<str>,
    /// The visible partitions in order of their numbers.
    pub chunks: Vec<&'a Chunk<T>>,
}

impl<T> Default for Timeline<T> {
    fn default() -> Self {
        Timeline { chunks: BTreeMap::new(), slices: BTreeMap::new(), longest_ms: 0, len: 0 }
    }
}

impl<T> Timeline<T> {
    pub fn new() -> Self {
        Self::default()
    }

    /// How many segments it holds, visible or not.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a segment, or replaces the object of one that is there; gives the replaced object.
    pub fn add(&mut self, interval: Interval, version: impl Into<Arc<str>>, shard: ShardSpec, object: T) -> Option<T> {
        if interval.is_empty() {
            return None;
        }
        let key: ChunkKey = (interval.start, interval.end, version.into());
        let holder = self.chunks.entry(key.clone()).or_default();
        let was_complete = holder.is_complete();
        let old = holder.add(shard, object);
        let is_complete = holder.is_complete();
        self.len += usize::from(old.is_none());
        self.longest_ms = self.longest_ms.max(interval.millis());
        match (was_complete, is_complete) {
            (false, true) => self.show(&key),
            (true, false) => self.hide(&key),
            _ => {}
        }
        old
    }

    /// Removes a segment; gives its object.
    pub fn remove(&mut self, interval: Interval, version: &str, partition: i32) -> Option<T> {
        let key: ChunkKey = (interval.start, interval.end, version.into());
        let holder = self.chunks.get_mut(&key)?;
        let was_complete = holder.is_complete();
        let removed = holder.remove(partition)?;
        self.len -= 1;
        let (is_complete, is_empty) = (holder.is_complete(), holder.is_empty());
        if is_empty {
            self.chunks.remove(&key);
        }
        match (was_complete, is_complete && !is_empty) {
            (true, false) => self.hide(&key),
            (false, true) => self.show(&key),
            _ => {}
        }
        Some(removed)
    }

    /// The object of a segment, visible or not (`findChunk`).
    pub fn find(&self, interval: Interval, version: &str, partition: i32) -> Option<&Chunk<T>> {
        self.chunks.get(&(interval.start, interval.end, version.into()))?.get(partition)
    }

    /// As `find`, to change the object in place; the shard spec stays.
    pub fn find_mut(&mut self, interval: Interval, version: &str, partition: i32) -> Option<&mut T> {
        self.chunks.get_mut(&(interval.start, interval.end, version.into()))?.get_mut(partition)
    }

    /// The visible segments that overlap `interval`, in order of time.
    pub fn lookup(&self, interval: Interval) -> Vec<TimelineHolder<'_, T>> {
        let mut result = Vec::new();
        for (start, (end, key)) in self.slices_over(interval) {
            let Some(clipped) = (Interval { start: *start, end: *end }).intersect(&interval) else { continue };
            let Some(holder) = self.chunks.get(key) else { continue };
            let true_interval = Interval { start: key.0, end: key.1 };
            result.push(TimelineHolder { interval: clipped, true_interval, version: &key.2, chunks: holder.visible() });
        }
        result
    }

    /// All visible segments.
    pub fn visible(&self) -> Vec<TimelineHolder<'_, T>> {
        self.lookup(Interval { start: i64::MIN, end: i64::MAX })
    }

    /// Every segment, visible or not.
    pub fn iter(&self) -> impl Iterator<Item = (Interval, &Arc<str>, &Chunk<T>)> {
        self.chunks.iter().flat_map(|((start, end, version), holder)| {
            let interval = Interval { start: *start, end: *end };
            holder.iter().map(move |chunk| (interval, version, chunk))
        })
    }

    /// Every segment, visible or not, whose chunk overlaps `interval`.
    pub fn overlapping(&self, interval: Interval) -> impl Iterator<Item = (Interval, &Arc<str>, &Chunk<T>)> {
        self.chunks_over(interval).flat_map(|((start, end, version), holder)| {
            let interval = Interval { start: *start, end: *end };
            holder.iter().map(move |chunk| (interval, version, chunk))
        })
    }

    /// True when a segment of this chunk and shard would be wholly hidden by what is visible (`isOvershadowed`).
    pub fn is_overshadowed(&self, interval: Interval, version: &str, shard: &ShardSpec) -> bool {
        if self.is_covered_by_newer(interval, version) {
            return true;
        }
        let holder = self.chunks.get(&(interval.start, interval.end, version.into()));
        holder.is_some_and(|holder| holder.hides(shard))
    }

    /// Segments that no lookup can ever give while the others stay (`findFullyOvershadowed`).
    pub fn find_fully_overshadowed(&self) -> Vec<(Interval, &Arc<str>, &Chunk<T>)> {
        let mut result = Vec::new();
        for ((start, end, version), holder) in &self.chunks {
            let interval = Interval { start: *start, end: *end };
            let covered = self.is_covered_by_newer(interval, version);
            let hidden = holder.iter().filter(|chunk| covered || holder.hides(&chunk.shard));
            result.extend(hidden.map(|chunk| (interval, version, chunk)));
        }
        result
    }

    /// True when every instant of `interval` shows a version greater than `version`.
    fn is_covered_by_newer(&self, interval: Interval, version: &str) -> bool {
        let mut reached = interval.start;
        for (start, (end, key)) in self.slices_over(interval) {
            if *start > reached || *key.2 <= *version {
                return false;
            }
            reached = *end;
        }
        reached >= interval.end
    }

    fn slices_over(&self, interval: Interval) -> impl Iterator<Item = (&i64, &(i64, ChunkKey))> {
        // The slice before the start may reach into the interval; slices do not overlap, so one is enough.
        let before = self.slices.range(..interval.start).next_back().filter(|(_, (end, _))| *end > interval.start);
        let inside = if interval.is_empty() { None } else { Some(self.slices.range(interval.start..interval.end)) };
        before.into_iter().chain(inside.into_iter().flatten())
    }

    fn chunks_over(&self, interval: Interval) -> impl Iterator<Item = (&ChunkKey, &PartitionHolder<T>)> {
        let first = interval.start.saturating_sub(self.longest_ms);
        let range = (first, i64::MIN, Arc::from(""))..(interval.end.max(first), i64::MIN, Arc::from(""));
        self.chunks.range(range).filter(move |((start, end, _), _)| *start < interval.end && *end > interval.start)
    }

    /// Lets a chunk that has become complete take the slices where it is the newest.
    fn show(&mut self, key: &ChunkKey) {
        let interval = Interval { start: key.0, end: key.1 };
        let over: Vec<(i64, i64, ChunkKey)> =
            self.slices_over(interval).map(|(start, (end, owner))| (*start, *end, owner.clone())).collect();
        let mut lost_to = Vec::new();
        for (start, end, owner) in over {
            if is_newer(&owner, key) {
                lost_to.push(Interval { start, end });
                continue;
            }
            self.slices.remove(&start);
            if start < interval.start {
                self.slices.insert(start, (interval.start, owner.clone()));
            }
            if end > interval.end {
                self.slices.insert(interval.end, (end, owner));
            }
        }
        for free in interval.minus(&lost_to) {
            self.slices.insert(free.start, (free.end, key.clone()));
        }
    }

    /// Gives the slices of a chunk that is gone or incomplete to the next versions below.
    fn hide(&mut self, key: &ChunkKey) {
        let interval = Interval { start: key.0, end: key.1 };
        let owned: Vec<Interval> = self
            .slices_over(interval)
            .filter(|(_, (_, owner))| owner == key)
            .map(|(start, (end, _))| Interval { start: *start, end: *end })
            .collect();
        for hole in owned {
            self.slices.remove(&hole.start);
            let mut below: Vec<ChunkKey> = self
                .chunks_over(hole)
                .filter(|(other, holder)| *other != key && holder.is_complete())
                .map(|(other, _)| other.clone())
                .collect();
            below.sort_by(|a, b| if is_newer(a, b) { std::cmp::Ordering::Less } else { std::cmp::Ordering::Greater });
            let mut taken: Vec<Interval> = Vec::new();
            for other in below {
                let Some(part) = (Interval { start: other.0, end: other.1 }).intersect(&hole) else { continue };
                for free in part.minus(&taken) {
                    self.slices.insert(free.start, (free.end, other.clone()));
                }
                taken.push(part);
            }
        }
        self.join_slices(interval);
    }

    /// Joins neighbouring slices of one chunk around an interval, which `hide` may have left apart.
    fn join_slices(&mut self, interval: Interval) {
        let wide = Interval { start: interval.start.saturating_sub(1), end: interval.end.saturating_add(1) };
        let starts: Vec<i64> = self.slices_over(wide).map(|(start, _)| *start).collect();
        for pair in starts.windows(2).rev() {
            let (Some((left_end, left)), Some((right_end, right))) = (self.slices.get(&pair[0]), self.slices.get(&pair[1]))
            else {
                continue;
            };
            if *left_end == pair[1] && left == right {
                let joined = (*right_end, left.clone());
                self.slices.remove(&pair[1]);
                self.slices.insert(pair[0], joined);
            }
        }
    }
}

/// True when chunk `a` hides chunk `b`: greater version, then (which Druid refuses) the one that starts earlier or is longer.
fn is_newer(a: &ChunkKey, b: &ChunkKey) -> bool {
    (&a.2, b.0, a.1) > (&b.2, a.0, b.1)
}
