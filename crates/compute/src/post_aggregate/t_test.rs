//! `arrayOfDoublesSketchTTest` (`ArrayOfDoublesSketchTTestPostAggregator`): for each double of two tuple sketches the p-value of
//! Student's t-test that their means are equal, for samples whose variances may differ (Welch; two-sided).

use ovate_base::{DruidError, Result};

use super::PostAggregatorSpec;
use super::sketched::over_fields;
use crate::aggregate::json::Fields;
use crate::sketch::tuple::TupleSketch;
use crate::types::ColumnType;
use crate::value::Value;

pub(super) fn parse(fields: &Fields<'_>) -> Result<PostAggregatorSpec> {
    if fields.list("fields")?.len() != 2 {
        return Err(fields.bad("fields", "must hold two fields"));
    }
    over_fields(
        fields,
        ColumnType::array(ColumnType::Double),
        Box::new(|sketches| {
            let read = |bytes: Option<&[u8]>| TupleSketch::from_bytes(bytes.unwrap_or_default(), 16384, 1);
            let (first, second) = (read(sketches[0])?, read(sketches[1])?);
            if first.value_count() != second.value_count() {
                return Err(DruidError::invalid_input(format!(
                    "Sketches have different number of values: {} and {}",
                    first.value_count(),
                    second.value_count()
                )));
            }
            let one = |column| p_value(&sample(&first, column)?, &sample(&second, column)?).map(Value::Double);
            Ok(Value::Array((0..first.value_count()).map(one).collect::<Result<Vec<_>>>()?.into()))
        }),
    )
}

struct Sample {
    count: f64,
    mean: f64,
    variance: f64,
}

fn sample(sketch: &TupleSketch, column: usize) -> Result<Sample> {
    let count = sketch.retained() as f64;
    if count < 2.0 {
        return Err(DruidError::invalid_input("a t-test needs sketches of two or more entries"));
    }
    let mean = sketch.column(column).sum::<f64>() / count;
    let squares: f64 = sketch.column(column).map(|value| (value - mean).powi(2)).sum();
    Ok(Sample { count, mean, variance: squares / (count - 1.0) })
}

fn p_value(a: &Sample, b: &Sample) -> Result<f64> {
    let (a_share, b_share) = (a.variance / a.count, b.variance / b.count);
    let t = (a.mean - b.mean) / (a_share + b_share).sqrt();
    let freedom = (a_share + b_share).powi(2) / (a_share * a_share / (a.count - 1.0) + b_share * b_share / (b.count - 1.0));
    Ok(two_sided(t, freedom))
}

/// The chance of a value at least as far from 0 under Student's distribution.
fn two_sided(t: f64, freedom: f64) -> f64 {
    if t.is_nan() || freedom.is_nan() {
        return f64::NAN;
    }
    incomplete_beta(freedom / (freedom + t * t), freedom / 2.0, 0.5)
}

/// The regularised incomplete beta function, by its continued fraction.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    // It converges fast on this side of the mean only.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let front = (a * x.ln() + b * (1.0 - x).ln() - ln_gamma(a) - ln_gamma(b) + ln_gamma(a + b)).exp() / a;
    const TINY: f64 = 1e-300;
    let bounded = |value: f64| if value.abs() < TINY { TINY } else { value };
    let (mut c, mut d) = (1.0, 1.0 / bounded(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for step in 1..500 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for term in [even, odd] {
            d = 1.0 / bounded(1.0 + term * d);
            c = bounded(1.0 + term / c);
            change = c * d;
            fraction *= change;
        }
        if (change - 1.0).abs() < 1e-16 {
            break;
        }
    }
    front * fraction
}

/// The logarithm of the gamma function of a positive number: Stirling's series, from 15 on.
fn ln_gamma(mut x: f64) -> f64 {
    let mut below = 0.0;
    while x < 15.0 {
        below += x.ln();
        x += 1.0;
    }
    let inverse = 1.0 / (x * x);
    let series =
        (1.0 / 12.0 - inverse * (1.0 / 360.0 - inverse * (1.0 / 1260.0 - inverse * (1.0 / 1680.0 - inverse / 1188.0)))) / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_values_are_those_of_the_tables() {
        // Student's distribution: one degree of freedom has a closed form, the others are from tables.
        let near = |found: f64, wanted: f64, within: f64| assert!((found - wanted).abs() < within, "{found} instead of {wanted}");
        for t in [0.1, 1.0, 3.0, 50.0] {
            near(two_sided(t, 1.0), 1.0 - 2.0 / std::f64::consts::PI * f64::atan(t), 1e-13);
            near(two_sided(t, 2.0), 1.0 - t / (2.0 + t * t).sqrt(), 1e-13);
        }
        near(two_sided(2.228, 10.0), 0.05, 1e-4);
        near(two_sided(2.042, 30.0), 0.05, 1e-4);
        near(two_sided(1.96, 1e7), 0.05, 1e-4);
        assert_eq!(two_sided(0.0, 5.0), 1.0);
        assert!(two_sided(f64::NAN, 5.0).is_nan());
        let equal = Sample { count: 5.0, mean: 3.0, variance: 2.5 };
        near(p_value(&equal, &Sample { mean: 4.0, ..equal }).expect("a number"), 0.346_593_507_087_334_1, 1e-12);
    }
}
