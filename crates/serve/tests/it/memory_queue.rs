//! Queries that are short of shared memory because of others wait and are run again; those that are alone are refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use ovate_base::{DruidError, Result, SegmentDescriptor};
use ovate_query::{NativeQuery, QueryContext};
use ovate_serve::broker::Broker;
use ovate_serve::data_server::{Answer, DataServer, SegmentSchema};
use ovate_serve::historical::Historical;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::broker_cache::{broker, view_of};
use crate::support::{served, takeover};

/// A server where queries named `slow` wait to be let go on, and those named `short` find no memory for a while.
struct Full {
    inner: Historical,
    slow: Semaphore,
    slow_started: Semaphore,
    shortages: AtomicUsize,
    refused: Semaphore,
}

#[async_trait]
impl DataServer for Full {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn run(
        &self,
        query: Arc<NativeQuery>,
        table: &str,
        segments: Vec<SegmentDescriptor>,
        context: &QueryContext,
    ) -> Result<Answer> {
        match query.context().str("queryId") {
            Some("slow") => {
                self.slow_started.add_permits(1);
                self.slow.acquire().await.expect("it is open").forget();
            }
            Some("short") if self.shortages.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() => {
                self.refused.add_permits(1);
                return Err(DruidError::resource_limit(
                    "Not enough memory for grouping: 5 bytes wanted, 9 of 10 in use. Raise druid.ovate.memory",
                ));
            }
            _ => {}
        }
        self.inner.run(query, table, segments, context).await
    }

    async fn schemas(&self, table: &str, segments: &[SegmentDescriptor]) -> Result<Vec<Option<SegmentSchema>>> {
        self.inner.schemas(table, segments).await
    }
}

async fn run(broker: &Broker, table: &str, id: &str) -> Result<usize> {
    let query = json!({"queryType": "timeseries", "dataSource": table, "granularity": "day", "intervals": "1900/2100",
        "aggregations": [{"type": "count", "name": "n"}], "context": {"queryId": id}});
    Ok(broker.run_native(NativeQuery::from_json(&query)?).await?.row_count())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_without_memory_waits_for_others_but_not_for_itself() {
    let Some(takeover) = takeover("a_query_without_memory_waits_for_others_but_not_for_itself") else { return };
    let (segments, _dir) = served(&takeover);
    let server = Arc::new(Full {
        inner: Historical::new("h:1".to_owned(), segments.clone(), 2),
        slow: Semaphore::new(0),
        slow_started: Semaphore::new(0),
        shortages: AtomicUsize::new(usize::MAX),
        refused: Semaphore::new(0),
    });
    let (view, table, _) = view_of(&segments, server.clone(), "historical").await;
    let broker = Arc::new(broker(&view, &[]));
    let refused = run(&broker, &table, "short").await.expect_err("it is alone");
    assert!(refused.message.contains("druid.ovate.memory"), "{}", refused.message);

    server.shortages.store(1, Ordering::SeqCst);
    let spawn = |id: &'static str| {
        let (broker, table) = (broker.clone(), table.clone());
        tokio::spawn(async move { run(&broker, &table, id).await })
    };
    let slow = spawn("slow");
    server.slow_started.acquire().await.expect("it is open").forget();
    let short = spawn("short");
    // Forget the refusal of the first one.
    server.refused.acquire_many(2).await.expect("it is open").forget();
    server.slow.add_permits(1000);
    let rows = slow.await.expect("it ran").expect("rows");
    assert_eq!(short.await.expect("it ran").expect("rows"), rows);
    // More often than it is run again, it is refused even beside others.
    server.shortages.store(usize::MAX, Ordering::SeqCst);
    let slow = (0..3).map(|_| spawn("slow"));
    let slow: Vec<_> = slow.collect();
    let refused = spawn("short").await.expect("it ran").expect_err("there is never memory");
    assert!(refused.message.contains("Not enough memory"), "{}", refused.message);
    for slow in slow {
        slow.await.expect("it ran").expect("rows");
    }
}
