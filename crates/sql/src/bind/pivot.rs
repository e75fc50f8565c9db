//! PIVOT and UNPIVOT (SQL-15): turning rows to columns is grouping with filtered aggregates, turning columns to rows is
//! unnesting an array of them.

use std::sync::Arc;

use ovate_base::Result;
use ovate_compute::Value;

use super::query::Block;
use super::{Binder, Scope, error_at};
use crate::functions::find_aggregate;
use crate::parse::ast::{Expr, ExprKind, Ident, Literal, Pos};
use crate::plan::{AggregateCall, Rel, RelKind, Rex};
use crate::types::{Field, SqlType};

impl Binder<'_> {
    /// Groups by the columns that neither the aggregates nor the axes name; each value has its aggregates.
    pub(super) fn pivot(
        &mut self,
        rel: Rel,
        scope: &Scope<'_>,
        aggregates: &[(Expr, Option<Ident>)],
        axes: &[Ident],
        values: &[(Vec<Expr>, Option<Ident>)],
        pos: Pos,
    ) -> Result<Rel> {
        let axes: Vec<Rex> = axes.iter().map(|axis| scope.resolve(std::slice::from_ref(axis))).collect::<Result<_>>()?;
        let mut calls: Vec<(AggregateCall, Option<String>)> = Vec::new();
        for (expr, alias) in aggregates {
            let found = match &expr.kind {
                ExprKind::Call(call) => find_aggregate(&call.name).map(|function| (function, call)),
                _ => None,
            };
            let Some((function, call)) = found else {
                return Err(error_at("Measure expression in PIVOT must use aggregate function", expr.pos));
            };
            calls.push((self.aggregate(function, call, scope, expr.pos)?, alias.as_ref().map(|a| a.value.clone())));
        }
        let mut used = Vec::new();
        for rex in axes.iter().chain(calls.iter().flat_map(|(call, _)| call.args.iter().chain(&call.filter))) {
            rex.inputs_used(&mut used);
        }
        let keys: Vec<usize> = (0..rel.fields.len()).filter(|i| !used.contains(i)).collect();
        let mut fields: Vec<Field> = keys.iter().map(|i| rel.fields[*i].clone()).collect();
        let mut made = Vec::new();
        for (value, alias) in values {
            if value.len() != axes.len() {
                return Err(error_at("Value count in PIVOT must match number of FOR columns", pos));
            }
            let mut parts = Vec::new();
            let mut texts = Vec::new();
            for (axis, expr) in axes.iter().zip(value) {
                let bound = self.expr(expr, scope, &mut Block::scalar())?;
                texts.push(literal_text(expr));
                parts.push(self.compare("=", axis.clone(), bound, expr.pos)?);
            }
            let label = alias.as_ref().map_or_else(|| texts.join("_"), |a| a.value.clone());
            for (call, own) in &calls {
                let name = own.as_ref().map_or_else(|| label.clone(), |own| format!("{label}_{own}"));
                let filter = Rex::and_all(call.filter.iter().cloned().chain(parts.iter().cloned()).collect());
                fields.push(Field::new(&name, call.sql_type.clone()));
                made.push(AggregateCall { filter: Some(filter), ..call.clone() });
            }
        }
        let exprs: Vec<Rex> = keys.iter().map(|i| Rex::Input(*i, rel.fields[*i].sql_type.clone())).collect();
        let sets = vec![(0..exprs.len()).collect()];
        Ok(Rel::new(RelKind::Aggregate { input: Box::new(rel), keys: exprs, sets, aggregates: made }, fields))
    }

    /// The other columns, then the axes, then the measures; a row for each entry of IN.
    #[allow(clippy::too_many_arguments)] // the parts of one clause
    pub(super) fn unpivot(
        &mut self,
        rel: Rel,
        scope: &Scope<'_>,
        include_nulls: bool,
        measures: &[Ident],
        axes: &[Ident],
        columns: &[(Vec<Ident>, Vec<Expr>)],
        pos: Pos,
    ) -> Result<Rel> {
        let mut measured: Vec<Vec<Rex>> = vec![Vec::new(); measures.len()];
        let mut labelled: Vec<Vec<Rex>> = vec![Vec::new(); axes.len()];
        let mut used = Vec::new();
        for (names, labels) in columns {
            if names.len() != measures.len() {
                return Err(error_at("Value count in UNPIVOT must match number of measure columns", pos));
            }
            for (name, list) in names.iter().zip(&mut measured) {
                let rex = scope.resolve(std::slice::from_ref(name))?;
                rex.inputs_used(&mut used);
                list.push(rex);
            }
            let name = names.iter().map(|n| n.value.as_str()).collect::<Vec<_>>().join("_");
            for (i, list) in labelled.iter_mut().enumerate() {
                list.push(match labels.get(i) {
                    Some(expr) => self.expr(expr, scope, &mut Block::scalar())?,
                    None => Rex::Literal(Value::from(name.as_str()), SqlType::Varchar),
                });
            }
        }
        let width = rel.fields.len();
        let mut fields = rel.fields.to_vec();
        let mut arrays = Vec::new();
        for (name, mut list) in axes.iter().zip(labelled).chain(measures.iter().zip(measured)) {
            let mut element = SqlType::Null;
            for rex in &list {
                let common = element.common(rex.sql_type());
                element = common.ok_or_else(|| error_at("Columns of UNPIVOT have no common type", pos))?;
            }
            list = list.into_iter().map(|rex| self.cast(rex, &element)).collect();
            fields.push(Field::new(&name.value, element.clone()));
            arrays.push(Rex::call("ARRAY", list, SqlType::Array(Box::new(element))));
        }
        let unnested = Rel::new(RelKind::Unnest { input: Box::new(rel), arrays, ordinality: false }, fields);
        let keep: Vec<usize> = (0..unnested.fields.len()).filter(|i| !used.contains(i)).collect();
        let exprs: Vec<Rex> = keep.iter().map(|i| Rex::Input(*i, unnested.fields[*i].sql_type.clone())).collect();
        let names: Vec<Arc<str>> = keep.iter().map(|i| unnested.fields[*i].name.clone()).collect();
        let first = width + axes.len();
        let present = (first..unnested.fields.len())
            .map(|i| Rex::call("IS NOT NULL", vec![Rex::Input(i, unnested.fields[i].sql_type.clone())], SqlType::Boolean));
        let present = present.collect::<Vec<_>>();
        let rows = match (include_nulls, present.len()) {
            (true, _) => unnested,
            (false, 1) => unnested.filter(Rex::and_all(present)),
            (false, _) => unnested.filter(Rex::call("OR", present, SqlType::Boolean)),
        };
        Ok(rows.project(exprs, &names))
    }
}

/// A value as a column's name: the text of the literal.
fn literal_text(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Literal(Literal::String(text)) => format!("'{text}'"),
        ExprKind::Literal(Literal::Integer(text) | Literal::Decimal(text) | Literal::Double(text)) => text.clone(),
        ExprKind::Literal(Literal::Boolean(value)) => value.to_string().to_uppercase(),
        ExprKind::Literal(Literal::Null) => "NULL".to_owned(),
        ExprKind::Literal(Literal::Date(text)) => format!("DATE '{text}'"),
        ExprKind::Literal(Literal::Timestamp(text)) => format!("TIMESTAMP '{text}'"),
        ExprKind::Negate(inner) => format!("-{}", literal_text(inner)),
        _ => "EXPR".to_owned(),
    }
}
