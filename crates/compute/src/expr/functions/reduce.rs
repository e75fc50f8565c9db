//! `greatest` and `least` (EXP-09): nulls are passed over; any text makes all of them text, any double makes them doubles.

use ovate_base::{DruidError, Result};

use super::{Function, MANY, Output};
use crate::expr::node::Node;
use crate::types::ColumnType;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::simple("greatest", (0, MANY), Output::Of(widest), |args| pick("greatest", args, true)),
    Function::simple("least", (0, MANY), Output::Of(widest), |args| pick("least", args, false)),
];

fn widest(types: &[Option<ColumnType>], _args: &[Node]) -> Option<ColumnType> {
    types.iter().flatten().cloned().reduce(|a, b| match (a, b) {
        (a, b) if a == b => a,
        (ColumnType::String, _) | (_, ColumnType::String) => ColumnType::String,
        _ => ColumnType::Double,
    })
}

fn pick(name: &str, args: &[Value], want_max: bool) -> Result<Value> {
    if args.iter().any(|arg| matches!(arg, Value::Array(_) | Value::Json(_) | Value::Complex(..))) {
        return Err(DruidError::invalid_input(format!("Function[{name}] does not accept ARRAY or COMPLEX types")));
    }
    let types: Vec<Option<ColumnType>> = args.iter().map(Value::value_type).collect();
    let Some(target) = widest(&types, &[]) else { return Ok(Value::Null) };
    let values = args.iter().filter(|arg| !arg.is_null()).map(|arg| arg.cast(&target));
    let better = |a: Value, b: Value| if a.compare(&b).is_lt() == want_max { b } else { a };
    Ok(values.reduce(better).unwrap_or(Value::Null))
}
