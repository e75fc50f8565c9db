//! Which location a segment goes to (`StorageLocationSelectorStrategy`): every strategy gives all locations in an order,
//! and the first that has room takes it.

use std::sync::atomic::{AtomicUsize, Ordering};

use ovate_base::{DruidError, Result};

/// `druid.segmentCache.locationSelector.strategy`.
#[derive(Debug)]
pub enum LocationSelector {
    /// The one with the fewest bytes of segments first.
    LeastBytesUsed,
    /// The next one each time.
    RoundRobin(AtomicUsize),
    Random,
    /// The one with the most room left first.
    MostAvailableSize,
}

/// A location's numbers at this moment.
#[derive(Debug, Clone, Copy)]
pub struct Filling {
    pub used_bytes: u64,
    pub max_bytes: u64,
}

impl LocationSelector {
    /// By Druid's name.
    pub fn from_name(name: &str) -> Result<LocationSelector> {
        Ok(match name {
            "leastBytesUsed" => LocationSelector::LeastBytesUsed,
            "roundRobin" => LocationSelector::RoundRobin(AtomicUsize::new(0)),
            "random" => LocationSelector::Random,
            "mostAvailableSize" => LocationSelector::MostAvailableSize,
            other => {
                let known = "leastBytesUsed, roundRobin, random, mostAvailableSize";
                return Err(DruidError::invalid_input(format!(
                    "druid.segmentCache.locationSelector.strategy must be one of {known}, not [{other}]"
                )));
            }
        })
    }

    /// All locations, best first.
    pub fn order(&self, fillings: &[Filling]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..fillings.len()).collect();
        match self {
            LocationSelector::LeastBytesUsed => order.sort_by_key(|index| fillings[*index].used_bytes),
            LocationSelector::MostAvailableSize => order.sort_by_key(|index| {
                let filling = fillings[*index];
                std::cmp::Reverse(filling.max_bytes.saturating_sub(filling.used_bytes))
            }),
            LocationSelector::RoundRobin(next) if !order.is_empty() => {
                let count = order.len();
                order.rotate_left(next.fetch_add(1, Ordering::Relaxed) % count);
            }
            // Chance need not be good here; a fresh id has enough of it.
            LocationSelector::Random => order.sort_by_key(|_| uuid::Uuid::new_v4()),
            LocationSelector::RoundRobin(_) => {}
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_strategy_gives_every_location() {
        let fillings = [(50, 100), (60, 1000), (10, 20)].map(|(used_bytes, max_bytes)| Filling { used_bytes, max_bytes });
        let order = |name: &str| LocationSelector::from_name(name).unwrap().order(&fillings);
        assert_eq!(order("leastBytesUsed"), [2, 0, 1]);
        assert_eq!(order("mostAvailableSize"), [1, 0, 2]);
        let round = LocationSelector::from_name("roundRobin").unwrap();
        assert_eq!([round.order(&fillings), round.order(&fillings)], [vec![0, 1, 2], vec![1, 2, 0]]);
        let mut random = order("random");
        random.sort();
        assert_eq!(random, [0, 1, 2]);
        assert!(LocationSelector::from_name("best").is_err());
    }
}
