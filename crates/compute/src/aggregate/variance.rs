//! `variance` and `varianceFold` (`VarianceAggregatorFactory`): count, sum and sum of squared deviations, kept and merged
//! by the formulas of `VarianceAggregatorCollector`. Stored as `i64be` count, `f64be` sum, `f64be` deviations.

use ovate_base::{DruidError, Result};
use serde_json::{Map, Value as Json, json};

use super::AggregatorSpec;
use super::json::Fields;
use super::number::parse as parse_number;
use super::sketched::{SketchAggregator, SketchKind, SketchSpec};
use crate::types::ColumnType;
use crate::value::Value;

/// What is known of the values so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Moments {
    count: i64,
    sum: f64,
    deviations: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count = self.count.wrapping_add(1);
        self.sum += value;
        if self.count > 1 {
            let count = self.count as f64;
            let distance = count * value - self.sum;
            self.deviations += distance * distance / (count * (count - 1.0));
        }
    }

    fn fold(&mut self, other: &Moments) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        let ratio = self.count as f64 / other.count as f64;
        let distance = self.sum / ratio - other.sum;
        self.deviations += other.deviations + ratio / self.count.wrapping_add(other.count) as f64 * distance * distance;
        self.count = self.count.wrapping_add(other.count);
        self.sum += other.sum;
    }

    /// The variance, `None` of no values (`getVariance`).
    pub(crate) fn variance(&self, population: bool) -> Option<f64> {
        match self.count {
            0 => None,
            1 => Some(0.0),
            count => Some(self.deviations / (count as f64 - if population { 0.0 } else { 1.0 })),
        }
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let damaged = |_| DruidError::runtime(format!("damaged variance value of {} bytes", bytes.len()));
        let bytes: [u8; 24] = bytes.try_into().map_err(damaged)?;
        let word = |index: usize| -> [u8; 8] { bytes[index * 8..index * 8 + 8].try_into().expect("24 bytes") };
        let (count, sum, deviations) = (word(0), word(1), word(2));
        Ok(Moments { count: i64::from_be_bytes(count), sum: f64::from_be_bytes(sum), deviations: f64::from_be_bytes(deviations) })
    }
}

/// True for the population estimator, false for the sample one (`VarianceAggregatorCollector.isVariancePop`).
pub(crate) fn is_population(estimator: Option<&str>) -> bool {
    estimator.is_some_and(|estimator| estimator.eq_ignore_ascii_case("population"))
}

#[derive(Debug, Clone)]
struct Variance {
    fold: bool,
    estimator: Option<String>,
    input_type: Option<String>,
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    let estimator = fields.string_or_none("estimator")?.map(str::to_owned);
    let input_type = fields.string_or_none("inputType")?.map(str::to_owned);
    SketchAggregator::parse(fields, Variance { fold: fields.kind()? == "varianceFold", estimator, input_type })
}

impl SketchSpec for Variance {
    type Kind = VarianceKind;
    fn type_name(&self) -> &str {
        if self.fold { "varianceFold" } else { "variance" }
    }
    fn kind(&self) -> VarianceKind {
        // Without an input type Druid reads floats.
        match self.input_type.as_deref() {
            Some("double") => VarianceKind::Double,
            Some("long") => VarianceKind::Long,
            _ => VarianceKind::Float,
        }
    }
    fn write_json(&self, json: &mut Map<String, Json>) {
        if let Some(estimator) = &self.estimator {
            json.insert("estimator".into(), json!(estimator));
        }
        if let Some(input_type) = &self.input_type {
            json.insert("inputType".into(), json!(input_type));
        }
    }
    fn combining(&self) -> Self {
        Variance { fold: true, estimator: self.estimator.clone(), input_type: None }
    }
    fn final_type(&self) -> Option<ColumnType> {
        Some(ColumnType::Double)
    }
    fn finalize(&self, bytes: &[u8]) -> Result<Value> {
        let variance = Moments::from_bytes(bytes)?.variance(is_population(self.estimator.as_deref()));
        Ok(variance.map_or(Value::Null, Value::Double))
    }
    fn finalize_nothing(&self) -> Value {
        Value::Null
    }
}

/// How values are read.
#[derive(Clone, Copy)]
enum VarianceKind {
    Float,
    Double,
    Long,
}

impl SketchKind for VarianceKind {
    type State = Moments;
    type Item = f64;
    const IDEMPOTENT: bool = false;
    fn column_type(&self) -> &'static str {
        "variance"
    }
    fn empty(&self) -> Result<Moments> {
        Ok(Moments::default())
    }
    fn text(&self, value: &str) -> Option<f64> {
        parse_number(value).and_then(|value: f64| self.double(value))
    }
    fn long(&self, value: i64) -> Option<f64> {
        match self {
            VarianceKind::Float => Some(f64::from(value as f32)),
            VarianceKind::Double | VarianceKind::Long => Some(value as f64),
        }
    }
    fn double(&self, value: f64) -> Option<f64> {
        match self {
            VarianceKind::Float => Some(f64::from(value as f32)),
            VarianceKind::Double => Some(value),
            VarianceKind::Long => Some(value as i64 as f64),
        }
    }
    fn update(&self, state: &mut Moments, item: f64) {
        state.add(item);
    }
    fn merge(&self, state: &mut Moments, bytes: &[u8]) -> Result<()> {
        state.fold(&Moments::from_bytes(bytes)?);
        Ok(())
    }
    fn encode(&self, state: &Moments) -> Vec<u8> {
        [state.count.to_be_bytes(), state.sum.to_be_bytes(), state.deviations.to_be_bytes()].concat()
    }
    fn memory_bytes(&self, _: &Moments) -> usize {
        24
    }
}
