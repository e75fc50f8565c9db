//! Every post-aggregator type by its JSON name.

use ovate_base::{DruidError, Result};
use serde_json::Value as Json;

use super::{PostAggregatorSpec, arithmetic, field};
use crate::aggregate::json::Fields;

type Parse = fn(&Fields<'_>) -> Result<PostAggregatorSpec>;

const REGISTRY: &[(&str, Parse)] = &[
    ("arithmetic", arithmetic::parse),
    ("constant", field::parse_constant),
    ("fieldAccess", field::parse_access),
    ("finalizingFieldAccess", field::parse_access),
];

/// Post-aggregators of Druid that this build does not have; they answer "unsupported" instead of "unknown".
const UNSUPPORTED: &[&str] = &["javascript"];

pub(super) fn from_json(json: &Json) -> Result<PostAggregatorSpec> {
    let fields = Fields::new("post-aggregator", json)?;
    let kind = fields.kind()?;
    match REGISTRY.iter().find(|(name, _)| *name == kind) {
        Some((_, parse)) => parse(&fields),
        None if UNSUPPORTED.contains(&kind) => {
            Err(DruidError::unsupported(format!("post-aggregator type [{kind}] is not supported")))
        }
        None => Err(DruidError::invalid_input(format!("Could not resolve type id '{kind}' as a post-aggregator"))),
    }
}
