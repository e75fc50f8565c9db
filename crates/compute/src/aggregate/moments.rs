//! `momentSketch` and `momentSketchMerge` of Druid's momentsketch extension (`MomentSketchAggregatorFactory`); the sketch is the
//! final value.

use ovate_base::Result;
use serde_json::{Map, Value as Json, json};

use super::AggregatorSpec;
use super::json::Fields;
use super::number::parse as parse_number;
use super::sketched::{SketchAggregator, SketchKind, SketchSpec};
use crate::sketch::moments::{Moments, SUMS_MAX};
use crate::types::ColumnType;
use crate::value::Value;

#[derive(Debug, Clone)]
struct Moment {
    merge: bool,
    k: usize,
    compress: bool,
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    let k = fields.long("k", 13)?;
    if !(1..=SUMS_MAX as i64).contains(&k) {
        return Err(fields.bad("k", &format!("must be 1 to {SUMS_MAX}")));
    }
    let merge = fields.kind()? == "momentSketchMerge";
    let spec = Moment { merge, k: k as usize, compress: fields.bool("compress", true)? };
    // The merging one reads the column of its own name unless told otherwise.
    if merge && fields.get("fieldName").is_none() {
        let name = fields.string("name")?.to_owned();
        return Ok(AggregatorSpec::new(SketchAggregator { field_name: name.clone(), name, spec }));
    }
    SketchAggregator::parse(fields, spec)
}

impl SketchSpec for Moment {
    type Kind = Moment;
    fn type_name(&self) -> &str {
        if self.merge { "momentSketchMerge" } else { "momentSketch" }
    }
    fn kind(&self) -> Moment {
        self.clone()
    }
    fn write_json(&self, json: &mut Map<String, Json>) {
        json.insert("k".into(), json!(self.k));
        json.insert("compress".into(), json!(self.compress));
    }
    fn combining(&self) -> Self {
        Moment { merge: true, ..self.clone() }
    }
    fn final_type(&self) -> Option<ColumnType> {
        None
    }
    fn finalize(&self, _: &[u8]) -> Result<Value> {
        Ok(Value::Null)
    }
    fn finalize_nothing(&self) -> Value {
        Value::Null
    }
}

impl SketchKind for Moment {
    type State = Moments;
    type Item = f64;
    const IDEMPOTENT: bool = false;
    fn column_type(&self) -> &'static str {
        "momentSketch"
    }
    fn empty(&self) -> Result<Moments> {
        Ok(Moments::new(self.k, self.compress))
    }
    fn text(&self, value: &str) -> Option<f64> {
        parse_number(value)
    }
    fn text_is_sketch(&self) -> bool {
        self.merge
    }
    fn long(&self, value: i64) -> Option<f64> {
        Some(value as f64)
    }
    fn double(&self, value: f64) -> Option<f64> {
        Some(value)
    }
    fn update(&self, state: &mut Moments, item: f64) {
        state.add(item);
    }
    fn merge(&self, state: &mut Moments, bytes: &[u8]) -> Result<()> {
        state.merge(&Moments::from_bytes(bytes)?)
    }
    fn encode(&self, state: &Moments) -> Vec<u8> {
        state.to_bytes()
    }
    fn memory_bytes(&self, state: &Moments) -> usize {
        state.memory_bytes()
    }
}
