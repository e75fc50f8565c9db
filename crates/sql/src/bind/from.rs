//! FROM: tables, subqueries, joins, UNNEST and table functions.

use std::sync::Arc;

use ovate_base::{DruidError, Result};

use super::query::{Block, rename_columns};
use super::table_function::is_input_function;
use super::{Binder, Scope, error_at};
use crate::parse::ast::*;
use crate::plan::{InfoTable, Rel, RelJoin, RelKind, Rex, SubqueryKind};
use crate::types::{Field, SqlType};

impl Binder<'_> {
    /// The relation of a FROM list, and the names it shows. Without FROM: one row without columns.
    pub(super) fn from<'p>(&mut self, list: &[TableRef], parent: Option<&'p Scope<'p>>) -> Result<(Rel, Scope<'p>)> {
        let Some((first, rest)) = list.split_first() else {
            return Ok((Rel::new(RelKind::Values(vec![Vec::new()]), Vec::new()), Scope { columns: Vec::new(), parent }));
        };
        let (mut rel, mut scope) = self.table_ref(first, None, parent)?;
        for table in rest {
            (rel, scope) = self.join_next(rel, scope, table, JoinKind::Cross, &JoinOn::None, parent)?;
        }
        Ok((rel, scope))
    }

    fn table_ref<'p>(
        &mut self,
        table: &TableRef,
        left: Option<(&Rel, &Scope<'_>)>,
        parent: Option<&'p Scope<'p>>,
    ) -> Result<(Rel, Scope<'p>)> {
        match table {
            TableRef::Table { name, alias } => self.named_table(name, alias.as_ref(), parent),
            TableRef::Derived { query, alias, .. } => {
                let rel = self.query(query, parent)?;
                self.aliased(rel, alias.as_ref(), None, None, parent)
            }
            TableRef::Function { call, extend, alias, pos } => {
                let rel = self.table_function(call, extend, *pos)?;
                self.aliased(rel, alias.as_ref(), None, None, parent)
            }
            TableRef::Unnest { alias, pos, .. } => {
                // Not after another table: unnest over a single row.
                let one = Rel::new(RelKind::Values(vec![Vec::new()]), Vec::new());
                let _ = (alias, pos, left);
                let empty = Scope { columns: Vec::new(), parent };
                self.join_next(one, empty, table, JoinKind::Cross, &JoinOn::None, parent)
            }
            TableRef::Pivot { input, aggregates, axes, values, alias, pos } => {
                let (rel, scope) = self.table_ref(input, None, parent)?;
                let rel = self.pivot(rel, &scope, aggregates, axes, values, *pos)?;
                self.aliased(rel, alias.as_ref(), None, None, parent)
            }
            TableRef::Unpivot { input, include_nulls, measures, axes, columns, alias, pos } => {
                let (rel, scope) = self.table_ref(input, None, parent)?;
                let rel = self.unpivot(rel, &scope, *include_nulls, measures, axes, columns, *pos)?;
                self.aliased(rel, alias.as_ref(), None, None, parent)
            }
            TableRef::Join { left, right, kind, on } => {
                let (l, scope) = self.table_ref(left, None, parent)?;
                self.join_next(l, scope, right, *kind, on, parent)
            }
        }
    }

    /// The relation so far joined with one more table.
    fn join_next<'p>(
        &mut self,
        left: Rel,
        left_scope: Scope<'p>,
        table: &TableRef,
        kind: JoinKind,
        on: &JoinOn,
        parent: Option<&'p Scope<'p>>,
    ) -> Result<(Rel, Scope<'p>)> {
        if let TableRef::Unnest { exprs, with_ordinality, alias, pos } = table {
            if !matches!(kind, JoinKind::Cross | JoinKind::Inner | JoinKind::Left) {
                return Err(error_at("UNNEST can only be on the right of a CROSS, INNER or LEFT JOIN", *pos));
            }
            return self.unnest(left, left_scope, exprs, *with_ordinality, alias.as_ref(), on, *pos, parent);
        }
        if let TableRef::Derived { query, lateral: true, alias } = table {
            let right = self.query(query, Some(&left_scope))?;
            let mut used = Vec::new();
            right.outer_used(1, &mut used);
            if !used.is_empty() {
                return self.lateral(left, left_scope, right, kind, on, alias.as_ref(), parent);
            }
        }
        if let TableRef::Join { left: inner_left, right: inner_right, kind: inner_kind, on: inner_on } = table
            && (has_unnest(inner_left) || has_unnest(inner_right))
        {
            // `a, b CROSS JOIN UNNEST(a.x)`: take the tables one by one so that the array sees all before it.
            let (rel, scope) = self.join_next(left, left_scope, inner_left, kind, on, parent)?;
            return self.join_next(rel, scope, inner_right, *inner_kind, inner_on, parent);
        }
        let (right, right_scope) = self.table_ref(table, Some((&left, &left_scope)), parent)?;
        let width = left.fields.len();
        let mut fields = left.fields.to_vec();
        fields.extend(right.fields.iter().cloned());
        let left_columns: Vec<_> = left_scope.columns.clone();
        let mut scope = left_scope.join(right_scope, width);
        let condition = match on {
            JoinOn::None => Rex::boolean(true),
            JoinOn::Condition(expr) => self.boolean(expr, "ON", &scope, &mut Block::scalar())?,
            JoinOn::Using(names) => self.using(names, &left_columns, &mut scope)?,
            JoinOn::Natural => {
                let common: Vec<Ident> = left_columns
                    .iter()
                    .filter(|l| scope.columns[left_columns.len()..].iter().any(|r| r.name == l.name))
                    .map(|l| Ident { value: l.name.to_string(), quoted: true, pos: Pos::default() })
                    .collect();
                self.using(&common, &left_columns, &mut scope)?
            }
        };
        let kind = match kind {
            JoinKind::Inner | JoinKind::Cross => RelJoin::Inner,
            JoinKind::Left => RelJoin::Left,
            JoinKind::Right => RelJoin::Right,
            JoinKind::Full => RelJoin::Full,
        };
        let kind = RelKind::Join { left: Box::new(left), right: Box::new(right), kind, condition };
        Ok((Rel::new(kind, fields), scope))
    }

    fn using(&mut self, names: &[Ident], left: &[super::scope::ScopeColumn], scope: &mut Scope<'_>) -> Result<Rex> {
        let mut parts = Vec::new();
        for name in names {
            let find =
                |columns: &[super::scope::ScopeColumn]| columns.iter().position(|c| c.name.as_ref() == name.value && !c.hidden);
            let missing = || error_at(format!("Column '{}' not found in any table", name.value), name.pos);
            let l = find(left).ok_or_else(missing)?;
            let r = left.len() + find(&scope.columns[left.len()..]).ok_or_else(missing)?;
            let rex = |i: usize, scope: &Scope<'_>| Rex::Input(scope.columns[i].index, scope.columns[i].sql_type.clone());
            let (a, b) = (rex(l, scope), rex(r, scope));
            parts.push(self.compare("=", a, b, name.pos)?);
            scope.columns[r].hidden = true;
        }
        Ok(Rex::and_all(parts))
    }

    #[allow(clippy::too_many_arguments)]
    fn unnest<'p>(
        &mut self,
        left: Rel,
        left_scope: Scope<'p>,
        exprs: &[Expr],
        ordinality: bool,
        alias: Option<&Alias>,
        on: &JoinOn,
        pos: Pos,
        parent: Option<&'p Scope<'p>>,
    ) -> Result<(Rel, Scope<'p>)> {
        let mut arrays = Vec::new();
        let mut fields = left.fields.to_vec();
        let width = fields.len();
        for (i, expr) in exprs.iter().enumerate() {
            let rex = self.expr(expr, &left_scope, &mut Block::scalar())?;
            let element = match rex.sql_type() {
                SqlType::Array(element) => element.as_ref().clone(),
                SqlType::Null => SqlType::Varchar,
                t => return Err(error_at(format!("Cannot apply 'UNNEST' to arguments of type 'UNNEST(<{t}>)'"), pos)),
            };
            fields.push(Field::new(if i == 0 { "EXPR$0" } else { "EXPR$1" }, element));
            arrays.push(rex);
        }
        if ordinality {
            fields.push(Field::new("ORDINALITY", SqlType::Bigint));
        }
        let mut made: Vec<Field> = fields[width..].to_vec();
        if let Some(alias) = alias
            && !alias.columns.is_empty()
        {
            let shape = Rel::new(RelKind::Values(Vec::new()), made.clone());
            made = rename_columns(shape, &alias.columns)?.fields.to_vec();
        }
        fields.truncate(width);
        fields.extend(made.iter().cloned());
        let shape = Rel::new(RelKind::Values(Vec::new()), made);
        let right_scope = Scope::of(&shape, alias.map(|a| a.name.value.as_str()), None, parent);
        let scope = left_scope.join(right_scope, width);
        let mut rel = Rel::new(RelKind::Unnest { input: Box::new(left), arrays, ordinality }, fields);
        if let JoinOn::Condition(expr) = on {
            let condition = self.boolean(expr, "ON", &scope, &mut Block::scalar())?;
            rel = rel.filter(condition);
        }
        Ok((rel, scope))
    }

    /// A query that reads the tables before it: run for each row, its columns are arrays that are unnested side by side.
    #[allow(clippy::too_many_arguments)]
    fn lateral<'p>(
        &mut self,
        left: Rel,
        left_scope: Scope<'p>,
        right: Rel,
        kind: JoinKind,
        on: &JoinOn,
        alias: Option<&Alias>,
        parent: Option<&'p Scope<'p>>,
    ) -> Result<(Rel, Scope<'p>)> {
        let outer = match kind {
            JoinKind::Cross | JoinKind::Inner => false,
            JoinKind::Left => true,
            JoinKind::Right | JoinKind::Full => {
                return Err(DruidError::invalid_sql("LATERAL can only be on the right of a CROSS, INNER or LEFT JOIN"));
            }
        };
        let width = left.fields.len();
        let (mut right, right_scope) = self.aliased(right, alias, None, None, parent)?;
        let scope = left_scope.join(right_scope, width);
        match on {
            JoinOn::None => {}
            JoinOn::Condition(expr) => {
                let condition = self.boolean(expr, "ON", &scope, &mut Block::scalar())?;
                if condition.any(&|node| matches!(node, Rex::Subquery { .. })) {
                    return Err(DruidError::unsupported("a subquery in the ON condition of a LATERAL join"));
                }
                // Seen from inside, the tables before are the query around.
                right = right.filter(condition.map(&mut |node| match node {
                    Rex::Input(index, sql_type) if index < width => Rex::Outer { depth: 1, index, sql_type },
                    Rex::Input(index, sql_type) => Rex::Input(index - width, sql_type),
                    Rex::Outer { depth, index, sql_type } => Rex::Outer { depth: depth + 1, index, sql_type },
                    other => other,
                }));
            }
            JoinOn::Using(_) | JoinOn::Natural => {
                return Err(DruidError::unsupported("a LATERAL join with USING or NATURAL; write an ON condition"));
            }
        }
        let mut fields = left.fields.to_vec();
        fields.extend(right.fields.iter().cloned());
        let plan = Arc::new(right);
        let column = |(index, field): (usize, &Field)| Rex::Subquery {
            kind: SubqueryKind::Column { index, outer },
            plan: plan.clone(),
            args: Vec::new(),
            sql_type: SqlType::Array(Box::new(field.sql_type.clone())),
        };
        let arrays: Vec<Rex> = plan.fields.iter().enumerate().map(column).collect();
        let kind = RelKind::Unnest { input: Box::new(left), arrays, ordinality: false };
        Ok((Rel::new(kind, fields), scope))
    }

    fn aliased<'p>(
        &mut self,
        rel: Rel,
        alias: Option<&Alias>,
        table: Option<&str>,
        schema: Option<&str>,
        parent: Option<&'p Scope<'p>>,
    ) -> Result<(Rel, Scope<'p>)> {
        let Some(alias) = alias else {
            let rel = if schema.is_none() { with_unique_names(rel) } else { rel };
            let scope = Scope::of(&rel, table, schema, parent);
            return Ok((rel, scope));
        };
        let rel = if alias.columns.is_empty() { rel } else { rename_columns(rel, &alias.columns)? };
        let rel = if table.is_none() { with_unique_names(rel) } else { rel };
        let scope = Scope::of(&rel, Some(&alias.name.value), None, parent);
        Ok((rel, scope))
    }

    fn named_table<'p>(
        &mut self,
        path: &[Ident],
        alias: Option<&Alias>,
        parent: Option<&'p Scope<'p>>,
    ) -> Result<(Rel, Scope<'p>)> {
        let last = &path[path.len() - 1];
        if path.len() == 1
            && let Some((_, rel)) = self.ctes.iter().rev().find(|(name, _)| *name == last.value)
        {
            let rel = rel.clone();
            return self.aliased(rel, alias, Some(&last.value), None, parent);
        }
        let schema = match path.len() {
            1 => "druid",
            2 => path[0].value.as_str(),
            _ => path[path.len() - 2].value.as_str(),
        };
        let rel = match schema {
            "druid" => self.datasource(&[last.value.as_str()]),
            "lookup" => self.session.lookups.contains_key(&last.value).then(|| {
                let fields = [Field::new("k", SqlType::Varchar), Field::new("v", SqlType::Varchar)];
                Rel::new(RelKind::Lookup { name: last.value.clone() }, fields)
            }),
            "sys" => self.session.system.iter().copied().find(|t| t.name() == last.value).map(|table| {
                let fields: Vec<Field> = table.columns().iter().map(|(n, t)| Field::new(n, SqlType::of_native(t))).collect();
                Rel::new(RelKind::System(table), fields)
            }),
            "INFORMATION_SCHEMA" => {
                let known = super::INFO_TABLES.iter().find(|(name, _, _)| *name == last.value);
                known.map(|(_, table, columns)| {
                    let table: InfoTable = *table;
                    let fields: Vec<Field> = columns.iter().map(|(n, t)| Field::new(n, t.clone())).collect();
                    Rel::new(RelKind::Info(table), fields)
                })
            }
            _ => None,
        };
        let Some(rel) = rel else { return Err(self.no_table(path)) };
        self.aliased(rel, alias, Some(&last.value), Some(schema), parent)
    }

    fn no_table(&self, path: &[Ident]) -> DruidError {
        let last = &path[path.len() - 1];
        let pos = path[0].pos;
        match path.len() {
            1 => error_at(format!("Object '{}' not found", last.value), pos),
            _ => {
                let schema = &path[path.len() - 2].value;
                if matches!(schema.as_str(), "druid" | "lookup" | "sys" | "INFORMATION_SCHEMA" | "view") {
                    error_at(format!("Object '{}' not found within '{schema}'", last.value), pos)
                } else {
                    error_at(format!("Object '{schema}' not found"), pos)
                }
            }
        }
    }

    /// One datasource, or several with the columns of all of them.
    fn datasource(&self, names: &[&str]) -> Option<Rel> {
        let mut fields: Vec<Field> = Vec::new();
        for name in names {
            let table = self.session.catalog.tables.get(*name)?;
            for column in &table.columns {
                let sql_type = if column.name == "__time" { SqlType::Timestamp } else { SqlType::of_native(&column.column_type) };
                match fields.iter_mut().find(|f| f.name.as_ref() == column.name) {
                    Some(known) if known.sql_type != sql_type => {
                        known.sql_type = known.sql_type.common(&sql_type).unwrap_or(SqlType::Varchar);
                    }
                    Some(_) => {}
                    None => fields.push(Field { name: Arc::from(column.name.as_str()), sql_type }),
                }
            }
        }
        Some(Rel::new(RelKind::Table { names: names.iter().map(|n| (*n).to_owned()).collect() }, fields))
    }

    fn table_function(&mut self, call: &Expr, extend: &[(Ident, TypeName)], pos: Pos) -> Result<Rel> {
        let ExprKind::Call(call) = &call.kind else {
            return Err(error_at("TABLE takes a function call", pos));
        };
        if call.name == "EXTERN" {
            return self.external(call, extend, pos);
        }
        if is_input_function(&call.name) {
            return self.input_function(call, extend, pos);
        }
        if call.name != "APPEND" {
            return Err(DruidError::unsupported(format!(
                "table function [{}]; those that are known are APPEND, EXTERN, HTTP, INLINE, LOCALFILES and S3",
                call.name
            )));
        }
        let mut names = Vec::new();
        for arg in &call.args {
            match &arg.kind {
                ExprKind::Literal(Literal::String(name)) => names.push((name.as_str(), arg.pos)),
                _ => {
                    let message = "All arguments to APPEND should be literal strings. Argument #1 is not string";
                    return Err(error_at(message, arg.pos));
                }
            }
        }
        if names.is_empty() {
            return Err(error_at("No match found for function signature APPEND()", pos));
        }
        for (name, at) in &names {
            if !self.session.catalog.tables.contains_key(*name) {
                return Err(error_at(format!("Table [{name}] not found"), *at));
            }
        }
        let list: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        self.datasource(&list).ok_or_else(|| error_at("Table not found", pos))
    }
}

/// A derived table's columns under names of their own: later copies of a name get a number, as Calcite makes them unique.
fn with_unique_names(rel: Rel) -> Rel {
    let mut names: Vec<Arc<str>> = Vec::with_capacity(rel.fields.len());
    for field in rel.fields.iter() {
        names.push(super::query::unique(&field.name, &names));
    }
    if rel.fields.iter().zip(&names).all(|(field, name)| field.name == *name) { rel } else { rel.renamed(&names) }
}

fn has_unnest(table: &TableRef) -> bool {
    match table {
        TableRef::Unnest { .. } => true,
        TableRef::Join { left, right, .. } => has_unnest(left) || has_unnest(right),
        _ => false,
    }
}
