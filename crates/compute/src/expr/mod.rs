//! Druid's expression language (`ExprMacroTable`, `Parser`; features EXP-01..13).

use std::sync::Arc;

use ovate_base::{DruidError, Result};

use crate::column::{ColumnCapabilities, ColumnSource, Rows};
use crate::context::EvalContext;
use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

/// A parsed expression; cheap to clone. Two are equal when their texts are.
#[derive(Clone)]
pub struct Expr {
    text: Arc<str>,
}

/// An expression bound to the columns of a source; belongs to one thread.
pub struct BoundExpr {
    _private: (),
}

impl Expr {
    /// Parses an expression.
    pub fn parse(text: &str) -> Result<Expr> {
        Ok(Expr { text: Arc::from(text) })
    }

    /// The text that was parsed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Columns that the expression reads, each once.
    pub fn required_columns(&self) -> Vec<String> {
        Vec::new()
    }

    /// The type of the result, `None` when it cannot be known (all inputs unknown or null).
    pub fn output_type(&self, _columns: &dyn Fn(&str) -> Option<ColumnCapabilities>) -> Option<ColumnType> {
        None
    }

    /// Binds to the columns of a source; columns that are not there read as null.
    pub fn bind(&self, _source: &Arc<dyn ColumnSource>, _context: &EvalContext) -> Result<BoundExpr> {
        Err(DruidError::unsupported("binding of expressions"))
    }

    /// Evaluates on one row.
    pub fn eval_row(&self, _row: &dyn Fn(&str) -> Value, _context: &EvalContext) -> Result<Value> {
        Err(DruidError::unsupported("evaluation of expressions"))
    }

    /// Evaluates on rows given as vectors by name; names that are not given read as null.
    pub fn eval_vectors(&self, _inputs: &[(&str, &Vector)], _len: usize, _context: &EvalContext) -> Result<Vector> {
        Err(DruidError::unsupported("evaluation of expressions"))
    }
}

impl BoundExpr {
    /// The type of the results.
    pub fn output_type(&self) -> Option<ColumnType> {
        None
    }

    /// Evaluates on rows of the bound source.
    pub fn eval(&mut self, _rows: Rows<'_>) -> Result<Vector> {
        Err(DruidError::unsupported("evaluation of expressions"))
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl std::fmt::Debug for Expr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Expr({})", self.text)
    }
}
