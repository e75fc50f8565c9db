//! The columns of an aggregation's result, worked out when first asked for: so that what is cut by a limit is never
//! finalised.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use ovate_base::{DruidError, Result};
use ovate_compute::aggregate::AggregatorSpec;
use ovate_compute::post_aggregate::PostAggregatorSpec;
use ovate_compute::{ColumnType, Vector};

use crate::result::RowBatch;
use crate::run::QueryContext;

/// Keys and intermediate aggregates of some groups.
pub(super) struct ResultColumns<'a> {
    /// Time and dimensions by output name, with their types.
    keys: Vec<(Arc<str>, ColumnType, Vector)>,
    aggregates: Vec<Vector>,
    aggregations: &'a [AggregatorSpec],
    posts: &'a [PostAggregatorSpec],
    context: &'a QueryContext,
    finalizes: bool,
    pub rows: usize,
    done: RefCell<HashMap<String, Vector>>,
}

impl<'a> ResultColumns<'a> {
    /// Columns of `rows` groups.
    pub fn new(
        keys: Vec<(Arc<str>, ColumnType, Vector)>,
        aggregates: Vec<Vector>,
        rows: usize,
        specs: (&'a [AggregatorSpec], &'a [PostAggregatorSpec]),
        finalizes: bool,
        context: &'a QueryContext,
    ) -> Self {
        let (aggregations, posts) = specs;
        ResultColumns { keys, aggregates, aggregations, posts, context, finalizes, rows, done: RefCell::default() }
    }

    /// Surroundings for filters and expressions.
    pub fn eval(&self) -> &ovate_compute::EvalContext {
        &self.context.eval
    }

    /// The vector of a key column.
    pub fn key(&self, index: usize) -> &Vector {
        &self.keys[index].2
    }

    /// A column of the result by its output name; `None` when there is no such column.
    pub fn get(&self, name: &str) -> Result<Option<Vector>> {
        if let Some((_, _, vector)) = self.keys.iter().find(|(key, _, _)| key.as_ref() == name) {
            return Ok(Some(vector.clone()));
        }
        if let Some(vector) = self.done.borrow().get(name) {
            return Ok(Some(vector.clone()));
        }
        let vector = if let Some(index) = self.aggregations.iter().position(|spec| spec.name() == name) {
            let raw = &self.aggregates[index];
            if self.finalizes { self.aggregations[index].finalize(raw)? } else { raw.clone() }
        } else if let Some(index) = self.posts.iter().position(|spec| spec.name() == name) {
            self.compute_post(index)?
        } else {
            return Ok(None);
        };
        self.done.borrow_mut().insert(name.to_owned(), vector.clone());
        Ok(Some(vector))
    }

    /// What rows are ordered by: like [`ResultColumns::get`], but sketches always count by their estimate.
    pub fn order_value(&self, name: &str) -> Result<Option<Vector>> {
        match self.aggregations.iter().position(|spec| spec.name() == name) {
            Some(index) if !self.finalizes => self.aggregations[index].finalize(&self.aggregates[index]).map(Some),
            _ => self.get(name),
        }
    }

    /// Post-aggregators see dimensions, aggregators before finalising, and the post-aggregators before them.
    fn compute_post(&self, index: usize) -> Result<Vector> {
        let failure = RefCell::new(None);
        let column = |name: &str| -> Option<Vector> {
            if let Some(at) = self.aggregations.iter().position(|spec| spec.name() == name) {
                return Some(self.aggregates[at].clone());
            }
            if let Some(earlier) = self.posts[..index].iter().position(|spec| spec.name() == name) {
                return self.get(self.posts[earlier].name()).unwrap_or_else(|error| {
                    *failure.borrow_mut() = Some(error);
                    None
                });
            }
            self.keys.iter().find(|(key, _, _)| key.as_ref() == name).map(|(_, _, vector)| vector.clone())
        };
        let result = self.posts[index].compute(&column, self.aggregations, self.rows, &self.context.eval);
        let vector = match failure.into_inner() {
            Some(error) => return Err(error),
            None => result?,
        };
        if vector.len() != self.rows {
            return Err(DruidError::runtime(format!(
                "post-aggregator [{}] gave a wrong number of rows",
                self.posts[index].name()
            )));
        }
        Ok(vector)
    }

    /// Only these rows, in this order.
    pub fn pick(self, rows: &[u32]) -> Self {
        let gather = |vector: &Vector| vector.gather(rows);
        ResultColumns {
            keys: self.keys.iter().map(|(name, kind, vector)| (name.clone(), kind.clone(), gather(vector))).collect(),
            aggregates: self.aggregates.iter().map(gather).collect(),
            rows: rows.len(),
            done: RefCell::new(self.done.into_inner().iter().map(|(name, vector)| (name.clone(), gather(vector))).collect()),
            ..self
        }
    }

    /// All columns: keys, aggregators, post-aggregators.
    pub fn into_batch(self) -> Result<RowBatch> {
        let mut columns: Vec<Vector> = self.keys.iter().map(|(_, _, vector)| vector.clone()).collect();
        let names = self.aggregations.iter().map(AggregatorSpec::name).chain(self.posts.iter().map(PostAggregatorSpec::name));
        for name in names {
            columns.push(self.get(name)?.unwrap_or(Vector::Null { len: self.rows }));
        }
        Ok(RowBatch { columns, rows: self.rows })
    }

    /// Names and types of all columns.
    pub fn signature(&self) -> Vec<(Arc<str>, Option<ColumnType>)> {
        let mut signature: Vec<(Arc<str>, Option<ColumnType>)> =
            self.keys.iter().map(|(name, kind, _)| (name.clone(), Some(kind.clone()))).collect();
        for spec in self.aggregations {
            let kind = if self.finalizes { spec.result_type() } else { spec.intermediate_type() };
            signature.push((Arc::from(spec.name()), Some(kind)));
        }
        for spec in self.posts {
            let known = signature.clone();
            let raw = |name: &str| match self.aggregations.iter().find(|spec| spec.name() == name) {
                Some(aggregation) => Some(aggregation.intermediate_type()),
                None => known.iter().find(|(n, _)| n.as_ref() == name).and_then(|(_, kind)| kind.clone()),
            };
            signature.push((Arc::from(spec.name()), spec.result_type(&raw, self.aggregations)));
        }
        signature
    }
}

/// The intermediate values of groups that no row came to.
pub(super) fn empty_aggregates(aggregations: &[AggregatorSpec], groups: usize) -> Result<Vec<Vector>> {
    let empty = |spec: &AggregatorSpec| {
        let mut merger = spec.merger()?;
        merger.resize(groups);
        merger.take_partial()
    };
    aggregations.iter().map(empty).collect()
}
