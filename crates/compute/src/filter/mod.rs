//! Filters (Druid's `DimFilter`s, features FLT-01..21): documents, binding to a source, matching.
//! Binding splits a filter into a bitmap part, answered from dictionaries and bitmap indexes, and a residual matcher that
//! reads batches of rows. Logic is three-valued: a filter keeps only rows for which it is true, and `not` drops rows for
//! which its field is unknown.

mod bind;
pub(crate) mod bloom;
mod compile;
mod json;
mod long_set;
mod matcher;
mod number;
mod predicate;
mod ranked;
mod row;
mod spatial;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(crate) use bloom::decode_bloom;
pub use compile::search_test;
pub use long_set::LongSet;
pub use predicate::TextTest;
pub use row::RowFilter;
pub use spatial::{RadiusUnit, SpatialBound};

use croaring::Bitmap;
use ovate_base::{Interval, Result};
use serde_json::Value as Json;

use crate::column::{ColumnSource, Rows};
use crate::context::EvalContext;
use crate::dimension::DimensionSpec;
use crate::expr::Expr;
use crate::extraction::ExtractionFn;
use crate::ordering::StringOrder;
use crate::types::ColumnType;
use crate::value::Value;

/// A filter as a user writes it.
#[derive(Debug, Clone, PartialEq)]
pub enum FilterSpec {
    True,
    False,
    And(Vec<FilterSpec>),
    Or(Vec<FilterSpec>),
    Not(Box<FilterSpec>),
    /// True where the field is true, false where it is false or unknown.
    IsTrue(Box<FilterSpec>),
    /// True where the field is false.
    IsFalse(Box<FilterSpec>),
    Equals {
        column: String,
        match_type: ColumnType,
        value: Value,
    },
    Null {
        column: String,
    },
    Range {
        column: String,
        match_type: ColumnType,
        lower: Value,
        upper: Value,
        lower_open: bool,
        upper_open: bool,
    },
    Selector {
        dimension: String,
        value: Option<Arc<str>>,
        extraction: Option<ExtractionFn>,
    },
    In {
        dimension: String,
        values: Arc<[Option<Arc<str>>]>,
        extraction: Option<ExtractionFn>,
    },
    TypedIn {
        column: String,
        match_type: ColumnType,
        values: Arc<[Value]>,
    },
    /// Among whole numbers that were gathered while a statement runs; between our own servers only.
    LongSet {
        column: String,
        set: Arc<LongSet>,
    },
    Bound {
        dimension: String,
        lower: Option<Arc<str>>,
        upper: Option<Arc<str>>,
        lower_strict: bool,
        upper_strict: bool,
        ordering: StringOrder,
        extraction: Option<ExtractionFn>,
    },
    Like {
        dimension: String,
        pattern: String,
        escape: Option<char>,
        extraction: Option<ExtractionFn>,
    },
    Regex {
        dimension: String,
        pattern: String,
        extraction: Option<ExtractionFn>,
    },
    Interval {
        dimension: String,
        intervals: Vec<Interval>,
        extraction: Option<ExtractionFn>,
    },
    Expression {
        expression: Expr,
    },
    ArrayContains {
        column: String,
        element_type: ColumnType,
        value: Value,
    },
    ColumnComparison {
        dimensions: Vec<DimensionSpec>,
    },
    Search {
        dimension: String,
        query: SearchQuery,
        extraction: Option<ExtractionFn>,
    },
    Spatial {
        dimension: String,
        bound: SpatialBound,
    },
    Bloom {
        dimension: String,
        filter: Arc<str>,
        extraction: Option<ExtractionFn>,
    },
}

/// How `search` filters and search queries look for text (`SearchQuerySpec`).
#[derive(Debug, Clone, PartialEq)]
pub enum SearchQuery {
    Contains { value: String, case_sensitive: bool },
    Fragment { values: Vec<String>, case_sensitive: bool },
    Regex { pattern: String },
    All,
}

/// A filter bound to a source: the rows that pass are those in `bitmap` (all when there is none) that `residual` keeps
/// (all when there is none).
pub struct BoundFilter {
    /// Rows that pass the indexed part; `None` when no index was used.
    pub bitmap: Option<Bitmap>,
    pub residual: Option<Box<dyn Matcher>>,
}

/// Decides batches of rows.
pub trait Matcher: Send {
    /// Appends those of `rows` that pass, ascending.
    fn keep(&mut self, rows: Rows<'_>, out: &mut Vec<u32>) -> Result<()>;
}

impl FilterSpec {
    /// Reads a filter document.
    pub fn from_json(json: &Json) -> Result<Self> {
        json::from_json(json)
    }

    /// Writes the document that `from_json` reads.
    pub fn to_json(&self) -> Json {
        json::to_json(self)
    }

    /// Columns that the filter reads, each once.
    pub fn required_columns(&self) -> Vec<String> {
        let mut names = Vec::new();
        self.visit_columns(&mut |name| {
            if !names.iter().any(|n| n == name) {
                names.push(name.to_owned());
            }
        });
        names
    }

    fn visit_columns(&self, each: &mut dyn FnMut(&str)) {
        match self {
            FilterSpec::True | FilterSpec::False => {}
            FilterSpec::And(fields) | FilterSpec::Or(fields) => fields.iter().for_each(|field| field.visit_columns(each)),
            FilterSpec::Not(field) | FilterSpec::IsTrue(field) | FilterSpec::IsFalse(field) => field.visit_columns(each),
            FilterSpec::Equals { column, .. }
            | FilterSpec::Null { column }
            | FilterSpec::Range { column, .. }
            | FilterSpec::TypedIn { column, .. }
            | FilterSpec::LongSet { column, .. }
            | FilterSpec::ArrayContains { column, .. } => each(column),
            FilterSpec::Selector { dimension, .. }
            | FilterSpec::In { dimension, .. }
            | FilterSpec::Bound { dimension, .. }
            | FilterSpec::Like { dimension, .. }
            | FilterSpec::Regex { dimension, .. }
            | FilterSpec::Interval { dimension, .. }
            | FilterSpec::Search { dimension, .. }
            | FilterSpec::Spatial { dimension, .. }
            | FilterSpec::Bloom { dimension, .. } => each(dimension),
            FilterSpec::Expression { expression } => expression.required_columns().iter().for_each(|name| each(name)),
            FilterSpec::ColumnComparison { dimensions } => dimensions.iter().for_each(|spec| each(spec.dimension())),
        }
    }

    /// Calls `each` with the expression of every `expression` filter in the tree.
    fn visit_expressions<'a>(&'a self, each: &mut dyn FnMut(&'a Expr)) {
        match self {
            FilterSpec::And(fields) | FilterSpec::Or(fields) => fields.iter().for_each(|field| field.visit_expressions(each)),
            FilterSpec::Not(field) | FilterSpec::IsTrue(field) | FilterSpec::IsFalse(field) => field.visit_expressions(each),
            FilterSpec::Expression { expression } => each(expression),
            _ => {}
        }
    }

    /// Binds to a source.
    pub fn bind(&self, source: &Arc<dyn ColumnSource>, context: &EvalContext) -> Result<BoundFilter> {
        bind::bind(self, source, context)
    }

    /// Compiles the filter for rows by value, for callers that test many.
    pub fn row_filter(&self, context: &EvalContext) -> Result<RowFilter> {
        RowFilter::new(self, context)
    }

    /// True when one row passes; `row` gives the value of a column by name. Compiles the filter; for many rows use
    /// `row_filter`.
    pub fn matches_row(&self, row: &dyn Fn(&str) -> Value, context: &EvalContext) -> Result<bool> {
        self.row_filter(context)?.matches(row)
    }
}
