//! Ordering of rows in memory by any columns.

use std::cmp::Ordering;
use std::sync::Arc;

use ovate_compute::{Value, Vector};

/// A column to order by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortColumn {
    pub column: usize,
    pub descending: bool,
    pub nulls_first: bool,
}

/// A column made ready for comparing.
pub struct Comparer {
    kind: Kind,
    nulls: Option<Vec<bool>>,
    descending: bool,
    nulls_first: bool,
}

enum Kind {
    Long(Vec<i64>),
    Double(Vec<f64>),
    Text(Vec<Option<Arc<str>>>),
    Any(Vec<Value>),
    Null,
}

impl Comparer {
    pub fn new(vector: &Vector, descending: bool, nulls_first: bool) -> Comparer {
        let (kind, nulls) = match vector {
            Vector::Long { values, nulls } => (Kind::Long(values.clone()), nulls.clone()),
            Vector::Double { values, nulls } => (Kind::Double(values.clone()), nulls.clone()),
            Vector::Float { values, nulls } => (Kind::Double(values.iter().map(|v| f64::from(*v)).collect()), nulls.clone()),
            Vector::String(values) => (Kind::Text(values.clone()), Some(values.iter().map(Option::is_none).collect())),
            Vector::Codes { .. } => {
                let values: Vec<Option<Arc<str>>> = vector.to_values().iter().map(Value::as_text).collect();
                let nulls = values.iter().map(Option::is_none).collect();
                (Kind::Text(values), Some(nulls))
            }
            Vector::Any { values, .. } => (Kind::Any(values.clone()), Some(values.iter().map(Value::is_null).collect())),
            Vector::Null { .. } => (Kind::Null, None),
        };
        Comparer { kind, nulls, descending, nulls_first }
    }

    /// The order of two rows.
    pub fn compare(&self, a: u32, b: u32) -> Ordering {
        let (a, b) = (a as usize, b as usize);
        if let Some(nulls) = &self.nulls {
            match (nulls[a], nulls[b]) {
                (true, true) => return Ordering::Equal,
                (true, false) => return if self.nulls_first { Ordering::Less } else { Ordering::Greater },
                (false, true) => return if self.nulls_first { Ordering::Greater } else { Ordering::Less },
                (false, false) => {}
            }
        }
        let order = match &self.kind {
            Kind::Long(values) => values[a].cmp(&values[b]),
            Kind::Double(values) => ovate_compute::value::compare_doubles(values[a], values[b]),
            Kind::Text(values) => values[a].cmp(&values[b]),
            Kind::Any(values) => values[a].compare(&values[b]),
            Kind::Null => Ordering::Equal,
        };
        if self.descending { order.reverse() } else { order }
    }
}

/// Row numbers in order; rows that compare equal keep theirs.
pub fn sorted_rows(columns: &[Vector], rows: usize, keys: &[SortColumn]) -> Vec<u32> {
    let comparers: Vec<Comparer> =
        keys.iter().map(|key| Comparer::new(&columns[key.column], key.descending, key.nulls_first)).collect();
    let mut order: Vec<u32> = (0..rows as u32).collect();
    order.sort_by(|a, b| first_difference(&comparers, *a, *b));
    order
}

/// The order of two rows by the first of these in which they differ.
pub fn first_difference(comparers: &[Comparer], a: u32, b: u32) -> Ordering {
    comparers.iter().map(|c| c.compare(a, b)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
}
