//! Tables made of other tables: joins, unnested arrays and filtered tables as `ColumnSource`s (DSRC-03, 05, 07, 08), so that
//! operators need not know of them. [`Layers`] puts a datasource's tree on top of segments.

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
pub use unnest::unnest;

use join::Join;
use ovate_compute::virtual_column::VirtualColumnSpec;

use crate::document::{DataSource, NativeQuery};

/// What a datasource puts on top of the segments of its base table, with the right sides of joins ready.
pub struct Layers(Vec<Layer>);

enum Layer {
    Join(Box<Join>),
    Unnest(VirtualColumnSpec),
    Filter(FilterSpec),
}

impl Layers {
    /// Makes ready. Right sides of joins must be inline rows or lookups by now; the broker turns queries into inline rows before
    /// it asks for segments.
    pub fn of(data_source: &DataSource, context: &EvalContext) -> Result<Self> {
        let mut layers = Vec::new();
        Self::collect(data_source, context, &mut layers)?;
        Ok(Layers(layers))
    }

    fn collect(data_source: &DataSource, context: &EvalContext, layers: &mut Vec<Layer>) -> Result<()> {
        match data_source {
            DataSource::Table(_) | DataSource::GlobalTable(_) | DataSource::Union(_) | DataSource::Query(_) => {}
            DataSource::Inline(_) | DataSource::Lookup(_) => {}
            DataSource::Join(clause) => {
                Self::collect(&clause.left, context, layers)?;
                layers.extend(clause.left_filter.clone().map(Layer::Filter));
                let right = small_table(&clause.right, context)?;
                layers.push(Layer::Join(Box::new(Join::new(right, &clause.right_prefix, &clause.condition, clause.kind)?)));
            }
            DataSource::Unnest { base, virtual_column, unnest_filter } => {
                Self::collect(base, context, layers)?;
                layers.push(Layer::Unnest(virtual_column.clone()));
                layers.extend(unnest_filter.clone().map(Layer::Filter));
            }
            DataSource::Filter { base, filter } => {
                Self::collect(base, context, layers)?;
                layers.push(Layer::Filter(filter.clone()));
            }
        }
        Ok(())
    }

    /// True when segments are read as they are.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The layers over one segment.
    pub fn over(&self, leaf: Arc<dyn ColumnSource>, context: &EvalContext) -> Result<Arc<dyn ColumnSource>> {
        self.0.iter().try_fold(leaf, |source, layer| match layer {
            Layer::Join(join) => join.over(source, context),
            Layer::Unnest(spec) => unnest(source, spec, context),
            Layer::Filter(filter) => filtered(source, filter, context),
        })
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
    Layers::of(data_source, context)?.over(leaf, context)
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
