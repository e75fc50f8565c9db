//! Whose turn it is: queries run a bounded number at a time; of those that wait, the one of the highest priority goes first
//! (`PrioritizedExecutorService`), and among equals the one that came first.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ovate_base::{DruidError, Result};
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Longest wait of a query without a deadline.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// Places and those who wait for one.
pub struct PriorityGate {
    places: usize,
    state: Mutex<State>,
}

struct State {
    free: usize,
    arrivals: u64,
    waiting: BTreeMap<(Reverse<i64>, u64), oneshot::Sender<Turn>>,
}

/// A place, passed on when dropped.
pub struct Turn {
    gate: Arc<PriorityGate>,
}

impl PriorityGate {
    /// With so many places.
    pub fn new(places: usize) -> Arc<Self> {
        let state = State { free: places.max(1), arrivals: 0, waiting: BTreeMap::new() };
        Arc::new(PriorityGate { places: places.max(1), state: Mutex::new(state) })
    }

    /// How many places are taken.
    pub fn busy(&self) -> usize {
        self.places - self.state.lock().free
    }

    /// Waits for a place, until the deadline at most.
    pub async fn enter(self: &Arc<Self>, priority: i64, deadline: Option<Instant>) -> Result<Turn> {
        let turn = {
            let mut state = self.state.lock();
            if state.free > 0 {
                state.free -= 1;
                return Ok(Turn { gate: self.clone() });
            }
            let (sender, turn) = oneshot::channel();
            state.arrivals += 1;
            let place = (Reverse(priority), state.arrivals);
            state.waiting.insert(place, sender);
            turn
        };
        let deadline = deadline.unwrap_or_else(|| Instant::now() + WAIT_MAX);
        match tokio::time::timeout_at(deadline.into(), turn).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(DruidError::timeout("query ran past its timeout while it waited for its turn")),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.gate.state.lock();
        // One who no longer waits hands the place back to us, to be offered again.
        while let Some((_, sender)) = state.waiting.pop_first() {
            if sender.is_closed() {
                continue;
            }
            drop(state);
            if let Err(turn) = sender.send(Turn { gate: self.gate.clone() }) {
                // Gone at this very moment: its own drop passes the place on.
                drop(turn);
            }
            return;
        }
        state.free += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_highest_priority_goes_first_and_equals_in_order() {
        let gate = PriorityGate::new(1);
        let held = gate.enter(0, None).await.expect("a place");
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for (name, priority) in [("low", -5), ("first", 0), ("second", 0), ("high", 7)] {
            let (gate, order) = (gate.clone(), order.clone());
            tasks.push(tokio::spawn(async move {
                let _turn = gate.enter(priority, None).await.expect("a place");
                order.lock().push(name);
            }));
            tokio::task::yield_now().await;
        }
        drop(held);
        for task in tasks {
            task.await.expect("it ends");
        }
        assert_eq!(*order.lock(), ["high", "first", "second", "low"]);
    }

    #[tokio::test]
    async fn a_wait_ends_with_the_deadline_and_the_place_is_not_lost() {
        let gate = PriorityGate::new(1);
        let held = gate.enter(0, None).await.expect("a place");
        let late = gate.enter(0, Some(Instant::now() + Duration::from_millis(5))).await;
        assert_eq!(late.err().map(|e| e.http_status()), Some(504));
        drop(held);
        assert!(gate.enter(0, None).await.is_ok());
        assert!(gate.enter(0, Some(Instant::now() + Duration::from_millis(50))).await.is_ok());
    }
}
