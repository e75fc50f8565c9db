//! `hyperUnique` (`HyperUniquesAggregatorFactory`): distinct values by Druid's own HyperLogLog, over a stored
//! `COMPLEX<hyperUnique>` column or over raw values at ingestion (the UTF-8 bytes of their text are hashed).

use ovate_base::Result;
use serde_json::{Map, Value as Json, json};

use super::AggregatorSpec;
use super::json::Fields;
use super::sketched::{DerivedKind, SketchAggregator, SketchKind, SketchSpec};
use crate::sketch::distinct::DistinctState;
use crate::sketch::hyperloglog::{HyperLogLog, Observation};
use crate::types::ColumnType;
use crate::value::{self, Value};

#[derive(Debug, Clone)]
struct HyperUnique {
    is_input_hyper_unique: bool,
    round: bool,
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    let is_input_hyper_unique = fields.bool("isInputHyperUnique", false)?;
    SketchAggregator::parse(fields, HyperUnique { is_input_hyper_unique, round: fields.bool("round", false)? })
}

/// A `hyperUnique` that merges a column of collectors.
pub(super) fn combining(name: &str, round: bool) -> AggregatorSpec {
    let spec = HyperUnique { is_input_hyper_unique: true, round };
    AggregatorSpec::new(SketchAggregator { name: name.to_owned(), field_name: name.to_owned(), spec })
}

/// The estimate as the final value (`HyperLogLogCollector.estimateCardinalityRound`).
pub(crate) fn estimate(bytes: &[u8], round: bool) -> Result<Value> {
    let estimate = HyperLogLog::from_bytes(bytes)?.estimate();
    Ok(if round { Value::Long((estimate + 0.5).floor() as i64) } else { Value::Double(estimate) })
}

/// Type of the estimate.
pub(crate) fn estimate_type(round: bool) -> ColumnType {
    if round { ColumnType::Long } else { ColumnType::Double }
}

impl SketchSpec for HyperUnique {
    type Kind = HyperUniqueKind;
    fn type_name(&self) -> &str {
        "hyperUnique"
    }
    fn kind(&self) -> HyperUniqueKind {
        HyperUniqueKind { base64: self.is_input_hyper_unique }
    }
    fn write_json(&self, json: &mut Map<String, Json>) {
        json.insert("isInputHyperUnique".into(), json!(self.is_input_hyper_unique));
        json.insert("round".into(), json!(self.round));
    }
    fn final_type(&self) -> Option<ColumnType> {
        Some(estimate_type(self.round))
    }
    fn finalize(&self, bytes: &[u8]) -> Result<Value> {
        estimate(bytes, self.round)
    }
    fn finalize_nothing(&self) -> Value {
        if self.round { Value::Long(0) } else { Value::Double(0.0) }
    }
}

/// Hashes text by its UTF-8 bytes.
#[derive(Clone)]
struct HyperUniqueKind {
    base64: bool,
}

impl SketchKind for HyperUniqueKind {
    type State = DistinctState;
    type Item = Observation;
    const IDEMPOTENT: bool = true;
    fn derived_kind(&self) -> Option<DerivedKind> {
        Some(DerivedKind::HyperUnique)
    }
    fn column_type(&self) -> &'static str {
        "hyperUnique"
    }
    fn empty(&self) -> Result<DistinctState> {
        Ok(DistinctState::default())
    }
    fn text(&self, value: &str) -> Option<Observation> {
        Some(Observation::of_bytes(value.as_bytes()))
    }
    fn long(&self, value: i64) -> Option<Observation> {
        self.text(&value.to_string())
    }
    fn float(&self, value: f32) -> Option<Observation> {
        self.text(&value::float_to_text(value))
    }
    fn double(&self, value: f64) -> Option<Observation> {
        self.text(&value::double_to_text(value))
    }
    fn update(&self, state: &mut DistinctState, item: Observation) {
        state.add(item);
    }
    fn merge(&self, state: &mut DistinctState, bytes: &[u8]) -> Result<()> {
        state.merge(bytes)
    }
    fn encode(&self, state: &DistinctState) -> Vec<u8> {
        state.to_bytes()
    }
    fn memory_bytes(&self, state: &DistinctState) -> usize {
        state.memory_bytes()
    }
    fn text_is_sketch(&self) -> bool {
        self.base64
    }
}
