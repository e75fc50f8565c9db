//! The Broker (SVC-07): turns a query over a table into queries over the segments that servers hold, merges what they
//! work out, and finalises. Inner queries run first and become tables in memory.

mod cancel;
mod follow;
mod gate;
mod http;
mod inline;
mod scatter;
mod schema;
mod system;
mod view;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ovate_base::{DataSegment, DruidError, Interval, Result, SegmentDescriptor};
use ovate_compute::EvalContext;
use ovate_engine::NativeRunner;
use ovate_query::{NativeQuery, QueryContext, QueryRows};

pub use cancel::RunningQueries;
pub use follow::Follower;
pub use http::{BrokerState, routes};
pub use system::BrokerSystemTables;
pub use view::ServerView;

use crate::clock::now_ms;
use crate::lookup::LookupStore;

/// Limits of a broker.
#[derive(Debug, Clone)]
pub struct BrokerSettings {
    /// `druid.server.http.defaultQueryTimeout`.
    pub timeout_ms: u64,
    /// Bytes that one query may hold here.
    pub query_memory_bytes: u64,
    /// `druid.server.http.maxSubqueryRows`.
    pub subquery_rows_max: usize,
    /// Threads for work on tables in memory.
    pub threads: usize,
}

/// One broker.
pub struct Broker {
    pub view: Arc<ServerView>,
    pub running: Arc<RunningQueries>,
    lookups: Arc<LookupStore>,
    settings: BrokerSettings,
}

impl Broker {
    pub fn new(view: Arc<ServerView>, lookups: Arc<LookupStore>, settings: BrokerSettings) -> Self {
        Broker { view, running: Arc::default(), lookups, settings }
    }

    /// Milliseconds that a query without a timeout of its own may take; 0 for ever.
    pub fn timeout_ms(&self) -> u64 {
        self.settings.timeout_ms
    }

    /// Runs a query of a client, or one that SQL was planned into: registered under its id, within its timeout.
    pub async fn run_native(&self, query: NativeQuery) -> Result<QueryRows> {
        // The id that a client may cancel: its SQL statement's, else the query's own.
        let id = query.context().str("sqlQueryId").or(query.context().query_id()).unwrap_or_default().to_owned();
        let registration = self.running.register(&id);
        let timeout_ms = query.context().timeout_ms()?.unwrap_or(self.settings.timeout_ms);
        let deadline = (timeout_ms > 0).then(|| Instant::now() + Duration::from_millis(timeout_ms));
        let eval = EvalContext { lookups: self.lookups.snapshot(), now_ms: now_ms() };
        let mut context = QueryContext::new(eval).with_deadline(deadline).with_memory(self.settings.query_memory_bytes);
        context.stop = registration.stop.clone();
        let work = self.execute(query, context);
        match deadline {
            None => work.await,
            Some(deadline) => match tokio::time::timeout_at(deadline.into(), work).await {
                Ok(result) => result,
                Err(_) => {
                    Err(DruidError::timeout(format!("Query timed out after {timeout_ms} ms; raise [timeout] in its context")))
                }
            },
        }
    }
}

#[async_trait]
impl NativeRunner for Broker {
    async fn run(&self, query: NativeQuery) -> Result<QueryRows> {
        self.run_native(query).await
    }
}

/// Names a part of a segment for its server.
pub(crate) fn descriptor(segment: &DataSegment, interval: Interval) -> SegmentDescriptor {
    SegmentDescriptor { interval, version: segment.version.clone(), partition: segment.shard_spec.partition_num() }
}
