//! Running queries by id, so that a DELETE can stop them (NQ-13, SQW-07).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

/// Stop flags of running queries. Several may share an id (subqueries, or a client that reuses one); all are stopped.
#[derive(Default)]
pub struct RunningQueries {
    flags: Mutex<HashMap<String, Vec<Arc<AtomicBool>>>>,
}

/// Keeps a query listed while it runs.
pub struct Registration<'a> {
    running: &'a RunningQueries,
    id: String,
    pub stop: Arc<AtomicBool>,
}

impl RunningQueries {
    /// Lists a query until the registration is dropped.
    pub fn register(&self, id: &str) -> Registration<'_> {
        let stop = Arc::new(AtomicBool::new(false));
        self.flags.lock().entry(id.to_owned()).or_default().push(stop.clone());
        Registration { running: self, id: id.to_owned(), stop }
    }

    /// Stops all queries with this id; false when there are none.
    pub fn cancel(&self, id: &str) -> bool {
        let flags = self.flags.lock();
        let found = flags.get(id);
        found.into_iter().flatten().for_each(|flag| flag.store(true, Ordering::Relaxed));
        found.is_some()
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        // A client that went away drops its request: whatever still works for it stops too.
        self.stop.store(true, Ordering::Relaxed);
        let mut flags = self.running.flags.lock();
        if let Some(list) = flags.get_mut(&self.id) {
            list.retain(|flag| !Arc::ptr_eq(flag, &self.stop));
            if list.is_empty() {
                flags.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cancelling_reaches_every_query_with_the_id_and_no_other() {
        let running = RunningQueries::default();
        let (a, b, other) = (running.register("q"), running.register("q"), running.register("r"));
        assert!(running.cancel("q"));
        assert!(a.stop.load(Ordering::Relaxed) && b.stop.load(Ordering::Relaxed));
        assert!(!other.stop.load(Ordering::Relaxed));
    }

    #[test]
    fn a_finished_query_is_not_found() {
        let running = RunningQueries::default();
        drop(running.register("q"));
        assert!(!running.cancel("q"));
    }
}
