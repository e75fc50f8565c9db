//! Segments move to where they cost less (`BalanceSegments`): some are looked at in every round, in an order of chance. A
//! segment is loaded on its new server; once it is served there it has one copy too many, and the old server's is dropped.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use ovate_base::{DataSegment, SegmentId};

use super::place::Places;
use super::{Move, Plan, Snapshot};

/// A move has to make a segment this much cheaper, so that nothing moves to and fro.
const GAIN: f64 = 0.05;
/// Segments that are looked at for each that may move.
const LOOKS_PER_MOVE: usize = 3;

/// Plans moves within every tier.
pub fn balance(plan: &mut Plan, snapshot: &Snapshot<'_>, places: &mut Places<'_>) {
    if !plan.missing.is_empty() && plan.loads.len() >= snapshot.dynamic.moves_max {
        // Missing copies come first.
        return;
    }
    for tier in places.tier_names() {
        let active = places.active(tier).to_vec();
        let under_way: usize = active.iter().map(|at| snapshot.servers[*at].loading.len()).sum();
        let moves_max = snapshot.dynamic.moves_max.saturating_sub(under_way);
        if active.len() > 1 && moves_max > 0 {
            balance_tier(plan, snapshot, places, &active, moves_max);
        }
    }
}

fn balance_tier(plan: &mut Plan, snapshot: &Snapshot<'_>, places: &mut Places<'_>, active: &[usize], moves_max: usize) {
    let strategy = snapshot.dynamic.strategy;
    let leaving: HashSet<_> = plan.drops.iter().map(|(_, segment)| segment.id()).collect();
    let mut moves = 0;
    for (at, segment) in sample(snapshot, active, moves_max.saturating_mul(LOOKS_PER_MOVE)) {
        if moves >= moves_max {
            return;
        }
        let id = segment.id();
        let free =
            snapshot.used.contains(&id) && places.is_settled(&id) && !leaving.contains(&id) && !plan.missing.contains_key(&id);
        if !free {
            continue;
        }
        let able: Vec<usize> =
            active.iter().copied().filter(|to| *to != at && !places.has(&id, *to) && places.has_room(*to, segment)).collect();
        let costs = places.costs();
        let here = costs.price_there(strategy, at, segment);
        let best = able.into_iter().map(|to| (costs.price(strategy, to, segment), to)).min_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((there, to)) = best
            && there < here * (1.0 - GAIN)
        {
            places.load(plan, to, segment);
            places.costs().remove(at, segment);
            let name = |at: usize| snapshot.servers[at].name.clone();
            plan.moves.push((id, Move { from: name(at), to: name(to) }));
            moves += 1;
        }
    }
}

/// Some of the segments of a tier, each at most once, in an order of chance. Each gets a number from the round's seed and
/// its own id, and the lowest numbers are taken: any segment is as likely as any other, and the same round plans the same
/// moves whatever order the maps are in.
fn sample<'a>(snapshot: &'a Snapshot<'_>, active: &[usize], count: usize) -> Vec<(usize, &'a Arc<DataSegment>)> {
    let mut lowest: BTreeMap<(u64, usize, &SegmentId), &Arc<DataSegment>> = BTreeMap::new();
    for at in active {
        for (id, segment) in snapshot.servers[*at].served.iter() {
            let mut hasher = DefaultHasher::new();
            (snapshot.seed, at, id).hash(&mut hasher);
            let one = (hasher.finish(), *at, id);
            if lowest.len() < count || lowest.last_key_value().is_some_and(|(highest, _)| one < *highest) {
                lowest.insert(one, segment);
                if lowest.len() > count {
                    lowest.pop_last();
                }
            }
        }
    }
    lowest.into_iter().map(|((_, at, _), segment)| (at, segment)).collect()
}
