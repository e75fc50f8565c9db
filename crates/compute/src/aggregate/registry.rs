//! Every aggregator type by its JSON name.

use ovate_base::{DruidError, Result};
use serde_json::Value as Json;

use super::json::Fields;
use super::{AggregatorSpec, count, simple};

type Parse = fn(&Fields<'_>) -> Result<AggregatorSpec>;

const REGISTRY: &[(&str, Parse)] = &[
    ("count", count::parse),
    ("longSum", simple::parse),
    ("doubleSum", simple::parse),
    ("floatSum", simple::parse),
    ("longMin", simple::parse),
    ("doubleMin", simple::parse),
    ("floatMin", simple::parse),
    ("longMax", simple::parse),
    ("doubleMax", simple::parse),
    ("floatMax", simple::parse),
];

/// Aggregators of Druid that this build does not have; they answer "unsupported" instead of "unknown".
const UNSUPPORTED: &[&str] = &["javascript", "histogram"];

pub(super) fn from_json(json: &Json) -> Result<AggregatorSpec> {
    let fields = Fields::new("aggregator", json)?;
    let kind = fields.kind()?;
    match REGISTRY.iter().find(|(name, _)| *name == kind) {
        Some((_, parse)) => parse(&fields),
        None if UNSUPPORTED.contains(&kind) => Err(DruidError::unsupported(format!("aggregator type [{kind}] is not supported"))),
        None => Err(DruidError::invalid_input(format!("Could not resolve type id '{kind}' as an aggregator"))),
    }
}
