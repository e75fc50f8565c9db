//! The Historical (SVC-03): loads segments from deep storage into its cache, maps them, announces them, and answers
//! queries over them. What is in the cache at start is served again without asking anybody.

mod accelerate;
mod cached;
mod changes;
mod gate;
mod http;
mod load;
mod served;

use std::sync::{Arc, OnceLock, Weak};

use async_trait::async_trait;
use ovate_base::{DruidError, Result};
use ovate_query::{NativeQuery, QueryContext, SegmentDescriptor, SegmentRef, SegmentRows, SharedDictionaries};

use tracing::warn;

pub use http::{HistoricalState, routes};
pub use load::{LoadSettings, SegmentLoader};
pub use served::{OpenRows, ServedSegment, ServedSegments};

use gate::PriorityGate;
use served::Resolved;

use crate::cache::QueryCache;
use crate::data_server::{Answer, DataServer, SegmentSchema};
use crate::lookup::LookupStore;
use crate::work::compute;

/// One Historical: its segments and how many threads a query may use.
pub struct Historical {
    name: String,
    pub segments: Arc<ServedSegments>,
    threads: usize,
    /// What the segments' string columns have in common; kept between queries.
    dictionaries: Arc<SharedDictionaries>,
    loader: OnceLock<Weak<SegmentLoader>>,
    gate: Arc<PriorityGate>,
    cache: Option<(QueryCache, Arc<LookupStore>)>,
}

/// Queries at a time for every processing thread; others wait by priority.
const QUERIES_PER_THREAD: usize = 4;

impl Historical {
    /// `name` is its `host:port`; `threads` is `druid.processing.numThreads`.
    pub fn new(name: String, segments: Arc<ServedSegments>, threads: usize) -> Self {
        let threads = threads.max(1);
        let gate = PriorityGate::new(threads * QUERIES_PER_THREAD);
        Historical { name, segments, threads, dictionaries: Arc::default(), loader: OnceLock::new(), gate, cache: None }
    }

    /// With a cache of partial results; `lookups`: those that its queries use.
    pub fn with_cache(mut self, cache: QueryCache, lookups: Arc<LookupStore>) -> Self {
        self.cache = Some((cache, lookups));
        self
    }
}

impl Historical {
    /// Threads for one query: where many run, each keeps to its own.
    fn threads_now(&self) -> usize {
        self.threads.div_ceil(self.gate.busy().max(1))
    }

    async fn run_once(
        &self,
        query: Arc<NativeQuery>,
        table: &str,
        segments: &[SegmentDescriptor],
        context: &QueryContext,
    ) -> Result<Answer> {
        let (found, missing) = self.resolve(table, segments, context).await?;
        if found.is_empty() {
            return Ok(Answer { partial: None, missing, bytes: 0 });
        }
        let _turn = self.gate.enter(query.context().priority()?, context.deadline).await?;
        let context = context.clone().with_dictionaries(self.dictionaries.clone());
        if let Some(plan) = self.cache_plan(&query, &found, &context)? {
            let partial = self.run_cached(plan, query, found, context).await?;
            return Ok(Answer { partial: Some(partial), missing, bytes: 0 });
        }
        let threads = self.threads_now();
        let alone = context.alone;
        let partial = compute(alone, move || ovate_query::run_segments(&query, &found, &context, threads)).await??;
        Ok(Answer { partial: Some(partial), missing, bytes: 0 })
    }

    /// The segments to query, opened where nobody has yet, and those that are not here. One that does not open is not here.
    async fn resolve(
        &self,
        table: &str,
        segments: &[SegmentDescriptor],
        context: &QueryContext,
    ) -> Result<(Vec<SegmentRef>, Vec<SegmentDescriptor>)> {
        let first = self.segments.resolve(table, segments);
        if first.unopened.is_empty() {
            return Ok((first.found, first.missing));
        }
        let opening = self.open_now(first.unopened);
        match context.time_left() {
            // Who comes next finds open what was opened so far.
            Some(left) => tokio::time::timeout(left, opening)
                .await
                .unwrap_or_else(|_| Err(DruidError::timeout("opening the query's segments took longer than its timeout")))?,
            None => opening.await?,
        }
        let Resolved { found, mut missing, unopened } = self.segments.resolve(table, segments);
        // Announced anew in this very moment.
        let newer = |descriptor: &&SegmentDescriptor| {
            let found = self.segments.find(table, descriptor);
            found.is_some_and(|found| unopened.iter().any(|segment| segment.id == found.id))
        };
        missing.extend(segments.iter().filter(newer).cloned());
        Ok((found, missing))
    }

    async fn open_now(&self, segments: Vec<Arc<ServedSegment>>) -> Result<()> {
        match self.loader.get().and_then(Weak::upgrade) {
            Some(loader) => loader.open_now(segments).await,
            None => Err(DruidError::service_unavailable("this server is stopping and opens no segments")),
        }
    }

    /// Verifies the files of these segments and discards those that are not what was loaded. True when some are gone,
    /// by this query or by another that met them at the same time.
    async fn discard_damaged(&self, table: &str, descriptors: &[SegmentDescriptor]) -> bool {
        let Some(loader) = self.loader.get().and_then(Weak::upgrade) else { return false };
        let held: Vec<_> = descriptors.iter().filter_map(|descriptor| self.segments.find(table, descriptor)).collect();
        let gone = held.len() < descriptors.len();
        let verify = move || held.into_iter().filter(|s| s.source().is_some_and(|source| source.verify().is_err())).collect();
        let damaged: Vec<Arc<ServedSegment>> = tokio::task::spawn_blocking(verify).await.unwrap_or_default();
        for segment in &damaged {
            loader.discard(&segment.data_segment).await;
        }
        gone || !damaged.is_empty()
    }

    /// Who removes damaged segments.
    pub fn set_loader(&self, loader: &Arc<SegmentLoader>) {
        let _ = self.loader.set(Arc::downgrade(loader));
    }

    /// Runs over each segment apart (`BySegmentQueryRunner`); beside it those that are not here.
    pub async fn run_by_segment(
        &self,
        query: Arc<NativeQuery>,
        table: &str,
        segments: Vec<SegmentDescriptor>,
        context: &QueryContext,
    ) -> Result<(Vec<SegmentRows>, Vec<SegmentDescriptor>)> {
        let (found, missing) = self.resolve(table, &segments, context).await?;
        let context = context.clone().with_dictionaries(self.dictionaries.clone());
        let work = tokio::task::spawn_blocking(move || {
            let one = |reference: &ovate_query::SegmentRef| {
                let partial = ovate_query::run_segments(&query, std::slice::from_ref(reference), &context, 1)?;
                let rows = ovate_query::finalize(&query, partial, &context)?;
                let interval = reference.intervals.first().copied().unwrap_or(ovate_base::Interval::ETERNITY);
                Ok(SegmentRows { segment: reference.id.to_string(), interval, rows })
            };
            found.iter().map(one).collect::<Result<Vec<_>>>()
        });
        let parts = work.await.map_err(|e| DruidError::runtime(format!("the query's thread failed: {e}")))??;
        Ok((parts, missing))
    }
}

#[async_trait]
impl DataServer for Historical {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(
        &self,
        query: Arc<NativeQuery>,
        table: &str,
        segments: Vec<SegmentDescriptor>,
        context: &QueryContext,
    ) -> Result<Answer> {
        let answer = self.run_once(query.clone(), table, &segments, context).await;
        match answer {
            // What is damaged goes, and is missing from the answer: the Broker asks another replica for it.
            Err(error) if error.code == ovate_segment::read::DAMAGED && self.discard_damaged(table, &segments).await => {
                warn!("a query met a damaged segment. error={error}");
                self.run_once(query, table, &segments, context).await
            }
            answer => answer,
        }
    }

    async fn schemas(&self, table: &str, segments: &[SegmentDescriptor]) -> Result<Vec<Option<SegmentSchema>>> {
        let unopened = self.segments.resolve(table, segments).unopened;
        if !unopened.is_empty() {
            self.open_now(unopened).await?;
        }
        Ok(self.segments.schemas(table, segments))
    }
}
