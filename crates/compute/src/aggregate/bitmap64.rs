//! `Bitmap64ExactCountBuild` and `Bitmap64ExactCountMerge` of Druid's exact-count extension: distinct longs, counted exactly.

use ovate_base::Result;
use serde_json::{Map, Value as Json};

use super::AggregatorSpec;
use super::json::Fields;
use super::number::parse as parse_number;
use super::sketched::{SketchAggregator, SketchKind, SketchSpec};
use crate::sketch::bitmap64::Bitmap64;
use crate::types::ColumnType;
use crate::value::Value;

#[derive(Debug, Clone)]
struct ExactCount {
    merge: bool,
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    SketchAggregator::parse(fields, ExactCount { merge: fields.kind()? == "Bitmap64ExactCountMerge" })
}

/// How many numbers the stored set has.
pub(crate) fn count(bytes: Option<&[u8]>) -> Result<Value> {
    Ok(Value::Long(bytes.map_or(Ok(0), |bytes| Bitmap64::from_bytes(bytes).map(|set| set.cardinality()))? as i64))
}

impl SketchSpec for ExactCount {
    type Kind = ExactCountKind;
    fn type_name(&self) -> &str {
        if self.merge { "Bitmap64ExactCountMerge" } else { "Bitmap64ExactCountBuild" }
    }
    fn kind(&self) -> ExactCountKind {
        ExactCountKind
    }
    fn write_json(&self, _: &mut Map<String, Json>) {}
    fn combining(&self) -> Self {
        ExactCount { merge: true }
    }
    fn final_type(&self) -> Option<ColumnType> {
        Some(ColumnType::Long)
    }
    fn finalize(&self, bytes: &[u8]) -> Result<Value> {
        count(Some(bytes))
    }
    fn finalize_nothing(&self) -> Value {
        Value::Long(0)
    }
}

#[derive(Clone)]
struct ExactCountKind;

impl SketchKind for ExactCountKind {
    type State = Bitmap64;
    type Item = i64;
    const IDEMPOTENT: bool = true;
    fn column_type(&self) -> &'static str {
        "Bitmap64ExactCount"
    }
    fn empty(&self) -> Result<Bitmap64> {
        Ok(Bitmap64::default())
    }
    fn text(&self, value: &str) -> Option<i64> {
        parse_number(value)
    }
    fn long(&self, value: i64) -> Option<i64> {
        Some(value)
    }
    fn double(&self, value: f64) -> Option<i64> {
        Some(value as i64)
    }
    fn update(&self, state: &mut Bitmap64, item: i64) {
        state.add(item);
    }
    fn merge(&self, state: &mut Bitmap64, bytes: &[u8]) -> Result<()> {
        state.merge(Bitmap64::from_bytes(bytes)?);
        Ok(())
    }
    fn encode(&self, state: &Bitmap64) -> Vec<u8> {
        state.to_bytes()
    }
    fn memory_bytes(&self, state: &Bitmap64) -> usize {
        state.memory_bytes()
    }
}
