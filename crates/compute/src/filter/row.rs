//! Filters on one row by value: ingestion filters, `having`.

use ovate_base::Result;

use super::matcher::{overlap, truth};
use super::predicate::{Predicate, Tri};
use super::{FilterSpec, compile};
use crate::context::EvalContext;
use crate::expr::Expr;
use crate::extraction::BoundExtraction;
use crate::value::Value;

/// A filter compiled for rows by value. Array values of a column are taken as multi-value strings when their elements
/// are strings, except by filters on arrays.
pub struct RowFilter {
    node: Node,
    context: EvalContext,
}

enum Node {
    Constant(Tri),
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    IsTrue(Box<Node>),
    IsFalse(Box<Node>),
    Leaf { column: String, predicate: Box<Predicate>, whole_arrays: bool },
    Expression(Expr),
    Comparison(Vec<(String, Option<BoundExtraction>)>),
}

impl RowFilter {
    pub(super) fn new(spec: &FilterSpec, context: &EvalContext) -> Result<Self> {
        Ok(RowFilter { node: node(spec, context)?, context: context.clone() })
    }

    /// True when the row passes; `row` gives the value of a column by name.
    pub fn matches(&self, row: &dyn Fn(&str) -> Value) -> Result<bool> {
        Ok(self.node.truth(row, &self.context)? == Tri::True)
    }
}

fn node(spec: &FilterSpec, context: &EvalContext) -> Result<Node> {
    let all = |fields: &[FilterSpec]| fields.iter().map(|field| node(field, context)).collect::<Result<Vec<_>>>();
    let one = |field: &FilterSpec| node(field, context).map(Box::new);
    Ok(match spec {
        FilterSpec::True => Node::Constant(Tri::True),
        FilterSpec::False => Node::Constant(Tri::False),
        FilterSpec::And(fields) => Node::And(all(fields)?),
        FilterSpec::Or(fields) => Node::Or(all(fields)?),
        FilterSpec::Not(field) => Node::Not(one(field)?),
        FilterSpec::IsTrue(field) => Node::IsTrue(one(field)?),
        FilterSpec::IsFalse(field) => Node::IsFalse(one(field)?),
        FilterSpec::Expression { expression } => Node::Expression(expression.clone()),
        FilterSpec::ColumnComparison { dimensions } => {
            let mut columns = Vec::with_capacity(dimensions.len());
            for dimension in dimensions {
                columns.push((dimension.dimension().to_owned(), dimension.extraction(context)?));
            }
            Node::Comparison(columns)
        }
        _ => match compile::leaf(spec, context)? {
            Some((column, predicate)) => {
                let whole_arrays = match spec {
                    FilterSpec::Equals { value, .. } => matches!(value, Value::Array(_)),
                    FilterSpec::TypedIn { match_type, .. } | FilterSpec::Range { match_type, .. } => {
                        matches!(match_type, crate::types::ColumnType::Array(_))
                    }
                    FilterSpec::ArrayContains { .. } => true,
                    _ => false,
                };
                Node::Leaf { column: column.to_owned(), predicate: Box::new(predicate), whole_arrays }
            }
            None => unreachable!("every filter on one column compiles to a predicate"),
        },
    })
}

impl Node {
    fn truth(&self, row: &dyn Fn(&str) -> Value, context: &EvalContext) -> Result<Tri> {
        Ok(match self {
            Node::Constant(tri) => *tri,
            Node::And(fields) => {
                let mut result = Tri::True;
                for field in fields {
                    match field.truth(row, context)? {
                        Tri::False => return Ok(Tri::False),
                        Tri::Unknown => result = Tri::Unknown,
                        Tri::True => {}
                    }
                }
                result
            }
            Node::Or(fields) => {
                let mut result = Tri::False;
                for field in fields {
                    match field.truth(row, context)? {
                        Tri::True => return Ok(Tri::True),
                        Tri::Unknown => result = Tri::Unknown,
                        Tri::False => {}
                    }
                }
                result
            }
            Node::Not(field) => field.truth(row, context)?.not(),
            Node::IsTrue(field) => Tri::of(field.truth(row, context)? == Tri::True),
            Node::IsFalse(field) => Tri::of(field.truth(row, context)? == Tri::False),
            Node::Leaf { column, predicate, whole_arrays } => predicate.value(&row(column), !whole_arrays),
            Node::Expression(expression) => truth(&expression.eval_row(row, context)?).map_or(Tri::Unknown, Tri::of),
            Node::Comparison(columns) => {
                let values: Vec<Value> = columns.iter().map(|(name, extraction)| extracted(row(name), extraction)).collect();
                Tri::of(values.windows(2).all(|pair| overlap(&pair[0], &pair[1])))
            }
        })
    }
}

fn extracted(value: Value, extraction: &Option<BoundExtraction>) -> Value {
    let Some(extraction) = extraction else { return value };
    let apply = |value: &Value| extraction.apply(value.as_text().as_deref()).map_or(Value::Null, Value::String);
    match value {
        Value::Array(elements) => Value::Array(elements.iter().map(apply).collect()),
        scalar => apply(&scalar),
    }
}
