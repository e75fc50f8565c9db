//! The Broker (SVC-07): turns a query over a table into queries over the segments that servers hold, merges what they
//! work out, and finalises. Inner queries run first and become tables in memory.

pub mod avatica;
mod cached;
mod candidates;
mod follow;
mod gate;
mod http;
mod inline;
mod memory_queue;
mod results;
mod scatter;
mod scheduler;
mod schema;
mod segments;
mod select;
mod server;
mod sql_http;
mod statement;
mod statements;
mod stream;
mod system;
mod used;
mod view;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ovate_base::{Budget, DataSegment, DruidError, Interval, Result, SegmentDescriptor};
use ovate_compute::EvalContext;
use ovate_engine::NativeRunner;
use ovate_query::document::Context;
use ovate_query::{DataSource, NativeQuery, QueryContext, QueryRows, QuerySegments, SegmentRows};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

pub use follow::{Follower, Watched};
pub use http::{BrokerState, SqlServices, routes};
pub use scheduler::{Laning, QueryScheduler, Thresholds};
pub use select::{Balancer, Selection, TierStrategy};
pub use server::{KnownServer, Placement};
pub use statement::{RunningStatement, SqlStatements};
pub use system::BrokerSystemTables;
pub use used::UsedSegments;
use view::ServedAt;
pub use view::ServerView;

use crate::cache::QueryCache;
use crate::clock::now_ms;
use crate::lookup::LookupStore;
use crate::running::RunningQueries;
use crate::spill::SpillSettings;

/// Limits of a broker.
#[derive(Debug, Clone)]
pub struct BrokerSettings {
    /// `druid.server.http.defaultQueryTimeout`.
    pub timeout_ms: u64,
    /// What all queries of this process may hold together.
    pub budget: Budget,
    /// `druid.server.http.maxSubqueryRows`.
    pub subquery_rows_max: usize,
    /// `druid.server.http.maxScatterGatherBytes`.
    pub gathered_bytes_max: u64,
    /// `druid.server.http.maxQueryTimeout`: longest timeout that a query may ask for.
    pub timeout_max_ms: u64,
    /// Which servers are asked.
    pub selection: Selection,
    /// `druid.server.http.numThreads`.
    pub requests_max: usize,
    /// `druid.server.http.maxSubqueryBytes`: what the rows of an inner query may take; `None` where only rows are counted.
    pub subquery_bytes_max: Option<u64>,
    /// What queries may put on disk.
    pub spill: SpillSettings,
    /// Threads for work on tables in memory.
    pub threads: usize,
}

/// One broker.
pub struct Broker {
    pub view: Arc<ServerView>,
    pub running: Arc<RunningQueries>,
    lookups: Arc<LookupStore>,
    settings: BrokerSettings,
    scheduler: QueryScheduler,
    cache: Option<QueryCache>,
    /// `druid.server.http.numThreads`: queries of clients that are worked on at a time; others wait.
    requests: Arc<Semaphore>,
    memory_queue: memory_queue::MemoryQueue,
}

impl Broker {
    /// `cache`: when any of `druid.broker.cache.*` is on.
    pub fn new(
        view: Arc<ServerView>,
        lookups: Arc<LookupStore>,
        settings: BrokerSettings,
        scheduler: QueryScheduler,
        cache: Option<QueryCache>,
    ) -> Self {
        let requests = Arc::new(Semaphore::new(settings.requests_max.clamp(1, Semaphore::MAX_PERMITS)));
        Broker { view, running: Arc::default(), lookups, settings, scheduler, cache, requests, memory_queue: Default::default() }
    }

    /// Waits for its turn among the requests of clients, at most as long as a query may take.
    pub(crate) async fn turn(&self) -> Result<OwnedSemaphorePermit> {
        let wait = Duration::from_millis(if self.settings.timeout_ms == 0 { 300_000 } else { self.settings.timeout_ms });
        let turn = tokio::time::timeout(wait, self.requests.clone().acquire_owned()).await;
        turn.ok().and_then(std::result::Result::ok).ok_or_else(|| {
            DruidError::capacity("Too many requests at a time; raise druid.server.http.numThreads or come again later")
        })
    }

    /// Milliseconds that a query without a timeout of its own may take; 0 for ever.
    pub fn timeout_ms(&self) -> u64 {
        self.settings.timeout_ms
    }

    /// The query's timeout, which must not be longer than the server allows.
    fn checked_timeout(&self, query: &NativeQuery) -> Result<u64> {
        let timeout_ms = query.context().timeout_ms()?.unwrap_or(self.settings.timeout_ms);
        if timeout_ms > self.settings.timeout_max_ms {
            let (asked, most) = (timeout_ms, self.settings.timeout_max_ms);
            return Err(DruidError::invalid_input(format!(
                "Configured timeout[{asked}] is more than enforced limit of maxQueryTimeout[{most}]."
            )));
        }
        Ok(timeout_ms)
    }

    /// Runs a query of a client, or one that SQL was planned into: registered under its id, within its timeout.
    pub async fn run_native(&self, query: NativeQuery) -> Result<QueryRows> {
        if query.context().by_segment()? {
            return Err(DruidError::unsupported("query context parameter [bySegment] at a Broker; a Historical answers it"));
        }
        let id = registered_id(&query);
        let registration = self.running.register(&id);
        let timeout_ms = self.checked_timeout(&query)?;
        let deadline = (timeout_ms > 0).then(|| Instant::now() + Duration::from_millis(timeout_ms));
        let eval = EvalContext { lookups: self.lookups.snapshot(), now_ms: now_ms() };
        let mut context = QueryContext::new(eval).with_deadline(deadline).with_budget(self.settings.budget.clone());
        context = context.with_spill(self.settings.spill.of_query(query.context())?);
        context.stop = registration.stop.clone();
        context.profile = query.context().profile()?.then(|| registration.profile.clone());
        let work = self.execute_in_turn(query, context);
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

impl Broker {
    /// Runs a query over each segment apart, in the order of time (`bySegment`); for looking into segments, so one by one.
    pub async fn run_by_segment(&self, query: &NativeQuery) -> Result<Vec<SegmentRows>> {
        let DataSource::Table(table) = query.data_source() else {
            return Err(DruidError::unsupported("bySegment over anything but one table"));
        };
        let mut whole = query.clone();
        whole.context_mut().set("bySegment", false);
        let mut parts = Vec::new();
        for located in self.locate(std::slice::from_ref(table), query.intervals()).await {
            for piece in located.pieces {
                let only = QuerySegments::specific(vec![descriptor(&piece.served.segment, piece.interval)]);
                let rows = self.run_native(whole.clone().with_segments(only)).await?;
                parts.push(SegmentRows { segment: piece.served.segment.id().to_string(), interval: piece.interval, rows });
            }
        }
        parts.sort_by_key(|part| part.interval.start);
        Ok(parts)
    }
}

#[async_trait]
impl NativeRunner for Broker {
    async fn run(&self, query: NativeQuery) -> Result<QueryRows> {
        self.run_native(query).await
    }

    fn context(&self, eval: EvalContext) -> QueryContext {
        let spill = self.settings.spill.of_query(&Context::default()).ok().flatten();
        QueryContext::new(eval).with_budget(self.settings.budget.clone()).with_spill(spill)
    }

    async fn stream(&self, query: NativeQuery, parts: mpsc::Sender<QueryRows>) -> Result<()> {
        self.stream_rows(query, parts).await
    }
}

/// The id that a client may cancel: its SQL statement's, else the query's own.
pub(crate) fn registered_id(query: &NativeQuery) -> String {
    query.context().str("sqlQueryId").or(query.context().query_id()).unwrap_or_default().to_owned()
}

/// Names a part of a segment for its server.
pub(crate) fn descriptor(segment: &DataSegment, interval: Interval) -> SegmentDescriptor {
    SegmentDescriptor { interval, version: segment.version.clone(), partition: segment.shard_spec.partition_num() }
}
