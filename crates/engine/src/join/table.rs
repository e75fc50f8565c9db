//! The hash table of a join: rows of one side chained by their key, which is a number.

use std::ops::Range;

use super::keys::{Keys, Numbers, hash_of};

/// Stands for "no row" in chains.
const NONE: u32 = u32::MAX;
/// A table by value may have this many places for each row.
const DENSE_FACTOR: u64 = 8;
/// A table by rank among the values may have this many for each row.
const RANKED_FACTOR: u64 = 256;
/// Rows that are looked up side by side.
const BATCH: usize = 512;

enum Heads {
    /// One place for each long from `low` on.
    Dense {
        low: u64,
        heads: Vec<u32>,
    },
    /// The same where few of many longs are there: a bit for each, how many bits stand before each word, and a place for each bit.
    Ranked {
        low: u64,
        words: Vec<(u64, u32)>,
        heads: Vec<u32>,
    },
    Hashed {
        shift: u32,
        heads: Vec<u32>,
    },
}

/// The place of a number among those that are there.
#[inline(always)]
fn rank(words: &[(u64, u32)], at: u64) -> Option<usize> {
    let (word, before) = words.get(usize::try_from(at / 64).ok()?)?;
    let bit = 1u64 << (at % 64);
    (word & bit != 0).then(|| *before as usize + (word & (bit - 1)).count_ones() as usize)
}

/// Rows by key.
pub struct JoinTable<'a> {
    keys: &'a Keys<'a>,
    heads: Heads,
    next: Vec<u32>,
    /// No two rows share a place.
    unique: bool,
}

impl<'a> JoinTable<'a> {
    /// Puts all valid rows in.
    pub fn build(keys: &'a Keys<'a>) -> JoinTable<'a> {
        let (mut next, mut unique) = (vec![NONE; keys.rows], true);
        let mut heads = heads_for(keys);
        // From the last row on, so that chains ascend.
        let mut put = |head: &mut u32, row: usize| {
            unique &= *head == NONE;
            next[row] = *head;
            *head = row as u32;
        };
        match (&mut heads, keys.columns.as_slice(), &keys.valid) {
            (Heads::Dense { low, heads }, [Numbers::Longs(values)], None) => {
                values
                    .iter()
                    .enumerate()
                    .rev()
                    .for_each(|(row, v)| put(&mut heads[(*v as u64).wrapping_sub(*low) as usize], row));
            }
            (Heads::Dense { low, heads }, columns, _) => {
                for row in (0..keys.rows).rev().filter(|row| keys.valid(*row)) {
                    put(&mut heads[columns[0].get(row).wrapping_sub(*low) as usize], row);
                }
            }
            (Heads::Ranked { low, words, heads }, columns, _) => {
                for row in (0..keys.rows).rev().filter(|row| keys.valid(*row)) {
                    if let Some(place) = rank(words, columns[0].get(row).wrapping_sub(*low)) {
                        put(&mut heads[place], row);
                    }
                }
            }
            (Heads::Hashed { shift, heads }, _, _) => {
                for row in (0..keys.rows).rev().filter(|row| keys.valid(*row)) {
                    put(&mut heads[(keys.hash(row) >> *shift) as usize], row);
                }
            }
        }
        JoinTable { keys, heads, next, unique }
    }

    /// The matches of these rows of the other side: its row beside ours, ascending by its row and then ours. Returns the first
    /// row that was not looked at, when `enough` pairs are there before the end.
    pub fn matches(
        &self,
        other: &Keys<'_>,
        range: Range<usize>,
        enough: usize,
        theirs: &mut Vec<u32>,
        mine: &mut Vec<u32>,
    ) -> usize {
        let mut from = range.start;
        while from < range.end && mine.len() < enough {
            let rows = from..(from + BATCH).min(range.end);
            from = match (&other.valid, other.columns.as_slice()) {
                (None, [Numbers::Longs(values)]) => self.batch(rows, enough, theirs, mine, |row| Some(values[row] as u64)),
                (None, [Numbers::Own(values)]) => self.batch(rows, enough, theirs, mine, |row| Some(values[row])),
                (Some(valid), [Numbers::Longs(values)]) => {
                    self.batch(rows, enough, theirs, mine, |row| valid[row].then(|| values[row] as u64))
                }
                (Some(valid), [Numbers::Own(values)]) => {
                    self.batch(rows, enough, theirs, mine, |row| valid[row].then(|| values[row]))
                }
                _ => {
                    self.probe(other, from, |found| {
                        theirs.push(from as u32);
                        mine.push(found);
                        true
                    });
                    from + 1
                }
            };
        }
        from
    }

    /// A batch of rows with one number each: first where each chain begins, so that reads of the table overlap, then the chains.
    /// Returns the row after the last one that it did; one key may have very many matches.
    #[inline(always)]
    fn batch(
        &self,
        rows: Range<usize>,
        enough: usize,
        theirs: &mut Vec<u32>,
        mine: &mut Vec<u32>,
        key: impl Fn(usize) -> Option<u64>,
    ) -> usize {
        let end = rows.end;
        let mut first = [NONE; BATCH];
        match &self.heads {
            Heads::Dense { low, heads } => {
                for (slot, row) in first.iter_mut().zip(rows.clone()) {
                    let place = key(row).map_or(usize::MAX, |key| key.wrapping_sub(*low) as usize);
                    *slot = heads.get(place).copied().unwrap_or(NONE);
                }
                self.chains(&first, rows, enough, theirs, mine)
            }
            Heads::Ranked { low, words, heads } => {
                for (slot, row) in first.iter_mut().zip(rows.clone()) {
                    let place = key(row).and_then(|key| rank(words, key.wrapping_sub(*low)));
                    *slot = place.map_or(NONE, |place| heads[place]);
                }
                self.chains(&first, rows, enough, theirs, mine)
            }
            Heads::Hashed { shift, heads } => {
                for (slot, row) in first.iter_mut().zip(rows.clone()) {
                    *slot = key(row).map_or(NONE, |key| heads[(hash_of([key].into_iter()) >> *shift) as usize]);
                }
                let own = &self.keys.columns[0];
                for (found, row) in first.iter().zip(rows) {
                    let mut at = *found;
                    while at != NONE {
                        if Some(own.get(at as usize)) == key(row) {
                            mine.push(at);
                            theirs.push(row as u32);
                        }
                        at = self.next[at as usize];
                    }
                    if mine.len() >= enough {
                        return row + 1;
                    }
                }
                end
            }
        }
    }

    /// The pairs of a batch whose chains hold one value each.
    #[inline(always)]
    fn chains(
        &self,
        first: &[u32; BATCH],
        rows: Range<usize>,
        enough: usize,
        theirs: &mut Vec<u32>,
        mine: &mut Vec<u32>,
    ) -> usize {
        let end = rows.end;
        if self.unique {
            let start = mine.len();
            mine.resize(start + rows.len(), 0);
            theirs.resize(start + rows.len(), 0);
            let (mine_out, theirs_out) = (&mut mine[start..], &mut theirs[start..]);
            let mut kept = 0;
            for (found, row) in first.iter().zip(rows) {
                (mine_out[kept], theirs_out[kept]) = (*found, row as u32);
                kept += usize::from(*found != NONE);
            }
            mine.truncate(start + kept);
            theirs.truncate(start + kept);
            return end;
        }
        for (found, row) in first.iter().zip(rows) {
            let mut at = *found;
            while at != NONE {
                mine.push(at);
                theirs.push(row as u32);
                at = self.next[at as usize];
            }
            if mine.len() >= enough {
                return row + 1;
            }
        }
        end
    }

    /// Calls `f` with each row that equals this row of the other side, ascending, until it says no more.
    #[inline(always)]
    pub fn probe(&self, other: &Keys<'_>, row: usize, mut f: impl FnMut(u32) -> bool) {
        if !other.valid(row) {
            return;
        }
        let mut at = match &self.heads {
            Heads::Dense { low, heads } => {
                // Every row of a chain has the very value.
                let place = other.columns[0].get(row).wrapping_sub(*low);
                let mut at = usize::try_from(place).ok().and_then(|place| heads.get(place)).copied().unwrap_or(NONE);
                while at != NONE && f(at) && !self.unique {
                    at = self.next[at as usize];
                }
                return;
            }
            Heads::Ranked { low, words, heads } => {
                let place = rank(words, other.columns[0].get(row).wrapping_sub(*low));
                let mut at = place.map_or(NONE, |place| heads[place]);
                while at != NONE && f(at) && !self.unique {
                    at = self.next[at as usize];
                }
                return;
            }
            Heads::Hashed { shift, heads } => heads[(other.hash(row) >> *shift) as usize],
        };
        while at != NONE {
            let found = at as usize;
            if self.keys.columns.iter().zip(&other.columns).all(|(mine, its)| mine.get(found) == its.get(row)) && !f(at) {
                return;
            }
            if self.unique {
                return;
            }
            at = self.next[found];
        }
    }
}

fn ranked(keys: &Keys<'_>, low: u64, span: usize) -> Heads {
    let mut words = vec![(0u64, 0u32); span.div_ceil(64)];
    for row in (0..keys.rows).filter(|row| keys.valid(*row)) {
        let at = keys.columns[0].get(row).wrapping_sub(low);
        words[(at / 64) as usize].0 |= 1 << (at % 64);
    }
    let mut count = 0;
    for (word, before) in &mut words {
        *before = count;
        count += word.count_ones();
    }
    Heads::Ranked { low, words, heads: vec![NONE; count as usize] }
}

fn heads_for(keys: &Keys<'_>) -> Heads {
    if keys.longs && keys.rows > 0 {
        let values = || (0..keys.rows).filter(|row| keys.valid(*row)).map(|row| keys.columns[0].get(row) as i64);
        if let (Some(low), Some(high)) = (values().min(), values().max()) {
            let span = (high as i128 - low as i128) as u128 + 1;
            if span <= u128::from(keys.rows as u64 * DENSE_FACTOR + 1024) {
                return Heads::Dense { low: low as u64, heads: vec![NONE; span as usize] };
            }
            if span <= u128::from(keys.rows as u64 * RANKED_FACTOR) {
                return ranked(keys, low as u64, span as usize);
            }
        }
    }
    let places = (keys.rows * 2).next_power_of_two().max(2);
    Heads::Hashed { shift: 64 - places.trailing_zeros(), heads: vec![NONE; places] }
}
