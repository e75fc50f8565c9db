//! What to load, drop and retire: a pure function of the used segments, the rules and the servers (`RunRules`,
//! `UnloadUnusedSegments`, `MarkOvershadowedSegmentsAsUnused`, `BalanceSegments`, `CloneHistoricals`). Every copy that leaves a
//! server has enough others that are served: moves are made before they are broken.

mod balance;
mod cost;
mod place;
mod retire;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use ovate_base::{DataSegment, SegmentId};

use super::dynamic::Dynamic;
use super::rules::{Rule, What};
use super::segments::SegmentView;

/// A data server as the planner sees it.
#[derive(Debug, Clone)]
pub struct ServerSnapshot {
    pub name: String,
    pub tier: String,
    pub max_bytes: i64,
    pub served: Arc<HashMap<SegmentId, Arc<DataSegment>>>,
    /// Asked to load and not there yet.
    pub loading: HashMap<SegmentId, Arc<DataSegment>>,
    pub dropping: HashSet<SegmentId>,
    /// Takes nothing new.
    pub decommissioning: bool,
}

/// A segment's way from one server to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    pub from: String,
    pub to: String,
}

impl Move {
    /// True while the old server serves the segment, and the new one serves it or was asked to. A load that failed ends a move:
    /// the old server's copy is an ordinary one again.
    pub fn goes_on(&self, id: &SegmentId, servers: &[ServerSnapshot]) -> bool {
        let find = |name: &str| servers.iter().find(|server| server.name == name);
        let leaves = find(&self.from).is_some_and(|server| server.served.contains_key(id));
        leaves && find(&self.to).is_some_and(|server| server.served.contains_key(id) || server.loading.contains_key(id))
    }
}

/// What the planner looks at.
pub struct Snapshot<'a> {
    pub used: &'a SegmentView,
    /// Rules by data source; `_default` comes after those of each.
    pub rules: &'a BTreeMap<String, Vec<Rule>>,
    pub servers: Vec<ServerSnapshot>,
    pub now_ms: i64,
    pub dynamic: Dynamic,
    /// Segments that are on their way.
    pub moving: HashMap<SegmentId, Move>,
    /// Hidden segments may be retired: this Coordinator has led long enough to trust its view.
    pub may_retire: bool,
    /// Chance of this round.
    pub seed: u64,
}

/// What to do.
#[derive(Debug, Default)]
pub struct Plan {
    pub loads: Vec<(String, Arc<DataSegment>)>,
    pub drops: Vec<(String, Arc<DataSegment>)>,
    /// Loads that begin a move.
    pub moves: Vec<(SegmentId, Move)>,
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
    let mut places = place::Places::new(&snapshot);
    for (used, hidden) in used {
        let segment = &used.segment;
        if hidden {
            continue;
        }
        match matching(&snapshot, segment).map(|rule| &rule.what) {
            Some(What::Load(tiers)) => {
                for (tier, count) in tiers {
                    for tier in snapshot.dynamic.tiers_of(tier) {
                        places.place(&mut plan, segment, Some(tier), *count);
                    }
                }
            }
            Some(What::Broadcast) => places.place(&mut plan, segment, None, usize::MAX),
            Some(What::Drop) => plan.unused.push(segment.id()),
            None => {}
        }
    }
    if snapshot.may_retire {
        retire::hidden(&mut plan, &snapshot);
    }
    retire::drop_unused(&mut plan, &snapshot);
    balance::balance(&mut plan, &snapshot, &mut places);
    retire::mirror_clones(&mut plan, &snapshot);
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
