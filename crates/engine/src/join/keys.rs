//! The keys of both sides of a join as numbers: longs as they are, texts and everything else as numbers that both sides share,
//! several keys as one where they fit.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use ovate_base::Result;
use ovate_compute::Vector;

use super::JoinKey;
use crate::keys::row_keys;
use crate::relation::Relation;

/// A text of one side that the other one does not have.
const ABSENT: u64 = u64::MAX;

/// The keys of one side: one number a row where they can be packed, else more; rows that equal nothing are not valid.
pub struct Keys<'a> {
    pub(super) columns: Vec<Numbers<'a>>,
    pub(super) valid: Option<Vec<bool>>,
    /// The numbers are longs, so their span may be small.
    pub(super) longs: bool,
    pub(super) rows: usize,
}

/// One number a row.
pub(super) enum Numbers<'a> {
    Longs(&'a [i64]),
    Own(Vec<u64>),
}

impl Numbers<'_> {
    #[inline(always)]
    pub(super) fn get(&self, row: usize) -> u64 {
        match self {
            Numbers::Longs(values) => values[row] as u64,
            Numbers::Own(values) => values[row],
        }
    }

    /// Least and greatest, as signed numbers; `None` of none.
    fn bounds(&self, rows: usize) -> Option<(i64, i64)> {
        let (mut low, mut high) = (i64::MAX, i64::MIN);
        self.each(&mut |_, value| (low, high) = (low.min(value), high.max(value)));
        (rows > 0).then_some((low, high))
    }

    /// Calls `f` with each row and its number.
    #[inline(always)]
    fn each(&self, f: &mut impl FnMut(usize, i64)) {
        match self {
            Numbers::Longs(values) => values.iter().enumerate().for_each(|(row, value)| f(row, *value)),
            Numbers::Own(values) => values.iter().enumerate().for_each(|(row, value)| f(row, *value as i64)),
        }
    }
}

impl Keys<'_> {
    #[inline(always)]
    pub(super) fn valid(&self, row: usize) -> bool {
        self.valid.as_ref().is_none_or(|valid| valid[row])
    }

    #[inline(always)]
    pub(super) fn hash(&self, row: usize) -> u64 {
        hash_of(self.columns.iter().map(|column| column.get(row)))
    }

    /// The numbers and which of them do not count, where they are longs as they stand in their column.
    pub fn as_longs(&self) -> Option<(&[i64], Option<&[bool]>)> {
        match self.columns.as_slice() {
            [Numbers::Longs(values)] => Some((values, self.valid.as_deref())),
            _ => None,
        }
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
    if keys.len() == 1 {
        let single = matches!(left.columns[keys[0].left], Vector::Long { .. });
        (l.longs, r.longs) = (single, single);
        return Ok((l, r));
    }
    Ok(packed(&l, &r).unwrap_or((l, r)))
}

/// Several numbers as one, where all that both sides may share fit; rows with a number that only one side can have equal
/// nothing. Longs and numbers of texts alike; `None` where they do not fit.
fn packed(l: &Keys<'_>, r: &Keys<'_>) -> Option<(Keys<'static>, Keys<'static>)> {
    let mut places = 1u64;
    let mut ranges = Vec::with_capacity(l.columns.len());
    for (lc, rc) in l.columns.iter().zip(&r.columns) {
        let (low, high) = match (lc.bounds(l.rows), rc.bounds(r.rows)) {
            (Some(a), Some(b)) => (a.0.max(b.0), a.1.min(b.1)),
            _ => (0, 0),
        };
        // Nothing in common: one place that nobody takes.
        let span = if low > high { 1 } else { u64::try_from(i128::from(high) - i128::from(low) + 1).ok()? };
        ranges.push((low, span, places));
        places = places.checked_mul(span).filter(|places| *places < 1 << 62)?;
    }
    let side = |keys: &Keys<'_>| {
        let mut numbers = vec![0u64; keys.rows];
        let mut valid = keys.valid.clone().unwrap_or_else(|| vec![true; keys.rows]);
        for (column, (low, span, stride)) in keys.columns.iter().zip(&ranges) {
            column.each(&mut |row, value| {
                let place = (value as u64).wrapping_sub(*low as u64);
                numbers[row] = numbers[row].wrapping_add(place.wrapping_mul(*stride));
                valid[row] &= place < *span;
            });
        }
        let valid = valid.contains(&false).then_some(valid);
        Keys { columns: vec![Numbers::Own(numbers)], valid, longs: true, rows: keys.rows }
    };
    Some((side(l), side(r)))
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

/// The upper bits are the ones to use.
#[inline(always)]
pub(super) fn hash_of(numbers: impl Iterator<Item = u64>) -> u64 {
    let mix = |hash: u64, number: u64| (hash.rotate_left(29) ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let hash = numbers.fold(0, mix);
    hash ^ (hash >> 32)
}
