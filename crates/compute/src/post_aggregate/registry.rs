//! Every post-aggregator type by its JSON name.

use ovate_base::{DruidError, Result};
use serde_json::Value as Json;

use super::{
    PostAggregatorSpec, arithmetic, bitmap64, contributed, expression, extremes, field, histogram, hll, moments, quantiles,
    spectator, stats, t_test, theta, tuple, ztest,
};
use crate::aggregate::json::Fields;

type Parse = fn(&Fields<'_>) -> Result<PostAggregatorSpec>;

const REGISTRY: &[(&str, Parse)] = &[
    ("arithmetic", arithmetic::parse),
    ("constant", field::parse_constant),
    ("fieldAccess", field::parse_access),
    ("finalizingFieldAccess", field::parse_access),
    ("expression", expression::parse),
    ("doubleGreatest", extremes::parse),
    ("doubleLeast", extremes::parse),
    ("longGreatest", extremes::parse),
    ("longLeast", extremes::parse),
    ("hyperUniqueCardinality", stats::parse_cardinality),
    ("stddev", stats::parse_stddev),
    ("zscore2sample", ztest::parse),
    ("pvalue2tailedZtest", ztest::parse),
    ("thetaSketchEstimate", theta::parse_estimate),
    ("thetaSketchSetOp", theta::parse_set_op),
    ("thetaSketchToString", theta::parse_to_string),
    ("thetaSketchConstant", theta::parse_constant),
    ("HLLSketchEstimate", hll::parse_estimate),
    ("HLLSketchEstimateWithBounds", hll::parse_estimate_with_bounds),
    ("HLLSketchUnion", hll::parse_union),
    ("HLLSketchToString", hll::parse_to_string),
    ("arrayOfDoublesSketchToEstimate", tuple::parse),
    ("arrayOfDoublesSketchToEstimateAndBounds", tuple::parse),
    ("arrayOfDoublesSketchToNumEntries", tuple::parse),
    ("arrayOfDoublesSketchToMeans", tuple::parse),
    ("arrayOfDoublesSketchToVariances", tuple::parse),
    ("arrayOfDoublesSketchToMetricsSumEstimate", tuple::parse),
    ("arrayOfDoublesSketchToQuantilesSketch", tuple::parse),
    ("arrayOfDoublesSketchSetOp", tuple::parse),
    ("arrayOfDoublesSketchConstant", tuple::parse),
    ("arrayOfDoublesSketchToString", tuple::parse),
    ("arrayOfDoublesSketchToBase64String", tuple::parse),
    ("arrayOfDoublesSketchTTest", t_test::parse),
    ("quantileFromTDigestSketch", contributed::parse),
    ("quantilesFromTDigestSketch", contributed::parse),
    ("quantileFromDDSketch", contributed::parse),
    ("quantilesFromDDSketch", contributed::parse),
    ("momentSketchSolveQuantiles", moments::parse),
    ("momentSketchMin", moments::parse),
    ("momentSketchMax", moments::parse),
    ("percentileSpectatorHistogram", spectator::parse),
    ("percentilesSpectatorHistogram", spectator::parse),
    ("countSpectatorHistogram", spectator::parse),
    ("bitmap64ExactCount", bitmap64::parse),
    ("quantile", histogram::parse),
    ("quantiles", histogram::parse),
    ("min", histogram::parse),
    ("max", histogram::parse),
    ("equalBuckets", histogram::parse),
    ("buckets", histogram::parse),
    ("customBuckets", histogram::parse),
    ("quantilesDoublesSketchToQuantile", quantiles::parse),
    ("quantilesDoublesSketchToQuantiles", quantiles::parse),
    ("quantilesDoublesSketchToHistogram", quantiles::parse),
    ("quantilesDoublesSketchToRank", quantiles::parse),
    ("quantilesDoublesSketchToCDF", quantiles::parse),
    ("quantilesDoublesSketchToString", quantiles::parse),
    ("KllDoublesSketchToQuantile", quantiles::parse),
    ("KllDoublesSketchToQuantiles", quantiles::parse),
    ("KllDoublesSketchToHistogram", quantiles::parse),
    ("KllDoublesSketchToRank", quantiles::parse),
    ("KllDoublesSketchToCDF", quantiles::parse),
    ("KllDoublesSketchToString", quantiles::parse),
    ("KllFloatsSketchToQuantile", quantiles::parse),
    ("KllFloatsSketchToQuantiles", quantiles::parse),
    ("KllFloatsSketchToHistogram", quantiles::parse),
    ("KllFloatsSketchToRank", quantiles::parse),
    ("KllFloatsSketchToCDF", quantiles::parse),
    ("KllFloatsSketchToString", quantiles::parse),
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
