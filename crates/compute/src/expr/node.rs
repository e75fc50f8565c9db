//! The expression tree. Functions are resolved and their literal arguments compiled when a tree is built, so evaluation only
//! walks it.

use std::fmt;
use std::sync::Arc;

use ovate_base::Granularity;

use super::functions::{Callable, Function};
use super::shared::Slot;
use crate::types::ColumnType;
use crate::value::{Value, double_to_text};

/// One node.
#[derive(Clone)]
pub(super) enum Node {
    Literal(Literal),
    /// A column, or inside a lambda one of its parameters.
    Column(Arc<str>),
    Unary(UnaryOp, Box<Node>),
    Binary(BinaryOp, Box<Node>, Box<Node>),
    /// `&&` and `||`.
    Logic {
        or: bool,
        left: Box<Node>,
        right: Box<Node>,
    },
    /// Functions that look at some arguments only when others say so.
    Lazy(LazyFn, Vec<Node>),
    Call(Call),
    Apply {
        function: ApplyFn,
        lambda: Arc<Lambda>,
        args: Vec<Node>,
    },
    /// A part that other expressions of the same filter have too; only in bound trees.
    Shared {
        slot: Arc<Slot>,
        node: Box<Node>,
    },
}

/// A constant and its type; a plain `null` has none.
#[derive(Clone)]
pub(super) struct Literal {
    pub value: Value,
    pub column_type: Option<ColumnType>,
}

impl Literal {
    pub(super) fn new(value: Value) -> Literal {
        let column_type = value.value_type();
        Literal { value, column_type }
    }
}

/// A function with its arguments.
#[derive(Clone)]
pub(super) struct Call {
    pub function: &'static Function,
    pub callable: Arc<dyn Callable>,
    pub args: Vec<Node>,
}

/// `(x, y) -> body`.
pub(super) struct Lambda {
    pub params: Vec<Arc<str>>,
    pub body: Node,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnaryOp {
    Minus,
    Not,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BinaryOp {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    NotEqual,
}

impl BinaryOp {
    pub(super) fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Subtract => "-",
            BinaryOp::Multiply => "*",
            BinaryOp::Divide => "/",
            BinaryOp::Modulo => "%",
            BinaryOp::Power => "^",
            BinaryOp::Less => "<",
            BinaryOp::LessEqual => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterEqual => ">=",
            BinaryOp::Equal => "==",
            BinaryOp::NotEqual => "!=",
        }
    }

    pub(super) fn is_comparison(self) -> bool {
        !matches!(
            self,
            BinaryOp::Add | BinaryOp::Subtract | BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo | BinaryOp::Power
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LazyFn {
    If,
    CaseSearched,
    CaseSimple,
    Coalesce,
    Nvl,
}

impl LazyFn {
    pub(super) fn parse(name: &str) -> Option<LazyFn> {
        Some(match name {
            "if" => LazyFn::If,
            "case_searched" => LazyFn::CaseSearched,
            "case_simple" => LazyFn::CaseSimple,
            "coalesce" => LazyFn::Coalesce,
            "nvl" => LazyFn::Nvl,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            LazyFn::If => "if",
            LazyFn::CaseSearched => "case_searched",
            LazyFn::CaseSimple => "case_simple",
            LazyFn::Coalesce => "coalesce",
            LazyFn::Nvl => "nvl",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ApplyFn {
    Map,
    CartesianMap,
    Filter,
    Fold,
    CartesianFold,
    Any,
    All,
}

impl ApplyFn {
    pub(super) fn parse(name: &str) -> Option<ApplyFn> {
        Some(match name {
            "map" => ApplyFn::Map,
            "cartesian_map" => ApplyFn::CartesianMap,
            "filter" => ApplyFn::Filter,
            "fold" => ApplyFn::Fold,
            "cartesian_fold" => ApplyFn::CartesianFold,
            "any" => ApplyFn::Any,
            "all" => ApplyFn::All,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            ApplyFn::Map => "map",
            ApplyFn::CartesianMap => "cartesian_map",
            ApplyFn::Filter => "filter",
            ApplyFn::Fold => "fold",
            ApplyFn::CartesianFold => "cartesian_fold",
            ApplyFn::Any => "any",
            ApplyFn::All => "all",
        }
    }
}

impl Node {
    /// The children, lambda bodies apart.
    pub(super) fn children(&self) -> Vec<&Node> {
        match self {
            Node::Literal(_) | Node::Column(_) => Vec::new(),
            Node::Unary(_, child) | Node::Shared { node: child, .. } => vec![child],
            Node::Binary(_, left, right) | Node::Logic { left, right, .. } => vec![left, right],
            Node::Lazy(_, args) | Node::Apply { args, .. } => args.iter().collect(),
            Node::Call(call) => call.args.iter().collect(),
        }
    }

    /// Calls `each` with every column read, parameters of lambdas left out.
    pub(super) fn visit_columns(&self, bound: &mut Vec<Arc<str>>, each: &mut dyn FnMut(&Arc<str>)) {
        if let Node::Column(name) = self
            && !bound.contains(name)
        {
            each(name);
        }
        for child in self.children() {
            child.visit_columns(bound, each);
        }
        if let Node::Apply { lambda, .. } = self {
            let before = bound.len();
            bound.extend(lambda.params.iter().cloned());
            lambda.body.visit_columns(bound, each);
            bound.truncate(before);
        }
    }

    /// The granularity within whose buckets the node does not change; `Some(None)` for a node that never does. `None` where
    /// it reads columns otherwise than by parts of the time.
    pub(super) fn time_step(&self) -> Option<Option<Granularity>> {
        match self {
            Node::Literal(_) => return Some(None),
            Node::Column(_) | Node::Apply { .. } => return None,
            Node::Call(call) => {
                let reads_time = matches!(call.args.first(), Some(Node::Column(name)) if name.as_ref() == crate::TIME_COLUMN);
                if reads_time {
                    let constant = call.args[1..].iter().all(|arg| matches!(arg, Node::Literal(_)));
                    return call.callable.time_step().filter(|_| constant).map(Some);
                }
            }
            Node::Unary(..) | Node::Binary(..) | Node::Logic { .. } | Node::Lazy(..) | Node::Shared { .. } => {}
        }
        let mut step = None;
        for child in self.children() {
            match (child.time_step()?, &step) {
                (None, _) => {}
                (own, None) => step = own,
                (Some(own), Some(known)) if own == *known => {}
                (Some(_), Some(_)) => return None,
            }
        }
        Some(step)
    }

    /// True when the same inputs may give different results.
    pub(super) fn is_volatile(&self) -> bool {
        let own = match self {
            Node::Call(call) => call.function.volatile,
            Node::Apply { lambda, .. } => lambda.body.is_volatile(),
            _ => false,
        };
        own || self.children().into_iter().any(Node::is_volatile)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, name: &str, args: &[Node]| {
            write!(f, "{name}(")?;
            for (index, arg) in args.iter().enumerate() {
                write!(f, "{}{arg}", if index > 0 { ", " } else { "" })?;
            }
            f.write_str(")")
        };
        match self {
            Node::Literal(literal) => write_literal(f, literal),
            Node::Column(name) => write!(f, "\"{}\"", escape(name)),
            Node::Unary(UnaryOp::Minus, child) => write!(f, "-{child}"),
            Node::Unary(UnaryOp::Not, child) => write!(f, "!{child}"),
            Node::Binary(op, left, right) => write!(f, "({left} {} {right})", op.symbol()),
            Node::Logic { or, left, right } => write!(f, "({left} {} {right})", if *or { "||" } else { "&&" }),
            Node::Lazy(function, args) => list(f, function.name(), args),
            Node::Shared { node, .. } => node.fmt(f),
            Node::Call(call) => list(f, call.function.name, &call.args),
            Node::Apply { function, lambda, args } => {
                let params: Vec<String> = lambda.params.iter().map(|p| p.to_string()).collect();
                write!(f, "{}(({}) -> {}", function.name(), params.join(", "), lambda.body)?;
                args.iter().try_for_each(|arg| write!(f, ", {arg}"))?;
                f.write_str(")")
            }
        }
    }
}

fn write_literal(f: &mut fmt::Formatter<'_>, literal: &Literal) -> fmt::Result {
    match &literal.value {
        Value::Null => f.write_str("null"),
        Value::Long(value) => write!(f, "{value}"),
        Value::Float(value) => f.write_str(&double_to_text(f64::from(*value))),
        Value::Double(value) => f.write_str(&double_to_text(*value)),
        Value::String(text) => write!(f, "'{}'", escape(text)),
        Value::Array(elements) => {
            let several = literal.column_type == Some(ColumnType::String);
            match &literal.column_type {
                Some(ColumnType::String) => f.write_str("array_to_mv(ARRAY<STRING>")?,
                Some(column_type) => write!(f, "{column_type}")?,
                None => {}
            }
            f.write_str("[")?;
            for (index, element) in elements.iter().enumerate() {
                f.write_str(if index > 0 { ", " } else { "" })?;
                write_literal(f, &Literal { value: element.clone(), column_type: None })?;
            }
            f.write_str(if several { "])" } else { "]" })
        }
        Value::Json(json) => write!(f, "parse_json('{}')", escape(&json.to_string())),
        Value::Complex(name, _) => {
            let text = literal.value.as_text().unwrap_or_default();
            write!(f, "complex_decode_base64('{}', '{text}')", escape(name))
        }
    }
}

/// Escapes a text for the inside of either kind of quotes, as Java's `StringEscapeUtils.escapeJava` does.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out
}
