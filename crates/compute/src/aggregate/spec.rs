//! What every aggregator offers before it runs: its JSON form, names and types, how it combines and finalizes.

use std::fmt;
use std::sync::Arc;

use ovate_base::Result;
use serde_json::Value as Json;

use super::{Aggregator, registry};
use crate::column::ColumnSource;
use crate::context::EvalContext;
use crate::types::ColumnType;
use crate::vector::Vector;

/// One kind of aggregator, as written in a query or a metrics spec (Druid's `AggregatorFactory`).
pub trait AggregatorFactory: fmt::Debug + Send + Sync {
    /// Output name.
    fn name(&self) -> &str;
    /// The JSON form, with Druid's property names.
    fn to_json(&self) -> Json;
    /// Columns read while adding rows (not while merging).
    fn required_columns(&self) -> Vec<String>;
    /// State that reads rows of `source`. A column that is not there reads as null.
    fn bind(&self, source: &Arc<dyn ColumnSource>, context: &EvalContext) -> Result<Box<dyn Aggregator>>;
    /// State that only merges partials.
    fn merger(&self) -> Result<Box<dyn Aggregator>>;
    /// The aggregator that adds up stored results of this one (`getCombiningFactory`).
    fn combining(&self) -> AggregatorSpec;
    /// The same aggregator under another output name.
    fn with_name(&self, name: &str) -> AggregatorSpec;
    /// Type of the partial result, which is the type a segment stores.
    fn intermediate_type(&self) -> ColumnType;
    /// Type of the finalized result.
    fn result_type(&self) -> ColumnType;
    /// Partial results to final ones; most aggregators give the same values back.
    fn finalize(&self, partial: &Vector) -> Result<Vector> {
        Ok(partial.clone())
    }
    /// For `grouping`: the same aggregator, knowing which dimensions are keys of the result.
    fn with_key_dimensions(&self, _keys: &[String]) -> Option<AggregatorSpec> {
        None
    }
    /// The aggregator inside a wrapper such as `filtered`.
    fn inner(&self) -> Option<&AggregatorSpec> {
        None
    }
    /// Whether the result shows in which order partials were merged, as that of ARRAY_AGG does, and that of ANY_VALUE where
    /// nothing is `grouped` by: by groups nobody promises an order.
    fn shows_order(&self, _grouped: bool) -> bool {
        false
    }
}

/// An aggregator of a query or of a metrics spec.
#[derive(Clone)]
pub struct AggregatorSpec(Arc<dyn AggregatorFactory>);

impl AggregatorSpec {
    /// Wraps one kind of aggregator.
    pub fn new(factory: impl AggregatorFactory + 'static) -> Self {
        AggregatorSpec(Arc::new(factory))
    }

    /// Reads an aggregator's JSON object; unknown types and missing properties are invalid input.
    pub fn from_json(json: &Json) -> Result<Self> {
        registry::from_json(json)
    }

    /// The JSON form, with Druid's property names.
    pub fn to_json(&self) -> Json {
        self.0.to_json()
    }

    /// Output name.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// The `type` property.
    pub fn type_name(&self) -> String {
        self.to_json()["type"].as_str().unwrap_or_default().to_owned()
    }

    /// Columns read while adding rows.
    pub fn required_columns(&self) -> Vec<String> {
        self.0.required_columns()
    }

    /// State that reads rows of `source`.
    pub fn bind(&self, source: &Arc<dyn ColumnSource>, context: &EvalContext) -> Result<Box<dyn Aggregator>> {
        self.0.bind(source, context)
    }

    /// State that only merges partials.
    pub fn merger(&self) -> Result<Box<dyn Aggregator>> {
        self.0.merger()
    }

    /// The aggregator that adds up stored results of this one.
    pub fn combining(&self) -> AggregatorSpec {
        self.0.combining()
    }

    /// The same aggregator under another output name.
    pub fn with_name(&self, name: &str) -> AggregatorSpec {
        self.0.with_name(name)
    }

    /// The aggregator to use where these dimensions are keys of the result (`groupBy` and its subtotals); only `grouping`
    /// differs from `self`.
    pub fn with_key_dimensions(&self, keys: &[String]) -> AggregatorSpec {
        self.0.with_key_dimensions(keys).unwrap_or_else(|| self.clone())
    }

    /// Type of the partial result, which is the type a segment stores.
    pub fn intermediate_type(&self) -> ColumnType {
        self.0.intermediate_type()
    }

    /// Type of the finalized result.
    pub fn result_type(&self) -> ColumnType {
        self.0.result_type()
    }

    /// Partial results to final ones.
    pub fn finalize(&self, partial: &Vector) -> Result<Vector> {
        self.0.finalize(partial)
    }

    /// The aggregator inside a wrapper such as `filtered`.
    pub fn inner(&self) -> Option<&AggregatorSpec> {
        self.0.inner()
    }

    /// Whether the result shows in which order partials were merged; `grouped`: by keys.
    pub fn shows_order(&self, grouped: bool) -> bool {
        self.0.shows_order(grouped) || self.inner().is_some_and(|inner| inner.shows_order(grouped))
    }
}

impl fmt::Debug for AggregatorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq for AggregatorSpec {
    fn eq(&self, other: &Self) -> bool {
        self.to_json() == other.to_json()
    }
}
