//! Tables made of other tables: joins, unnested arrays and filtered tables as `ColumnSource`s (DSRC-03, 05, 07, 08), so that
//! operators need not know of them. [`apply`] puts a datasource's tree on top of one segment.

mod condition;
mod filter;
mod inline;
mod join;
mod mapped;
mod unnest;

use std::sync::Arc;

use ovate_base::{DruidError, Result};
use ovate_compute::filter::FilterSpec;
use ovate_compute::{ColumnSource, EvalContext};

pub use filter::filtered;
pub use inline::{inline_table, lookup_table, rows_table};
pub use join::join;
pub use unnest::unnest;

use crate::document::{DataSource, NativeQuery};

/// Builds what `data_source` says over `leaf`, the segment of its base table. Right sides of joins must be inline rows or
/// lookups by now; the broker turns queries into inline rows before it asks for segments.
pub fn apply(data_source: &DataSource, leaf: Arc<dyn ColumnSource>, context: &EvalContext) -> Result<Arc<dyn ColumnSource>> {
    match data_source {
        DataSource::Table(_) | DataSource::GlobalTable(_) | DataSource::Union(_) | DataSource::Query(_) => Ok(leaf),
        DataSource::Inline(_) | DataSource::Lookup(_) => Ok(leaf),
        DataSource::Join(clause) => {
            let left = apply(&clause.left, leaf, context)?;
            let left = match &clause.left_filter {
                Some(filter) => filtered(left, filter, context)?,
                None => left,
            };
            let right = small_table(&clause.right, context)?;
            join(left, right, &clause.right_prefix, &clause.condition, clause.kind, context)
        }
        DataSource::Unnest { base, virtual_column, unnest_filter } => {
            let base = apply(base, leaf, context)?;
            let source = unnest(base, virtual_column, context)?;
            match unnest_filter {
                Some(filter) => filtered(source, filter, context),
                None => Ok(source),
            }
        }
        DataSource::Filter { base, filter } => filtered(apply(base, leaf, context)?, filter, context),
    }
}

/// The table that a join's right side, or a query without segments, reads: inline rows or a lookup, and what is built on them.
pub fn small_table(data_source: &DataSource, context: &EvalContext) -> Result<Arc<dyn ColumnSource>> {
    let leaf: Arc<dyn ColumnSource> = match base_of(data_source) {
        DataSource::Inline(rows) => Arc::new(inline_table(rows)?),
        DataSource::Lookup(name) => Arc::new(lookup_table(name, context)?),
        other => {
            return Err(DruidError::unsupported(format!(
                "right side of a join must be inline rows or a lookup by now, got {:?}",
                other.table_names()
            )));
        }
    };
    apply(data_source, leaf, context)
}

/// The datasource at the bottom left of joins, unnests and filters (`DataSourceAnalysis.getBaseDataSource`).
pub fn base_of(data_source: &DataSource) -> &DataSource {
    match data_source {
        DataSource::Join(clause) => base_of(&clause.left),
        DataSource::Unnest { base, .. } | DataSource::Filter { base, .. } => base_of(base),
        other => other,
    }
}

/// A query whose outermost filter datasource became part of its own filter, where no virtual column hides what the filter reads:
/// indexes then serve both.
pub fn push_filter_down(query: NativeQuery) -> NativeQuery {
    let base = query.base();
    let DataSource::Filter { base: inner, filter } = &base.data_source else { return query };
    let hidden = |name: &String| base.virtual_columns.iter().any(|column| column.name() == name);
    if filter.required_columns().iter().any(hidden) {
        return query;
    }
    let (inner, filter) = (inner.as_ref().clone(), filter.clone());
    let mut query = query.with_data_source(inner);
    let own = query.base_mut().filter.take();
    query.base_mut().filter = Some(match own {
        Some(own) => FilterSpec::And(vec![filter, own]),
        None => filter,
    });
    push_filter_down(query)
}
