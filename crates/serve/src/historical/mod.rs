//! The Historical (SVC-03): loads segments from deep storage into its cache, maps them, announces them, and answers
//! queries over them. What is in the cache at start is served again without asking anybody.

mod changes;
mod http;
mod load;
mod served;

use std::sync::Arc;

use async_trait::async_trait;
use ovate_base::{DruidError, Result};
use ovate_query::{NativeQuery, QueryContext, SegmentDescriptor, SharedDictionaries};

pub use http::{HistoricalState, routes};
pub use load::{LoadSettings, SegmentLoader};
pub use served::{ServedSegment, ServedSegments};

use crate::data_server::{Answer, DataServer, SegmentSchema};

/// One Historical: its segments and how many threads a query may use.
pub struct Historical {
    name: String,
    pub segments: Arc<ServedSegments>,
    threads: usize,
    /// What the segments' string columns have in common; kept between queries.
    dictionaries: Arc<SharedDictionaries>,
}

impl Historical {
    /// `name` is its `host:port`; `threads` is `druid.processing.numThreads`.
    pub fn new(name: String, segments: Arc<ServedSegments>, threads: usize) -> Self {
        Historical { name, segments, threads: threads.max(1), dictionaries: Arc::default() }
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
        let (found, missing) = self.segments.resolve(table, &segments);
        if found.is_empty() {
            return Ok(Answer { partial: None, missing });
        }
        let context = context.clone().with_dictionaries(self.dictionaries.clone());
        let threads = self.threads;
        let work = tokio::task::spawn_blocking(move || ovate_query::run_segments(&query, &found, &context, threads));
        let partial = work.await.map_err(|e| DruidError::runtime(format!("the query's thread failed: {e}")))??;
        Ok(Answer { partial: Some(partial), missing })
    }

    async fn schemas(&self, table: &str, segments: &[SegmentDescriptor]) -> Result<Vec<Option<SegmentSchema>>> {
        Ok(self.segments.schemas(table, segments))
    }
}
