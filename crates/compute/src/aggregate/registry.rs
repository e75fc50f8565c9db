//! Every aggregator type by its JSON name.

use ovate_base::{DruidError, Result};
use serde_json::Value as Json;

use super::json::Fields;
use super::{
    AggregatorSpec, any, bitmap64, bloom, break_histogram, cardinality, count, dd_sketch, decimal, distinct_count, filtered,
    first_last, grouping, histogram, hll_sketch, hyper_unique, lambda, mean, moments, quantiles_sketch, simple, single_value,
    spectator, t_digest, theta_sketch, time_extreme, tuple_sketch, variance,
};

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
    ("longFirst", first_last::parse),
    ("longLast", first_last::parse),
    ("floatFirst", first_last::parse),
    ("floatLast", first_last::parse),
    ("doubleFirst", first_last::parse),
    ("doubleLast", first_last::parse),
    ("stringFirst", first_last::parse),
    ("stringLast", first_last::parse),
    ("stringFirstFold", first_last::parse),
    ("stringLastFold", first_last::parse),
    ("longAny", any::parse),
    ("floatAny", any::parse),
    ("doubleAny", any::parse),
    ("stringAny", any::parse),
    ("filtered", filtered::parse),
    ("grouping", grouping::parse),
    ("singleValue", single_value::parse),
    ("doubleMean", mean::parse),
    ("expression", lambda::parse),
    ("variance", variance::parse),
    ("varianceFold", variance::parse),
    ("hyperUnique", hyper_unique::parse),
    ("cardinality", cardinality::parse),
    ("histogram", break_histogram::parse),
    ("approxHistogram", histogram::parse_approximate),
    ("approxHistogramFold", histogram::parse_approximate),
    ("fixedBucketsHistogram", histogram::parse_fixed),
    ("bloom", bloom::parse),
    ("Bitmap64ExactCountBuild", bitmap64::parse),
    ("Bitmap64ExactCountMerge", bitmap64::parse),
    ("ddSketch", dd_sketch::parse),
    ("tDigestSketch", t_digest::parse),
    ("momentSketch", moments::parse),
    ("momentSketchMerge", moments::parse),
    ("spectatorHistogram", spectator::parse),
    ("spectatorHistogramTimer", spectator::parse),
    ("spectatorHistogramDistribution", spectator::parse),
    ("compressedBigDecimalSum", decimal::parse),
    ("compressedBigDecimalMin", decimal::parse),
    ("compressedBigDecimalMax", decimal::parse),
    ("distinctCount", distinct_count::parse),
    ("timeMin", time_extreme::parse),
    ("timeMax", time_extreme::parse),
    ("HLLSketchBuild", hll_sketch::parse),
    ("HLLSketchMerge", hll_sketch::parse),
    ("thetaSketch", theta_sketch::parse),
    ("arrayOfDoublesSketch", tuple_sketch::parse),
    ("quantilesDoublesSketch", quantiles_sketch::parse),
    ("quantilesDoublesSketchMerge", quantiles_sketch::parse),
    ("KllDoublesSketch", quantiles_sketch::parse_kll_doubles),
    ("KllDoublesSketchMerge", quantiles_sketch::parse_kll_doubles),
    ("KllFloatsSketch", quantiles_sketch::parse_kll_floats),
    ("KllFloatsSketchMerge", quantiles_sketch::parse_kll_floats),
];

/// Aggregators of Druid that this build does not have; they answer "unsupported" instead of "unknown".
const UNSUPPORTED: &[&str] = &["javascript"];

pub(super) fn from_json(json: &Json) -> Result<AggregatorSpec> {
    let fields = Fields::new("aggregator", json)?;
    let kind = fields.kind()?;
    match REGISTRY.iter().find(|(name, _)| *name == kind) {
        Some((_, parse)) => parse(&fields),
        None if UNSUPPORTED.contains(&kind) => Err(DruidError::unsupported(format!("aggregator type [{kind}] is not supported"))),
        None => Err(DruidError::invalid_input(format!("Could not resolve type id '{kind}' as an aggregator"))),
    }
}
