//! Matchers over batches of rows: codes, numbers, values, and their combinations. The loops run over what readers lend.

use std::sync::Arc;

use croaring::Bitmap;
use ovate_base::Result;

use super::Matcher;
use super::number::{NumberTest, Testable};
use super::predicate::Predicate;
use crate::column::convert::Number;
use crate::column::{ColumnReader, Rows};
use crate::expr::BoundExpr;
use crate::value::Value;
use crate::vector::Vector;

/// Appends those of `rows` whose flag is set, without a branch per row.
pub(super) fn append(rows: &Rows<'_>, hits: &[bool], out: &mut Vec<u32>) {
    let start = out.len();
    out.resize(start + hits.len(), 0);
    let target = &mut out[start..];
    let mut kept = 0;
    match rows {
        Rows::Range(range) => {
            for (row, hit) in range.clone().zip(hits) {
                target[kept] = row;
                kept += usize::from(*hit);
            }
        }
        Rows::Ids(ids) => {
            for (row, hit) in ids.iter().zip(hits) {
                target[kept] = *row;
                kept += usize::from(*hit);
            }
        }
    }
    out.truncate(start + kept);
}

/// The `index`th of the rows.
fn row_at(rows: &Rows<'_>, index: usize) -> u32 {
    match rows {
        Rows::Range(range) => range.start + index as u32,
        Rows::Ids(ids) => ids[index],
    }
}

/// Appends all rows.
pub(super) fn append_all(rows: &Rows<'_>, out: &mut Vec<u32>) {
    match rows {
        Rows::Range(range) => out.extend(range.clone()),
        Rows::Ids(ids) => out.extend_from_slice(ids),
    }
}

/// Which codes of a dictionary pass.
pub(super) enum CodeSet {
    One(u32),
    /// `start..start + len`.
    Run {
        start: u32,
        len: u32,
    },
    Bits(Vec<u64>),
}

impl CodeSet {
    pub(super) fn has(&self, code: u32) -> bool {
        match self {
            CodeSet::One(one) => code == *one,
            CodeSet::Run { start, len } => code.wrapping_sub(*start) < *len,
            CodeSet::Bits(bits) => bits.get((code / 64) as usize).is_some_and(|word| (word >> (code % 64)) & 1 == 1),
        }
    }
}

/// Rows of a single-valued dictionary column by code.
pub(super) struct CodeMatcher {
    pub reader: Box<dyn ColumnReader>,
    pub set: CodeSet,
    pub hits: Vec<bool>,
}

impl Matcher for CodeMatcher {
    fn keep(&mut self, rows: Rows<'_>, out: &mut Vec<u32>) -> Result<()> {
        let codes = self.reader.codes(rows.clone())?;
        self.hits.clear();
        match &self.set {
            CodeSet::One(one) => self.hits.extend(codes.iter().map(|code| code == one)),
            CodeSet::Run { start, len } => self.hits.extend(codes.iter().map(|code| code.wrapping_sub(*start) < *len)),
            CodeSet::Bits(_) => self.hits.extend(codes.iter().map(|code| self.set.has(*code))),
        }
        append(&rows, &self.hits, out);
        Ok(())
    }
}

/// Rows of a multi-value dictionary column: any code decides; a row without values is null.
pub(super) struct MultiCodeMatcher {
    pub reader: Box<dyn ColumnReader>,
    pub set: CodeSet,
    pub empty_passes: bool,
    pub hits: Vec<bool>,
}

impl Matcher for MultiCodeMatcher {
    fn keep(&mut self, rows: Rows<'_>, out: &mut Vec<u32>) -> Result<()> {
        let multi = self.reader.multi_codes(rows.clone())?;
        self.hits.clear();
        self.hits.extend(multi.offsets.windows(2).map(|pair| {
            let codes = &multi.codes[pair[0] as usize..pair[1] as usize];
            if codes.is_empty() { self.empty_passes } else { codes.iter().any(|code| self.set.has(*code)) }
        }));
        append(&rows, &self.hits, out);
        Ok(())
    }
}

/// Rows of a numeric column.
pub(super) struct NumberMatcher<T> {
    pub reader: Box<dyn ColumnReader>,
    pub test: NumberTest<T>,
    pub null_passes: bool,
    pub hits: Vec<bool>,
}

impl<T: Testable + Number> Matcher for NumberMatcher<T> {
    fn keep(&mut self, rows: Rows<'_>, out: &mut Vec<u32>) -> Result<()> {
        let numbers = T::native(self.reader.as_mut(), rows.clone())?;
        self.test.mark(numbers.values, &mut self.hits);
        if let Some(nulls) = numbers.nulls {
            let null_passes = self.null_passes;
            self.hits.iter_mut().zip(nulls).for_each(|(hit, null)| *hit = if *null { null_passes } else { *hit });
        }
        append(&rows, &self.hits, out);
        Ok(())
    }
}

/// Rows of any column by value.
pub(super) struct ValueMatcher {
    pub reader: Box<dyn ColumnReader>,
    pub predicate: Arc<Predicate>,
    pub multi_value: bool,
    pub include_unknown: bool,
}

impl Matcher for ValueMatcher {
    fn keep(&mut self, rows: Rows<'_>, out: &mut Vec<u32>) -> Result<()> {
        for (index, value) in self.reader.values(rows.clone())?.iter().enumerate() {
            if self.predicate.value(value, self.multi_value).passes(self.include_unknown) {
                out.push(row_at(&rows, index));
            }
        }
        Ok(())
    }
}

/// Rows for which an expression is true.
pub(super) struct ExpressionMatcher {
    pub expression: BoundExpr,
    pub include_unknown: bool,
    pub hits: Vec<bool>,
}

impl Matcher for ExpressionMatcher {
    fn keep(&mut self, rows: Rows<'_>, out: &mut Vec<u32>) -> Result<()> {
        let result = self.expression.eval(rows.clone())?;
        self.hits.clear();
        let unknown = self.include_unknown;
        match &result {
            Vector::Long { values, nulls: None } => self.hits.extend(values.iter().map(|v| *v > 0)),
            Vector::Long { values, nulls: Some(nulls) } => {
                self.hits.extend(values.iter().zip(nulls).map(|(v, null)| if *null { unknown } else { *v > 0 }));
            }
            other => self.hits.extend(other.to_values().iter().map(|value| truth(value).unwrap_or(unknown))),
        }
        append(&rows, &self.hits, out);
        Ok(())
    }
}

/// An expression's value as a condition: of an array, any element.
pub(super) fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Array(elements) => Some(elements.iter().any(|element| element.as_boolean() == Some(true))),
        scalar => scalar.as_boolean(),
    }
}

/// Rows whose columns share a value (`columnComparison`).
pub(super) struct ComparisonMatcher {
    pub readers: Vec<Option<Box<dyn ColumnReader>>>,
}

impl Matcher for ComparisonMatcher {
    fn keep(&mut self, rows: Rows<'_>, out: &mut Vec<u32>) -> Result<()> {
        let mut columns = Vec::with_capacity(self.readers.len());
        for reader in &mut self.readers {
            columns.push(match reader {
                Some(reader) => reader.values(rows.clone())?.to_vec(),
                None => vec![Value::Null; rows.len()],
            });
        }
        for index in 0..rows.len() {
            if columns.windows(2).all(|pair| overlap(&pair[0][index], &pair[1][index])) {
                out.push(row_at(&rows, index));
            }
        }
        Ok(())
    }
}

/// True when two values, taken as sets of texts, share one; null equals null.
pub(super) fn overlap(a: &Value, b: &Value) -> bool {
    let texts = |value: &Value| match value {
        Value::Array(elements) if !elements.is_empty() => elements.iter().map(Value::as_text).collect(),
        Value::Array(_) => vec![None],
        scalar => vec![scalar.as_text()],
    };
    let (a, b) = (texts(a), texts(b));
    a.iter().any(|text| b.contains(text))
}

/// Rows of a bitmap.
pub(super) struct BitmapMatcher(pub Bitmap);

impl Matcher for BitmapMatcher {
    fn keep(&mut self, rows: Rows<'_>, out: &mut Vec<u32>) -> Result<()> {
        match rows {
            Rows::Range(range) => {
                let mut cursor = self.0.cursor();
                cursor.reset_at_or_after(range.start);
                while let Some(row) = cursor.current().filter(|row| *row < range.end) {
                    out.push(row);
                    cursor.move_next();
                }
            }
            Rows::Ids(ids) => out.extend(ids.iter().filter(|row| self.0.contains(**row))),
        }
        Ok(())
    }
}

/// Rows that all fields keep.
pub(super) struct AndMatcher {
    pub fields: Vec<Box<dyn Matcher>>,
    pub buffers: [Vec<u32>; 2],
}

impl Matcher for AndMatcher {
    fn keep(&mut self, rows: Rows<'_>, out: &mut Vec<u32>) -> Result<()> {
        let Some((last, others)) = self.fields.split_last_mut() else {
            append_all(&rows, out);
            return Ok(());
        };
        let [current, next] = &mut self.buffers;
        let mut narrowed = false;
        for field in others {
            next.clear();
            let input = if narrowed { Rows::Ids(current) } else { rows.clone() };
            field.keep(input, next)?;
            std::mem::swap(current, next);
            narrowed = true;
            if current.is_empty() {
                return Ok(());
            }
        }
        last.keep(if narrowed { Rows::Ids(current) } else { rows }, out)
    }
}

/// Rows that any field keeps. Each field sees only the rows that none before it kept.
pub(super) struct OrMatcher {
    pub fields: Vec<Box<dyn Matcher>>,
}

impl Matcher for OrMatcher {
    fn keep(&mut self, rows: Rows<'_>, out: &mut Vec<u32>) -> Result<()> {
        let start = out.len();
        let mut pending = Vec::with_capacity(rows.len());
        append_all(&rows, &mut pending);
        let mut kept = Vec::new();
        for field in &mut self.fields {
            if pending.is_empty() {
                break;
            }
            kept.clear();
            field.keep(Rows::Ids(&pending), &mut kept)?;
            if !kept.is_empty() {
                pending = minus(&pending, &kept);
                out.extend_from_slice(&kept);
            }
        }
        out[start..].sort_unstable();
        Ok(())
    }
}

/// Rows that the field does not keep.
pub(super) struct NotMatcher {
    pub field: Box<dyn Matcher>,
    pub kept: Vec<u32>,
}

impl Matcher for NotMatcher {
    fn keep(&mut self, rows: Rows<'_>, out: &mut Vec<u32>) -> Result<()> {
        self.kept.clear();
        self.field.keep(rows.clone(), &mut self.kept)?;
        let mut kept = self.kept.iter().copied().peekable();
        let mut check = |row: u32| {
            if kept.next_if_eq(&row).is_none() {
                out.push(row);
            }
        };
        match rows {
            Rows::Range(range) => range.for_each(&mut check),
            Rows::Ids(ids) => ids.iter().copied().for_each(&mut check),
        }
        Ok(())
    }
}

/// Ascending rows without those of another ascending list.
fn minus(rows: &[u32], without: &[u32]) -> Vec<u32> {
    let mut without = without.iter().copied().peekable();
    rows.iter().copied().filter(|row| without.next_if_eq(row).is_none()).collect()
}
