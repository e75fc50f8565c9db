//! `row_number() OVER (PARTITION BY … ORDER BY …)` in a query of the catalogue, as PostgreSQL's JDBC driver numbers columns: worked out
//! before the rest of the select list, as a column beside the others.

use std::collections::HashMap;

use pgwire::api::Type;
use sqlparser::ast::{Expr, Ident, WindowSpec, WindowType};

use super::datum::Datum;
use super::eval::{Column, Env};
use super::select::{Ctes, Evaluator, Rows, sort_rows};
use crate::postgres::error::{PgError, PgResult};

/// The table that these columns belong to; no query can name it.
const TABLE: &str = "\u{1}numbered";

/// The window of an item that is a row number.
fn window(expr: &Expr) -> PgResult<Option<&WindowSpec>> {
    let Expr::Function(function) = expr else { return Ok(None) };
    let Some(over) = &function.over else { return Ok(None) };
    let name = function.name.to_string().to_ascii_lowercase();
    match over {
        WindowType::WindowSpec(spec) if name == "row_number" && spec.window_frame.is_none() => Ok(Some(spec)),
        _ => Err(PgError::unsupported(format!("in a query of the catalogue: {name} over a window"))),
    }
}

impl Evaluator<'_> {
    /// Puts columns in place of the select list's row numbers.
    pub(super) fn numbered(
        &self,
        rows: &mut Rows,
        items: &mut [(String, Expr)],
        outer: Option<&Env>,
        ctes: &Ctes,
    ) -> PgResult<()> {
        for (_, expr) in items.iter_mut() {
            let Some(spec) = window(expr)? else { continue };
            let mut partitions: HashMap<String, Vec<(Vec<Datum>, Vec<Datum>)>> = HashMap::new();
            for (at, row) in rows.rows.iter().enumerate() {
                let env = Env { columns: &rows.columns, row, group: None, outer, ctes };
                let keys = spec.partition_by.iter().map(|key| Ok(self.eval(key, &env)?.key())).collect::<PgResult<Vec<_>>>()?;
                let sort = spec.order_by.iter().map(|by| self.eval(&by.expr, &env)).collect::<PgResult<Vec<_>>>()?;
                partitions.entry(keys.join("\u{1}")).or_default().push((vec![Datum::Int(at as i64)], sort));
            }
            let mut numbers = vec![Datum::Null; rows.rows.len()];
            for mut partition in partitions.into_values() {
                sort_rows(&mut partition, &spec.order_by);
                for (number, (row, _)) in partition.iter().enumerate() {
                    if let Some(slot) = row[0].int().and_then(|at| numbers.get_mut(at as usize)) {
                        *slot = Datum::Int(number as i64 + 1);
                    }
                }
            }
            let name = format!("n{}", rows.columns.len());
            rows.columns.push(Column { table: TABLE.to_owned(), name: name.clone(), kind: Type::INT8 });
            rows.rows.iter_mut().zip(numbers).for_each(|(row, number)| row.push(number));
            *expr = Expr::CompoundIdentifier(vec![Ident::with_quote('"', TABLE), Ident::with_quote('"', name)]);
        }
        Ok(())
    }
}
