//! Function calls: scalar functions, aggregates, window functions, and what is only another way to write them.

use ovate_base::{DruidError, Result};
use ovate_compute::Value;

use super::query::Block;
use super::{Binder, Scope, error_at};
use crate::functions::{find, find_aggregate, find_window};
use crate::parse::ast::{Call, Expr, ExprKind, Ident, Pos};
use crate::plan::{AggregateCall, Rex};
use crate::signature;
use crate::types::SqlType;

impl Binder<'_> {
    pub(super) fn call(&mut self, call: &Call, scope: &Scope<'_>, block: &mut Block, pos: Pos) -> Result<Rex> {
        if call.over.is_some() || find_window(&call.name).is_some() {
            return self.window_call(call, scope, block, pos);
        }
        if let Some(function) = find_aggregate(&call.name) {
            if !block.allow_aggregates {
                return Err(error_at(format!("Aggregate expression is illegal here: {}", call.name), pos));
            }
            let aggregate = self.aggregate(function, call, scope, pos)?;
            let sql_type = aggregate.sql_type.clone();
            let index = block.aggregates.iter().position(|a| *a == aggregate).unwrap_or_else(|| {
                block.aggregates.push(aggregate);
                block.aggregates.len() - 1
            });
            return Ok(Rex::Aggregate(index, sql_type));
        }
        if call.args.is_empty()
            && call.named.is_empty()
            && let Some(value) = self.nullary_call(&call.name)
        {
            return Ok(value);
        }
        let unit_first = matches!(call.name.as_str(), "TIMESTAMPADD" | "TIMESTAMPDIFF");
        let mut args = Vec::with_capacity(call.args.len());
        for (i, arg) in call.args.iter().enumerate() {
            let unit = unit_first && i == 0 || call.name == "TIME_EXTRACT" && i == 1;
            match &arg.kind {
                ExprKind::Name(path) if unit && path.len() == 1 && !path[0].quoted => {
                    args.push(Rex::Literal(Value::from(path[0].value.to_ascii_uppercase().as_str()), SqlType::Char));
                }
                _ => args.push(self.expr(arg, scope, block)?),
            }
        }
        if let (Some(returning), "JSON_VALUE") = (&call.returning, call.name.as_str()) {
            if args.len() != 2 {
                return Err(signature::wrong_count("JSON_VALUE", 2, pos));
            }
            let sql_type = super::expr::type_of(returning)?;
            return Ok(Rex::call("JSON_VALUE", args, sql_type));
        }
        let places: Vec<Pos> = call.args.iter().map(|arg| arg.pos).collect();
        self.function_at(&call.name, &call.written, args, &places, pos)
    }

    /// A scalar function over bound arguments.
    pub(super) fn function(&self, name: &str, args: Vec<Rex>, pos: Pos) -> Result<Rex> {
        self.function_at(name, name, args, &[], pos)
    }

    fn function_at(&self, name: &str, written: &str, mut args: Vec<Rex>, places: &[Pos], pos: Pos) -> Result<Rex> {
        if name == "NULLIF" && args.len() == 2 {
            let equal = self.compare("=", args[0].clone(), args[1].clone(), pos)?;
            let value = args.swap_remove(0);
            let null = Rex::null(value.sql_type().clone());
            return self.case_of(vec![equal, null, value], pos);
        }
        let Some(function) = find(name) else {
            let list: Vec<String> = args.iter().map(signature::family_of).collect();
            return Err(error_at(format!("No match found for function signature {written}({})", list.join(", ")), pos));
        };
        let shown_name = if written.eq_ignore_ascii_case(name) { name } else { function.name };
        signature::check(function.name, shown_name, &args, places, pos)?;
        if args.len() < function.min_args || args.len() > function.max_args {
            return Err(signature::wrong_count(shown_name, function.min_args, pos));
        }
        self.check_and_convert(function.name, &mut args, pos)?;
        let types: Vec<SqlType> = args.iter().map(|arg| arg.sql_type().clone()).collect();
        let sql_type = function.result_type(&types).ok_or_else(|| no_common_type(name, &args, pos))?;
        Ok(match function.name {
            "DECODE_BASE64_COMPLEX" => {
                let kind = args[0].literal_text().ok_or_else(|| signature::refuse(name, &args, "", pos))?;
                let sql_type = SqlType::Complex(kind.into());
                Rex::call("DECODE_BASE64_COMPLEX", args, sql_type)
            }
            "COALESCE" => {
                if args.len() == 1 {
                    return Ok(args.remove(0));
                }
                for arg in &mut args {
                    *arg = self.cast(arg.clone(), &sql_type);
                }
                Rex::call("COALESCE", args, sql_type)
            }
            "MILLIS_TO_TIMESTAMP" | "TIMESTAMP_TO_MILLIS" => match args.remove(0) {
                Rex::Literal(value, _) => Rex::Literal(value, sql_type),
                other => Rex::call(function.name, vec![other], sql_type),
            },
            "TIME_IN_INTERVAL" => {
                let text = args[1].literal_text().unwrap_or_default();
                let interval = ovate_base::Interval::parse_in(text, &self.session.zone).map_err(|_| {
                    error_at(
                        format!("Function 'TIME_IN_INTERVAL' second argument is not a valid ISO8601 interval: [{text}]"),
                        pos,
                    )
                })?;
                let at = |millis| Rex::Literal(Value::Long(millis), SqlType::Timestamp);
                let from = Rex::call(">=", vec![args[0].clone(), at(interval.start)], SqlType::Boolean);
                let to = Rex::call("<", vec![args[0].clone(), at(interval.end)], SqlType::Boolean);
                super::expr::flatten("AND", vec![from, to])
            }
            "MOD" => self.arithmetic("MOD", args[0].clone(), args[1].clone(), pos)?,
            op => Rex::call(op, args, sql_type),
        })
    }

    /// Arguments of the wrong type are converted or refused.
    fn check_and_convert(&self, name: &str, args: &mut [Rex], pos: Pos) -> Result<()> {
        let types: Vec<SqlType> = args.iter().map(|arg| arg.sql_type().clone()).collect();
        let shown = args.to_vec();
        let refuse = || Err(signature::refuse(name, &shown, &signature::forms(name).unwrap_or_default(), pos));
        let convert = |args: &mut [Rex], i: usize, to: SqlType| {
            if let Some(arg) = args.get_mut(i) {
                *arg = self.cast(arg.clone(), &to);
            }
        };
        match name {
            "TIME_FLOOR"
            | "TIME_CEIL"
            | "TIME_SHIFT"
            | "TIME_EXTRACT"
            | "TIME_FORMAT"
            | "TIME_IN_INTERVAL"
            | "TIMESTAMP_TO_MILLIS" => {
                if types[0].is_text() || types[0] == SqlType::Null {
                    convert(args, 0, SqlType::Timestamp);
                } else if !(types[0].is_time() || types[0].is_integer() && name == "TIME_SHIFT") {
                    return refuse();
                }
                if let (true, Some(t)) = (name == "TIME_SHIFT", types.get(2))
                    && t.is_text()
                {
                    convert(args, 2, SqlType::Integer);
                }
            }
            "DATE_TRUNC" | "EXTRACT" if types[1].is_text() => convert(args, 1, SqlType::Timestamp),
            "TIMESTAMPADD" => {
                if types[1].is_text() {
                    convert(args, 1, SqlType::Integer);
                }
                if types[2].is_text() || types[2] == SqlType::Null {
                    convert(args, 2, SqlType::Timestamp);
                }
            }
            "TIMESTAMPDIFF" => {
                for i in [1, 2] {
                    if types[i].is_text() || types[i] == SqlType::Null {
                        convert(args, i, SqlType::Timestamp);
                    }
                }
            }
            "FLOOR" | "CEIL" if args.len() == 1 && types[0].is_text() => convert(args, 0, SqlType::Double),
            "ABS" | "ROUND" | "TRUNCATE" | "SQRT" | "EXP" | "LN" | "LOG10" | "POWER" | "SIN" | "COS" | "TAN" | "COT" | "ASIN"
            | "ACOS" | "ATAN" | "ATAN2" | "DEGREES" | "RADIANS" | "CBRT" | "SIGN" => {
                for i in 0..args.len() {
                    if types[i].is_text() {
                        convert(args, i, if name == "ROUND" && i == 1 { SqlType::Integer } else { SqlType::Double });
                    } else if !types[i].is_numeric() && types[i] != SqlType::Null && types[i] != SqlType::Any {
                        return refuse();
                    }
                }
            }
            "CONCAT" | "TEXTCAT" => {
                for i in 0..args.len() {
                    match &types[i] {
                        SqlType::Array(_) => {}
                        // The function joins the native values: milliseconds and 1 or 0.
                        t if name == "CONCAT" && (t.is_time() || *t == SqlType::Boolean) => {
                            convert(args, i, SqlType::Bigint);
                            convert(args, i, SqlType::Varchar);
                        }
                        _ => convert(args, i, SqlType::Varchar),
                    }
                }
            }
            "LENGTH" | "LOWER" | "UPPER" | "REVERSE" | "TRIM" | "BTRIM" | "LTRIM" | "RTRIM" | "REPLACE" | "LPAD" | "RPAD"
            | "LEFT" | "RIGHT" | "SUBSTRING" | "LOOKUP" | "REGEXP_LIKE" | "REGEXP_EXTRACT" | "REGEXP_REPLACE"
            | "CONTAINS_STRING" | "ICONTAINS_STRING" | "STRPOS" | "PARSE_LONG" | "TIME_PARSE" => {
                let at = usize::from(name == "TRIM" && args.len() == 3);
                let at = if name == "TRIM" && args.len() == 2 && is_side(&args[0]) { 1 } else { at };
                match &types[at] {
                    t if t.is_numeric() || t.is_time() || *t == SqlType::Boolean => convert(args, at, SqlType::Varchar),
                    _ => {}
                }
            }
            "GREATEST" | "LEAST" => {
                for t in &types {
                    if matches!(t, SqlType::Array(_) | SqlType::Complex(_)) {
                        let message = format!("Function[{}] does not accept {} types", name.to_lowercase(), t.native());
                        return Err(error_at(message, pos));
                    }
                }
            }
            "ARRAY_CONTAINS" | "ARRAY_OVERLAP" | "ARRAY_LENGTH" | "ARRAY_OFFSET" | "ARRAY_ORDINAL" | "ARRAY_OFFSET_OF"
            | "ARRAY_ORDINAL_OF"
                if types[0].is_numeric() && args.iter().all(|a| !a.is_literal()) && name == "ARRAY_LENGTH" =>
            {
                return refuse();
            }
            "ARRAY_OFFSET_OF" | "ARRAY_ORDINAL_OF" | "MV_OFFSET_OF" | "MV_ORDINAL_OF"
                if matches!(types[1], SqlType::Array(_)) && types[0] != SqlType::Null =>
            {
                let native = if name.ends_with("OFFSET_OF") { "array_offset_of" } else { "array_ordinal_of" };
                let given = types[1].native();
                let message = format!("Function[{native}] second argument must be a a scalar type but got {given} instead");
                return Err(error_at(message, pos));
            }
            "MV_TO_ARRAY" => {
                if let Rex::Call { op: "ARRAY", args: items, .. } = &args[0] {
                    let items: Vec<String> = items
                        .iter()
                        .map(|i| i.literal().and_then(Value::as_text).map_or("…".to_owned(), |t| t.to_string()))
                        .collect();
                    let list = items.join(", ");
                    return Err(error_at(
                        format!(
                            "Function[mv_to_array] argument (array [{list}]) should be an identifier expression. Use array() instead"
                        ),
                        pos,
                    ));
                }
            }
            // What becomes a text here is read as CAST would give it.
            "ARRAY_TO_MV" | "STRING_TO_ARRAY" | "STRING_TO_MV" | "MV_FILTER_ONLY" | "MV_FILTER_NONE" if types[0].is_time() => {
                convert(args, 0, SqlType::Varchar);
            }
            _ => {}
        }
        Ok(())
    }

    /// An aggregate with its arguments bound below the grouping.
    pub(super) fn aggregate(
        &mut self,
        function: &'static str,
        call: &Call,
        scope: &Scope<'_>,
        pos: Pos,
    ) -> Result<AggregateCall> {
        let mut inner = Block::scalar();
        let star = matches!(call.args.as_slice(), [Expr { kind: ExprKind::Star, .. }]);
        if star && function != "COUNT" {
            return Err(error_at(format!("Unknown identifier '*' in {function}(*)"), pos));
        }
        let mut args = Vec::new();
        if !star {
            for arg in &call.args {
                match &arg.kind {
                    // COUNT(DISTINCT (a, b))
                    ExprKind::Row(list) if function == "COUNT" => {
                        for e in list {
                            args.push(self.expr(e, scope, &mut inner)?);
                        }
                    }
                    _ => args.push(self.expr(arg, scope, &mut inner)?),
                }
            }
        }
        let filter = call.filter.as_ref().map(|e| self.boolean(e, "FILTER", scope, &mut inner)).transpose()?;
        let (mut function, mut filter) = (function, filter);
        if !call.distinct {
            case_to_filter(&mut function, &mut args, &mut filter);
        }
        if function == "COUNT" && args.is_empty() && !star && call.args.is_empty() {
            return Err(signature::wrong_count(&call.written, 1, pos));
        }
        if !star {
            let places: Vec<Pos> = call.args.iter().map(|arg| arg.pos).collect();
            let shown = if call.written.eq_ignore_ascii_case(function) { function } else { call.name.as_str() };
            signature::check(function, shown, &args, &places, pos)?;
        }
        let star = star || (function == "COUNT" && args.is_empty());
        let sql_type = self.aggregate_type(function, &mut args, star, pos)?;
        let function = by_time(function, &mut args, scope, pos);
        let distinct = call.distinct && !matches!(function, "MIN" | "MAX" | "ANY_VALUE" | "BIT_AND" | "BIT_OR");
        Ok(AggregateCall { function, args, distinct, filter, sql_type })
    }

    /// The type of an aggregate; converts text arguments of numeric ones.
    pub(super) fn aggregate_type(&self, function: &str, args: &mut [Rex], star: bool, pos: Pos) -> Result<SqlType> {
        let types: Vec<SqlType> = args.iter().map(|arg| arg.sql_type().clone()).collect();
        let shown = args.to_vec();
        let refuse = || Err(signature::refuse(function, &shown, &signature::forms(function).unwrap_or_default(), pos));
        let wrong_count = || Err(error_at(format!("Invalid number of arguments to function '{function}'"), pos));
        if types.is_empty() && !star && !matches!(function, "COUNT" | "GROUPING") {
            return wrong_count();
        }
        let complex = |name: &str| Ok(SqlType::Complex(name.into()));
        match function {
            "COUNT" => {
                if types.is_empty() && !star {
                    return wrong_count();
                }
                Ok(SqlType::Bigint)
            }
            "GROUPING" => {
                if types.is_empty() {
                    wrong_count()
                } else {
                    Ok(SqlType::Bigint)
                }
            }
            "APPROX_COUNT_DISTINCT"
            | "APPROX_COUNT_DISTINCT_BUILTIN"
            | "APPROX_COUNT_DISTINCT_DS_HLL"
            | "APPROX_COUNT_DISTINCT_DS_THETA"
            | "APPROX_COUNT_DISTINCT_DS_HLL_UTF8"
            | "BITMAP64_EXACT_COUNT"
            | "SPECTATOR_COUNT" => Ok(SqlType::Bigint),
            "SUM" | "AVG" => {
                match &types[0] {
                    t if t.is_numeric() || *t == SqlType::Null => {}
                    t if t.is_text() || *t == SqlType::Any => args[0] = self.cast(args[0].clone(), &SqlType::Double),
                    SqlType::Boolean => return refuse(),
                    _ => return refuse(),
                }
                let exact = matches!(args[0].sql_type(), SqlType::Integer | SqlType::Bigint | SqlType::Null);
                Ok(if function == "SUM" && exact { SqlType::Bigint } else { SqlType::Double })
            }
            "MIN" | "MAX" => match &types[0] {
                SqlType::Array(_) | SqlType::Complex(_) => refuse(),
                SqlType::Null => Ok(SqlType::Bigint),
                t => Ok(t.clone()),
            },
            "EARLIEST" | "LATEST" | "EARLIEST_BY" | "LATEST_BY" | "ANY_VALUE" | "SINGLE_VALUE" => Ok(match &types[0] {
                SqlType::Complex(name) if name.as_ref().starts_with("serializablePair") => match name.as_ref() {
                    "serializablePairLongLong" => SqlType::Bigint,
                    "serializablePairLongDouble" => SqlType::Double,
                    "serializablePairLongFloat" => SqlType::Float,
                    _ => SqlType::Varchar,
                },
                SqlType::Char => SqlType::Varchar,
                t => t.clone(),
            }),
            "ARRAY_AGG" => Ok(SqlType::Array(Box::new(match &types[0] {
                SqlType::Char | SqlType::Null => SqlType::Varchar,
                t => t.clone(),
            }))),
            "ARRAY_CONCAT_AGG" => match &types[0] {
                SqlType::Array(_) => Ok(types[0].clone()),
                t if t.is_text() => Ok(SqlType::Array(Box::new(SqlType::Varchar))),
                _ => refuse(),
            },
            "STRING_AGG" => {
                if types.len() < 2 {
                    return Ok(SqlType::Varchar);
                }
                Ok(SqlType::Varchar)
            }
            "BIT_AND" | "BIT_OR" | "BIT_XOR" => {
                if !types[0].is_integer() {
                    args[0] = self.cast(args[0].clone(), &SqlType::Bigint);
                }
                Ok(SqlType::Bigint)
            }
            "VAR_POP" | "VAR_SAMP" | "VARIANCE" | "STDDEV_POP" | "STDDEV_SAMP" | "STDDEV" => {
                match &types[0] {
                    t if t.is_text() => args[0] = self.cast(args[0].clone(), &SqlType::Double),
                    t if t.is_numeric() || matches!(t, SqlType::Complex(_) | SqlType::Null) => {}
                    _ => return refuse(),
                }
                Ok(SqlType::Double)
            }
            "APPROX_QUANTILE_DS" | "APPROX_QUANTILE" | "APPROX_QUANTILE_FIXED_BUCKETS" => Ok(SqlType::Double),
            "DS_HLL" => complex("HLLSketch"),
            "DS_THETA" => complex("thetaSketch"),
            "DS_QUANTILES_SKETCH" => complex("quantilesDoublesSketch"),
            "DS_TUPLE_DOUBLES" => complex("arrayOfDoublesSketch"),
            "BLOOM_FILTER" => complex("bloom"),
            "TDIGEST_GENERATE_SKETCH" => complex("tDigestSketch"),
            "TDIGEST_QUANTILE" | "SPECTATOR_PERCENTILE" if types.len() < 2 => wrong_count(),
            "TDIGEST_QUANTILE" => Ok(SqlType::Double),
            "SPECTATOR_PERCENTILE" => Ok(match &types[1] {
                SqlType::Array(_) => SqlType::Array(Box::new(SqlType::Double)),
                _ => SqlType::Double,
            }),
            // Exact decimals come as text.
            "BIG_SUM" | "BIG_MIN" | "BIG_MAX" => Ok(SqlType::Varchar),
            _ => refuse(),
        }
    }
}

/// `SUM(CASE WHEN c THEN v END)` is `SUM(v) FILTER (WHERE c)`, which filters can answer from indexes
/// (`AggregateCaseToFilterRule`, with its answers for ELSE 0).
fn case_to_filter(function: &mut &'static str, args: &mut Vec<Rex>, filter: &mut Option<Rex>) {
    if !matches!(*function, "SUM" | "COUNT" | "MIN" | "MAX" | "AVG") || args.len() != 1 {
        return;
    }
    let Rex::Call { op: "CASE", args: parts, .. } = &args[0] else { return };
    let [condition, value, otherwise] = parts.as_slice() else { return };
    let zero = matches!(otherwise.literal(), Some(Value::Long(0)));
    let one = matches!(value.literal(), Some(Value::Long(1)));
    let null = otherwise.literal().is_some_and(Value::is_null);
    let mut conditions: Vec<Rex> = filter.iter().cloned().collect();
    conditions.push(condition.clone());
    let counted = match *function {
        "SUM" if zero && one => true,
        "COUNT" if null => value.literal().is_some_and(|v| !v.is_null()),
        "SUM" if zero => false,
        _ if null && !value.is_literal() => false,
        _ => return,
    };
    *filter = Some(Rex::and_all(conditions));
    if counted {
        *function = "COUNT";
        args.clear();
    } else {
        *args = vec![value.clone()];
    }
}

/// EARLIEST and LATEST go by the column `__time` in scope, a table's or one of a subquery's
/// (`EarliestLatestAnySqlAggregator` rewrites the call).
pub(super) fn by_time(function: &'static str, args: &mut Vec<Rex>, scope: &Scope<'_>, pos: Pos) -> &'static str {
    let by = match function {
        "EARLIEST" => "EARLIEST_BY",
        "LATEST" => "LATEST_BY",
        _ => return function,
    };
    let time = Ident { value: "__time".to_owned(), quoted: true, pos };
    match scope.resolve(&[time]) {
        Ok(time) if *time.sql_type() == SqlType::Timestamp && !matches!(args[0].sql_type(), SqlType::Complex(_)) => {
            args.insert(1, time);
            by
        }
        _ => function,
    }
}

/// The error of arguments that have no type in common.
fn no_common_type(name: &str, args: &[Rex], pos: Pos) -> DruidError {
    match name {
        "ARRAY" => error_at("Parameters must be of the same type", pos),
        "COALESCE" | "NVL" | "IFNULL" => error_at("Illegal mixing of types in CASE or COALESCE statement", pos),
        _ => signature::refuse(name, args, &signature::forms(name).unwrap_or_default(), pos),
    }
}

/// BOTH, LEADING or TRAILING of TRIM.
fn is_side(rex: &Rex) -> bool {
    matches!(rex, Rex::Literal(Value::String(text), SqlType::Char) if matches!(text.as_ref(), "BOTH" | "LEADING" | "TRAILING"))
}
