//! Columns that nobody reads are not given by the sides of joins (Calcite's `RelFieldTrimmer`); leaves under them scan only
//! what is used.

use std::sync::Arc;

use super::{Rel, RelJoin, RelKind, Rex};

/// The same rows and columns, with less below.
pub fn prune_columns(rel: &Rel) -> Rel {
    if !has_join(rel) {
        return rel.clone();
    }
    exactly(rel, &vec![true; rel.fields.len()])
}

fn has_join(rel: &Rel) -> bool {
    matches!(rel.kind, RelKind::Join { .. }) || rel.children().into_iter().any(has_join)
}

/// A relation that has at least the wanted columns, and where each of the old ones stands.
struct Narrowed {
    rel: Rel,
    places: Vec<Option<usize>>,
}

impl Narrowed {
    fn whole(rel: Rel) -> Narrowed {
        let places = (0..rel.fields.len()).map(Some).collect();
        Narrowed { rel, places }
    }

    fn place(&self, index: usize) -> usize {
        self.places.get(index).copied().flatten().unwrap_or(0)
    }

    fn over(&self, rex: &Rex) -> Rex {
        rex.clone().with_inputs(&|i| Rex::Input(self.place(i), self.rel.fields[self.place(i)].sql_type.clone()))
    }
}

/// The wanted columns and no others, in order.
fn exactly(rel: &Rel, wanted: &[bool]) -> Rel {
    let narrowed = narrow(rel, wanted);
    let kept: Vec<usize> = (0..wanted.len()).filter(|i| wanted[*i]).collect();
    let same = narrowed.rel.fields.len() == kept.len() && kept.iter().enumerate().all(|(at, i)| narrowed.place(*i) == at);
    if same {
        return narrowed.rel;
    }
    let exprs = kept.iter().map(|i| Rex::Input(narrowed.place(*i), rel.fields[*i].sql_type.clone())).collect();
    let names: Vec<Arc<str>> = kept.iter().map(|i| rel.fields[*i].name.clone()).collect();
    narrowed.rel.project(exprs, &names)
}

fn with_used<'r>(wanted: &[bool], exprs: impl Iterator<Item = &'r Rex>) -> Vec<bool> {
    let mut out = wanted.to_vec();
    let mut used = Vec::new();
    exprs.for_each(|rex| rex.inputs_used(&mut used));
    used.into_iter().for_each(|i| {
        if let Some(slot) = out.get_mut(i) {
            *slot = true;
        }
    });
    out
}

fn narrow(rel: &Rel, wanted: &[bool]) -> Narrowed {
    match &rel.kind {
        RelKind::Filter { input, condition } => {
            let inner = narrow(input, &with_used(wanted, std::iter::once(condition)));
            let condition = inner.over(condition);
            Narrowed { rel: inner.rel.filter(condition), places: inner.places }
        }
        RelKind::Project { input, exprs } => {
            let kept: Vec<usize> = (0..exprs.len()).filter(|i| wanted[*i]).collect();
            let used = with_used(&vec![false; input.fields.len()], kept.iter().map(|i| &exprs[*i]));
            let inner = narrow(input, &used);
            let names: Vec<Arc<str>> = kept.iter().map(|i| rel.fields[*i].name.clone()).collect();
            let exprs = kept.iter().map(|i| inner.over(&exprs[*i])).collect();
            let mut places = vec![None; wanted.len()];
            kept.iter().enumerate().for_each(|(at, i)| places[*i] = Some(at));
            Narrowed { rel: inner.rel.project(exprs, &names), places }
        }
        RelKind::Sort { input, keys, offset, limit } => {
            let mut all = wanted.to_vec();
            keys.iter().for_each(|key| all[key.column] = true);
            let inner = narrow(input, &all);
            let mut keys = keys.clone();
            keys.iter_mut().for_each(|key| key.column = inner.place(key.column));
            let fields = inner.rel.fields.clone();
            let kind = RelKind::Sort { input: Box::new(inner.rel), keys, offset: *offset, limit: *limit };
            Narrowed { rel: Rel { kind, fields }, places: inner.places }
        }
        RelKind::Aggregate { input, keys, sets, aggregates } => {
            let count = keys.len();
            let kept: Vec<usize> = (0..aggregates.len()).filter(|i| wanted[count + *i]).collect();
            // One that is only there to make a row of no keys stays.
            let kept = if count == 0 && kept.is_empty() { (0..aggregates.len()).collect() } else { kept };
            let exprs = keys.iter().chain(kept.iter().flat_map(|i| aggregates[*i].args.iter().chain(&aggregates[*i].filter)));
            let inner = narrow(input, &with_used(&vec![false; input.fields.len()], exprs));
            let calls = kept
                .iter()
                .map(|i| {
                    let mut call = aggregates[*i].clone();
                    call.args = call.args.iter().map(|rex| inner.over(rex)).collect();
                    call.filter = call.filter.as_ref().map(|rex| inner.over(rex));
                    call
                })
                .collect();
            let mut places: Vec<Option<usize>> = (0..count).map(Some).collect();
            places.resize(rel.fields.len(), None);
            kept.iter().enumerate().for_each(|(at, i)| places[count + *i] = Some(count + at));
            let fields: Vec<_> = (0..rel.fields.len()).filter(|i| places[*i].is_some()).map(|i| rel.fields[i].clone()).collect();
            let keys = keys.iter().map(|rex| inner.over(rex)).collect();
            let kind = RelKind::Aggregate { input: Box::new(inner.rel), keys, sets: sets.clone(), aggregates: calls };
            Narrowed { rel: Rel::new(kind, fields), places }
        }
        RelKind::Join { left, right, kind, condition } => join(left, right, *kind, condition, wanted),
        RelKind::Union(inputs) => {
            let kept: Vec<_> = rel.fields.iter().zip(wanted).filter(|(_, w)| **w).map(|(f, _)| f.clone()).collect();
            let inputs = inputs.iter().map(|input| exactly(input, wanted)).collect();
            let mut next = 0..;
            let places = wanted.iter().map(|w| if *w { next.next() } else { None }).collect();
            Narrowed { rel: Rel::new(RelKind::Union(inputs), kept), places }
        }
        // These read all that is below them.
        _ => Narrowed::whole(rel.with_children(&mut |child| exactly(child, &vec![true; child.fields.len()]))),
    }
}

fn join(left: &Rel, right: &Rel, kind: RelJoin, condition: &Rex, wanted: &[bool]) -> Narrowed {
    let width = left.fields.len();
    let mut all = wanted.to_vec();
    all.resize(width + right.fields.len(), false);
    let all = with_used(&all, std::iter::once(condition));
    let (l, r) = (exactly(left, &all[..width]), exactly(right, &all[width..]));
    let mut next = 0..;
    let places: Vec<Option<usize>> = all.iter().map(|w| if *w { next.next() } else { None }).collect();
    let mut fields = l.fields.to_vec();
    fields.extend(r.fields.iter().cloned());
    let shape = Narrowed { rel: Rel::new(RelKind::Values(Vec::new()), fields), places };
    let condition = shape.over(condition);
    let mut fields = shape.rel.fields.to_vec();
    let mut places = shape.places;
    if kind.left_only() {
        fields.truncate(l.fields.len());
        places.truncate(width);
    }
    let kind = RelKind::Join { left: Box::new(l), right: Box::new(r), kind, condition };
    Narrowed { rel: Rel::new(kind, fields), places }
}
