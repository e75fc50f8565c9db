//! The `filter` datasource: the rows of a table that pass a filter (DSRC-08).

use std::sync::Arc;

use indexmap::IndexMap;
use ovate_base::{Interval, Result};
use ovate_compute::filter::FilterSpec;
use ovate_compute::{ColumnSource, EvalContext, Rows};

use super::mapped::MappedSource;
use crate::run::{QueryContext, Selection};

/// The rows that pass.
pub fn filtered(source: Arc<dyn ColumnSource>, filter: &FilterSpec, context: &EvalContext) -> Result<Arc<dyn ColumnSource>> {
    let context = QueryContext::new(context.clone());
    let mut selection = Selection::over(source.clone(), Some(filter), &[Interval::ETERNITY, source.interval()], &context)?;
    let mut map = Vec::new();
    for range in selection.ranges.clone() {
        selection.batches(range, &context, &mut |rows| {
            match rows {
                Rows::Range(range) => map.extend(range),
                Rows::Ids(ids) => map.extend_from_slice(ids),
            }
            Ok(true)
        })?;
    }
    if map.len() == source.row_count() as usize {
        return Ok(source);
    }
    Ok(Arc::new(MappedSource { base: source, map: Arc::new(map), extra: IndexMap::new() }))
}
