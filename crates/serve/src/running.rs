//! Running queries by id, so that a DELETE can stop them (NQ-13, SQW-07), and what is to be said of them beside their rows.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ovate_base::SegmentDescriptor;
use ovate_query::Profile;
use parking_lot::Mutex;

/// Running queries. Several may share an id (subqueries, or a client that reuses one); all are stopped.
#[derive(Default)]
pub struct RunningQueries {
    queries: Mutex<HashMap<String, Vec<Running>>>,
}

/// One of them.
#[derive(Clone)]
struct Running {
    stop: Arc<AtomicBool>,
    missing: Arc<Mutex<Vec<SegmentDescriptor>>>,
    profile: Arc<Profile>,
}

/// Keeps a query listed while it runs.
pub struct Registration<'a> {
    running: &'a RunningQueries,
    id: String,
    pub stop: Arc<AtomicBool>,
    missing: Arc<Mutex<Vec<SegmentDescriptor>>>,
    /// What the queries with this id did; counted where they ask for it.
    pub profile: Arc<Profile>,
}

impl Registration<'_> {
    /// Segments that the answer lacks, where the query allowed that.
    pub fn missing(&self) -> Vec<SegmentDescriptor> {
        self.missing.lock().clone()
    }
}

/// The same for a query that goes on while its answer is on the way.
pub struct OwnedRegistration {
    running: Arc<RunningQueries>,
    id: String,
    listed: Running,
}

impl OwnedRegistration {
    /// Turns true when the query is cancelled.
    pub fn stop(&self) -> Arc<AtomicBool> {
        self.listed.stop.clone()
    }

    /// Segments that the answer lacks so far.
    pub fn missing(&self) -> Vec<SegmentDescriptor> {
        self.listed.missing.lock().clone()
    }

    /// What the queries with this id did.
    pub fn profile(&self) -> &Profile {
        &self.listed.profile
    }
}

impl Drop for OwnedRegistration {
    fn drop(&mut self) {
        self.running.unlist(&self.id, &self.listed.stop);
    }
}

impl RunningQueries {
    /// What the queries with this id did so far; counted where they ask for it.
    pub fn profile(&self, id: &str) -> Option<Arc<Profile>> {
        self.queries.lock().get(id).and_then(|list| list.first()).map(|running| running.profile.clone())
    }

    /// Lists a query until the registration is dropped.
    pub fn register(&self, id: &str) -> Registration<'_> {
        let Running { stop, missing, profile } = self.list(id);
        Registration { running: self, id: id.to_owned(), stop, missing, profile }
    }

    /// The same, not bound to a place.
    pub fn register_owned(self: &Arc<Self>, id: &str) -> OwnedRegistration {
        OwnedRegistration { running: self.clone(), id: id.to_owned(), listed: self.list(id) }
    }

    fn list(&self, id: &str) -> Running {
        let mut queries = self.queries.lock();
        let list = queries.entry(id.to_owned()).or_default();
        // A statement and the native queries it is planned into share one.
        let profile = list.first().map_or_else(Arc::default, |first| first.profile.clone());
        let running = Running { stop: Arc::default(), missing: Arc::default(), profile };
        list.push(running.clone());
        running
    }

    fn unlist(&self, id: &str, stop: &Arc<AtomicBool>) {
        // A client that went away drops its request: whatever still works for it stops too.
        stop.store(true, Ordering::Relaxed);
        let mut queries = self.queries.lock();
        if let Some(list) = queries.get_mut(id) {
            list.retain(|query| !Arc::ptr_eq(&query.stop, stop));
            if list.is_empty() {
                queries.remove(id);
            }
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.queries.lock().values().map(Vec::len).sum()
    }

    /// Stops all queries with this id; false when there are none.
    pub fn cancel(&self, id: &str) -> bool {
        let queries = self.queries.lock();
        let found = queries.get(id);
        found.into_iter().flatten().for_each(|query| query.stop.store(true, Ordering::Relaxed));
        found.is_some()
    }

    /// The answer of this query will lack these segments.
    pub fn note_missing(&self, id: &str, segments: Vec<SegmentDescriptor>) {
        for query in self.queries.lock().get(id).into_iter().flatten() {
            let mut missing = query.missing.lock();
            let new: Vec<_> = segments.iter().filter(|segment| !missing.contains(segment)).cloned().collect();
            missing.extend(new);
        }
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        self.running.unlist(&self.id, &self.stop);
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
