//! Array functions (EXP-06), and their multi-value spellings. A multi-value string is an array of strings here.

use std::sync::Arc;

use ovate_base::{DruidError, Result};

use super::{ALL, Callable, Function, MANY, Output, boolean, closure, nullable, text};
use crate::expr::node::Node;
use crate::text::java_regex;
use crate::types::ColumnType;
use crate::value::{Value, unify_elements};

const FIRST: u32 = 1;
const SECOND: u32 = 2;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::simple("array", (0, MANY), Output::Of(array_of_args), |args| Ok(Value::Array(unify_elements(args.to_vec())))),
    Function::simple("array_length", (1, 1), Output::Long, |args| Ok(nullable(elements(args, 0).map(|a| a.len() as i64))))
        .arrays(FIRST),
    Function::simple("array_offset", (2, 2), Output::Of(element_type), |args| Ok(element(args, 0))).arrays(FIRST),
    Function::simple("array_ordinal", (2, 2), Output::Of(element_type), |args| Ok(element(args, 1))).arrays(FIRST),
    Function::simple("array_contains", (2, 2), Output::Long, contains).arrays(ALL),
    // A multi-value row without values holds null.
    Function::simple("mv_contains", (2, 2), Output::Long, |args| contains(&[harmonized(args), args[1].clone()])).arrays(ALL),
    Function::simple("array_overlap", (2, 2), Output::Long, overlap).arrays(ALL),
    Function::simple("mv_overlap", (2, 2), Output::Long, |args| {
        // As IN: where nothing matches, a null on the left leaves the answer open, unless null is wanted.
        let left = harmonized(args);
        let answer = overlap(&[left.clone(), args[1].clone()])?;
        let nulls = |value: &Value| value.as_array().is_some_and(|array| array.iter().any(Value::is_null));
        Ok(if answer == Value::Long(0) && nulls(&left) && !nulls(&args[1]) { Value::Null } else { answer })
    })
    .arrays(ALL),
    Function::simple("scalar_in_array", (2, 2), Output::Long, |args| {
        let Some(array) = elements(args, 1) else { return Ok(Value::Null) };
        let found = holds(&array, &args[0]);
        // SQL's IN: null is in nothing but an array that holds null.
        Ok(if args[0].is_null() && !found { Value::Null } else { boolean(found) })
    })
    .arrays(SECOND),
    Function::simple("array_offset_of", (2, 2), Output::Long, |args| Ok(position(args, 0))).arrays(FIRST),
    Function::simple("array_ordinal_of", (2, 2), Output::Long, |args| Ok(position(args, 1))).arrays(FIRST),
    Function::simple("array_prepend", (2, 2), Output::Of(second_array), |args| {
        let Some(array) = elements(args, 1) else { return Ok(Value::Null) };
        Ok(same_type(&array, std::iter::once(args[0].clone()).chain(array.iter().cloned()).collect()))
    })
    .arrays(SECOND),
    Function::simple("array_append", (2, 2), Output::Of(first_array), |args| {
        let Some(array) = elements(args, 0) else { return Ok(Value::Null) };
        Ok(same_type(&array, array.iter().cloned().chain(std::iter::once(args[1].clone())).collect()))
    })
    .arrays(FIRST),
    Function::simple("array_concat", (2, 2), Output::Of(first_array), |args| {
        Ok(match (elements(args, 0), elements(args, 1)) {
            (Some(a), Some(b)) => Value::Array(a.iter().chain(b.iter()).cloned().collect()),
            _ => Value::Null,
        })
    })
    .arrays(ALL),
    Function::simple("array_set_add", (2, 2), Output::Of(first_array), |args| {
        let Some(array) = elements(args, 0) else { return Ok(Value::Null) };
        Ok(set(&array, array.iter().cloned().chain(std::iter::once(args[1].clone())).collect()))
    })
    .arrays(FIRST),
    Function::simple("array_set_add_all", (2, 2), Output::Of(first_array), |args| {
        Ok(match (elements(args, 0), elements(args, 1)) {
            (None, _) => Value::Null,
            (Some(one), None) => Value::Array(one),
            (Some(a), Some(b)) => set(&a, a.iter().chain(b.iter()).cloned().collect()),
        })
    })
    .arrays(ALL),
    Function::simple("array_slice", (2, 3), Output::Of(first_array), slice).arrays(FIRST),
    Function::simple("array_to_string", (2, 2), Output::String, |args| {
        let Some(array) = elements(args, 0) else { return Ok(Value::Null) };
        if let [Value::Null] = array.as_ref() {
            return Ok(Value::Null);
        }
        let separator = text(args, 1).unwrap_or_else(|| Arc::from(""));
        let parts: Vec<Arc<str>> = array.iter().map(|e| e.as_text().unwrap_or_else(|| Arc::from("null"))).collect();
        Ok(Value::from(parts.join(separator.as_ref())))
    })
    .arrays(FIRST),
    Function::prepared("string_to_array", (2, 2), Output::StringArray, string_to_array),
    Function::simple("array_to_mv", (1, 1), Output::String, |args| {
        Ok(elements(args, 0)
            .map_or(Value::Null, |array| Value::Array(array.iter().map(|e| e.cast(&ColumnType::String)).collect())))
    })
    .arrays(FIRST),
    Function::simple("mv_to_array", (1, 1), Output::StringArray, |args| Ok(args[0].cast(&ColumnType::array(ColumnType::String))))
        .arrays(FIRST),
    Function::simple("mv_harmonize_nulls", (1, 1), Output::StringArray, |args| Ok(harmonized(args))).arrays(FIRST),
    Function::simple("array_quantile", (2, 2), Output::Double, quantile).arrays(FIRST),
];

fn elements(args: &[Value], index: usize) -> Option<Arc<[Value]>> {
    args.get(index).and_then(Value::as_array)
}

fn array_of_args(types: &[Option<ColumnType>], _args: &[Node]) -> Option<ColumnType> {
    let widest = types.iter().flatten().cloned().reduce(|a, b| match (a, b) {
        (a, b) if a == b => a,
        (a, b) if a.is_numeric() && b.is_numeric() => ColumnType::Double,
        _ => ColumnType::String,
    });
    Some(ColumnType::array(widest.unwrap_or(ColumnType::String)))
}

fn as_array_type(own: &ColumnType) -> ColumnType {
    match own {
        ColumnType::Array(_) => own.clone(),
        scalar => ColumnType::array(scalar.clone()),
    }
}

fn first_array(types: &[Option<ColumnType>], _args: &[Node]) -> Option<ColumnType> {
    types.first()?.as_ref().map(as_array_type)
}

fn second_array(types: &[Option<ColumnType>], _args: &[Node]) -> Option<ColumnType> {
    types.get(1)?.as_ref().map(as_array_type)
}

fn element_type(types: &[Option<ColumnType>], _args: &[Node]) -> Option<ColumnType> {
    match types.first()?.as_ref()? {
        ColumnType::Array(element) => Some(element.as_ref().clone()),
        scalar => Some(scalar.clone()),
    }
}

/// The first argument as an array; null and no elements are one null.
fn harmonized(args: &[Value]) -> Value {
    match elements(args, 0) {
        Some(array) if !array.is_empty() => Value::Array(array),
        _ => Value::Array(Arc::from([Value::Null])),
    }
}

/// The element at a position that counts from `base`; null outside.
fn element(args: &[Value], base: i64) -> Value {
    let Some(array) = elements(args, 0) else { return Value::Null };
    // A null position is 0 (`ExprEval.asInt`).
    let index = args[1].as_long().unwrap_or(0);
    usize::try_from(index.saturating_sub(base)).ok().and_then(|index| array.get(index).cloned()).unwrap_or_default()
}

/// Equality of elements, the wanted one read as the array's type.
fn holds(array: &[Value], wanted: &Value) -> bool {
    array.iter().any(|element| equal(element, wanted))
}

fn equal(element: &Value, wanted: &Value) -> bool {
    match (element.value_type(), wanted.value_type()) {
        (None, None) => true,
        (None, _) | (_, None) => false,
        (Some(a), Some(b)) if a == b => element.compare(wanted).is_eq(),
        (Some(a), Some(b)) if a.is_numeric() && b.is_numeric() => element.compare(wanted).is_eq(),
        (Some(own), _) => wanted.cast(&own) == *element,
    }
}

fn contains(args: &[Value]) -> Result<Value> {
    let Some(array) = elements(args, 0) else { return Ok(Value::Null) };
    Ok(match &args[1] {
        Value::Array(wanted) => boolean(wanted.iter().all(|wanted| holds(&array, wanted))),
        scalar => boolean(holds(&array, scalar)),
    })
}

fn overlap(args: &[Value]) -> Result<Value> {
    let Some(a) = elements(args, 0) else { return Ok(Value::Null) };
    // The second is read as the first one's type; nothing is in no list (`ArrayOverlapFunction`).
    let Some(b) = elements(args, 1) else { return Ok(boolean(false)) };
    let own = crate::value::array_element_type(&a);
    let read = |wanted: &Value| if a.iter().all(Value::is_null) { wanted.clone() } else { wanted.cast(&own) };
    let b: Vec<Value> = b.iter().map(|wanted| if wanted.is_null() { Value::Null } else { read(wanted) }).collect();
    Ok(boolean(b.iter().any(|wanted| holds(&a, wanted))))
}

fn position(args: &[Value], base: i64) -> Value {
    let Some(array) = elements(args, 0) else { return Value::Null };
    let same = |element: &Value| element.value_type() == args[1].value_type() && element.compare(&args[1]).is_eq();
    nullable(array.iter().position(same).map(|at| at as i64 + base))
}

/// New elements get the type of the array they join.
fn same_type(array: &[Value], all: Vec<Value>) -> Value {
    if array.iter().all(Value::is_null) {
        return Value::Array(unify_elements(all));
    }
    let target = crate::value::array_element_type(array);
    Value::Array(all.into_iter().map(|e| if e.value_type().is_none_or(|t| t == target) { e } else { e.cast(&target) }).collect())
}

/// Distinct elements in order, nulls first.
fn set(array: &[Value], all: Vec<Value>) -> Value {
    let Value::Array(all) = same_type(array, all) else { return Value::Null };
    let mut sorted = all.to_vec();
    sorted.sort_by(Value::compare);
    sorted.dedup_by(|a, b| a.compare(b).is_eq());
    Value::Array(sorted.into())
}

/// `array_slice(array, start, end)`: null when `start` is outside; past the end the slice is filled with nulls, as Java's
/// `Arrays.copyOfRange`.
fn slice(args: &[Value]) -> Result<Value> {
    let Some(array) = elements(args, 0) else { return Ok(Value::Null) };
    let Some(start) = args[1].as_long() else { return Ok(Value::Null) };
    let end = match args.get(2) {
        None => array.len() as i64,
        Some(end) => end.as_long().unwrap_or(0),
    };
    if start < 0 || start > array.len() as i64 || start > end {
        return Ok(Value::Null);
    }
    if end - start > 1 << 20 {
        return Err(DruidError::invalid_input(format!("Function[array_slice] would make [{}] elements", end - start)));
    }
    Ok(Value::Array((start..end).map(|index| array.get(index as usize).cloned().unwrap_or_default()).collect()))
}

/// `String.split`: the separator is a regular expression, empty texts at the end are dropped.
fn string_to_array(literals: &[Option<&Value>]) -> Result<Arc<dyn Callable>> {
    let fixed = match literals.get(1).copied().flatten() {
        Some(separator) => Some(java_regex(&separator.as_text().unwrap_or_default())?),
        None => None,
    };
    Ok(closure(move |args, _| {
        let Some(base) = text(args, 0) else { return Ok(Value::Null) };
        let own;
        let regex = match &fixed {
            Some(regex) => regex,
            None => {
                own = java_regex(&text(args, 1).unwrap_or_default())?;
                &own
            }
        };
        let mut parts: Vec<&str> = regex.split(&base).collect();
        // A match of nothing at the start gives no leading empty text in Java.
        if parts.len() > 1 && parts[0].is_empty() && regex.find(&base).is_some_and(|found| found.is_empty()) {
            parts.remove(0);
        }
        // Empty texts at the end are dropped, all of them when something matched at all.
        let matched = parts.len() > 1;
        while matched && parts.last().is_some_and(|part| part.is_empty()) {
            parts.pop();
        }
        Ok(Value::Array(parts.into_iter().map(Value::from).collect()))
    }))
}

/// Linear interpolation between the two nearest sorted elements.
fn quantile(args: &[Value]) -> Result<Value> {
    let (Some(array), Some(rank)) = (elements(args, 0), args[1].as_double()) else { return Ok(Value::Null) };
    let mut numbers: Vec<f64> = array.iter().filter_map(Value::as_double).collect();
    if numbers.is_empty() || !(0.0..=1.0).contains(&rank) {
        return Ok(if numbers.is_empty() { Value::Null } else { Value::Double(f64::NAN) });
    }
    numbers.sort_by(|a, b| crate::value::compare_doubles(*a, *b));
    let position = rank * (numbers.len() - 1) as f64;
    let (low, high) = (position.floor() as usize, position.ceil() as usize);
    Ok(Value::Double(numbers[low] + (numbers[high] - numbers[low]) * (position - low as f64)))
}
