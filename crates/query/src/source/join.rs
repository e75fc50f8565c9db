//! The `join` datasource: a hash join of a segment with a small table (DSRC-03, `HashJoinEngine`). Null never equals anything.

use std::sync::Arc;

use indexmap::IndexMap;
use ovate_base::{DruidError, Result};
use ovate_compute::column::convert::VectorReader;
use ovate_compute::{Column, ColumnSource, ColumnType, EvalContext, Rows, Value, Vector};

use super::condition::JoinCondition;
use super::mapped::{MappedColumn, MappedSource, NO_ROW, check_row_count};
use crate::document::JoinKind;
use crate::group::BytesInterner;
use crate::partial::encode_value;

const BATCH_ROWS: u32 = 8192;

/// A join whose right side is ready; it is applied to one segment after the other.
pub(super) struct Join {
    right: Arc<dyn ColumnSource>,
    prefix: String,
    condition: JoinCondition,
    index: RightIndex,
    keeps_left: bool,
}

impl Join {
    /// Indexes the right side; its columns get `prefix` before their names.
    pub fn new(right: Arc<dyn ColumnSource>, prefix: &str, condition: &str, kind: JoinKind) -> Result<Self> {
        let keeps_left = match kind {
            JoinKind::Inner => false,
            JoinKind::Left => true,
            JoinKind::Right | JoinKind::Full => return Err(DruidError::unsupported(format!("join of type [{}]", kind.name()))),
        };
        let condition = JoinCondition::parse(condition, prefix)?;
        let index = RightIndex::build(&right, &condition)?;
        Ok(Join { right, prefix: prefix.to_owned(), condition, index, keeps_left })
    }

    /// The rows of `left` with those of the right that match.
    pub fn over(&self, left: Arc<dyn ColumnSource>, context: &EvalContext) -> Result<Arc<dyn ColumnSource>> {
        let (mut left_rows, mut right_rows) = (Vec::new(), Vec::new());
        let mut matcher = LeftMatcher::new(&left, &self.condition, &self.index, context)?;
        for start in (0..left.row_count()).step_by(BATCH_ROWS as usize) {
            let end = start.saturating_add(BATCH_ROWS).min(left.row_count());
            matcher.matches(start..end, &mut |row, matches| {
                for other in matches {
                    left_rows.push(row);
                    right_rows.push(*other);
                }
                if matches.is_empty() && self.keeps_left {
                    left_rows.push(row);
                    right_rows.push(NO_ROW);
                }
            })?;
            check_row_count(left_rows.len(), "join")?;
        }
        let nullable = right_rows.contains(&NO_ROW);
        let (left_rows, right_rows) = (Arc::new(left_rows), Arc::new(right_rows));
        let mut extra: IndexMap<String, Arc<dyn Column>> = IndexMap::new();
        for name in self.right.column_names() {
            if let Some(column) = self.right.column(&name)? {
                let mapped = MappedColumn::new(column, right_rows.clone(), nullable);
                extra.insert(format!("{}{name}", self.prefix), Arc::new(mapped));
            }
        }
        Ok(Arc::new(MappedSource { base: left, map: left_rows, extra }))
    }
}

/// The right's rows by the encoded values of their key columns.
struct RightIndex {
    types: Vec<ColumnType>,
    keys: BytesInterner,
    rows: Vec<Vec<u32>>,
    /// All rows, where the condition has no equality.
    all: Vec<u32>,
}

impl RightIndex {
    fn build(right: &Arc<dyn ColumnSource>, condition: &JoinCondition) -> Result<Self> {
        let count = right.row_count();
        let mut index =
            RightIndex { types: Vec::new(), keys: BytesInterner::default(), rows: Vec::new(), all: (0..count).collect() };
        let mut columns = Vec::new();
        for (_, name) in &condition.equalities {
            let column = right.column(name)?;
            index.types.push(column.as_ref().map_or(ColumnType::String, |c| c.capabilities().column_type));
            columns.push(VectorReader::open(column.as_ref())?.read(Rows::Range(0..count))?.to_values());
        }
        let mut bytes = Vec::new();
        for row in 0..count {
            bytes.clear();
            if !columns.iter().all(|values| put_key(&values[row as usize], &mut bytes)) {
                continue;
            }
            let id = index.keys.intern(Some(&bytes)) as usize;
            if id == index.rows.len() {
                index.rows.push(Vec::new());
            }
            index.rows[id].push(row);
        }
        Ok(index)
    }
}

/// Appends a key value; false for null.
fn put_key(value: &Value, bytes: &mut Vec<u8>) -> bool {
    match value {
        Value::Null => return false,
        // Numbers equal across their types.
        Value::Float(f) => encode_value(&Value::Double(f64::from(*f)), bytes),
        other => encode_value(other, bytes),
    }
    true
}

/// Evaluates the left's expressions and finds the right's rows.
struct LeftMatcher<'a> {
    bound: Vec<ovate_compute::expr::BoundExpr>,
    index: &'a RightIndex,
    never: bool,
}

impl<'a> LeftMatcher<'a> {
    fn new(
        left: &Arc<dyn ColumnSource>,
        condition: &JoinCondition,
        index: &'a RightIndex,
        context: &EvalContext,
    ) -> Result<Self> {
        let bound = condition.equalities.iter().map(|(expr, _)| expr.bind(left, context)).collect::<Result<_>>()?;
        Ok(LeftMatcher { bound, index, never: condition.never })
    }

    fn matches(&mut self, range: std::ops::Range<u32>, take: &mut dyn FnMut(u32, &[u32])) -> Result<()> {
        let mut keys: Vec<Vec<Value>> = Vec::new();
        for (expr, target) in self.bound.iter_mut().zip(&self.index.types) {
            let vector = expr.eval(Rows::Range(range.clone()))?;
            // Multi-value rows are compared element by element below.
            let vector = if matches!(vector, Vector::Any { .. }) { vector } else { vector.cast(target) };
            keys.push(vector.to_values());
        }
        let mut bytes = Vec::new();
        let mut found: Vec<u32> = Vec::new();
        for (at, row) in range.enumerate() {
            if self.never {
                take(row, &[]);
                continue;
            }
            if self.bound.is_empty() {
                take(row, &self.index.all);
                continue;
            }
            if let [only] = keys.as_slice()
                && let Value::Array(elements) = &only[at]
            {
                found.clear();
                for element in elements.iter() {
                    bytes.clear();
                    if put_key(&element.cast(&self.index.types[0]), &mut bytes) {
                        found.extend_from_slice(self.rows_of(&bytes));
                    }
                }
                found.sort_unstable();
                found.dedup();
                take(row, &found);
                continue;
            }
            bytes.clear();
            let complete = keys.iter().all(|values| put_key(&values[at], &mut bytes));
            take(row, if complete { self.rows_of(&bytes) } else { &[] });
        }
        Ok(())
    }

    fn rows_of(&self, key: &[u8]) -> &[u32] {
        self.index.keys.find_bytes(key).map_or(&[], |id| &self.index.rows[id as usize])
    }
}
