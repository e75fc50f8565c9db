//! Where computing happens: never on the threads that serve sockets. A statement gets one thread for all of its way; what it
//! computes on the way it computes right there, since handing work to another thread and waiting for it costs more than many
//! a query does, and a statement that holds a thread while it waits for a second one could wait for ever.

use std::cell::Cell;
use std::future::Future;

use ovate_base::{DruidError, Result};

thread_local! {
    /// This thread belongs to one statement and may compute for long.
    static MAY_COMPUTE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` to its end on a thread of its own.
pub(crate) async fn apart<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T> {
    let runtime = tokio::runtime::Handle::current();
    let handle = tokio::task::spawn_blocking(move || {
        MAY_COMPUTE.set(true);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(work)));
        MAY_COMPUTE.set(false);
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    handle.await.map_err(|e| DruidError::runtime(format!("the query's thread failed: {e}")))
}

/// Computes something: here, where this thread may, else on another one. `alone` says that nothing else of the same query waits
/// to be polled by this thread meanwhile.
pub(crate) async fn compute<T: Send + 'static>(alone: bool, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    if alone && MAY_COMPUTE.get() {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(|e| DruidError::runtime(format!("the query's thread failed: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn work_is_done_where_it_may_be_done() {
        let id = || std::thread::current().id();
        let socket = id();
        assert_ne!(compute(true, id).await.expect("runs"), socket);
        let (statement, alone, beside) =
            apart(async move { (id(), compute(true, id).await.expect("runs"), compute(false, id).await.expect("runs")) })
                .await
                .expect("runs");
        assert!(statement != socket && alone == statement && beside != statement);
        assert!(apart(async { panic!("a bug") }).await.is_err());
        assert_ne!(compute(true, id).await.expect("the mark is gone"), socket);
    }
}
