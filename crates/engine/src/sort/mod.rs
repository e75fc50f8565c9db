//! Ordering of rows in memory by any columns; [`sort_within`] does it within the budget of queries, by way of the disk where
//! that is short.

mod within;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use ovate_compute::{Dictionary, Value, Vector};

pub use within::{Wanted, sort_within};

/// A column to order by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortColumn {
    pub column: usize,
    pub descending: bool,
    pub nulls_first: bool,
}

/// A column made ready for comparing; values stay where they are.
pub struct Comparer<'a> {
    kind: Kind<'a>,
    nulls: Option<Cow<'a, [bool]>>,
    descending: bool,
    nulls_first: bool,
}

enum Kind<'a> {
    Long(&'a [i64]),
    Float(&'a [f32]),
    Double(&'a [f64]),
    Text(&'a [Option<Arc<str>>]),
    /// Codes, and the place of each among the dictionary's texts where codes do not ascend with them.
    Codes {
        codes: &'a [u32],
        places: Option<Vec<u32>>,
    },
    Any(&'a [Value]),
    Null,
}

impl<'a> Comparer<'a> {
    pub fn new(vector: &'a Vector, descending: bool, nulls_first: bool) -> Comparer<'a> {
        let borrowed = |nulls: &'a Option<Vec<bool>>| nulls.as_deref().map(Cow::Borrowed);
        let (kind, nulls) = match vector {
            Vector::Long { values, nulls } => (Kind::Long(values), borrowed(nulls)),
            Vector::Double { values, nulls } => (Kind::Double(values), borrowed(nulls)),
            Vector::Float { values, nulls } => (Kind::Float(values), borrowed(nulls)),
            Vector::String(values) => (Kind::Text(values), Some(values.iter().map(Option::is_none).collect())),
            Vector::Codes { dictionary, codes } => {
                let null = dictionary.find(None).ok().flatten();
                let nulls = null.filter(|null| codes.contains(null)).map(|null| codes.iter().map(|code| *code == null).collect());
                let places = (!dictionary.is_sorted()).then(|| places_of(dictionary.as_ref()));
                (Kind::Codes { codes, places }, nulls)
            }
            Vector::Any { values, .. } => (Kind::Any(values), Some(values.iter().map(Value::is_null).collect())),
            Vector::Null { .. } => (Kind::Null, None),
        };
        Comparer { kind, nulls, descending, nulls_first }
    }

    /// The order of two rows.
    pub fn compare(&self, a: u32, b: u32) -> Ordering {
        let (a, b) = (a as usize, b as usize);
        if let Some(nulls) = &self.nulls
            && let Some(order) = order_of_nulls(nulls[a], nulls[b], self.nulls_first)
        {
            return order;
        }
        let order = match &self.kind {
            Kind::Long(values) => values[a].cmp(&values[b]),
            Kind::Double(values) => ovate_compute::value::compare_doubles(values[a], values[b]),
            Kind::Float(values) => ovate_compute::value::compare_doubles(f64::from(values[a]), f64::from(values[b])),
            Kind::Text(values) => values[a].cmp(&values[b]),
            Kind::Codes { codes, places: None } => codes[a].cmp(&codes[b]),
            Kind::Codes { codes, places: Some(places) } => {
                let place = |row: usize| places.get(codes[row] as usize).copied().unwrap_or(0);
                place(a).cmp(&place(b))
            }
            Kind::Any(values) => values[a].compare(&values[b]),
            Kind::Null => Ordering::Equal,
        };
        if self.descending { order.reverse() } else { order }
    }
}

/// The order of two rows of which one is null; `None` where neither is.
fn order_of_nulls(a: bool, b: bool, nulls_first: bool) -> Option<Ordering> {
    match (a, b) {
        (false, false) => None,
        (true, true) => Some(Ordering::Equal),
        (a, _) => Some(if a == nulls_first { Ordering::Less } else { Ordering::Greater }),
    }
}

/// The place of each code's text in order; what cannot be read counts as empty, reading the rows will tell.
fn places_of(dictionary: &dyn Dictionary) -> Vec<u32> {
    let texts: Vec<Option<String>> =
        (0..dictionary.cardinality()).map(|code| dictionary.get(code).ok().flatten().map(Cow::into_owned)).collect();
    let mut order: Vec<u32> = (0..texts.len() as u32).collect();
    order.sort_by(|a, b| texts[*a as usize].cmp(&texts[*b as usize]));
    let mut places = vec![0; texts.len()];
    let mut place = 0;
    for (at, code) in order.iter().enumerate() {
        // A dictionary that is put together may hold a text twice.
        if at > 0 && texts[*code as usize] != texts[order[at - 1] as usize] {
            place = at as u32;
        }
        places[*code as usize] = place;
    }
    places
}

fn comparers<'a>(columns: &'a [Vector], keys: &[SortColumn]) -> Vec<Comparer<'a>> {
    keys.iter().map(|key| Comparer::new(&columns[key.column], key.descending, key.nulls_first)).collect()
}

/// Row numbers in order; rows that compare equal keep theirs.
pub fn sorted_rows(columns: &[Vector], rows: usize, keys: &[SortColumn]) -> Vec<u32> {
    first_sorted(columns, 0..rows as u32, keys, rows)
}

/// The first `count` of these rows in order.
fn first_sorted(columns: &[Vector], rows: std::ops::Range<u32>, keys: &[SortColumn], count: usize) -> Vec<u32> {
    let comparers = comparers(columns, keys);
    let compare = |a: &u32, b: &u32| first_difference(&comparers, *a, *b).then_with(|| a.cmp(b));
    let mut order: Vec<u32>;
    if count.saturating_mul(4) < rows.len() {
        // Few are wanted: those that cannot be among them are left out on the way.
        let room = (2 * count).max(1024);
        order = Vec::with_capacity(room);
        for row in rows {
            order.push(row);
            if order.len() == room {
                order.select_nth_unstable_by(count, compare);
                order.truncate(count);
            }
        }
    } else {
        order = rows.collect();
    }
    order.sort_unstable_by(compare);
    order.truncate(count);
    order
}

/// The order of two rows by the first of these in which they differ.
pub fn first_difference(comparers: &[Comparer<'_>], a: u32, b: u32) -> Ordering {
    comparers.iter().map(|c| c.compare(a, b)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
}
