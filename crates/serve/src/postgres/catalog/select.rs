//! Queries of the catalogue: SELECT with joins, grouping, ordering, set operations and subqueries over small tables in memory.
//! Every step is counted, so that no text makes it work for ever.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use pgwire::api::Type;
use sqlparser::ast::{
    BinaryOperator, Distinct, Expr, GroupByExpr, Join, JoinOperator, LimitClause, OrderBy, OrderByExpr, OrderByKind, Query,
    Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, SetOperator, SetQuantifier, TableFactor,
};

use super::Catalogue;
use super::datum::Datum;
use super::eval::{Column, Env, folded};
use super::functions;
use super::kinds;
use crate::postgres::error::{PgError, PgResult};

/// Expressions that one statement may work out.
const STEPS_MAX: usize = 20_000_000;
/// Rows that one relation may have on the way.
const ROWS_MAX: usize = 2_000_000;

/// Rows with named, typed columns.
#[derive(Debug, Clone, Default)]
pub struct Table {
    pub columns: Vec<(String, Type)>,
    pub rows: Vec<Vec<Datum>>,
}

/// Relations named by WITH.
pub type Ctes = HashMap<String, Arc<Table>>;

/// Rows while FROM is worked out.
#[derive(Default)]
pub(super) struct Rows {
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Datum>>,
}

/// Works out one statement.
pub struct Evaluator<'c> {
    pub catalogue: &'c Catalogue,
    pub parameters: &'c [Datum],
    steps: Cell<usize>,
}

impl<'c> Evaluator<'c> {
    pub fn new(catalogue: &'c Catalogue, parameters: &'c [Datum]) -> Self {
        Evaluator { catalogue, parameters, steps: Cell::new(0) }
    }

    /// Counts one step.
    pub(super) fn step(&self) -> PgResult<()> {
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() > STEPS_MAX {
            return Err(PgError::new("54001", "the query of the catalogue is too large; ask for less of it"));
        }
        Ok(())
    }

    pub(super) fn check_rows(&self, count: usize) -> PgResult<()> {
        if count > ROWS_MAX {
            return Err(PgError::new(
                "54001",
                format!("a query of the catalogue may not have more than {ROWS_MAX} rows on the way"),
            ));
        }
        Ok(())
    }

    /// The rows of a query.
    pub fn query(&self, query: &Query, outer: Option<&Env>, ctes: &Ctes) -> PgResult<Table> {
        let mut known;
        let mut ctes = ctes;
        if let Some(with) = &query.with {
            if with.recursive {
                return Err(PgError::unsupported("WITH RECURSIVE in a query of the catalogue"));
            }
            known = ctes.clone();
            for cte in &with.cte_tables {
                let mut table = self.query(&cte.query, outer, &known)?;
                for (column, alias) in table.columns.iter_mut().zip(&cte.alias.columns) {
                    column.0 = folded(&alias.name);
                }
                known.insert(folded(&cte.alias.name), Arc::new(table));
            }
            ctes = &known;
        }
        let order = order_of(query.order_by.as_ref())?;
        let mut table = match query.body.as_ref() {
            SetExpr::Select(select) => self.select(select, order, outer, ctes)?,
            other => {
                let mut table = self.set(other, outer, ctes)?;
                self.order_table(&mut table, order, outer, ctes)?;
                table
            }
        };
        self.limit(&mut table, query.limit_clause.as_ref(), outer, ctes)?;
        Ok(table)
    }

    fn set(&self, body: &SetExpr, outer: Option<&Env>, ctes: &Ctes) -> PgResult<Table> {
        match body {
            SetExpr::Select(select) => self.select(select, &[], outer, ctes),
            SetExpr::Query(query) => self.query(query, outer, ctes),
            SetExpr::Values(values) => {
                let env = Env { columns: &[], row: &[], group: None, outer, ctes };
                let mut table = Table::default();
                for row in &values.rows {
                    table.rows.push(row.content.iter().map(|e| self.eval(e, &env)).collect::<PgResult<_>>()?);
                    if table.columns.is_empty() {
                        let kind = |(i, e): (usize, &Expr)| (format!("column{}", i + 1), kinds::of(e, &env));
                        table.columns = row.content.iter().enumerate().map(kind).collect();
                    }
                }
                Ok(table)
            }
            SetExpr::SetOperation { left, op, set_quantifier, right } => {
                let (mut left, right) = (self.set(left, outer, ctes)?, self.set(right, outer, ctes)?);
                if left.columns.len() != right.columns.len() {
                    return Err(PgError::new("42601", format!("each {op} query must have the same number of columns")));
                }
                match op {
                    SetOperator::Union => left.rows.extend(right.rows),
                    SetOperator::Except | SetOperator::Minus => {
                        let gone: HashSet<String> = right.rows.iter().map(|row| row_key(row)).collect();
                        left.rows.retain(|row| !gone.contains(&row_key(row)));
                    }
                    SetOperator::Intersect => {
                        let kept: HashSet<String> = right.rows.iter().map(|row| row_key(row)).collect();
                        left.rows.retain(|row| kept.contains(&row_key(row)));
                    }
                }
                if !matches!(set_quantifier, SetQuantifier::All) {
                    distinct(&mut left.rows);
                }
                Ok(left)
            }
            other => Err(PgError::unsupported(format!("in a query of the catalogue: {other}"))),
        }
    }

    fn select(&self, select: &Select, order: &[OrderByExpr], outer: Option<&Env>, ctes: &Ctes) -> PgResult<Table> {
        let mut conditions = Vec::new();
        if let Some(selection) = &select.selection {
            conjuncts(selection, &mut conditions);
        }
        let mut rows = Rows { columns: Vec::new(), rows: vec![Vec::new()] };
        // What is asked of the result must not be asked of rows that an outer join may still fill with nulls.
        let late = select.from.iter().any(|item| item.joins.iter().any(keeps_right));
        let mut none = Vec::new();
        let early = if late { &mut none } else { &mut conditions };
        for item in &select.from {
            rows = self.append(rows, &item.relation, Kind::Inner, early, outer, ctes)?;
            for join in &item.joins {
                rows = self.join(rows, join, early, outer, ctes)?;
            }
        }
        let Rows { columns, rows } = rows;
        let mut kept = Vec::with_capacity(rows.len());
        'rows: for row in rows {
            for condition in &conditions {
                if self.eval(condition, &env_of(&columns, &row, outer, ctes))?.truth() != Some(true) {
                    continue 'rows;
                }
            }
            kept.push(row);
        }
        let mut items = self.items(select, &columns)?;
        let mut numbered = Rows { columns, rows: kept };
        self.numbered(&mut numbered, &mut items, outer, ctes)?;
        let Rows { columns, rows: kept } = numbered;
        let empty_env = env_of(&columns, &[], outer, ctes);
        let kinds: Vec<Type> = items.iter().map(|(_, e)| kinds::of(e, &empty_env)).collect();
        let keys = match &select.group_by {
            GroupByExpr::Expressions(keys, _) => keys.as_slice(),
            GroupByExpr::All(_) => return Err(PgError::unsupported("GROUP BY ALL in a query of the catalogue")),
        };
        let order_exprs = order.iter().map(|o| &o.expr);
        let grouped = !keys.is_empty() || items.iter().map(|(_, e)| e).chain(order_exprs).any(functions::has_aggregate);
        // Rows of the result beside what they are sorted by.
        let mut out: Vec<(Vec<Datum>, Vec<Datum>)> = Vec::new();
        let mut give = |env: &Env| -> PgResult<()> {
            let values = items.iter().map(|(_, e)| self.eval(e, env)).collect::<PgResult<Vec<_>>>()?;
            let sort = order.iter().map(|o| self.sort_value(&o.expr, &items, &values, env)).collect::<PgResult<Vec<_>>>()?;
            out.push((values, sort));
            Ok(())
        };
        if grouped {
            let mut groups: Vec<Vec<Vec<Datum>>> = Vec::new();
            let mut places: HashMap<String, usize> = HashMap::new();
            for row in kept {
                let env = env_of(&columns, &row, outer, ctes);
                let key = |key: &Expr| -> PgResult<String> {
                    let key = by_position(key, &items).or_else(|| by_alias(key, &items, &columns)).unwrap_or(key);
                    Ok(self.eval(key, &env)?.key())
                };
                let key = keys.iter().map(key).collect::<PgResult<Vec<_>>>()?.join("\u{1}");
                let place = *places.entry(key).or_insert_with(|| {
                    groups.push(Vec::new());
                    groups.len() - 1
                });
                groups[place].push(row);
            }
            if keys.is_empty() && groups.is_empty() {
                groups.push(Vec::new());
            }
            let nothing = vec![Datum::Null; columns.len()];
            for group in &groups {
                let env = Env { group: Some(group), ..env_of(&columns, group.first().unwrap_or(&nothing), outer, ctes) };
                if let Some(having) = &select.having
                    && self.eval(having, &env)?.truth() != Some(true)
                {
                    continue;
                }
                give(&env)?;
            }
        } else {
            for row in &kept {
                give(&env_of(&columns, row, outer, ctes))?;
            }
        }
        if let Some(Distinct::Distinct | Distinct::On(_)) = &select.distinct {
            let mut seen = HashSet::new();
            out.retain(|(row, _)| seen.insert(row_key(row)));
        }
        sort_rows(&mut out, order);
        let columns = items.into_iter().zip(kinds).map(|((name, _), kind)| (name, kind)).collect();
        Ok(Table { columns, rows: out.into_iter().map(|(row, _)| row).collect() })
    }

    /// What is selected, wildcards written out.
    fn items(&self, select: &Select, columns: &[Column]) -> PgResult<Vec<(String, Expr)>> {
        let mut items = Vec::new();
        let all = |table: Option<&str>, items: &mut Vec<(String, Expr)>| {
            for column in columns.iter().filter(|column| table.is_none_or(|table| column.table == table)) {
                let part = |name: &str| sqlparser::ast::Ident::with_quote('"', name);
                items.push((column.name.clone(), Expr::CompoundIdentifier(vec![part(&column.table), part(&column.name)])));
            }
        };
        for item in &select.projection {
            match item {
                SelectItem::UnnamedExpr(expr) => items.push((name_of(expr), expr.clone())),
                SelectItem::ExprWithAlias { expr, alias } => items.push((folded(alias), expr.clone())),
                SelectItem::Wildcard(_) => all(None, &mut items),
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                    let table = name.0.last().and_then(|part| part.as_ident()).map(folded);
                    all(table.as_deref(), &mut items);
                }
                other => return Err(PgError::unsupported(format!("in a query of the catalogue: {other}"))),
            }
        }
        Ok(items)
    }

    fn sort_value(&self, expr: &Expr, items: &[(String, Expr)], values: &[Datum], env: &Env) -> PgResult<Datum> {
        if let Some(place) = position(expr, items.len()) {
            return Ok(values[place].clone());
        }
        if let Expr::Identifier(name) = expr
            && let Some(place) = items.iter().position(|(item, _)| *item == folded(name))
        {
            return Ok(values[place].clone());
        }
        self.eval(expr, env)
    }

    fn order_table(&self, table: &mut Table, order: &[OrderByExpr], outer: Option<&Env>, ctes: &Ctes) -> PgResult<()> {
        if order.is_empty() {
            return Ok(());
        }
        let column = |(name, kind): &(String, Type)| Column { table: String::new(), name: name.clone(), kind: kind.clone() };
        let columns: Vec<Column> = table.columns.iter().map(column).collect();
        let mut rows = Vec::with_capacity(table.rows.len());
        for row in std::mem::take(&mut table.rows) {
            let env = Env { columns: &columns, row: &row, group: None, outer, ctes };
            let key = |o: &OrderByExpr| match position(&o.expr, row.len()) {
                Some(place) => Ok(row[place].clone()),
                None => self.eval(&o.expr, &env),
            };
            let keys = order.iter().map(key).collect::<PgResult<Vec<_>>>()?;
            rows.push((row, keys));
        }
        sort_rows(&mut rows, order);
        table.rows = rows.into_iter().map(|(row, _)| row).collect();
        Ok(())
    }

    fn limit(&self, table: &mut Table, clause: Option<&LimitClause>, outer: Option<&Env>, ctes: &Ctes) -> PgResult<()> {
        let env = Env { columns: &[], row: &[], group: None, outer, ctes };
        let count = |expr: &Expr| -> PgResult<Option<usize>> {
            Ok(self.eval(expr, &env)?.int().map(|n| usize::try_from(n).unwrap_or(0)))
        };
        let (limit, offset) = match clause {
            None => return Ok(()),
            Some(LimitClause::LimitOffset { limit, offset, .. }) => (
                limit.as_ref().map(count).transpose()?.flatten(),
                offset.as_ref().map(|o| count(&o.value)).transpose()?.flatten(),
            ),
            Some(LimitClause::OffsetCommaLimit { offset, limit }) => (count(limit)?, count(offset)?),
        };
        table.rows.drain(..offset.unwrap_or(0).min(table.rows.len()));
        table.rows.truncate(limit.unwrap_or(usize::MAX));
        Ok(())
    }
}

fn env_of<'a>(columns: &'a [Column], row: &'a [Datum], outer: Option<&'a Env<'a>>, ctes: &'a Ctes) -> Env<'a> {
    Env { columns, row, group: None, outer, ctes }
}

/// How a relation is put beside the rows before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Inner,
    Left,
    Right,
    Full,
}

fn order_of(order: Option<&OrderBy>) -> PgResult<&[OrderByExpr]> {
    match order.map(|order| &order.kind) {
        None => Ok(&[]),
        Some(OrderByKind::Expressions(list)) => Ok(list),
        Some(OrderByKind::All(_)) => Err(PgError::unsupported("ORDER BY ALL in a query of the catalogue")),
    }
}

/// Conditions that must all hold.
pub(super) fn conjuncts<'e>(expr: &'e Expr, out: &mut Vec<&'e Expr>) {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            conjuncts(left, out);
            conjuncts(right, out);
        }
        Expr::Nested(inner) => conjuncts(inner, out),
        other => out.push(other),
    }
}

fn row_key(row: &[Datum]) -> String {
    row.iter().map(Datum::key).collect::<Vec<_>>().join("\u{1}")
}

fn distinct(rows: &mut Vec<Vec<Datum>>) {
    let mut seen = HashSet::new();
    rows.retain(|row| seen.insert(row_key(row)));
}

pub(super) fn sort_rows(rows: &mut [(Vec<Datum>, Vec<Datum>)], order: &[OrderByExpr]) {
    if order.is_empty() {
        return;
    }
    rows.sort_by(|(_, a), (_, b)| {
        for ((a, b), by) in a.iter().zip(b).zip(order) {
            let descending = matches!(by.options.sort, Some(sqlparser::ast::OrderBySort::Desc));
            let nulls_first = by.options.nulls_first.unwrap_or(descending);
            let ordering = match (a.is_null(), b.is_null()) {
                (true, true) => std::cmp::Ordering::Equal,
                (true, false) if nulls_first => std::cmp::Ordering::Less,
                (true, false) => std::cmp::Ordering::Greater,
                (false, true) if nulls_first => std::cmp::Ordering::Greater,
                (false, true) => std::cmp::Ordering::Less,
                (false, false) if descending => b.compare(a),
                (false, false) => a.compare(b),
            };
            if ordering.is_ne() {
                return ordering;
            }
        }
        std::cmp::Ordering::Equal
    });
}

/// The place that a bare number stands for in ORDER BY and GROUP BY.
fn position(expr: &Expr, count: usize) -> Option<usize> {
    let Expr::Value(value) = expr else { return None };
    let sqlparser::ast::Value::Number(text, _) = &value.value else { return None };
    text.parse::<usize>().ok().filter(|n| (1..=count).contains(n)).map(|n| n - 1)
}

fn by_position<'e>(expr: &Expr, items: &'e [(String, Expr)]) -> Option<&'e Expr> {
    position(expr, items.len()).map(|place| &items[place].1)
}

fn by_alias<'e>(expr: &Expr, items: &'e [(String, Expr)], columns: &[Column]) -> Option<&'e Expr> {
    let Expr::Identifier(name) = expr else { return None };
    let name = folded(name);
    if columns.iter().any(|column| column.name == name) {
        return None;
    }
    items.iter().find(|(item, _)| *item == name).map(|(_, expr)| expr)
}

/// The name of a column that has none given.
fn name_of(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(name) => folded(name),
        Expr::CompoundIdentifier(parts) => parts.last().map(folded).unwrap_or_default(),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => name_of(inner),
        Expr::Cast { expr, data_type, .. } => match name_of(expr) {
            name if name == "?column?" => data_type.to_string().to_ascii_lowercase(),
            name => name,
        },
        Expr::Function(function) => functions::name(function),
        Expr::Case { .. } => "case".to_owned(),
        Expr::Exists { .. } => "exists".to_owned(),
        Expr::Array(_) => "array".to_owned(),
        _ => "?column?".to_owned(),
    }
}

fn keeps_right(join: &Join) -> bool {
    matches!(join.join_operator, JoinOperator::Right(_) | JoinOperator::RightOuter(_) | JoinOperator::FullOuter(_))
}

/// True for what is a table by its name alone.
pub(super) fn is_plain(factor: &TableFactor) -> bool {
    matches!(factor, TableFactor::Table { args: None, .. })
}
