//! Exact DISTINCT aggregates as grouping twice: first by the keys and the argument, then by the keys
//! (`AggregateExpandDistinctAggregatesRule`). Different arguments are grouped apart and joined on the keys.

use std::sync::Arc;

use super::{AggregateCall, Rel, RelJoin, RelKind, Rex};
use crate::types::{Field, SqlType};

/// Rewrites the whole tree. With `approximate`, COUNT(DISTINCT) stays and becomes a sketch.
pub fn expand_distinct(rel: &Rel, approximate: bool) -> Rel {
    let rel = rel.with_children(&mut |child| expand_distinct(child, approximate));
    let RelKind::Aggregate { input, keys, sets, aggregates } = &rel.kind else { return rel };
    if !aggregates.iter().any(|call| needs_grouping(call, approximate)) {
        return rel;
    }
    expand(&rel, input, keys, sets, aggregates, approximate)
}

fn needs_grouping(call: &AggregateCall, approximate: bool) -> bool {
    call.distinct
        && match call.function {
            "COUNT" => !approximate,
            "SUM" | "AVG" | "BIT_XOR" | "VAR_POP" | "VAR_SAMP" | "VARIANCE" | "STDDEV_POP" | "STDDEV_SAMP" | "STDDEV" => true,
            _ => false,
        }
}

/// The argument with FILTER folded in: what does not pass is null and so not counted.
fn distinct_args(call: &AggregateCall) -> Vec<Rex> {
    let Some(filter) = &call.filter else { return call.args.clone() };
    let masked = |arg: &Rex| {
        let t = arg.sql_type().clone();
        Rex::call("CASE", vec![filter.clone(), arg.clone(), Rex::null(t.clone())], t)
    };
    call.args.iter().map(masked).collect()
}

fn expand(rel: &Rel, input: &Rel, keys: &[Rex], sets: &[Vec<usize>], calls: &[AggregateCall], approximate: bool) -> Rel {
    if sets.len() > 1 {
        return expand_sets(rel, input, keys, sets, calls, approximate);
    }
    let mut groups: Vec<(Vec<Rex>, Vec<usize>)> = Vec::new();
    let mut plain: Vec<usize> = Vec::new();
    for (i, call) in calls.iter().enumerate() {
        if !needs_grouping(call, approximate) {
            plain.push(i);
            continue;
        }
        let args = distinct_args(call);
        match groups.iter_mut().find(|(known, _)| *known == args) {
            Some((_, list)) => list.push(i),
            None => groups.push((args, vec![i])),
        }
    }
    // One relation for the plain aggregates and one for each distinct argument, all with the keys first.
    let mut parts: Vec<(Rel, Vec<usize>)> = Vec::new();
    if !plain.is_empty() {
        let chosen: Vec<AggregateCall> = plain.iter().map(|i| calls[*i].clone()).collect();
        parts.push((aggregate(input.clone(), keys.to_vec(), chosen), plain));
    }
    for (args, list) in groups {
        parts.push((twice(input, keys, &args, &list, calls), list));
    }
    let mut places = vec![0; calls.len()];
    let mut parts = parts.into_iter();
    let Some((mut joined, first)) = parts.next() else { return rel.clone() };
    first.iter().enumerate().for_each(|(at, call)| places[*call] = keys.len() + at);
    for (part, list) in parts {
        let width = joined.fields.len();
        let equal = (0..keys.len())
            .map(|i| {
                let t = keys[i].sql_type().clone();
                Rex::call("IS NOT DISTINCT FROM", vec![Rex::Input(i, t.clone()), Rex::Input(width + i, t)], SqlType::Boolean)
            })
            .collect();
        let mut fields = joined.fields.to_vec();
        fields.extend(part.fields.iter().cloned());
        let kind =
            RelKind::Join { left: Box::new(joined), right: Box::new(part), kind: RelJoin::Inner, condition: Rex::and_all(equal) };
        joined = Rel::new(kind, fields);
        list.iter().enumerate().for_each(|(at, call)| places[*call] = width + keys.len() + at);
    }
    let mut exprs: Vec<Rex> = keys.iter().enumerate().map(|(i, key)| Rex::Input(i, key.sql_type().clone())).collect();
    exprs.extend(calls.iter().zip(&places).map(|(call, place)| Rex::Input(*place, call.sql_type.clone())));
    let names: Vec<Arc<str>> = rel.fields.iter().map(|f| f.name.clone()).collect();
    joined.project(exprs, &names)
}

/// Each grouping set by itself, with nulls for the keys that it lacks.
fn expand_sets(rel: &Rel, input: &Rel, keys: &[Rex], sets: &[Vec<usize>], calls: &[AggregateCall], approximate: bool) -> Rel {
    let names: Vec<Arc<str>> = rel.fields.iter().map(|f| f.name.clone()).collect();
    let mut inputs = Vec::new();
    for set in sets {
        let own: Vec<Rex> = set.iter().map(|i| keys[*i].clone()).collect();
        let chosen: Vec<AggregateCall> = calls.iter().filter(|c| c.function != "GROUPING").cloned().collect();
        let one = aggregate(input.clone(), own.clone(), chosen.clone());
        let one = expand(&one, input, &own, &[(0..own.len()).collect()], &chosen, approximate);
        let mut exprs: Vec<Rex> = keys
            .iter()
            .enumerate()
            .map(|(i, key)| match set.iter().position(|k| *k == i) {
                Some(at) => Rex::Input(at, key.sql_type().clone()),
                None => Rex::null(key.sql_type().clone()),
            })
            .collect();
        let mut next = own.len();
        for call in calls {
            if call.function == "GROUPING" {
                let absent = |arg: &Rex| !keys.iter().position(|k| k == arg).is_some_and(|i| set.contains(&i));
                exprs.push(Rex::long(call.args.iter().fold(0, |bits, arg| bits << 1 | i64::from(absent(arg)))));
            } else {
                exprs.push(Rex::Input(next, call.sql_type.clone()));
                next += 1;
            }
        }
        inputs.push(one.project(exprs, &names));
    }
    Rel::new(RelKind::Union(inputs), rel.fields.clone())
}

fn aggregate(input: Rel, keys: Vec<Rex>, aggregates: Vec<AggregateCall>) -> Rel {
    let types = keys.iter().map(|k| k.sql_type().clone()).chain(aggregates.iter().map(|c| c.sql_type.clone()));
    let fields: Vec<Field> = types.enumerate().map(|(i, t)| Field::new(&format!("k{i}"), t)).collect();
    let sets = vec![(0..keys.len()).collect()];
    Rel::new(RelKind::Aggregate { input: Box::new(input), keys, sets, aggregates }, fields)
}

fn twice(input: &Rel, keys: &[Rex], args: &[Rex], list: &[usize], calls: &[AggregateCall]) -> Rel {
    let mut inner_keys = keys.to_vec();
    let mut places = Vec::new();
    for arg in args {
        let at = inner_keys.iter().position(|k| k == arg).unwrap_or_else(|| {
            inner_keys.push(arg.clone());
            inner_keys.len() - 1
        });
        places.push(Rex::Input(at, arg.sql_type().clone()));
    }
    let inner = aggregate(input.clone(), inner_keys, Vec::new());
    let outer_keys: Vec<Rex> = keys.iter().enumerate().map(|(i, key)| Rex::Input(i, key.sql_type().clone())).collect();
    let outer = list
        .iter()
        .map(|i| {
            let call = &calls[*i];
            if call.function == "COUNT" && places.len() > 1 {
                let tests = places.iter().map(|p| Rex::call("IS NOT NULL", vec![p.clone()], SqlType::Boolean)).collect();
                return AggregateCall { args: Vec::new(), distinct: false, filter: Some(Rex::and_all(tests)), ..call.clone() };
            }
            AggregateCall { args: places.clone(), distinct: false, filter: None, ..call.clone() }
        })
        .collect();
    aggregate(inner, outer_keys, outer)
}
