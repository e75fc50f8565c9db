//! Memory that is counted for as long as what takes it is alive.

use std::sync::Arc;

use ovate_base::{Budget, Reservation, Result};

/// Reserved bytes that go with a result; clones share them.
#[derive(Clone, Default, Debug)]
pub struct Held(Option<Arc<Reservation>>);

impl Held {
    /// Takes bytes out of a budget.
    pub fn reserve(budget: &Budget, bytes: u64) -> Result<Held> {
        Ok(Held(Some(Arc::new(budget.reserve(bytes)?))))
    }

    /// Bytes that are counted already.
    pub fn of(reservation: Reservation) -> Held {
        Held(Some(Arc::new(reservation)))
    }

    /// True when something is counted.
    pub fn is_counted(&self) -> bool {
        self.0.is_some()
    }
}
