//! `HLLSketchBuild` and `HLLSketchMerge` (`HllSketchBuildAggregatorFactory`): distinct counts by DataSketches HLL. Text is
//! hashed as UTF-16 unless `stringEncoding` is `utf8`. Both take raw values and stored sketches alike.

use datasketches::hll::HllType;
use ovate_base::Result;
use serde_json::{Map, Value as Json, json};

use super::AggregatorSpec;
use super::json::Fields;
use super::sketched::{DerivedKind, SketchAggregator, SketchKind, SketchSpec};
use crate::sketch::hll::{self, HllCoupon, HllState};
use crate::sketch::{canonical_double, utf16_bytes};
use crate::types::ColumnType;
use crate::value::Value;

#[derive(Debug, Clone)]
struct HllAggregator {
    merge: bool,
    lg_k: u8,
    hll_type: HllType,
    utf8: bool,
    should_finalize: bool,
    round: bool,
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    let lg_k = match fields.long("lgK", 12)? {
        lg_k @ 4..=21 => lg_k as u8,
        _ => return Err(fields.bad("lgK", "must be between 4 and 21")),
    };
    let hll_type = fields.string_or_none("tgtHllType")?.unwrap_or("HLL_4");
    let hll_type = hll::parse_type(hll_type).ok_or_else(|| fields.bad("tgtHllType", "must be HLL_4, HLL_6 or HLL_8"))?;
    let encoding = fields.string_or_none("stringEncoding")?.unwrap_or("utf16le");
    let spec = HllAggregator {
        merge: fields.kind()? == "HLLSketchMerge",
        lg_k,
        hll_type,
        utf8: encoding.eq_ignore_ascii_case("utf8"),
        should_finalize: fields.bool("shouldFinalize", true)?,
        round: fields.bool("round", false)?,
    };
    SketchAggregator::parse(fields, spec)
}

impl SketchSpec for HllAggregator {
    type Kind = HllKind;
    fn type_name(&self) -> &str {
        if self.merge { "HLLSketchMerge" } else { "HLLSketchBuild" }
    }
    fn kind(&self) -> HllKind {
        HllKind { lg_k: self.lg_k, hll_type: self.hll_type, utf8: self.utf8, merge: self.merge }
    }
    fn write_json(&self, json: &mut Map<String, Json>) {
        json.insert("lgK".into(), json!(self.lg_k));
        json.insert("tgtHllType".into(), json!(hll::type_name(self.hll_type)));
        json.insert("stringEncoding".into(), json!(if self.utf8 { "utf8" } else { "utf16le" }));
        json.insert("shouldFinalize".into(), json!(self.should_finalize));
        json.insert("round".into(), json!(self.round));
    }
    fn combining(&self) -> Self {
        HllAggregator { merge: true, ..self.clone() }
    }
    fn final_type(&self) -> Option<ColumnType> {
        self.should_finalize.then_some(if self.round { ColumnType::Long } else { ColumnType::Double })
    }
    fn finalize(&self, bytes: &[u8]) -> Result<Value> {
        let estimate = hll::estimate(bytes)?;
        Ok(if self.round { Value::Long((estimate + 0.5).floor() as i64) } else { Value::Double(estimate) })
    }
    fn finalize_nothing(&self) -> Value {
        if self.round { Value::Long(0) } else { Value::Double(0.0) }
    }
}

#[derive(Clone)]
struct HllKind {
    lg_k: u8,
    hll_type: HllType,
    utf8: bool,
    merge: bool,
}

impl SketchKind for HllKind {
    type State = HllState;
    type Item = HllCoupon;
    const IDEMPOTENT: bool = true;
    fn derived_kind(&self) -> Option<DerivedKind> {
        Some(if self.utf8 { DerivedKind::HllUtf8 } else { DerivedKind::HllUtf16 })
    }
    fn column_type(&self) -> &'static str {
        "HLLSketch"
    }
    fn empty(&self) -> Result<HllState> {
        HllState::new(self.lg_k, self.hll_type)
    }
    fn text(&self, value: &str) -> Option<HllCoupon> {
        if self.utf8 { hll::coupon(value.as_bytes()) } else { hll::coupon(&utf16_bytes(value)) }
    }
    fn long(&self, value: i64) -> Option<HllCoupon> {
        Some(hll::coupon_of(value as u64))
    }
    fn double(&self, value: f64) -> Option<HllCoupon> {
        Some(hll::coupon_of(canonical_double(value)))
    }
    fn update(&self, state: &mut HllState, item: HllCoupon) {
        state.add(item);
    }
    fn merge(&self, state: &mut HllState, bytes: &[u8]) -> Result<()> {
        state.merge(bytes)
    }
    fn encode(&self, state: &HllState) -> Vec<u8> {
        state.to_bytes()
    }
    fn memory_bytes(&self, state: &HllState) -> usize {
        state.memory_bytes()
    }
    fn text_is_sketch(&self) -> bool {
        self.merge
    }
}
