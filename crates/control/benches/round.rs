//! One full round of the Coordinator over a million segments on a hundred servers, in two worlds: in one a part of the segments
//! is new and is placed; in the other all are served, and some move to a server that has just come. What it takes is printed
//! by criterion; the aim is 10 s.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use ovate_base::{DataSegment, Interval, SegmentId, ShardSpec};
use ovate_control::coordinator::{Dynamic, Rule, SegmentView, ServerSnapshot, Snapshot, Strategy, plan};
use ovate_store::meta::SegmentChange;
use serde_json::json;

const SEGMENTS: usize = 1_000_000;
const SERVERS: usize = 100;
const DATA_SOURCES: usize = 20;
const HOUR_MS: i64 = 3_600_000;
/// One segment in so many is loaded by nobody yet.
const NEW_ONE_IN: usize = 100;

fn segment(number: usize) -> DataSegment {
    let (source, rest) = (number % DATA_SOURCES, number / DATA_SOURCES);
    let (partition, hour) = ((rest % 4) as u32, (rest / 4) as i64);
    let interval = Interval { start: 1_700_000_000_000 + hour * HOUR_MS, end: 1_700_000_000_000 + (hour + 1) * HOUR_MS };
    let id = SegmentId::new(format!("source{source}").as_str(), interval, "2024-01-01T00:00:00.000Z", partition as i32);
    let mut segment = DataSegment::new(id, ShardSpec::Numbered { partition_num: partition as i32, partitions: 4 });
    segment.size = 500_000_000;
    segment
}

/// `with_new`: whether there are segments that nobody has loaded yet.
fn world(with_new: bool) -> (SegmentView, Vec<ServerSnapshot>, BTreeMap<String, Vec<Rule>>) {
    let mut view = SegmentView::default();
    let mut served: Vec<HashMap<SegmentId, Arc<DataSegment>>> = (0..SERVERS).map(|_| HashMap::new()).collect();
    let mut changes = Vec::with_capacity(SEGMENTS);
    for number in 0..SEGMENTS {
        let segment = segment(number);
        if !with_new || number % NEW_ONE_IN != 0 {
            // The last server is empty: it has just come.
            for copy in 0..2 {
                let at = (number + copy * 37) % (SERVERS - 1);
                served[at].insert(segment.id(), Arc::new(segment.clone()));
            }
        }
        let time = "2024-01-01T00:00:00.000Z".to_owned();
        changes.push(SegmentChange { segment, used: true, updated: time.clone(), created: time });
    }
    view.replace(changes);
    let server = |(number, served): (usize, HashMap<SegmentId, Arc<DataSegment>>)| ServerSnapshot {
        name: format!("data{number}:8083"),
        tier: "_default_tier".to_owned(),
        max_bytes: 30_000_000_000_000,
        served: Arc::new(served),
        loading: HashMap::new(),
        dropping: HashSet::new(),
        decommissioning: false,
    };
    let servers = served.into_iter().enumerate().map(server).collect();
    let load = [
        json!({"type": "loadByPeriod", "period": "P10Y", "tieredReplicants": {"_default_tier": 2}}),
        json!({"type": "dropForever"}),
    ];
    let rules = load.iter().map(|rule| Rule::from_json(rule).expect("a rule")).collect();
    (view, servers, BTreeMap::from([("_default".to_owned(), rules)]))
}

fn rounds(criterion: &mut Criterion) {
    let config = json!({"smartSegmentLoading": true});
    let mut group = criterion.benchmark_group("coordinator round");
    group.sample_size(10).warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_secs(10));
    for (name, with_new) in [("new segments", true), ("balancing", false)] {
        let (view, servers, rules) = world(with_new);
        let round = |strategy| {
            let dynamic = Dynamic::from_json(&config, strategy, view.len());
            let snapshot = Snapshot {
                used: &view,
                rules: &rules,
                servers: servers.clone(),
                now_ms: 1_790_000_000_000,
                dynamic,
                moving: HashMap::new(),
                may_retire: true,
                seed: 7,
            };
            plan(snapshot)
        };
        let began = Instant::now();
        let done = round(Strategy::Cost);
        println!(
            "{name}: one round over {SEGMENTS} segments on {SERVERS} servers: {:?}, {} loads, {} of them moves, {} drops, {} unused",
            began.elapsed(),
            done.loads.len(),
            done.moves.len(),
            done.drops.len(),
            done.unused.len()
        );
        group.bench_function(format!("{name}, cost"), |bencher| bencher.iter(|| round(Strategy::Cost)));
        group.bench_function(format!("{name}, random"), |bencher| bencher.iter(|| round(Strategy::Random)));
    }
    group.finish();
}

criterion_group!(benches, rounds);
criterion_main!(benches);
