//! `tDigestSketch` of Druid's tdigestsketch extension (`TDigestSketchAggregatorFactory`): quantiles, most exact at the ends.

use ovate_base::Result;
use serde_json::{Map, Value as Json, json};

use super::AggregatorSpec;
use super::json::Fields;
use super::number::parse as parse_number;
use super::sketched::{SketchAggregator, SketchKind, SketchSpec};
use crate::sketch::t_digest::TDigest;
use crate::types::ColumnType;
use crate::value::Value;

/// More centroids than this are of no use and take memory (`druid.tdigest.maxCompression`'s default).
const COMPRESSION_MAX: i64 = 10_000;

#[derive(Debug, Clone)]
struct Digest {
    compression: i64,
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    let compression = fields.long("compression", 100)?;
    if !(1..=COMPRESSION_MAX).contains(&compression) {
        return Err(fields.bad("compression", &format!("must be 1 to {COMPRESSION_MAX}")));
    }
    SketchAggregator::parse(fields, Digest { compression })
}

impl SketchSpec for Digest {
    type Kind = Digest;
    fn type_name(&self) -> &str {
        "tDigestSketch"
    }
    fn kind(&self) -> Digest {
        self.clone()
    }
    fn write_json(&self, json: &mut Map<String, Json>) {
        json.insert("compression".into(), json!(self.compression));
    }
    fn final_type(&self) -> Option<ColumnType> {
        None
    }
    fn finalize(&self, bytes: &[u8]) -> Result<Value> {
        Ok(Value::Complex("tDigestSketch".into(), bytes.to_vec().into()))
    }
    fn finalize_nothing(&self) -> Value {
        Value::Null
    }
}

impl SketchKind for Digest {
    type State = TDigest;
    type Item = f64;
    const IDEMPOTENT: bool = false;
    fn column_type(&self) -> &'static str {
        "tDigestSketch"
    }
    fn empty(&self) -> Result<TDigest> {
        Ok(TDigest::new(self.compression as f64))
    }
    fn text(&self, value: &str) -> Option<f64> {
        parse_number(value)
    }
    fn long(&self, value: i64) -> Option<f64> {
        Some(value as f64)
    }
    fn double(&self, value: f64) -> Option<f64> {
        Some(value)
    }
    fn update(&self, state: &mut TDigest, item: f64) {
        state.add(item);
    }
    fn merge(&self, state: &mut TDigest, bytes: &[u8]) -> Result<()> {
        state.merge(&TDigest::from_bytes(bytes)?);
        Ok(())
    }
    fn encode(&self, state: &TDigest) -> Vec<u8> {
        state.to_bytes()
    }
    fn memory_bytes(&self, state: &TDigest) -> usize {
        state.memory_bytes()
    }
}
