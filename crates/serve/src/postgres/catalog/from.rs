//! FROM in queries of the catalogue: tables, subqueries and functions put beside each other. Equal columns are found by hashing.

use std::collections::HashMap;

use pgwire::api::Type;
use sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, Ident, Join, JoinConstraint, JoinOperator, ObjectName, TableAlias, TableFactor,
};

use super::datum::Datum;
use super::eval::{Column, Env, folded, place};
use super::select::{Ctes, Evaluator, Kind, Rows, Table, conjuncts, is_plain};
use super::{functions, kinds, tables};
use crate::postgres::error::{PgError, PgResult};

impl Evaluator<'_> {
    pub(super) fn join<'e>(
        &self,
        rows: Rows,
        join: &'e Join,
        conditions: &mut Vec<&'e Expr>,
        outer: Option<&Env>,
        ctes: &Ctes,
    ) -> PgResult<Rows> {
        let (kind, constraint) = match &join.join_operator {
            JoinOperator::Join(c) | JoinOperator::Inner(c) | JoinOperator::CrossJoin(c) => (Kind::Inner, c),
            JoinOperator::Left(c) | JoinOperator::LeftOuter(c) => (Kind::Left, c),
            JoinOperator::Right(c) | JoinOperator::RightOuter(c) => (Kind::Right, c),
            JoinOperator::FullOuter(c) => (Kind::Full, c),
            _ => return Err(PgError::unsupported("this join in a query of the catalogue")),
        };
        match constraint {
            JoinConstraint::On(on) if kind == Kind::Inner => {
                // Those of WHERE help to find candidates; what neither decides yet is decided here, if it is the join's.
                let mut list = Vec::new();
                conjuncts(on, &mut list);
                let own = list.clone();
                list.append(conditions);
                let joined = self.append(rows, &join.relation, kind, &mut list, outer, ctes)?;
                let (left, rest): (Vec<&Expr>, Vec<&Expr>) =
                    list.into_iter().partition(|condition| own.iter().any(|own| std::ptr::eq(*own, *condition)));
                *conditions = rest;
                self.kept(joined, &left, outer, ctes)
            }
            JoinConstraint::On(on) => {
                let mut on_list = Vec::new();
                conjuncts(on, &mut on_list);
                self.append(rows, &join.relation, kind, &mut on_list, outer, ctes)
            }
            JoinConstraint::None if kind == Kind::Inner => self.append(rows, &join.relation, kind, conditions, outer, ctes),
            JoinConstraint::Using(names) => self.join_using(rows, &join.relation, kind, names, outer, ctes),
            _ => Err(PgError::unsupported("this join condition in a query of the catalogue")),
        }
    }

    /// `USING`: the columns of the right side that are equal by definition are dropped.
    fn join_using(
        &self,
        rows: Rows,
        factor: &TableFactor,
        kind: Kind,
        names: &[ObjectName],
        outer: Option<&Env>,
        ctes: &Ctes,
    ) -> PgResult<Rows> {
        if matches!(kind, Kind::Right | Kind::Full) {
            return Err(PgError::unsupported("USING with RIGHT or FULL JOIN in a query of the catalogue"));
        }
        let alias = alias_of(factor).ok_or_else(|| PgError::unsupported("USING without a name for its table"))?;
        let quoted = |name: &str| Ident::with_quote('"', name);
        let mut list = Vec::new();
        let mut dropped = Vec::new();
        for name in names {
            let name = name.0.last().and_then(|part| part.as_ident()).map(folded).unwrap_or_default();
            let Some(left) = place(&rows.columns, None, &name)? else {
                return Err(PgError::new("42703", format!("column \"{name}\" does not exist in the left table")));
            };
            let table = rows.columns[left].table.clone();
            let side = |table: &str| Box::new(Expr::CompoundIdentifier(vec![quoted(table), quoted(&name)]));
            list.push(Expr::BinaryOp { left: side(&table), op: BinaryOperator::Eq, right: side(&alias) });
            dropped.push(name);
        }
        let width = rows.columns.len();
        let mut conditions: Vec<&Expr> = list.iter().collect();
        let joined = self.append(rows, factor, kind, &mut conditions, outer, ctes)?;
        let mut joined = self.kept(joined, &conditions, outer, ctes)?;
        let keep: Vec<bool> = joined.columns.iter().enumerate().map(|(i, c)| i < width || !dropped.contains(&c.name)).collect();
        let mut flags = keep.iter();
        joined.columns.retain(|_| *flags.next().unwrap_or(&true));
        for row in &mut joined.rows {
            let mut flags = keep.iter();
            row.retain(|_| *flags.next().unwrap_or(&true));
        }
        Ok(joined)
    }

    /// Puts one relation beside the rows. Conditions that can be decided then are taken off the list: all of an outer join's,
    /// and for others those whose columns are all there.
    pub(super) fn append<'e>(
        &self,
        rows: Rows,
        factor: &'e TableFactor,
        kind: Kind,
        conditions: &mut Vec<&'e Expr>,
        outer: Option<&Env>,
        ctes: &Ctes,
    ) -> PgResult<Rows> {
        if let TableFactor::NestedJoin { table_with_joins, alias: None } = factor {
            let mut inner = Vec::new();
            let start = Rows { columns: Vec::new(), rows: vec![Vec::new()] };
            let mut right = self.append(start, &table_with_joins.relation, Kind::Inner, &mut inner, outer, ctes)?;
            for join in &table_with_joins.joins {
                right = self.join(right, join, &mut inner, outer, ctes)?;
            }
            right = self.kept(right, &inner, outer, ctes)?;
            return self.combine(rows, right, kind, conditions, outer, ctes);
        }
        if is_lateral(factor) {
            return self.append_lateral(rows, factor, kind, conditions, outer, ctes);
        }
        let right = self.relation(factor, outer, ctes)?;
        self.combine(rows, right, kind, conditions, outer, ctes)
    }

    fn kept(&self, mut rows: Rows, conditions: &[&Expr], outer: Option<&Env>, ctes: &Ctes) -> PgResult<Rows> {
        let mut list = Vec::with_capacity(rows.rows.len());
        'rows: for row in rows.rows {
            let env = Env { columns: &rows.columns, row: &row, group: None, outer, ctes };
            for condition in conditions {
                if self.eval(condition, &env)?.truth() != Some(true) {
                    continue 'rows;
                }
            }
            list.push(row);
        }
        rows.rows = list;
        Ok(rows)
    }

    fn combine(
        &self,
        left: Rows,
        right: Rows,
        kind: Kind,
        conditions: &mut Vec<&Expr>,
        outer: Option<&Env>,
        ctes: &Ctes,
    ) -> PgResult<Rows> {
        let (left_width, right_width) = (left.columns.len(), right.columns.len());
        let mut columns = left.columns;
        columns.extend(right.columns.iter().cloned());
        let mut decided = Vec::new();
        if kind == Kind::Inner {
            conditions.retain(|condition| {
                let here = kinds::is_decided(condition, &columns);
                if here {
                    decided.push(*condition);
                }
                !here
            });
        } else {
            decided.append(conditions);
        }
        // One condition of the form "left column = right column" finds the candidates.
        let hashed = decided.iter().position(|c| equal_columns(c, &columns, left_width).is_some());
        let hashed = hashed.and_then(|at| equal_columns(decided[at], &columns, left_width));
        let index = hashed.map(|(_, at)| {
            let mut index: HashMap<String, Vec<usize>> = HashMap::new();
            for (place, row) in right.rows.iter().enumerate().filter(|(_, row)| !row[at].is_null()) {
                index.entry(row[at].key()).or_default().push(place);
            }
            index
        });
        let every: Vec<usize> = (0..right.rows.len()).collect();
        let mut matched = vec![false; right.rows.len()];
        let mut out = Vec::new();
        for row in left.rows {
            let candidates: &[usize] = match (&index, hashed) {
                (Some(index), Some((at, _))) => index.get(&row[at].key()).map_or(&[], Vec::as_slice),
                _ => &every,
            };
            let mut found = false;
            for &candidate in candidates {
                self.step()?;
                let mut both = row.clone();
                both.extend(right.rows[candidate].iter().cloned());
                let env = Env { columns: &columns, row: &both, group: None, outer, ctes };
                let mut holds = true;
                for condition in &decided {
                    if self.eval(condition, &env)?.truth() != Some(true) {
                        holds = false;
                        break;
                    }
                }
                if holds {
                    found = true;
                    matched[candidate] = true;
                    out.push(both);
                    self.check_rows(out.len())?;
                }
            }
            if !found && matches!(kind, Kind::Left | Kind::Full) {
                let mut both = row;
                both.resize(left_width + right_width, Datum::Null);
                out.push(both);
            }
        }
        if matches!(kind, Kind::Right | Kind::Full) {
            for (place, row) in right.rows.into_iter().enumerate().filter(|(place, _)| !matched[*place]) {
                debug_assert!(!matched[place]);
                let mut both = vec![Datum::Null; left_width];
                both.extend(row);
                out.push(both);
            }
        }
        Ok(Rows { columns, rows: out })
    }

    fn append_lateral<'e>(
        &self,
        left: Rows,
        factor: &'e TableFactor,
        kind: Kind,
        conditions: &mut Vec<&'e Expr>,
        outer: Option<&Env>,
        ctes: &Ctes,
    ) -> PgResult<Rows> {
        if matches!(kind, Kind::Right | Kind::Full) {
            return Err(PgError::unsupported("RIGHT or FULL JOIN LATERAL in a query of the catalogue"));
        }
        let mut columns = left.columns.clone();
        let mut rows = Vec::new();
        let mut first = true;
        let mut width = 0;
        for row in left.rows {
            let env = Env { columns: &left.columns, row: &row, group: None, outer, ctes };
            let right = self.relation(factor, Some(&env), ctes)?;
            if first {
                width = right.columns.len();
                columns.extend(right.columns.iter().cloned());
                first = false;
            }
            let single = Rows { columns: left.columns.clone(), rows: vec![row] };
            let mut here: Vec<&Expr> = if kind == Kind::Left { conditions.clone() } else { Vec::new() };
            let joined = self.combine(single, right, kind, &mut here, outer, ctes)?;
            rows.extend(joined.rows);
            self.check_rows(rows.len())?;
        }
        if first {
            // No row to try it with: its columns are still wanted.
            let nothing = vec![Datum::Null; left.columns.len()];
            let env = Env { columns: &left.columns, row: &nothing, group: None, outer, ctes };
            columns.extend(self.relation(factor, Some(&env), ctes)?.columns);
        }
        debug_assert!(rows.iter().all(|row| row.len() == left.columns.len() + width));
        if kind == Kind::Left {
            conditions.clear();
        }
        Ok(Rows { columns, rows })
    }

    /// The rows of one relation.
    fn relation(&self, factor: &TableFactor, outer: Option<&Env>, ctes: &Ctes) -> PgResult<Rows> {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => self.table(name, alias.as_ref(), ctes),
            TableFactor::Table { name, alias, args: Some(args), with_ordinality, .. } => {
                self.function(name, &args.args, alias.as_ref(), *with_ordinality, outer, ctes)
            }
            TableFactor::Function { name, args, alias, with_ordinality, .. } => {
                self.function(name, args, alias.as_ref(), *with_ordinality, outer, ctes)
            }
            TableFactor::Derived { subquery, alias, .. } => {
                let table = self.query(subquery, outer, ctes)?;
                Ok(named(table, alias.as_ref().map_or(String::new(), |a| folded(&a.name)), alias.as_ref()))
            }
            TableFactor::UNNEST { alias, array_exprs, with_ordinality, .. } => {
                let env = Env { columns: &[], row: &[], group: None, outer, ctes };
                let mut lists = Vec::new();
                for expr in array_exprs {
                    lists.push(functions::items(&self.eval(expr, &env)?));
                }
                let count = lists.iter().map(Vec::len).max().unwrap_or(0);
                let cell = |list: &Vec<Datum>, row: usize| list.get(row).cloned().unwrap_or(Datum::Null);
                let rows = (0..count).map(|row| lists.iter().map(|list| cell(list, row)).collect()).collect();
                let columns = lists.iter().map(|_| ("unnest".to_owned(), Type::TEXT)).collect();
                Ok(function_rows(Table { columns, rows }, "unnest", alias.as_ref(), *with_ordinality))
            }
            other => Err(PgError::unsupported(format!("in a query of the catalogue: {other}"))),
        }
    }

    fn table(&self, name: &ObjectName, alias: Option<&TableAlias>, ctes: &Ctes) -> PgResult<Rows> {
        let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(folded).collect();
        let (schema, table) = match parts.as_slice() {
            [table] => (None, table),
            [.., schema, table] => (Some(schema.as_str()), table),
            [] => return Err(PgError::new("42601", "a table's name is missing")),
        };
        let shown = alias.map_or_else(|| table.clone(), |alias| folded(&alias.name));
        if schema.is_none()
            && let Some(cte) = ctes.get(table)
        {
            return Ok(named(cte.as_ref().clone(), shown, alias));
        }
        let absent = || PgError::new("42P01", format!("relation \"{}\" does not exist", parts.join(".")));
        let full = tables::full_name(schema, table).ok_or_else(absent)?;
        let table = Table { columns: tables::columns(full), rows: self.catalogue.rows(full) };
        Ok(named(table, shown, alias))
    }

    fn function(
        &self,
        name: &ObjectName,
        args: &[FunctionArg],
        alias: Option<&TableAlias>,
        ordinality: bool,
        outer: Option<&Env>,
        ctes: &Ctes,
    ) -> PgResult<Rows> {
        let env = Env { columns: &[], row: &[], group: None, outer, ctes };
        let name = name.0.last().and_then(|part| part.as_ident()).map(folded).unwrap_or_default();
        let arguments = self.arguments(args, &env)?;
        let table = functions::rows(self.catalogue, &name, &arguments)?;
        Ok(function_rows(table, &name, alias, ordinality))
    }
}

/// A function's rows under its alias, which also names its column when there is one only.
fn function_rows(mut table: Table, name: &str, alias: Option<&TableAlias>, ordinality: bool) -> Rows {
    if ordinality {
        table.columns.push(("ordinality".to_owned(), Type::INT8));
        for (number, row) in table.rows.iter_mut().enumerate() {
            row.push(Datum::Int(number as i64 + 1));
        }
    }
    let shown = alias.map_or_else(|| name.to_owned(), |alias| folded(&alias.name));
    if let (Some(_), 1 | 2) = (alias, table.columns.len())
        && (table.columns.len() == 1 || ordinality)
    {
        table.columns[0].0.clone_from(&shown);
    }
    named(table, shown, alias)
}

fn named(table: Table, shown: String, alias: Option<&TableAlias>) -> Rows {
    let given = |at: usize| alias.and_then(|alias| alias.columns.get(at)).map(|column| folded(&column.name));
    let column =
        |(at, (name, kind)): (usize, (String, Type))| Column { table: shown.clone(), name: given(at).unwrap_or(name), kind };
    Rows { columns: table.columns.into_iter().enumerate().map(column).collect(), rows: table.rows }
}

fn alias_of(factor: &TableFactor) -> Option<String> {
    match factor {
        TableFactor::Table { name, alias, .. } => match alias {
            Some(alias) => Some(folded(&alias.name)),
            None => name.0.last().and_then(|part| part.as_ident()).map(folded),
        },
        TableFactor::Derived { alias, .. } => alias.as_ref().map(|alias| folded(&alias.name)),
        _ => None,
    }
}

fn is_lateral(factor: &TableFactor) -> bool {
    match factor {
        TableFactor::Derived { lateral, .. } => *lateral,
        other => !is_plain(other),
    }
}

/// The places of a condition that is "a column of the left = a column of the right"; the right one counted from its own start.
fn equal_columns(condition: &Expr, columns: &[Column], left_width: usize) -> Option<(usize, usize)> {
    let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = condition else { return None };
    let at = |expr: &Expr| -> Option<usize> {
        match expr {
            Expr::Identifier(name) => place(columns, None, &folded(name)).ok().flatten(),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [.., table, name] => place(columns, Some(&folded(table)), &folded(name)).ok().flatten(),
                _ => None,
            },
            _ => None,
        }
    };
    let (a, b) = (at(left)?, at(right)?);
    // Text beside a number is compared as a number, which a hash of their texts would miss.
    let number = |at: usize| !matches!(columns[at].kind, Type::TEXT | Type::NAME | Type::VARCHAR | Type::CHAR);
    if number(a) != number(b) {
        return None;
    }
    match (a < left_width, b < left_width) {
        (true, false) => Some((a, b - left_width)),
        (false, true) => Some((b, a - left_width)),
        _ => None,
    }
}
