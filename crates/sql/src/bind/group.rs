//! GROUP BY with ROLLUP, CUBE and GROUPING SETS, and the rewriting of a block's expressions onto its groups.

use ovate_base::{DruidError, Result};

use super::query::{Block, ordinal};
use super::{Binder, Scope};
use crate::parse::ast::{Expr, GroupItem};
use crate::plan::{Rex, SubqueryKind};

/// More grouping sets than this are refused.
const SETS_MAX: usize = 4096;

impl Binder<'_> {
    /// The keys and the sets of key indexes.
    pub(super) fn group_by(
        &mut self,
        list: &[GroupItem],
        items: &[Rex],
        scope: &Scope<'_>,
    ) -> Result<(Vec<Rex>, Vec<Vec<usize>>)> {
        let mut keys = Vec::new();
        let mut sets = vec![Vec::new()];
        for item in list {
            let options = self.group_item(item, items, scope, &mut keys)?;
            sets = cross(&sets, &options)?;
        }
        for set in &mut sets {
            set.sort_unstable();
            set.dedup();
        }
        Ok((keys, sets))
    }

    fn group_item(&mut self, item: &GroupItem, items: &[Rex], scope: &Scope<'_>, keys: &mut Vec<Rex>) -> Result<Vec<Vec<usize>>> {
        match item {
            GroupItem::Expr(expr) => Ok(vec![vec![self.group_key(expr, items, scope, keys)?]]),
            GroupItem::Tuple(list) => {
                let set = list.iter().map(|e| self.group_key(e, items, scope, keys)).collect::<Result<Vec<_>>>()?;
                Ok(vec![set])
            }
            GroupItem::Sets(list) => {
                let mut out = Vec::new();
                for item in list {
                    out.extend(self.group_item(item, items, scope, keys)?);
                }
                Ok(out)
            }
            GroupItem::Rollup(list) => {
                let parts = self.parts(list, items, scope, keys)?;
                Ok((0..=parts.len()).rev().map(|n| parts[..n].concat()).collect())
            }
            GroupItem::Cube(list) => {
                let parts = self.parts(list, items, scope, keys)?;
                if parts.len() > 12 {
                    return Err(DruidError::invalid_sql("CUBE of more than 12 expressions"));
                }
                let mut out = Vec::new();
                for mask in (0..1usize << parts.len()).rev() {
                    let chosen = parts.iter().enumerate().filter(|(i, _)| mask >> (parts.len() - 1 - i) & 1 == 1);
                    out.push(chosen.flat_map(|(_, part)| part.iter().copied()).collect());
                }
                Ok(out)
            }
        }
    }

    fn parts(&mut self, list: &[GroupItem], items: &[Rex], scope: &Scope<'_>, keys: &mut Vec<Rex>) -> Result<Vec<Vec<usize>>> {
        let mut parts = Vec::new();
        for item in list {
            parts.extend(self.group_item(item, items, scope, keys)?);
        }
        Ok(parts)
    }

    fn group_key(&mut self, expr: &Expr, items: &[Rex], scope: &Scope<'_>, keys: &mut Vec<Rex>) -> Result<usize> {
        let rex = match ordinal(expr, items.len()) {
            Ok(Some(i)) => items[i].clone(),
            Ok(None) => self.expr(expr, scope, &mut Block::scalar())?,
            Err(error) => return Err(error),
        };
        if rex.any(&|node| matches!(node, Rex::Aggregate(..) | Rex::Window(..))) {
            return Err(super::error_at("Aggregate expression is illegal in GROUP BY clause", expr.pos));
        }
        Ok(keys.iter().position(|key| *key == rex).unwrap_or_else(|| {
            keys.push(rex);
            keys.len() - 1
        }))
    }
}

fn cross(left: &[Vec<usize>], right: &[Vec<usize>]) -> Result<Vec<Vec<usize>>> {
    if left.len().saturating_mul(right.len()) > SETS_MAX {
        return Err(DruidError::invalid_sql(format!("more than {SETS_MAX} grouping sets")));
    }
    let mut out = Vec::with_capacity(left.len() * right.len());
    for a in left {
        for b in right {
            out.push([a.as_slice(), b.as_slice()].concat());
        }
    }
    Ok(out)
}

/// An expression over the block's input turned into one over its groups: keys by position, then aggregates.
pub(super) fn replace_keys(rex: &Rex, keys: &[Rex], scope: &Scope<'_>) -> Result<Rex> {
    if !rex.is_literal()
        && let Some(i) = keys.iter().position(|key| key == rex)
    {
        return Ok(Rex::Input(i, rex.sql_type().clone()));
    }
    match rex {
        Rex::Aggregate(i, t) => Ok(Rex::Input(keys.len() + i, t.clone())),
        Rex::Literal(..) | Rex::Outer { .. } | Rex::Window(..) | Rex::Set(..) => Ok(rex.clone()),
        Rex::Input(index, _) => {
            let name = scope.columns.iter().find(|c| c.index == *index).map_or("?", |c| c.name.as_ref());
            Err(DruidError::invalid_sql(format!("Expression '{name}' is not being grouped")))
        }
        Rex::Call { op, args, sql_type } => {
            let args = args.iter().map(|arg| replace_keys(arg, keys, scope)).collect::<Result<Vec<_>>>()?;
            Ok(Rex::Call { op, args, sql_type: sql_type.clone() })
        }
        Rex::Subquery { kind, plan, args, sql_type } => {
            let args = args.iter().map(|arg| replace_keys(arg, keys, scope)).collect::<Result<Vec<_>>>()?;
            let mut used = Vec::new();
            plan.outer_used(1, &mut used);
            let place = |index: usize| keys.iter().position(|key| matches!(key, Rex::Input(i, _) if *i == index));
            if let Some(missing) = used.iter().find(|index| place(**index).is_none()) {
                let name = scope.columns.iter().find(|c| c.index == *missing).map_or("?", |c| c.name.as_ref());
                return Err(DruidError::invalid_sql(format!("Expression '{name}' is not being grouped")));
            }
            let plan = if used.is_empty() {
                plan.clone()
            } else {
                let swap = |index: usize| {
                    let at = place(index).unwrap_or(index);
                    Rex::Input(at, keys.get(at).map_or(crate::types::SqlType::Null, |k| k.sql_type().clone()))
                };
                plan.map_exprs(&|rex, depth| rex.with_outer(depth, &swap)).into()
            };
            let kind: SubqueryKind = *kind;
            Ok(Rex::Subquery { kind, plan, args, sql_type: sql_type.clone() })
        }
    }
}
