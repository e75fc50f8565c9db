//! The segments of one time chunk (`PartitionHolder` with `OvershadowableManager`): when its core partitions are
//! complete, and which minor versions of segment locking hide which.

use std::collections::BTreeMap;

use crate::segment::ShardSpec;

/// A segment of a chunk.
#[derive(Debug, Clone)]
pub struct Chunk<T> {
    pub shard: ShardSpec,
    pub object: T,
}

#[derive(Debug, Clone)]
pub(super) struct PartitionHolder<T> {
    chunks: BTreeMap<i32, Chunk<T>>,
    complete: bool,
    /// True when any chunk has a minor version, so that some may hide others.
    has_minor_versions: bool,
}

impl<T> Default for PartitionHolder<T> {
    fn default() -> Self {
        PartitionHolder { chunks: BTreeMap::new(), complete: false, has_minor_versions: false }
    }
}

impl<T> PartitionHolder<T> {
    pub fn add(&mut self, shard: ShardSpec, object: T) -> Option<T> {
        let old = self.chunks.insert(shard.partition_num(), Chunk { shard, object });
        self.update();
        old.map(|chunk| chunk.object)
    }

    pub fn remove(&mut self, partition: i32) -> Option<T> {
        let removed = self.chunks.remove(&partition)?;
        self.update();
        Some(removed.object)
    }

    pub fn get(&self, partition: i32) -> Option<&Chunk<T>> {
        self.chunks.get(&partition)
    }

    pub fn get_mut(&mut self, partition: i32) -> Option<&mut T> {
        self.chunks.get_mut(&partition).map(|chunk| &mut chunk.object)
    }

    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub fn is_complete(&self) -> bool {
        self.complete
    }

    pub fn iter(&self) -> impl Iterator<Item = &Chunk<T>> {
        self.chunks.values()
    }

    /// The chunks that are not hidden by newer minor versions.
    pub fn visible(&self) -> Vec<&Chunk<T>> {
        if !self.has_minor_versions {
            return self.chunks.values().collect();
        }
        let groups = self.full_groups();
        self.chunks
            .values()
            .filter(|chunk| {
                let group = group_of(&chunk.shard);
                groups.contains_key(&group) && !groups.keys().any(|other| overshadows(*other, group))
            })
            .collect()
    }

    /// True when a shard of this chunk is hidden by a newer minor version.
    pub fn hides(&self, shard: &ShardSpec) -> bool {
        self.has_minor_versions && self.full_groups().keys().any(|group| overshadows(*group, group_of(shard)))
    }

    /// Atomic update groups that have all their segments.
    fn full_groups(&self) -> BTreeMap<Group, usize> {
        let mut counts: BTreeMap<Group, usize> = BTreeMap::new();
        let mut sizes: BTreeMap<Group, usize> = BTreeMap::new();
        for chunk in self.chunks.values() {
            let group = group_of(&chunk.shard);
            *counts.entry(group).or_default() += 1;
            sizes.insert(group, chunk.shard.atomic_update_group_size().max(1) as usize);
        }
        counts.retain(|group, count| sizes.get(group).is_some_and(|size| *count >= *size));
        counts
    }

    fn update(&mut self) {
        self.has_minor_versions = self.chunks.values().any(|chunk| matches!(chunk.shard, ShardSpec::NumberedOverwrite(_)));
        self.complete = self.compute_complete();
    }

    fn compute_complete(&self) -> bool {
        if self.has_minor_versions {
            return self.minor_versions_complete();
        }
        // Appended segments repeat the core set's size, so the largest one is the chunk's.
        let mut core = 0;
        for chunk in self.chunks.values() {
            match chunk.shard.core_partitions() {
                Some(count) => core = core.max(count),
                None => return self.ranges_complete(),
            }
        }
        !self.chunks.is_empty() && self.chunks.keys().take_while(|number| **number < core).count() as i64 >= core as i64
    }

    /// Some full groups must together cover the root partitions from the first to the last without a gap.
    fn minor_versions_complete(&self) -> bool {
        let groups = self.full_groups();
        let core = self.chunks.values().filter_map(|chunk| chunk.shard.core_partitions()).max().unwrap_or(0);
        let mut reached = 0;
        for (start, end, _) in groups.keys() {
            if *start > reached {
                break;
            }
            reached = reached.max(*end);
        }
        !groups.is_empty() && reached >= core
    }

    /// Old range specs do not know their core set: the ranges must abut from null to null.
    fn ranges_complete(&self) -> bool {
        let mut ends: Option<End> = None;
        for chunk in self.chunks.values() {
            let (start, end) = ends_of(&chunk.shard);
            let abuts = match &ends {
                None => start.is_none(),
                Some(previous) => *previous == start,
            };
            if !abuts {
                return false;
            }
            if end.is_none() {
                return true;
            }
            ends = Some(end);
        }
        false
    }
}

/// An end of a range: `None` is open.
type End = Option<Vec<Option<String>>>;

fn ends_of(shard: &ShardSpec) -> (End, End) {
    match shard {
        ShardSpec::Single(spec) => {
            (spec.start.clone().map(|start| vec![Some(start)]), spec.end.clone().map(|end| vec![Some(end)]))
        }
        ShardSpec::Range(spec) => (spec.start.clone(), spec.end.clone()),
        _ => (None, None),
    }
}

/// Root partition range and minor version: an atomic update group.
type Group = (i32, i32, i16);

fn group_of(shard: &ShardSpec) -> Group {
    let (start, end) = shard.root_partition_range();
    (start, end, shard.minor_version())
}

fn overshadows(newer: Group, older: Group) -> bool {
    newer.0 <= older.0 && older.1 <= newer.1 && newer.2 > older.2
}
