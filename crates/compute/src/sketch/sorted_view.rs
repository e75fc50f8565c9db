//! Retained items of a quantiles sketch in order, each with the weight up to it (`DoublesSketchSortedView`): quantiles,
//! ranks and distributions, all with Java's default of inclusive search.

/// Items ascending with cumulative weights.
pub struct SortedView {
    items: Vec<f64>,
    weights: Vec<u64>,
    total: u64,
}

impl SortedView {
    /// From items and their own weights, in any order.
    pub fn new(mut weighted: Vec<(f64, u64)>) -> Self {
        weighted.sort_by(|left, right| left.0.total_cmp(&right.0));
        let mut total = 0u64;
        let mut weights = Vec::with_capacity(weighted.len());
        for (_, weight) in &weighted {
            total = total.saturating_add(*weight);
            weights.push(total);
        }
        SortedView { items: weighted.into_iter().map(|(item, _)| item).collect(), weights, total }
    }

    /// Sum of all weights.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The item at a rank of 0 to 1; `None` without items.
    pub fn quantile(&self, rank: f64) -> Option<f64> {
        let mut natural = rank * self.total as f64;
        if self.total <= 10_000_000 {
            natural = (natural * 1e7).round() / 1e7;
        }
        let natural = natural.ceil() as u64;
        let index = self.weights.partition_point(|weight| *weight < natural);
        self.items.get(index.min(self.items.len().saturating_sub(1))).copied()
    }

    /// Share of values that are not greater than `value`.
    pub fn rank(&self, value: f64) -> f64 {
        let below = self.items.partition_point(|item| *item <= value);
        if below == 0 { 0.0 } else { self.weights[below - 1] as f64 / self.total as f64 }
    }

    /// Ranks at the split points, and 1 at the end.
    pub fn cdf(&self, splits: &[f64]) -> Vec<f64> {
        splits.iter().map(|split| self.rank(*split)).chain([1.0]).collect()
    }

    /// Shares between the split points.
    pub fn pmf(&self, splits: &[f64]) -> Vec<f64> {
        let cdf = self.cdf(splits);
        let shares = cdf.iter().enumerate().map(|(index, rank)| if index == 0 { *rank } else { rank - cdf[index - 1] });
        shares.collect()
    }
}
