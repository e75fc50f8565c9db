//! Filters on one row by value.

use ovate_base::{DruidError, Result};

use super::FilterSpec;
use crate::context::EvalContext;
use crate::value::Value;

pub(super) fn matches(_spec: &FilterSpec, _row: &dyn Fn(&str) -> Value, _context: &EvalContext) -> Result<bool> {
    Err(DruidError::unsupported("filters on single rows"))
}
