//! Subqueries in the condition of a join. Of an inner join they are a filter above it; of another one what reads one side alone becomes
//! a column of that side. What reads both sides of an outer join stays, and is refused when it is run.

use super::{Rel, RelJoin, RelKind, Rex, SubqueryKind};
use crate::types::Field;

/// True for a subquery whose value depends on the row.
fn depends_on_row(rex: &Rex) -> bool {
    match rex {
        Rex::Subquery { kind: SubqueryKind::In, plan, args, .. } => args.len() > 1 || plan.is_correlated(),
        Rex::Subquery { plan, .. } => plan.is_correlated(),
        _ => false,
    }
}

/// The join with its condition free of such subqueries, as far as that can be done; `None` when there are none.
pub fn out_of_condition(rel: &Rel) -> Option<Rel> {
    let RelKind::Join { left, right, kind, condition } = &rel.kind else { return None };
    if !condition.any(&depends_on_row) {
        return None;
    }
    if *kind == RelJoin::Inner {
        let mut parts = Vec::new();
        condition.clone().conjuncts(&mut parts);
        let (late, early): (Vec<Rex>, Vec<Rex>) = parts.into_iter().partition(|part| part.any(&depends_on_row));
        let kind =
            RelKind::Join { left: left.clone(), right: right.clone(), kind: RelJoin::Inner, condition: Rex::and_all(early) };
        return Some(Rel { kind, fields: rel.fields.clone() }.filter(Rex::and_all(late)));
    }
    on_one_side(rel, left, right, *kind, condition)
}

fn on_one_side(rel: &Rel, left: &Rel, right: &Rel, kind: RelJoin, condition: &Rex) -> Option<Rel> {
    let (width, all) = (left.fields.len(), left.fields.len() + right.fields.len());
    // Each side's new columns; in the condition they stand after all others: those of the left on even numbers.
    let mut columns: [Vec<Rex>; 2] = [Vec::new(), Vec::new()];
    let condition = condition.clone().map(&mut |node| {
        if !depends_on_row(&node) {
            return node;
        }
        let mut used = Vec::new();
        node.inputs_used(&mut used);
        let (side, own) = match () {
            () if used.iter().all(|i| *i < width) => (0, node.clone()),
            () if used.iter().all(|i| (width..all).contains(i)) => (1, node.clone().shifted(-(width as isize))),
            () => return node,
        };
        let known = columns[side].iter().position(|column| *column == own);
        let at = known.unwrap_or_else(|| {
            columns[side].push(own);
            columns[side].len() - 1
        });
        Rex::Input(all + 2 * at + side, node.sql_type().clone())
    });
    if columns.iter().all(Vec::is_empty) {
        return None;
    }
    let [left_new, right_new] = [columns[0].len(), columns[1].len()];
    let types: Vec<Vec<_>> = columns.iter().map(|new| new.iter().map(|rex| rex.sql_type().clone()).collect()).collect();
    let place = |i: usize| match i {
        _ if i < width => Rex::Input(i, left.fields[i].sql_type.clone()),
        _ if i < all => Rex::Input(i + left_new, right.fields[i - width].sql_type.clone()),
        _ => {
            let (side, at) = ((i - all) % 2, (i - all) / 2);
            let from = if side == 0 { width } else { all + left_new };
            Rex::Input(from + at, types[side][at].clone())
        }
    };
    let condition = condition.with_inputs(&place);
    let [left_columns, right_columns] = columns;
    let (left, right) = (widened(left, left_columns), widened(right, right_columns));
    let visible: Vec<usize> = (0..width).chain((width..all).map(|i| i + left_new)).take(rel.fields.len()).collect();
    let mut fields: Vec<Field> = left.fields.to_vec();
    if !kind.left_only() {
        fields.extend(right.fields.iter().cloned());
    }
    debug_assert!(right.fields.len() == all - width + right_new);
    let join = Rel::new(RelKind::Join { left: Box::new(left), right: Box::new(right), kind, condition }, fields);
    let names: Vec<_> = rel.fields.iter().map(|field| field.name.clone()).collect();
    let exprs = visible.into_iter().zip(rel.fields.iter()).map(|(i, f)| Rex::Input(i, f.sql_type.clone())).collect();
    Some(join.project(exprs, &names))
}

/// The relation with further columns.
fn widened(rel: &Rel, columns: Vec<Rex>) -> Rel {
    if columns.is_empty() {
        return rel.clone();
    }
    let mut names: Vec<_> = rel.fields.iter().map(|field| field.name.clone()).collect();
    names.extend((0..columns.len()).map(|i| format!("$on{i}").into()));
    let mut exprs = rel.inputs();
    exprs.extend(columns);
    rel.clone().project(exprs, &names)
}
