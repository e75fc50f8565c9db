//! What to load, drop and retire: a pure function of the used segments, the rules and the servers (`RunRules`,
//! `UnloadUnusedSegments`, `MarkOvershadowedSegmentsAsUnused`).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use ovate_base::{DataSegment, SegmentId, Timeline};

use super::rules::{Rule, What};
use super::segments::SegmentView;

/// A data server as the planner sees it.
#[derive(Debug, Clone)]
pub struct ServerSnapshot {
    pub name: String,
    pub tier: String,
    pub max_bytes: i64,
    pub served: HashMap<SegmentId, Arc<DataSegment>>,
    /// Asked to load and not there yet.
    pub loading: HashMap<SegmentId, Arc<DataSegment>>,
    pub dropping: HashSet<SegmentId>,
    /// Takes nothing new.
    pub decommissioning: bool,
}

/// What the planner looks at.
pub struct Snapshot<'a> {
    pub used: &'a SegmentView,
    /// Rules by data source; `_default` comes after those of each.
    pub rules: &'a BTreeMap<String, Vec<Rule>>,
    pub servers: Vec<ServerSnapshot>,
    pub now_ms: i64,
    /// Most segments that start to move in a round (`maxSegmentsToMove`).
    pub moves_max: usize,
    /// Hidden segments may be retired: this Coordinator has led long enough to trust its view.
    pub may_retire: bool,
}

/// What to do.
#[derive(Debug, Default)]
pub struct Plan {
    pub loads: Vec<(String, Arc<DataSegment>)>,
    pub drops: Vec<(String, Arc<DataSegment>)>,
    /// Used segments to be marked unused, by drop rules or because they are hidden.
    pub unused: Vec<SegmentId>,
    /// Copies that the rules want of each used segment; absent when no rule loads it.
    pub wanted: HashMap<SegmentId, usize>,
    /// Copies still missing, counted for what the servers can take.
    pub missing: HashMap<SegmentId, usize>,
}

/// Plans one round.
pub fn plan(snapshot: Snapshot<'_>) -> Plan {
    let mut plan = Plan::default();
    let mut used = snapshot.used.all();
    // Newest first, as queries want recent data first.
    used.sort_by_key(|(used, _)| std::cmp::Reverse(used.segment.interval));
    let mut free: Vec<i64> = snapshot.servers.iter().map(free_bytes).collect();
    for (used, hidden) in used {
        let segment = &used.segment;
        if hidden {
            continue;
        }
        match matching(&snapshot, segment).map(|rule| rule.what.clone()) {
            Some(What::Load(tiers)) => {
                for (tier, count) in tiers {
                    place(&mut plan, &snapshot.servers, &mut free, segment, Some(&tier), count);
                }
            }
            Some(What::Broadcast) => place(&mut plan, &snapshot.servers, &mut free, segment, None, usize::MAX),
            Some(What::Drop) => plan.unused.push(segment.id()),
            None => {}
        }
    }
    if snapshot.may_retire {
        retire_hidden(&mut plan, &snapshot);
    }
    drop_unused(&mut plan, &snapshot);
    balance(&mut plan, &snapshot);
    plan
}

/// The rule that decides over a segment.
pub fn matching<'a>(snapshot: &Snapshot<'a>, segment: &DataSegment) -> Option<&'a Rule> {
    first_rule(snapshot.rules, segment, snapshot.now_ms)
}

/// The first rule of the data source, then of `_default`, that applies.
pub fn first_rule<'a>(rules: &'a BTreeMap<String, Vec<Rule>>, segment: &DataSegment, now_ms: i64) -> Option<&'a Rule> {
    let lists = [rules.get(&*segment.data_source), rules.get("_default")];
    lists.into_iter().flatten().flatten().find(|rule| rule.applies(&segment.interval, now_ms))
}

fn free_bytes(server: &ServerSnapshot) -> i64 {
    let taken = server.served.values().chain(server.loading.values()).fold(0i64, |sum, segment| sum.saturating_add(segment.size));
    server.max_bytes.saturating_sub(taken)
}

/// Loads missing copies on the emptiest servers of a tier (all tiers: `None`), or drops surplus ones.
fn place(
    plan: &mut Plan,
    servers: &[ServerSnapshot],
    free: &mut [i64],
    segment: &Arc<DataSegment>,
    tier: Option<&str>,
    count: usize,
) {
    let id = segment.id();
    let in_tier: Vec<usize> = (0..servers.len()).filter(|at| tier.is_none_or(|tier| servers[*at].tier == tier)).collect();
    // A tier cannot hold more copies than it has servers.
    let wanted = count.min(in_tier.iter().filter(|at| !servers[**at].decommissioning).count());
    *plan.wanted.entry(id.clone()).or_default() += if count == usize::MAX { wanted } else { count };
    let served = |at: &&usize| servers[**at].served.contains_key(&id) && !servers[**at].dropping.contains(&id);
    let staying = |at: &&usize| !servers[**at].decommissioning;
    let kept = in_tier.iter().filter(served).filter(staying).count();
    let loading = in_tier.iter().filter(|at| servers[**at].loading.contains_key(&id)).count();
    if kept < wanted {
        *plan.missing.entry(id.clone()).or_default() += wanted - kept;
    }
    let mut candidates: Vec<usize> = in_tier
        .iter()
        .copied()
        .filter(|at| {
            let server = &servers[*at];
            !server.decommissioning
                && !server.served.contains_key(&id)
                && !server.loading.contains_key(&id)
                && free[*at] >= segment.size
        })
        .collect();
    candidates.sort_by_key(|at| std::cmp::Reverse(free[*at]));
    for at in candidates.into_iter().take(wanted.saturating_sub(kept + loading)) {
        free[at] -= segment.size;
        plan.loads.push((servers[at].name.clone(), segment.clone()));
    }
    // Copies leave only when enough of the staying ones are served, not merely asked for.
    if kept >= wanted {
        let mut surplus: Vec<usize> = in_tier.iter().filter(served).copied().collect();
        surplus.sort_by_key(|at| (!servers[*at].decommissioning, free[*at]));
        let leaving = surplus.len().saturating_sub(wanted);
        for at in surplus.into_iter().take(leaving) {
            plan.drops.push((servers[at].name.clone(), segment.clone()));
        }
    }
}

/// Hidden segments go once the segments that hide them are served: they could be needed until then.
fn retire_hidden(plan: &mut Plan, snapshot: &Snapshot<'_>) {
    for data_source in snapshot.used.data_sources() {
        let Some(timeline) = snapshot.used.timeline(data_source) else { continue };
        let hidden = timeline.find_fully_overshadowed();
        if hidden.is_empty() {
            continue;
        }
        let mut served: Timeline<()> = Timeline::new();
        for server in &snapshot.servers {
            for segment in server.served.values().filter(|segment| segment.data_source == *data_source) {
                if snapshot.used.contains(&segment.id()) {
                    served.add(segment.interval, segment.version.clone(), segment.shard_spec.clone(), ());
                }
            }
        }
        // Tombstones hide without having to be loaded.
        for (interval, version, chunk) in timeline.iter().filter(|(_, _, chunk)| chunk.object.segment.is_tombstone()) {
            served.add(interval, version.clone(), chunk.shard.clone(), ());
        }
        for (interval, version, chunk) in hidden {
            if served.is_overshadowed(interval, version, &chunk.shard) {
                plan.unused.push(chunk.object.segment.id());
            }
        }
    }
}

/// What is served and not used any more leaves the servers.
fn drop_unused(plan: &mut Plan, snapshot: &Snapshot<'_>) {
    for server in &snapshot.servers {
        for (id, segment) in server.served.iter().filter(|(id, _)| !server.dropping.contains(id)) {
            if !snapshot.used.contains(id) {
                plan.drops.push((server.name.clone(), segment.clone()));
            }
        }
    }
}

/// How much fuller than another, in parts of its size, a server may be before segments move.
const IMBALANCE: f64 = 0.05;

/// Evens out the servers of a tier when there is nothing else to do. A segment is loaded on the emptier server; once it is
/// served there it has one copy too many, and the fuller server's is dropped.
fn balance(plan: &mut Plan, snapshot: &Snapshot<'_>) {
    let busy = snapshot.servers.iter().any(|server| !server.loading.is_empty() || !server.dropping.is_empty());
    if busy || !plan.loads.is_empty() || !plan.drops.is_empty() {
        return;
    }
    let tiers: BTreeSet<&str> = snapshot.servers.iter().map(|server| server.tier.as_str()).collect();
    for tier in tiers {
        let of_tier =
            snapshot.servers.iter().filter(|server| server.tier == tier && !server.decommissioning && server.max_bytes > 0);
        let fullness = |server: &&ServerSnapshot| (server.max_bytes - free_bytes(server)) as f64 / server.max_bytes as f64;
        let (Some(full), Some(empty)) = (
            of_tier.clone().max_by(|a, b| fullness(a).total_cmp(&fullness(b))),
            of_tier.clone().min_by(|a, b| fullness(a).total_cmp(&fullness(b))),
        ) else {
            continue;
        };
        let gap = fullness(&full) - fullness(&empty);
        if gap <= IMBALANCE {
            continue;
        }
        // Moving this much makes both equally full.
        let mut left = (gap / (1.0 / full.max_bytes as f64 + 1.0 / empty.max_bytes as f64)) as i64;
        let mut movable: Vec<&Arc<DataSegment>> = full.served.values().filter(|s| !empty.served.contains_key(&s.id())).collect();
        movable.sort_by_key(|segment| segment.id());
        let mut moves = snapshot.moves_max;
        for segment in movable {
            let fits = segment.size <= left && segment.size <= free_bytes(empty) && snapshot.used.contains(&segment.id());
            if moves > 0 && fits {
                (left, moves) = (left - segment.size, moves - 1);
                plan.loads.push((empty.name.clone(), segment.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ovate_base::{Interval, ShardSpec};
    use ovate_store::meta::SegmentChange;
    use serde_json::json;

    use super::*;

    fn segment(day: i64, version: &str) -> DataSegment {
        let interval = Interval { start: day * 86_400_000, end: (day + 1) * 86_400_000 };
        let mut segment = DataSegment::new(
            SegmentId::new("wiki", interval, version, 0),
            ShardSpec::Numbered { partition_num: 0, partitions: 1 },
        );
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
            served: served.iter().map(|segment| (segment.id(), Arc::new(segment.clone()))).collect(),
            loading: HashMap::new(),
            dropping: HashSet::new(),
            decommissioning: false,
        }
    }

    fn rules(rule: serde_json::Value) -> BTreeMap<String, Vec<Rule>> {
        BTreeMap::from([("_default".to_owned(), vec![Rule::from_json(&rule).unwrap()])])
    }

    fn run(used: &SegmentView, rules: &BTreeMap<String, Vec<Rule>>, servers: Vec<ServerSnapshot>) -> Plan {
        plan(Snapshot { used, rules, servers, now_ms: 100 * 86_400_000, may_retire: true, moves_max: 100 })
    }

    fn names(list: &[(String, Arc<DataSegment>)]) -> Vec<String> {
        list.iter()
            .map(|(server, segment)| format!("{server}:{}:{}", segment.interval.start / 86_400_000, segment.version))
            .collect()
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
        assert_eq!((first.loads.len(), first.drops.len()), (4, 0));
        assert!(first.loads.iter().all(|(name, _)| name == "b"));
        let moved: Vec<DataSegment> = first.loads.iter().map(|(_, segment)| (**segment).clone()).collect();
        let second = run(&used, &one, vec![server("a", 100, &days), server("b", 100, &moved)]);
        assert_eq!(second.drops.len(), 4);
        assert!(second.drops.iter().all(|(name, _)| name == "a") && second.loads.is_empty());
    }
}
