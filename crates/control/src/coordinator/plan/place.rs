//! Copies of segments on the servers of a tier (`StrategicSegmentAssigner`): which are missing and where they go, which are
//! too many and whose leave.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ovate_base::{DataSegment, SegmentId};

use super::cost::Costs;
use super::{Plan, ServerSnapshot, Snapshot};

/// A copy of a segment on a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Served,
    Dropping,
    Loading,
}

/// The servers of a tier that take segments.
struct Tier {
    /// Emptiest first, as they were when the round began.
    active: Vec<usize>,
    /// Where round robin goes on.
    next: usize,
    /// Loads of further copies that are under way or planned (`replicationThrottleLimit`).
    replicas: usize,
}

/// Where every copy is, kept up to date while the round plans.
pub struct Places<'a> {
    snapshot: &'a Snapshot<'a>,
    copies: HashMap<&'a SegmentId, Vec<(u32, State)>>,
    tiers: BTreeMap<&'a str, Tier>,
    /// All servers that take segments, for broadcasts.
    everywhere: Vec<usize>,
    pub free: Vec<i64>,
    /// Length of each server's load queue.
    queued: Vec<usize>,
    costs: Option<Costs>,
}

impl<'a> Places<'a> {
    pub fn new(snapshot: &'a Snapshot<'a>) -> Places<'a> {
        let servers = &snapshot.servers;
        let count = servers.iter().map(|server| server.served.len() + server.loading.len()).sum::<usize>();
        let mut copies: HashMap<&SegmentId, Vec<(u32, State)>> = HashMap::with_capacity(count.min(snapshot.used.len() * 2));
        for (at, server) in servers.iter().enumerate().filter(|(_, server)| !snapshot.dynamic.is_clone(&server.name)) {
            for id in server.served.keys() {
                let state = if server.dropping.contains(id) { State::Dropping } else { State::Served };
                copies.entry(id).or_default().push((at as u32, state));
            }
            for id in server.loading.keys() {
                copies.entry(id).or_default().push((at as u32, State::Loading));
            }
        }
        let free: Vec<i64> = servers.iter().map(free_bytes).collect();
        let takes = |at: &usize| !servers[*at].decommissioning && !snapshot.dynamic.is_clone(&servers[*at].name);
        let mut everywhere: Vec<usize> = (0..servers.len()).filter(takes).collect();
        everywhere.sort_by_key(|at| std::cmp::Reverse(free[*at]));
        let mut tiers: BTreeMap<&str, Tier> = BTreeMap::new();
        for at in &everywhere {
            let tier = tiers.entry(&servers[*at].tier).or_insert_with(|| Tier { active: Vec::new(), next: 0, replicas: 0 });
            tier.active.push(*at);
        }
        let queued = servers.iter().map(|server| server.loading.len()).collect();
        let mut places = Places { snapshot, copies, tiers, everywhere, free, queued, costs: None };
        places.count_replicas();
        places
    }

    /// Further copies that are on their way when the round begins.
    fn count_replicas(&mut self) {
        for server in &self.snapshot.servers {
            let replica = |id: &&SegmentId| self.copies.get(id).is_some_and(|all| all.iter().any(|(_, s)| *s == State::Served));
            let count = server.loading.keys().filter(replica).count();
            if let Some(tier) = self.tiers.get_mut(server.tier.as_str()) {
                tier.replicas += count;
            }
        }
    }

    /// The active servers of a tier.
    pub fn active(&self, tier: &str) -> &[usize] {
        self.tiers.get(tier).map_or(&[], |tier| &tier.active)
    }

    /// Names of all tiers with active servers.
    pub fn tier_names(&self) -> Vec<&'a str> {
        self.tiers.keys().copied().collect()
    }

    /// Whether any copy of a segment is on a server in whatever state.
    pub fn has(&self, id: &SegmentId, at: usize) -> bool {
        self.copies.get(id).is_some_and(|copies| copies.iter().any(|(server, _)| *server as usize == at))
    }

    /// Whether a segment is served by nobody but settled: nothing of it is loaded or dropped at the moment.
    pub fn is_settled(&self, id: &SegmentId) -> bool {
        self.copies.get(id).is_some_and(|copies| copies.iter().all(|(_, state)| *state == State::Served))
    }

    /// Room for a segment in a server's cache and in its queue.
    pub fn has_room(&self, at: usize, segment: &DataSegment) -> bool {
        let server = &self.snapshot.servers[at];
        let queue_max = self.snapshot.dynamic.queue_max_of(&server.name);
        self.free[at] >= segment.size && (queue_max == 0 || self.queued[at] < queue_max)
    }

    /// A load is planned.
    pub fn load(&mut self, plan: &mut Plan, at: usize, segment: &Arc<DataSegment>) {
        self.free[at] -= segment.size;
        self.queued[at] += 1;
        if let Some(costs) = &mut self.costs {
            costs.add(at, segment);
        }
        plan.loads.push((self.snapshot.servers[at].name.clone(), segment.clone()));
    }

    /// What placing segments costs on each server; made when first asked for.
    pub fn costs(&mut self) -> &mut Costs {
        let Snapshot { servers, moving, .. } = self.snapshot;
        self.costs.get_or_insert_with(|| Costs::new(servers, moving))
    }

    /// Loads missing copies on servers of a tier (all tiers: `None`), or drops surplus ones.
    pub fn place(&mut self, plan: &mut Plan, segment: &Arc<DataSegment>, tier: Option<&str>, count: usize) {
        let id = segment.id();
        let servers = &self.snapshot.servers;
        let active = match tier {
            Some(tier) => self.active(tier).len(),
            None => self.everywhere.len(),
        };
        // A tier cannot hold more copies than it has servers.
        let wanted = count.min(active);
        *plan.wanted.entry(id.clone()).or_default() += if count == usize::MAX { wanted } else { count };
        let all = self.copies.get(&id).map_or(&[][..], Vec::as_slice);
        let here = all.iter().filter(|(at, _)| tier.is_none_or(|tier| servers[*at as usize].tier == tier));
        let (mut kept, mut loading, mut served) = (0, 0, Vec::new());
        for (at, state) in here {
            match state {
                State::Served => {
                    served.push(*at as usize);
                    kept += usize::from(!servers[*at as usize].decommissioning);
                }
                State::Loading => loading += 1,
                State::Dropping => {}
            }
        }
        if kept < wanted {
            *plan.missing.entry(id.clone()).or_default() += wanted - kept;
            let any_served = all.iter().any(|(_, state)| *state == State::Served);
            for n in 0..wanted.saturating_sub(kept + loading) {
                let is_replica = any_served || loading + n > 0;
                if !self.load_one(plan, segment, &id, tier, is_replica) {
                    break;
                }
            }
        } else if served.len() > wanted {
            // Copies leave only when enough of the staying ones are served, not merely asked for.
            let from = self.snapshot.moving.get(&id).map(|way| &way.from);
            let leaving = served.len() - wanted;
            served.sort_by_key(|at| {
                let server = &servers[*at];
                (!server.decommissioning, from != Some(&server.name), self.free[*at])
            });
            for at in served.into_iter().take(leaving) {
                plan.drops.push((servers[at].name.clone(), segment.clone()));
            }
        }
    }

    fn load_one(
        &mut self,
        plan: &mut Plan,
        segment: &Arc<DataSegment>,
        id: &SegmentId,
        tier: Option<&str>,
        replica: bool,
    ) -> bool {
        let dynamic = &self.snapshot.dynamic;
        // Broadcast segments are needed everywhere at once.
        if let (true, Some(tier)) = (replica, tier.and_then(|tier| self.tiers.get(tier)))
            && tier.replicas >= dynamic.replicas_max
        {
            return false;
        }
        let planned = plan.loads.len();
        let fresh: Vec<&str> =
            plan.loads[..planned].iter().rev().take_while(|(_, s)| Arc::ptr_eq(s, segment)).map(|(n, _)| n.as_str()).collect();
        let can = |places: &Places<'_>, at: usize| {
            places.has_room(at, segment) && !places.has(id, at) && !fresh.contains(&places.snapshot.servers[at].name.as_str())
        };
        let list: Vec<usize> = match tier {
            Some(tier) => self.active(tier).to_vec(),
            None => self.everywhere.clone(),
        };
        let start = tier.and_then(|tier| self.tiers.get(tier)).map_or(0, |tier| tier.next);
        let turn = |n: usize| (start + n) % list.len().max(1);
        let chosen = if dynamic.round_robin || tier.is_none() {
            (0..list.len()).map(turn).find(|n| can(self, list[*n]))
        } else {
            let able: Vec<usize> = (0..list.len()).filter(|n| can(self, list[*n])).collect();
            let strategy = dynamic.strategy;
            let costs = self.costs();
            let best = able.into_iter().map(|n| (costs.price(strategy, list[n], segment), n));
            best.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, n)| n)
        };
        let Some(n) = chosen else { return false };
        self.load(plan, list[n], segment);
        if let Some(tier) = tier.and_then(|tier| self.tiers.get_mut(tier)) {
            tier.next = n + 1;
            tier.replicas += usize::from(replica);
        }
        true
    }
}

pub fn free_bytes(server: &ServerSnapshot) -> i64 {
    let taken = server.served.values().chain(server.loading.values()).fold(0i64, |sum, segment| sum.saturating_add(segment.size));
    server.max_bytes.saturating_sub(taken)
}
