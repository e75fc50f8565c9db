//! Evaluation on one row, and constant folding. The batch evaluator uses the same operators for what it has no loop for.

use std::sync::Arc;

use ovate_base::{DruidError, Result};

use super::infer;
use super::node::{ApplyFn, BinaryOp, Call, Lambda, LazyFn, Literal, Node, UnaryOp};
use crate::context::EvalContext;
use crate::types::ColumnType;
use crate::value::{Value, unify_elements};

/// Elements that a cartesian product may have.
const PRODUCT_MAX: usize = 1 << 20;

/// Values of names: columns of a row, or parameters of a lambda over them.
pub(super) struct Scope<'a> {
    pub columns: &'a dyn Fn(&str) -> Value,
    params: Vec<(Arc<str>, Value)>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(columns: &'a dyn Fn(&str) -> Value) -> Self {
        Scope { columns, params: Vec::new() }
    }

    fn get(&self, name: &str) -> Value {
        match self.params.iter().rev().find(|(own, _)| own.as_ref() == name) {
            Some((_, value)) => value.clone(),
            None => (self.columns)(name),
        }
    }
}

/// Evaluates a node on a row.
pub(super) fn eval(node: &Node, scope: &mut Scope<'_>, context: &EvalContext) -> Result<Value> {
    match node {
        Node::Literal(literal) => Ok(literal.value.clone()),
        Node::Column(name) => Ok(match scope.get(name) {
            // The language has no FLOAT.
            Value::Float(value) => Value::Double(f64::from(value)),
            other => other,
        }),
        Node::Unary(op, child) => unary(*op, &eval(child, scope, context)?),
        Node::Binary(op, left, right) => {
            let left = eval(left, scope, context)?;
            let right = eval(right, scope, context)?;
            binary(*op, &left, &right)
        }
        Node::Logic { or, left, right } => {
            let left = eval(left, scope, context)?.as_boolean();
            if left == Some(*or) {
                return Ok(Value::Long(i64::from(*or)));
            }
            let right = eval(right, scope, context)?.as_boolean();
            Ok(logic(*or, left, right))
        }
        Node::Lazy(function, args) => lazy(*function, args, scope, context),
        Node::Call(Call { callable, args, .. }) => {
            let values = args.iter().map(|arg| eval(arg, scope, context)).collect::<Result<Vec<_>>>()?;
            callable.call(&values, context)
        }
        Node::Shared { node, .. } => eval(node, scope, context),
        Node::Apply { function, lambda, args } => {
            let values = args.iter().map(|arg| eval(arg, scope, context)).collect::<Result<Vec<_>>>()?;
            apply(*function, lambda, &values, scope, context)
        }
    }
}

/// Three-valued `&&` and `||`.
pub(super) fn logic(or: bool, left: Option<bool>, right: Option<bool>) -> Value {
    match (left, right) {
        (Some(side), _) | (_, Some(side)) if side == or => Value::Long(i64::from(or)),
        (None, _) | (_, None) => Value::Null,
        _ => Value::Long(i64::from(!or)),
    }
}

/// `-` and `!`.
pub(super) fn unary(op: UnaryOp, value: &Value) -> Result<Value> {
    Ok(match (op, value) {
        (_, Value::Null) => Value::Null,
        (UnaryOp::Minus, Value::Long(value)) => Value::Long(value.wrapping_neg()),
        (UnaryOp::Minus, other) => other.as_double().map_or(Value::Null, |value| Value::Double(-value)),
        (UnaryOp::Not, other) => other.as_boolean().map_or(Value::Null, |value| Value::Long(i64::from(!value))),
    })
}

/// A binary operator: null when either side is; two texts are texts (`+` joins them), two longs are longs, the rest are
/// doubles, null where a text is no number.
pub(super) fn binary(op: BinaryOp, left: &Value, right: &Value) -> Result<Value> {
    if op.is_comparison() {
        return Ok(compare(left, right).map_or(Value::Null, |comparison| Value::Long(i64::from(comparison.holds(op)))));
    }
    Ok(match (left, right) {
        (Value::Null, _) | (_, Value::Null) => Value::Null,
        (Value::String(a), Value::String(b)) if op == BinaryOp::Add => Value::from(format!("{a}{b}")),
        (Value::Long(a), Value::Long(b)) => Value::Long(long_op(op, *a, *b)?),
        _ => match (left.as_double(), right.as_double()) {
            (Some(a), Some(b)) => Value::Double(double_op(op, a, b)),
            _ => Value::Null,
        },
    })
}

/// How two values stand; NaN stands in no order.
enum Comparison {
    Ordered(std::cmp::Ordering),
    Unordered,
}

impl Comparison {
    fn holds(&self, op: BinaryOp) -> bool {
        match self {
            Comparison::Ordered(order) => ordering_holds(op, *order),
            Comparison::Unordered => op == BinaryOp::NotEqual,
        }
    }
}

/// True when an order satisfies a comparison operator.
pub(super) fn ordering_holds(op: BinaryOp, order: std::cmp::Ordering) -> bool {
    match op {
        BinaryOp::Less => order.is_lt(),
        BinaryOp::LessEqual => order.is_le(),
        BinaryOp::Greater => order.is_gt(),
        BinaryOp::GreaterEqual => order.is_ge(),
        BinaryOp::Equal => order.is_eq(),
        BinaryOp::NotEqual => order.is_ne(),
        _ => false,
    }
}

fn compare(left: &Value, right: &Value) -> Option<Comparison> {
    match (left, right) {
        (Value::Null, _) | (_, Value::Null) => None,
        (Value::String(a), Value::String(b)) => Some(Comparison::Ordered(a.cmp(b))),
        (Value::Long(a), Value::Long(b)) => Some(Comparison::Ordered(a.cmp(b))),
        (Value::Array(a), Value::Array(b)) => {
            // One element type for both sides.
            let all: Vec<Value> = a.iter().chain(b.iter()).cloned().collect();
            let unified = unify_elements(all);
            let (a, b) = unified.split_at(a.len());
            Some(Comparison::Ordered(Value::Array(a.into()).compare(&Value::Array(b.into()))))
        }
        (Value::Array(_), scalar) => compare(left, &Value::Array(Arc::from([scalar.clone()]))),
        (scalar, Value::Array(_)) => compare(&Value::Array(Arc::from([scalar.clone()])), right),
        (Value::Json(_) | Value::Complex(..), _) | (_, Value::Json(_) | Value::Complex(..)) => {
            Some(Comparison::Ordered(left.as_text().cmp(&right.as_text())))
        }
        _ => {
            let (a, b) = (left.as_double()?, right.as_double()?);
            Some(a.partial_cmp(&b).map_or(Comparison::Unordered, Comparison::Ordered))
        }
    }
}

/// Long arithmetic wraps; a division by zero is an error, as in Java.
pub(super) fn long_op(op: BinaryOp, a: i64, b: i64) -> Result<i64> {
    Ok(match op {
        BinaryOp::Add => a.wrapping_add(b),
        BinaryOp::Subtract => a.wrapping_sub(b),
        BinaryOp::Multiply => a.wrapping_mul(b),
        BinaryOp::Divide | BinaryOp::Modulo if b == 0 => return Err(DruidError::invalid_input("/ by zero")),
        BinaryOp::Divide => a.wrapping_div(b),
        BinaryOp::Modulo => a.wrapping_rem(b),
        BinaryOp::Power => match u32::try_from(b) {
            Ok(exponent) => a.wrapping_pow(exponent),
            Err(_) => return Err(DruidError::invalid_input(format!("exponent [{b}] must be at least 0"))),
        },
        _ => 0,
    })
}

/// Double arithmetic.
pub(super) fn double_op(op: BinaryOp, a: f64, b: f64) -> f64 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Subtract => a - b,
        BinaryOp::Multiply => a * b,
        BinaryOp::Divide => a / b,
        BinaryOp::Modulo => a % b,
        BinaryOp::Power => a.powf(b),
        _ => 0.0,
    }
}

fn lazy(function: LazyFn, args: &[Node], scope: &mut Scope<'_>, context: &EvalContext) -> Result<Value> {
    match function {
        LazyFn::If => {
            let branch = if eval(&args[0], scope, context)?.as_boolean() == Some(true) { 1 } else { 2 };
            eval(&args[branch], scope, context)
        }
        LazyFn::CaseSearched => {
            for pair in args.chunks(2) {
                match pair {
                    [condition, result] if eval(condition, scope, context)?.as_boolean() == Some(true) => {
                        return eval(result, scope, context);
                    }
                    [otherwise] => return eval(otherwise, scope, context),
                    _ => {}
                }
            }
            Ok(Value::Null)
        }
        LazyFn::CaseSimple => {
            let subject = eval(&args[0], scope, context)?;
            for pair in args[1..].chunks(2) {
                match pair {
                    [wanted, result] => {
                        let wanted = eval(wanted, scope, context)?;
                        if binary(BinaryOp::Equal, &subject, &wanted)?.as_boolean() == Some(true) {
                            return eval(result, scope, context);
                        }
                    }
                    [otherwise] => return eval(otherwise, scope, context),
                    _ => {}
                }
            }
            Ok(Value::Null)
        }
        LazyFn::Coalesce | LazyFn::Nvl => {
            for arg in args {
                let value = eval(arg, scope, context)?;
                if !value.is_null() {
                    return Ok(value);
                }
            }
            Ok(Value::Null)
        }
    }
}

fn apply(function: ApplyFn, lambda: &Lambda, args: &[Value], scope: &mut Scope<'_>, context: &EvalContext) -> Result<Value> {
    let depth = scope.params.len();
    let call = |scope: &mut Scope<'_>, values: &[Value]| {
        scope.params.extend(lambda.params.iter().cloned().zip(values.iter().cloned()));
        let result = eval(&lambda.body, scope, context);
        scope.params.truncate(depth);
        result
    };
    match function {
        ApplyFn::Map => {
            let Some(array) = args[0].as_array() else { return Ok(Value::Null) };
            let mapped = array.iter().map(|element| call(scope, std::slice::from_ref(element))).collect::<Result<Vec<_>>>()?;
            Ok(Value::Array(unify_elements(mapped)))
        }
        ApplyFn::CartesianMap => {
            let Some(rows) = product(args)? else { return Ok(Value::Null) };
            let mapped = rows.iter().map(|row| call(scope, row)).collect::<Result<Vec<_>>>()?;
            Ok(Value::Array(unify_elements(mapped)))
        }
        ApplyFn::Filter => {
            let Some(array) = args[0].as_array() else { return Ok(Value::Null) };
            let mut kept = Vec::new();
            for element in array.iter() {
                if call(scope, std::slice::from_ref(element))?.as_boolean() == Some(true) {
                    kept.push(element.clone());
                }
            }
            Ok(Value::Array(kept.into()))
        }
        ApplyFn::Any | ApplyFn::All => {
            let Some(array) = args[0].as_array() else { return Ok(Value::Null) };
            let stop = function == ApplyFn::Any;
            for element in array.iter() {
                if (call(scope, std::slice::from_ref(element))?.as_boolean() == Some(true)) == stop {
                    return Ok(Value::Long(i64::from(stop)));
                }
            }
            Ok(Value::Long(i64::from(!stop)))
        }
        ApplyFn::Fold | ApplyFn::CartesianFold => {
            let (start, arrays) = args.split_last().unwrap_or((&Value::Null, &[]));
            let Some(rows) = product(arrays)? else { return Ok(Value::Null) };
            let mut accumulator = start.clone();
            for mut row in rows {
                row.push(accumulator);
                accumulator = call(scope, &row)?;
            }
            Ok(accumulator)
        }
    }
}

/// All combinations of one element of each array, the last array running fastest; `None` when an array is null.
fn product(arrays: &[Value]) -> Result<Option<Vec<Vec<Value>>>> {
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for array in arrays {
        let Some(elements) = array.as_array() else { return Ok(None) };
        if rows.len().saturating_mul(elements.len()) > PRODUCT_MAX {
            return Err(DruidError::resource_limit(format!("a cartesian product has more than {PRODUCT_MAX} elements")));
        }
        rows = rows
            .iter()
            .flat_map(|row| {
                elements.iter().map(move |element| row.iter().cloned().chain(std::iter::once(element.clone())).collect())
            })
            .collect();
    }
    Ok(Some(rows))
}

/// Replaces a node of constants by its value. What would fail stays as it is and fails when it is evaluated.
pub(super) fn fold(node: Node) -> Node {
    let constant = node.children().iter().all(|child| matches!(child, Node::Literal(_)));
    if !constant || matches!(node, Node::Apply { .. } | Node::Literal(_) | Node::Column(_)) || node.is_volatile() {
        return node;
    }
    let none = |_: &str| Value::Null;
    match eval(&node, &mut Scope::new(&none), &EvalContext::at(0)) {
        Ok(value) => {
            let inferred: Option<ColumnType> = infer::output_type(&node, &|_| None);
            Node::Literal(Literal { column_type: inferred.or_else(|| value.value_type()), value })
        }
        Err(_) => node,
    }
}
