//! Segments move to where they cost less (`BalanceSegments`): some are looked at in every round, in an order of chance. A
//! segment is loaded on its new server; once it is served there it has one copy too many, and the old server's is dropped.

use std::sync::Arc;

use ovate_base::DataSegment;

use super::place::Places;
use super::{Plan, Snapshot};

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
    let mut chance = Chance(snapshot.seed);
    for tier in places.tier_names() {
        let active = places.active(tier).to_vec();
        let under_way: usize = active.iter().map(|at| snapshot.servers[*at].loading.len()).sum();
        let moves_max = snapshot.dynamic.moves_max.saturating_sub(under_way);
        if active.len() > 1 && moves_max > 0 {
            balance_tier(plan, snapshot, places, &active, moves_max, &mut chance);
        }
    }
}

fn balance_tier(
    plan: &mut Plan,
    snapshot: &Snapshot<'_>,
    places: &mut Places<'_>,
    active: &[usize],
    moves_max: usize,
    chance: &mut Chance,
) {
    let strategy = snapshot.dynamic.strategy;
    let leaving: std::collections::HashSet<_> = plan.drops.iter().map(|(_, segment)| segment.id()).collect();
    let mut moves = 0;
    for (at, segment) in sample(snapshot, active, moves_max.saturating_mul(LOOKS_PER_MOVE), chance) {
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
            plan.moves.push((id, snapshot.servers[at].name.clone()));
            moves += 1;
        }
    }
}

/// Some of the segments of a tier, each at most once, in an order of chance.
fn sample<'a>(
    snapshot: &'a Snapshot<'_>,
    active: &[usize],
    count: usize,
    chance: &mut Chance,
) -> Vec<(usize, &'a Arc<DataSegment>)> {
    // Reservoir sampling: every segment is as likely as any other.
    let all = active.iter().flat_map(|at| snapshot.servers[*at].served.values().map(move |segment| (*at, segment)));
    let mut taken: Vec<(usize, &Arc<DataSegment>)> = Vec::new();
    for (seen, one) in all.enumerate() {
        if taken.len() < count {
            taken.push(one);
        } else {
            let place = chance.below(seen + 1);
            if place < count {
                taken[place] = one;
            }
        }
    }
    for last in (1..taken.len()).rev() {
        taken.swap(last, chance.below(last + 1));
    }
    taken
}

/// A small generator; a round's seed makes it repeat.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % bound.max(1) as u64) as usize
    }
}
