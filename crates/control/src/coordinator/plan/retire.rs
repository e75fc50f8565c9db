//! What goes: segments that newer ones hide, copies of segments that are not used any more, and what a clone has beyond its
//! source.

use std::collections::HashMap;

use ovate_base::Timeline;

use super::{Plan, Snapshot};

/// Hidden segments go once the segments that hide them are served: they could be needed until then.
pub fn hidden(plan: &mut Plan, snapshot: &Snapshot<'_>) {
    let mut served: HashMap<&str, (Timeline<()>, Vec<_>)> = HashMap::new();
    for data_source in snapshot.used.data_sources() {
        let Some(timeline) = snapshot.used.timeline(data_source) else { continue };
        let hidden = timeline.find_fully_overshadowed();
        if hidden.is_empty() {
            continue;
        }
        let mut known: Timeline<()> = Timeline::new();
        // Tombstones hide without having to be loaded.
        for (interval, version, chunk) in timeline.iter().filter(|(_, _, chunk)| chunk.object.segment.is_tombstone()) {
            known.add(interval, version.clone(), chunk.shard.clone(), ());
        }
        served.insert(data_source, (known, hidden));
    }
    if served.is_empty() {
        return;
    }
    for (id, segment) in snapshot.servers.iter().flat_map(|server| server.served.iter()) {
        if let Some((known, _)) = served.get_mut(&*segment.data_source)
            && snapshot.used.contains(id)
        {
            known.add(segment.interval, segment.version.clone(), segment.shard_spec.clone(), ());
        }
    }
    for (known, hidden) in served.into_values() {
        for (interval, version, chunk) in hidden {
            if known.is_overshadowed(interval, version, &chunk.shard) {
                plan.unused.push(chunk.object.segment.id());
            }
        }
    }
}

/// What is served and not used any more leaves the servers.
pub fn drop_unused(plan: &mut Plan, snapshot: &Snapshot<'_>) {
    for server in snapshot.servers.iter().filter(|server| !snapshot.dynamic.is_clone(&server.name)) {
        for (id, segment) in server.served.iter() {
            if !snapshot.used.contains(id) && !server.dropping.contains(id) {
                plan.drops.push((server.name.clone(), segment.clone()));
            }
        }
    }
}

/// A clone loads and serves what its source does, and nothing else (`CloneHistoricals`).
pub fn mirror_clones(plan: &mut Plan, snapshot: &Snapshot<'_>) {
    let find = |name: &str| snapshot.servers.iter().find(|server| server.name == name);
    for (target, source) in &snapshot.dynamic.clones {
        let (Some(target), Some(source)) = (find(target), find(source)) else { continue };
        let mut free = super::place::free_bytes(target);
        for (id, segment) in source.served.iter().chain(&source.loading) {
            let there = target.served.contains_key(id) || target.loading.contains_key(id);
            if !there && free >= segment.size && !source.dropping.contains(id) {
                free -= segment.size;
                plan.loads.push((target.name.clone(), segment.clone()));
            }
        }
        for (id, segment) in target.served.iter() {
            let wanted = source.served.contains_key(id) || source.loading.contains_key(id);
            if !wanted && !target.dropping.contains(id) {
                plan.drops.push((target.name.clone(), segment.clone()));
            }
        }
    }
}
