//! Rounds over small clusters.

use ovate_base::{Interval, ShardSpec};
use ovate_store::meta::SegmentChange;
use serde_json::json;

use super::*;

fn segment(day: i64, version: &str) -> DataSegment {
    let interval = Interval { start: day * 86_400_000, end: (day + 1) * 86_400_000 };
    let mut segment =
        DataSegment::new(SegmentId::new("wiki", interval, version, 0), ShardSpec::Numbered { partition_num: 0, partitions: 1 });
    segment.size = 10;
    segment
}

fn view(segments: &[DataSegment]) -> SegmentView {
    let mut view = SegmentView::default();
    let change = |segment: &DataSegment| SegmentChange {
        segment: segment.clone(),
        used: true,
        updated: "2024-01-01T00:00:00.000Z".to_owned(),
        created: "2024-01-01T00:00:00.000Z".to_owned(),
    };
    view.apply(segments.iter().map(change).collect());
    view
}

fn server(name: &str, max_bytes: i64, served: &[DataSegment]) -> ServerSnapshot {
    ServerSnapshot {
        name: name.to_owned(),
        tier: "_default_tier".to_owned(),
        max_bytes,
        served: Arc::new(served.iter().map(|segment| (segment.id(), Arc::new(segment.clone()))).collect()),
        loading: HashMap::new(),
        dropping: HashSet::new(),
        decommissioning: false,
    }
}

fn rules(rule: serde_json::Value) -> BTreeMap<String, Vec<Rule>> {
    BTreeMap::from([("_default".to_owned(), vec![Rule::from_json(&rule).unwrap()])])
}

fn snapshot<'a>(used: &'a SegmentView, rules: &'a BTreeMap<String, Vec<Rule>>, servers: Vec<ServerSnapshot>) -> Snapshot<'a> {
    Snapshot {
        used,
        rules,
        servers,
        now_ms: 100 * 86_400_000,
        may_retire: true,
        dynamic: Dynamic::default(),
        moving: HashMap::new(),
        seed: 1,
    }
}

fn run(used: &SegmentView, rules: &BTreeMap<String, Vec<Rule>>, servers: Vec<ServerSnapshot>) -> Plan {
    plan(snapshot(used, rules, servers))
}

fn names(list: &[(String, Arc<DataSegment>)]) -> Vec<String> {
    list.iter().map(|(server, segment)| format!("{server}:{}:{}", segment.interval.start / 86_400_000, segment.version)).collect()
}

#[test]
fn copies_go_to_the_emptiest_servers_newest_first() {
    let used = view(&[segment(0, "v1"), segment(1, "v1")]);
    let load = rules(json!({"type": "loadForever", "tieredReplicants": {"_default_tier": 1}}));
    let done = run(&used, &load, vec![server("a", 100, &[]), server("b", 95, &[])]);
    assert_eq!(names(&done.loads), ["a:1:v1", "b:0:v1"]);
    let one = run(&used, &rules(json!({"type": "loadForever"})), vec![server("a", 15, &[])]);
    assert_eq!(names(&one.loads), ["a:1:v1"], "a full server takes no more, one server holds one copy");
    assert_eq!(one.missing.len(), 2);
}

#[test]
fn hidden_segments_leave_after_their_successors_are_served() {
    let (old, new) = (segment(0, "v1"), segment(0, "v2"));
    let used = view(&[old.clone(), new.clone()]);
    let load = rules(json!({"type": "loadForever"}));
    let before = run(&used, &load, vec![server("a", 100, std::slice::from_ref(&old))]);
    assert_eq!(names(&before.loads), ["a:0:v2"]);
    assert!(before.unused.is_empty() && before.drops.is_empty());
    let after = run(&used, &load, vec![server("a", 100, &[old.clone(), new.clone()])]);
    assert_eq!(after.unused, [old.id()]);
    let retired = run(&view(std::slice::from_ref(&new)), &load, vec![server("a", 100, &[old, new])]);
    assert_eq!(names(&retired.drops), ["a:0:v1"]);
}

#[test]
fn drop_rules_mark_unused_and_surplus_copies_leave() {
    let used = view(&[segment(0, "v1")]);
    let dropped = run(&used, &rules(json!({"type": "dropForever"})), vec![server("a", 100, &[segment(0, "v1")])]);
    assert_eq!(dropped.unused, [segment(0, "v1").id()]);
    let one = rules(json!({"type": "loadForever", "tieredReplicants": {"_default_tier": 1}}));
    let servers = vec![server("a", 100, &[segment(0, "v1")]), server("b", 50, &[segment(0, "v1")])];
    assert_eq!(names(&run(&used, &one, servers).drops), ["b:0:v1"]);
}

#[test]
fn a_leaving_servers_segments_are_copied_first() {
    let used = view(&[segment(0, "v1")]);
    let one = rules(json!({"type": "loadForever", "tieredReplicants": {"_default_tier": 1}}));
    let mut leaving = server("a", 100, &[segment(0, "v1")]);
    leaving.decommissioning = true;
    let first = run(&used, &one, vec![leaving.clone(), server("b", 50, &[])]);
    assert_eq!((names(&first.loads), first.drops.len()), (vec!["b:0:v1".to_owned()], 0));
    let second = run(&used, &one, vec![leaving, server("b", 50, &[segment(0, "v1")])]);
    assert_eq!(names(&second.drops), ["a:0:v1"]);
}

#[test]
fn a_new_server_gets_its_share() {
    let days: Vec<DataSegment> = (0..8).map(|day| segment(day, "v1")).collect();
    let used = view(&days);
    let one = rules(json!({"type": "loadForever", "tieredReplicants": {"_default_tier": 1}}));
    let first = run(&used, &one, vec![server("a", 100, &days), server("b", 100, &[])]);
    assert!((3..=5).contains(&first.loads.len()) && first.drops.is_empty(), "{:?}", names(&first.loads));
    assert!(first.loads.iter().all(|(name, _)| name == "b"));
    assert_eq!(first.moves.len(), first.loads.len());
    let moved: Vec<DataSegment> = first.loads.iter().map(|(_, segment)| (**segment).clone()).collect();
    // Both serve the moved ones now; the copies that moved away leave, whichever server is fuller.
    let mut next = snapshot(&used, &one, vec![server("a", 1000, &days), server("b", 100, &moved)]);
    next.moving = first.moves.iter().cloned().collect();
    let second = plan(next);
    assert_eq!(second.drops.len(), moved.len());
    assert!(second.drops.iter().all(|(name, _)| name == "a"));
}

#[test]
fn a_move_is_over_when_the_old_copy_went_or_the_new_one_did_not_come() {
    let one = segment(0, "v1");
    let (id, serves) = (one.id(), std::slice::from_ref(&one));
    let way = Move { from: "a".to_owned(), to: "b".to_owned() };
    let mut asked = server("b", 100, &[]);
    asked.loading.insert(id.clone(), Arc::new(one.clone()));
    assert!(way.goes_on(&id, &[server("a", 100, serves), asked.clone()]), "being loaded");
    assert!(way.goes_on(&id, &[server("a", 100, serves), server("b", 100, serves)]), "both serve it");
    assert!(!way.goes_on(&id, &[server("a", 100, &[]), server("b", 100, serves)]), "done");
    assert!(!way.goes_on(&id, &[server("a", 100, serves), server("b", 100, &[])]), "the load failed");
    assert!(!way.goes_on(&id, &[server("a", 100, serves)]), "the new server is gone");
}

#[test]
fn a_round_repeats_and_a_tier_comes_to_rest_whatever_the_chance() {
    let days: Vec<DataSegment> = (0..8).map(|day| segment(day, "v1")).collect();
    let used = view(&days);
    let one = rules(json!({"type": "loadForever", "tieredReplicants": {"_default_tier": 1}}));
    for seed in 0..50 {
        let (mut on_a, mut on_b) = (days.clone(), Vec::new());
        let mut rounds = 0;
        loop {
            let round = || {
                let mut snapshot = snapshot(&used, &one, vec![server("a", 100, &on_a), server("b", 100, &on_b)]);
                snapshot.seed = seed + rounds;
                plan(snapshot)
            };
            let loads = round().loads;
            assert_eq!(names(&loads), names(&round().loads), "the same round plans the same");
            if loads.is_empty() {
                break;
            }
            // Both copies are there for a round: nothing else moves because of them.
            let (mut late_a, mut late_b) = (on_a.clone(), on_b.clone());
            let mut moving = HashMap::new();
            for (name, segment) in &loads {
                let ((from, to), late, old) = if name == "b" {
                    ((&mut on_a, &mut on_b), &mut late_b, "a")
                } else {
                    ((&mut on_b, &mut on_a), &mut late_a, "b")
                };
                from.retain(|one| one != &**segment);
                to.push((**segment).clone());
                late.push((**segment).clone());
                moving.insert(segment.id(), Move { from: old.to_owned(), to: name.clone() });
            }
            let mut between = snapshot(&used, &one, vec![server("a", 100, &late_a), server("b", 100, &late_b)]);
            (between.seed, between.moving) = (seed + rounds, moving);
            let again = plan(between).moves;
            let moved = |id: &SegmentId| loads.iter().any(|(_, segment)| segment.id() == *id);
            assert!(!again.iter().any(|(id, _)| moved(id)), "seed {seed}: {again:?}");
            rounds += 1;
            assert!(rounds < 8, "seed {seed}: segments move to and fro");
        }
        assert!((3..=5).contains(&on_a.len()), "seed {seed}: {} on a", on_a.len());
    }
}

#[test]
fn replicas_are_throttled_and_queues_bounded() {
    let days: Vec<DataSegment> = (0..8).map(|day| segment(day, "v1")).collect();
    let used = view(&days);
    let two = rules(json!({"type": "loadForever", "tieredReplicants": {"_default_tier": 2}}));
    let servers = || vec![server("a", 1000, &days), server("b", 1000, &[])];
    let mut throttled = snapshot(&used, &two, servers());
    throttled.dynamic.replicas_max = 3;
    assert_eq!(plan(throttled).loads.len(), 3);
    let mut bounded = snapshot(&used, &two, vec![server("a", 1000, &[]), server("b", 1000, &[])]);
    bounded.dynamic.queue_max = 2;
    assert_eq!(plan(bounded).loads.len(), 4);
}

#[test]
fn a_clone_mirrors_its_source_and_counts_for_nothing() {
    let (kept, stale) = (segment(0, "v1"), segment(1, "v1"));
    let used = view(std::slice::from_ref(&kept));
    let one = rules(json!({"type": "loadForever", "tieredReplicants": {"_default_tier": 1}}));
    let mut mirrored = snapshot(
        &used,
        &one,
        vec![server("a", 100, std::slice::from_ref(&kept)), server("b", 100, std::slice::from_ref(&stale))],
    );
    mirrored.dynamic.clones = BTreeMap::from([("b".to_owned(), "a".to_owned())]);
    let done = plan(mirrored);
    assert_eq!((names(&done.loads), names(&done.drops)), (vec!["b:0:v1".to_owned()], vec!["b:1:v1".to_owned()]));
}

#[test]
fn an_alias_stands_for_its_tiers() {
    let used = view(&[segment(0, "v1")]);
    let hot = rules(json!({"type": "loadForever", "tieredReplicants": {"hot": 1}}));
    let (mut x, mut y) = (server("a", 100, &[]), server("b", 100, &[]));
    (x.tier, y.tier) = ("hot1".to_owned(), "hot2".to_owned());
    let mut aliased = snapshot(&used, &hot, vec![x, y]);
    aliased.dynamic.aliases = BTreeMap::from([("hot".to_owned(), vec!["hot1".to_owned(), "hot2".to_owned()])]);
    assert_eq!(names(&plan(aliased).loads), ["a:0:v1", "b:0:v1"]);
}
