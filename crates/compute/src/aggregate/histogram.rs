//! `approxHistogram`, `approxHistogramFold` and `fixedBucketsHistogram` of Druid's histogram extension
//! (`ApproximateHistogramAggregatorFactory`, `FixedBucketsHistogramAggregatorFactory`).

use ovate_base::Result;
use serde_json::{Map, Value as Json, json};

use super::AggregatorSpec;
use super::json::Fields;
use super::number::parse as parse_number;
use super::sketched::{SketchAggregator, SketchKind, SketchSpec};
use crate::sketch::approximate_histogram::{ApproximateHistogram, Buckets};
use crate::sketch::fixed_buckets::{FixedBuckets, OutlierHandling};
use crate::types::ColumnType;
use crate::value::Value;

#[derive(Debug, Clone)]
struct Approximate {
    fold: bool,
    resolution: usize,
    buckets: usize,
    lower_limit: f64,
    upper_limit: f64,
    finalize_as_base64: bool,
}

/// A limit, which Jackson also reads as `"-Infinity"`.
fn limit(fields: &Fields<'_>, name: &str, default: f64) -> Result<f64> {
    if fields.get(name).is_some() { fields.double(name) } else { Ok(default) }
}

pub(super) fn parse_approximate(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    let (resolution, buckets) = (fields.long("resolution", 50)?, fields.long("numBuckets", 7)?);
    if !(1..=1_000_000).contains(&resolution) {
        return Err(fields.bad("resolution", "must be greater than 1"));
    }
    if !(2..=1_000_000).contains(&buckets) {
        return Err(fields.bad("numBuckets", "must be greater than 1"));
    }
    let spec = Approximate {
        fold: fields.kind()? == "approxHistogramFold",
        resolution: resolution as usize,
        buckets: buckets as usize,
        lower_limit: limit(fields, "lowerLimit", f64::NEG_INFINITY)?,
        upper_limit: limit(fields, "upperLimit", f64::INFINITY)?,
        finalize_as_base64: fields.bool("finalizeAsBase64Binary", false)?,
    };
    SketchAggregator::parse(fields, spec)
}

/// Buckets as Druid writes them.
pub(crate) fn buckets_json(buckets: &Buckets) -> Value {
    Value::Json(json!({"breaks": buckets.breaks, "counts": buckets.counts}).into())
}

fn limit_json(value: f64) -> Json {
    if value.is_finite() { json!(value) } else { json!(crate::value::double_to_text(value)) }
}

impl SketchSpec for Approximate {
    type Kind = ApproximateKind;
    fn type_name(&self) -> &str {
        if self.fold { "approxHistogramFold" } else { "approxHistogram" }
    }
    fn kind(&self) -> ApproximateKind {
        ApproximateKind { resolution: self.resolution }
    }
    fn write_json(&self, json: &mut Map<String, Json>) {
        json.insert("resolution".into(), json!(self.resolution));
        json.insert("numBuckets".into(), json!(self.buckets));
        json.insert("lowerLimit".into(), limit_json(self.lower_limit));
        json.insert("upperLimit".into(), limit_json(self.upper_limit));
        json.insert("finalizeAsBase64Binary".into(), json!(self.finalize_as_base64));
    }
    fn combining(&self) -> Self {
        Approximate { fold: true, ..self.clone() }
    }
    fn final_type(&self) -> Option<ColumnType> {
        (!self.finalize_as_base64).then(|| ColumnType::complex("json"))
    }
    fn finalize(&self, bytes: &[u8]) -> Result<Value> {
        Ok(buckets_json(&ApproximateHistogram::from_bytes(bytes)?.to_equal_buckets(self.buckets)))
    }
    fn finalize_nothing(&self) -> Value {
        Value::Null
    }
}

#[derive(Clone)]
struct ApproximateKind {
    resolution: usize,
}

impl SketchKind for ApproximateKind {
    type State = ApproximateHistogram;
    type Item = f32;
    const IDEMPOTENT: bool = false;
    fn column_type(&self) -> &'static str {
        "approximateHistogram"
    }
    fn empty(&self) -> Result<ApproximateHistogram> {
        Ok(ApproximateHistogram::new(self.resolution))
    }
    fn text(&self, value: &str) -> Option<f32> {
        parse_number(value)
    }
    fn long(&self, value: i64) -> Option<f32> {
        Some(value as f32)
    }
    fn double(&self, value: f64) -> Option<f32> {
        Some(value as f32)
    }
    fn update(&self, state: &mut ApproximateHistogram, item: f32) {
        state.offer(item);
    }
    fn merge(&self, state: &mut ApproximateHistogram, bytes: &[u8]) -> Result<()> {
        state.fold(&ApproximateHistogram::from_bytes(bytes)?);
        Ok(())
    }
    fn encode(&self, state: &ApproximateHistogram) -> Vec<u8> {
        state.to_bytes()
    }
    fn memory_bytes(&self, state: &ApproximateHistogram) -> usize {
        state.memory_bytes()
    }
}

#[derive(Debug, Clone)]
struct Fixed {
    lower: f64,
    upper: f64,
    buckets: usize,
    handling: OutlierHandling,
    finalize_as_base64: bool,
}

pub(super) fn parse_fixed(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    let handling = fields.string_or_none("outlierHandlingMode")?.unwrap_or("ignore");
    let handling = OutlierHandling::parse(handling);
    let spec = Fixed {
        lower: fields.double("lowerLimit")?,
        upper: fields.double("upperLimit")?,
        buckets: usize::try_from(fields.long("numBuckets", 10)?).unwrap_or(0),
        handling: handling.ok_or_else(|| fields.bad("outlierHandlingMode", "must be ignore, overflow or clip"))?,
        finalize_as_base64: fields.bool("finalizeAsBase64Binary", false)?,
    };
    FixedBuckets::new(spec.lower, spec.upper, spec.buckets, spec.handling)?;
    SketchAggregator::parse(fields, spec)
}

impl SketchSpec for Fixed {
    type Kind = Fixed;
    fn type_name(&self) -> &str {
        "fixedBucketsHistogram"
    }
    fn kind(&self) -> Fixed {
        self.clone()
    }
    fn write_json(&self, json: &mut Map<String, Json>) {
        json.insert("numBuckets".into(), json!(self.buckets));
        json.insert("lowerLimit".into(), json!(self.lower));
        json.insert("upperLimit".into(), json!(self.upper));
        json.insert("outlierHandlingMode".into(), json!(self.handling.name()));
        json.insert("finalizeAsBase64Binary".into(), json!(self.finalize_as_base64));
    }
    fn final_type(&self) -> Option<ColumnType> {
        (!self.finalize_as_base64).then_some(ColumnType::String)
    }
    fn finalize(&self, bytes: &[u8]) -> Result<Value> {
        Ok(Value::String(FixedBuckets::from_bytes(bytes)?.describe().into()))
    }
    fn finalize_nothing(&self) -> Value {
        Value::Null
    }
}

impl SketchKind for Fixed {
    type State = FixedBuckets;
    /// `None` is a null, which is counted apart.
    type Item = Option<f64>;
    const IDEMPOTENT: bool = false;
    fn column_type(&self) -> &'static str {
        "fixedBucketsHistogram"
    }
    fn empty(&self) -> Result<FixedBuckets> {
        FixedBuckets::new(self.lower, self.upper, self.buckets, self.handling)
    }
    fn null(&self) -> Option<Option<f64>> {
        Some(None)
    }
    fn text(&self, value: &str) -> Option<Option<f64>> {
        parse_number(value).map(Some)
    }
    fn long(&self, value: i64) -> Option<Option<f64>> {
        Some(Some(value as f64))
    }
    fn double(&self, value: f64) -> Option<Option<f64>> {
        Some(Some(value))
    }
    fn update(&self, state: &mut FixedBuckets, item: Option<f64>) {
        match item {
            Some(value) => state.add(value),
            None => state.add_missing(),
        }
    }
    fn merge(&self, state: &mut FixedBuckets, bytes: &[u8]) -> Result<()> {
        state.merge(&FixedBuckets::from_bytes(bytes)?);
        Ok(())
    }
    fn encode(&self, state: &FixedBuckets) -> Vec<u8> {
        state.to_bytes()
    }
    fn memory_bytes(&self, state: &FixedBuckets) -> usize {
        state.memory_bytes()
    }
}
