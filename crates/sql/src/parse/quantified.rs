//! `x < ALL (…)`, `x >= SOME (…)` and the like: comparisons with the rows of a query or with the values of a list, in terms of others.
//! Equality with ANY is IN, inequality with ALL is NOT IN. Of the rest it is the least or the greatest value that decides: ALL is true of no
//! rows, false where that value already fails, and unknown where a null might.

use ovate_base::{DruidError, Result};

use super::Parser;
use super::ast::*;

/// Each copies its query and its left side, so that nested ones would grow without bound.
const IN_A_STATEMENT_MAX: usize = 5;

impl Parser {
    /// What follows a comparison and `ANY`, `SOME` or `ALL`.
    pub(super) fn quantified(&mut self, left: &Expr, op: BinaryOp) -> Result<Expr> {
        let all = self.at_word("ALL");
        self.at += 1;
        if (op == BinaryOp::Eq && !all) || (op == BinaryOp::NotEq && all) {
            return self.in_list(left, all);
        }
        self.expect_symbol("(")?;
        let of_query = self.starts_query();
        let result = if of_query {
            self.quantified += 1;
            if self.quantified > IN_A_STATEMENT_MAX {
                return Err(DruidError::invalid_sql(format!(
                    "a statement may compare with ALL, ANY or SOME of a query at most {IN_A_STATEMENT_MAX} times, besides = ANY and <> ALL"
                )));
            }
            let query = self.query()?;
            if all { all_of(left, op, &query) } else { not(all_of(left, opposite(op), &query)) }
        } else {
            let mut list = vec![self.expr()?];
            while self.accept_symbol(",") {
                list.push(self.expr()?);
            }
            let join = if all { BinaryOp::And } else { BinaryOp::Or };
            let pos = left.pos;
            let tests = list.into_iter().map(|value| binary(op, left.clone(), value));
            tests
                .reduce(|a, b| Expr { kind: ExprKind::Binary(join, Box::new(a), Box::new(b)), pos })
                .unwrap_or_else(|| left.clone())
        };
        self.expect_symbol(")")?;
        Ok(result)
    }
}

fn opposite(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Eq => BinaryOp::NotEq,
        BinaryOp::NotEq => BinaryOp::Eq,
        BinaryOp::Lt => BinaryOp::GtEq,
        BinaryOp::LtEq => BinaryOp::Gt,
        BinaryOp::Gt => BinaryOp::LtEq,
        BinaryOp::GtEq => BinaryOp::Lt,
        other => other,
    }
}

fn binary(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    let pos = left.pos;
    Expr { kind: ExprKind::Binary(op, Box::new(left), Box::new(right)), pos }
}

fn not(expr: Expr) -> Expr {
    let pos = expr.pos;
    Expr { kind: ExprKind::Not(Box::new(expr)), pos }
}

/// `left op ALL (query)`; `op` is not `<>`.
fn all_of(left: &Expr, op: BinaryOp, query: &Query) -> Expr {
    let pos = left.pos;
    let made = |kind: ExprKind| Expr { kind, pos };
    let ident = |value: &str| Ident { value: value.to_owned(), quoted: true, pos };
    let value = || made(ExprKind::Name(vec![ident("$quantified"), ident("$value")]));
    let call = |name: &str, arg: Expr| {
        let (name, written) = (name.to_owned(), name.to_owned());
        let (named, order_by) = (Vec::new(), Vec::new());
        made(ExprKind::Call(Box::new(Call {
            name,
            written,
            args: vec![arg],
            named,
            distinct: false,
            order_by,
            filter: None,
            over: None,
            returning: None,
            ignore_nulls: false,
        })))
    };
    // SELECT item FROM (query) AS "$quantified" ("$value")
    let of_rows = |item: Expr| {
        let alias = Alias { name: ident("$quantified"), columns: vec![ident("$value")] };
        let table = TableRef::Derived { query: Box::new(query.clone()), lateral: false, alias: Some(alias) };
        let mut select = Select::star(vec![table], pos);
        select.items = vec![SelectItem::Expr { expr: item, alias: None }];
        let body = QueryBody::Select(Box::new(select));
        made(ExprKind::Subquery(Box::new(Query { ctes: Vec::new(), body, order_by: Vec::new(), limit: None, offset: None })))
    };
    let literal = |literal: Literal| made(ExprKind::Literal(literal));
    let zero = || literal(Literal::Integer("0".to_owned()));
    let least = || of_rows(call("MIN", value()));
    let greatest = || of_rows(call("MAX", value()));
    let test = match op {
        BinaryOp::Lt | BinaryOp::LtEq => binary(op, left.clone(), least()),
        BinaryOp::Gt | BinaryOp::GtEq => binary(op, left.clone(), greatest()),
        _ => binary(BinaryOp::And, binary(op, left.clone(), least()), binary(op, left.clone(), greatest())),
    };
    let rows = of_rows(call("COUNT", made(ExprKind::Star)));
    let nulls = of_rows(binary(BinaryOp::Minus, call("COUNT", made(ExprKind::Star)), call("COUNT", value())));
    let whens = vec![
        (binary(BinaryOp::Eq, rows, zero()), literal(Literal::Boolean(true))),
        (not(test.clone()), literal(Literal::Boolean(false))),
        (binary(BinaryOp::Gt, nulls, zero()), literal(Literal::Null)),
    ];
    made(ExprKind::Case { operand: None, whens, otherwise: Some(Box::new(test)) })
}
