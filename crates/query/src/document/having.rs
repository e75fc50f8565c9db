//! `HavingSpec`: conditions on result rows of a groupBy (ORD-01).

use ovate_base::{DruidError, Result};
use ovate_compute::dimension::DimensionSpec;
use ovate_compute::filter::FilterSpec;
use serde_json::{Value, json};

use super::fields::{Fields, unknown_type};

/// A condition over the columns of one result row.
#[derive(Debug, Clone)]
pub enum HavingSpec {
    Always,
    Never,
    Filter(FilterSpec),
    EqualTo { aggregation: String, value: serde_json::Number },
    GreaterThan { aggregation: String, value: serde_json::Number },
    LessThan { aggregation: String, value: serde_json::Number },
    DimSelector { dimension: DimensionSpec, value: Option<String> },
    And(Vec<HavingSpec>),
    Or(Vec<HavingSpec>),
    Not(Box<HavingSpec>),
}

const KNOWN: &[&str] = &["always", "never", "filter", "equalTo", "greaterThan", "lessThan", "dimSelector", "and", "or", "not"];
const DEPTH_MAX: usize = 256;

impl HavingSpec {
    /// Reads Druid's document.
    pub fn from_json(value: &Value) -> Result<Self> {
        Self::parse(value, 0)
    }

    fn parse(value: &Value, depth: usize) -> Result<Self> {
        if depth > DEPTH_MAX {
            return Err(DruidError::invalid_input(format!("having is nested deeper than {DEPTH_MAX}")));
        }
        let fields = Fields::new(value, "having")?;
        let children = || fields.parsed("havingSpecs", |v| Self::parse(v, depth + 1));
        let number = || match fields.required("value")? {
            Value::Number(number) => Ok(number.clone()),
            Value::String(text) => {
                text.parse().map_err(|_| DruidError::invalid_input(format!("field [value] of having is not a number: [{text}]")))
            }
            _ => Err(DruidError::invalid_input("field [value] of having must be a number")),
        };
        Ok(match fields.str("type")?.as_str() {
            "always" => HavingSpec::Always,
            "never" => HavingSpec::Never,
            "filter" => HavingSpec::Filter(FilterSpec::from_json(fields.required("filter")?)?),
            "equalTo" => HavingSpec::EqualTo { aggregation: fields.str("aggregation")?, value: number()? },
            "greaterThan" => HavingSpec::GreaterThan { aggregation: fields.str("aggregation")?, value: number()? },
            "lessThan" => HavingSpec::LessThan { aggregation: fields.str("aggregation")?, value: number()? },
            "dimSelector" => HavingSpec::DimSelector {
                dimension: DimensionSpec::from_json(fields.required("dimension")?)?,
                value: fields.opt_str("value")?,
            },
            "and" => HavingSpec::And(children()?),
            "or" => HavingSpec::Or(children()?),
            "not" => HavingSpec::Not(Box::new(Self::parse(fields.required("havingSpec")?, depth + 1)?)),
            other => return Err(unknown_type("having", other, KNOWN)),
        })
    }

    /// The document that `from_json` reads back.
    pub fn to_json(&self) -> Value {
        let list = |specs: &[HavingSpec]| specs.iter().map(HavingSpec::to_json).collect::<Vec<_>>();
        match self {
            HavingSpec::Always => json!({"type": "always"}),
            HavingSpec::Never => json!({"type": "never"}),
            HavingSpec::Filter(filter) => json!({"type": "filter", "filter": filter.to_json()}),
            HavingSpec::EqualTo { aggregation, value } => {
                json!({"type": "equalTo", "aggregation": aggregation, "value": value})
            }
            HavingSpec::GreaterThan { aggregation, value } => {
                json!({"type": "greaterThan", "aggregation": aggregation, "value": value})
            }
            HavingSpec::LessThan { aggregation, value } => {
                json!({"type": "lessThan", "aggregation": aggregation, "value": value})
            }
            HavingSpec::DimSelector { dimension, value } => {
                json!({"type": "dimSelector", "dimension": dimension.to_json(), "value": value})
            }
            HavingSpec::And(specs) => json!({"type": "and", "havingSpecs": list(specs)}),
            HavingSpec::Or(specs) => json!({"type": "or", "havingSpecs": list(specs)}),
            HavingSpec::Not(spec) => json!({"type": "not", "havingSpec": spec.to_json()}),
        }
    }
}
