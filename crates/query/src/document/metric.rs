//! `TopNMetricSpec`: what a topN orders by (ORD-03).

use ovate_base::{DruidError, Result};
use ovate_compute::ordering::StringOrder;
use serde_json::{Value, json};

use super::fields::{Fields, unknown_type};

/// The order of a topN's values.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricSpec {
    /// By an aggregator or post-aggregator, greatest first.
    Numeric(String),
    /// By the dimension's value, least first, beginning after `previous_stop`.
    Dimension { order: StringOrder, previous_stop: Option<String> },
    /// The other way round.
    Inverted(Box<MetricSpec>),
}

impl MetricSpec {
    /// A metric's name, or an object.
    pub fn from_json(value: &Value) -> Result<Self> {
        if let Value::String(name) = value {
            return Ok(MetricSpec::Numeric(name.clone()));
        }
        let fields = Fields::new(value, "topN metric")?;
        let dimension = |order| Ok(MetricSpec::Dimension { order, previous_stop: fields.opt_str("previousStop")? });
        match fields.str("type")?.as_str() {
            "numeric" | "LegacyTopNMetricSpec" => Ok(MetricSpec::Numeric(fields.str("metric")?)),
            "lexicographic" => dimension(StringOrder::Lexicographic),
            "alphaNumeric" => dimension(StringOrder::Alphanumeric),
            "dimension" => dimension(fields.opt_parsed("ordering", StringOrder::from_json)?.unwrap_or_default()),
            "inverted" => match Self::from_json(fields.required("metric")?)? {
                MetricSpec::Inverted(_) => Err(DruidError::invalid_input("topN metric [inverted] inside [inverted]")),
                inner => Ok(MetricSpec::Inverted(Box::new(inner))),
            },
            other => {
                Err(unknown_type("topN metric", other, &["numeric", "lexicographic", "alphaNumeric", "dimension", "inverted"]))
            }
        }
    }

    /// The document that `from_json` reads back.
    pub fn to_json(&self) -> Value {
        match self {
            MetricSpec::Numeric(metric) => json!({"type": "numeric", "metric": metric}),
            MetricSpec::Dimension { order, previous_stop } => {
                json!({"type": "dimension", "ordering": {"type": order.name()}, "previousStop": previous_stop})
            }
            MetricSpec::Inverted(inner) => json!({"type": "inverted", "metric": inner.to_json()}),
        }
    }
}
