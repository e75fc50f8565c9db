//! What every post-aggregator offers, and what it computes from.

use std::fmt;
use std::sync::Arc;

use ovate_base::{DruidError, Result};
use serde_json::Value as Json;

use super::registry;
use crate::aggregate::AggregatorSpec;
use crate::context::EvalContext;
use crate::types::ColumnType;
use crate::vector::Vector;

/// The columns of a result, not finalized, with the aggregators they come from.
pub struct PostInputs<'a> {
    columns: &'a dyn Fn(&str) -> Option<Vector>,
    aggregators: &'a [AggregatorSpec],
    /// Number of rows.
    pub len: usize,
    pub context: &'a EvalContext,
}

impl PostInputs<'_> {
    /// A dimension, post-aggregator or aggregator column as it is; all null when there is none of that name.
    pub fn raw(&self, name: &str) -> Vector {
        (self.columns)(name).unwrap_or(Vector::Null { len: self.len })
    }

    /// A column, finalized when it is an aggregator's.
    pub fn finalized(&self, name: &str) -> Result<Vector> {
        let column = self.raw(name);
        match self.aggregators.iter().find(|aggregator| aggregator.name() == name) {
            Some(aggregator) => aggregator.finalize(&column),
            None => Ok(column),
        }
    }

    /// The aggregator of this name.
    pub fn aggregator(&self, name: &str) -> Option<&AggregatorSpec> {
        self.aggregators.iter().find(|aggregator| aggregator.name() == name)
    }
}

/// One kind of post-aggregator (Druid's `PostAggregator`).
pub trait PostAggregatorFactory: fmt::Debug + Send + Sync {
    /// Output name; `None` for fields inside others that gave none.
    fn name(&self) -> Option<&str>;
    /// The JSON form, with Druid's property names.
    fn to_json(&self) -> Json;
    /// Columns it reads (`getDependentFields`).
    fn required_columns(&self) -> Vec<String>;
    /// Type of the result; `column` gives the types of columns before finalization, `None` when unknown.
    fn result_type(&self, column: &dyn Fn(&str) -> Option<ColumnType>, aggregators: &[AggregatorSpec]) -> Option<ColumnType>;
    /// The values of all rows.
    fn compute(&self, inputs: &PostInputs<'_>) -> Result<Vector>;
}

/// A post-aggregator of a query.
#[derive(Clone)]
pub struct PostAggregatorSpec(Arc<dyn PostAggregatorFactory>);

impl PostAggregatorSpec {
    /// Wraps one kind of post-aggregator.
    pub fn new(factory: impl PostAggregatorFactory + 'static) -> Self {
        PostAggregatorSpec(Arc::new(factory))
    }

    /// Reads a post-aggregator's JSON object.
    pub fn from_json(json: &Json) -> Result<Self> {
        registry::from_json(json)
    }

    /// The JSON form, with Druid's property names.
    pub fn to_json(&self) -> Json {
        self.0.to_json()
    }

    /// Output name; empty for a field inside another that gave none.
    pub fn name(&self) -> &str {
        self.0.name().unwrap_or("")
    }

    /// Columns it reads.
    pub fn required_columns(&self) -> Vec<String> {
        self.0.required_columns()
    }

    /// Type of the result, `None` when it cannot be known.
    pub fn result_type(&self, column: &dyn Fn(&str) -> Option<ColumnType>, aggregators: &[AggregatorSpec]) -> Option<ColumnType> {
        self.0.result_type(column, aggregators)
    }

    /// The values of `len` rows. `columns` gives the columns of the result by name, aggregators' not finalized.
    pub fn compute(
        &self,
        columns: &dyn Fn(&str) -> Option<Vector>,
        aggregators: &[AggregatorSpec],
        len: usize,
        context: &EvalContext,
    ) -> Result<Vector> {
        let vector = self.evaluate(&PostInputs { columns, aggregators, len, context })?;
        if vector.len() != len {
            return Err(DruidError::runtime(format!("post-aggregator [{}] gave {} rows of {len}", self.name(), vector.len())));
        }
        Ok(vector)
    }

    /// The values of all rows of `inputs`; for post-aggregators inside others.
    pub fn evaluate(&self, inputs: &PostInputs<'_>) -> Result<Vector> {
        self.0.compute(inputs)
    }
}

impl fmt::Debug for PostAggregatorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq for PostAggregatorSpec {
    fn eq(&self, other: &Self) -> bool {
        self.to_json() == other.to_json()
    }
}

/// The columns that any of these reads, each once.
pub(super) fn columns_of(fields: &[PostAggregatorSpec]) -> Vec<String> {
    let mut columns: Vec<String> = Vec::new();
    for column in fields.iter().flat_map(PostAggregatorSpec::required_columns) {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    columns
}

/// A vector of doubles; the values of null rows become 0.
pub(super) fn doubles(mut values: Vec<f64>, nulls: Vec<bool>) -> Vector {
    if !nulls.contains(&true) {
        return Vector::Double { values, nulls: None };
    }
    values.iter_mut().zip(&nulls).filter(|(_, null)| **null).for_each(|(value, _)| *value = 0.0);
    Vector::Double { values, nulls: Some(nulls) }
}
