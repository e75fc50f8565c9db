//! Constant keys taken out of GROUP BY and put beside the groups (`AggregateProjectPullUpConstantsRule`), so that one with
//! several values is not taken apart into groups.

use std::sync::Arc;

use super::{Rel, RelKind, Rex};
use crate::types::Field;

/// Rewrites the whole tree. A grouping keeps at least one key, as none would give a row where there are no rows.
pub fn pull_constants(rel: &Rel) -> Rel {
    let rel = rel.with_children(&mut |child| pull_constants(child));
    let RelKind::Aggregate { input, keys, sets, aggregates } = &rel.kind else { return rel };
    let whole = sets.len() == 1 && sets[0].len() == keys.len() && !aggregates.iter().any(|call| call.function == "GROUPING");
    if !whole || !keys.iter().any(is_constant) || keys.iter().all(is_constant) {
        return rel;
    }
    let mut exprs = Vec::with_capacity(rel.fields.len());
    let mut kept = Vec::new();
    for key in keys {
        if is_constant(key) {
            exprs.push(key.clone());
        } else {
            exprs.push(Rex::Input(kept.len(), key.sql_type().clone()));
            kept.push(key.clone());
        }
    }
    let count = kept.len();
    exprs.extend(aggregates.iter().enumerate().map(|(i, call)| Rex::Input(count + i, call.sql_type.clone())));
    let constant = |i: &usize| keys.get(*i).is_some_and(is_constant);
    let fields: Vec<Field> = (0..rel.fields.len()).filter(|i| !constant(i)).map(|i| rel.fields[i].clone()).collect();
    let names: Vec<Arc<str>> = rel.fields.iter().map(|f| f.name.clone()).collect();
    let kind =
        RelKind::Aggregate { input: input.clone(), keys: kept, sets: vec![(0..count).collect()], aggregates: aggregates.clone() };
    Rel::new(kind, fields).project(exprs, &names)
}

/// Calls of constants that stay calls, such as those that give several values. Plain literals are groups of their own.
fn is_constant(rex: &Rex) -> bool {
    matches!(rex, Rex::Call { .. })
        && !rex.any(&|node| matches!(node, Rex::Input(..) | Rex::Outer { .. } | Rex::Subquery { .. } | Rex::Aggregate(..)))
}
