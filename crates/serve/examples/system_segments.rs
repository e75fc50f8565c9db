//! Times statements over `sys.segments` of a Broker whose Coordinator has many segments (1,000,000 unless an argument says
//! otherwise): `cargo run --release -p ovate-serve --example system_segments`. The Coordinator here is a stand-in that answers what
//! ours answers: the whole list once, then one new segment with every question.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::extract::RawQuery;
use ovate_base::{Budget, DataSegment, Interval, Properties, Result, SegmentId, ShardSpec};
use ovate_net::server::BoundServer;
use ovate_net::{DiscoveredNode, Discovery, HttpClient, NodeRole};
use ovate_serve::broker::{
    Broker, BrokerSettings, BrokerSystemTables, QueryScheduler, Selection, ServerView, UsedSegments, Watched,
};
use ovate_serve::spill::SpillSettings;
use ovate_sql::{SqlEngine, SqlRequest};
use serde_json::json;
use tokio::sync::watch;

const TABLES: usize = 50;
const HOUR: i64 = 3_600_000;

fn segment(number: usize) -> DataSegment {
    let start = 1_600_000_000_000 / HOUR * HOUR + (number / TABLES) as i64 * HOUR;
    let id =
        SegmentId::new(format!("table{}", number % TABLES), Interval { start, end: start + HOUR }, "2024-01-01T00:00:00.000Z", 0);
    let mut segment = DataSegment::new(id, ShardSpec::Numbered { partition_num: 0, partitions: 1 });
    segment.dimensions = vec!["page".to_owned(), "user".to_owned()];
    segment.load_spec = Some(json!({"type": "local", "path": format!("/var/druid/segments/{number}/index.zip")}));
    segment.size = 1000 + (number % 977) as i64;
    segment
}

struct OneCoordinator(DiscoveredNode, watch::Sender<u64>);

#[async_trait]
impl Discovery for OneCoordinator {
    async fn announce(&self, _node: DiscoveredNode) -> Result<()> {
        Ok(())
    }
    async fn withdraw(&self, _role: NodeRole, _name: &str) -> Result<()> {
        Ok(())
    }
    async fn nodes(&self, role: NodeRole) -> Result<Vec<DiscoveredNode>> {
        Ok(if role == NodeRole::Coordinator { vec![self.0.clone()] } else { Vec::new() })
    }
    fn changes(&self) -> watch::Receiver<u64> {
        self.1.subscribe()
    }
}

fn list(segments: impl Iterator<Item = usize>, full: bool, tag: usize) -> String {
    let documents = segments.map(|number| {
        let mut document = segment(number).to_json();
        document["replicationFactor"] = json!(2);
        document.to_string()
    });
    format!("{{\"segments\":[{}],\"full\":{full},\"tag\":\"{tag}\"}}", documents.collect::<Vec<_>>().join(","))
}

#[tokio::main]
async fn main() {
    let count: usize = std::env::args().nth(1).map_or(1_000_000, |text| text.parse().expect("a number of segments"));
    let told = Arc::new(AtomicUsize::new(count));
    let answer = move |RawQuery(query): RawQuery| {
        let known = query.unwrap_or_default().rsplit_once('=').and_then(|(_, tag)| tag.parse::<usize>().ok());
        // A segment more with every question.
        let now = told.fetch_add(usize::from(known.is_some()), Ordering::Relaxed);
        async move { list(known.unwrap_or(0)..now, known.is_none(), now) }
    };
    let server = BoundServer::bind("127.0.0.1", 0).await.expect("a port");
    let address = server.address;
    let stop = watch::channel(false).0;
    let routes = axum::Router::new().route("/druid/coordinator/v1/metadata/segments", axum::routing::get(answer));
    tokio::spawn(server.serve(routes, stop.subscribe()));
    let node = json!({"druidNode": {"service": "druid/coordinator", "host": "127.0.0.1", "plaintextPort": address.port()},
        "nodeType": "coordinator", "services": {}});
    let node: DiscoveredNode = serde_json::from_value(node).expect("a node");
    let discovery: Arc<dyn Discovery> = Arc::new(OneCoordinator(node, watch::channel(0).0));
    let client = HttpClient::new().expect("a client");
    let view = Arc::new(ServerView::new(Arc::default()));
    let used = Arc::new(UsedSegments::new(view.clone(), client.clone(), discovery.clone(), Watched::default()));
    let began = Instant::now();
    used.refresh().await.expect("the list of segments");
    println!("{count} segments listed in {:?}", began.elapsed());
    let nothing = Properties::default();
    let settings = BrokerSettings {
        timeout_ms: 0,
        budget: Budget::new("druid.ovate.memory", 8 << 30),
        subquery_rows_max: 100_000,
        gathered_bytes_max: u64::MAX,
        timeout_max_ms: u64::MAX,
        selection: Selection::from_properties(&nothing).expect("defaults"),
        requests_max: 10,
        subquery_bytes_max: None,
        spill: SpillSettings::off(),
        threads: 2,
    };
    let scheduler = QueryScheduler::from_properties(&nothing, 10).expect("defaults");
    let broker = Arc::new(Broker::new(view.clone(), Arc::default(), settings, scheduler, None));
    let system = BrokerSystemTables { view: view.clone(), used, client, discovery, queries: None };
    let engine = SqlEngine::new(broker, view, Arc::new(system));
    let id = segment(count / 2).id();
    for sql in [
        "SELECT * FROM sys.segments WHERE datasource = 'table7' AND \"start\" >= '2022-01-01' ORDER BY \"start\" DESC LIMIT 50"
            .to_owned(),
        format!("SELECT * FROM sys.segments WHERE segment_id = '{id}'"),
        "SELECT * FROM sys.segments LIMIT 50".to_owned(),
        "SELECT COUNT(*) FROM sys.segments WHERE size > 1970".to_owned(),
        "SELECT COUNT(*) FROM sys.segments WHERE is_overshadowed = 1".to_owned(),
        "SELECT segment_id, size FROM sys.segments WHERE \"start\" >= '2022-01-01' AND \"end\" <= '2022-01-02'".to_owned(),
        "SELECT segment_id FROM sys.segments WHERE is_active = 1 AND size >= 1976 ORDER BY segment_id LIMIT 10".to_owned(),
        "SELECT datasource, COUNT(*), SUM(size) FROM sys.segments WHERE datasource LIKE 'table4%' GROUP BY 1".to_owned(),
        "SELECT datasource, COUNT(*) FILTER (WHERE is_active = 1), SUM(size), SUM(num_rows) FROM sys.segments GROUP BY 1"
            .to_owned(),
    ] {
        let mut times: Vec<Duration> = Vec::new();
        let mut rows = 0;
        for _ in 0..7 {
            let request = SqlRequest::from_json(&json!({"query": sql})).expect("a request");
            let began = Instant::now();
            rows = engine.execute(request, 1_700_000_000_000).await.expect("an answer").rows;
            times.push(began.elapsed());
        }
        times.sort();
        println!("{:>9.2} ms (worst {:.2})  {rows} rows  {sql}", ms(times[3]), ms(times[6]));
    }
    stop.send_replace(true);
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
