//! ORs that span a join: what all branches have in common stands beside them, and what they say of one side alone becomes a
//! condition on that side (Calcite's `RexUtil.pullFactors`, `JoinPushTransitivePredicates`).

use super::Rex;
use super::optimise::reads_only;
use crate::types::SqlType;

/// The conditions of a join whose left columns are `..width`, with what ORs imply.
pub fn factored(conditions: Vec<Rex>, width: usize, total: usize) -> Vec<Rex> {
    let mut out = Vec::with_capacity(conditions.len());
    for condition in conditions {
        let Rex::Call { op: "OR", args, .. } = &condition else {
            out.push(condition);
            continue;
        };
        if reads_only(&condition, 0, width) || reads_only(&condition, width, total) {
            out.push(condition);
            continue;
        }
        let branches: Vec<Vec<Rex>> = args
            .iter()
            .map(|arg| {
                let mut parts = Vec::new();
                arg.clone().conjuncts(&mut parts);
                parts
            })
            .collect();
        let common: Vec<Rex> =
            branches[0].iter().filter(|part| branches[1..].iter().all(|other| other.contains(part))).cloned().collect();
        for (from, to) in [(0, width), (width, total)] {
            out.extend(implied(&branches, &common, from, to));
        }
        let rest: Vec<Vec<Rex>> =
            branches.into_iter().map(|parts| parts.into_iter().filter(|part| !common.contains(part)).collect()).collect();
        if rest.iter().all(|parts| !parts.is_empty()) {
            out.push(Rex::call("OR", rest.into_iter().map(Rex::and_all).collect(), SqlType::Boolean));
        }
        out.extend(common);
    }
    out
}

/// The OR of what each branch says of some columns alone, when every branch says something that is not common to all.
fn implied(branches: &[Vec<Rex>], common: &[Rex], from: usize, to: usize) -> Option<Rex> {
    let own = |parts: &Vec<Rex>| -> Option<Rex> {
        let list: Vec<Rex> = parts
            .iter()
            .filter(|part| !common.contains(part) && !part.is_literal() && reads_only(part, from, to))
            .cloned()
            .collect();
        (!list.is_empty()).then(|| Rex::and_all(list))
    };
    let parts = branches.iter().map(own).collect::<Option<Vec<_>>>()?;
    Some(Rex::call("OR", parts, SqlType::Boolean))
}
