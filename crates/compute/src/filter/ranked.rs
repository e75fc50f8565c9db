//! Two text columns with dictionaries compared with each other: their values are ranked together once, then rows are
//! compared by rank.

use std::cmp::Ordering;
use std::sync::Arc;

use ovate_base::Result;

use super::Matcher;
use super::matcher::append;
use crate::column::{Column, ColumnReader, ColumnSource, Dictionary, Rows};
use crate::expr::Expr;
use crate::types::ColumnType;

/// Dictionaries with more values together are not ranked.
const VALUES_MAX: u32 = 1 << 18;
/// The rank of null.
const NULL: u32 = u32::MAX;

/// Keeps the rows whose values are in the order asked for.
pub(super) struct RankMatcher {
    left: Side,
    right: Side,
    test: fn(Ordering) -> bool,
    include_unknown: bool,
    hits: Vec<bool>,
    ranks: Vec<u32>,
}

struct Side {
    reader: Box<dyn ColumnReader>,
    /// By code.
    ranks: Vec<u32>,
}

impl RankMatcher {
    /// A matcher for `a < b` and the like over two columns of single texts; `None` for every other expression.
    pub fn of(expression: &Expr, source: &dyn ColumnSource, include_unknown: bool) -> Result<Option<RankMatcher>> {
        let Some((left, right, test)) = expression.comparison() else { return Ok(None) };
        let (Some(left), Some(right)) = (source.column(left)?, source.column(right)?) else { return Ok(None) };
        let (Some(a), Some(b)) = (texts(&left), texts(&right)) else { return Ok(None) };
        if a.cardinality().saturating_add(b.cardinality()) > VALUES_MAX {
            return Ok(None);
        }
        let mut all = Vec::with_capacity((a.cardinality() + b.cardinality()) as usize);
        for (side, dictionary) in [(0, &a), (1, &b)] {
            for code in 0..dictionary.cardinality() {
                if let Some(text) = dictionary.get(code)? {
                    all.push((text, side, code));
                }
            }
        }
        all.sort_unstable_by(|x, y| x.0.cmp(&y.0));
        let mut ranks = [vec![NULL; a.cardinality() as usize], vec![NULL; b.cardinality() as usize]];
        let mut rank = 0;
        for (at, (text, side, code)) in all.iter().enumerate() {
            if at > 0 && all[at - 1].0 != *text {
                rank += 1;
            }
            ranks[*side][*code as usize] = rank;
        }
        let [left_ranks, right_ranks] = ranks;
        Ok(Some(RankMatcher {
            left: Side { reader: left.reader()?, ranks: left_ranks },
            right: Side { reader: right.reader()?, ranks: right_ranks },
            test,
            include_unknown,
            hits: Vec::new(),
            ranks: Vec::new(),
        }))
    }
}

/// The dictionary of a column of single texts.
fn texts(column: &Arc<dyn Column>) -> Option<Arc<dyn Dictionary>> {
    let own = column.capabilities();
    if own.column_type != ColumnType::String || own.multi_value || !own.dictionary {
        return None;
    }
    column.dictionary()
}

impl Matcher for RankMatcher {
    fn keep(&mut self, rows: Rows<'_>, out: &mut Vec<u32>) -> Result<()> {
        let RankMatcher { left, right, test, include_unknown, hits, ranks } = self;
        let rank = |side: &[u32], code: u32| side.get(code as usize).copied().unwrap_or(NULL);
        ranks.clear();
        ranks.extend(left.reader.codes(rows.clone())?.iter().map(|code| rank(&left.ranks, *code)));
        hits.clear();
        let codes = right.reader.codes(rows.clone())?;
        hits.extend(ranks.iter().zip(codes).map(|(a, code)| {
            let b = rank(&right.ranks, *code);
            if *a == NULL || b == NULL { *include_unknown } else { test(a.cmp(&b)) }
        }));
        append(&rows, hits, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::MemoryTable;
    use crate::context::EvalContext;
    use crate::filter::FilterSpec;
    use crate::vector::Vector;

    #[test]
    fn rows_are_those_that_the_expression_gives_when_it_is_evaluated() {
        let texts = |values: &[Option<&str>]| Vector::String(values.iter().map(|v| v.map(Arc::from)).collect());
        let a = texts(&[Some("b"), Some("a"), None, Some("c"), Some("c"), Some("x"), None]);
        let b = texts(&[Some("a"), Some("b"), Some("a"), Some("c"), None, Some("y"), None]);
        let table = MemoryTable::new(vec![("a".to_owned(), a), ("b".to_owned(), b)]).expect("a table");
        let source: Arc<dyn ColumnSource> = Arc::new(table);
        let rows = |text: &str| -> Vec<u32> {
            let filter = FilterSpec::Expression { expression: Expr::parse(text).expect("an expression") };
            let mut bound = filter.bind(&source, &EvalContext { lookups: Arc::default(), now_ms: 0 }).expect("binds");
            let mut out = Vec::new();
            bound.residual.as_mut().expect("a matcher").keep(Rows::Range(0..7), &mut out).expect("keeps");
            out
        };
        for op in ["<", "<=", ">", ">=", "==", "!="] {
            // The sum with nothing is no plain comparison, so it goes the general way.
            assert_eq!(rows(&format!("a {op} b")), rows(&format!("concat(a, '') {op} concat(b, '')")), "{op}");
        }
        assert_eq!(rows("a < b"), [1, 5]);
    }
}
