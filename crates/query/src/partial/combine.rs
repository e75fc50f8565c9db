//! How the simpler kinds of partials add up.

use std::collections::BTreeMap;
use std::sync::Arc;

use ovate_compute::Vector;

use super::{BoundaryPartial, GroupsPartial, ScanPartial, SearchPartial};
use crate::result::{RowBatch, join};

impl GroupsPartial {
    /// Only these groups. Buckets stay behind.
    pub(crate) fn pick(&self, rows: &[u32]) -> Self {
        let gather = |columns: &[Vector]| columns.iter().map(|column| column.gather(rows)).collect();
        GroupsPartial {
            keys: gather(&self.keys),
            aggregates: gather(&self.aggregates),
            rows: rows.len(),
            ..GroupsPartial::default()
        }
    }

    /// Groups of partials that have no group in common.
    pub(crate) fn concatenate(parts: Vec<GroupsPartial>) -> Self {
        let columns = |of: &dyn Fn(&GroupsPartial) -> &Vec<Vector>| {
            let count = parts.first().map_or(0, |part| of(part).len());
            // A part without rows may not know its types.
            let filled = || parts.iter().filter(|part| part.rows > 0);
            (0..count).map(|at| join(filled().map(|part| &of(part)[at]).collect())).collect()
        };
        let rows = parts.iter().map(|part| part.rows).sum();
        GroupsPartial {
            keys: columns(&|part| &part.keys),
            aggregates: columns(&|part| &part.aggregates),
            rows,
            ..GroupsPartial::default()
        }
    }

    /// About how many bytes it holds.
    pub fn memory_bytes(&self) -> usize {
        self.keys.iter().chain(&self.aggregates).map(Vector::memory_bytes).sum()
    }
}

impl ScanPartial {
    /// Puts another's batches behind. Columns that only one of them knows read as null in the other.
    pub fn append(&mut self, mut other: ScanPartial) {
        if self.batches.is_empty() && self.signature.is_empty() {
            *self = other;
            return;
        }
        if other.signature.iter().map(|c| &c.0).ne(self.signature.iter().map(|c| &c.0)) {
            let mut names: Vec<Arc<str>> = self.signature.iter().map(|c| c.0.clone()).collect();
            for (name, column_type) in &other.signature {
                if !names.contains(name) {
                    names.push(name.clone());
                    self.signature.push((name.clone(), column_type.clone()));
                }
            }
            for (_, batch) in &mut self.batches {
                let rows = batch.rows;
                batch.columns.resize_with(names.len(), || Vector::Null { len: rows });
            }
            let places: Vec<Option<usize>> = names.iter().map(|name| other.signature.iter().position(|c| c.0 == *name)).collect();
            for (_, batch) in &mut other.batches {
                let rows = batch.rows;
                let pick = |place: &Option<usize>| place.map_or(Vector::Null { len: rows }, |at| batch.columns[at].clone());
                *batch = RowBatch { columns: places.iter().map(pick).collect(), rows };
            }
        }
        for (own, theirs) in self.signature.iter_mut().zip(&other.signature) {
            if own.1.is_none() && own.0 == theirs.0 {
                own.1 = theirs.1.clone();
            }
        }
        self.batches.append(&mut other.batches);
    }

    /// Number of rows.
    pub fn row_count(&self) -> usize {
        self.batches.iter().map(|(_, batch)| batch.rows).sum()
    }
}

impl SearchPartial {
    /// Puts another's hits behind.
    pub fn append(&mut self, other: SearchPartial) {
        self.hits.extend(other.hits);
        self.buckets.extend(other.buckets);
    }

    /// Each hit once, with its counts added up.
    pub fn compacted(mut self) -> Self {
        let mut counts = BTreeMap::new();
        for hit in self.hits.drain(..) {
            let total = counts.entry((hit.bucket, hit.dimension, hit.value)).or_insert(0u64);
            *total = total.saturating_add(hit.count);
        }
        let hit = |((bucket, dimension, value), count)| super::SearchHit { bucket, dimension, value, count };
        self.hits = counts.into_iter().map(hit).collect();
        self.buckets.sort_unstable();
        self.buckets.dedup();
        self
    }
}

impl BoundaryPartial {
    /// Widens to the other's bounds.
    pub fn add(&mut self, other: BoundaryPartial) {
        self.min = [self.min, other.min].into_iter().flatten().min();
        self.max = [self.max, other.max].into_iter().flatten().max();
    }
}
