//! `human_readable_*` (EXP-11; Druid's `HumanReadableBytes.format`): binary units step by 1024, decimal ones by 1000.

use ovate_base::{DruidError, Result};

use super::{Function, Output};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::simple("human_readable_binary_byte_format", (1, 2), Output::String, |args| {
        format(args, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
    }),
    Function::simple("human_readable_decimal_byte_format", (1, 2), Output::String, |args| {
        format(args, 1000.0, &["B", "KB", "MB", "GB", "TB", "PB", "EB"])
    }),
    Function::simple("human_readable_decimal_format", (1, 2), Output::String, |args| {
        format(args, 1000.0, &["", "K", "M", "G", "T", "P", "E"])
    }),
];

fn format(args: &[Value], step: f64, units: &[&str]) -> Result<Value> {
    let precision = match args.get(1) {
        None => 2,
        Some(Value::Long(precision @ 0..=3)) => *precision as usize,
        Some(other) => {
            let shown = other.as_text().unwrap_or_default();
            return Err(DruidError::invalid_input(format!("precision [{shown}] must be in the range of [0,3]")));
        }
    };
    let number = match &args[0] {
        Value::Null => return Ok(Value::Null),
        Value::Long(_) | Value::Double(_) => args[0].as_long().unwrap_or(0),
        other => {
            let kind = other.value_type().map(|t| t.to_string()).unwrap_or_default();
            return Err(DruidError::invalid_input(format!(
                "Function needs a number as its first argument but got {kind} instead"
            )));
        }
    };
    let negative = number < 0;
    let mut rest = number.unsigned_abs() as f64;
    if rest < step {
        let separator = if units[0].is_empty() { "" } else { " " };
        return Ok(Value::from(format!("{number}{separator}{}", units[0])));
    }
    let mut unit = 0;
    while rest >= step && unit + 1 < units.len() {
        rest /= step;
        unit += 1;
    }
    let sign = if negative { "-" } else { "" };
    Ok(Value::from(format!("{sign}{rest:.precision$} {}", units[unit])))
}
