//! Type inference (Druid's `Expr.getOutputType`): the type of a result from the types of columns, `None` where it cannot be
//! known before rows are seen.

use std::sync::Arc;

use super::node::{ApplyFn, BinaryOp, LazyFn, Node, UnaryOp};
use crate::types::ColumnType;

/// The type of a node's values; `columns` gives the type of a name.
pub(super) fn output_type(node: &Node, columns: &dyn Fn(&str) -> Option<ColumnType>) -> Option<ColumnType> {
    match node {
        Node::Literal(literal) => literal.column_type.clone(),
        Node::Column(name) => columns(name).map(expression_type),
        Node::Unary(UnaryOp::Not, _) | Node::Logic { .. } => Some(ColumnType::Long),
        Node::Unary(UnaryOp::Minus, child) => match output_type(child, columns)? {
            ColumnType::Long => Some(ColumnType::Long),
            _ => Some(ColumnType::Double),
        },
        Node::Binary(op, ..) if op.is_comparison() => Some(ColumnType::Long),
        Node::Binary(op, left, right) => operator(*op, output_type(left, columns), output_type(right, columns)),
        Node::Lazy(function, args) => {
            let last = args.len() - 1;
            let chosen: Vec<&Node> = match function {
                LazyFn::If => args[1..].iter().collect(),
                LazyFn::Coalesce | LazyFn::Nvl => args.iter().collect(),
                LazyFn::CaseSearched => {
                    args.iter().enumerate().filter(|(i, _)| i % 2 == 1 || *i == last).map(|(_, arg)| arg).collect()
                }
                LazyFn::CaseSimple => {
                    args.iter().enumerate().skip(2).filter(|(i, _)| i % 2 == 0 || *i == last).map(|(_, arg)| arg).collect()
                }
            };
            chosen.into_iter().map(|arg| output_type(arg, columns)).fold(None, widest)
        }
        Node::Call(call) => {
            let types: Vec<Option<ColumnType>> = call.args.iter().map(|arg| output_type(arg, columns)).collect();
            call.function.output_type(&types, &call.args)
        }
        Node::Shared { node, .. } => output_type(node, columns),
        Node::Apply { function, lambda, args } => {
            let types: Vec<Option<ColumnType>> = args.iter().map(|arg| output_type(arg, columns)).collect();
            let param = |name: &str| -> Option<Option<ColumnType>> {
                let index = lambda.params.iter().position(|own: &Arc<str>| own.as_ref() == name)?;
                let fold = matches!(function, ApplyFn::Fold | ApplyFn::CartesianFold) && index + 1 == lambda.params.len();
                let own = types.get(index).cloned().flatten();
                Some(match own {
                    Some(ColumnType::Array(element)) if !fold => Some(*element),
                    other => other,
                })
            };
            match function {
                ApplyFn::Any | ApplyFn::All => Some(ColumnType::Long),
                ApplyFn::Filter => types.first()?.clone().map(|own| match own {
                    ColumnType::Array(_) => own,
                    scalar => ColumnType::array(scalar),
                }),
                ApplyFn::Map | ApplyFn::CartesianMap => {
                    let body = output_type(&lambda.body, &|name| param(name).unwrap_or_else(|| columns(name)));
                    body.map(ColumnType::array)
                }
                ApplyFn::Fold | ApplyFn::CartesianFold => {
                    output_type(&lambda.body, &|name| param(name).unwrap_or_else(|| columns(name)))
                }
            }
        }
    }
}

/// The language has no FLOAT.
pub(super) fn expression_type(own: ColumnType) -> ColumnType {
    match own {
        ColumnType::Float => ColumnType::Double,
        ColumnType::Array(element) if *element == ColumnType::Float => ColumnType::array(ColumnType::Double),
        other => other,
    }
}

fn operator(op: BinaryOp, left: Option<ColumnType>, right: Option<ColumnType>) -> Option<ColumnType> {
    match (left, right) {
        (None, other) | (other, None) => other,
        (Some(ColumnType::String), Some(ColumnType::String)) => {
            Some(if op == BinaryOp::Add { ColumnType::String } else { ColumnType::Double })
        }
        (Some(ColumnType::Long), Some(ColumnType::Long)) => Some(ColumnType::Long),
        _ => Some(ColumnType::Double),
    }
}

/// The type that both branches of a choice can have.
fn widest(a: Option<ColumnType>, b: Option<ColumnType>) -> Option<ColumnType> {
    match (a, b) {
        (None, other) | (other, None) => other,
        (Some(a), Some(b)) if a == b => Some(a),
        (Some(ColumnType::Array(a)), Some(ColumnType::Array(b))) => widest(Some(*a), Some(*b)).map(ColumnType::array),
        (Some(array @ ColumnType::Array(_)), Some(_)) | (Some(_), Some(array @ ColumnType::Array(_))) => Some(array),
        (Some(complex @ ColumnType::Complex(_)), Some(_)) | (Some(_), Some(complex @ ColumnType::Complex(_))) => Some(complex),
        (Some(ColumnType::String), Some(_)) | (Some(_), Some(ColumnType::String)) => Some(ColumnType::String),
        _ => Some(ColumnType::Double),
    }
}
