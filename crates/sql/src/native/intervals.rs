//! Conditions on `__time` turned into the query's intervals (`Filtration`, `MoveTimeFiltersToIntervals`).

use ovate_base::Interval;
use ovate_compute::Value;

use crate::plan::Rex;
use crate::types::SqlType;

/// The intervals that a condition on the time column allows, when it is nothing else. `time` is the column's index.
pub fn intervals_of(rex: &Rex, time: usize) -> Option<Vec<Interval>> {
    let Rex::Call { op, args, .. } = rex else { return None };
    match *op {
        "AND" => {
            let mut result = vec![Interval::ETERNITY];
            for arg in args {
                result = intersect(&result, &intervals_of(arg, time)?);
            }
            Some(result)
        }
        "OR" => {
            let mut all = Vec::new();
            for arg in args {
                all.extend(intervals_of(arg, time)?);
            }
            Some(Interval::condense(&all))
        }
        "NOT" => Some(Interval::ETERNITY.minus(&intervals_of(&args[0], time)?)),
        "=" | "<>" | "<" | "<=" | ">" | ">=" => comparison(op, &args[0], &args[1], time),
        "IN" => {
            if !is_time(&args[0], time) {
                return None;
            }
            let points = args[1..]
                .iter()
                .map(|arg| instant(arg).map(|t| Interval { start: t, end: t + 1 }))
                .collect::<Option<Vec<_>>>()?;
            Some(Interval::condense(&points))
        }
        _ => None,
    }
}

/// Both conditions together.
pub fn intersect(left: &[Interval], right: &[Interval]) -> Vec<Interval> {
    let mut out: Vec<Interval> = left.iter().flat_map(|a| right.iter().filter_map(|b| a.intersect(b))).collect();
    out.sort();
    out
}

fn is_time(rex: &Rex, time: usize) -> bool {
    match super::columns::transparent(rex) {
        Rex::Input(index, t) => *index == time && *t == SqlType::Timestamp,
        _ => false,
    }
}

fn instant(rex: &Rex) -> Option<i64> {
    match rex {
        Rex::Literal(Value::Long(t), _) => Some(*t),
        _ => None,
    }
}

fn comparison(op: &str, left: &Rex, right: &Rex, time: usize) -> Option<Vec<Interval>> {
    let (op, t) = if is_time(left, time) {
        (op, instant(right)?)
    } else if is_time(right, time) {
        let flipped = match op {
            "<" => ">",
            "<=" => ">=",
            ">" => "<",
            ">=" => "<=",
            other => other,
        };
        (flipped, instant(left)?)
    } else {
        return None;
    };
    let (low, high) = (Interval::ETERNITY.start, Interval::ETERNITY.end);
    let t = t.clamp(low, high - 1);
    let spans = match op {
        "=" => vec![(t, t + 1)],
        "<>" => vec![(low, t), (t + 1, high)],
        "<" => vec![(low, t)],
        "<=" => vec![(low, t + 1)],
        ">" => vec![(t + 1, high)],
        _ => vec![(t, high)],
    };
    Some(spans.into_iter().filter(|(a, b)| a < b).map(|(start, end)| Interval { start, end }).collect())
}
