//! The Broker's segment-level cache: answers are the same with it, and what it has is not asked for again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ovate_base::{Budget, DataSegment, Properties, Result, SegmentDescriptor};
use ovate_query::{NativeQuery, QueryContext};
use ovate_serve::broker::{Broker, BrokerSettings, KnownServer, Placement, QueryScheduler, Selection, ServerView};
use ovate_serve::cache::{CacheSettings, QueryCache, from_properties};
use ovate_serve::data_server::{Answer, DataServer, SegmentSchema};
use ovate_serve::historical::{Historical, ServedSegments};
use serde_json::{Value, json};

use crate::support::{served, takeover};

/// A server that counts the segments it is asked for.
struct Counting {
    inner: Historical,
    asked: AtomicUsize,
}

#[async_trait]
impl DataServer for Counting {
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
        self.asked.fetch_add(segments.len(), Ordering::SeqCst);
        self.inner.run(query, table, segments, context).await
    }

    async fn schemas(&self, table: &str, segments: &[SegmentDescriptor]) -> Result<Vec<Option<SegmentSchema>>> {
        self.inner.schemas(table, segments).await
    }
}

pub fn broker(view: &Arc<ServerView>, properties: &[(&str, &str)]) -> Broker {
    let properties: Properties = properties.iter().copied().collect();
    let budget = Budget::new("druid.ovate.memory", 1 << 30);
    let settings = CacheSettings::from_properties(&properties, "druid.broker.cache").expect("settings");
    let cache = settings.is_on().then(|| QueryCache::new(from_properties(&properties, &budget).expect("a cache"), settings));
    let limits = BrokerSettings {
        timeout_ms: 60_000,
        budget,
        subquery_rows_max: 1000,
        gathered_bytes_max: u64::MAX,
        timeout_max_ms: u64::MAX,
        selection: Selection::default(),
        requests_max: 10,
        subquery_bytes_max: None,
        spill: ovate_serve::spill::SpillSettings::off(),
        threads: 2,
    };
    let scheduler = QueryScheduler::from_properties(&properties, 10).expect("a scheduler");
    Broker::new(view.clone(), Arc::default(), limits, scheduler, cache)
}

pub async fn view_of(
    segments: &ServedSegments,
    server: Arc<dyn DataServer>,
    server_type: &str,
) -> (Arc<ServerView>, String, usize) {
    let view = Arc::new(ServerView::new(Arc::default()));
    let listed = segments.snapshot()["requests"].as_array().cloned().unwrap_or_default();
    let listed: Vec<DataSegment> = listed.iter().map(|request| DataSegment::from_json(request).expect("a segment")).collect();
    let placement = Placement { server_type: server_type.to_owned(), ..Placement::default() };
    let known = Arc::new(KnownServer::new(server.clone(), placement));
    let count = |table: &str| listed.iter().filter(|segment| &*segment.data_source == table).count();
    let table = listed.iter().map(|s| s.data_source.to_string()).max_by_key(|t| count(t)).expect("a table");
    for segment in listed.iter().filter(|segment| *segment.data_source == *table) {
        let schemas = server.schemas(&table, &[segment.id().descriptor()]).await.expect("schemas");
        let schema = schemas.into_iter().next().flatten().expect("a schema");
        view.add(&known, vec![(segment.clone(), Arc::new(schema))]);
    }
    let visible = segments.visible(&table, &[ovate_base::Interval::ETERNITY]).len();
    (view, table, visible)
}

async fn rows(broker: &Broker, table: &str, context: Value) -> Value {
    let query = json!({"queryType": "timeseries", "dataSource": table, "granularity": "day", "intervals": "1900/2100",
        "aggregations": [{"type": "count", "name": "n"}], "context": context});
    let query = NativeQuery::from_json(&query).expect("a query");
    let rows = broker.run_native(query.clone()).await.expect("rows");
    let mut text = Vec::new();
    ovate_query::write_json(&query, &rows, &mut text).expect("JSON");
    serde_json::from_slice(&text).expect("JSON")
}

const ON: [(&str, &str); 2] = [("druid.broker.cache.useCache", "true"), ("druid.broker.cache.populateCache", "true")];

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_has_cached_is_not_asked_for_again_and_answers_stay_the_same() {
    const NAME: &str = "what_the_broker_has_cached_is_not_asked_for_again_and_answers_stay_the_same";
    let Some(takeover) = takeover(NAME) else { return };
    let (segments, _dir) = served(&takeover);
    let server = Arc::new(Counting { inner: Historical::new("h:1".to_owned(), segments.clone(), 2), asked: AtomicUsize::new(0) });
    let (view, table, visible) = view_of(&segments, server.clone(), "historical").await;
    assert!(visible > 1, "{visible} segments of {table}");
    let asked = || server.asked.swap(0, Ordering::SeqCst);
    let expected = rows(&broker(&view, &[]), &table, json!({})).await;
    assert_eq!(asked(), visible);
    let caching = broker(&view, &ON);
    assert_eq!(rows(&caching, &table, json!({})).await, expected);
    assert_eq!(asked(), visible);
    // Entries are written behind the query's back.
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        assert_eq!(rows(&caching, &table, json!({"queryId": "x"})).await, expected);
        if asked() == 0 {
            break;
        }
        assert!(Instant::now() < end, "it is asked again and again");
    }
    assert_eq!(rows(&caching, &table, json!({"useCache": false, "populateCache": false})).await, expected);
    assert_eq!(asked(), visible, "the context keeps the query out");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tasks_serve_is_not_cached_by_the_broker() {
    let Some(takeover) = takeover("what_tasks_serve_is_not_cached_by_the_broker") else { return };
    let (segments, _dir) = served(&takeover);
    let server = Arc::new(Counting { inner: Historical::new("t:1".to_owned(), segments.clone(), 2), asked: AtomicUsize::new(0) });
    let (view, table, visible) = view_of(&segments, server.clone(), "indexer-executor").await;
    let caching = broker(&view, &ON);
    let first = rows(&caching, &table, json!({})).await;
    assert_eq!(rows(&caching, &table, json!({})).await, first);
    assert_eq!(server.asked.load(Ordering::SeqCst), 2 * visible);
}
