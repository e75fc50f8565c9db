//! Subqueries in expressions. One that stands alone is run first and becomes a constant or a list; a correlated one is run
//! once for each distinct combination of the outer values it reads, and becomes a column.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use ovate_base::{DruidError, Result};
use ovate_compute::{Value, Vector};
use ovate_engine::Relation;
use ovate_engine::keys::row_keys;

use super::Executor;
use crate::plan::{Rel, RelKind, Rex, Rows, SubqueryKind};
use crate::types::{Field, SqlType};

/// Most distinct outer combinations for which a correlated subquery is run.
const RUNS_MAX: usize = 100_000;
/// Longer lists of IN are one constant.
const LIST_MAX: usize = 64;

impl Executor<'_> {
    /// The plan without subqueries.
    pub(super) fn resolve<'s>(&'s self, rel: &'s Rel) -> BoxFuture<'s, Result<Rel>> {
        Box::pin(async move {
            if !has_subqueries(rel) {
                return Ok(rel.clone());
            }
            let mut children = Vec::new();
            for child in rel.children() {
                children.push(self.resolve(child).await?);
            }
            let mut children = children.into_iter();
            let rel = rel.with_children(&mut |child| children.next().unwrap_or_else(|| child.clone()));
            let rel = self.resolve_alone(rel).await?;
            self.resolve_correlated(rel).await
        })
    }

    async fn resolve_alone(&self, rel: Rel) -> Result<Rel> {
        let mut found: Vec<Rex> = Vec::new();
        for rex in rel.exprs() {
            rex.visit(&mut |node| {
                if let Rex::Subquery { plan, .. } = node
                    && !plan.is_correlated()
                    && !found.contains(node)
                {
                    found.push(node.clone());
                }
            });
        }
        if found.is_empty() {
            return Ok(rel);
        }
        let mut results = Vec::new();
        for rex in &found {
            results.push(self.alone(rex).await?);
        }
        let swap = |node: Rex| match found.iter().position(|f| *f == node).map(|at| &results[at]) {
            Some(Some(constant)) => match (constant, node) {
                // The operand may hold subqueries that were replaced meanwhile; take it from the node.
                (
                    Rex::Call { op: op @ ("IN" | "SCALAR_IN_ARRAY" | "IN_SET"), args, sql_type },
                    Rex::Subquery { args: mut own, .. },
                ) => {
                    own.extend(args[1..].iter().cloned());
                    Rex::Call { op, args: own, sql_type: sql_type.clone() }
                }
                (other, _) => other.clone(),
            },
            _ => node,
        };
        Ok(rel.map_own_exprs(&|rex| rex.map(&mut |node| swap(node))))
    }

    /// The constant that a subquery stands for; `None` when it has to be computed for each row.
    async fn alone(&self, rex: &Rex) -> Result<Option<Rex>> {
        let Rex::Subquery { kind, plan, args, sql_type } = rex else { return Ok(None) };
        if *kind == SubqueryKind::In && args.len() != 1 {
            return Ok(None);
        }
        let rows = self.execute(plan).await?;
        Ok(Some(match kind {
            SubqueryKind::Scalar => Rex::Literal(scalar(&rows)?, sql_type.clone()),
            SubqueryKind::Exists => Rex::boolean(rows.rows > 0),
            SubqueryKind::Array => Rex::Literal(Value::Array(rows.columns[0].to_values().into()), sql_type.clone()),
            SubqueryKind::Column { index, outer } => Rex::Literal(listed(&rows, *index, *outer), sql_type.clone()),
            SubqueryKind::In if rows.rows == 0 => Rex::boolean(false),
            SubqueryKind::In
                if rows.rows > LIST_MAX
                    && !matches!(&rows.columns[0], Vector::Long { nulls: Some(_), .. })
                    && let Some(set) = super::joins::among_those(&args[0], &plan.fields[0].sql_type, &rows.columns[0])
                    && matches!(set, Rex::Call { op: "IN_SET", .. }) =>
            {
                set
            }
            SubqueryKind::In
                if rows.rows > LIST_MAX
                    && super::joins::may_filter(args[0].sql_type(), &plan.fields[0].sql_type)
                    && let Some(values) = distinct_without_null(&rows) =>
            {
                super::joins::among(args[0].clone(), values)
            }
            SubqueryKind::In => {
                let element = plan.fields[0].sql_type.clone();
                let column = (&rows.columns[0], true);
                let mut seen = std::collections::HashSet::new();
                let mut list = vec![args[0].clone()];
                for (row, key) in row_keys(&[column], rows.rows).into_iter().enumerate() {
                    if seen.insert(key) {
                        list.push(Rex::Literal(rows.columns[0].value(row), element.clone()));
                    }
                }
                Rex::call("IN", list, SqlType::Boolean)
            }
        }))
    }

    async fn resolve_correlated(&self, rel: Rel) -> Result<Rel> {
        let mut found: Vec<Rex> = Vec::new();
        for rex in rel.exprs() {
            rex.visit(&mut |node| {
                if matches!(node, Rex::Subquery { .. }) && !found.contains(node) {
                    found.push(node.clone());
                }
            });
        }
        // What refers to queries further out waits until those have put their values in.
        let waits = |rex: &Rex| matches!(rex, Rex::Subquery { plan, .. } if reads_beyond(plan));
        if found.is_empty() || found.iter().any(waits) {
            return Ok(rel);
        }
        let inputs = rel.children();
        let input = match (&rel.kind, inputs.as_slice()) {
            (RelKind::Join { kind, .. }, _) => {
                let kind = format!("{kind:?}").to_uppercase();
                return Err(DruidError::unsupported(format!(
                    "a correlated subquery in the ON condition of a {kind} JOIN that reads columns of both sides; let a derived \
                     table of one side have its value as a column, or use an inner join"
                )));
            }
            (_, [input]) => (*input).clone(),
            _ => return Ok(rel),
        };
        // What the filter can test without subqueries goes first: fewer rows, and joins get their keys.
        let (rel, input) = match &rel.kind {
            RelKind::Filter { condition, .. } => {
                let mut parts = Vec::new();
                condition.clone().conjuncts(&mut parts);
                let (late, early): (Vec<Rex>, Vec<Rex>) =
                    parts.into_iter().partition(|part| part.any(&|node| matches!(node, Rex::Subquery { .. })));
                let input = if early.is_empty() { input } else { input.filter(Rex::and_all(early)) };
                let kind = RelKind::Filter { input: Box::new(input.clone()), condition: Rex::and_all(late) };
                (Rel { kind, fields: rel.fields.clone() }, input)
            }
            _ => (rel, input),
        };
        let optimised = self.optimise(&input);
        let mut rows = self.run(&optimised).await?;
        let mut fields: Vec<Field> = input.fields.to_vec();
        let mut runs = Runs::new();
        for rex in &found {
            let column = self.correlated(rex, &rows, &input, &mut runs).await?;
            rows.columns.push(column);
            fields.push(Field::new(&format!("$subquery{}", fields.len()), rex.sql_type().clone()));
        }
        let width = input.fields.len();
        let base = Rel::new(RelKind::Rows(Rows(Arc::new(rows))), fields);
        let swap = |node: Rex| match found.iter().position(|f| *f == node) {
            Some(at) => Rex::Input(width + at, node.sql_type().clone()),
            None => node,
        };
        let visible = rel.fields.clone();
        let rel = rel.with_children(&mut |_| base.clone()).map_own_exprs(&|rex| rex.map(&mut |node| swap(node)));
        // Filters and sorts pass their input's columns on; the new ones are cut off again.
        if matches!(rel.kind, RelKind::Filter { .. } | RelKind::Sort { .. }) {
            let names: Vec<Arc<str>> = visible.iter().map(|f| f.name.clone()).collect();
            let exprs: Vec<Rex> = visible.iter().enumerate().map(|(i, f)| Rex::Input(i, f.sql_type.clone())).collect();
            let wide = Rel { fields: base.fields.clone(), ..rel };
            return Ok(wide.project(exprs, &names));
        }
        // These give their input's columns and then their own.
        if matches!(rel.kind, RelKind::Window { .. } | RelKind::Unnest { .. }) {
            let made = visible.len() - width;
            let all: Vec<Field> = base.fields.iter().chain(&visible[width..]).cloned().collect();
            let places = (0..width).chain((0..made).map(|i| base.fields.len() + i));
            let exprs: Vec<Rex> = places.zip(visible.iter()).map(|(i, f)| Rex::Input(i, f.sql_type.clone())).collect();
            let names: Vec<Arc<str>> = visible.iter().map(|f| f.name.clone()).collect();
            return Ok(Rel { fields: all.into(), ..rel }.project(exprs, &names));
        }
        Ok(rel)
    }

    /// `runs`: what the subqueries of one relation gave, so that one of several columns is run once.
    async fn correlated<'r>(&self, rex: &'r Rex, rows: &Relation, input: &Rel, runs: &mut Runs<'r>) -> Result<Vector> {
        let Rex::Subquery { kind, plan, args, sql_type } = rex else {
            return Err(DruidError::runtime("not a subquery"));
        };
        let mut used = Vec::new();
        plan.outer_used(1, &mut used);
        let columns: Vec<(&Vector, bool)> = used.iter().map(|i| (&rows.columns[*i], true)).collect();
        let operands = args.iter().map(|arg| self.eval(arg, rows)).collect::<Result<Vec<_>>>()?;
        let at = runs.iter().position(|(other, _)| *other == plan.as_ref()).unwrap_or_else(|| {
            runs.push((plan.as_ref(), HashMap::new()));
            runs.len() - 1
        });
        let known = &mut runs[at].1;
        let mut values = Vec::with_capacity(rows.rows);
        for (row, key) in row_keys(&columns, rows.rows).into_iter().enumerate() {
            if !known.contains_key(&key) {
                if known.len() >= RUNS_MAX {
                    return Err(DruidError::resource_limit(format!(
                        "Correlated subquery would run for more than {RUNS_MAX} distinct outer rows"
                    )));
                }
                let constant = |index: usize| Rex::Literal(rows.columns[index].value(row), input.fields[index].sql_type.clone());
                let bound = plan.map_exprs(&|rex, depth| rex.with_outer(depth, &constant));
                known.insert(key.clone(), self.execute(&bound).await?);
            }
            let result = &known[&key];
            values.push(match kind {
                SubqueryKind::Scalar => scalar(result)?,
                SubqueryKind::Exists => Value::Long(i64::from(result.rows > 0)),
                SubqueryKind::Array => Value::Array(result.columns[0].to_values().into()),
                SubqueryKind::Column { index, outer } => listed(result, *index, *outer),
                SubqueryKind::In => among(&operands, row, result),
            });
        }
        Ok(Vector::from_values(&sql_type.native(), values))
    }
}

/// Subqueries, and what each gave for the outer values it was run with.
type Runs<'r> = Vec<(&'r Rel, HashMap<Option<Box<[u8]>>, Relation>)>;

/// A column of a lateral query as an array.
fn listed(rows: &Relation, index: usize, outer: bool) -> Value {
    match rows.rows {
        0 if outer => Value::Array(Arc::from([Value::Null])),
        _ => Value::Array(rows.columns[index].to_values().into()),
    }
}

/// The different values of the only column, unless null is among them: then what is not among them is unknown.
fn distinct_without_null(rows: &Relation) -> Option<Vec<Value>> {
    let column = &rows.columns[0];
    if (0..rows.rows).any(|row| column.is_null(row)) {
        return None;
    }
    ovate_engine::codes::distinct_values(column, usize::MAX)
}

pub(super) fn has_subqueries(rel: &Rel) -> bool {
    rel.exprs().iter().any(|rex| rex.any(&|node| matches!(node, Rex::Subquery { .. })))
        || rel.children().into_iter().any(has_subqueries)
}

/// True when the plan reads queries beyond the one it stands in.
fn reads_beyond(plan: &Rel) -> bool {
    let mut deep = Vec::new();
    for depth in 2..8 {
        plan.outer_used(depth, &mut deep);
    }
    !deep.is_empty()
}

fn scalar(rows: &Relation) -> Result<Value> {
    match rows.rows {
        0 => Ok(Value::Null),
        1 => Ok(rows.columns[0].value(0)),
        _ => Err(DruidError::invalid_sql("Subquery expression returned more than one row")),
    }
}

/// `(a, b) IN (rows)` with unknown where only nulls could make it true.
fn among(operands: &[Vector], row: usize, rows: &Relation) -> Value {
    let mut unknown = false;
    for other in 0..rows.rows {
        let (mut equal, mut open) = (true, false);
        for (operand, column) in operands.iter().zip(&rows.columns) {
            let (a, b) = (operand.value(row), column.value(other));
            if a.is_null() || b.is_null() {
                open = true;
            } else if a.compare(&b).is_ne() {
                equal = false;
            }
        }
        match (equal, open) {
            (true, false) => return Value::Long(1),
            (true, true) => unknown = true,
            _ => {}
        }
    }
    if unknown { Value::Null } else { Value::Long(0) }
}
