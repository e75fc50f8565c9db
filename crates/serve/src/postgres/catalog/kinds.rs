//! What type an expression has without looking at rows, so that a result can be described before it is there; and which columns
//! it needs.

use pgwire::api::Type;
use sqlparser::ast::{
    AccessExpr, BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator, Value,
};

use super::eval::{Column, Env, folded, place};
use super::{functions, types};

fn column(table: Option<&str>, name: &str, env: &Env) -> Option<Type> {
    let mut at = Some(env);
    while let Some(env) = at {
        if let Ok(Some(place)) = place(env.columns, table, name) {
            return Some(env.columns[place].kind.clone());
        }
        at = env.outer;
    }
    None
}

/// The type of an expression; text where nothing says otherwise.
pub fn of(expr: &Expr, env: &Env) -> Type {
    match expr {
        Expr::Identifier(name) => column(None, &folded(name), env).unwrap_or(Type::TEXT),
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [.., table, name] => column(Some(&folded(table)), &folded(name), env).unwrap_or(Type::TEXT),
            _ => Type::TEXT,
        },
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) => match text.parse::<i64>() {
                Ok(number) if i32::try_from(number).is_ok() => Type::INT4,
                Ok(_) => Type::INT8,
                Err(_) => Type::FLOAT8,
            },
            Value::Boolean(_) => Type::BOOL,
            _ => Type::TEXT,
        },
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => of(inner, env),
        Expr::Cast { data_type, .. } => match types::by_name(&data_type.to_string()) {
            // These are shown by name.
            Some(Type::REGCLASS | Type::REGTYPE | Type::REGPROC) | None => Type::TEXT,
            Some(Type::NUMERIC) => Type::FLOAT8,
            Some(t) => t,
        },
        Expr::IsNull(_) | Expr::IsNotNull(_) | Expr::IsTrue(_) | Expr::IsNotTrue(_) | Expr::IsFalse(_) | Expr::IsNotFalse(_) => {
            Type::BOOL
        }
        Expr::IsDistinctFrom(..) | Expr::IsNotDistinctFrom(..) | Expr::Between { .. } | Expr::In { .. } => Type::BOOL,
        Expr::Like { .. } | Expr::ILike { .. } | Expr::AnyOp { .. } | Expr::AllOp { .. } | Expr::Exists { .. } => Type::BOOL,
        Expr::UnaryOp { op: UnaryOperator::Not, .. } => Type::BOOL,
        Expr::UnaryOp { expr, .. } => of(expr, env),
        Expr::BinaryOp { left, op, right } => match op {
            BinaryOperator::StringConcat => Type::TEXT,
            BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo => {
                let float = |t: &Type| matches!(*t, Type::FLOAT4 | Type::FLOAT8);
                if float(&of(left, env)) || float(&of(right, env)) { Type::FLOAT8 } else { Type::INT8 }
            }
            BinaryOperator::BitwiseAnd => Type::INT8,
            _ => Type::BOOL,
        },
        Expr::Case { conditions, else_result, .. } => {
            let results = conditions.iter().map(|case| &case.result).chain(else_result.as_deref());
            let typed = results.filter(|e| !matches!(e, Expr::Value(v) if matches!(v.value, Value::Null))).map(|e| of(e, env));
            typed.reduce(|a, b| if a == b { a } else { Type::TEXT }).unwrap_or(Type::TEXT)
        }
        Expr::Array(array) => {
            let element = array.elem.first().map_or(Type::TEXT, |e| of(e, env));
            types::array_of(&element).unwrap_or(Type::TEXT_ARRAY)
        }
        Expr::Function(function) => functions::kind(function, &|e| of(e, env)),
        _ => Type::TEXT,
    }
}

/// True when a condition needs nothing but these columns: every name in it is theirs, and there is no subquery in it.
pub fn is_decided(condition: &Expr, columns: &[Column]) -> bool {
    let all = |list: &[&Expr]| list.iter().all(|e| is_decided(e, columns));
    match condition {
        Expr::Identifier(name) => matches!(place(columns, None, &folded(name)), Ok(Some(_))),
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [.., table, name] => matches!(place(columns, Some(&folded(table)), &folded(name)), Ok(Some(_))),
            _ => false,
        },
        Expr::Value(_) | Expr::TypedString(_) => true,
        Expr::Nested(e) | Expr::IsNull(e) | Expr::IsNotNull(e) | Expr::IsTrue(e) | Expr::IsFalse(e) => is_decided(e, columns),
        Expr::Collate { expr, .. } | Expr::Cast { expr, .. } | Expr::UnaryOp { expr, .. } => is_decided(expr, columns),
        Expr::BinaryOp { left, right, .. } => all(&[left, right]),
        Expr::Between { expr, low, high, .. } => all(&[expr, low, high]),
        Expr::Like { expr, pattern, .. } | Expr::ILike { expr, pattern, .. } => all(&[expr, pattern]),
        Expr::AnyOp { left, right, .. } => all(&[left, right]),
        Expr::In { expr, target: sqlparser::ast::InTarget::List(list), .. } => {
            is_decided(expr, columns) && list.iter().all(|e| is_decided(e, columns))
        }
        Expr::Function(function) => arguments(function).is_some_and(|list| all(&list)),
        _ => false,
    }
}

/// Plain arguments of a call.
pub fn arguments(function: &Function) -> Option<Vec<&Expr>> {
    match &function.args {
        FunctionArguments::None => Some(Vec::new()),
        FunctionArguments::Subquery(_) => None,
        FunctionArguments::List(list) => list
            .args
            .iter()
            .map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                _ => None,
            })
            .collect(),
    }
}

/// Every expression inside one, without those of subqueries; for looking for aggregates.
pub fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Nested(e) | Expr::IsNull(e) | Expr::IsNotNull(e) | Expr::IsTrue(e) | Expr::IsFalse(e) => vec![e],
        Expr::IsNotTrue(e) | Expr::IsNotFalse(e) => vec![e],
        Expr::Collate { expr, .. } | Expr::Cast { expr, .. } | Expr::UnaryOp { expr, .. } => vec![expr],
        Expr::BinaryOp { left, right, .. } | Expr::AnyOp { left, right, .. } | Expr::AllOp { left, right, .. } => {
            vec![left, right]
        }
        Expr::Between { expr, low, high, .. } => vec![expr, low, high],
        Expr::Like { expr, pattern, .. } | Expr::ILike { expr, pattern, .. } => vec![expr, pattern],
        Expr::In { expr, .. } => vec![expr],
        Expr::Case { operand, conditions, else_result, .. } => {
            let parts = conditions.iter().flat_map(|case| [&case.condition, &case.result]);
            parts.chain(operand.as_deref()).chain(else_result.as_deref()).collect()
        }
        Expr::Function(function) => arguments(function).unwrap_or_default(),
        Expr::CompoundFieldAccess { root, access_chain } => {
            let indexes = access_chain.iter().filter_map(|access| match access {
                AccessExpr::Subscript(sqlparser::ast::Subscript::Index { index }) => Some(index),
                _ => None,
            });
            std::iter::once(root.as_ref()).chain(indexes).collect()
        }
        Expr::Array(array) => array.elem.iter().collect(),
        _ => Vec::new(),
    }
}
