//! Window functions: OVER clauses with named windows and constant frames.

use ovate_base::Result;
use ovate_compute::Value;

use super::query::Block;
use super::{Binder, Scope, error_at};
use crate::functions::{find_aggregate, find_window};
use crate::parse::ast::{Bound, Call, Expr, ExprKind, Over, Pos, WindowSpec};
use crate::plan::{FrameBound, Rex, WindowCall, WindowFrame};
use crate::types::SqlType;

impl Binder<'_> {
    pub(super) fn window_call(&mut self, call: &Call, scope: &Scope<'_>, block: &mut Block, pos: Pos) -> Result<Rex> {
        let Some(over) = &call.over else {
            return Err(error_at(format!("OVER clause is necessary for window functions: {}", call.name), pos));
        };
        if !block.allow_windows {
            return Err(error_at("Windowed aggregate expression is illegal here", pos));
        }
        let spec = match over {
            Over::Spec(spec) => self.resolve_window(spec, block)?,
            Over::Name(name) => {
                let found = block.named_windows.iter().find(|(n, _)| n.value == name.value).map(|(_, spec)| spec.clone());
                let spec = found.ok_or_else(|| error_at(format!("Window '{}' not found", name.value), name.pos))?;
                self.resolve_window(&spec, block)?
            }
        };
        block.allow_windows = false;
        let bound = self.window_parts(call, &spec, scope, block, pos);
        block.allow_windows = true;
        let bound = bound?;
        let sql_type = bound.sql_type.clone();
        let index = block.windows.iter().position(|w| *w == bound).unwrap_or_else(|| {
            block.windows.push(bound);
            block.windows.len() - 1
        });
        Ok(Rex::Window(index, sql_type))
    }

    fn resolve_window(&self, spec: &WindowSpec, block: &Block) -> Result<WindowSpec> {
        let Some(base) = &spec.base else { return Ok(spec.clone()) };
        let found = block.named_windows.iter().find(|(n, _)| n.value == base.value);
        let (_, base) = found.ok_or_else(|| error_at(format!("Window '{}' not found", base.value), base.pos))?;
        let mut merged = self.resolve_window(base, block)?;
        if !spec.partition_by.is_empty() {
            merged.partition_by.clone_from(&spec.partition_by);
        }
        if !spec.order_by.is_empty() {
            merged.order_by.clone_from(&spec.order_by);
        }
        if spec.frame.is_some() {
            merged.frame.clone_from(&spec.frame);
        }
        Ok(merged)
    }

    fn window_parts(
        &mut self,
        call: &Call,
        spec: &WindowSpec,
        scope: &Scope<'_>,
        block: &mut Block,
        pos: Pos,
    ) -> Result<WindowCall> {
        let star = matches!(call.args.as_slice(), [Expr { kind: ExprKind::Star, .. }]);
        let mut args = Vec::new();
        if !star {
            for arg in &call.args {
                args.push(self.expr(arg, scope, block)?);
            }
        }
        let filter = call.filter.as_ref().map(|e| self.boolean(e, "FILTER", scope, block)).transpose()?;
        let partition_by = spec.partition_by.iter().map(|e| self.expr(e, scope, block)).collect::<Result<Vec<_>>>()?;
        let mut order_by = Vec::new();
        for item in &spec.order_by {
            let rex = self.expr(&item.expr, scope, block)?;
            order_by.push((rex, item.descending, item.nulls_first.unwrap_or(!item.descending)));
        }
        let (function, sql_type) = match find_window(&call.name) {
            Some(function) => {
                let sql_type = self.window_type(function, &mut args, pos)?;
                (function, sql_type)
            }
            None => {
                let function = find_aggregate(&call.name)
                    .ok_or_else(|| error_at(format!("OVER must be applied to aggregate function: {}", call.name), pos))?;
                let sql_type = self.aggregate_type(function, &mut args, star, pos)?;
                (super::call::by_time(function, &mut args, scope, pos), sql_type)
            }
        };
        if call.distinct {
            return Err(error_at("DISTINCT is not supported for window functions", pos));
        }
        let ranks = matches!(function, "RANK" | "DENSE_RANK" | "PERCENT_RANK" | "CUME_DIST");
        let frame = self.frame(spec, function, !order_by.is_empty(), pos, scope, block)?;
        if ranks && order_by.is_empty() {
            return Err(error_at("RANK or DENSE_RANK functions require ORDER BY clause in window specification", spec.pos));
        }
        Ok(WindowCall {
            function,
            args,
            distinct: false,
            filter,
            ignore_nulls: call.ignore_nulls,
            partition_by,
            order_by,
            frame,
            sql_type,
        })
    }

    fn window_type(&self, function: &str, args: &mut [Rex], pos: Pos) -> Result<SqlType> {
        let count = args.len();
        let fits = match function {
            "ROW_NUMBER" | "RANK" | "DENSE_RANK" | "PERCENT_RANK" | "CUME_DIST" => count == 0,
            "NTILE" | "FIRST_VALUE" | "LAST_VALUE" => count == 1,
            "NTH_VALUE" => count == 2,
            _ => (1..=3).contains(&count),
        };
        if !fits {
            return Err(error_at(format!("Invalid number of arguments to function '{function}'"), pos));
        }
        Ok(match function {
            "PERCENT_RANK" | "CUME_DIST" => SqlType::Double,
            "NTILE" => {
                match args[0].literal() {
                    Some(Value::Long(n)) if *n > 0 => {}
                    _ => return Err(error_at("Argument to function 'NTILE' must be a positive integer literal", pos)),
                }
                SqlType::Bigint
            }
            "ROW_NUMBER" | "RANK" | "DENSE_RANK" => SqlType::Bigint,
            "LAG" | "LEAD" => {
                let sql_type = args[0].sql_type().clone();
                if let Some(default) = args.get(2) {
                    args[2] = self.cast(default.clone(), &sql_type);
                }
                sql_type
            }
            _ => args[0].sql_type().clone(),
        })
    }

    fn frame(
        &mut self,
        spec: &WindowSpec,
        function: &str,
        ordered: bool,
        pos: Pos,
        scope: &Scope<'_>,
        block: &mut Block,
    ) -> Result<WindowFrame> {
        let Some(frame) = &spec.frame else {
            let end = if ordered { FrameBound::Offset(0) } else { FrameBound::UnboundedFollowing };
            // Druid's ROW_NUMBER and its kin ignore frames.
            let _ = function;
            return Ok(WindowFrame { rows: false, start: FrameBound::UnboundedPreceding, end });
        };
        let mut bound = |bound: &Bound| -> Result<FrameBound> {
            let mut offset = |expr: &Expr| -> Result<i64> {
                match self.expr(expr, scope, block)?.literal() {
                    Some(Value::Long(n)) if *n >= 0 => Ok(*n),
                    Some(_) => Err(error_at("ROWS value must be a non-negative integral constant", expr.pos)),
                    None => {
                        let message = "Window frames with expression based lower/upper bounds are not supported.";
                        Err(error_at(message, spec.pos))
                    }
                }
            };
            Ok(match bound {
                Bound::UnboundedPreceding => FrameBound::UnboundedPreceding,
                Bound::UnboundedFollowing => FrameBound::UnboundedFollowing,
                Bound::CurrentRow => FrameBound::Offset(0),
                Bound::Preceding(expr) => FrameBound::Offset(-offset(expr)?),
                Bound::Following(expr) => FrameBound::Offset(offset(expr)?),
            })
        };
        let offset = |bound: &Bound| matches!(bound, Bound::Preceding(_) | Bound::Following(_));
        if !frame.rows && (offset(&frame.start) || offset(&frame.end)) {
            let message = "Order By with RANGE clause currently supports only UNBOUNDED or CURRENT ROW. Use ROWS clause instead.";
            return Err(error_at(message, spec.pos));
        }
        let (start, end) = (bound(&frame.start)?, bound(&frame.end)?);
        let refuse = |message: &str, at: Pos| Err(error_at(message, at));
        match function {
            "RANK" | "DENSE_RANK" | "ROW_NUMBER" | "PERCENT_RANK" | "CUME_DIST" => {
                let message = "ROW/RANGE not allowed with RANK, DENSE_RANK, ROW_NUMBER or PERCENTILE_CONT/DISC functions";
                return refuse(message, frame.pos);
            }
            "NTILE" => return refuse("Framing of NTILE is not supported.", pos),
            _ => {}
        }
        if start == FrameBound::UnboundedFollowing {
            return refuse("UNBOUNDED FOLLOWING cannot be specified for the lower frame boundary", frame.pos);
        }
        if end == FrameBound::UnboundedPreceding {
            return refuse("UNBOUNDED PRECEDING cannot be specified for the upper frame boundary", frame.pos);
        }
        match (&frame.start, &frame.end) {
            (Bound::CurrentRow, Bound::Preceding(expr)) => {
                let message = "Upper frame boundary cannot be PRECEDING when lower boundary is CURRENT ROW";
                return refuse(message, expr.pos);
            }
            (Bound::Following(expr), Bound::CurrentRow) => {
                let message = "Upper frame boundary cannot be CURRENT ROW when lower boundary is FOLLOWING";
                return refuse(message, expr.pos);
            }
            (Bound::Following(expr), Bound::Preceding(_)) => {
                let message = "Upper frame boundary cannot be PRECEDING when lower boundary is FOLLOWING";
                return refuse(message, expr.pos);
            }
            _ => {}
        }
        Ok(WindowFrame { rows: frame.rows, start, end })
    }
}
