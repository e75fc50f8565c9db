//! `zscore2sample` and `pvalue2tailedZtest` of Druid's test-stats extension (`ZtestPostAggregator`,
//! `PvaluefromZscorePostAggregator`): whether two samples differ in their rate of success.

use ovate_base::Result;
use serde_json::{Map, Value as Json, json};

use super::{PostAggregatorFactory, PostAggregatorSpec, PostInputs};
use crate::aggregate::AggregatorSpec;
use crate::aggregate::json::Fields;
use crate::aggregate::number::for_each_number;
use crate::types::ColumnType;
use crate::vector::Vector;

const SCORE_FIELDS: [&str; 4] = ["successCount1", "sample1Size", "successCount2", "sample2Size"];
const P_VALUE_FIELDS: [&str; 1] = ["zScore"];

#[derive(Debug)]
struct ZTest {
    kind: &'static str,
    names: &'static [&'static str],
    name: Option<String>,
    fields: Vec<PostAggregatorSpec>,
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<PostAggregatorSpec> {
    let (kind, names): (&'static str, &'static [&'static str]) = match fields.kind()? {
        "zscore2sample" => ("zscore2sample", &SCORE_FIELDS),
        _ => ("pvalue2tailedZtest", &P_VALUE_FIELDS),
    };
    let operands = names.iter().map(|name| PostAggregatorSpec::from_json(fields.require(name)?)).collect::<Result<_>>()?;
    let name = fields.string_or_none("name")?.map(str::to_owned);
    Ok(PostAggregatorSpec::new(ZTest { kind, names, name, fields: operands }))
}

/// The z-score of two rates (`ZtestPostAggregator.zScoreTwoSamples`).
fn z_score([success1, size1, success2, size2]: [f64; 4]) -> f64 {
    let (rate1, rate2) = (success1 / size1, success2 / size2);
    (rate1 - rate2) / (rate1 * (1.0 - rate1) / size1 + rate2 * (1.0 - rate2) / size2).sqrt()
}

/// The chance of a score at least this far from 0.
fn p_value(z_score: f64) -> f64 {
    erfc(z_score.abs() / std::f64::consts::SQRT_2)
}

/// The complementary error function, for arguments that are not negative: a series near 0, a continued fraction beyond.
fn erfc(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    let scale = (-x * x).exp();
    if x < 2.5 {
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while term > sum * 1e-17 {
            n += 1.0;
            term *= 2.0 * x * x / (2.0 * n + 1.0);
            sum += term;
        }
        return 1.0 - scale * sum * std::f64::consts::FRAC_2_SQRT_PI;
    }
    let fraction = (1..=60).rev().fold(0.0, |fraction, n| f64::from(n) / 2.0 / (x + fraction));
    scale / (x + fraction) * std::f64::consts::FRAC_2_SQRT_PI / 2.0
}

impl PostAggregatorFactory for ZTest {
    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
    fn to_json(&self) -> Json {
        let mut json = Map::new();
        json.insert("type".into(), json!(self.kind));
        json.insert("name".into(), json!(self.name));
        self.names.iter().zip(&self.fields).for_each(|(name, field)| {
            json.insert((*name).into(), field.to_json());
        });
        Json::Object(json)
    }
    fn required_columns(&self) -> Vec<String> {
        super::spec::columns_of(&self.fields)
    }
    fn result_type(&self, _: &dyn Fn(&str) -> Option<ColumnType>, _: &[AggregatorSpec]) -> Option<ColumnType> {
        Some(ColumnType::Double)
    }
    fn compute(&self, inputs: &PostInputs<'_>) -> Result<Vector> {
        let mut operands = vec![[0.0; 4]; inputs.len];
        let mut counts = vec![0; inputs.len];
        for (index, field) in self.fields.iter().enumerate() {
            for_each_number(&field.evaluate(inputs)?, |row, value: f64| {
                operands[row][index] = value;
                counts[row] += 1;
            })?;
        }
        let is_score = self.fields.len() == SCORE_FIELDS.len();
        let values = operands.iter().map(|row| if is_score { z_score(*row) } else { p_value(row[0]) }).collect();
        Ok(super::spec::doubles(values, counts.iter().map(|count| *count < self.fields.len()).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_and_chances() {
        assert!((z_score([500.0, 1000.0, 450.0, 1000.0]) - 2.24).abs() < 0.01);
        for (z, chance) in
            [(0.0, 1.0), (1.0, 0.317_310_507_862_914_2), (1.96, 0.049_995_790_296_440_87), (5.0, 5.733_031_437_583_87e-7)]
        {
            assert!((p_value(z) / chance - 1.0).abs() < 1e-9, "{z}: {}", p_value(z));
        }
    }
}
