//! General functions (EXP-02): casts, null tests, truth tests, LIKE, lookups, bloom filters. `if`, `case_*`, `coalesce` and
//! `nvl` choose among their arguments and live in the evaluator.

use std::sync::Arc;

use ovate_base::{DruidError, Result};

use super::{Callable, Function, Output, boolean, closure, literal_text, text};
use crate::context::EvalContext;
use crate::expr::batch::Operand;
use crate::expr::node::{Literal, Node};
use crate::text::LikePattern;
use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::prepared("cast", (2, 2), Output::Of(cast_type), |literals| {
        let name =
            literal_text(literals, 1, "type")?.ok_or_else(|| DruidError::invalid_input(" type argument must be a literal"))?;
        Ok(Arc::new(Cast(expression_type(&name)?)))
    })
    .arrays(0),
    Function::prepared("isnull", (1, 1), Output::Long, |_| Ok(Arc::new(IsNull { wanted: true }))),
    Function::prepared("notnull", (1, 1), Output::Long, |_| Ok(Arc::new(IsNull { wanted: false }))),
    Function::simple("istrue", (1, 1), Output::Long, |args| Ok(boolean(args[0].as_boolean() == Some(true)))),
    Function::simple("isfalse", (1, 1), Output::Long, |args| Ok(boolean(args[0].as_boolean() == Some(false)))),
    Function::simple("nottrue", (1, 1), Output::Long, |args| Ok(boolean(args[0].as_boolean() != Some(true)))),
    Function::simple("notfalse", (1, 1), Output::Long, |args| Ok(boolean(args[0].as_boolean() != Some(false)))),
    Function::simple("isdistinctfrom", (2, 2), Output::Long, |args| Ok(boolean(!same(&args[0], &args[1])))),
    Function::simple("notdistinctfrom", (2, 2), Output::Long, |args| Ok(boolean(same(&args[0], &args[1])))),
    Function::prepared("like", (2, 3), Output::Long, |literals| {
        let pattern = literal_text(literals, 1, "pattern")?;
        let escape = literal_text(literals, 2, "escape")?.and_then(|text| text.chars().next());
        let Some(pattern) = pattern else { return Ok(closure(|_, _| Ok(Value::Null))) };
        let pattern = LikePattern::new(&pattern, escape);
        Ok(closure(move |args, _| Ok(text(args, 0).map_or(Value::Null, |text| boolean(pattern.matches(&text))))))
    }),
    Function::prepared("lookup", (2, 3), Output::String, |literals| {
        let name = literal_text(literals, 1, "lookup name")?.ok_or_else(|| DruidError::invalid_input(" needs a lookup name"))?;
        let missing = literal_text(literals, 2, "replaceMissingValueWith")?;
        Ok(closure(move |args, context| {
            let map = context
                .lookups
                .get(name.as_ref())
                .ok_or_else(|| DruidError::invalid_input(format!("Lookup [{name}] not found")))?;
            let found = text(args, 0).and_then(|key| map.get(key.as_ref())).map(|found| Value::from(found.as_str()));
            Ok(found.unwrap_or_else(|| missing.clone().map_or(Value::Null, Value::String)))
        }))
    })
    .volatile(),
    Function::prepared("bloom_filter_test", (2, 2), Output::Long, |literals| {
        let filter = literal_text(literals, 1, "filter")?.ok_or_else(|| DruidError::invalid_input(" needs a filter"))?;
        let filter = crate::filter::decode_bloom(&filter)?;
        Ok(closure(move |args, _| Ok(boolean(filter(text(args, 0).as_deref())))))
    }),
];

/// `expr` types: FLOAT is DOUBLE.
fn expression_type(name: &str) -> Result<ColumnType> {
    Ok(match ColumnType::parse(name)? {
        ColumnType::Float => ColumnType::Double,
        other => other,
    })
}

fn cast_type(_types: &[Option<ColumnType>], args: &[Node]) -> Option<ColumnType> {
    match args.get(1) {
        Some(Node::Literal(Literal { value: Value::String(name), .. })) => expression_type(name).ok(),
        _ => None,
    }
}

/// Null-safe equality: numbers by value, text against a number as numbers.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Null, Value::Null) => true,
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::String(x), Value::String(y)) => x == y,
        (Value::Array(_), _) | (_, Value::Array(_)) => a.compare(b).is_eq(),
        (Value::Long(x), Value::Long(y)) => x == y,
        _ => match (a.as_double(), b.as_double()) {
            (Some(x), Some(y)) => x == y,
            _ => a.as_text() == b.as_text(),
        },
    }
}

struct Cast(ColumnType);

impl Callable for Cast {
    fn call(&self, args: &[Value], _context: &EvalContext) -> Result<Value> {
        // The words of truth are numbers too (`StringExprEval`).
        Ok(match &args[0] {
            Value::String(word) if self.0.is_numeric() && word.eq_ignore_ascii_case("true") => Value::Long(1).cast(&self.0),
            Value::String(word) if self.0.is_numeric() && word.eq_ignore_ascii_case("false") => Value::Long(0).cast(&self.0),
            other => other.cast(&self.0),
        })
    }
    fn batch(&self, args: &[Operand], _len: usize) -> Result<Option<Vector>> {
        match &args[0] {
            // Strings go by dictionary or one by one, which the evaluator does.
            Operand::Vector(vector) => {
                let numbers = !matches!(vector.as_ref(), Vector::Codes { .. } | Vector::Any { .. });
                let as_they_are = !matches!(vector.as_ref(), Vector::Codes { .. }) && !self.0.is_numeric();
                if !numbers && !as_they_are && self.0 != ColumnType::String {
                    return Ok(None);
                }
                Ok(Some(vector.as_ref().clone().cast(&self.0)))
            }
            _ => Ok(None),
        }
    }
}

struct IsNull {
    wanted: bool,
}

impl Callable for IsNull {
    fn call(&self, args: &[Value], _context: &EvalContext) -> Result<Value> {
        Ok(boolean(args[0].is_null() == self.wanted))
    }
    fn batch(&self, args: &[Operand], len: usize) -> Result<Option<Vector>> {
        let Operand::Vector(vector) = &args[0] else { return Ok(None) };
        let values = match vector.as_ref() {
            Vector::Long { nulls, .. } | Vector::Float { nulls, .. } | Vector::Double { nulls, .. } => match nulls {
                Some(nulls) => nulls.iter().map(|null| i64::from(*null == self.wanted)).collect(),
                None => vec![i64::from(!self.wanted); len],
            },
            Vector::Codes { dictionary, codes } => match dictionary.find(None)? {
                Some(code) => codes.iter().map(|own| i64::from((*own == code) == self.wanted)).collect(),
                None => vec![i64::from(!self.wanted); len],
            },
            other => (0..len).map(|row| i64::from(other.is_null(row) == self.wanted)).collect(),
        };
        Ok(Some(Vector::Long { values, nulls: None }))
    }
}
