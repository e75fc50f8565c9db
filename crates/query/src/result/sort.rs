//! Ordering rows by columns: whole, or only the first few. Strings are compared as ranks where many rows are sorted, and by
//! their text where only a few are wanted.

use std::cmp::Ordering;
use std::sync::Arc;

use ovate_compute::ordering::StringOrder;
use ovate_compute::value::compare_doubles;
use ovate_compute::{ColumnType, Dictionary, Value, Vector};

use crate::document::Direction;

/// A column to sort by. Nulls come first ascending, last descending.
pub(crate) struct SortColumn {
    data: SortData,
    descending: bool,
}

enum SortData {
    Longs(Vec<i64>, Option<Vec<bool>>),
    Doubles(Vec<f64>, Option<Vec<bool>>),
    /// Codes of a dictionary, compared by text.
    Codes(Arc<dyn Dictionary>, Vec<u32>, StringOrder),
    Ranks(Vec<u32>),
    Texts(Vec<Option<Arc<str>>>, StringOrder),
    Values(Vec<Value>),
    Equal,
}

impl SortColumn {
    /// By the column's own type.
    pub fn natural(vector: Vector, direction: Direction) -> Self {
        Self::new(vector, direction, StringOrder::Natural)
    }

    /// By a comparator. Lexicographic and the like compare numbers by their text, as Druid does for dimensions.
    pub fn new(vector: Vector, direction: Direction, order: StringOrder) -> Self {
        let by_text = !matches!(order, StringOrder::Natural | StringOrder::Numeric);
        let vector = if by_text && vector.column_type().is_some_and(|t| t.is_numeric()) {
            vector.cast(&ColumnType::String)
        } else {
            vector
        };
        let data = match vector {
            Vector::Long { values, nulls } => SortData::Longs(values, nulls),
            Vector::Float { values, nulls } => SortData::Doubles(values.into_iter().map(f64::from).collect(), nulls),
            Vector::Double { values, nulls } => SortData::Doubles(values, nulls),
            Vector::Codes { dictionary, codes } => SortData::Codes(dictionary, codes, order),
            Vector::String(texts) => SortData::Texts(texts, order),
            Vector::Any { values, .. } => SortData::Values(values),
            Vector::Null { .. } => SortData::Equal,
        };
        SortColumn { data, descending: direction == Direction::Descending }
    }

    /// Replaces codes by the rank of their text, which pays when most rows are compared.
    fn rank(&mut self) {
        let SortData::Codes(dictionary, codes, order) = &self.data else { return };
        if dictionary.is_sorted() && matches!(order, StringOrder::Natural | StringOrder::Lexicographic) {
            self.data = SortData::Ranks(codes.clone());
            return;
        }
        let mut met = vec![false; dictionary.cardinality() as usize];
        codes.iter().for_each(|code| met[*code as usize] = true);
        let used = (0..met.len() as u32).filter(|code| met[*code as usize]);
        let mut texts: Vec<_> = used.map(|code| (dictionary.get(code).ok().flatten(), code)).collect();
        texts.sort_unstable_by(|a, b| compare_texts(*order, a.0.as_deref(), b.0.as_deref()));
        let mut ranks = vec![0u32; met.len()];
        let mut rank = 0;
        for (at, (text, code)) in texts.iter().enumerate() {
            // Texts that compare equal share a rank.
            if at > 0 && compare_texts(*order, texts[at - 1].0.as_deref(), text.as_deref()) != Ordering::Equal {
                rank += 1;
            }
            ranks[*code as usize] = rank;
        }
        let ranked = codes.iter().map(|code| ranks[*code as usize]).collect();
        drop(texts);
        self.data = SortData::Ranks(ranked);
    }

    /// How two rows compare.
    pub fn compare(&self, a: u32, b: u32) -> Ordering {
        let (a, b) = (a as usize, b as usize);
        let ordering = match &self.data {
            SortData::Longs(values, nulls) => compare_nulls(nulls, a, b, || values[a].cmp(&values[b])),
            SortData::Doubles(values, nulls) => compare_nulls(nulls, a, b, || compare_doubles(values[a], values[b])),
            SortData::Ranks(ranks) => ranks[a].cmp(&ranks[b]),
            SortData::Codes(dictionary, codes, order) => {
                if codes[a] == codes[b] {
                    return Ordering::Equal;
                }
                let text = |row: usize| dictionary.get(codes[row]).ok().flatten();
                compare_texts(*order, text(a).as_deref(), text(b).as_deref())
            }
            SortData::Texts(texts, order) => compare_texts(*order, texts[a].as_deref(), texts[b].as_deref()),
            SortData::Values(values) => values[a].compare(&values[b]),
            SortData::Equal => Ordering::Equal,
        };
        if self.descending { ordering.reverse() } else { ordering }
    }

    /// Numbers that order as the rows do, for a first cut. Nulls are the least.
    fn score(&self) -> Option<Vec<i64>> {
        let flip = |score: i64| if self.descending { !score } else { score };
        let scored = |at: usize, nulls: &Option<Vec<bool>>, score: i64| {
            flip(if nulls.as_ref().is_some_and(|n| n[at]) { i64::MIN } else { score.max(i64::MIN + 1) })
        };
        match &self.data {
            SortData::Longs(values, nulls) => Some(values.iter().enumerate().map(|(at, v)| scored(at, nulls, *v)).collect()),
            SortData::Doubles(values, nulls) => {
                Some(values.iter().enumerate().map(|(at, v)| scored(at, nulls, double_score(*v))).collect())
            }
            _ => None,
        }
    }
}

/// A long that orders as the double does, NaN greatest, as in Java.
fn double_score(value: f64) -> i64 {
    let bits = if value.is_nan() { f64::NAN.to_bits() & !(1 << 63) } else { value.to_bits() } as i64;
    if bits < 0 { bits ^ i64::MAX } else { bits }
}

fn compare_texts(order: StringOrder, a: Option<&str>, b: Option<&str>) -> Ordering {
    match order {
        StringOrder::Natural | StringOrder::Lexicographic => a.cmp(&b),
        order => order.compare_nullable(a, b),
    }
}

fn compare_nulls(nulls: &Option<Vec<bool>>, a: usize, b: usize, values: impl FnOnce() -> Ordering) -> Ordering {
    match nulls {
        None => values(),
        Some(nulls) => match (nulls[a], nulls[b]) {
            (false, false) => values(),
            (a_null, b_null) => b_null.cmp(&a_null),
        },
    }
}

/// The first `limit` of `len` rows (all when `None`) in the order of the columns; ties keep the rows' own order.
pub(crate) fn order_rows(len: usize, columns: &[SortColumn], limit: Option<usize>) -> Vec<u32> {
    order_some((0..len as u32).collect(), columns, limit)
}

/// The same for some of the rows.
pub(crate) fn order_some(mut rows: Vec<u32>, columns: &[SortColumn], limit: Option<usize>) -> Vec<u32> {
    let limit = limit.unwrap_or(usize::MAX);
    let compare = |a: &u32, b: &u32| {
        columns.iter().map(|column| column.compare(*a, *b)).find(|o| *o != Ordering::Equal).unwrap_or_else(|| a.cmp(b))
    };
    if limit == 0 {
        return Vec::new();
    }
    if limit < rows.len() {
        // Rows that the first column alone rules out never meet the full comparison.
        if let Some(scores) = columns.first().and_then(SortColumn::score) {
            let mut sorted: Vec<i64> = rows.iter().map(|row| scores[*row as usize]).collect();
            let (_, cut, _) = sorted.select_nth_unstable(limit - 1);
            let cut = *cut;
            rows.retain(|row| scores[*row as usize] <= cut);
        }
        if limit < rows.len() {
            rows.select_nth_unstable_by(limit - 1, compare);
            rows.truncate(limit);
        }
    }
    rows.sort_unstable_by(compare);
    rows
}

/// Makes ready for sorting `rows` of which `limit` are wanted.
pub(crate) fn prepare(columns: &mut [SortColumn], rows: usize, limit: Option<usize>) {
    if limit.is_none_or(|limit| limit > rows / 16) {
        columns.iter_mut().for_each(SortColumn::rank);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_order_as_java_compares_them() {
        let values = [f64::NEG_INFINITY, -2.5, -0.0, 0.0, 1e-300, 3.0, f64::INFINITY, f64::NAN];
        assert!(values.windows(2).all(|pair| double_score(pair[0]) < double_score(pair[1])));
    }

    #[test]
    fn the_first_few_are_the_head_of_the_whole_order() {
        let values: Vec<i64> = (0..500).map(|i| (i * 7919) % 61).collect();
        let nulls: Vec<bool> = (0..500).map(|i| i % 17 == 0).collect();
        for direction in [Direction::Ascending, Direction::Descending] {
            let vector = Vector::Long { values: values.clone(), nulls: Some(nulls.clone()) };
            let columns = [SortColumn::natural(vector, direction)];
            let all = order_rows(500, &columns, None);
            assert_eq!(order_rows(500, &columns, Some(73)), all[..73]);
        }
    }
}
