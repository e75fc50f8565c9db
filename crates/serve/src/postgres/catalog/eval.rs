//! Expressions of catalogue queries over one row: names, literals, operators with unknown (null), casts, subqueries.

use std::cmp::Ordering;

use pgwire::api::Type;
use sqlparser::ast::{
    AccessExpr, BinaryOperator, DataType, Expr, Ident, InTarget, Query, Subscript, UnaryOperator, Value, ValueWithSpan,
};

use super::datum::{Datum, array_from_text};
use super::select::{Ctes, Evaluator};
use super::{functions, types};
use crate::postgres::error::{PgError, PgResult};

/// A column of the rows at hand.
#[derive(Debug, Clone)]
pub struct Column {
    /// The name of its table there.
    pub table: String,
    pub name: String,
    pub kind: Type,
}

/// What an expression may refer to.
#[derive(Clone, Copy)]
pub struct Env<'a> {
    pub columns: &'a [Column],
    pub row: &'a [Datum],
    /// The rows of the group at hand, for aggregates.
    pub group: Option<&'a [Vec<Datum>]>,
    pub outer: Option<&'a Env<'a>>,
    pub ctes: &'a Ctes,
}

/// A name as PostgreSQL reads it: lower case unless it was quoted.
pub fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_ascii_lowercase() }
}

/// The place of a column among these; an error when there are several.
pub fn place(columns: &[Column], table: Option<&str>, name: &str) -> PgResult<Option<usize>> {
    let fits = |column: &Column| column.name == name && table.is_none_or(|table| column.table == table);
    let mut found = columns.iter().enumerate().filter(|(_, column)| fits(column));
    match (found.next(), found.next()) {
        (Some(_), Some(_)) => Err(PgError::new("42702", format!("column reference \"{name}\" is ambiguous"))),
        (first, _) => Ok(first.map(|(at, _)| at)),
    }
}

impl Evaluator<'_> {
    fn column(&self, table: Option<&str>, name: &str, env: &Env) -> PgResult<Option<Datum>> {
        let mut at = Some(env);
        while let Some(env) = at {
            if let Some(place) = place(env.columns, table, name)? {
                return Ok(Some(env.row[place].clone()));
            }
            at = env.outer;
        }
        Ok(None)
    }

    fn named(&self, parts: &[Ident], env: &Env) -> PgResult<Datum> {
        let names: Vec<String> = parts.iter().map(folded).collect();
        let (name, table) = match names.as_slice() {
            [name] => (name, None),
            [.., table, name] => (name, Some(table.as_str())),
            [] => return Err(PgError::new("42601", "a name is missing")),
        };
        if let Some(value) = self.column(table, name, env)? {
            return Ok(value);
        }
        if table.is_none()
            && let Some(value) = self.catalogue.session_value(name)
        {
            return Ok(value);
        }
        Err(PgError::new("42703", format!("column \"{}\" does not exist", names.join("."))))
    }

    /// The value of an expression.
    pub fn eval(&self, expr: &Expr, env: &Env) -> PgResult<Datum> {
        self.step()?;
        Ok(match expr {
            Expr::Identifier(name) => self.named(std::slice::from_ref(name), env)?,
            Expr::CompoundIdentifier(parts) => self.named(parts, env)?,
            Expr::Value(value) => self.literal(value)?,
            Expr::TypedString(typed) => self.cast(self.literal(&typed.value)?, &typed.data_type)?,
            Expr::Nested(inner) => self.eval(inner, env)?,
            Expr::Collate { expr, .. } => self.eval(expr, env)?,
            Expr::Cast { expr, data_type, .. } => self.cast(self.eval(expr, env)?, data_type)?,
            Expr::IsNull(inner) => Datum::Bool(self.eval(inner, env)?.is_null()),
            Expr::IsNotNull(inner) => Datum::Bool(!self.eval(inner, env)?.is_null()),
            Expr::IsTrue(inner) => Datum::Bool(self.eval(inner, env)?.truth() == Some(true)),
            Expr::IsNotTrue(inner) => Datum::Bool(self.eval(inner, env)?.truth() != Some(true)),
            Expr::IsFalse(inner) => Datum::Bool(self.eval(inner, env)?.truth() == Some(false)),
            Expr::IsNotFalse(inner) => Datum::Bool(self.eval(inner, env)?.truth() != Some(false)),
            Expr::IsDistinctFrom(a, b) => Datum::Bool(!same(&self.eval(a, env)?, &self.eval(b, env)?)),
            Expr::IsNotDistinctFrom(a, b) => Datum::Bool(same(&self.eval(a, env)?, &self.eval(b, env)?)),
            Expr::UnaryOp { op, expr } => self.unary(op, self.eval(expr, env)?)?,
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right, env)?,
            Expr::Between { expr, negated, low, high } => {
                let value = self.eval(expr, env)?;
                let low = compared(&value, &self.eval(low, env)?, Ordering::is_ge);
                let high = compared(&value, &self.eval(high, env)?, Ordering::is_le);
                negated_if(*negated, and(low, high))
            }
            Expr::In { expr, target, negated, .. } => negated_if(*negated, self.is_in(expr, target, env)?),
            Expr::Like { negated, expr, pattern, escape_char, .. } => {
                let escape = self.escape(escape_char.as_deref(), env)?;
                negated_if(*negated, like(&self.eval(expr, env)?, &self.eval(pattern, env)?, escape, false)?)
            }
            Expr::ILike { negated, expr, pattern, escape_char, .. } => {
                let escape = self.escape(escape_char.as_deref(), env)?;
                negated_if(*negated, like(&self.eval(expr, env)?, &self.eval(pattern, env)?, escape, true)?)
            }
            Expr::AnyOp { left, compare_op, right, .. } => self.any(left, compare_op, right, env, false)?,
            Expr::AllOp { left, compare_op, right } => self.any(left, compare_op, right, env, true)?,
            Expr::Case { operand, conditions, else_result, .. } => {
                let operand = operand.as_ref().map(|operand| self.eval(operand, env)).transpose()?;
                for case in conditions {
                    let condition = self.eval(&case.condition, env)?;
                    let holds = match &operand {
                        Some(operand) => compared(operand, &condition, Ordering::is_eq).truth(),
                        None => condition.truth(),
                    };
                    if holds == Some(true) {
                        return self.eval(&case.result, env);
                    }
                }
                else_result.as_ref().map_or(Ok(Datum::Null), |other| self.eval(other, env))?
            }
            Expr::Exists { subquery, negated } => {
                let found = !self.query(subquery, Some(env), env.ctes)?.rows.is_empty();
                Datum::Bool(found != *negated)
            }
            Expr::Subquery(query) => self.scalar(query, env)?,
            Expr::Array(array) => Datum::Array(array.elem.iter().map(|e| self.eval(e, env)).collect::<PgResult<_>>()?),
            Expr::CompoundFieldAccess { root, access_chain } => self.access(root, access_chain, env)?,
            Expr::Function(function) => self.call(function, env)?,
            Expr::Substring { expr, substring_from, substring_for, .. } => {
                let mut arguments = vec![self.eval(expr, env)?];
                for part in [substring_from, substring_for].into_iter().flatten() {
                    arguments.push(self.eval(part, env)?);
                }
                functions::call(self.catalogue, "substring", &arguments)?
            }
            Expr::Trim { expr, trim_what, .. } => {
                let mut arguments = vec![self.eval(expr, env)?];
                if let Some(what) = trim_what {
                    arguments.push(self.eval(what, env)?);
                }
                functions::call(self.catalogue, "btrim", &arguments)?
            }
            Expr::Position { expr, r#in } => {
                functions::call(self.catalogue, "strpos", &[self.eval(r#in, env)?, self.eval(expr, env)?])?
            }
            Expr::Floor { expr, .. } => functions::call(self.catalogue, "floor", &[self.eval(expr, env)?])?,
            Expr::Ceil { expr, .. } => functions::call(self.catalogue, "ceil", &[self.eval(expr, env)?])?,
            other => return Err(PgError::unsupported(format!("in a query of the catalogue: {other}"))),
        })
    }

    fn escape(&self, given: Option<&Expr>, env: &Env) -> PgResult<Option<char>> {
        match given {
            None => Ok(Some('\\')),
            Some(expr) => Ok(self.eval(expr, env)?.text().and_then(|text| text.chars().next())),
        }
    }

    fn literal(&self, value: &ValueWithSpan) -> PgResult<Datum> {
        Ok(match &value.value {
            Value::Number(text, _) => match text.parse::<i64>() {
                Ok(number) => Datum::Int(number),
                Err(_) => Datum::Float(text.parse().map_err(|_| PgError::new("22P02", format!("not a number: {text}")))?),
            },
            Value::Boolean(flag) => Datum::Bool(*flag),
            Value::Null => Datum::Null,
            Value::Placeholder(name) => {
                let number = name.trim_start_matches('$').parse::<usize>().unwrap_or(0);
                let missing = || PgError::new("42P02", format!("there is no parameter {name}"));
                number.checked_sub(1).and_then(|at| self.parameters.get(at)).cloned().ok_or_else(missing)?
            }
            other => match other.clone().into_string() {
                Some(text) => Datum::from(text),
                None => return Err(PgError::unsupported(format!("literal {other}"))),
            },
        })
    }

    fn scalar(&self, query: &Query, env: &Env) -> PgResult<Datum> {
        let mut rows = self.query(query, Some(env), env.ctes)?.rows;
        if rows.len() > 1 {
            return Err(PgError::new("21000", "more than one row returned by a subquery used as an expression"));
        }
        Ok(rows.pop().and_then(|row| row.into_iter().next()).unwrap_or(Datum::Null))
    }

    /// The first column of a subquery.
    pub fn list(&self, query: &Query, env: &Env) -> PgResult<Vec<Datum>> {
        let rows = self.query(query, Some(env), env.ctes)?.rows;
        Ok(rows.into_iter().filter_map(|row| row.into_iter().next()).collect())
    }

    fn is_in(&self, expr: &Expr, target: &InTarget, env: &Env) -> PgResult<Datum> {
        let value = self.eval(expr, env)?;
        let items = match target {
            InTarget::List(list) => list.iter().map(|item| self.eval(item, env)).collect::<PgResult<Vec<_>>>()?,
            InTarget::Subquery(query) => self.list(query, env)?,
            _ => return Err(PgError::unsupported(format!("in a query of the catalogue: {expr} IN this"))),
        };
        Ok(any_of(items.iter().map(|item| compared(&value, item, Ordering::is_eq))))
    }

    fn any(&self, left: &Expr, op: &BinaryOperator, right: &Expr, env: &Env, all: bool) -> PgResult<Datum> {
        let value = self.eval(left, env)?;
        let items = match right {
            Expr::Subquery(query) => self.list(query, env)?,
            other => match self.eval(other, env)? {
                Datum::Array(items) => items,
                Datum::Null => return Ok(Datum::Null),
                other => other.text().as_deref().and_then(array_from_text).unwrap_or_else(|| vec![other]),
            },
        };
        let found = items.iter().map(|item| operate(op, &value, item)).collect::<PgResult<Vec<_>>>()?;
        if all {
            return Ok(not(any_of(found.into_iter().map(not))));
        }
        Ok(any_of(found.into_iter()))
    }

    fn unary(&self, op: &UnaryOperator, value: Datum) -> PgResult<Datum> {
        Ok(match (op, value) {
            (UnaryOperator::Not, value) => not(value),
            (UnaryOperator::Plus, value) => value,
            (UnaryOperator::Minus, Datum::Int(number)) => Datum::Int(number.wrapping_neg()),
            (UnaryOperator::Minus, Datum::Float(number)) => Datum::Float(-number),
            (_, Datum::Null) => Datum::Null,
            (op, _) => return Err(PgError::unsupported(format!("operator {op} in a query of the catalogue"))),
        })
    }

    fn binary(&self, left: &Expr, op: &BinaryOperator, right: &Expr, env: &Env) -> PgResult<Datum> {
        let first = self.eval(left, env)?;
        match op {
            BinaryOperator::And if first.truth() == Some(false) => Ok(Datum::Bool(false)),
            BinaryOperator::Or if first.truth() == Some(true) => Ok(Datum::Bool(true)),
            _ => operate(op, &first, &self.eval(right, env)?),
        }
    }

    fn access(&self, root: &Expr, chain: &[AccessExpr], env: &Env) -> PgResult<Datum> {
        // `c.array[1]` comes as the root `c`, a name and a subscript.
        if let (Expr::Identifier(first), Some(AccessExpr::Dot(Expr::Identifier(second)))) = (root, chain.first()) {
            let name = Expr::CompoundIdentifier(vec![first.clone(), second.clone()]);
            return self.subscripts(self.eval(&name, env)?, &chain[1..], env);
        }
        self.subscripts(self.eval(root, env)?, chain, env)
    }

    fn subscripts(&self, mut value: Datum, chain: &[AccessExpr], env: &Env) -> PgResult<Datum> {
        for access in chain {
            let AccessExpr::Subscript(Subscript::Index { index }) = access else {
                return Err(PgError::unsupported("this access in a query of the catalogue"));
            };
            let index = self.eval(index, env)?.int();
            let items = match value {
                Datum::Array(items) => items,
                Datum::Text(text) => array_from_text(&text).unwrap_or_default(),
                _ => Vec::new(),
            };
            let at = index.and_then(|index| usize::try_from(index - 1).ok());
            value = at.and_then(|at| items.get(at)).cloned().unwrap_or(Datum::Null);
        }
        Ok(value)
    }

    fn cast(&self, value: Datum, to: &DataType) -> PgResult<Datum> {
        if value.is_null() {
            return Ok(Datum::Null);
        }
        let name = to.to_string().to_ascii_lowercase();
        let name = name.trim_start_matches("pg_catalog.");
        match name {
            "regclass" => return self.catalogue.regclass(&value),
            // As `regclass`: of a number its name, of a name its number.
            "regtype" => {
                let text = value.text().unwrap_or_default();
                let absent = || PgError::new("42704", format!("type \"{text}\" does not exist"));
                return match value.int() {
                    Some(oid) => Ok(Datum::from(types::format(oid))),
                    None => types::by_name(&text).map(|t| Datum::Int(i64::from(t.oid()))).ok_or_else(absent),
                };
            }
            "regproc" | "regprocedure" | "regrole" | "regnamespace" | "regoper" | "regconfig" => {
                return Ok(value.text().map_or(Datum::Null, Datum::from));
            }
            _ => {}
        }
        let wrong = |what: &str| {
            PgError::new("22P02", format!("invalid input syntax for type {what}: \"{}\"", value.text().unwrap_or_default()))
        };
        match types::by_name(name) {
            // `regclass` shows a name, but is a number.
            Some(Type::OID) => match value.int() {
                Some(number) => Ok(Datum::Int(number)),
                None => self.catalogue.oid_of(&value.text().unwrap_or_default()).map(Datum::Int),
            },
            Some(Type::INT2 | Type::INT4 | Type::INT8) => value.int().map(Datum::Int).ok_or_else(|| wrong(name)),
            Some(Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC) => value.float().map(Datum::Float).ok_or_else(|| wrong(name)),
            Some(Type::BOOL) => value.truth().map(Datum::Bool).ok_or_else(|| wrong(name)),
            Some(_) if name.ends_with("[]") => match &value {
                Datum::Array(_) => Ok(value),
                other => other.text().as_deref().and_then(array_from_text).map(Datum::Array).ok_or_else(|| wrong(name)),
            },
            Some(_) => match value {
                Datum::Bool(flag) => Ok(Datum::from(if flag { "true" } else { "false" })),
                other => Ok(other.text().map_or(Datum::Null, Datum::from)),
            },
            None => Err(PgError::new("42704", format!("type \"{name}\" does not exist"))),
        }
    }
}

fn same(a: &Datum, b: &Datum) -> bool {
    if a.is_null() || b.is_null() { a.is_null() && b.is_null() } else { a.compare(b).is_eq() }
}

fn not(value: Datum) -> Datum {
    value.truth().map_or(Datum::Null, |flag| Datum::Bool(!flag))
}

fn negated_if(negated: bool, value: Datum) -> Datum {
    if negated { not(value) } else { value }
}

fn and(a: Datum, b: Datum) -> Datum {
    match (a.truth(), b.truth()) {
        (Some(false), _) | (_, Some(false)) => Datum::Bool(false),
        (Some(true), Some(true)) => Datum::Bool(true),
        _ => Datum::Null,
    }
}

/// True when any is, unknown when none is but one may be.
fn any_of(values: impl Iterator<Item = Datum>) -> Datum {
    let mut unknown = false;
    for value in values {
        match value.truth() {
            Some(true) => return Datum::Bool(true),
            Some(false) => {}
            None => unknown = true,
        }
    }
    if unknown { Datum::Null } else { Datum::Bool(false) }
}

fn compared(a: &Datum, b: &Datum, fits: fn(Ordering) -> bool) -> Datum {
    if a.is_null() || b.is_null() { Datum::Null } else { Datum::Bool(fits(a.compare(b))) }
}

fn like(value: &Datum, pattern: &Datum, escape: Option<char>, any_case: bool) -> PgResult<Datum> {
    let (Some(text), Some(pattern)) = (value.text(), pattern.text()) else { return Ok(Datum::Null) };
    let mut expression = String::from(if any_case { "(?si)^" } else { "(?s)^" });
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            c if Some(c) == escape => expression += &regex::escape(&chars.next().unwrap_or(c).to_string()),
            '%' => expression += ".*",
            '_' => expression.push('.'),
            c => expression += &regex::escape(&c.to_string()),
        }
    }
    expression.push('$');
    matches(&text, &expression).map(Datum::Bool)
}

fn matches(text: &str, expression: &str) -> PgResult<bool> {
    let pattern = regex::RegexBuilder::new(expression).size_limit(1 << 20).build();
    pattern.map(|pattern| pattern.is_match(text)).map_err(|e| PgError::new("2201B", format!("invalid regular expression: {e}")))
}

fn regex_match(a: &Datum, b: &Datum, any_case: bool, negated: bool) -> PgResult<Datum> {
    let (Some(text), Some(pattern)) = (a.text(), b.text()) else { return Ok(Datum::Null) };
    let pattern = if any_case { format!("(?i){pattern}") } else { pattern };
    Ok(Datum::Bool(matches(&text, &pattern)? != negated))
}

/// An operator on two values.
fn operate(op: &BinaryOperator, a: &Datum, b: &Datum) -> PgResult<Datum> {
    use BinaryOperator as Op;
    let unsupported = || PgError::unsupported(format!("operator {op} in a query of the catalogue"));
    if let Op::PGCustomBinaryOperator(parts) = op {
        let op = match parts.last().map(String::as_str) {
            Some("~") => Op::PGRegexMatch,
            Some("~*") => Op::PGRegexIMatch,
            Some("!~") => Op::PGRegexNotMatch,
            Some("!~*") => Op::PGRegexNotIMatch,
            Some("=") => Op::Eq,
            Some("<>") => Op::NotEq,
            Some("~~") => Op::PGLikeMatch,
            Some("!~~") => Op::PGNotLikeMatch,
            _ => return Err(unsupported()),
        };
        return operate(&op, a, b);
    }
    Ok(match op {
        Op::And => and(a.clone(), b.clone()),
        Op::Or => not(and(not(a.clone()), not(b.clone()))),
        Op::Eq => compared(a, b, Ordering::is_eq),
        Op::NotEq => compared(a, b, Ordering::is_ne),
        Op::Lt => compared(a, b, Ordering::is_lt),
        Op::LtEq => compared(a, b, Ordering::is_le),
        Op::Gt => compared(a, b, Ordering::is_gt),
        Op::GtEq => compared(a, b, Ordering::is_ge),
        Op::PGRegexMatch => regex_match(a, b, false, false)?,
        Op::PGRegexIMatch => regex_match(a, b, true, false)?,
        Op::PGRegexNotMatch => regex_match(a, b, false, true)?,
        Op::PGRegexNotIMatch => regex_match(a, b, true, true)?,
        Op::PGLikeMatch => like(a, b, Some('\\'), false)?,
        Op::PGILikeMatch => like(a, b, Some('\\'), true)?,
        Op::PGNotLikeMatch => not(like(a, b, Some('\\'), false)?),
        Op::PGNotILikeMatch => not(like(a, b, Some('\\'), true)?),
        Op::StringConcat => match (a, b) {
            (Datum::Array(a), Datum::Array(b)) => Datum::Array(a.iter().chain(b).cloned().collect()),
            _ => match (a.text(), b.text()) {
                (Some(a), Some(b)) => Datum::from(a + &b),
                _ => Datum::Null,
            },
        },
        Op::Plus | Op::Minus | Op::Multiply | Op::Divide | Op::Modulo | Op::BitwiseAnd => {
            arithmetic(op, a, b).ok_or_else(unsupported)??
        }
        _ => return Err(unsupported()),
    })
}

fn arithmetic(op: &BinaryOperator, a: &Datum, b: &Datum) -> Option<PgResult<Datum>> {
    use BinaryOperator as Op;
    if a.is_null() || b.is_null() {
        return Some(Ok(Datum::Null));
    }
    let by_zero = || Err(PgError::new("22012", "division by zero"));
    let far = || PgError::new("22003", "bigint out of range");
    if let (Datum::Float(_), _) | (_, Datum::Float(_)) = (a, b) {
        let (a, b) = (a.float()?, b.float()?);
        return Some(Ok(Datum::Float(match op {
            Op::Plus => a + b,
            Op::Minus => a - b,
            Op::Multiply => a * b,
            Op::Divide if b == 0.0 => return Some(by_zero()),
            Op::Divide => a / b,
            _ => return None,
        })));
    }
    let (a, b) = (a.int()?, b.int()?);
    let result = match op {
        Op::Plus => a.checked_add(b),
        Op::Minus => a.checked_sub(b),
        Op::Multiply => a.checked_mul(b),
        Op::Divide | Op::Modulo if b == 0 => return Some(by_zero()),
        Op::Divide => a.checked_div(b),
        Op::Modulo => a.checked_rem(b),
        Op::BitwiseAnd => Some(a & b),
        _ => return None,
    };
    Some(result.map(Datum::Int).ok_or_else(far))
}
