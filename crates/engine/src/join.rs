//! Hash join in memory: inner and outer, on equal columns, with an optional further condition on each pair.

use std::collections::HashMap;

use ovate_base::{DruidError, Result};
use ovate_compute::Vector;

use crate::keys::row_keys;
use crate::relation::{NO_ROW, Relation};

/// Most rows that a join may give; beyond it the query is refused.
const ROWS_MAX: usize = 100_000_000;

/// Which unmatched rows stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinType {
    Inner,
    Left,
    Right,
    Full,
}

/// Columns that must be equal: place on the left, place on the right, and whether null equals null.
#[derive(Debug, Clone, Copy)]
pub struct JoinKey {
    pub left: usize,
    pub right: usize,
    pub null_safe: bool,
}

/// Decides for pairs of row numbers whether they match.
pub type PairTest<'a> = &'a dyn Fn(&[u32], &[u32]) -> Result<Vec<bool>>;

/// Joins; the result has the left columns and then the right ones.
pub fn join(left: &Relation, right: &Relation, kind: JoinType, keys: &[JoinKey], test: Option<PairTest<'_>>) -> Result<Relation> {
    let (mut l, mut r) = candidates(left, right, keys)?;
    if let Some(test) = test {
        let keep = test(&l, &r)?;
        let mut flags = keep.iter();
        l.retain(|_| *flags.next().unwrap_or(&false));
        let mut flags = keep.iter();
        r.retain(|_| *flags.next().unwrap_or(&false));
    }
    if matches!(kind, JoinType::Left | JoinType::Full) {
        let mut seen = vec![false; left.rows];
        l.iter().for_each(|row| seen[*row as usize] = true);
        // Unmatched rows go where their row would stand, so that the left order stays.
        let (mut ordered_l, mut ordered_r) = (Vec::with_capacity(l.len()), Vec::with_capacity(l.len()));
        let mut at = 0;
        for row in 0..left.rows as u32 {
            if !seen[row as usize] {
                ordered_l.push(row);
                ordered_r.push(NO_ROW);
            }
            while at < l.len() && l[at] == row {
                ordered_l.push(row);
                ordered_r.push(r[at]);
                at += 1;
            }
        }
        (l, r) = (ordered_l, ordered_r);
    }
    if matches!(kind, JoinType::Right | JoinType::Full) {
        let mut seen = vec![false; right.rows];
        r.iter().filter(|row| **row != NO_ROW).for_each(|row| seen[*row as usize] = true);
        for row in (0..right.rows as u32).filter(|row| !seen[*row as usize]) {
            l.push(NO_ROW);
            r.push(row);
        }
    }
    let rows = l.len();
    let joined = left.gather_or_null(&l).beside(right.gather_or_null(&r));
    Ok(Relation { columns: joined.columns, rows })
}

/// Pairs of rows that agree on the keys, ascending by left row.
fn candidates(left: &Relation, right: &Relation, keys: &[JoinKey]) -> Result<(Vec<u32>, Vec<u32>)> {
    let too_many =
        || DruidError::resource_limit(format!("Join gives more than {ROWS_MAX} rows; add conditions that narrow it down"));
    let (mut l, mut r) = (Vec::new(), Vec::new());
    if keys.is_empty() {
        if left.rows.saturating_mul(right.rows) > ROWS_MAX {
            return Err(too_many());
        }
        for row in 0..left.rows as u32 {
            for other in 0..right.rows as u32 {
                l.push(row);
                r.push(other);
            }
        }
        return Ok((l, r));
    }
    if let [JoinKey { left: lc, right: rc, null_safe: false }] = keys
        && let (Vector::Long { values: lv, nulls: ln }, Vector::Long { values: rv, nulls: rn }) =
            (&left.columns[*lc], &right.columns[*rc])
    {
        let mut map: HashMap<i64, Vec<u32>> = HashMap::with_capacity(rv.len());
        for (row, value) in rv.iter().enumerate() {
            if !rn.as_ref().is_some_and(|n| n[row]) {
                map.entry(*value).or_default().push(row as u32);
            }
        }
        for (row, value) in lv.iter().enumerate() {
            if ln.as_ref().is_some_and(|n| n[row]) {
                continue;
            }
            if let Some(matches) = map.get(value) {
                l.resize(l.len() + matches.len(), row as u32);
                r.extend_from_slice(matches);
                if l.len() > ROWS_MAX {
                    return Err(too_many());
                }
            }
        }
        return Ok((l, r));
    }
    let left_columns: Vec<(&Vector, bool)> = keys.iter().map(|k| (&left.columns[k.left], k.null_safe)).collect();
    let right_columns: Vec<(&Vector, bool)> = keys.iter().map(|k| (&right.columns[k.right], k.null_safe)).collect();
    let mut map: HashMap<Box<[u8]>, Vec<u32>> = HashMap::with_capacity(right.rows);
    for (row, key) in row_keys(&right_columns, right.rows).into_iter().enumerate() {
        if let Some(key) = key {
            map.entry(key).or_default().push(row as u32);
        }
    }
    for (row, key) in row_keys(&left_columns, left.rows).into_iter().enumerate() {
        if let Some(matches) = key.and_then(|key| map.get(&key)) {
            l.resize(l.len() + matches.len(), row as u32);
            r.extend_from_slice(matches);
            if l.len() > ROWS_MAX {
                return Err(too_many());
            }
        }
    }
    Ok((l, r))
}
