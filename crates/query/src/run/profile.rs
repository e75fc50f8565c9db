//! What a query did: counted by all its threads where its context asks for it (`profile: true`), told in a header.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};

/// Counters of one query.
#[derive(Debug, Default)]
pub struct Profile {
    segments: AtomicU64,
    rows_in_segments: AtomicU64,
    rows_selected: AtomicU64,
    filters_by_index: AtomicU64,
    filters_by_row: AtomicU64,
    groups: AtomicU64,
    /// Segments over which threads took their groups along instead of merging results.
    segments_carried: AtomicU64,
    spilled_bytes: AtomicU64,
    /// Segments in whose place a projection was read, by its name.
    projections: Mutex<BTreeMap<String, u64>>,
    select_us: AtomicU64,
    run_us: AtomicU64,
    merge_us: AtomicU64,
    finalize_us: AtomicU64,
}

/// A part of a query's time.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stage {
    /// Opening segments and binding filters, all threads together.
    Select,
    Run,
    Merge,
    Finalize,
}

fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

impl Profile {
    /// A segment was opened; whether its filter used indexes, and whether it has to look at rows.
    pub(crate) fn opened(&self, rows: u64, by_index: bool, by_row: bool) {
        add(&self.segments, 1);
        add(&self.rows_in_segments, rows);
        add(&self.filters_by_index, u64::from(by_index));
        add(&self.filters_by_row, u64::from(by_row));
    }

    /// Rows came to an operator.
    pub(crate) fn selected(&self, rows: u64) {
        add(&self.rows_selected, rows);
    }

    pub(crate) fn carried(&self, segments: u64) {
        add(&self.segments_carried, segments);
    }

    /// A projection was read in a segment's place.
    pub(crate) fn projected(&self, name: &str) {
        *self.projections.lock().entry(name.to_owned()).or_default() += 1;
    }

    /// Bytes of groups that waited on disk.
    pub(crate) fn spilled(&self, bytes: u64) {
        add(&self.spilled_bytes, bytes);
    }

    pub(crate) fn grouped(&self, groups: u64) {
        add(&self.groups, groups);
    }

    pub(crate) fn took(&self, stage: Stage, time: Duration) {
        let counter = match stage {
            Stage::Select => &self.select_us,
            Stage::Run => &self.run_us,
            Stage::Merge => &self.merge_us,
            Stage::Finalize => &self.finalize_us,
        };
        add(counter, time.as_micros() as u64);
    }

    /// The counters by name.
    pub fn to_json(&self) -> Value {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        json!({
            "segments": get(&self.segments),
            "segmentsCarried": get(&self.segments_carried),
            "rowsInSegments": get(&self.rows_in_segments),
            "rowsSelected": get(&self.rows_selected),
            "filtersByIndex": get(&self.filters_by_index),
            "filtersByRow": get(&self.filters_by_row),
            "segmentsByProjection": *self.projections.lock(),
            "groups": get(&self.groups),
            "spilledBytes": get(&self.spilled_bytes),
            "microseconds": {
                "select": get(&self.select_us),
                "run": get(&self.run_us),
                "merge": get(&self.merge_us),
                "finalize": get(&self.finalize_us),
            },
        })
    }
}

/// Adds the time since it was made to a stage when it goes.
pub(crate) struct Timer<'a> {
    profile: Option<&'a Profile>,
    stage: Stage,
    start: Option<Instant>,
}

impl<'a> Timer<'a> {
    pub(crate) fn new(profile: Option<&'a Profile>, stage: Stage) -> Self {
        Timer { profile, stage, start: profile.map(|_| Instant::now()) }
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        if let (Some(profile), Some(start)) = (self.profile, self.start) {
            profile.took(self.stage, start.elapsed());
        }
    }
}
