//! Texts by code: columns whose dictionaries differ brought under one, and a dictionary with a place for null.

use std::borrow::Cow;
use std::sync::Arc;

use ovate_base::Result;
use ovate_compute::column::{Dictionary, MemoryDictionary};
use ovate_compute::{Value, Vector};

use crate::join::CodeMap;
use crate::relation::NO_ROW;

/// Text columns one after the other under one dictionary; `None` when a part is no text column or its dictionary is
/// damaged.
pub fn joined_codes(parts: &[Vector]) -> Option<Vector> {
    if !parts.iter().all(|p| matches!(p, Vector::Codes { .. } | Vector::String(_) | Vector::Null { .. })) {
        return None;
    }
    let mut merged = MemoryDictionary::new();
    let mut all = Vec::with_capacity(parts.iter().map(Vector::len).sum());
    for part in parts {
        match part {
            Vector::Codes { dictionary, codes } => {
                let mut known = CodeMap::new(dictionary.cardinality(), codes.len());
                for code in codes {
                    let new = match known.get(*code) {
                        Some(new) => new as u32,
                        None => {
                            let new = merged.intern(dictionary.get(*code).ok()?.as_deref());
                            known.set(*code, u64::from(new));
                            new
                        }
                    };
                    all.push(new);
                }
            }
            Vector::String(values) => all.extend(values.iter().map(|v| merged.intern(v.as_deref()))),
            other => {
                let null = merged.intern(None);
                all.resize(all.len() + other.len(), null);
            }
        }
    }
    Some(Vector::Codes { dictionary: Arc::new(merged), codes: all })
}

/// A text column's rows, with null for `NO_ROW`.
pub fn gather_codes(column: &Vector, rows: &[u32]) -> Vector {
    if let Vector::Codes { dictionary, codes } = column
        && let Ok(null) = dictionary.find(None)
    {
        let (dictionary, null): (Arc<dyn Dictionary>, u32) = match null {
            Some(null) => (dictionary.clone(), null),
            None => (Arc::new(WithNull(dictionary.clone())), dictionary.cardinality()),
        };
        let codes = rows.iter().map(|row| if *row == NO_ROW { null } else { codes[*row as usize] }).collect();
        return Vector::Codes { dictionary, codes };
    }
    let text = |row: &u32| if *row == NO_ROW { None } else { column.value(*row as usize).as_text() };
    Vector::String(rows.iter().map(text).collect())
}

/// A dictionary with null after its last code.
struct WithNull(Arc<dyn Dictionary>);

impl Dictionary for WithNull {
    fn cardinality(&self) -> u32 {
        self.0.cardinality().saturating_add(1)
    }
    fn get(&self, code: u32) -> Result<Option<Cow<'_, str>>> {
        if code == self.0.cardinality() { Ok(None) } else { self.0.get(code) }
    }
    fn find(&self, value: Option<&str>) -> Result<Option<u32>> {
        if value.is_none() { Ok(Some(self.0.cardinality())) } else { self.0.find(value) }
    }
    fn is_sorted(&self) -> bool {
        false
    }
}

/// Distinct non-null values of a column, or `None` when there are more than `most`.
pub fn distinct_values(column: &Vector, most: usize) -> Option<Vec<Value>> {
    let mut out = Vec::new();
    let fits = |out: &Vec<Value>| out.len() <= most;
    match column {
        Vector::Long { values, nulls } => {
            let mut seen = std::collections::HashSet::<i64, foldhash::fast::FixedState>::default();
            for (row, value) in values.iter().enumerate() {
                if !nulls.as_ref().is_some_and(|n| n[row]) && seen.insert(*value) {
                    out.push(Value::Long(*value));
                    if !fits(&out) {
                        return None;
                    }
                }
            }
        }
        Vector::Codes { dictionary, codes } => {
            let mut known = CodeMap::new(dictionary.cardinality(), codes.len());
            for code in codes {
                if known.get(*code).is_none() {
                    known.set(*code, 0);
                    if let Ok(Some(text)) = dictionary.get(*code) {
                        out.push(Value::from(text.as_ref()));
                    }
                    if !fits(&out) {
                        return None;
                    }
                }
            }
        }
        Vector::String(values) => {
            let mut seen = std::collections::HashSet::<&str, foldhash::fast::FixedState>::default();
            for text in values.iter().flatten() {
                if seen.insert(text) {
                    out.push(Value::String(text.clone()));
                    if !fits(&out) {
                        return None;
                    }
                }
            }
        }
        _ => return None,
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(values: &[Option<&str>]) -> Vector {
        Vector::String(values.iter().map(|v| v.map(Arc::from)).collect())
    }

    #[test]
    fn columns_of_different_dictionaries_keep_their_texts() {
        let a = joined_codes(&[texts(&[Some("x"), Some("y")])]).expect("texts");
        let b = joined_codes(&[texts(&[Some("y"), None, Some("z")])]).expect("texts");
        let both = joined_codes(&[a, b, Vector::Null { len: 1 }]).expect("codes");
        let shown: Vec<Option<Arc<str>>> = both.to_values().iter().map(Value::as_text).collect();
        let expected = [Some("x"), Some("y"), Some("y"), None, Some("z"), None].map(|t| t.map(Arc::from));
        assert_eq!(shown, expected);
        assert!(joined_codes(&[Vector::constant(&Value::Long(1), 1)]).is_none());
    }

    #[test]
    fn absent_rows_are_null_whether_or_not_the_dictionary_knows_null() {
        for column in [texts(&[Some("a"), Some("b")]), texts(&[Some("a"), None])] {
            let codes = joined_codes(&[column]).expect("texts");
            let gathered = gather_codes(&codes, &[0, NO_ROW, 1]);
            assert!(gathered.is_null(1));
            assert_eq!(gathered.value(0).as_text().as_deref(), Some("a"));
        }
    }

    #[test]
    fn distinct_values_stop_at_their_bound() {
        let longs = Vector::Long { values: vec![3, 1, 3, 2], nulls: Some(vec![false, false, false, true]) };
        assert_eq!(distinct_values(&longs, 5).map(|v| v.len()), Some(2));
        assert!(distinct_values(&longs, 1).is_none());
        assert_eq!(distinct_values(&texts(&[Some("a"), None, Some("a")]), 5).map(|v| v.len()), Some(1));
    }
}
