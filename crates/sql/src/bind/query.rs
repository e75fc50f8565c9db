//! Queries and SELECT blocks.

use std::collections::HashSet;
use std::sync::Arc;

use ovate_base::{DruidError, Result};
use ovate_compute::Value;

use super::group::replace_keys;
use super::{Binder, Scope, error_at};
use crate::parse::ast::*;
use crate::plan::{AggregateCall, Rel, RelKind, Rex, SortKey, WindowCall};
use crate::types::{Field, SqlType};

/// What a SELECT block collects while its expressions are bound.
#[derive(Default)]
pub struct Block {
    pub aggregates: Vec<AggregateCall>,
    pub windows: Vec<WindowCall>,
    pub allow_aggregates: bool,
    pub allow_windows: bool,
    pub named_windows: Vec<(Ident, WindowSpec)>,
}

impl Block {
    /// A place where neither aggregates nor windows may stand.
    pub fn scalar() -> Block {
        Block::default()
    }
}

/// An entry of ORDER BY after binding.
enum OrderTarget {
    Item(usize),
    Expr(Rex),
}

struct BoundOrder {
    target: OrderTarget,
    descending: bool,
    nulls_first: bool,
}

impl Binder<'_> {
    /// A query with its WITH, ORDER BY and LIMIT.
    pub(super) fn query(&mut self, query: &Query, parent: Option<&Scope<'_>>) -> Result<Rel> {
        let depth = self.ctes.len();
        for cte in &query.ctes {
            let mut rel = self.query(&cte.query, parent)?;
            if !cte.columns.is_empty() {
                rel = rename_columns(rel, &cte.columns)?;
            }
            self.ctes.push((cte.name.value.clone(), rel));
        }
        let result = self.query_of(query, parent);
        self.ctes.truncate(depth);
        result
    }

    fn query_of(&mut self, query: &Query, parent: Option<&Scope<'_>>) -> Result<Rel> {
        let rel = match &query.body {
            QueryBody::Select(select) => self.select(select, &query.order_by, parent)?,
            body => {
                let rel = self.body(body, parent)?;
                self.order_output(rel, &query.order_by, parent)?
            }
        };
        let count = |binder: &mut Self, expr: &Option<Expr>, what: &str| -> Result<Option<u64>> {
            let Some(expr) = expr else { return Ok(None) };
            let rex = binder.expr(expr, &Scope::default(), &mut Block::scalar())?;
            match rex.literal() {
                _ if binder.session.preparing => Ok(Some(1)),
                Some(Value::Long(n)) if *n >= 0 => Ok(Some(*n as u64)),
                Some(Value::Double(n)) if *n >= 0.0 => Ok(Some(*n as u64)),
                _ => Err(error_at(format!("{what} must be a non-negative integer"), expr.pos)),
            }
        };
        let (limit, offset) = (count(self, &query.limit, "LIMIT")?, count(self, &query.offset, "OFFSET")?.unwrap_or(0));
        if limit.is_none() && offset == 0 {
            return Ok(rel);
        }
        Ok(limit_rel(rel, offset, limit))
    }

    fn body(&mut self, body: &QueryBody, parent: Option<&Scope<'_>>) -> Result<Rel> {
        match body {
            QueryBody::Select(select) => self.select(select, &[], parent),
            QueryBody::Nested(query) => self.query(query, parent),
            QueryBody::Values(rows) => self.values(rows, parent),
            QueryBody::SetOperation { op, all, left, right, pos } => {
                let (left, right) = (self.body(left, parent)?, self.body(right, parent)?);
                self.set_operation(*op, *all, left, right, *pos)
            }
        }
    }

    fn set_operation(&mut self, op: SetOperator, all: bool, left: Rel, right: Rel, pos: Pos) -> Result<Rel> {
        let name = match op {
            SetOperator::Union => "UNION",
            SetOperator::Intersect => "INTERSECT",
            SetOperator::Except => "EXCEPT",
        };
        if left.fields.len() != right.fields.len() {
            return Err(error_at(format!("Column count mismatch in {name}"), pos));
        }
        let mut types = Vec::new();
        for (i, (l, r)) in left.fields.iter().zip(right.fields.iter()).enumerate() {
            let common = l.sql_type.common(&r.sql_type);
            types.push(common.ok_or_else(|| error_at(format!("Type mismatch in column {} of {name}", i + 1), pos))?);
        }
        let names: Vec<Arc<str>> = left.fields.iter().map(|f| f.name.clone()).collect();
        let fields: Vec<Field> = names.iter().zip(&types).map(|(n, t)| Field { name: n.clone(), sql_type: t.clone() }).collect();
        let (left, right) = (self.conform(left, &types), self.conform(right, &types));
        match op {
            SetOperator::Union => {
                let mut inputs = Vec::new();
                for rel in [left, right] {
                    match rel.kind {
                        RelKind::Union(inner) => inputs.extend(inner),
                        kind => inputs.push(Rel { kind, fields: rel.fields }),
                    }
                }
                let union = Rel::new(RelKind::Union(inputs), fields);
                Ok(if all { union } else { distinct(union) })
            }
            SetOperator::Intersect | SetOperator::Except => {
                let intersect = op == SetOperator::Intersect;
                let kind = RelKind::SetDifference { left: Box::new(left), right: Box::new(right), intersect, all };
                Ok(Rel::new(kind, fields))
            }
        }
    }

    /// Casts the columns to these types where the native type differs.
    fn conform(&self, rel: Rel, types: &[SqlType]) -> Rel {
        let same = rel.fields.iter().zip(types).all(|(f, t)| f.sql_type.native() == t.native());
        if same {
            return rel;
        }
        let names: Vec<Arc<str>> = rel.fields.iter().map(|f| f.name.clone()).collect();
        let exprs = rel.inputs().into_iter().zip(types).map(|(rex, t)| self.cast(rex, t)).collect();
        rel.project(exprs, &names)
    }

    fn values(&mut self, rows: &[Vec<Expr>], parent: Option<&Scope<'_>>) -> Result<Rel> {
        let empty = Scope { columns: Vec::new(), parent };
        let mut bound = Vec::new();
        for row in rows {
            bound.push(row.iter().map(|e| self.expr(e, &empty, &mut Block::scalar())).collect::<Result<Vec<_>>>()?);
        }
        let width = bound[0].len();
        let mut types = vec![SqlType::Null; width];
        for row in &bound {
            if row.len() != width {
                return Err(DruidError::invalid_sql("Unequal number of entries in ROW constructors"));
            }
            for (t, rex) in types.iter_mut().zip(row) {
                let common = t.common(rex.sql_type());
                *t = common.ok_or_else(|| DruidError::invalid_sql("Values in VALUES rows have no common type"))?;
            }
        }
        for row in &mut bound {
            for (rex, t) in row.iter_mut().zip(&types) {
                *rex = self.cast(rex.clone(), t);
            }
        }
        let fields: Vec<Field> =
            types.into_iter().enumerate().map(|(i, t)| Field { name: format!("EXPR${i}").into(), sql_type: t }).collect();
        Ok(Rel::new(RelKind::Values(bound), fields))
    }

    fn select(&mut self, select: &Select, order_by: &[OrderItem], parent: Option<&Scope<'_>>) -> Result<Rel> {
        let (mut rel, scope) = self.from(&select.from, parent)?;
        if let Some(filter) = &select.filter {
            let condition = self.boolean(filter, "WHERE", &scope, &mut Block::scalar())?;
            rel = rel.filter(condition);
        }
        let mut block =
            Block { allow_aggregates: true, allow_windows: true, named_windows: select.windows.clone(), ..Block::default() };
        let (mut items, names) = self.select_items(select, &scope, &mut block)?;
        let aliases: Vec<Option<String>> = select_aliases(select, &names);
        let groups = match &select.group_by {
            Some(list) => Some(self.group_by(list, &items, &scope)?),
            None => None,
        };
        block.allow_windows = false;
        let mut having = match &select.having {
            Some(e) => Some(self.condition_of(e, "HAVING", &items, &aliases, &scope, &mut block)?),
            None => None,
        };
        block.allow_windows = true;
        let mut qualify = match &select.qualify {
            Some(e) => Some(self.condition_of(e, "QUALIFY", &items, &aliases, &scope, &mut block)?),
            None => None,
        };
        let mut order = self.order_items_of(order_by, &items, &aliases, &scope, &mut block)?;

        if groups.is_some() || having.is_some() || !block.aggregates.is_empty() {
            let (keys, sets) = groups.unwrap_or_else(|| (Vec::new(), vec![Vec::new()]));
            let fix = |rex: &mut Rex| -> Result<()> {
                *rex = replace_keys(rex, &keys, &scope)?;
                Ok(())
            };
            for item in &mut items {
                // A constant that is a key is null where its set leaves it out.
                let constant = item.is_literal() && sets.len() > 1;
                match keys.iter().position(|key| constant && key == item) {
                    Some(i) => *item = Rex::Input(i, item.sql_type().clone()),
                    None => fix(item)?,
                }
            }
            having.iter_mut().try_for_each(fix)?;
            qualify.iter_mut().try_for_each(fix)?;
            for entry in &mut order {
                if let OrderTarget::Expr(rex) = &mut entry.target {
                    fix(rex)?;
                }
            }
            for call in &mut block.windows {
                call.args.iter_mut().try_for_each(fix)?;
                call.filter.iter_mut().try_for_each(fix)?;
                call.partition_by.iter_mut().try_for_each(fix)?;
                call.order_by.iter_mut().try_for_each(|(rex, _, _)| fix(rex))?;
            }
            rel = aggregate_rel(rel, keys, sets, std::mem::take(&mut block.aggregates));
            if let Some(condition) = having {
                rel = rel.filter(condition);
            }
        }
        if !block.windows.is_empty() {
            let width = rel.fields.len();
            let fix = |rex: Rex| {
                rex.map(&mut |node| match node {
                    Rex::Window(i, t) => Rex::Input(width + i, t),
                    other => other,
                })
            };
            items = items.into_iter().map(fix).collect();
            qualify = qualify.map(fix);
            for entry in &mut order {
                if let OrderTarget::Expr(rex) = &mut entry.target {
                    *rex = fix(rex.clone());
                }
            }
            let mut fields = rel.fields.to_vec();
            fields.extend(block.windows.iter().enumerate().map(|(i, call)| Field::new(&format!("w{i}"), call.sql_type.clone())));
            rel = Rel::new(RelKind::Window { input: Box::new(rel), calls: std::mem::take(&mut block.windows) }, fields);
        }
        if let Some(condition) = qualify {
            rel = rel.filter(condition);
        }
        self.project_and_sort(rel, items, names, order, select)
    }

    /// The last steps of a block: the select list with hidden sort columns, DISTINCT, ORDER BY.
    fn project_and_sort(
        &self,
        rel: Rel,
        items: Vec<Rex>,
        names: Vec<Arc<str>>,
        order: Vec<BoundOrder>,
        select: &Select,
    ) -> Result<Rel> {
        let visible = items.len();
        let (mut exprs, mut all_names) = (items, names);
        let mut keys: Vec<SortKey> = Vec::new();
        for entry in order {
            let column = match entry.target {
                OrderTarget::Item(i) => i,
                OrderTarget::Expr(rex) => match exprs.iter().position(|e| *e == rex) {
                    Some(i) => i,
                    None if rex.is_literal() => continue,
                    None => {
                        if select.distinct {
                            return Err(error_at("Expression in ORDER BY must appear in SELECT DISTINCT list", select.pos));
                        }
                        exprs.push(rex);
                        all_names.push(Arc::from(format!("$sort{}", exprs.len())));
                        exprs.len() - 1
                    }
                },
            };
            if !keys.iter().any(|key| key.column == column) {
                keys.push(SortKey { column, descending: entry.descending, nulls_first: entry.nulls_first });
            }
        }
        let mut rel = rel.project(exprs, &all_names);
        if select.distinct {
            rel = distinct(rel);
        }
        if keys.is_empty() {
            return Ok(rel);
        }
        let fields = rel.fields.clone();
        let hidden = fields.len() > visible;
        rel = Rel { kind: RelKind::Sort { input: Box::new(rel), keys, offset: 0, limit: None }, fields };
        if hidden {
            let exprs: Vec<Rex> = rel.inputs().into_iter().take(visible).collect();
            rel = rel.project(exprs, &all_names[..visible]);
        }
        Ok(rel)
    }

    fn select_items(&mut self, select: &Select, scope: &Scope<'_>, block: &mut Block) -> Result<(Vec<Rex>, Vec<Arc<str>>)> {
        let (mut items, mut names): (Vec<Rex>, Vec<Arc<str>>) = (Vec::new(), Vec::new());
        for item in &select.items {
            match item {
                SelectItem::Star(path, pos) => {
                    let before = items.len();
                    for column in &scope.columns {
                        let fits = match path.as_slice() {
                            [] => !column.hidden,
                            [.., table] => column.table.as_deref() == Some(table.value.as_str()),
                        };
                        if fits {
                            items.push(Rex::Input(column.index, column.sql_type.clone()));
                            names.push(unique(&column.name, &names));
                        }
                    }
                    if items.len() == before {
                        return Err(match path.last() {
                            Some(table) => error_at(format!("Unknown identifier '{}'", table.value), table.pos),
                            None => error_at("SELECT * requires a FROM clause", *pos),
                        });
                    }
                }
                SelectItem::Expr { expr, alias } => {
                    items.push(self.expr(expr, scope, block)?);
                    names.push(match (alias, &expr.kind) {
                        (Some(alias), _) => Arc::from(alias.value.as_str()),
                        (None, ExprKind::Name(path)) => Arc::from(path[path.len() - 1].value.as_str()),
                        // Numbered by the different names before it (`SqlValidatorUtil.alias`).
                        _ => {
                            let different: HashSet<&Arc<str>> = names.iter().collect();
                            Arc::from(format!("EXPR${}", different.len()))
                        }
                    });
                }
            }
        }
        Ok((items, names))
    }

    fn order_items_of(
        &mut self,
        order_by: &[OrderItem],
        items: &[Rex],
        aliases: &[Option<String>],
        scope: &Scope<'_>,
        block: &mut Block,
    ) -> Result<Vec<BoundOrder>> {
        let mut out = Vec::new();
        for entry in order_by {
            let target = match ordinal(&entry.expr, items.len())? {
                Some(i) => OrderTarget::Item(i),
                None => {
                    let alias = match &entry.expr.kind {
                        ExprKind::Name(path) if path.len() == 1 => {
                            aliases.iter().position(|a| a.as_deref() == Some(path[0].value.as_str()))
                        }
                        _ => None,
                    };
                    match alias {
                        Some(i) => OrderTarget::Item(i),
                        None => {
                            let replaced = replace_aliases(&entry.expr, aliases);
                            OrderTarget::Expr(self.order_expr(&replaced, items, scope, block)?)
                        }
                    }
                }
            };
            out.push(BoundOrder {
                target,
                descending: entry.descending,
                nulls_first: entry.nulls_first.unwrap_or(!entry.descending),
            });
        }
        Ok(out)
    }

    /// HAVING or QUALIFY, where aliases of the select list may stand.
    fn condition_of(
        &mut self,
        expr: &Expr,
        clause: &str,
        items: &[Rex],
        aliases: &[Option<String>],
        scope: &Scope<'_>,
        block: &mut Block,
    ) -> Result<Rex> {
        let replaced = replace_aliases(expr, aliases);
        let bound = self.boolean(&replaced, clause, &alias_scope(scope, items), block)?;
        Ok(bound.map(&mut |node| match node {
            Rex::Input(index, _) if index >= ALIAS_BASE => items[index - ALIAS_BASE].clone(),
            other => other,
        }))
    }

    /// An ORDER BY expression; `$alias` names stand for select items.
    fn order_expr(&mut self, expr: &Expr, items: &[Rex], scope: &Scope<'_>, block: &mut Block) -> Result<Rex> {
        let bound = self.expr(expr, &alias_scope(scope, items), block)?;
        Ok(bound.map(&mut |node| match node {
            Rex::Input(index, _) if index >= ALIAS_BASE => items[index - ALIAS_BASE].clone(),
            other => other,
        }))
    }

    fn order_output(&mut self, rel: Rel, order_by: &[OrderItem], parent: Option<&Scope<'_>>) -> Result<Rel> {
        if order_by.is_empty() {
            return Ok(rel);
        }
        let mut keys = Vec::new();
        let scope = Scope::of(&rel, None, None, parent);
        for entry in order_by {
            let column = match ordinal(&entry.expr, rel.fields.len())? {
                Some(i) => i,
                None => match self.expr(&entry.expr, &scope, &mut Block::scalar())? {
                    Rex::Input(i, _) => i,
                    _ => return Err(error_at("ORDER BY of a set operation takes output columns only", entry.expr.pos)),
                },
            };
            keys.push(SortKey {
                column,
                descending: entry.descending,
                nulls_first: entry.nulls_first.unwrap_or(!entry.descending),
            });
        }
        let fields = rel.fields.clone();
        Ok(Rel { kind: RelKind::Sort { input: Box::new(rel), keys, offset: 0, limit: None }, fields })
    }
}

/// Select items seen from ORDER BY get indexes from here on.
const ALIAS_BASE: usize = 1 << 20;

fn alias_scope<'a>(scope: &Scope<'a>, items: &[Rex]) -> Scope<'a> {
    let mut out = scope.clone();
    for (i, item) in items.iter().enumerate() {
        out.columns.push(super::scope::ScopeColumn {
            table: Some(Arc::from("$alias")),
            schema: None,
            name: Arc::from(i.to_string()),
            sql_type: item.sql_type().clone(),
            index: ALIAS_BASE + i,
            hidden: true,
        });
    }
    out
}

/// Names that are select aliases replaced by `$alias.n`, throughout an expression.
fn replace_aliases(expr: &Expr, aliases: &[Option<String>]) -> Expr {
    let mut out = expr.clone();
    visit_names(&mut out, &mut |path| {
        if path.len() == 1
            && let Some(i) = aliases.iter().position(|a| a.as_deref() == Some(path[0].value.as_str()))
        {
            let pos = path[0].pos;
            let part = |value: String| Ident { value, quoted: true, pos };
            *path = vec![part("$alias".to_owned()), part(i.to_string())];
        }
    });
    out
}

/// Calls `f` for the column names in an expression, not inside subqueries or aggregates' own scopes.
fn visit_names(expr: &mut Expr, f: &mut dyn FnMut(&mut Vec<Ident>)) {
    match &mut expr.kind {
        ExprKind::Name(path) => f(path),
        ExprKind::Not(e) | ExprKind::Negate(e) => visit_names(e, f),
        ExprKind::Binary(_, a, b) => {
            visit_names(a, f);
            visit_names(b, f);
        }
        ExprKind::IsDistinct { left, right, .. } => {
            visit_names(left, f);
            visit_names(right, f);
        }
        ExprKind::Is { expr, .. } | ExprKind::Cast { expr, .. } => visit_names(expr, f),
        ExprKind::Between { expr, low, high, .. } => {
            visit_names(expr, f);
            visit_names(low, f);
            visit_names(high, f);
        }
        ExprKind::Like { expr, pattern, .. } => {
            visit_names(expr, f);
            visit_names(pattern, f);
        }
        ExprKind::InQuery { expr, .. } => visit_names(expr, f),
        ExprKind::InList { expr, list, .. } => {
            visit_names(expr, f);
            list.iter_mut().for_each(|e| visit_names(e, f));
        }
        ExprKind::Case { operand, whens, otherwise } => {
            operand.iter_mut().for_each(|e| visit_names(e, f));
            for (a, b) in whens {
                visit_names(a, f);
                visit_names(b, f);
            }
            otherwise.iter_mut().for_each(|e| visit_names(e, f));
        }
        ExprKind::Call(call) => {
            let aggregate = crate::functions::find_aggregate(&call.name).is_some();
            if !aggregate {
                call.args.iter_mut().for_each(|e| visit_names(e, f));
            }
        }
        ExprKind::Array(list) | ExprKind::Row(list) => list.iter_mut().for_each(|e| visit_names(e, f)),
        _ => {}
    }
}

/// The explicit aliases of the select list by position in the expanded list.
fn select_aliases(select: &Select, names: &[Arc<str>]) -> Vec<Option<String>> {
    let mut out: Vec<Option<String>> = vec![None; names.len()];
    // Stars expand to several; count from both ends around them.
    let stars = select.items.iter().filter(|i| matches!(i, SelectItem::Star(..))).count();
    let extra = names.len().saturating_sub(select.items.len() - stars);
    let mut position = 0;
    for item in &select.items {
        match item {
            SelectItem::Star(..) => position += if stars == 1 { extra } else { 0 },
            SelectItem::Expr { alias, .. } => {
                if let Some(alias) = alias {
                    let at = match stars {
                        0 | 1 => Some(position),
                        _ => names.iter().position(|n| n.as_ref() == alias.value),
                    };
                    if let Some(slot) = at.and_then(|at| out.get_mut(at)) {
                        *slot = Some(alias.value.clone());
                    }
                }
                position += 1;
            }
        }
    }
    out
}

/// The select item that `ORDER BY 2` or `GROUP BY 2` means.
pub(super) fn ordinal(expr: &Expr, count: usize) -> Result<Option<usize>> {
    let ExprKind::Literal(Literal::Integer(digits)) = &expr.kind else { return Ok(None) };
    match digits.parse::<usize>() {
        Ok(n) if n >= 1 && n <= count => Ok(Some(n - 1)),
        _ => Err(error_at("Ordinal out of range", expr.pos)),
    }
}

/// SELECT DISTINCT: grouping by all columns.
pub(super) fn distinct(rel: Rel) -> Rel {
    let (keys, fields) = (rel.inputs(), rel.fields.clone());
    let sets = vec![(0..keys.len()).collect()];
    Rel { kind: RelKind::Aggregate { input: Box::new(rel), keys, sets, aggregates: Vec::new() }, fields }
}

fn aggregate_rel(rel: Rel, keys: Vec<Rex>, sets: Vec<Vec<usize>>, aggregates: Vec<AggregateCall>) -> Rel {
    let mut fields: Vec<Field> =
        keys.iter().enumerate().map(|(i, key)| Field::new(&format!("d{i}"), key.sql_type().clone())).collect();
    fields.extend(aggregates.iter().enumerate().map(|(i, call)| Field::new(&format!("a{i}"), call.sql_type.clone())));
    Rel::new(RelKind::Aggregate { input: Box::new(rel), keys, sets, aggregates }, fields)
}

/// LIMIT and OFFSET put into the sort below where there is one.
fn limit_rel(rel: Rel, offset: u64, limit: Option<u64>) -> Rel {
    let fields = rel.fields.clone();
    match rel.kind {
        RelKind::Sort { input, keys, offset: 0, limit: None } => {
            Rel { kind: RelKind::Sort { input, keys, offset, limit }, fields }
        }
        // The projection that drops hidden sort columns stays outside.
        RelKind::Project { input, exprs } if matches!(&input.kind, RelKind::Sort { offset: 0, limit: None, .. }) => {
            Rel { kind: RelKind::Project { input: Box::new(limit_rel(*input, offset, limit)), exprs }, fields }
        }
        kind => {
            let input = Box::new(Rel { kind, fields: fields.clone() });
            Rel { kind: RelKind::Sort { input, keys: Vec::new(), offset, limit }, fields }
        }
    }
}

/// The name, or with the first number that makes it differ from those before it.
pub(super) fn unique(name: &Arc<str>, before: &[Arc<str>]) -> Arc<str> {
    let mut candidate = name.clone();
    let mut n = 0;
    while before.contains(&candidate) {
        candidate = Arc::from(format!("{name}{n}"));
        n += 1;
    }
    candidate
}

/// `AS t (a, b)`.
pub(super) fn rename_columns(rel: Rel, columns: &[Ident]) -> Result<Rel> {
    if columns.len() != rel.fields.len() {
        let message = format!(
            "List of column aliases must have same degree as table; table has {} columns ({}), whereas alias list has {} columns",
            rel.fields.len(),
            rel.fields.iter().map(|f| format!("'{}'", f.name)).collect::<Vec<_>>().join(", "),
            columns.len()
        );
        return Err(error_at(message, columns[0].pos));
    }
    let names: Vec<Arc<str>> = columns.iter().map(|c| Arc::from(c.value.as_str())).collect();
    if matches!(rel.kind, RelKind::Table { .. }) {
        // A datasource's columns are read by their own names.
        let exprs = rel.inputs();
        return Ok(rel.project(exprs, &names));
    }
    Ok(rel.renamed(&names))
}
