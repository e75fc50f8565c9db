//! Mathematical functions (EXP-05) with Java's `Math`: text reads as a number, null gives null.

use std::sync::Arc;

use ovate_base::{DruidError, Result};

use super::{Callable, Function, Output, nullable};
use crate::context::EvalContext;
use crate::expr::batch::Operand;
use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

/// A function of one double.
struct Unary(fn(f64) -> f64);

impl Callable for Unary {
    fn call(&self, args: &[Value], _context: &EvalContext) -> Result<Value> {
        Ok(nullable(args[0].as_double().map(self.0)))
    }
    fn batch(&self, args: &[Operand], _len: usize) -> Result<Option<Vector>> {
        let [Operand::Vector(vector)] = args else { return Ok(None) };
        Ok(match vector.as_ref() {
            Vector::Double { values, nulls } => {
                Some(Vector::Double { values: values.iter().map(|v| (self.0)(*v)).collect(), nulls: nulls.clone() })
            }
            Vector::Long { values, nulls } => {
                Some(Vector::Double { values: values.iter().map(|v| (self.0)(*v as f64)).collect(), nulls: nulls.clone() })
            }
            _ => None,
        })
    }
}

macro_rules! unary {
    ($name:literal, $function:expr) => {
        Function::prepared($name, (1, 1), Output::Double, |_| Ok(Arc::new(Unary($function))))
    };
}

macro_rules! binary {
    ($name:literal, $function:expr) => {
        Function::simple($name, (2, 2), Output::Double, |args| {
            let function: fn(f64, f64) -> f64 = $function;
            Ok(nullable(args[0].as_double().zip(args[1].as_double()).map(|(x, y)| function(x, y))))
        })
    };
}

macro_rules! bitwise {
    ($name:literal, $function:expr) => {
        Function::simple($name, (2, 2), Output::Long, |args| {
            let function: fn(i64, i64) -> i64 = $function;
            Ok(nullable(args[0].as_long().zip(args[1].as_long()).map(|(x, y)| function(x, y))))
        })
    };
}

pub(super) const FUNCTIONS: &[Function] = &[
    unary!("acos", f64::acos),
    unary!("asin", f64::asin),
    unary!("atan", f64::atan),
    unary!("cbrt", f64::cbrt),
    unary!("ceil", f64::ceil),
    unary!("cos", f64::cos),
    unary!("cosh", f64::cosh),
    unary!("cot", |x| x.cos() / x.sin()),
    unary!("exp", f64::exp),
    unary!("expm1", f64::exp_m1),
    unary!("floor", f64::floor),
    unary!("log", f64::ln),
    unary!("log10", f64::log10),
    unary!("log1p", f64::ln_1p),
    unary!("nextup", f64::next_up),
    unary!("rint", f64::round_ties_even),
    unary!("signum", |x| if x == 0.0 || x.is_nan() { x } else { x.signum() }),
    unary!("sin", f64::sin),
    unary!("sinh", f64::sinh),
    unary!("sqrt", f64::sqrt),
    unary!("tan", f64::tan),
    unary!("tanh", f64::tanh),
    unary!("todegrees", f64::to_degrees),
    unary!("toradians", f64::to_radians),
    unary!("ulp", ulp),
    binary!("atan2", f64::atan2),
    binary!("copysign", f64::copysign),
    binary!("hypot", f64::hypot),
    binary!("nextafter", next_after),
    binary!("pow", java_pow),
    binary!("remainder", ieee_remainder),
    Function::simple("scalb", (2, 2), Output::Double, |args| {
        let scaled = args[0].as_double().zip(args[1].as_long()).map(|(x, y)| x * 2f64.powi(y.clamp(-2200, 2200) as i32));
        Ok(nullable(scaled))
    }),
    Function::simple("getexponent", (1, 1), Output::Long, |args| Ok(nullable(args[0].as_double().map(exponent)))),
    Function::simple("pi", (0, 0), Output::Double, |_| Ok(Value::Double(std::f64::consts::PI))),
    Function::simple("abs", (1, 1), Output::Of(same_number), |args| {
        Ok(match &args[0] {
            Value::Long(value) => Value::Long(value.wrapping_abs()),
            other => nullable(other.as_double().map(f64::abs)),
        })
    }),
    Function::simple("max", (2, 2), Output::Of(both_numbers), |args| larger(args, true)),
    Function::simple("min", (2, 2), Output::Of(both_numbers), |args| larger(args, false)),
    Function::simple("div", (2, 2), Output::Long, |args| match (&args[0], &args[1]) {
        (Value::Long(_), Value::Long(0)) => Err(DruidError::invalid_input("/ by zero")),
        (Value::Long(x), Value::Long(y)) => Ok(Value::Long(x.wrapping_div(*y))),
        (x, y) => Ok(nullable(x.as_double().zip(y.as_double()).map(|(x, y)| (x / y) as i64))),
    }),
    Function::simple("safe_divide", (2, 2), Output::Of(both_numbers), |args| match (&args[0], &args[1]) {
        (Value::Long(_), Value::Long(0)) => Ok(Value::Null),
        (Value::Long(x), Value::Long(y)) => Ok(Value::Long(x.wrapping_div(*y))),
        // Zero by zero is zero for doubles and null for longs, as Druid has it.
        (x, y) => Ok(nullable(x.as_double().zip(y.as_double()).and_then(|(x, y)| match (x == 0.0, y == 0.0) {
            (true, true) => Some(0.0),
            (false, true) => None,
            _ => Some(x / y),
        }))),
    }),
    Function::simple("round", (1, 2), Output::Of(same_number), round),
    bitwise!("bitwiseand", |x, y| x & y),
    bitwise!("bitwiseor", |x, y| x | y),
    bitwise!("bitwisexor", |x, y| x ^ y),
    bitwise!("bitwiseshiftleft", |x, y| x.wrapping_shl(y as u32)),
    bitwise!("bitwiseshiftright", |x, y| x.wrapping_shr(y as u32)),
    Function::simple("bitwisecomplement", (1, 1), Output::Long, |args| Ok(nullable(args[0].as_long().map(|x| !x)))),
    Function::simple("bitwiseconvertdoubletolongbits", (1, 1), Output::Long, |args| {
        Ok(nullable(args[0].as_double().map(|x| if x.is_nan() { 0x7ff8_0000_0000_0000 } else { x.to_bits() as i64 })))
    }),
    Function::simple("bitwiseconvertlongbitstodouble", (1, 1), Output::Double, |args| {
        Ok(nullable(args[0].as_long().map(|x| f64::from_bits(x as u64))))
    }),
];

/// LONG stays LONG; anything else is DOUBLE.
fn same_number(types: &[Option<ColumnType>], _args: &[crate::expr::node::Node]) -> Option<ColumnType> {
    types.first().cloned().flatten().map(|t| if t == ColumnType::Long { t } else { ColumnType::Double })
}

fn both_numbers(types: &[Option<ColumnType>], _args: &[crate::expr::node::Node]) -> Option<ColumnType> {
    match (&types[0], &types[1]) {
        (None, None) => None,
        (Some(ColumnType::Long) | None, Some(ColumnType::Long) | None) => Some(ColumnType::Long),
        _ => Some(ColumnType::Double),
    }
}

fn larger(args: &[Value], want_max: bool) -> Result<Value> {
    if let (Value::Long(x), Value::Long(y)) = (&args[0], &args[1]) {
        return Ok(Value::Long(if want_max { *x.max(y) } else { *x.min(y) }));
    }
    let pick = |(x, y): (f64, f64)| {
        if x.is_nan() || y.is_nan() {
            f64::NAN
        } else if want_max {
            x.max(y)
        } else {
            x.min(y)
        }
    };
    Ok(nullable(args[0].as_double().zip(args[1].as_double()).map(pick)))
}

/// Half up, away from zero, on the decimal text of the number (`BigDecimal.valueOf(x).setScale`); a negative scale rounds
/// left of the point.
fn round(args: &[Value]) -> Result<Value> {
    let scale = match args.get(1) {
        None => 0,
        Some(Value::Long(scale)) => *scale,
        Some(other) => {
            return Err(DruidError::invalid_input(format!(
                "Function[round] needs a LONG as second argument but got {}",
                other.value_type().map_or("null".to_owned(), |t| t.to_string())
            )));
        }
    };
    Ok(match &args[0] {
        Value::Null => Value::Null,
        Value::Long(value) if scale >= 0 => Value::Long(*value),
        Value::Long(value) => Value::Long(round_long(*value, scale.unsigned_abs())),
        other => nullable(other.as_double().map(|value| round_double(value, scale))),
    })
}

fn round_long(value: i64, digits: u64) -> i64 {
    let Some(unit) = u32::try_from(digits).ok().and_then(|digits| 10i128.checked_pow(digits)) else { return 0 };
    let value = i128::from(value);
    ((value.abs() + unit / 2) / unit * unit * value.signum()) as i64
}

pub(in crate::expr) fn round_double(value: f64, scale: i64) -> f64 {
    if value.is_nan() {
        return 0.0;
    }
    if value.is_infinite() {
        return if value > 0.0 { f64::MAX } else { f64::MIN };
    }
    // Work on the shortest decimal digits: 1.005 rounds up although the binary number is below it.
    let text = format!("{:e}", value.abs());
    let (mantissa, exponent) = text.split_once('e').expect("`{:e}` always writes an exponent");
    let digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).map(|d| d - b'0').collect();
    let exponent: i64 = exponent.parse().expect("`{:e}` writes a decimal exponent");
    // Digits to keep: those left of 10^-scale.
    let keep = exponent.saturating_add(1).saturating_add(scale);
    if keep >= digits.len() as i64 {
        return value;
    }
    if keep < 0 {
        return 0.0f64.copysign(value);
    }
    let keep = keep as usize;
    let mut kept: Vec<u8> = std::iter::once(0).chain(digits[..keep].iter().copied()).collect();
    if digits[keep] >= 5 {
        let mut at = kept.len() - 1;
        kept[at] += 1;
        while kept[at] == 10 {
            kept[at] = 0;
            at -= 1;
            kept[at] += 1;
        }
    }
    let whole: String = kept.iter().map(|d| char::from(d + b'0')).collect();
    let rounded: f64 = format!("{whole}e{}", -scale).parse().unwrap_or(value);
    rounded.copysign(value)
}

/// `Math.pow`: unlike C, 1 to the power NaN is NaN, and 1 to an infinite power too.
pub(in crate::expr) fn java_pow(x: f64, y: f64) -> f64 {
    if y.is_nan() || (x.abs() == 1.0 && y.is_infinite()) { f64::NAN } else { x.powf(y) }
}

fn ulp(x: f64) -> f64 {
    if !x.is_finite() {
        return x.abs();
    }
    let x = x.abs();
    if x == f64::MAX { x - x.next_down() } else { x.next_up() - x }
}

fn next_after(x: f64, y: f64) -> f64 {
    match x.partial_cmp(&y) {
        None => f64::NAN,
        Some(std::cmp::Ordering::Less) => x.next_up(),
        Some(std::cmp::Ordering::Greater) => x.next_down(),
        Some(std::cmp::Ordering::Equal) => y,
    }
}

/// `Math.IEEEremainder`: the quotient is rounded to the nearest whole number, ties to even.
fn ieee_remainder(x: f64, y: f64) -> f64 {
    if x.is_nan() || y.is_nan() || x.is_infinite() || y == 0.0 {
        return f64::NAN;
    }
    if y.is_infinite() {
        return x;
    }
    let (size, y) = (x.abs(), y.abs());
    // Reduce below 2y first, exactly.
    let rest = if y <= f64::MAX / 2.0 { size % (2.0 * y) } else { size };
    let half = y / 2.0;
    let result = if rest >= y + half {
        rest - 2.0 * y
    } else if rest > half {
        rest - y
    } else {
        rest
    };
    if x.is_sign_negative() { -result } else { result }
}

fn exponent(x: f64) -> i64 {
    match (x.to_bits() >> 52 & 0x7ff) as i64 {
        0 => -1023,
        biased => biased - 1023,
    }
}
