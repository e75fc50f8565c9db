//! INTERSECT and EXCEPT over rows in memory.

use std::collections::HashMap;

use ovate_compute::Vector;

use crate::keys::row_keys;
use crate::relation::Relation;

/// The left rows that are (INTERSECT) or are not (EXCEPT) among the right ones; without `all` each distinct row once.
pub fn set_difference(left: &Relation, right: &Relation, intersect: bool, all: bool) -> Relation {
    let keys = |relation: &Relation| {
        let columns: Vec<(&Vector, bool)> = relation.columns.iter().map(|c| (c, true)).collect();
        row_keys(&columns, relation.rows)
    };
    let mut counts: HashMap<Box<[u8]>, usize> = HashMap::new();
    for key in keys(right).into_iter().flatten() {
        *counts.entry(key).or_default() += 1;
    }
    let mut seen: HashMap<Box<[u8]>, usize> = HashMap::new();
    let mut chosen = Vec::new();
    for (row, key) in keys(left).into_iter().enumerate() {
        let Some(key) = key else { continue };
        let on_right = counts.get(&key).copied().unwrap_or(0);
        let before = seen.entry(key).or_default();
        let keep = match (intersect, all) {
            (true, true) => *before < on_right,
            (true, false) => *before == 0 && on_right > 0,
            (false, true) => *before >= on_right,
            (false, false) => *before == 0 && on_right == 0,
        };
        *before += 1;
        if keep {
            chosen.push(row as u32);
        }
    }
    left.gather(&chosen)
}
