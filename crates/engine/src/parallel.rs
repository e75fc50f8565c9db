//! Work over rows in memory on several threads: pieces are taken one after the other by whoever is free, results come in
//! the order of the pieces.

use std::sync::atomic::{AtomicUsize, Ordering};

use ovate_base::{DruidError, Result};
use parking_lot::Mutex;

/// Below this many values, threads cost more than they bring.
const WORTH_THREADS: usize = 200_000;

/// How many threads a piece of work over so many values gets.
pub fn threads_for(values: usize) -> usize {
    if values < WORTH_THREADS { 1 } else { std::thread::available_parallelism().map_or(1, |n| n.get()).min(16) }
}

/// Does `count` pieces of work; the first error ends it.
pub fn on_threads<T: Send>(count: usize, threads: usize, work: &(dyn Fn(usize) -> Result<T> + Sync)) -> Result<Vec<T>> {
    if threads <= 1 || count <= 1 {
        return (0..count).map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<T>>> = (0..count).map(|_| Mutex::new(None)).collect();
    let worker = || -> Result<()> {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(slot) = results.get(at) else { return Ok(()) };
            match work(at) {
                Ok(result) => *slot.lock() = Some(result),
                Err(error) => {
                    next.store(count, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(count)).map(|_| scope.spawn(worker)).collect();
        let mut outcome = worker();
        for handle in others {
            let joined = handle.join().unwrap_or_else(|_| Err(DruidError::runtime("a query thread panicked")));
            outcome = outcome.and(joined);
        }
        outcome
    })?;
    Ok(results.into_iter().filter_map(Mutex::into_inner).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_pieces() {
        let squares = on_threads(100, 4, &|at| Ok(at * at)).expect("no piece fails");
        assert_eq!(squares, (0..100).map(|at| at * at).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_error_ends_the_work() {
        let failed = on_threads(50, 4, &|at| if at == 7 { Err(DruidError::runtime("seven")) } else { Ok(at) });
        assert!(failed.is_err_and(|e| e.to_string().contains("seven")));
    }
}
