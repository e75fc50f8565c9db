//! `quantile`, `quantiles`, `min`, `max`, `equalBuckets`, `buckets` and `customBuckets` over the histogram that
//! `fieldName` names (Druid's histogram extension).

use std::fmt;

use ovate_base::{DruidError, Result};
use serde_json::{Value as Json, json};

use super::{PostAggregatorFactory, PostAggregatorSpec, PostInputs};
use crate::aggregate::AggregatorSpec;
use crate::aggregate::histogram::buckets_json;
use crate::aggregate::json::Fields;
use crate::aggregate::sketched::sketch_bytes;
use crate::sketch::approximate_histogram::ApproximateHistogram;
use crate::sketch::fixed_buckets::FixedBuckets;
use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

struct HistogramPost {
    json: Json,
    name: Option<String>,
    field_name: String,
    result: ColumnType,
    question: Question,
}

impl fmt::Debug for HistogramPost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.json)
    }
}

enum Question {
    Quantile(f32),
    Quantiles(Vec<f32>),
    Min,
    Max,
    EqualBuckets(usize),
    Buckets { size: f32, offset: f32 },
    CustomBuckets(Vec<f32>),
}

/// Either kind of histogram, as far as both answer.
enum Histogram {
    Approximate(ApproximateHistogram),
    Fixed(FixedBuckets),
}

/// More buckets than this are refused, as they would not fit into an answer.
const BUCKETS_MAX: f32 = 1_000_000.0;

pub(super) fn parse(fields: &Fields<'_>) -> Result<PostAggregatorSpec> {
    let probability = |value: f64| {
        let inside = (0.0..=1.0).contains(&value);
        inside.then_some(value as f32).ok_or_else(|| fields.bad("probability", "must be between 0 and 1"))
    };
    let floats = |name: &str| fields.doubles(name).map(|list| list.into_iter().map(|value| value as f32).collect::<Vec<f32>>());
    let question = match fields.kind()? {
        "quantile" => Question::Quantile(probability(fields.double("probability")?)?),
        "quantiles" => Question::Quantiles(fields.doubles("probabilities")?.into_iter().map(probability).collect::<Result<_>>()?),
        "min" => Question::Min,
        "max" => Question::Max,
        "equalBuckets" => match fields.long("numBuckets", 7)? {
            buckets @ 2..=1_000_000 => Question::EqualBuckets(buckets as usize),
            _ => return Err(fields.bad("numBuckets", "must be greater than 1")),
        },
        "buckets" => {
            let size = fields.double("bucketSize")? as f32;
            if size <= 0.0 || size.is_nan() {
                return Err(fields.bad("bucketSize", "must be greater than 0"));
            }
            let offset = if fields.get("offset").is_some() { fields.double("offset")? as f32 } else { 0.0 };
            Question::Buckets { size, offset }
        }
        _ => Question::CustomBuckets(floats("breaks")?),
    };
    let result = match question {
        Question::Quantile(_) | Question::Min | Question::Max => ColumnType::Float,
        _ => ColumnType::complex("json"),
    };
    let name = fields.string_or_none("name")?.map(str::to_owned);
    let field_name = fields.string("fieldName")?.to_owned();
    Ok(PostAggregatorSpec::new(HistogramPost { json: json!(fields.map()), name, field_name, result, question }))
}

impl HistogramPost {
    fn answer(&self, histogram: &Histogram) -> Result<Value> {
        let quantile = |probability: f32| match histogram {
            Histogram::Approximate(histogram) => histogram.quantile(probability),
            Histogram::Fixed(histogram) => histogram.percentile(f64::from(probability) * 100.0),
        };
        match (&self.question, histogram) {
            (Question::Quantile(probability), _) => Ok(Value::Float(quantile(*probability))),
            (Question::Quantiles(probabilities), _) => {
                let quantiles: Vec<f32> = probabilities.iter().map(|probability| quantile(*probability)).collect();
                Ok(Value::Json(json!({"probabilities": probabilities, "quantiles": quantiles}).into()))
            }
            (Question::Min, Histogram::Approximate(histogram)) => Ok(Value::Float(histogram.min())),
            (Question::Max, Histogram::Approximate(histogram)) => Ok(Value::Float(histogram.max())),
            (Question::Min, Histogram::Fixed(histogram)) => Ok(Value::Float(histogram.min() as f32)),
            (Question::Max, Histogram::Fixed(histogram)) => Ok(Value::Float(histogram.max() as f32)),
            (Question::EqualBuckets(buckets), Histogram::Approximate(histogram)) => {
                Ok(buckets_json(&histogram.to_equal_buckets(*buckets)))
            }
            (Question::CustomBuckets(breaks), Histogram::Approximate(histogram)) => {
                Ok(buckets_json(&histogram.to_buckets(breaks.clone())))
            }
            (Question::Buckets { size, offset }, Histogram::Approximate(histogram)) => {
                let start = ((histogram.min() - offset) / size).floor();
                let end = ((histogram.max() - offset) / size).ceil();
                if end - start > BUCKETS_MAX || (end - start).is_nan() {
                    return Err(DruidError::invalid_input("bucketSize makes too many buckets"));
                }
                let breaks = (0..=(end - start).max(1.0) as usize).map(|bucket| offset + (start + bucket as f32) * size);
                Ok(buckets_json(&histogram.to_buckets(breaks.collect())))
            }
            (_, Histogram::Fixed(_)) => {
                Err(DruidError::invalid_input("bucket post-aggregators work on approxHistogram, not on fixedBucketsHistogram"))
            }
        }
    }
}

impl PostAggregatorFactory for HistogramPost {
    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
    fn to_json(&self) -> Json {
        self.json.clone()
    }
    fn required_columns(&self) -> Vec<String> {
        vec![self.field_name.clone()]
    }
    fn result_type(&self, _: &dyn Fn(&str) -> Option<ColumnType>, _: &[AggregatorSpec]) -> Option<ColumnType> {
        Some(self.result.clone())
    }
    fn compute(&self, inputs: &PostInputs<'_>) -> Result<Vector> {
        let column = inputs.raw(&self.field_name);
        let fixed = inputs.aggregator(&self.field_name).map(AggregatorSpec::intermediate_type).or(column.column_type());
        let fixed = fixed == Some(ColumnType::complex("fixedBucketsHistogram"));
        let mut values = Vec::with_capacity(inputs.len);
        for row in 0..inputs.len {
            let value = column.value(row);
            let bytes = sketch_bytes(&value)?.unwrap_or_default();
            let histogram = match (bytes.is_empty(), fixed) {
                (true, _) => Histogram::Approximate(ApproximateHistogram::new(1)),
                (_, true) => Histogram::Fixed(FixedBuckets::from_bytes(&bytes)?),
                (_, false) => Histogram::Approximate(ApproximateHistogram::from_bytes(&bytes)?),
            };
            values.push(self.answer(&histogram)?);
        }
        Ok(Vector::from_values(&self.result, values))
    }
}
