//! Scalar expressions: operators with Calcite's implicit conversions.

use ovate_base::Result;
use ovate_compute::Value;

use super::literal::parse_timestamp_literal;
use super::query::Block;
use super::{Binder, Scope, error_at};
use crate::parse::ast::{BinaryOp, Expr, ExprKind, IsTest, Pos, TypeName};
use crate::plan::{Rex, SubqueryKind};
use crate::signature::{refuse_shape, type_text};
use crate::types::SqlType;

impl Binder<'_> {
    pub(super) fn expr(&mut self, expr: &Expr, scope: &Scope<'_>, block: &mut Block) -> Result<Rex> {
        let pos = expr.pos;
        match &expr.kind {
            ExprKind::Name(path) => match scope.resolve(path) {
                Err(error) if path.len() == 1 && !path[0].quoted => self.niladic(&path[0].value).ok_or(error),
                other => other,
            },
            ExprKind::Star => Err(error_at("Received an unexpected token [*]", pos)),
            ExprKind::Literal(literal) => self.literal(literal, pos),
            ExprKind::Parameter(index) => self.parameter(*index, pos),
            ExprKind::Symbol(text) => Ok(Rex::Literal(Value::from(text.as_str()), SqlType::Char)),
            ExprKind::Interval { negative, text, unit, to } => self.interval(*negative, text, unit, to.as_deref(), pos),
            ExprKind::Not(inner) => {
                let inner = self.expr(inner, scope, block)?;
                let refuse = |rex: Rex| refuse_shape("NOT", &format!("NOT<{}>", type_text(&rex)), "'NOT<BOOLEAN>'", pos);
                Ok(self.truth(inner).map_err(refuse)?.not())
            }
            ExprKind::Negate(inner) => {
                let inner = self.expr(inner, scope, block)?;
                self.negate(inner, pos)
            }
            ExprKind::Binary(op, left, right) => self.binary(*op, left, right, scope, block, pos),
            ExprKind::Is { expr, test, negated } => {
                let inner = self.expr(expr, scope, block)?;
                let inner = match test {
                    IsTest::Null => inner,
                    _ => self.truth(inner).map_err(|rex| {
                        let name = is_name(*test, *negated);
                        refuse_shape(name, &format!("<{}> {name}", type_text(&rex)), &format!("'<BOOLEAN> {name}'"), pos)
                    })?,
                };
                Ok(is_test(inner, *test, *negated))
            }
            ExprKind::IsDistinct { left, right, negated } => {
                let (left, right) = (self.expr(left, scope, block)?, self.expr(right, scope, block)?);
                let (left, right) = self.comparable(left, right, "IS DISTINCT FROM", pos)?;
                let op = if *negated { "IS NOT DISTINCT FROM" } else { "IS DISTINCT FROM" };
                Ok(Rex::call(op, vec![left, right], SqlType::Boolean))
            }
            ExprKind::Between { expr, low, high, negated, symmetric } => {
                let value = self.expr(expr, scope, block)?;
                let (low, high) = (self.expr(low, scope, block)?, self.expr(high, scope, block)?);
                let mut within = self.between(&value, low.clone(), high.clone(), pos)?;
                if *symmetric {
                    let swapped = self.between(&value, high, low, pos)?;
                    within = Rex::call("OR", vec![within, swapped], SqlType::Boolean);
                }
                Ok(if *negated { within.not() } else { within })
            }
            ExprKind::InList { expr, list, negated } => {
                let found = self.in_list(expr, list, scope, block, pos)?;
                Ok(if *negated { found.not() } else { found })
            }
            ExprKind::InQuery { expr, query, negated } => {
                let args = match &expr.kind {
                    ExprKind::Row(list) => list.iter().map(|e| self.expr(e, scope, block)).collect::<Result<Vec<_>>>()?,
                    _ => vec![self.expr(expr, scope, block)?],
                };
                let plan = self.query(query, Some(scope))?;
                if plan.fields.len() != args.len() {
                    return Err(error_at("Values passed to IN operator must have compatible types", pos));
                }
                let mut casted = Vec::with_capacity(args.len());
                let mut columns = plan.inputs();
                for (arg, column) in args.into_iter().zip(&mut columns) {
                    let (a, b) = self.comparable(arg, column.clone(), "IN", pos)?;
                    casted.push(a);
                    *column = b;
                }
                let plan = if columns == plan.inputs() {
                    plan
                } else {
                    let names: Vec<_> = plan.fields.iter().map(|f| f.name.clone()).collect();
                    plan.project(columns, &names)
                };
                let found = Rex::Subquery { kind: SubqueryKind::In, plan: plan.into(), args: casted, sql_type: SqlType::Boolean };
                Ok(if *negated { found.not() } else { found })
            }
            ExprKind::Like { expr, pattern, escape, negated, similar } => {
                if *similar {
                    return Err(error_at("SIMILAR TO is not supported", pos));
                }
                let mut args = vec![self.expr(expr, scope, block)?, self.expr(pattern, scope, block)?];
                args[0] = self.cast(args[0].clone(), &SqlType::Varchar);
                if let Some(escape) = escape {
                    args.push(self.expr(escape, scope, block)?);
                }
                let like = Rex::call("LIKE", args, SqlType::Boolean);
                Ok(if *negated { like.not() } else { like })
            }
            ExprKind::Case { operand, whens, otherwise } => {
                self.case(operand.as_deref(), whens, otherwise.as_deref(), scope, block, pos)
            }
            ExprKind::Cast { expr, to } => {
                let inner = self.expr(expr, scope, block)?;
                let to = type_of(to)?;
                if !castable(inner.sql_type(), &to) {
                    let from = inner.sql_type();
                    let message = format!("Cast function cannot convert value of type {from} to type {to}");
                    return Err(error_at(message, pos));
                }
                Ok(self.cast(inner, &to))
            }
            ExprKind::Call(call) => self.call(call, scope, block, pos),
            ExprKind::Array(list) => {
                let args = list.iter().map(|e| self.expr(e, scope, block)).collect::<Result<Vec<_>>>()?;
                self.function("ARRAY", args, pos)
            }
            ExprKind::Row(_) => Err(error_at("ROW values are only supported as operands of comparisons and IN", pos)),
            ExprKind::Subquery(query) => {
                let plan = self.query(query, Some(scope))?;
                if plan.fields.len() != 1 {
                    return Err(error_at("Cannot apply '$SCALAR_QUERY' to arguments: a scalar subquery gives one column", pos));
                }
                let sql_type = plan.fields[0].sql_type.clone();
                Ok(Rex::Subquery { kind: SubqueryKind::Scalar, plan: plan.into(), args: Vec::new(), sql_type })
            }
            ExprKind::ArrayQuery(query) => {
                let plan = self.query(query, Some(scope))?;
                let sql_type = SqlType::Array(Box::new(plan.fields[0].sql_type.clone()));
                Ok(Rex::Subquery { kind: SubqueryKind::Array, plan: plan.into(), args: Vec::new(), sql_type })
            }
            ExprKind::Exists(query) => {
                let plan = self.query(query, Some(scope))?;
                Ok(Rex::Subquery { kind: SubqueryKind::Exists, plan: plan.into(), args: Vec::new(), sql_type: SqlType::Boolean })
            }
            ExprKind::Item { base, index } => {
                let args = vec![self.expr(base, scope, block)?, self.expr(index, scope, block)?];
                self.function("ARRAY_ORDINAL", args, pos)
            }
        }
    }

    /// An expression where a condition is wanted; `clause` is WHERE, HAVING and so on.
    pub(super) fn boolean(&mut self, expr: &Expr, clause: &str, scope: &Scope<'_>, block: &mut Block) -> Result<Rex> {
        let rex = self.expr(expr, scope, block)?;
        self.truth(rex).map_err(|_| error_at(format!("{clause} clause must be a condition"), expr.pos))
    }

    /// The expression as a condition, or back when it is none.
    fn truth(&self, rex: Rex) -> std::result::Result<Rex, Rex> {
        match rex.sql_type() {
            SqlType::Boolean => Ok(rex),
            SqlType::Null => Ok(Rex::null(SqlType::Boolean)),
            SqlType::Any => Ok(self.cast(rex, &SqlType::Boolean)),
            _ => Err(rex),
        }
    }

    fn niladic(&self, name: &str) -> Option<Rex> {
        match name.to_ascii_uppercase().as_str() {
            "CURRENT_TIMESTAMP" | "LOCALTIMESTAMP" | "CURRENT_DATE" | "PI" => self.nullary_call(&name.to_ascii_uppercase()),
            _ => None,
        }
    }

    pub(super) fn nullary_call(&self, name: &str) -> Option<Rex> {
        let now = self.session.now_ms;
        match name {
            "CURRENT_TIMESTAMP" | "LOCALTIMESTAMP" => Some(Rex::Literal(Value::Long(now), SqlType::Timestamp)),
            "CURRENT_DATE" => {
                let zone = &self.session.zone;
                let local = zone.to_local(now);
                Some(Rex::Literal(Value::Long(zone.to_utc(local - local.rem_euclid(86_400_000))), SqlType::Date))
            }
            "PI" => Some(Rex::Literal(Value::Double(std::f64::consts::PI), SqlType::Double)),
            _ => None,
        }
    }

    fn negate(&self, inner: Rex, pos: Pos) -> Result<Rex> {
        let t = inner.sql_type().clone();
        match inner {
            Rex::Literal(Value::Long(v), t) if t.is_integer() || t.is_interval() => {
                Ok(Rex::Literal(Value::Long(v.wrapping_neg()), t))
            }
            Rex::Literal(Value::Double(v), t) if *v.to_string() == *"9223372036854775808" => {
                let _ = t;
                Ok(Rex::long(i64::MIN))
            }
            Rex::Literal(Value::Double(v), t) => Ok(Rex::Literal(Value::Double(-v), t)),
            inner if t.is_numeric() => Ok(Rex::call("NEGATE", vec![inner], t)),
            inner if t.is_text() => {
                let inner = self.cast(inner, &SqlType::Double);
                Ok(Rex::call("NEGATE", vec![inner], SqlType::Double))
            }
            Rex::Literal(Value::Null, t) => Ok(Rex::null(t)),
            other => {
                let forms = "'-<NUMERIC>'\n'-<DATETIME_INTERVAL>'";
                Err(refuse_shape("-", &format!("-<{}>", type_text(&other)), forms, pos))
            }
        }
    }

    fn binary(&mut self, op: BinaryOp, left: &Expr, right: &Expr, scope: &Scope<'_>, block: &mut Block, pos: Pos) -> Result<Rex> {
        use BinaryOp::*;
        if matches!(op, And | Or) {
            let name = if op == And { "AND" } else { "OR" };
            let (left, right) = (self.expr(left, scope, block)?, self.expr(right, scope, block)?);
            let (shown_left, shown_right) = (left.clone(), right.clone());
            let refuse = |_| infix_error(name, &shown_left, &shown_right, pos);
            let args = vec![self.truth(left).map_err(refuse)?, self.truth(right).map_err(refuse)?];
            return Ok(flatten(name, args));
        }
        if let (ExprKind::Row(a), ExprKind::Row(b)) = (&left.kind, &right.kind)
            && matches!(op, Eq | NotEq)
            && a.len() == b.len()
        {
            let mut parts = Vec::new();
            for (a, b) in a.iter().zip(b) {
                let (a, b) = (self.expr(a, scope, block)?, self.expr(b, scope, block)?);
                parts.push(self.compare("=", a, b, pos)?);
            }
            let all = Rex::and_all(parts);
            return Ok(if op == Eq { all } else { all.not() });
        }
        let (left, right) = (self.expr(left, scope, block)?, self.expr(right, scope, block)?);
        match op {
            Eq => self.compare("=", left, right, pos),
            NotEq => self.compare("<>", left, right, pos),
            Lt => self.compare("<", left, right, pos),
            LtEq => self.compare("<=", left, right, pos),
            Gt => self.compare(">", left, right, pos),
            GtEq => self.compare(">=", left, right, pos),
            Plus => self.arithmetic("+", left, right, pos),
            Minus => self.arithmetic("-", left, right, pos),
            Multiply => self.arithmetic("*", left, right, pos),
            Divide => self.arithmetic("/", left, right, pos),
            Modulo => self.arithmetic("MOD", left, right, pos),
            Concat => {
                let array = |r: &Rex| matches!(r.sql_type(), SqlType::Array(_));
                if array(&left) || array(&right) {
                    return Err(infix_error("||", &left, &right, pos));
                }
                let args = vec![self.cast(left, &SqlType::Varchar), self.cast(right, &SqlType::Varchar)];
                Ok(Rex::call("||", args, SqlType::Varchar))
            }
            And | Or => unreachable!("handled above"),
        }
    }

    /// Both operands converted to one type that can be compared (`TypeCoercion.binaryComparisonCoercion`).
    pub(super) fn comparable(&self, left: Rex, right: Rex, op: &str, pos: Pos) -> Result<(Rex, Rex)> {
        let (a, b) = (left.sql_type().clone(), right.sql_type().clone());
        let shown = (left.clone(), right.clone());
        let complex = |t: &SqlType| matches!(t, SqlType::Complex(_));
        let same = a == b && matches!(op, "=" | "<>" | "IN");
        let null = a == SqlType::Null || b == SqlType::Null;
        if (complex(&a) || complex(&b)) && !same && !null && !op.starts_with("IS ") {
            return Err(infix_error(op, &left, &right, pos));
        }
        let number = |t: &SqlType| t.is_numeric();
        let target = match (&a, &b) {
            (a, b) if a == b => return Ok((left, right)),
            (SqlType::Null, t) | (t, SqlType::Null) => t.clone(),
            (SqlType::Any, _) | (_, SqlType::Any) => return Ok((left, right)),
            (a, b) if a.is_text() && b.is_text() => return Ok((left, right)),
            (a, b) if number(a) && number(b) => {
                if a.is_integer() && b.is_integer() {
                    return Ok((left, right));
                }
                return Ok((left, right));
            }
            (a, b) if a.is_text() && number(b) => b.clone(),
            (a, b) if number(a) && b.is_text() => a.clone(),
            (a, b) if a.is_text() && (b.is_time() || *b == SqlType::Boolean) => b.clone(),
            (a, b) if (a.is_time() || *a == SqlType::Boolean) && b.is_text() => a.clone(),
            (a, b) if a.is_time() && b.is_time() => return Ok((left, right)),
            (SqlType::Boolean, b) if number(b) => return Ok((left, right)),
            (a, SqlType::Boolean) if number(a) => return Ok((left, right)),
            (SqlType::Array(x), SqlType::Array(y)) => match x.common(y) {
                Some(t) => SqlType::Array(Box::new(t)),
                None => return Err(infix_error(op, &shown.0, &shown.1, pos)),
            },
            (SqlType::Array(x), t) | (t, SqlType::Array(x)) if t.is_text() && x.is_text() => return Ok((left, right)),
            _ => return Err(infix_error(op, &shown.0, &shown.1, pos)),
        };
        Ok((self.cast(left, &target), self.cast(right, &target)))
    }

    pub(super) fn compare(&self, op: &'static str, left: Rex, right: Rex, pos: Pos) -> Result<Rex> {
        let (left, right) = self.comparable(left, right, op, pos)?;
        Ok(Rex::call(op, vec![left, right], SqlType::Boolean))
    }

    fn between(&self, value: &Rex, low: Rex, high: Rex, pos: Pos) -> Result<Rex> {
        let parts = vec![self.compare(">=", value.clone(), low, pos)?, self.compare("<=", value.clone(), high, pos)?];
        Ok(flatten("AND", parts))
    }

    pub(super) fn arithmetic(&self, op: &'static str, left: Rex, right: Rex, pos: Pos) -> Result<Rex> {
        let (a, b) = (left.sql_type().clone(), right.sql_type().clone());
        let shown = (left.clone(), right.clone());
        if matches!(op, "+" | "-") && a.is_time() && b.is_interval() {
            return Ok(Rex::call(op, vec![left, right], a));
        }
        if op == "+" && a.is_interval() && b.is_time() {
            return Ok(Rex::call(op, vec![right, left], b));
        }
        if a.is_interval() || b.is_interval() {
            let t = if a.is_interval() { a.clone() } else { b.clone() };
            let fits = match op {
                "+" | "-" => a == b,
                "*" => a.is_numeric() || b.is_numeric(),
                "/" => b.is_numeric(),
                _ => false,
            };
            if fits {
                if let (Some(Value::Long(x)), Some(Value::Long(y))) = (left.literal(), right.literal()) {
                    let value = match op {
                        "+" => x.checked_add(*y),
                        "-" => x.checked_sub(*y),
                        "*" => x.checked_mul(*y),
                        _ => x.checked_div(*y),
                    };
                    if let Some(value) = value {
                        return Ok(Rex::Literal(Value::Long(value), t));
                    }
                }
                return Ok(Rex::call(op, vec![left, right], t));
            }
            return Err(infix_error(op, &shown.0, &shown.1, pos));
        }
        // Text is read as the other operand's kind of number (`TypeCoercion.binaryArithmeticCoercion`).
        let numeric = |rex: Rex, other: &SqlType| -> Result<Rex> {
            match rex.sql_type() {
                t if t.is_numeric() => Ok(rex),
                SqlType::Null => Ok(Rex::null(SqlType::Integer)),
                t if t.is_text() && other.is_integer() => Ok(self.cast(rex, other)),
                t if t.is_text() || *t == SqlType::Any => Ok(self.cast(rex, &SqlType::Double)),
                _ => Err(infix_error(op, &shown.0, &shown.1, pos)),
            }
        };
        let (left, right) = (numeric(left, &b)?, numeric(right, &a)?);
        let sql_type = match (left.sql_type(), right.sql_type()) {
            (SqlType::Integer, SqlType::Integer) => SqlType::Integer,
            (a, b) => a.common(b).unwrap_or(SqlType::Double),
        };
        Ok(Rex::call(op, vec![left, right], sql_type))
    }

    fn in_list(&mut self, expr: &Expr, list: &[Expr], scope: &Scope<'_>, block: &mut Block, pos: Pos) -> Result<Rex> {
        if let ExprKind::Row(columns) = &expr.kind {
            let mut options = Vec::new();
            for item in list {
                let ExprKind::Row(values) = &item.kind else {
                    return Err(error_at("Values passed to IN operator must have compatible types", item.pos));
                };
                let mut parts = Vec::new();
                for (column, value) in columns.iter().zip(values) {
                    let (column, value) = (self.expr(column, scope, block)?, self.expr(value, scope, block)?);
                    parts.push(self.compare("=", column, value, pos)?);
                }
                options.push(Rex::and_all(parts));
            }
            return Ok(flatten("OR", options));
        }
        let value = self.expr(expr, scope, block)?;
        let items = list.iter().map(|e| self.expr(e, scope, block)).collect::<Result<Vec<_>>>()?;
        self.in_values(value, items, pos)
    }

    fn in_values(&self, value: Rex, items: Vec<Rex>, pos: Pos) -> Result<Rex> {
        let mut value = value;
        // The list has one type, text where any of it is text; between that and the value, numbers and times win over text.
        let list = items.iter().fold(SqlType::Null, |list, item| match (&list, item.sql_type()) {
            (list, t) if list.is_text() && !t.is_time() || t.is_text() && !list.is_time() => SqlType::Varchar,
            (list, t) => list.common(t).unwrap_or_else(|| t.clone()),
        });
        let own = value.sql_type().clone();
        let target = match (&own, &list) {
            (own, list) if own.is_text() && (list.is_time() || list.is_numeric()) => list.clone(),
            (own, list) if own.is_integer() && list.is_approximate() => SqlType::Double,
            (SqlType::Null, list) => list.clone(),
            _ => own.clone(),
        };
        let items: Vec<Rex> = items
            .into_iter()
            .map(|item| match (item.sql_type(), &target) {
                (t, target) if t.is_numeric() && target.is_text() => self.cast(item, &SqlType::Varchar),
                (t, target) if t.is_text() && target.is_numeric() => self.cast(item, target),
                _ => item,
            })
            .collect();
        if &target != value.sql_type() && !(target.is_numeric() && value.sql_type().is_numeric()) {
            value = self.cast(value, &target);
        }
        let mut args = vec![value];
        let mut others = Vec::new();
        for item in items {
            let (left, right) = self.comparable(args[0].clone(), item, "IN", pos)?;
            if right.is_literal() && left == args[0] {
                args.push(right);
            } else {
                others.push(Rex::call("=", vec![left, right], SqlType::Boolean));
            }
        }
        let mut options = others;
        match args.len() {
            1 => {}
            2 => {
                options.insert(0, Rex::call("=", args, SqlType::Boolean));
            }
            _ => options.insert(0, Rex::call("IN", args, SqlType::Boolean)),
        }
        Ok(flatten("OR", options))
    }

    fn case(
        &mut self,
        operand: Option<&Expr>,
        whens: &[(Expr, Expr)],
        otherwise: Option<&Expr>,
        scope: &Scope<'_>,
        block: &mut Block,
        pos: Pos,
    ) -> Result<Rex> {
        let mut args = Vec::new();
        let operand = operand.map(|e| self.expr(e, scope, block)).transpose()?;
        for (when, then) in whens {
            let condition = match &operand {
                None => {
                    let when = self.expr(when, scope, block)?;
                    self.truth(when).map_err(|_| error_at("Expected a boolean type", pos))?
                }
                Some(value) => {
                    let when = self.expr(when, scope, block)?;
                    self.compare("=", value.clone(), when, pos)?
                }
            };
            args.push(condition);
            args.push(self.expr(then, scope, block)?);
        }
        args.push(match otherwise {
            Some(e) => self.expr(e, scope, block)?,
            None => Rex::null(SqlType::Null),
        });
        self.case_of(args, pos)
    }

    /// CASE from conditions and values in turn; the values get their common type.
    pub(super) fn case_of(&self, mut args: Vec<Rex>, pos: Pos) -> Result<Rex> {
        let last = args.len() - 1;
        let is_value = |i: usize| i % 2 == 1 || i == last;
        let mut sql_type = SqlType::Null;
        for (i, arg) in args.iter().enumerate() {
            if is_value(i) {
                let t = arg.sql_type();
                sql_type =
                    sql_type.common(t).ok_or_else(|| error_at("Illegal mixing of types in CASE or COALESCE statement", pos))?;
            }
        }
        for (i, arg) in args.iter_mut().enumerate() {
            if is_value(i) && arg.sql_type() != &sql_type {
                *arg = self.cast(arg.clone(), &sql_type);
            }
        }
        Ok(Rex::call("CASE", args, sql_type))
    }

    /// A conversion; none where the native value stays as it is.
    pub(super) fn cast(&self, rex: Rex, to: &SqlType) -> Rex {
        cast(rex, to, &self.session.zone)
    }
}

/// Whether CAST takes a value of this type to that one (Calcite's `SqlTypeUtil.canCastFrom`).
fn castable(from: &SqlType, to: &SqlType) -> bool {
    match (from, to) {
        (SqlType::Null | SqlType::Any, _) | (_, SqlType::Any) => true,
        (SqlType::Array(a), SqlType::Array(b)) => castable(a, b),
        (SqlType::Array(_), _) | (_, SqlType::Array(_)) => false,
        (SqlType::Complex(a), SqlType::Complex(b)) => a == b,
        (SqlType::Complex(_), _) | (_, SqlType::Complex(_)) => false,
        _ => true,
    }
}

/// See `Binder::cast`.
pub(crate) fn cast(rex: Rex, to: &SqlType, zone: &ovate_base::time::Zone) -> Rex {
    let from = rex.sql_type().clone();
    if from == *to {
        return rex;
    }
    if let Rex::Literal(value, _) = &rex {
        let folded = match (value, to) {
            (Value::Null, _) => Some(Value::Null),
            (Value::String(_), t) if t.is_text() => Some(value.clone()),
            (Value::Long(_), t) if from.is_integer() && t.is_integer() => Some(value.clone()),
            (Value::Long(v), t) if from.is_integer() && t.is_approximate() => Some(Value::Double(*v as f64)),
            (Value::Double(_), t) if t.is_approximate() => Some(value.clone()),
            (Value::String(text), SqlType::Timestamp) => parse_timestamp_literal(text, zone).map(Value::Long),
            (Value::String(text), SqlType::Date) => super::parse_date_literal(text, zone).map(Value::Long),
            (Value::Long(v), t) if from.is_integer() && t.is_text() => Some(Value::from(v.to_string().as_str())),
            (Value::Long(v), t) if from == SqlType::Boolean && t.is_text() => Some(Value::from(if *v == 0 { "0" } else { "1" })),
            (Value::String(text), t) if t.is_integer() => text.trim().parse::<i64>().ok().map(Value::Long),
            (Value::String(text), t) if t.is_approximate() => text.trim().parse::<f64>().ok().map(Value::Double),
            (Value::Long(v), SqlType::Timestamp) if from == SqlType::Date => Some(Value::Long(*v)),
            _ => None,
        };
        if let Some(value) = folded {
            return Rex::Literal(value, to.clone());
        }
    }
    Rex::call("CAST", vec![rex], to.clone())
}

/// The error of an infix operator whose operands do not fit.
pub(super) fn infix_error(op: &str, left: &Rex, right: &Rex, pos: Pos) -> ovate_base::DruidError {
    let forms: &[(&str, &str)] = match op {
        "+" => &[
            ("NUMERIC", "NUMERIC"),
            ("DATETIME_INTERVAL", "DATETIME_INTERVAL"),
            ("DATETIME", "DATETIME_INTERVAL"),
            ("DATETIME_INTERVAL", "DATETIME"),
        ],
        "-" => &[("NUMERIC", "NUMERIC"), ("DATETIME_INTERVAL", "DATETIME_INTERVAL"), ("DATETIME", "DATETIME_INTERVAL")],
        "*" => &[("NUMERIC", "NUMERIC"), ("DATETIME_INTERVAL", "NUMERIC"), ("NUMERIC", "DATETIME_INTERVAL")],
        "/" => &[("NUMERIC", "NUMERIC"), ("DATETIME_INTERVAL", "NUMERIC")],
        "MOD" => &[("EXACT_NUMERIC", "EXACT_NUMERIC")],
        "||" => &[("STRING", "STRING")],
        "AND" | "OR" => &[("BOOLEAN", "BOOLEAN")],
        _ => &[("COMPARABLE_TYPE", "COMPARABLE_TYPE")],
    };
    let shown = if op == "MOD" { "%" } else { op };
    let list: Vec<String> = forms.iter().map(|(a, b)| format!("'<{a}> {shown} <{b}>'")).collect();
    let shape = format!("<{}> {shown} <{}>", type_text(left), type_text(right));
    refuse_shape(shown, &shape, &list.join("\n"), pos)
}

fn is_test(inner: Rex, test: IsTest, negated: bool) -> Rex {
    Rex::call(is_name(test, negated), vec![inner], SqlType::Boolean)
}

fn is_name(test: IsTest, negated: bool) -> &'static str {
    match (test, negated) {
        (IsTest::Null | IsTest::Unknown, false) => "IS NULL",
        (IsTest::Null | IsTest::Unknown, true) => "IS NOT NULL",
        (IsTest::True, false) => "IS TRUE",
        (IsTest::True, true) => "IS NOT TRUE",
        (IsTest::False, false) => "IS FALSE",
        (IsTest::False, true) => "IS NOT FALSE",
    }
}

/// AND or OR with nested ones of its kind taken in.
pub(super) fn flatten(op: &'static str, args: Vec<Rex>) -> Rex {
    let mut flat = Vec::with_capacity(args.len());
    for arg in args {
        match arg {
            Rex::Call { op: inner, args, .. } if inner == op => flat.extend(args),
            other => flat.push(other),
        }
    }
    if flat.len() == 1 { flat.remove(0) } else { Rex::call(op, flat, SqlType::Boolean) }
}

/// A type as written in CAST or RETURNING.
pub(super) fn type_of(name: &TypeName) -> Result<SqlType> {
    let mut sql_type = match &name.native {
        Some(native) => SqlType::of_native(&ovate_compute::ColumnType::parse(native)?),
        None => SqlType::parse(&name.name).map_err(|_| error_at(format!("Unknown identifier '{}'", name.name), name.pos))?,
    };
    for _ in 0..name.arrays {
        sql_type = SqlType::Array(Box::new(sql_type));
    }
    Ok(sql_type)
}
