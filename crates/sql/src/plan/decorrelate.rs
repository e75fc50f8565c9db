//! Correlated subqueries as joins (Calcite's `RelDecorrelator`): EXISTS and IN become semi joins, NOT EXISTS an anti join,
//! an aggregate a left join with the groups of what it is correlated on. What has another shape stays a subquery.

use super::{AggregateCall, Rel, RelJoin, RelKind, Rex, SubqueryKind};
use crate::types::{Field, SqlType};

/// Rewrites the whole tree.
pub fn decorrelate(rel: &Rel) -> Rel {
    if let Some(rel) = super::on::out_of_condition(rel) {
        return decorrelate(&rel);
    }
    let rel = rel.with_children(&mut |child| decorrelate(child));
    match &rel.kind {
        RelKind::Filter { input, condition } => filter(&rel, input, condition).unwrap_or(rel),
        RelKind::Project { input, exprs } => {
            let mut joined = Joined::over(input);
            let exprs: Vec<Rex> = exprs.iter().map(|rex| joined.replace(rex.clone())).collect();
            if !joined.changed {
                return rel;
            }
            let kind = RelKind::Project { input: Box::new(joined.rel), exprs };
            Rel { kind, fields: rel.fields.clone() }
        }
        _ => rel,
    }
}

fn filter(rel: &Rel, input: &Rel, condition: &Rex) -> Option<Rel> {
    let mut parts = Vec::new();
    condition.clone().conjuncts(&mut parts);
    let (mut tests, mut plain, mut late) = (Vec::new(), Vec::new(), Vec::new());
    for part in parts {
        match semi_join(&part, input.fields.len()) {
            Some(test) => tests.push(test),
            None if part.any(&|node| matches!(node, Rex::Subquery { .. })) => late.push(part),
            None => plain.push(part),
        }
    }
    let correlated = |rex: &Rex| rex.any(&|n| matches!(n, Rex::Subquery { plan, .. } if plan.is_correlated()));
    if tests.is_empty() && !late.iter().any(correlated) {
        return None;
    }
    let mut out = if plain.is_empty() { input.clone() } else { input.clone().filter(Rex::and_all(plain)) };
    for (right, kind, condition) in tests {
        let fields = out.fields.clone();
        out = Rel { kind: RelKind::Join { left: Box::new(out), right: Box::new(right), kind, condition }, fields };
    }
    if late.is_empty() {
        return Some(out);
    }
    let mut joined = Joined::over(&out);
    let late: Vec<Rex> = late.into_iter().map(|rex| joined.replace(rex)).collect();
    let filtered = joined.rel.filter(Rex::and_all(late));
    if !joined.changed {
        return Some(filtered);
    }
    let names: Vec<_> = rel.fields.iter().map(|f| f.name.clone()).collect();
    let exprs = rel.fields.iter().enumerate().map(|(i, f)| Rex::Input(i, f.sql_type.clone())).collect();
    Some(filtered.project(exprs, &names))
}

/// A relation whose rows do not depend on the query around it, what it gives, and the conditions that tie it to that query.
struct Parts {
    core: Rel,
    outputs: Vec<Rex>,
    ties: Vec<Rex>,
}

fn has_subquery(rex: &Rex) -> bool {
    rex.any(&|node| matches!(node, Rex::Subquery { .. }))
}

fn has_outer(rex: &Rex) -> bool {
    rex.any(&|node| matches!(node, Rex::Outer { .. }))
}

/// Takes projections and filters off until nothing outer is left. `exists` says that only whether there are rows counts.
fn taken_apart(rel: &Rel, exists: bool) -> Option<Parts> {
    match &rel.kind {
        RelKind::Project { input, exprs } if !exprs.iter().any(|rex| has_outer(rex) || has_subquery(rex)) => {
            let inner = taken_apart(input, exists)?;
            let outputs = exprs.iter().map(|rex| rex.clone().with_inputs(&|i| inner.outputs[i].clone())).collect();
            Some(Parts { outputs, ..inner })
        }
        RelKind::Filter { input, condition } => {
            let Parts { mut core, outputs, mut ties } = taken_apart(input, exists)?;
            let mut parts = Vec::new();
            condition.clone().conjuncts(&mut parts);
            let plain = outputs.iter().all(|rex| matches!(rex, Rex::Input(..)));
            for part in parts {
                if has_subquery(&part) && !plain {
                    return None;
                }
                let part = part.with_inputs(&|i| outputs[i].clone());
                let deep = has_subquery(&part) && Rel::new(RelKind::Values(vec![vec![part.clone()]]), Vec::new()).is_correlated();
                if deep {
                    // A subquery inside may itself be tied to its own neighbours only.
                    let mut used = Vec::new();
                    part.visit(&mut |node| match node {
                        Rex::Outer { index, .. } => used.push(*index),
                        Rex::Subquery { plan, .. } => (2..6).for_each(|depth| plan.outer_used(depth, &mut used)),
                        _ => {}
                    });
                    if !used.is_empty() {
                        return None;
                    }
                }
                if has_outer(&part) {
                    ties.push(part);
                } else {
                    core = core.filter(part);
                }
            }
            Some(Parts { core, outputs, ties })
        }
        RelKind::Sort { input, limit, offset: 0, .. } if limit.is_none() || exists && *limit != Some(0) => {
            taken_apart(input, exists)
        }
        RelKind::Aggregate { input, keys, sets, aggregates }
            if exists && aggregates.is_empty() && sets.len() == 1 && !keys.is_empty() && !keys.iter().any(has_outer) =>
        {
            let inner = taken_apart(input, exists)?;
            let outputs = keys.iter().map(|rex| rex.clone().with_inputs(&|i| inner.outputs[i].clone())).collect();
            Some(Parts { outputs, ..inner })
        }
        _ if rel.is_correlated() => None,
        _ => Some(Parts { core: rel.clone(), outputs: rel.inputs(), ties: Vec::new() }),
    }
}

/// A tie as a condition over the outer columns and then, from `width` on, the core's.
fn as_condition(tie: Rex, width: usize) -> Option<Rex> {
    let too_far = tie.any(&|node| matches!(node, Rex::Outer { depth, .. } if *depth != 1));
    if too_far || has_subquery(&tie) {
        return None;
    }
    Some(tie.map(&mut |node| match node {
        Rex::Input(index, t) => Rex::Input(width + index, t),
        Rex::Outer { index, sql_type, .. } => Rex::Input(index, sql_type),
        other => other,
    }))
}

/// `[NOT] EXISTS (…)` and `x IN (…)` with ties: the right side, the kind and the condition.
fn semi_join(rex: &Rex, width: usize) -> Option<(Rel, RelJoin, Rex)> {
    let (subquery, kind) = match rex {
        Rex::Call { op: "NOT", args, .. } => (&args[0], RelJoin::Anti),
        other => (other, RelJoin::Semi),
    };
    let Rex::Subquery { kind: what, plan, args, .. } = subquery else { return None };
    if !plan.is_correlated() {
        return None;
    }
    match what {
        SubqueryKind::Exists => {}
        SubqueryKind::In if kind == RelJoin::Semi && !args.iter().any(has_subquery) => {}
        _ => return None,
    }
    let Parts { core, outputs, ties } = taken_apart(plan, true)?;
    let mut conditions = ties.into_iter().map(|tie| as_condition(tie, width)).collect::<Option<Vec<_>>>()?;
    if *what == SubqueryKind::In {
        for (arg, output) in args.iter().zip(outputs) {
            conditions.push(Rex::call("=", vec![arg.clone(), output.shifted(width as isize)], SqlType::Boolean));
        }
    }
    Some((decorrelate(&core), kind, Rex::and_all(conditions)))
}

/// A relation that correlated scalar subqueries are joined to, one after the other.
struct Joined {
    rel: Rel,
    changed: bool,
}

impl Joined {
    fn over(rel: &Rel) -> Joined {
        Joined { rel: rel.clone(), changed: false }
    }

    /// The expression with references to joined columns in place of scalar subqueries, as far as that can be done.
    fn replace(&mut self, rex: Rex) -> Rex {
        rex.map(&mut |node| match &node {
            Rex::Subquery { kind: SubqueryKind::Scalar, plan, .. } if plan.is_correlated() => self.join(plan).unwrap_or(node),
            _ => node,
        })
    }

    fn join(&mut self, plan: &Rel) -> Option<Rex> {
        // What is done with the aggregates is done above the join.
        let (mut rel, mut value) = (plan, Rex::Input(0, plan.fields[0].sql_type.clone()));
        while let RelKind::Project { input, exprs } = &rel.kind {
            if exprs.iter().any(|rex| has_outer(rex) || has_subquery(rex)) {
                return None;
            }
            value = value.with_inputs(&|i| exprs[i].clone());
            rel = input;
        }
        let RelKind::Aggregate { input, keys, aggregates, .. } = &rel.kind else { return None };
        let own = aggregates.iter().flat_map(|call| call.args.iter().chain(&call.filter));
        if !keys.is_empty() || aggregates.is_empty() || own.into_iter().any(|rex| has_outer(rex) || has_subquery(rex)) {
            return None;
        }
        let Parts { core, outputs, ties } = taken_apart(input, false)?;
        let width = self.rel.fields.len();
        let (mut inner, mut outer) = (Vec::new(), Vec::new());
        for tie in ties {
            let Rex::Call { op: "=", args, .. } = &tie else { return None };
            let own = |rex: &Rex| !has_outer(rex) && !has_subquery(rex) && rex.any(&|n| matches!(n, Rex::Input(..)));
            let its = |rex: &Rex| !has_subquery(rex) && !rex.any(&|n| matches!(n, Rex::Input(..)));
            let (mine, other) = match (&args[0], &args[1]) {
                (a, b) if own(a) && its(b) => (a, b),
                (b, a) if own(a) && its(b) => (a, b),
                _ => return None,
            };
            inner.push(mine.clone());
            outer.push(as_condition(other.clone(), 0)?);
        }
        let over = |rex: &Rex| rex.clone().with_inputs(&|i| outputs[i].clone());
        let calls: Vec<AggregateCall> = aggregates
            .iter()
            .map(|call| AggregateCall {
                args: call.args.iter().map(over).collect(),
                filter: call.filter.as_ref().map(over),
                ..call.clone()
            })
            .collect();
        let count = inner.len();
        let types = inner.iter().map(|rex| rex.sql_type().clone()).chain(calls.iter().map(|call| call.sql_type.clone()));
        let fields: Vec<Field> = types.enumerate().map(|(i, t)| Field::new(&format!("g{i}"), t)).collect();
        let condition: Vec<Rex> = inner
            .iter()
            .zip(outer)
            .enumerate()
            .map(|(i, (mine, other))| {
                Rex::call("=", vec![other, Rex::Input(width + i, mine.sql_type().clone())], SqlType::Boolean)
            })
            .collect();
        let kind = RelKind::Aggregate {
            input: Box::new(decorrelate(&core)),
            keys: inner,
            sets: vec![(0..count).collect()],
            aggregates: calls,
        };
        let groups = Rel::new(kind, fields);
        let mut all = self.rel.fields.to_vec();
        all.extend(groups.fields.iter().cloned());
        let kind = RelKind::Join {
            left: Box::new(self.rel.clone()),
            right: Box::new(groups),
            kind: RelJoin::Left,
            condition: Rex::and_all(condition),
        };
        self.rel = Rel::new(kind, all);
        self.changed = true;
        Some(value.with_inputs(&|i| {
            let call = &aggregates[i];
            let column = Rex::Input(width + count + i, call.sql_type.clone());
            // No rows make no group, but a count of nought.
            if call.function.contains("COUNT") {
                Rex::call("COALESCE", vec![column, Rex::long(0)], call.sql_type.clone())
            } else {
                column
            }
        }))
    }
}
