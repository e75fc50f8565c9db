//! Whole numbers that a column is to be among, made once for a query and shared by all segments that it is tested on: what
//! one side of a join leaves of the other. Numbers near each other are bits, others are hashed.

use std::sync::Arc;

use base64::Engine as _;
use croaring::{Bitmap, Portable};
use hashbrown::HashSet;
use ovate_base::{DruidError, Result};
use serde_json::{Value as Json, json};

use super::Matcher;
use super::matcher::append;
use crate::column::{ColumnReader, Rows};

/// Bits of one set at most (16 MiB).
const BITS_MAX: u128 = 1 << 27;
/// A set of bits may have this many places for each value, and so many in any case.
const BITS_PER_VALUE: u128 = 512;
const BITS_ALWAYS: u128 = 1 << 23;
/// Numbers far from each other are hashed, up to this many.
const HASHED_MAX: usize = 1 << 20;

/// A set of longs.
pub struct LongSet {
    form: Form,
    count: usize,
}

enum Form {
    /// A bit for each number from `low` on.
    Bits {
        low: i64,
        words: Vec<u64>,
    },
    Hashed(HashSet<i64, foldhash::fast::RandomState>),
}

impl LongSet {
    /// The values that are not null; `None` when they are many and far from each other.
    pub fn of(values: &[i64], nulls: Option<&[bool]>) -> Option<LongSet> {
        Self::without(values, |row| nulls.is_some_and(|nulls| nulls[row]))
    }

    /// The values that count.
    pub fn of_valid(values: &[i64], valid: Option<&[bool]>) -> Option<LongSet> {
        Self::without(values, |row| valid.is_some_and(|valid| !valid[row]))
    }

    fn without(values: &[i64], is_null: impl Fn(usize) -> bool) -> Option<LongSet> {
        let (mut low, mut high, mut valid) = (i64::MAX, i64::MIN, 0usize);
        for (row, value) in values.iter().enumerate() {
            if !is_null(row) {
                (low, high) = (low.min(*value), high.max(*value));
                valid += 1;
            }
        }
        if valid == 0 {
            return Some(LongSet { form: Form::Bits { low: 0, words: Vec::new() }, count: 0 });
        }
        let span = (i128::from(high) - i128::from(low) + 1) as u128;
        if span <= (valid as u128 * BITS_PER_VALUE).clamp(BITS_ALWAYS, BITS_MAX) {
            let mut words = vec![0u64; (span as usize).div_ceil(64)];
            for (row, value) in values.iter().enumerate() {
                if !is_null(row) {
                    let at = value.wrapping_sub(low) as u64;
                    words[(at / 64) as usize] |= 1 << (at % 64);
                }
            }
            let count = words.iter().map(|word| word.count_ones() as usize).sum();
            return Some(LongSet { form: Form::Bits { low, words }, count });
        }
        if valid > HASHED_MAX {
            return None;
        }
        let valid = values.iter().enumerate().filter(|(row, _)| !is_null(*row)).map(|(_, value)| *value);
        let set: HashSet<i64, foldhash::fast::RandomState> = valid.collect();
        Some(LongSet { count: set.len(), form: Form::Hashed(set) })
    }

    /// How many numbers it has.
    pub fn len(&self) -> usize {
        self.count
    }

    /// True when nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The numbers, ascending.
    pub fn to_vec(&self) -> Vec<i64> {
        match &self.form {
            Form::Bits { low, words } => bits_of(words).map(|at| low.wrapping_add_unsigned(at)).collect(),
            Form::Hashed(set) => {
                let mut all: Vec<i64> = set.iter().copied().collect();
                all.sort_unstable();
                all
            }
        }
    }

    /// Sets `hits[i]` for the values that are in the set.
    pub fn mark(&self, values: &[i64], hits: &mut Vec<bool>) {
        hits.clear();
        match &self.form {
            Form::Bits { low, words } => hits.extend(values.iter().map(|value| {
                let at = value.wrapping_sub(*low) as u64;
                words.get((at / 64) as usize).is_some_and(|word| word >> (at % 64) & 1 == 1)
            })),
            Form::Hashed(set) => hits.extend(values.iter().map(|value| set.contains(value))),
        }
    }

    /// The fields of a filter document: a base and a Roaring bitmap in base64, or a list.
    pub(super) fn write(&self, column: &str) -> Json {
        match &self.form {
            Form::Bits { low, words } => {
                let bitmap: Bitmap = bits_of(words).map(|at| at as u32).collect();
                let text = base64::engine::general_purpose::STANDARD.encode(bitmap.serialize::<Portable>());
                json!({"type": "ovateLongs", "column": column, "low": low, "bitmap": text})
            }
            Form::Hashed(_) => json!({"type": "ovateLongs", "column": column, "values": self.to_vec()}),
        }
    }

    /// Reads what [`LongSet::write`] wrote.
    pub(super) fn read(document: &Json) -> Result<LongSet> {
        let bad = |why: &str| DruidError::invalid_input(format!("filter [ovateLongs] cannot be read: {why}"));
        if let Some(values) = document.get("values") {
            let values = values.as_array().ok_or_else(|| bad("[values] is no list"))?;
            let longs = values.iter().map(Json::as_i64).collect::<Option<Vec<i64>>>().ok_or_else(|| bad("a value is no long"))?;
            return LongSet::of(&longs, None).ok_or_else(|| bad("too many values far from each other"));
        }
        let low = document.get("low").and_then(Json::as_i64).ok_or_else(|| bad("[low] is no long"))?;
        let text = document.get("bitmap").and_then(Json::as_str).ok_or_else(|| bad("[bitmap] is no text"))?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| bad("[bitmap] is not base64"))?;
        let bitmap = Bitmap::try_deserialize::<Portable>(&bytes).ok_or_else(|| bad("[bitmap] is no Roaring bitmap"))?;
        let span = bitmap.maximum().map_or(0, |last| u64::from(last) + 1);
        if u128::from(span) > BITS_MAX {
            return Err(bad("its numbers are too far from each other"));
        }
        let mut words = vec![0u64; (span as usize).div_ceil(64)];
        bitmap.iter().for_each(|at| words[(at / 64) as usize] |= 1 << (at % 64));
        Ok(LongSet { form: Form::Bits { low, words }, count: bitmap.cardinality() as usize })
    }
}

fn bits_of(words: &[u64]) -> impl Iterator<Item = u64> + '_ {
    words.iter().enumerate().flat_map(|(at, word)| {
        let mut left = *word;
        std::iter::from_fn(move || {
            let bit = (left != 0).then(|| u64::from(left.trailing_zeros()))?;
            left &= left - 1;
            Some(at as u64 * 64 + bit)
        })
    })
}

impl std::fmt::Debug for LongSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LongSet({})", self.count)
    }
}

impl PartialEq for LongSet {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && self.to_vec() == other.to_vec()
    }
}

/// Rows of a LONG column whose value is in the set.
pub(super) struct LongSetMatcher {
    pub reader: Box<dyn ColumnReader>,
    pub set: Arc<LongSet>,
    pub null_passes: bool,
    pub hits: Vec<bool>,
}

impl Matcher for LongSetMatcher {
    fn keep(&mut self, rows: Rows<'_>, out: &mut Vec<u32>) -> Result<()> {
        let numbers = self.reader.longs(rows.clone())?;
        self.set.mark(numbers.values, &mut self.hits);
        if let Some(nulls) = numbers.nulls {
            let null_passes = self.null_passes;
            self.hits.iter_mut().zip(nulls).for_each(|(hit, null)| *hit = if *null { null_passes } else { *hit });
        }
        append(&rows, &self.hits, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::MemoryTable;
    use crate::filter::FilterSpec;
    use crate::value::Value;
    use crate::vector::Vector;
    use crate::{ColumnSource, EvalContext};

    fn kept(column: Vector, set: &[i64]) -> Vec<u32> {
        let rows = column.len() as u32;
        let source: Arc<dyn ColumnSource> = Arc::new(MemoryTable::new(vec![("k".into(), column)]).expect("a table"));
        let set = Arc::new(LongSet::of(set, None).expect("a set"));
        let spec = FilterSpec::LongSet { column: "k".into(), set };
        let spec = FilterSpec::from_json(&spec.to_json()).expect("its document is read");
        let mut out = Vec::new();
        let bound = spec.bind(&source, &EvalContext::at(0)).expect("it binds");
        match (bound.bitmap, bound.residual) {
            (None, Some(mut matcher)) => matcher.keep(Rows::Range(0..rows), &mut out).expect("it matches"),
            (Some(bitmap), None) => out.extend(bitmap.iter()),
            _ => panic!("one part decides"),
        }
        out
    }

    #[test]
    fn near_and_far_numbers_are_found_alike_and_null_never() {
        let near = [-3, 5, 70, 5];
        let far = [i64::MIN, -3, 5, 70, i64::MAX];
        for set in [&near[..], &far[..]] {
            let values = vec![5, 6, -3, 70, 0, 71];
            let nulls = vec![false, false, false, true, false, false];
            assert_eq!(kept(Vector::Long { values, nulls: Some(nulls) }, set), [0, 2]);
            assert!(kept(Vector::Long { values: vec![1, 2], nulls: None }, set).is_empty());
        }
    }

    #[test]
    fn texts_and_doubles_are_compared_as_lists_compare_them() {
        let texts = Vector::from_values(&crate::ColumnType::String, vec![Value::from("5"), Value::from("05"), Value::Null]);
        assert_eq!(kept(texts, &[5]), [0]);
        assert_eq!(kept(Vector::Double { values: vec![5.0, 5.5], nulls: None }, &[5]), [0]);
    }

    #[test]
    fn damaged_documents_are_refused() {
        let set = LongSet::of(&[1, 1000], None).expect("a set");
        let good = set.write("k");
        assert_eq!(LongSet::read(&good).expect("it reads back"), set);
        for (field, value) in [("low", json!("x")), ("bitmap", json!("!")), ("bitmap", json!("AAAA")), ("bitmap", Json::Null)] {
            let mut bad = good.clone();
            bad[field] = value;
            assert!(LongSet::read(&bad).is_err(), "{bad}");
        }
        let wide: Bitmap = [0, u32::MAX].into_iter().collect();
        let text = base64::engine::general_purpose::STANDARD.encode(wide.serialize::<Portable>());
        assert!(LongSet::read(&json!({"low": 0, "bitmap": text})).is_err());
        assert!(LongSet::read(&json!({"values": [1, "x"]})).is_err());
    }

    #[test]
    fn nothing_and_too_much_are_told() {
        assert!(LongSet::of(&[7], Some(&[true])).expect("a set").is_empty());
        let many: Vec<i64> = (0..=HASHED_MAX as i64).map(|at| at * 1_000_003).collect();
        assert!(LongSet::of(&many, None).is_none());
    }
}
