//! The hash table of a join: rows of one side chained by their key. Keys are numbers: longs as they are, texts and
//! everything else as numbers that both sides share.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use ovate_base::Result;
use ovate_compute::Vector;

use super::JoinKey;
use crate::keys::row_keys;
use crate::relation::Relation;

/// Stands for "no row" in chains.
const NONE: u32 = u32::MAX;
/// A text of one side that the other one does not have.
const ABSENT: u64 = u64::MAX;
/// A table by value may have this many places for each row.
const DENSE_FACTOR: u64 = 8;

/// The keys of one side: one or more numbers a row; rows that equal nothing are not valid.
pub struct Keys<'a> {
    columns: Vec<Numbers<'a>>,
    valid: Option<Vec<bool>>,
    /// The numbers are longs, so their span may be small.
    longs: bool,
    rows: usize,
}

/// One number a row.
enum Numbers<'a> {
    Longs(&'a [i64]),
    Own(Vec<u64>),
}

impl Numbers<'_> {
    #[inline(always)]
    fn get(&self, row: usize) -> u64 {
        match self {
            Numbers::Longs(values) => values[row] as u64,
            Numbers::Own(values) => values[row],
        }
    }
}

impl Keys<'_> {
    #[inline(always)]
    fn valid(&self, row: usize) -> bool {
        self.valid.as_ref().is_none_or(|valid| valid[row])
    }

    #[inline(always)]
    fn hash(&self, row: usize) -> u64 {
        let mut hash = 0u64;
        for column in &self.columns {
            hash = (hash.rotate_left(29) ^ column.get(row)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
        hash ^ (hash >> 32)
    }

    fn invalidate(&mut self, nulls: &[bool]) {
        let valid = self.valid.get_or_insert_with(|| vec![true; nulls.len()]);
        valid.iter_mut().zip(nulls).for_each(|(valid, null)| *valid &= !null);
    }
}

/// The keys of both sides in the same numbers.
pub fn keys_of<'a>(left: &'a Relation, right: &'a Relation, keys: &[JoinKey]) -> Result<(Keys<'a>, Keys<'a>)> {
    let empty = |rows| Keys { columns: Vec::new(), valid: None, longs: false, rows };
    let (mut l, mut r) = (empty(left.rows), empty(right.rows));
    for key in keys {
        let (lc, rc) = (&left.columns[key.left], &right.columns[key.right]);
        match (lc, rc) {
            (Vector::Long { values: lv, nulls: ln }, Vector::Long { values: rv, nulls: rn })
                if !key.null_safe || (ln.is_none() && rn.is_none()) =>
            {
                l.columns.push(Numbers::Longs(lv));
                r.columns.push(Numbers::Longs(rv));
                ln.iter().for_each(|nulls| l.invalidate(nulls));
                rn.iter().for_each(|nulls| r.invalidate(nulls));
            }
            (Vector::Codes { .. } | Vector::String(_), Vector::Codes { .. } | Vector::String(_)) => {
                let mut texts = Texts::default();
                let (numbers, nulls) = texts.numbers(rc, true)?;
                r.columns.push(Numbers::Own(numbers));
                let (other, other_nulls) = texts.numbers(lc, false)?;
                l.columns.push(Numbers::Own(other));
                if !key.null_safe {
                    r.invalidate(&nulls);
                    l.invalidate(&other_nulls);
                }
            }
            _ => return by_bytes(left, right, keys),
        }
    }
    let single = keys.len() == 1 && matches!(left.columns[keys[0].left], Vector::Long { .. });
    (l.longs, r.longs) = (single, single);
    Ok((l, r))
}

/// Keys of any types as bytes, numbered.
fn by_bytes<'a>(left: &Relation, right: &Relation, keys: &[JoinKey]) -> Result<(Keys<'a>, Keys<'a>)> {
    let side = |relation: &Relation, place: &dyn Fn(&JoinKey) -> usize| {
        let columns: Vec<(&Vector, bool)> = keys.iter().map(|k| (&relation.columns[place(k)], k.null_safe)).collect();
        row_keys(&columns, relation.rows)
    };
    let mut numbers: HashMap<Box<[u8]>, u64, FixedState> = HashMap::default();
    let right_keys: Vec<Option<u64>> = side(right, &|k| k.right)
        .into_iter()
        .map(|key| {
            key.map(|key| {
                let next = numbers.len() as u64;
                *numbers.entry(key).or_insert(next)
            })
        })
        .collect();
    let left_keys = side(left, &|k| k.left).into_iter().map(|key| key.map(|key| numbers.get(&key).copied().unwrap_or(ABSENT)));
    let finish = |list: Vec<Option<u64>>| Keys {
        rows: list.len(),
        valid: list.iter().any(Option::is_none).then(|| list.iter().map(Option::is_some).collect()),
        columns: vec![Numbers::Own(list.into_iter().map(|key| key.unwrap_or(ABSENT)).collect())],
        longs: false,
    };
    Ok((finish(left_keys.collect()), finish(right_keys)))
}

/// Numbers for texts, given on one side and looked up on the other. Null has a number too.
#[derive(Default)]
struct Texts {
    numbers: HashMap<Option<Arc<str>>, u64, FixedState>,
}

impl Texts {
    /// Each row's number, and which rows are null.
    fn numbers(&mut self, column: &Vector, add: bool) -> Result<(Vec<u64>, Vec<bool>)> {
        match column {
            Vector::Codes { dictionary, codes } => {
                let mut known: CodeMap = CodeMap::new(dictionary.cardinality(), codes.len());
                let mut out = Vec::with_capacity(codes.len());
                let mut nulls = Vec::with_capacity(codes.len());
                let null_code = dictionary.find(None)?;
                for code in codes {
                    let number = match known.get(*code) {
                        Some(number) => number,
                        None => {
                            let number = self.number(dictionary.get(*code)?.map(|text| Arc::from(text.as_ref())), add);
                            known.set(*code, number);
                            number
                        }
                    };
                    out.push(number);
                    nulls.push(null_code == Some(*code));
                }
                Ok((out, nulls))
            }
            other => {
                let texts = (0..other.len()).map(|row| other.value(row).as_text());
                let (mut out, mut nulls) = (Vec::with_capacity(other.len()), Vec::with_capacity(other.len()));
                for text in texts {
                    nulls.push(text.is_none());
                    out.push(self.number(text, add));
                }
                Ok((out, nulls))
            }
        }
    }

    fn number(&mut self, text: Option<Arc<str>>, add: bool) -> u64 {
        if add {
            let next = self.numbers.len() as u64;
            return *self.numbers.entry(text).or_insert(next);
        }
        self.numbers.get(&text).copied().unwrap_or(ABSENT)
    }
}

/// What was found out about codes of a dictionary: by place while it is small, else by hash.
pub struct CodeMap {
    places: Vec<u64>,
    sparse: HashMap<u32, u64, FixedState>,
}

impl CodeMap {
    /// For this many codes, of which at most `rows` are met.
    pub fn new(cardinality: u32, rows: usize) -> CodeMap {
        let dense = cardinality as usize <= rows.saturating_mul(4).saturating_add(1024);
        CodeMap { places: if dense { vec![ABSENT - 1; cardinality as usize] } else { Vec::new() }, sparse: HashMap::default() }
    }

    /// What was set for a code.
    pub fn get(&self, code: u32) -> Option<u64> {
        match self.places.get(code as usize) {
            Some(place) => (*place != ABSENT - 1).then_some(*place),
            None => self.sparse.get(&code).copied(),
        }
    }

    /// Sets it.
    pub fn set(&mut self, code: u32, number: u64) {
        match self.places.get_mut(code as usize) {
            Some(place) => *place = number,
            None => {
                self.sparse.insert(code, number);
            }
        }
    }
}

enum Heads {
    /// One place for each long from `low` on.
    Dense {
        low: u64,
        heads: Vec<u32>,
    },
    Hashed {
        shift: u32,
        heads: Vec<u32>,
    },
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
        let mut table = JoinTable { keys, heads: heads_for(keys), next: vec![NONE; keys.rows], unique: true };
        // From the last row on, so that chains ascend.
        for row in (0..keys.rows).rev().filter(|row| keys.valid(*row)) {
            let head = match &mut table.heads {
                Heads::Dense { low, heads } => &mut heads[keys.columns[0].get(row).wrapping_sub(*low) as usize],
                Heads::Hashed { shift, heads } => &mut heads[(keys.hash(row) >> *shift) as usize],
            };
            table.unique &= *head == NONE;
            table.next[row] = *head;
            *head = row as u32;
        }
        table
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

fn heads_for(keys: &Keys<'_>) -> Heads {
    if keys.longs && keys.rows > 0 {
        let values = || (0..keys.rows).filter(|row| keys.valid(*row)).map(|row| keys.columns[0].get(row) as i64);
        if let (Some(low), Some(high)) = (values().min(), values().max()) {
            let span = (high as i128 - low as i128) as u128 + 1;
            if span <= u128::from(keys.rows as u64 * DENSE_FACTOR + 1024) {
                return Heads::Dense { low: low as u64, heads: vec![NONE; span as usize] };
            }
        }
    }
    let places = (keys.rows * 2).next_power_of_two().max(2);
    Heads::Hashed { shift: 64 - places.trailing_zeros(), heads: vec![NONE; places] }
}
