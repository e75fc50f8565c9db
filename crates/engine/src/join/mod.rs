//! Hash join in memory: inner, outer, semi and anti, on equal columns, with an optional further condition on each pair. The
//! table is built over the smaller side where the kind allows it; probing goes on several threads.

mod keys;
mod table;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ovate_base::{Budget, DruidError, Result};
use ovate_compute::Vector;
use ovate_compute::filter::LongSet;

use crate::parallel::{on_threads, threads_for};
use crate::relation::{NO_ROW, Relation};
pub use keys::CodeMap;
use keys::{Keys, keys_of};
use table::JoinTable;

/// Most rows that a join may give; beyond it the query is refused.
const ROWS_MAX: usize = 100_000_000;
/// Most pairs that a join without equal columns may look at.
const PAIRS_MAX: usize = 4_000_000_000;
/// Pairs that a condition is tested on at a time, about.
const CHUNK_PAIRS: usize = 1 << 18;
/// Rows that are probed in one piece.
const CHUNK_ROWS: usize = 1 << 16;
/// The table is built over the left side when that is so many times smaller.
const SWAP_FACTOR: usize = 2;

/// Which rows stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinType {
    Inner,
    Left,
    Right,
    Full,
    /// Left rows that have a match; only the left columns.
    Semi,
    /// Left rows that have none; only the left columns.
    Anti,
}

/// Columns that must be equal: place on the left, place on the right, and whether null equals null.
#[derive(Debug, Clone, Copy)]
pub struct JoinKey {
    pub left: usize,
    pub right: usize,
    pub null_safe: bool,
}

/// Decides for pairs of row numbers whether they match.
pub type PairTest<'a> = &'a (dyn Fn(&[u32], &[u32]) -> Result<Vec<bool>> + Sync);

/// Pairs of row numbers: left ones, and beside them right ones.
pub type Pairs = (Vec<u32>, Vec<u32>);

/// How many rows a join may give.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    rows: usize,
}

impl Default for Room {
    fn default() -> Self {
        Room { rows: ROWS_MAX }
    }
}

impl Room {
    /// As many rows of these two sides as fit into what is left of the memory for queries, the pairs of row numbers included.
    pub fn of(budget: &Budget, left: &Relation, right: &Relation) -> Self {
        let width = |side: &Relation| {
            let bytes: usize = side.columns.iter().map(Vector::memory_bytes).sum();
            bytes.checked_div(side.rows).unwrap_or(0) as u64
        };
        let free = budget.limit_bytes().saturating_sub(budget.used_bytes());
        let fit = free / (16 + width(left) + width(right));
        Room { rows: usize::try_from(fit).unwrap_or(usize::MAX).min(ROWS_MAX) }
    }

    fn exceeded(self) -> DruidError {
        let rows = self.rows;
        DruidError::resource_limit(match rows < ROWS_MAX {
            true => format!(
                "Join gives more than the {rows} rows that the memory for queries has room for; add conditions that narrow it \
                 down or raise druid.ovate.memory"
            ),
            false => format!("Join gives more than {rows} rows; add conditions that narrow it down"),
        })
    }
}

/// Joins; the result has the left columns and then the right ones, ordered by left row and then right row.
pub fn join(left: &Relation, right: &Relation, kind: JoinType, keys: &[JoinKey], test: Option<PairTest<'_>>) -> Result<Relation> {
    join_within(Room::default(), left, right, kind, keys, test)
}

/// The same, refused when it gives more rows than there is room for.
pub fn join_within(
    room: Room,
    left: &Relation,
    right: &Relation,
    kind: JoinType,
    keys: &[JoinKey],
    test: Option<PairTest<'_>>,
) -> Result<Relation> {
    if matches!(kind, JoinType::Semi | JoinType::Anti) {
        let matched = matched_rows(room, left, right, keys, test)?;
        let wanted = kind == JoinType::Semi;
        let rows: Vec<u32> = (0..left.rows as u32).filter(|row| matched[*row as usize] == wanted).collect();
        return Ok(left.gather(&rows));
    }
    let may_swap = if kind == JoinType::Inner { Swap::InOrder } else { Swap::Never };
    let (mut l, mut r) = pairs(room, left, right, keys, test, may_swap)?;
    if matches!(kind, JoinType::Left | JoinType::Full) {
        (l, r) = with_unmatched(left.rows, l, r);
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

/// The pairs of an inner join for callers that gather columns themselves: ascending by left row and then right row where they
/// ask for that, else as it is quickest.
pub fn inner_pairs(
    room: Room,
    left: &Relation,
    right: &Relation,
    keys: &[JoinKey],
    test: Option<PairTest<'_>>,
    in_order: bool,
) -> Result<Pairs> {
    pairs(room, left, right, keys, test, if in_order { Swap::InOrder } else { Swap::AnyOrder })
}

/// Whether the table may be built over the left side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Swap {
    Never,
    /// It may, and the pairs are put in the order of the left rows then.
    InOrder,
    AnyOrder,
}

/// About how many different keys these columns of as many rows have.
pub fn distinct_keys(columns: &[&Vector], rows: usize) -> usize {
    let numbers = |column: &Vector, row: usize| match column {
        Vector::Long { values, .. } => Some(values[row] as u64),
        Vector::Codes { codes, .. } => Some(u64::from(codes[row])),
        _ => None,
    };
    let places = (rows * 2).next_power_of_two().clamp(64, 1 << 24);
    let mut seen = vec![0u64; places / 64];
    for row in 0..rows {
        let mut hash = 0u64;
        for column in columns {
            // What has no number is taken to be different everywhere.
            let Some(number) = numbers(column, row) else { return rows };
            hash = (hash.rotate_left(29) ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
        let at = (hash >> 20) as usize & (places - 1);
        seen[at / 64] |= 1 << (at % 64);
    }
    let free = places - seen.iter().map(|word| word.count_ones() as usize).sum::<usize>();
    // Linear counting.
    let share = free.max(1) as f64 / places as f64;
    ((places as f64 * -share.ln()) as usize).clamp(usize::from(rows > 0), rows.max(1))
}

/// Unmatched left rows go where their row would stand, so that the left order stays.
fn with_unmatched(left_rows: usize, l: Vec<u32>, r: Vec<u32>) -> Pairs {
    let (mut ordered_l, mut ordered_r) = (Vec::with_capacity(l.len()), Vec::with_capacity(l.len()));
    let mut at = 0;
    for row in 0..left_rows as u32 {
        if at >= l.len() || l[at] != row {
            ordered_l.push(row);
            ordered_r.push(NO_ROW);
        }
        while at < l.len() && l[at] == row {
            ordered_l.push(row);
            ordered_r.push(r[at]);
            at += 1;
        }
    }
    (ordered_l, ordered_r)
}

/// Pairs that match, ascending by left row and then right row.
fn pairs(
    room: Room,
    left: &Relation,
    right: &Relation,
    keys: &[JoinKey],
    test: Option<PairTest<'_>>,
    may_swap: Swap,
) -> Result<Pairs> {
    if keys.is_empty() {
        return crossed(room, left, right, test);
    }
    let (l_keys, r_keys) = keys_of(left, right, keys)?;
    let factor = if may_swap == Swap::AnyOrder { 1 } else { SWAP_FACTOR };
    let swap = may_swap != Swap::Never && left.rows.saturating_mul(factor) < right.rows;
    let (built, probing, probe_rows) = if swap { (&l_keys, &r_keys, right.rows) } else { (&r_keys, &l_keys, left.rows) };
    let table = JoinTable::build(built);
    let total = AtomicUsize::new(0);
    let parts = on_threads(probe_rows.div_ceil(CHUNK_ROWS), threads_for(probe_rows), &|chunk| {
        let range = chunk * CHUNK_ROWS..((chunk + 1) * CHUNK_ROWS).min(probe_rows);
        probed(room, &table, probing, range, swap, test, &total)
    })?;
    let swapped_back = swap && may_swap == Swap::InOrder;
    let count = parts.iter().map(|(l, _)| l.len()).sum();
    let (mut l, mut r) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for (part_l, part_r) in parts {
        l.extend(part_l);
        r.extend(part_r);
    }
    Ok(if swapped_back { by_left(left.rows, &l, &r) } else { (l, r) })
}

/// The matches of some probing rows, as pairs of left and right.
fn probed(
    room: Room,
    table: &JoinTable<'_>,
    probing: &Keys<'_>,
    range: std::ops::Range<usize>,
    swap: bool,
    test: Option<PairTest<'_>>,
    total: &AtomicUsize,
) -> Result<Pairs> {
    let (mut found, mut pending): (Pairs, Pairs) = Default::default();
    let flush = |pending: &mut Pairs, found: &mut Pairs| -> Result<()> {
        let (l, r) = if swap { (&pending.1, &pending.0) } else { (&pending.0, &pending.1) };
        match test {
            None if found.0.is_empty() => {
                *found = std::mem::take(pending);
                if swap {
                    std::mem::swap(&mut found.0, &mut found.1);
                }
            }
            None => {
                found.0.extend_from_slice(l);
                found.1.extend_from_slice(r);
            }
            Some(test) => {
                for (at, keep) in test(l, r)?.into_iter().enumerate() {
                    if keep {
                        found.0.push(l[at]);
                        found.1.push(r[at]);
                    }
                }
            }
        }
        let before = found.0.len();
        pending.0.clear();
        pending.1.clear();
        if total.load(Ordering::Relaxed) + before > room.rows { Err(room.exceeded()) } else { Ok(()) }
    };
    let mut from = range.start;
    while from < range.end {
        from = table.matches(probing, from..range.end, CHUNK_PAIRS, &mut pending.0, &mut pending.1);
        flush(&mut pending, &mut found)?;
    }
    total.fetch_add(found.0.len(), Ordering::Relaxed);
    Ok(found)
}

/// Pairs found in the order of the right side, put in that of the left one.
fn by_left(left_rows: usize, l: &[u32], r: &[u32]) -> Pairs {
    let mut starts = vec![0u32; left_rows + 1];
    l.iter().for_each(|row| starts[*row as usize + 1] += 1);
    for row in 0..left_rows {
        starts[row + 1] += starts[row];
    }
    let (mut out_l, mut out_r) = (vec![0; l.len()], vec![0; l.len()]);
    for (row, other) in l.iter().zip(r) {
        let at = starts[*row as usize] as usize;
        (out_l[at], out_r[at]) = (*row, *other);
        starts[*row as usize] += 1;
    }
    (out_l, out_r)
}

/// Every left row with every right one, as far as the condition holds.
fn crossed(room: Room, left: &Relation, right: &Relation, test: Option<PairTest<'_>>) -> Result<Pairs> {
    let all = left.rows.saturating_mul(right.rows);
    if all > if test.is_some() { PAIRS_MAX } else { room.rows } {
        return Err(room.exceeded());
    }
    if all == 0 {
        return Ok(Default::default());
    }
    let step = (CHUNK_PAIRS / right.rows).max(1);
    let total = AtomicUsize::new(0);
    let parts = on_threads(left.rows.div_ceil(step), threads_for(all), &|chunk| -> Result<Pairs> {
        let rows = chunk * step..((chunk + 1) * step).min(left.rows);
        let (mut l, mut r) = (Vec::with_capacity(rows.len() * right.rows), Vec::with_capacity(rows.len() * right.rows));
        for row in rows {
            l.resize(l.len() + right.rows, row as u32);
            r.extend(0..right.rows as u32);
        }
        if let Some(test) = test {
            let keep = test(&l, &r)?;
            let mut flags = keep.iter();
            l.retain(|_| *flags.next().unwrap_or(&false));
            let mut flags = keep.iter();
            r.retain(|_| *flags.next().unwrap_or(&false));
        }
        if total.fetch_add(l.len(), Ordering::Relaxed) + l.len() > room.rows {
            return Err(room.exceeded());
        }
        Ok((l, r))
    })?;
    let mut out: Pairs = Default::default();
    for (l, r) in parts {
        out.0.extend(l);
        out.1.extend(r);
    }
    Ok(out)
}

/// For each left row whether some right row matches.
fn matched_rows(
    room: Room,
    left: &Relation,
    right: &Relation,
    keys: &[JoinKey],
    test: Option<PairTest<'_>>,
) -> Result<Vec<bool>> {
    let mut matched = vec![false; left.rows];
    if keys.is_empty() && test.is_none() {
        matched.fill(right.rows > 0);
        return Ok(matched);
    }
    if keys.is_empty() || test.is_some() {
        let (l, _) = pairs(room, left, right, keys, test, Swap::AnyOrder)?;
        l.iter().for_each(|row| matched[*row as usize] = true);
        return Ok(matched);
    }
    let (l_keys, r_keys) = keys_of(left, right, keys)?;
    if let (Some((longs, valid)), Some((others, others_valid))) = (l_keys.as_longs(), r_keys.as_longs())
        && let Some(set) = LongSet::of_valid(others, others_valid)
    {
        set.mark(longs, &mut matched);
        valid.iter().for_each(|valid| matched.iter_mut().zip(*valid).for_each(|(hit, valid)| *hit &= valid));
        return Ok(matched);
    }
    let flags: Vec<AtomicBool> = matched.iter().map(|_| AtomicBool::new(false)).collect();
    if left.rows < right.rows {
        let table = JoinTable::build(&l_keys);
        on_threads(right.rows.div_ceil(CHUNK_ROWS), threads_for(right.rows), &|chunk| {
            for row in chunk * CHUNK_ROWS..((chunk + 1) * CHUNK_ROWS).min(right.rows) {
                table.probe(&r_keys, row, |other| {
                    // Once one row of the chain is known, all rows with its key are.
                    !flags[other as usize].swap(true, Ordering::Relaxed)
                });
            }
            Ok(())
        })?;
    } else {
        let table = JoinTable::build(&r_keys);
        on_threads(left.rows.div_ceil(CHUNK_ROWS), threads_for(left.rows), &|chunk| {
            for row in chunk * CHUNK_ROWS..((chunk + 1) * CHUNK_ROWS).min(left.rows) {
                table.probe(&l_keys, row, |_| {
                    flags[row].store(true, Ordering::Relaxed);
                    false
                });
            }
            Ok(())
        })?;
    }
    Ok(flags.into_iter().map(AtomicBool::into_inner).collect())
}
