//! Binding of filters to a source. Every node is bound either to the rows for which it is true or, under an odd number
//! of `not`s, to those for which it is true or unknown; `not` is then the complement (Druid's `includeUnknown`).

use std::sync::Arc;

use croaring::Bitmap;
use ovate_base::Result;

use super::long_set::LongSetMatcher;
use super::matcher::{
    AndMatcher, BitmapMatcher, CodeMatcher, CodeSet, ComparisonMatcher, ExpressionMatcher, MultiCodeMatcher, NotMatcher,
    NumberMatcher, OrMatcher, ValueMatcher,
};
use super::number::NumberTest;
use super::predicate::{Predicate, Selection, Test, Tri};
use super::ranked::RankMatcher;
use super::{BoundFilter, FilterSpec, LongSet, Matcher, compile};
use crate::column::{Column, ColumnSource, Dictionary};
use crate::context::EvalContext;
use crate::expr::Shared;
use crate::types::ColumnType;

/// A bound node.
enum Bound {
    All,
    Nothing,
    Bitmap(Bitmap),
    Matcher(Box<dyn Matcher>),
    /// Rows of the bitmap that the matcher keeps.
    Both(Bitmap, Box<dyn Matcher>),
}

pub(super) fn bind(spec: &FilterSpec, source: &Arc<dyn ColumnSource>, context: &EvalContext) -> Result<BoundFilter> {
    let mut expressions = Vec::new();
    spec.visit_expressions(&mut |expression| expressions.push(expression));
    let shared = if expressions.len() > 1 { Shared::of(expressions) } else { Shared::default() };
    let binder = Binder { source, context, row_count: source.row_count(), shared };
    Ok(match binder.node(spec, false)? {
        Bound::All => BoundFilter { bitmap: None, residual: None },
        Bound::Nothing => BoundFilter { bitmap: Some(Bitmap::new()), residual: None },
        Bound::Bitmap(bitmap) => BoundFilter { bitmap: Some(bitmap), residual: None },
        Bound::Matcher(matcher) => BoundFilter { bitmap: None, residual: Some(matcher) },
        Bound::Both(bitmap, matcher) => BoundFilter { bitmap: Some(bitmap), residual: Some(matcher) },
    })
}

struct Binder<'a> {
    source: &'a Arc<dyn ColumnSource>,
    context: &'a EvalContext,
    row_count: u32,
    shared: Shared,
}

impl Binder<'_> {
    fn node(&self, spec: &FilterSpec, include_unknown: bool) -> Result<Bound> {
        match spec {
            FilterSpec::True => Ok(Bound::All),
            FilterSpec::False => Ok(Bound::Nothing),
            FilterSpec::And(fields) => self.and(fields, include_unknown),
            FilterSpec::Or(fields) => self.or(fields, include_unknown),
            FilterSpec::Not(field) => Ok(self.complement(self.node(field, !include_unknown)?)),
            FilterSpec::IsTrue(field) => self.node(field, false),
            FilterSpec::IsFalse(field) => Ok(self.complement(self.node(field, true)?)),
            FilterSpec::Expression { expression } => {
                if let Some(ranked) = RankMatcher::of(expression, self.source.as_ref(), include_unknown)? {
                    return Ok(Bound::Matcher(Box::new(ranked)));
                }
                let expression = expression.bind_sharing(self.source, self.context, &self.shared)?;
                Ok(Bound::Matcher(Box::new(ExpressionMatcher { expression, include_unknown, hits: Vec::new() })))
            }
            FilterSpec::ColumnComparison { dimensions } => {
                let mut readers = Vec::with_capacity(dimensions.len());
                for dimension in dimensions {
                    readers.push(dimension.column(self.source, self.context)?.map(|column| column.reader()).transpose()?);
                }
                Ok(Bound::Matcher(Box::new(ComparisonMatcher { readers })))
            }
            FilterSpec::LongSet { column, set } if self.is_long(column) => self.long_set(column, set, include_unknown),
            _ => match compile::leaf(spec, self.context)? {
                Some((column, predicate)) => self.leaf(column, predicate, include_unknown),
                None => unreachable!("every filter on one column compiles to a predicate"),
            },
        }
    }

    fn is_long(&self, name: &str) -> bool {
        self.source.capabilities(name).is_some_and(|capabilities| capabilities.column_type == ColumnType::Long)
    }

    fn long_set(&self, name: &str, set: &Arc<LongSet>, include_unknown: bool) -> Result<Bound> {
        let Some(column) = self.source.column(name)? else { return Ok(Self::constant(Tri::Unknown, include_unknown)) };
        if set.is_empty() && !include_unknown {
            return Ok(Bound::Nothing);
        }
        let (reader, set) = (column.reader()?, set.clone());
        Ok(Bound::Matcher(Box::new(LongSetMatcher { reader, set, null_passes: include_unknown, hits: Vec::new() })))
    }

    fn and(&self, fields: &[FilterSpec], include_unknown: bool) -> Result<Bound> {
        let mut bitmap: Option<Bitmap> = None;
        let mut matchers: Vec<Box<dyn Matcher>> = Vec::new();
        for field in fields {
            let (part, matcher) = match self.node(field, include_unknown)? {
                Bound::All => continue,
                Bound::Nothing => return Ok(Bound::Nothing),
                Bound::Bitmap(part) => (Some(part), None),
                Bound::Matcher(matcher) => (None, Some(matcher)),
                Bound::Both(part, matcher) => (Some(part), Some(matcher)),
            };
            matchers.extend(matcher);
            if let Some(part) = part {
                match &mut bitmap {
                    Some(bitmap) => bitmap.and_inplace(&part),
                    None => bitmap = Some(part),
                }
                if bitmap.as_ref().is_some_and(Bitmap::is_empty) {
                    return Ok(Bound::Nothing);
                }
            }
        }
        let matcher: Option<Box<dyn Matcher>> = match matchers.len() {
            0 => None,
            1 => matchers.pop(),
            _ => Some(Box::new(AndMatcher { fields: matchers, buffers: Default::default() })),
        };
        Ok(match (bitmap, matcher) {
            (None, None) => Bound::All,
            (Some(bitmap), None) => Bound::Bitmap(bitmap),
            (None, Some(matcher)) => Bound::Matcher(matcher),
            (Some(bitmap), Some(matcher)) => Bound::Both(bitmap, matcher),
        })
    }

    fn or(&self, fields: &[FilterSpec], include_unknown: bool) -> Result<Bound> {
        let mut bitmap: Option<Bitmap> = None;
        let mut matchers: Vec<Box<dyn Matcher>> = Vec::new();
        for field in fields {
            match self.node(field, include_unknown)? {
                Bound::All => return Ok(Bound::All),
                Bound::Nothing => {}
                Bound::Bitmap(part) => match &mut bitmap {
                    Some(bitmap) => bitmap.or_inplace(&part),
                    None => bitmap = Some(part),
                },
                Bound::Matcher(matcher) => matchers.push(matcher),
                Bound::Both(part, matcher) => matchers.push(both(part, matcher)),
            }
        }
        if matchers.is_empty() {
            return Ok(bitmap.map_or(Bound::Nothing, Bound::Bitmap));
        }
        if let Some(bitmap) = bitmap {
            matchers.insert(0, Box::new(BitmapMatcher(bitmap)));
        }
        if matchers.len() == 1 {
            return Ok(Bound::Matcher(matchers.remove(0)));
        }
        Ok(Bound::Matcher(Box::new(OrMatcher { fields: matchers })))
    }

    fn complement(&self, bound: Bound) -> Bound {
        let matcher = match bound {
            Bound::All => return Bound::Nothing,
            Bound::Nothing => return Bound::All,
            Bound::Bitmap(bitmap) => return Bound::Bitmap(bitmap.flip(0..self.row_count)),
            Bound::Matcher(matcher) => matcher,
            Bound::Both(bitmap, matcher) => both(bitmap, matcher),
        };
        Bound::Matcher(Box::new(NotMatcher { field: matcher, kept: Vec::new() }))
    }

    fn constant(tri: Tri, include_unknown: bool) -> Bound {
        if tri.passes(include_unknown) { Bound::All } else { Bound::Nothing }
    }

    fn leaf(&self, name: &str, predicate: Predicate, include_unknown: bool) -> Result<Bound> {
        let Some(column) = self.source.column(name)? else {
            return Ok(Self::constant(predicate.of_null(), include_unknown));
        };
        let column = match predicate.test {
            Test::Nothing => column.shown().unwrap_or(column),
            _ => column,
        };
        let capabilities = column.capabilities();
        if let (ColumnType::String, true, Some(dictionary)) =
            (&capabilities.column_type, capabilities.dictionary, column.dictionary())
        {
            return self.coded(&column, dictionary.as_ref(), &predicate, include_unknown);
        }
        let null_passes = predicate.of_null().passes(include_unknown);
        if predicate.extraction.is_none() && capabilities.column_type.is_numeric() {
            if let (Test::Nothing, Some(nulls)) = (&predicate.test, column.null_rows()?) {
                return Ok(if null_passes { Bound::Bitmap(nulls) } else { Bound::Nothing });
            }
            if !capabilities.has_nulls && matches!(predicate.test, Test::Nothing) {
                return Ok(Bound::Nothing);
            }
            let matcher: Option<Box<dyn Matcher>> = match capabilities.column_type {
                ColumnType::Long => predicate.test.long_test().map(|test| number(&column, test, null_passes)).transpose()?,
                ColumnType::Float => predicate.test.float_test().map(|test| number(&column, test, null_passes)).transpose()?,
                _ => predicate.test.double_test().map(|test| number(&column, test, null_passes)).transpose()?,
            };
            if let Some(matcher) = matcher {
                return Ok(Bound::Matcher(matcher));
            }
        }
        Ok(Bound::Matcher(Box::new(ValueMatcher {
            reader: column.reader()?,
            predicate: Arc::new(predicate),
            multi_value: capabilities.column_type == ColumnType::String,
            include_unknown,
        })))
    }

    /// A string column with a dictionary: the predicate is asked once a value.
    fn coded(
        &self,
        column: &Arc<dyn Column>,
        dictionary: &dyn Dictionary,
        predicate: &Predicate,
        include_unknown: bool,
    ) -> Result<Bound> {
        let capabilities = column.capabilities();
        let null_passes = predicate.of_null().passes(include_unknown);
        let null_code = dictionary.find(None)?;
        let selection = predicate.select(dictionary, include_unknown)?;
        let selected = Codes::new(selection, null_code, null_passes);
        let cardinality = dictionary.cardinality();
        if selected.len() == 0 && !(null_passes && capabilities.multi_value) {
            return Ok(Bound::Nothing);
        }
        if selected.len() == cardinality && (null_passes || !capabilities.multi_value) {
            return Ok(Bound::All);
        }
        if let Some(index) = column.bitmap_index().filter(|_| capabilities.bitmaps) {
            // A single-valued row has exactly one code, so the rest can be united and turned over when it is smaller.
            let turned = !capabilities.multi_value && selected.len() > cardinality - cardinality / 3;
            let united = if turned { cardinality - selected.len() } else { selected.len() };
            if self.union_is_cheap(united, cardinality) {
                return Ok(Bound::Bitmap(if turned {
                    let set = selected.into_set(cardinality);
                    let mut rest = (0..cardinality).filter(|code| !set.has(*code));
                    index.union(&mut rest)?.flip(0..self.row_count)
                } else {
                    index.union(&mut selected.iter())?
                }));
            }
        }
        let (reader, set) = (column.reader()?, selected.into_set(cardinality));
        Ok(Bound::Matcher(if capabilities.multi_value {
            Box::new(MultiCodeMatcher { reader, set, empty_passes: null_passes, hits: Vec::new() })
        } else {
            Box::new(CodeMatcher { reader, set, hits: Vec::new() })
        }))
    }

    /// Uniting touches about `codes / cardinality` of all rows plus a fixed cost a bitmap; a scan of codes touches every
    /// row once but costs a fraction of that a row, and skips what other parts of the filter have dropped.
    fn union_is_cheap(&self, codes: u32, cardinality: u32) -> bool {
        let rows = f64::from(self.row_count);
        let union_ns = f64::from(codes) * 60.0 + rows * f64::from(codes) / f64::from(cardinality.max(1)) * 1.5;
        let scan_ns = rows * 1.0 + 2_000.0;
        codes <= 4 || union_ns <= scan_ns
    }
}

fn number<T: super::number::Testable + crate::column::convert::Number>(
    column: &Arc<dyn Column>,
    test: NumberTest<T>,
    null_passes: bool,
) -> Result<Box<dyn Matcher>> {
    Ok(Box::new(NumberMatcher { reader: column.reader()?, test, null_passes, hits: Vec::new() }))
}

fn both(bitmap: Bitmap, matcher: Box<dyn Matcher>) -> Box<dyn Matcher> {
    Box::new(AndMatcher { fields: vec![Box::new(BitmapMatcher(bitmap)), matcher], buffers: Default::default() })
}

/// Selected codes, null's among them or not as it should be.
enum Codes {
    Run(std::ops::Range<u32>),
    List(Vec<u32>),
}

impl Codes {
    fn new(selection: Selection, null_code: Option<u32>, null_passes: bool) -> Codes {
        match (selection, null_code) {
            (Selection::Range(range), None) => Codes::Run(range),
            (Selection::Range(range), Some(0)) if range.start > 0 && !null_passes => Codes::Run(range),
            (Selection::Range(range), Some(0)) if range.start <= 1 => Codes::Run(if null_passes { 0 } else { 1 }..range.end),
            (Selection::Range(range), Some(null)) => Codes::with_null(range.collect(), null, null_passes),
            (Selection::Codes(codes), None) => Codes::List(codes),
            (Selection::Codes(codes), Some(null)) => Codes::with_null(codes, null, null_passes),
        }
    }

    fn with_null(mut codes: Vec<u32>, null: u32, null_passes: bool) -> Codes {
        match (codes.binary_search(&null), null_passes) {
            (Ok(position), false) => {
                codes.remove(position);
            }
            (Err(position), true) => codes.insert(position, null),
            (Ok(_), true) | (Err(_), false) => {}
        }
        Codes::List(codes)
    }

    fn len(&self) -> u32 {
        match self {
            Codes::Run(range) => range.len() as u32,
            Codes::List(codes) => codes.len() as u32,
        }
    }

    fn iter(&self) -> Box<dyn Iterator<Item = u32> + '_> {
        match self {
            Codes::Run(range) => Box::new(range.clone()),
            Codes::List(codes) => Box::new(codes.iter().copied()),
        }
    }

    fn into_set(self, cardinality: u32) -> CodeSet {
        match self {
            Codes::Run(range) => CodeSet::Run { start: range.start, len: range.len() as u32 },
            Codes::List(codes) => match codes.as_slice() {
                [one] => CodeSet::One(*one),
                many => {
                    let mut bits = vec![0u64; (cardinality as usize).div_ceil(64)];
                    many.iter().for_each(|code| bits[(code / 64) as usize] |= 1 << (code % 64));
                    CodeSet::Bits(bits)
                }
            },
        }
    }
}
