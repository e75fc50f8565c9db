//! Conditions on `__time` turned into the query's intervals (`Filtration`, `MoveTimeFiltersToIntervals`).

use ovate_base::granularity::PeriodGranularity;
use ovate_base::time::{Period, Zone};
use ovate_base::{Granularity, Interval};
use ovate_compute::Value;

use crate::plan::Rex;
use crate::types::SqlType;

/// The intervals that a condition on the time column allows, when it is nothing else. `time` is the column's index.
pub fn intervals_of(rex: &Rex, time: usize, zone: &Zone) -> Option<Vec<Interval>> {
    let Rex::Call { op, args, .. } = rex else { return None };
    match *op {
        "AND" => {
            let mut result = vec![Interval::ETERNITY];
            for arg in args {
                result = intersect(&result, &intervals_of(arg, time, zone)?);
            }
            Some(result)
        }
        "OR" => {
            let mut all = Vec::new();
            for arg in args {
                all.extend(intervals_of(arg, time, zone)?);
            }
            Some(Interval::condense(&all))
        }
        "NOT" => Some(Interval::ETERNITY.minus(&intervals_of(&args[0], time, zone)?)),
        "=" | "<>" | "<" | "<=" | ">" | ">=" => comparison(op, &args[0], &args[1], time, zone),
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

/// The granularity of `FLOOR(__time TO unit)` or `TIME_FLOOR(__time, period)`.
fn floor_of(rex: &Rex, time: usize, zone: &Zone) -> Option<Granularity> {
    let Rex::Call { op, args, .. } = rex else { return None };
    if !is_time(args.first()?, time) {
        return None;
    }
    let (period, zone) = match (*op, args.len()) {
        ("FLOOR", 2) => (super::expr::unit_period(args[1].literal_text()?)?, zone.clone()),
        ("TIME_FLOOR", 2) => (args[1].literal_text()?, zone.clone()),
        ("TIME_FLOOR", 4) if args[2].literal().is_some_and(Value::is_null) => {
            (args[1].literal_text()?, Zone::parse(args[3].literal_text()?).ok()?)
        }
        _ => return None,
    };
    let period = Period::parse(period).ok()?;
    PeriodGranularity::new(period, zone, None).ok().map(Granularity::Period)
}

fn comparison(op: &str, left: &Rex, right: &Rex, time: usize, zone: &Zone) -> Option<Vec<Interval>> {
    let flipped = match op {
        "<" => ">",
        "<=" => ">=",
        ">" => "<",
        ">=" => "<=",
        other => other,
    };
    let (low, high) = (Interval::ETERNITY.start, Interval::ETERNITY.end);
    let floored = match (floor_of(left, time, zone), floor_of(right, time, zone)) {
        (Some(granularity), _) => Some((op, granularity, instant(right)?)),
        (_, Some(granularity)) => Some((flipped, granularity, instant(left)?)),
        _ => None,
    };
    let spans = if let Some((op, granularity, t)) = floored {
        // The instants whose bucket begins before, at or after `t`.
        let start = granularity.bucket_start(t);
        let next = granularity.increment(start);
        let ceiling = if start == t { t } else { next };
        match op {
            "=" if start == t => vec![(start, next)],
            "=" => vec![],
            "<>" if start == t => vec![(low, start), (next, high)],
            "<>" => vec![(low, high)],
            "<" => vec![(low, ceiling)],
            "<=" => vec![(low, next)],
            ">" => vec![(next, high)],
            _ => vec![(ceiling, high)],
        }
    } else {
        let (op, t) = if is_time(left, time) {
            (op, instant(right)?)
        } else if is_time(right, time) {
            (flipped, instant(left)?)
        } else {
            return None;
        };
        let t = t.clamp(low, high - 1);
        match op {
            "=" => vec![(t, t + 1)],
            "<>" => vec![(low, t), (t + 1, high)],
            "<" => vec![(low, t)],
            "<=" => vec![(low, t + 1)],
            ">" => vec![(t + 1, high)],
            _ => vec![(t, high)],
        }
    };
    Some(spans.into_iter().filter(|(a, b)| a < b).map(|(start, end)| Interval { start, end }).collect())
}
