//! Rewriting of bound plans: constants folded, filters moved down to where the rows come from.

use super::factor::factored;
use super::{Rel, RelJoin, RelKind, Rex};
use crate::types::SqlType;

/// Evaluates calls of constants by `eval`, which gives `None` where that cannot be done.
pub fn fold_constants(rel: &Rel, eval: &dyn Fn(&Rex) -> Option<Rex>) -> Rel {
    rel.map_exprs(&|rex, _| {
        rex.map(&mut |node| match &node {
            Rex::Call { args, .. } if args.iter().all(Rex::is_literal) => eval(&node).unwrap_or(node),
            Rex::Call { op: op @ ("AND" | "OR"), args, .. } => simplify(op, args).unwrap_or(node),
            _ => node,
        })
    })
}

/// AND and OR without constants that do not matter.
fn simplify(op: &'static str, args: &[Rex]) -> Option<Rex> {
    let truth = |rex: &Rex| rex.literal().and_then(|v| v.as_long()).map(|v| v != 0);
    let absorbing = op == "OR";
    if args.iter().any(|arg| truth(arg) == Some(absorbing)) {
        return Some(Rex::boolean(absorbing));
    }
    if op == "AND" && contradicts(args) {
        return Some(Rex::boolean(false));
    }
    let rest: Vec<Rex> = args.iter().filter(|arg| truth(arg) != Some(!absorbing)).cloned().collect();
    if rest.len() == args.len() {
        return None;
    }
    Some(match rest.len() {
        0 => Rex::boolean(!absorbing),
        1 => rest.into_iter().next()?,
        _ => Rex::call(op, rest, SqlType::Boolean),
    })
}

/// `x = 1 AND x = 2`: nothing fits, also where x has several values (Calcite's `RexSimplify`).
fn contradicts(args: &[Rex]) -> bool {
    let equalities: Vec<(&Rex, &Rex)> = args
        .iter()
        .filter_map(|arg| match arg {
            Rex::Call { op: "=", args, .. } if args[1].is_literal() && !args[0].is_literal() => Some((&args[0], &args[1])),
            _ => None,
        })
        .collect();
    let differ = |a: &Rex, b: &Rex| match (a.literal(), b.literal()) {
        (Some(a), Some(b)) => !a.is_null() && !b.is_null() && a.compare(b).is_ne(),
        _ => false,
    };
    // Quadratic, so only for short lists.
    equalities.len() <= 32
        && equalities.iter().enumerate().any(|(i, (value, constant))| {
            equalities[i + 1..].iter().any(|(other, second)| value == other && differ(constant, second))
        })
}

/// Moves filters below projections, joins, unions and unnests as far as they may go.
pub fn push_filters(rel: &Rel) -> Rel {
    push(rel, Vec::new())
}

fn wrap(rel: Rel, conditions: Vec<Rex>) -> Rel {
    if conditions.is_empty() { rel } else { rel.filter(Rex::and_all(conditions)) }
}

fn has_subquery(rex: &Rex) -> bool {
    rex.any(&|node| matches!(node, Rex::Subquery { .. }))
}

/// The relation with these conditions on its output applied.
fn push(rel: &Rel, mut conditions: Vec<Rex>) -> Rel {
    match &rel.kind {
        RelKind::Filter { input, condition } => {
            condition.clone().conjuncts(&mut conditions);
            push(input, conditions)
        }
        RelKind::Project { input, exprs } if !exprs.iter().any(has_subquery) => {
            let below: Vec<Rex> = conditions.into_iter().map(|c| c.with_inputs(&|i| exprs[i].clone())).collect();
            rel.with_children(&mut |_| push(input, below.clone()))
        }
        RelKind::Union(inputs) if !conditions.iter().any(has_subquery) => {
            let inputs = inputs.iter().map(|input| push(input, conditions.clone())).collect();
            Rel { kind: RelKind::Union(inputs), fields: rel.fields.clone() }
        }
        RelKind::Unnest { input, .. } => {
            let width = input.fields.len();
            let (below, above) = conditions.into_iter().partition(|c| reads_only(c, 0, width) && !has_subquery(c));
            let below: Vec<Rex> = below;
            wrap(rel.with_children(&mut |child| push(child, below.clone())), above)
        }
        RelKind::Join { .. } => push_join(rel, conditions),
        RelKind::Aggregate { input, keys, sets, .. } if sets.len() == 1 && sets[0].len() == keys.len() => {
            let (below, above) = conditions.into_iter().partition(|c| on_keys(c, keys));
            let below: Vec<Rex> = below;
            let below: Vec<Rex> = below.into_iter().map(|c| c.with_inputs(&|i| keys[i].clone())).collect();
            wrap(rel.with_children(&mut |_| push(input, below.clone())), above)
        }
        RelKind::Sort { limit: None, offset: 0, .. } => rel.with_children(&mut |child| push(child, conditions.clone())),
        _ => wrap(rel.with_children(&mut |child| push(child, Vec::new())), conditions),
    }
}

/// True for conditions on group keys that choose groups by choosing rows: of numbers, as a text may have several values in
/// a row of which each is a group.
fn on_keys(condition: &Rex, keys: &[Rex]) -> bool {
    let number = |rex: &Rex| rex.sql_type().native().is_numeric();
    let mut used = Vec::new();
    condition.inputs_used(&mut used);
    !used.is_empty()
        && !has_subquery(condition)
        && used.iter().all(|i| keys.get(*i).is_some_and(|key| number(key) && !has_subquery(key) && single_valued(key)))
}

fn single_valued(key: &Rex) -> bool {
    !key.any(&|node| matches!(node, Rex::Input(_, t) if !t.native().is_numeric()))
}

/// True when all inputs lie in `from..to`.
pub fn reads_only(rex: &Rex, from: usize, to: usize) -> bool {
    let mut used = Vec::new();
    rex.inputs_used(&mut used);
    used.iter().all(|i| (from..to).contains(i))
}

fn push_join(rel: &Rel, conditions: Vec<Rex>) -> Rel {
    let RelKind::Join { left, right, kind, condition } = &rel.kind else { return wrap(rel.clone(), conditions) };
    let (width, total) = (left.fields.len(), left.fields.len() + right.fields.len());
    let (mut to_left, mut to_right, mut on, mut above) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut kind = *kind;
    let conditions = if kind == RelJoin::Inner { factored(conditions, width, total) } else { conditions };
    // A condition that no null-filled row passes makes an outer join an inner one on that side.
    let strict_right = conditions.iter().any(|c| rejects_nulls(c, width, total));
    let strict_left = conditions.iter().any(|c| rejects_nulls(c, 0, width));
    kind = match kind {
        RelJoin::Left if strict_right => RelJoin::Inner,
        RelJoin::Right if strict_left => RelJoin::Inner,
        RelJoin::Full if strict_left && strict_right => RelJoin::Inner,
        RelJoin::Full if strict_left => RelJoin::Left,
        RelJoin::Full if strict_right => RelJoin::Right,
        other => other,
    };
    for c in conditions {
        if has_subquery(&c) {
            above.push(c);
        } else if reads_only(&c, 0, width) && matches!(kind, RelJoin::Inner | RelJoin::Left | RelJoin::Semi | RelJoin::Anti) {
            to_left.push(c);
        } else if reads_only(&c, width, total) && matches!(kind, RelJoin::Inner | RelJoin::Right) {
            to_right.push(c.shifted(-(width as isize)));
        } else if kind == RelJoin::Inner {
            on.push(c);
        } else {
            above.push(c);
        }
    }
    let mut own = Vec::new();
    condition.clone().conjuncts(&mut own);
    let own = if kind == RelJoin::Inner { factored(own, width, total) } else { own };
    for c in own {
        if has_subquery(&c) {
            on.push(c);
        } else if reads_only(&c, 0, width) && matches!(kind, RelJoin::Inner | RelJoin::Right | RelJoin::Semi) && !is_constant(&c)
        {
            to_left.push(c);
        } else if reads_only(&c, width, total) && !matches!(kind, RelJoin::Right | RelJoin::Full) && !is_constant(&c) {
            to_right.push(c.shifted(-(width as isize)));
        } else {
            on.push(c);
        }
    }
    let kind = RelKind::Join {
        left: Box::new(push(left, to_left)),
        right: Box::new(push(right, to_right)),
        kind,
        condition: Rex::and_all(on),
    };
    wrap(Rel { kind, fields: rel.fields.clone() }, above)
}

fn is_constant(rex: &Rex) -> bool {
    !rex.any(&|node| matches!(node, Rex::Input(..)))
}

/// True for comparisons that are not true when the columns in `from..to` are null.
fn rejects_nulls(rex: &Rex, from: usize, to: usize) -> bool {
    match rex {
        Rex::Call {
            op: "=" | "<>" | "<" | "<=" | ">" | ">=" | "IN" | "IN_SET" | "SCALAR_IN_ARRAY" | "LIKE" | "IS NOT NULL",
            args,
            ..
        } => args.iter().any(|arg| null_of_null(arg, from, to)),
        Rex::Call { op: "AND", args, .. } => args.iter().any(|arg| rejects_nulls(arg, from, to)),
        _ => false,
    }
}

/// True for what is null where the columns in `from..to` are.
fn null_of_null(rex: &Rex, from: usize, to: usize) -> bool {
    match rex {
        Rex::Input(i, _) => (from..to).contains(i),
        Rex::Call { op: "+" | "-" | "*" | "NEGATE", args, .. } => args.iter().any(|arg| null_of_null(arg, from, to)),
        _ => false,
    }
}
