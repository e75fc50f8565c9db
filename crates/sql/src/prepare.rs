//! What a prepared statement will give and take before its parameters have values: columns, and the types of its `?`
//! as the places where they stand want them (Calcite's parameter type inference).

use std::collections::BTreeMap;
use std::sync::Arc;

use ovate_base::Result;
use ovate_compute::Value;

use crate::plan::{Rel, Rex};
use crate::types::SqlType;

/// The name of the call that stands for a parameter without a value; its argument is the parameter's index.
pub const PARAMETER: &str = "$PARAMETER";

/// Columns and parameters of a statement.
#[derive(Debug, Clone)]
pub struct SqlPrepared {
    pub columns: Vec<(Arc<str>, SqlType)>,
    pub parameters: Vec<SqlType>,
}

/// A parameter without a value.
pub fn placeholder(index: usize) -> Rex {
    Rex::call(PARAMETER, vec![Rex::long(index as i64)], SqlType::Any)
}

fn index_of(rex: &Rex) -> Option<usize> {
    match rex {
        Rex::Call { op, args, .. } if *op == PARAMETER => match args.first().and_then(Rex::literal) {
            Some(Value::Long(index)) => usize::try_from(*index).ok(),
            _ => None,
        },
        _ => None,
    }
}

/// Reads the types of `count` parameters off a bound plan.
pub fn prepared(rel: &Rel, count: usize) -> Result<SqlPrepared> {
    let mut found = BTreeMap::new();
    walk(rel, &mut found);
    let parameters = (0..count).map(|index| found.get(&index).cloned().unwrap_or(SqlType::Varchar)).collect();
    let shown = |t: &SqlType| if *t == SqlType::Any { SqlType::Varchar } else { t.clone() };
    let columns = rel.fields.iter().map(|f| (f.name.clone(), shown(&f.sql_type))).collect();
    Ok(SqlPrepared { columns, parameters })
}

fn walk(rel: &Rel, found: &mut BTreeMap<usize, SqlType>) {
    for rex in rel.exprs() {
        rex.visit(&mut |node| match node {
            Rex::Call { op, args, sql_type } => infer(op, args, sql_type, found),
            Rex::Subquery { plan, .. } => walk(plan, found),
            _ => {}
        });
    }
    rel.children().into_iter().for_each(|child| walk(child, found));
}

fn infer(op: &str, args: &[Rex], sql_type: &SqlType, found: &mut BTreeMap<usize, SqlType>) {
    for arg in args {
        let Some(index) = index_of(arg) else { continue };
        let wanted = match op {
            "CAST" => sql_type.clone(),
            // Like the operand beside it.
            _ => args
                .iter()
                .map(Rex::sql_type)
                .find(|t| !matches!(t, SqlType::Any | SqlType::Null))
                .cloned()
                .unwrap_or(SqlType::Varchar),
        };
        let wanted = if wanted.is_text() { SqlType::Varchar } else { wanted };
        found.entry(index).or_insert(wanted);
    }
}
