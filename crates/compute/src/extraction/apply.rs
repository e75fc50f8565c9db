//! Evaluation of extraction functions.

use std::sync::Arc;

use ovate_base::{DruidError, Result};

use super::ExtractionFn;
use crate::context::EvalContext;

/// An extraction function ready to run.
pub struct BoundExtraction {
    _private: (),
}

impl BoundExtraction {
    pub(super) fn new(_function: &ExtractionFn, _context: &EvalContext) -> Result<Self> {
        Err(DruidError::unsupported("extraction functions"))
    }

    /// Applies the function to a string.
    pub fn apply(&self, _value: Option<&str>) -> Option<Arc<str>> {
        None
    }
}
