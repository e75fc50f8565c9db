//! Multi-value strings in expressions: a function of single values over a multi-value column is mapped over its values
//! (Druid's `Parser.applyUnappliedBindings`), over the cartesian product when there are several such columns.

use std::sync::Arc;

use ovate_base::Result;

use super::node::{ApplyFn, Call, Lambda, Node};
use super::parser::make_call;
use crate::types::ColumnType;

/// Rewrites a tree for columns of which `is_multi` says that their rows may hold several values.
pub(super) fn apply(node: &Node, is_multi: &dyn Fn(&str) -> bool) -> Result<Node> {
    let inner = wrap_array_arguments(node, is_multi)?;
    wrap(inner, is_multi)
}

/// True when the node uses this column only as a single value.
pub(super) fn is_scalar_use(node: &Node, name: &str) -> bool {
    let mut uses = 0;
    node.visit_columns(&mut Vec::new(), &mut |own| uses += usize::from(own.as_ref() == name));
    let mut scalar_uses = 0;
    scalar_columns(node, &mut Vec::new(), &mut |own| scalar_uses += usize::from(own.as_ref() == name));
    uses > 0 && uses == scalar_uses && !matches!(node, Node::Column(_))
}

/// Bit `i`: argument `i` of the call takes an array.
fn array_arguments(call: &Call) -> u32 {
    if call.function.name == "cast" && matches!(call.function.output_type(&[], &call.args), Some(ColumnType::Array(_))) {
        return 1;
    }
    call.function.arrays
}

fn takes_array(mask: u32, index: usize) -> bool {
    index >= 32 && mask == u32::MAX || index < 32 && mask >> index & 1 == 1
}

/// Calls `each` for columns in places that take a single value.
fn scalar_columns(node: &Node, bound: &mut Vec<Arc<str>>, each: &mut dyn FnMut(&Arc<str>)) {
    let mut child = |node: &Node, array: bool, bound: &mut Vec<Arc<str>>| {
        if !(array && matches!(node, Node::Column(_))) {
            scalar_columns(node, bound, each);
        }
    };
    match node {
        Node::Column(name) => {
            if !bound.contains(name) {
                each(name);
            }
        }
        Node::Call(call) => {
            let mask = array_arguments(call);
            call.args.iter().enumerate().for_each(|(index, arg)| child(arg, takes_array(mask, index), bound));
        }
        Node::Apply { lambda, args, .. } => {
            args.iter().for_each(|arg| child(arg, true, bound));
            let before = bound.len();
            bound.extend(lambda.params.iter().cloned());
            child(&lambda.body, false, bound);
            bound.truncate(before);
        }
        other => other.children().into_iter().for_each(|node| child(node, false, bound)),
    }
}

/// `array_to_string(concat(mv, 'x'), ',')` maps the inner expression and not the outer one.
fn wrap_array_arguments(node: &Node, is_multi: &dyn Fn(&str) -> bool) -> Result<Node> {
    let recurse = |node: &Node| wrap_array_arguments(node, is_multi);
    let boxed = |node: &Node| recurse(node).map(Box::new);
    let argument = |node: &Node, array: bool| -> Result<Node> {
        let inner = recurse(node)?;
        if array && !matches!(inner, Node::Column(_)) { wrap(inner, is_multi) } else { Ok(inner) }
    };
    Ok(match node {
        Node::Literal(_) | Node::Column(_) | Node::Shared { .. } => node.clone(),
        Node::Unary(op, child) => Node::Unary(*op, boxed(child)?),
        Node::Binary(op, left, right) => Node::Binary(*op, boxed(left)?, boxed(right)?),
        Node::Logic { or, left, right } => Node::Logic { or: *or, left: boxed(left)?, right: boxed(right)? },
        Node::Lazy(function, args) => Node::Lazy(*function, args.iter().map(recurse).collect::<Result<_>>()?),
        Node::Call(call) => {
            let mask = array_arguments(call);
            let args = call.args.iter().enumerate().map(|(index, arg)| argument(arg, takes_array(mask, index)));
            Node::Call(Call { args: args.collect::<Result<_>>()?, ..call.clone() })
        }
        Node::Apply { function, lambda, args } => {
            let args = args.iter().map(|arg| argument(arg, true)).collect::<Result<_>>()?;
            Node::Apply { function: *function, lambda: lambda.clone(), args }
        }
    })
}

/// Maps a node over the multi-value columns that it takes as single values.
fn wrap(node: Node, is_multi: &dyn Fn(&str) -> bool) -> Result<Node> {
    let mut names: Vec<Arc<str>> = Vec::new();
    scalar_columns(&node, &mut Vec::new(), &mut |name| {
        if is_multi(name) && !names.contains(name) {
            names.push(name.clone());
        }
    });
    if names.is_empty() || matches!(node, Node::Column(_)) {
        return Ok(node);
    }
    // A row without values is null, and null is one value to the function.
    let args = names.iter().map(|name| make_call("mv_harmonize_nulls", vec![Node::Column(name.clone())]));
    let args = args.collect::<Result<Vec<_>>>()?;
    let function = if names.len() == 1 { ApplyFn::Map } else { ApplyFn::CartesianMap };
    Ok(Node::Apply { function, lambda: Arc::new(Lambda { params: names, body: node }), args })
}
