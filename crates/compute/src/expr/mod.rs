//! Druid's expression language (`Parser`, `Expr`; features EXP-01..13): parsing, printing, type inference, and evaluation on
//! rows of a source, on vectors, and on single rows. Values are LONG, DOUBLE, STRING, arrays of these, and complex.

mod batch;
mod bind;
mod eval;
mod functions;
mod infer;
mod lexer;
mod multi;
mod node;
mod parser;
mod shared;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use ovate_base::{Granularity, Result};

pub use bind::BoundExpr;
pub(crate) use functions::{cast_json, document_at, scalar_at};
use node::{BinaryOp, Node};
pub(crate) use shared::Shared;

use crate::column::{ColumnCapabilities, ColumnSource};
use crate::context::EvalContext;
use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

/// A parsed expression; cheap to clone. Two are equal when their texts are.
#[derive(Clone)]
pub struct Expr {
    inner: Arc<Inner>,
}

struct Inner {
    text: Box<str>,
    node: Node,
    columns: Vec<Arc<str>>,
}

impl Expr {
    /// Parses an expression.
    pub fn parse(text: &str) -> Result<Expr> {
        let node = parser::parse(text)?;
        let mut columns: Vec<Arc<str>> = Vec::new();
        node.visit_columns(&mut Vec::new(), &mut |name| {
            if !columns.contains(name) {
                columns.push(name.clone());
            }
        });
        Ok(Expr { inner: Arc::new(Inner { text: Box::from(text), node, columns }) })
    }

    /// The text that was parsed.
    pub fn text(&self) -> &str {
        &self.inner.text
    }

    /// Columns that the expression reads, each once.
    pub fn required_columns(&self) -> Vec<String> {
        self.inner.columns.iter().map(|name| name.to_string()).collect()
    }

    /// The value, when the expression is a constant.
    pub fn literal(&self) -> Option<&Value> {
        match &self.inner.node {
            Node::Literal(literal) => Some(&literal.value),
            _ => None,
        }
    }

    /// The column name, when the expression is only that.
    pub fn identifier(&self) -> Option<&str> {
        match &self.inner.node {
            Node::Column(name) => Some(name),
            _ => None,
        }
    }

    /// The two columns that the expression compares and whether an order of their values satisfies it, when it is only that.
    pub fn comparison(&self) -> Option<(&str, &str, fn(std::cmp::Ordering) -> bool)> {
        let Node::Binary(op, left, right) = &self.inner.node else { return None };
        let (Node::Column(left), Node::Column(right)) = (left.as_ref(), right.as_ref()) else { return None };
        let test: fn(std::cmp::Ordering) -> bool = match op {
            BinaryOp::Less => std::cmp::Ordering::is_lt,
            BinaryOp::LessEqual => std::cmp::Ordering::is_le,
            BinaryOp::Greater => std::cmp::Ordering::is_gt,
            BinaryOp::GreaterEqual => std::cmp::Ordering::is_ge,
            BinaryOp::Equal => std::cmp::Ordering::is_eq,
            BinaryOp::NotEqual => std::cmp::Ordering::is_ne,
            BinaryOp::Add | BinaryOp::Subtract | BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo | BinaryOp::Power => {
                return None;
            }
        };
        Some((left, right, test))
    }

    /// True when the same row may give different values (`now`, lookups that change).
    pub fn is_volatile(&self) -> bool {
        self.inner.node.is_volatile()
    }

    /// A granularity within whose buckets the expression does not change, when it reads nothing but `__time`, and that only to
    /// round it or to take a part of it.
    pub fn time_step(&self) -> Option<Granularity> {
        if self.is_volatile() { None } else { self.inner.node.time_step().flatten() }
    }

    /// True when the expression takes this column only as a single value, so that it maps over its values.
    pub(crate) fn is_scalar_use(&self, column: &str) -> bool {
        multi::is_scalar_use(&self.inner.node, column)
    }

    /// The type of the result, `None` when it cannot be known (all inputs unknown or null).
    pub fn output_type(&self, columns: &dyn Fn(&str) -> Option<ColumnCapabilities>) -> Option<ColumnType> {
        infer::output_type(&self.inner.node, &|name| columns(name).map(|capabilities| capabilities.column_type))
    }

    /// Binds to the columns of a source; columns that are not there read as null.
    pub fn bind(&self, source: &Arc<dyn ColumnSource>, context: &EvalContext) -> Result<BoundExpr> {
        BoundExpr::new(&self.inner.node, &self.inner.columns, source, context, None)
    }

    /// [`Expr::bind`] for one of several expressions that are evaluated one after the other on the same rows or fewer.
    pub(crate) fn bind_sharing(
        &self,
        source: &Arc<dyn ColumnSource>,
        context: &EvalContext,
        shared: &Shared,
    ) -> Result<BoundExpr> {
        BoundExpr::new(&self.inner.node, &self.inner.columns, source, context, Some(shared).filter(|shared| !shared.is_empty()))
    }

    /// Evaluates on one row.
    pub fn eval_row(&self, row: &dyn Fn(&str) -> Value, context: &EvalContext) -> Result<Value> {
        eval::eval(&self.inner.node, &mut eval::Scope::new(row), context)
    }

    /// Evaluates on rows given as vectors by name; names that are not given read as null.
    pub fn eval_vectors(&self, inputs: &[(&str, &Vector)], len: usize, context: &EvalContext) -> Result<Vector> {
        let used: Vec<(Arc<str>, &Vector)> = self
            .inner
            .columns
            .iter()
            .filter_map(|name| inputs.iter().find(|(own, _)| *own == name.as_ref()).map(|(_, vector)| (name.clone(), *vector)))
            .collect();
        let is_multi = |name: &str| {
            used.iter().any(|(own, vector)| {
                own.as_ref() == name
                    && matches!(vector, Vector::Any { column_type: ColumnType::String, values }
                        if values.iter().any(|value| matches!(value, Value::Array(_))))
            })
        };
        let node = multi::apply(&self.inner.node, &is_multi)?;
        let types = |name: &str| used.iter().find(|(own, _)| own.as_ref() == name).and_then(|(_, vector)| vector.column_type());
        let output_type = infer::output_type(&node, &types);
        let columns = used.iter().map(|(name, vector)| (name.clone(), bind::input_operand((*vector).clone()))).collect();
        let batch = batch::Batch::new(columns, len, context);
        Ok(batch::eval(&node, &batch)?.into_vector(len, output_type.as_ref()))
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.inner.text == other.inner.text
    }
}

impl std::fmt::Debug for Expr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Expr({})", self.inner.text)
    }
}

impl std::fmt::Display for Expr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.node.fmt(f)
    }
}
