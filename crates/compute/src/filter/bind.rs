//! Binding of filters to a source.

use std::sync::Arc;

use ovate_base::{DruidError, Result};

use super::{BoundFilter, FilterSpec};
use crate::column::ColumnSource;
use crate::context::EvalContext;

pub(super) fn bind(_spec: &FilterSpec, _source: &Arc<dyn ColumnSource>, _context: &EvalContext) -> Result<BoundFilter> {
    Err(DruidError::unsupported("binding of filters"))
}
