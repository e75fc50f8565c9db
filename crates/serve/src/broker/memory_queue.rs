//! Queries that found no room in the memory that queries share, because of others, wait until those are done and are run again, one
//! at a time: as Druid's wait for merge buffers. While they wait they hold nothing.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ovate_base::{Budget, DruidError, Result};
use ovate_query::{NativeQuery, QueryContext, QueryRows};
use tokio::sync::Semaphore;

use super::Broker;

/// Queries that may wait; more are refused as they always were.
const WAITING_MAX: usize = 100;
/// How often a query is run again.
const TRIES_MAX: usize = 3;
/// Longest wait for memory to become free before a try, and between two looks at it.
const MEMORY_WAIT: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Longest wait for one's turn of a query without a timeout.
const TURN_WAIT: Duration = Duration::from_secs(300);

/// Who runs and who waits.
pub(super) struct MemoryQueue {
    turn: Semaphore,
    waiting: AtomicUsize,
    active: AtomicUsize,
    started: AtomicU64,
}

impl Default for MemoryQueue {
    fn default() -> Self {
        MemoryQueue {
            turn: Semaphore::new(1),
            waiting: AtomicUsize::new(0),
            active: AtomicUsize::new(0),
            started: AtomicU64::new(0),
        }
    }
}

/// Counts one up, and down again when it goes.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    /// With how many there were before.
    fn new(counter: &'a AtomicUsize) -> (Self, usize) {
        let before = counter.fetch_add(1, Ordering::Relaxed);
        (Counted(counter), before)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// True where the memory that queries share was too small for all of them.
fn is_short_of_shared_memory(error: &DruidError) -> bool {
    error.is_resource_limit() && error.message.contains("Not enough memory") && error.message.contains("druid.ovate.memory")
}

/// Until most of the memory is free, or the wait is over.
async fn memory_is_free(budget: &Budget, context: &QueryContext) -> Result<()> {
    let until = Instant::now() + MEMORY_WAIT;
    while budget.used_bytes() > budget.limit_bytes() / 8 && Instant::now() < until {
        context.check()?;
        tokio::time::sleep(LOOK_EVERY).await;
    }
    context.check()
}

impl Broker {
    /// Runs a query; again in its turn where there was no memory because of others.
    pub(super) async fn execute_in_turn(&self, query: NativeQuery, context: QueryContext) -> Result<QueryRows> {
        let queue = &self.memory_queue;
        let (_active, others) = Counted::new(&queue.active);
        let number = queue.started.fetch_add(1, Ordering::Relaxed);
        let first = self.execute(query.clone(), context.clone()).await;
        let Err(mut error) = first else { return first };
        let alone = others == 0 && queue.started.load(Ordering::Relaxed) == number + 1;
        // One that does not fit alone will not fit later.
        if !is_short_of_shared_memory(&error) || alone {
            return Err(error);
        }
        let (_waiting, before) = Counted::new(&queue.waiting);
        if before >= WAITING_MAX {
            return Err(error);
        }
        let wait = if context.deadline.is_some() { context.time_left().unwrap_or_default() } else { TURN_WAIT };
        let Ok(Ok(_turn)) = tokio::time::timeout(wait, queue.turn.acquire()).await else { return Err(error) };
        for _ in 0..TRIES_MAX {
            memory_is_free(&self.settings.budget, &context).await?;
            match self.execute(query.clone(), context.clone()).await {
                Err(short) if is_short_of_shared_memory(&short) => error = short,
                other => return other,
            }
        }
        Err(error)
    }
}
