//! What a segment costs on a server (`CostBalancerStrategy`): segments of close intervals are queried together, so each pays
//! for its neighbours, exponentially less the further they are, twice for those of its own data source. Computed on a grid
//! of time: one recursive filter a server gives the sum over all its segments, whatever their number.

use std::collections::HashMap;
use std::sync::Arc;

use ovate_base::{DataSegment, Interval, SegmentId};

use super::super::dynamic::Strategy;
use super::{Move, ServerSnapshot};

/// Half of the influence is gone at this distance, as in Druid.
const HALF_LIFE_MS: f64 = 86_400_000.0;
/// The grid: cells of six hours, longer ones where that would be too many.
const CELL_MS: i64 = 6 * 3_600_000;
const CELLS_MAX: i64 = 4096;

/// Costs of all servers of a round.
pub struct Costs {
    start: i64,
    cell_ms: i64,
    cells: usize,
    /// Influence left after one cell.
    decay: f64,
    servers: Vec<Load>,
    fullness: Vec<(i64, i64)>,
}

/// One server's segments on the grid.
#[derive(Default)]
struct Load {
    all: Field,
    by_source: HashMap<Arc<str>, Field>,
}

#[derive(Default)]
struct Field {
    weights: Vec<f64>,
    /// The filtered weights; empty when they are out of date.
    sums: Vec<f64>,
}

impl Costs {
    /// Copies that are about to leave, by a drop or at the end of a move (`moving`),
    /// cost nothing any more: counted, they would drive others away, which would come back in the next round.
    pub fn new(servers: &[ServerSnapshot], moving: &HashMap<SegmentId, Move>) -> Costs {
        let segments = || servers.iter().flat_map(|server| server.served.values().chain(server.loading.values()));
        // Intervals without a beginning or an end say nothing about time.
        const FAR: i64 = 200 * 366 * 86_400_000;
        let bounded = || segments().map(|segment| segment.interval).filter(|i| i.start > -FAR && i.end < FAR);
        let start = bounded().map(|interval| interval.start).min().unwrap_or(0);
        let end = bounded().map(|interval| interval.end).max().unwrap_or(start + 1);
        let span = end.saturating_sub(start).max(1);
        let cell_ms = CELL_MS.max(span / CELLS_MAX + 1);
        let cells = (span / cell_ms + 1) as usize;
        let mut costs = Costs {
            start,
            cell_ms,
            cells,
            decay: (-std::f64::consts::LN_2 * cell_ms as f64 / HALF_LIFE_MS).exp(),
            servers: Vec::with_capacity(servers.len()),
            fullness: Vec::with_capacity(servers.len()),
        };
        for (at, server) in servers.iter().enumerate() {
            costs.servers.push(Load::default());
            costs.fullness.push((0, server.max_bytes));
            let elsewhere = |id: &SegmentId| {
                servers
                    .iter()
                    .any(|other| other.name != server.name && (other.served.contains_key(id) || other.loading.contains_key(id)))
            };
            let leaves = |id: &SegmentId| {
                server.dropping.contains(id) || moving.get(id).is_some_and(|way| way.from == server.name && elsewhere(id))
            };
            for (id, segment) in server.served.iter() {
                if !leaves(id) {
                    costs.add(at, segment);
                }
            }
            for segment in server.loading.values() {
                costs.add(at, segment);
            }
        }
        costs
    }

    /// A segment comes to a server.
    pub fn add(&mut self, at: usize, segment: &DataSegment) {
        self.change(at, segment, 1.0);
    }

    /// A segment leaves a server.
    pub fn remove(&mut self, at: usize, segment: &DataSegment) {
        self.change(at, segment, -1.0);
    }

    fn change(&mut self, at: usize, segment: &DataSegment, sign: f64) {
        let covered = self.covered(segment.interval);
        let cells = self.cells;
        let load = &mut self.servers[at];
        let own = load.by_source.entry(segment.data_source.clone()).or_default();
        for field in [&mut load.all, own] {
            field.weights.resize(cells, 0.0);
            field.sums.clear();
            for (cell, weight) in &covered {
                field.weights[*cell] += sign * weight;
            }
        }
        let size = if sign > 0.0 { segment.size } else { -segment.size };
        self.fullness[at].0 = self.fullness[at].0.saturating_add(size);
    }

    /// The cells that an interval covers, and how much of each.
    fn covered(&self, interval: Interval) -> Vec<(usize, f64)> {
        let end = self.start + self.cell_ms * self.cells as i64;
        let (from, to) = (interval.start.clamp(self.start, end), interval.end.clamp(self.start, end));
        if to <= from {
            // Outside of what was there when the round began: at the nearest edge.
            let cell = if interval.start < self.start { 0 } else { self.cells - 1 };
            return vec![(cell, (interval.end.saturating_sub(interval.start) as f64 / self.cell_ms as f64).clamp(0.0, 1.0))];
        }
        let (first, last) = ((from - self.start) / self.cell_ms, (to - 1 - self.start) / self.cell_ms);
        let part = |cell: i64| {
            let begin = self.start + cell * self.cell_ms;
            (to.min(begin + self.cell_ms) - from.max(begin)) as f64 / self.cell_ms as f64
        };
        (first..=last).map(|cell| (cell as usize, part(cell))).collect()
    }

    /// What a segment would cost on a server that does not have it, by a strategy.
    pub fn price(&mut self, strategy: Strategy, at: usize, segment: &DataSegment) -> f64 {
        let cost = self.cost(at, segment);
        match strategy {
            Strategy::Cost => cost,
            Strategy::DiskNormalized => cost * self.fullness_of(at),
            Strategy::Random => self.servers[at].all.weights.iter().sum(),
        }
    }

    /// What it costs on the server that has it.
    pub fn price_there(&mut self, strategy: Strategy, at: usize, segment: &DataSegment) -> f64 {
        let itself = self.itself(segment);
        let cost = (self.cost(at, segment) - itself).max(0.0);
        match strategy {
            Strategy::Cost => cost,
            Strategy::DiskNormalized => cost * self.fullness_of(at),
            Strategy::Random => {
                self.servers[at].all.weights.iter().sum::<f64>()
                    - self.covered(segment.interval).iter().map(|(_, w)| w).sum::<f64>()
            }
        }
    }

    fn fullness_of(&self, at: usize) -> f64 {
        let (used, max) = self.fullness[at];
        if max > 0 { used as f64 / max as f64 } else { 1.0 }
    }

    fn cost(&mut self, at: usize, segment: &DataSegment) -> f64 {
        let covered = self.covered(segment.interval);
        let decay = self.decay;
        let load = &mut self.servers[at];
        let mut sum = load.all.over(&covered, decay);
        if let Some(own) = load.by_source.get_mut(&segment.data_source) {
            sum += own.over(&covered, decay);
        }
        sum
    }

    /// What a segment adds to its own cost.
    fn itself(&self, segment: &DataSegment) -> f64 {
        let covered = self.covered(segment.interval);
        // The same filter over the few cells it covers.
        let (mut sum, mut before) = (0.0, 0.0);
        for (_, weight) in &covered {
            before *= self.decay;
            sum += weight * (weight + 2.0 * before);
            before += weight;
        }
        2.0 * sum
    }
}

impl Field {
    /// The filtered weights, weighed by what a segment covers.
    fn over(&mut self, covered: &[(usize, f64)], decay: f64) -> f64 {
        if self.sums.is_empty() {
            self.filter(decay);
        }
        covered.iter().map(|(cell, weight)| weight * self.sums.get(*cell).copied().unwrap_or(0.0)).sum()
    }

    /// `sums[i]` is the sum over all `j` of `weights[j] * decay^|i-j|`.
    fn filter(&mut self, decay: f64) {
        self.sums = vec![0.0; self.weights.len()];
        let mut before = 0.0;
        for (sum, weight) in self.sums.iter_mut().zip(&self.weights) {
            before = before * decay + weight;
            *sum = before;
        }
        let mut after = 0.0;
        for (sum, weight) in self.sums.iter_mut().zip(&self.weights).rev() {
            *sum += after * decay;
            after = after * decay + weight;
        }
    }
}
