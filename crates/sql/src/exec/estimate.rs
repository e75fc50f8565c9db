//! How many rows relations may have, roughly: enough to say which side of a join is small.

use std::collections::HashMap;

use ovate_base::Result;
use ovate_query::NativeQuery;
use serde_json::json;

use super::{Executor, table_source};
use crate::native::{Base, Stage};
use crate::plan::{Rel, RelKind, Rex};

/// Rows before and after the filters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Estimate {
    pub base: f64,
    pub rows: f64,
}

/// Rows of the tables in a plan.
pub(super) type TableRows = HashMap<Vec<String>, f64>;

impl Executor<'_> {
    /// Counts the tables that these relations read, unless that was done a short while ago.
    pub(super) async fn table_rows(&self, rels: &[&Rel]) -> Result<TableRows> {
        let mut names = Vec::new();
        rels.iter().for_each(|rel| tables_of(rel, &mut names));
        let mut out = TableRows::new();
        for tables in names {
            let key = tables.join("\u{1}");
            let count = match self.counts.get(&key) {
                Some(count) => count,
                None => {
                    let count = self.count(&tables).await?;
                    self.counts.insert(key, count);
                    count
                }
            };
            out.insert(tables, count as f64);
        }
        Ok(out)
    }

    async fn count(&self, tables: &[String]) -> Result<u64> {
        let mut context = self.settings.context.clone();
        context.remove("sqlOuterLimit");
        let query = json!({
            "queryType": "timeseries", "dataSource": table_source(tables), "granularity": "all", "context": context,
            "intervals": {"type": "intervals", "intervals": ["-146136543-09-08T08:23:32.096Z/146140482-04-24T15:36:27.903Z"]},
            "aggregations": [{"type": "count", "name": "a0"}],
        });
        let rows = self.runner.run(NativeQuery::from_json(&query)?).await?;
        let relation = ovate_engine::Relation::from_query(rows, &[("a0", ovate_compute::ColumnType::Long)]);
        let count = (relation.rows > 0).then(|| relation.columns[0].value(0).as_long()).flatten();
        Ok(count.unwrap_or(0).unsigned_abs())
    }
}

fn tables_of(rel: &Rel, out: &mut Vec<Vec<String>>) {
    if let RelKind::Table { names } = &rel.kind
        && !out.contains(names)
    {
        out.push(names.clone());
    }
    rel.children().into_iter().for_each(|child| tables_of(child, out));
}

/// The estimate of one relation.
pub(super) fn estimate(rel: &Rel, tables: &TableRows) -> Estimate {
    of_stage(&Stage::of(rel), tables)
}

fn of_stage(stage: &Stage, tables: &TableRows) -> Estimate {
    let base = match &stage.base {
        Base::Table(names) => tables.get(names).copied().unwrap_or(1000.0),
        Base::Stage(inner) => of_stage(inner, tables).rows,
        Base::Rel(rel) => of_relation(rel, tables),
    };
    let mut rows = base * stage.filters.iter().map(|rex| selectivity(rex, base)).product::<f64>();
    if let Some(grouping) = &stage.aggregate {
        rows = if grouping.keys.is_empty() { 1.0 } else { rows * 0.3 };
        rows *= stage.having.iter().map(|rex| selectivity(rex, rows)).product::<f64>();
    }
    if let Some(limit) = stage.sort.as_ref().and_then(|sort| sort.limit) {
        rows = rows.min(limit as f64);
    }
    Estimate { base, rows: rows.max(1.0).min(base.max(1.0)) }
}

fn of_relation(rel: &Rel, tables: &TableRows) -> f64 {
    match &rel.kind {
        RelKind::Rows(rows) => rows.0.rows as f64,
        RelKind::Values(rows) => rows.len() as f64,
        RelKind::Union(inputs) => inputs.iter().map(|input| estimate(input, tables).rows).sum(),
        RelKind::Join { left, right, kind, .. } => {
            let (left, right) = (estimate(left, tables), estimate(right, tables));
            if kind.left_only() { left.rows * 0.5 } else { left.rows.max(right.rows) }
        }
        RelKind::Window { input, .. } | RelKind::Unnest { input, .. } | RelKind::SetDifference { left: input, .. } => {
            estimate(input, tables).rows
        }
        RelKind::External(_) => 100_000.0,
        _ => 1000.0,
    }
}

/// The share of `base` rows that a condition lets through, by its form.
fn selectivity(rex: &Rex, base: f64) -> f64 {
    match rex {
        Rex::Literal(..) => 1.0,
        Rex::Call { op, args, .. } => match *op {
            "=" => 0.05,
            "IN" => (0.05 * (args.len() - 1) as f64).min(0.5),
            "LIKE" | "SCALAR_IN_ARRAY" => 0.1,
            // As if most of the numbers were met, and each a few times.
            "IN_SET" => match &args[1] {
                Rex::Set(set, _) => (2.0 * set.0.len() as f64 / base.max(1.0)).min(0.9),
                _ => 0.1,
            },
            "<" | "<=" | ">" | ">=" => 0.4,
            "AND" => args.iter().map(|arg| selectivity(arg, base)).product(),
            "OR" => args.iter().map(|arg| selectivity(arg, base)).sum::<f64>().min(0.7),
            "<>" | "IS NOT NULL" | "NOT" => 0.9,
            _ => 0.5,
        },
        _ => 0.5,
    }
}
