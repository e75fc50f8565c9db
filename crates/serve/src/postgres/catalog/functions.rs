//! Functions of catalogue queries: PostgreSQL's own about its system tables, and the ordinary ones that clients mix in.

use std::time::{SystemTime, UNIX_EPOCH};

use ovate_base::time::format_iso;
use pgwire::api::Type;
use sqlparser::ast::{Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::Catalogue;
use super::datum::{Datum, array_from_text};
use super::eval::{Env, folded};
use super::select::{Evaluator, Table};
use super::{kinds, types};
use crate::postgres::error::{PgError, PgResult};

const AGGREGATES: &[&str] = &["count", "sum", "min", "max", "avg", "array_agg", "string_agg", "bool_or", "bool_and", "every"];

/// The name of a function, without `pg_catalog.`.
pub fn name(function: &Function) -> String {
    function.name.0.last().and_then(|part| part.as_ident()).map(folded).unwrap_or_default()
}

/// True when an aggregate is called in an expression.
pub fn has_aggregate(expr: &Expr) -> bool {
    let own = matches!(expr, Expr::Function(function) if AGGREGATES.contains(&name(function).as_str()));
    own || kinds::children(expr).into_iter().any(has_aggregate)
}

/// The type of a call's value.
pub fn kind(function: &Function, of: &dyn Fn(&Expr) -> Type) -> Type {
    let first = || kinds::arguments(function).and_then(|list| list.first().map(|e| of(e))).unwrap_or(Type::TEXT);
    match name(function).as_str() {
        "count"
        | "pg_table_size"
        | "pg_relation_size"
        | "pg_total_relation_size"
        | "pg_database_size"
        | "age"
        | "txid_current" => Type::INT8,
        "length" | "char_length" | "strpos" | "array_length" | "array_upper" | "array_lower" | "cardinality" => Type::INT4,
        "pg_backend_pid" | "pg_encoding_max_length" | "char_to_encoding" | "inet_server_port" | "array_position" => Type::INT4,
        "avg" | "floor" | "ceil" | "round" => Type::FLOAT8,
        "sum" => match first() {
            Type::FLOAT4 | Type::FLOAT8 => Type::FLOAT8,
            _ => Type::INT8,
        },
        "min" | "max" | "coalesce" | "nullif" | "greatest" | "least" => first(),
        "generate_series" => first(),
        "array_agg" => types::array_of(&first()).unwrap_or(Type::TEXT_ARRAY),
        "array" | "string_to_array" | "current_schemas" | "array_remove" | "array_append" => Type::TEXT_ARRAY,
        "pg_my_temp_schema" | "to_regclass" | "to_regtype" => Type::OID,
        "now" | "current_timestamp" | "pg_postmaster_start_time" | "pg_conf_load_time" | "clock_timestamp" => Type::TEXT,
        name if name.starts_with("has_") && name.ends_with("_privilege") => Type::BOOL,
        name if name.ends_with("_is_visible") || name.starts_with("bool_") || name == "every" => Type::BOOL,
        "pg_is_in_recovery" | "pg_relation_is_publishable" | "pg_has_role" | "starts_with" | "pg_is_other_temp_schema" => {
            Type::BOOL
        }
        "row_security_active" | "pg_relation_is_updatable" => Type::BOOL,
        _ => Type::TEXT,
    }
}

impl Evaluator<'_> {
    /// Arguments of a call in order.
    pub(super) fn arguments(&self, args: &[FunctionArg], env: &Env) -> PgResult<Vec<Datum>> {
        args.iter()
            .map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => self.eval(expr, env),
                FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => Ok(Datum::Int(1)),
                FunctionArg::Named { arg: FunctionArgExpr::Expr(expr), .. } => self.eval(expr, env),
                other => Err(PgError::unsupported(format!("argument {other}"))),
            })
            .collect()
    }

    pub(super) fn call(&self, function: &Function, env: &Env) -> PgResult<Datum> {
        let name = name(function);
        let list = match &function.args {
            FunctionArguments::None => {
                return self.catalogue.session_value(&name).map_or_else(|| call(self.catalogue, &name, &[]), Ok);
            }
            FunctionArguments::Subquery(query) if name == "array" => return Ok(Datum::Array(self.list(query, env)?)),
            FunctionArguments::Subquery(_) => return Err(PgError::unsupported(format!("{name}(SELECT …)"))),
            FunctionArguments::List(list) => list,
        };
        if AGGREGATES.contains(&name.as_str()) {
            let Some(group) = env.group else {
                return Err(PgError::new("42803", format!("aggregate {name} is not allowed here")));
            };
            let distinct = list.duplicate_treatment == Some(sqlparser::ast::DuplicateTreatment::Distinct);
            let mut values = Vec::with_capacity(group.len());
            for row in group {
                let row_env = Env { row, group: None, ..*env };
                if let Some(filter) = &function.filter
                    && self.eval(filter, &row_env)?.truth() != Some(true)
                {
                    continue;
                }
                values.push(self.arguments(&list.args, &row_env)?);
            }
            if distinct {
                let mut seen = std::collections::HashSet::new();
                values.retain(|row| seen.insert(row.iter().map(Datum::key).collect::<Vec<_>>()));
            }
            return aggregate(&name, values);
        }
        if name == "coalesce" {
            for arg in kinds::arguments(function).unwrap_or_default() {
                let value = self.eval(arg, env)?;
                if !value.is_null() {
                    return Ok(value);
                }
            }
            return Ok(Datum::Null);
        }
        call(self.catalogue, &name, &self.arguments(&list.args, env)?)
    }
}

/// `format('%I.%I: %s', …)`: `%s` as text, `%I` as a name, `%L` as a literal; null is nothing, an error, and NULL.
fn formatted(pattern: &str, args: &[Datum]) -> PgResult<String> {
    let mut out = String::new();
    let mut args = args.iter();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let kind = chars.next();
        if kind == Some('%') {
            out.push('%');
            continue;
        }
        let arg = args.next().ok_or_else(|| PgError::new("22023", "too few arguments for format()"))?;
        match (kind, arg.text()) {
            (Some('s'), text) => out.push_str(&text.unwrap_or_default()),
            (Some('I'), Some(text)) => out.push_str(&quoted_ident(text)),
            (Some('I'), None) => return Err(PgError::new("22004", "null values cannot be formatted as an SQL identifier")),
            (Some('L'), Some(text)) => out.push_str(&format!("'{}'", text.replace('\'', "''"))),
            (Some('L'), None) => out.push_str("NULL"),
            _ => return Err(PgError::new("22023", "format() knows %s, %I, %L and %%")),
        }
    }
    Ok(out)
}

fn aggregate(name: &str, rows: Vec<Vec<Datum>>) -> PgResult<Datum> {
    let second = rows.first().and_then(|row| row.get(1)).and_then(Datum::text).unwrap_or_default();
    let all: Vec<Datum> = rows.into_iter().filter_map(|row| row.into_iter().next()).collect();
    if name == "array_agg" {
        return Ok(if all.is_empty() { Datum::Null } else { Datum::Array(all) });
    }
    let values: Vec<Datum> = all.into_iter().filter(|value| !value.is_null()).collect();
    if name == "count" {
        return Ok(Datum::Int(values.len() as i64));
    }
    if values.is_empty() {
        return Ok(Datum::Null);
    }
    Ok(match name {
        "sum" if values.iter().all(|v| matches!(v, Datum::Int(_))) => {
            Datum::Int(values.iter().filter_map(Datum::int).fold(0i64, i64::saturating_add))
        }
        "sum" => Datum::Float(values.iter().filter_map(Datum::float).sum()),
        "avg" => Datum::Float(values.iter().filter_map(Datum::float).sum::<f64>() / values.len() as f64),
        "min" => values.into_iter().reduce(|a, b| if b.compare(&a).is_lt() { b } else { a }).unwrap_or(Datum::Null),
        "max" => values.into_iter().reduce(|a, b| if b.compare(&a).is_gt() { b } else { a }).unwrap_or(Datum::Null),
        "string_agg" => Datum::from(values.iter().filter_map(Datum::text).collect::<Vec<_>>().join(&second)),
        "bool_or" => Datum::Bool(values.iter().any(|v| v.truth() == Some(true))),
        _ => Datum::Bool(values.iter().all(|v| v.truth() == Some(true))),
    })
}

/// The elements of an array.
pub fn items(value: &Datum) -> Vec<Datum> {
    match value {
        Datum::Array(items) => items.clone(),
        other => other.text().as_deref().and_then(array_from_text).unwrap_or_default(),
    }
}

/// Rows that a function in FROM gives.
pub fn rows(catalogue: &Catalogue, name: &str, arguments: &[Datum]) -> PgResult<Table> {
    const SERIES_MAX: i64 = 1_000_000;
    let one = |kind: Type, values: Vec<Datum>| Table {
        columns: vec![(name.to_owned(), kind)],
        rows: values.into_iter().map(|value| vec![value]).collect(),
    };
    match name {
        "generate_series" => {
            let (Some(start), Some(stop)) = (arguments.first().and_then(Datum::int), arguments.get(1).and_then(Datum::int))
            else {
                return Ok(one(Type::INT4, Vec::new()));
            };
            let step = arguments.get(2).and_then(Datum::int).unwrap_or(1);
            if step == 0 || stop.saturating_sub(start) / step > SERIES_MAX {
                return Err(PgError::new("22023", format!("generate_series gives at most {SERIES_MAX} rows")));
            }
            let (mut values, mut at) = (Vec::new(), start);
            while (step > 0 && at <= stop) || (step < 0 && at >= stop) {
                values.push(Datum::Int(at));
                at = at.saturating_add(step);
                if at == i64::MAX || at == i64::MIN {
                    break;
                }
            }
            Ok(one(Type::INT4, values))
        }
        "unnest" | "regexp_split_to_table" => Ok(one(Type::TEXT, arguments.first().map(items).unwrap_or_default())),
        "pg_get_keywords" => {
            let columns = ["word", "catcode", "barelabel", "catdesc", "baredesc"].map(|name| (name.to_owned(), Type::TEXT));
            Ok(Table { columns: columns.to_vec(), rows: Vec::new() })
        }
        "pg_get_publication_tables" | "pg_partition_tree" | "pg_partition_ancestors" | "aclexplode" => {
            let columns = match name {
                "aclexplode" => vec![
                    ("grantor", Type::OID),
                    ("grantee", Type::OID),
                    ("privilege_type", Type::TEXT),
                    ("is_grantable", Type::BOOL),
                ],
                _ => vec![("relid", Type::OID)],
            };
            Ok(Table { columns: columns.into_iter().map(|(name, t)| (name.to_owned(), t)).collect(), rows: Vec::new() })
        }
        // A scalar function in FROM is a table of one row.
        _ => {
            let value = call(catalogue, name, arguments)?;
            let kind = match &value {
                Datum::Int(_) => Type::INT8,
                Datum::Bool(_) => Type::BOOL,
                Datum::Float(_) => Type::FLOAT8,
                Datum::Array(_) => Type::TEXT_ARRAY,
                Datum::Null | Datum::Text(_) => Type::TEXT,
            };
            Ok(one(kind, vec![value]))
        }
    }
}

/// A function of values.
pub fn call(catalogue: &Catalogue, name: &str, arguments: &[Datum]) -> PgResult<Datum> {
    let at = |index: usize| arguments.get(index).unwrap_or(&Datum::Null);
    let text = |index: usize| at(index).text();
    // Of one text that may be null.
    let mapped = |map: &dyn Fn(String) -> String| text(0).map_or(Datum::Null, |text| Datum::from(map(text)));
    Ok(match name {
        "current_database" | "current_catalog" => Datum::from(super::DATABASE),
        "current_schema" => Datum::from(super::SCHEMA),
        "current_schemas" => {
            let implicit = at(0).truth() == Some(true);
            let list = if implicit { vec!["pg_catalog".into(), super::SCHEMA.into()] } else { vec![super::SCHEMA.into()] };
            Datum::Array(list)
        }
        "version" => Datum::from(format!("PostgreSQL {} (Ovate {})", super::SERVER_VERSION, env!("CARGO_PKG_VERSION"))),
        "pg_backend_pid" => Datum::Int(catalogue.session.pid),
        "current_setting" => match catalogue.setting(&text(0).unwrap_or_default()) {
            Some(value) => Datum::from(value),
            None if at(1).truth() == Some(true) => Datum::Null,
            None => {
                let name = text(0).unwrap_or_default();
                return Err(PgError::new("42704", format!("unrecognized configuration parameter \"{name}\"")));
            }
        },
        "set_config" => at(1).clone(),
        "format_type" => at(0).int().map_or(Datum::Null, |oid| Datum::from(types::format(oid))),
        "pg_get_userbyid" => Datum::from(catalogue.session.user.as_str()),
        "pg_encoding_to_char" => Datum::from("UTF8"),
        "pg_char_to_encoding" => Datum::Int(6),
        "pg_encoding_max_length" => Datum::Int(4),
        "pg_is_in_recovery" | "pg_is_other_temp_schema" | "row_security_active" | "pg_relation_is_publishable" => {
            Datum::Bool(false)
        }
        "pg_table_is_visible" => Datum::Bool(at(0).int().is_some_and(|oid| catalogue.is_visible(oid))),
        name if name.ends_with("_is_visible") => Datum::Bool(true),
        name if name.starts_with("has_") && name.ends_with("_privilege") => {
            let wanted = arguments.last().and_then(Datum::text).unwrap_or_default().to_ascii_uppercase();
            Datum::Bool(
                wanted.split(',').any(|p| matches!(p.trim(), "SELECT" | "USAGE" | "CONNECT" | "TEMPORARY" | "TEMP" | "EXECUTE")),
            )
        }
        "pg_has_role" => Datum::Bool(true),
        // Numbers, to be compared with those of the system tables.
        "to_regclass" => catalogue.oid_of(&text(0).unwrap_or_default()).map_or(Datum::Null, Datum::Int),
        "to_regtype" => text(0).and_then(|name| types::by_name(&name)).map_or(Datum::Null, |t| Datum::Int(i64::from(t.oid()))),
        "pg_my_temp_schema" => Datum::Int(0),
        "pg_table_size" | "pg_relation_size" | "pg_total_relation_size" => {
            at(0).int().map_or(Datum::Null, |oid| Datum::Int(catalogue.size_of(oid)))
        }
        "pg_database_size" => Datum::Int(catalogue.total_size()),
        "pg_size_pretty" => at(0).int().map_or(Datum::Null, |bytes| Datum::from(size_text(bytes))),
        "pg_relation_is_updatable" => Datum::Int(0),
        "now" | "current_timestamp" | "clock_timestamp" | "pg_postmaster_start_time" | "pg_conf_load_time" => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(0));
            Datum::from(format_iso(now).replace('T', " ").replace('Z', "+00"))
        }
        "quote_ident" => mapped(&quoted_ident),
        "quote_literal" | "quote_nullable" => mapped(&|text| format!("'{}'", text.replace('\'', "''"))),
        "lower" => mapped(&|text| text.to_lowercase()),
        "upper" => mapped(&|text| text.to_uppercase()),
        "trim" | "btrim" | "ltrim" | "rtrim" => {
            let what = text(1).unwrap_or_else(|| " ".to_owned());
            let what: Vec<char> = what.chars().collect();
            mapped(&|text| match name {
                "ltrim" => text.trim_start_matches(&what[..]).to_owned(),
                "rtrim" => text.trim_end_matches(&what[..]).to_owned(),
                _ => text.trim_matches(&what[..]).to_owned(),
            })
        }
        "length" | "char_length" | "character_length" => text(0).map_or(Datum::Null, |t| Datum::Int(t.chars().count() as i64)),
        "strpos" | "position" => match (text(0), text(1)) {
            (Some(text), Some(part)) => Datum::Int(text.find(&part).map_or(0, |at| text[..at].chars().count() as i64 + 1)),
            _ => Datum::Null,
        },
        "substring" | "substr" => match (text(0), at(1).int()) {
            (Some(text), Some(from)) => {
                let end = at(2).int().map_or(i64::MAX, |length| from.saturating_add(length));
                let kept = text.chars().zip(1i64..).filter(|(_, place)| *place >= from && *place < end);
                Datum::from(kept.map(|(c, _)| c).collect::<String>())
            }
            _ => Datum::Null,
        },
        "left" => match (text(0), at(1).int()) {
            (Some(text), Some(count)) => Datum::from(text.chars().take(usize::try_from(count).unwrap_or(0)).collect::<String>()),
            _ => Datum::Null,
        },
        "replace" => match (text(0), text(1), text(2)) {
            (Some(text), Some(from), Some(to)) if !from.is_empty() => Datum::from(text.replace(&from, &to)),
            (text, _, _) => text.map_or(Datum::Null, Datum::from),
        },
        "format" => match text(0) {
            Some(pattern) => Datum::from(formatted(&pattern, arguments.get(1..).unwrap_or_default())?),
            None => Datum::Null,
        },
        "split_part" => match (text(0), text(1), at(2).int()) {
            (Some(text), Some(by), Some(number)) if !by.is_empty() => {
                let part = usize::try_from(number - 1).ok().and_then(|n| text.split(by.as_str()).nth(n).map(str::to_owned));
                Datum::from(part.unwrap_or_default())
            }
            _ => Datum::Null,
        },
        "starts_with" => match (text(0), text(1)) {
            (Some(text), Some(start)) => Datum::Bool(text.starts_with(&start)),
            _ => Datum::Null,
        },
        "concat" => Datum::from(arguments.iter().filter_map(Datum::text).collect::<String>()),
        "nullif" => {
            let equal = !at(0).is_null() && !at(1).is_null() && at(0).compare(at(1)).is_eq();
            if equal { Datum::Null } else { at(0).clone() }
        }
        "greatest" | "least" => {
            let wanted = if name == "greatest" { std::cmp::Ordering::Greater } else { std::cmp::Ordering::Less };
            let known = arguments.iter().filter(|value| !value.is_null()).cloned();
            known.reduce(|a, b| if b.compare(&a) == wanted { b } else { a }).unwrap_or(Datum::Null)
        }
        "floor" => at(0).float().map_or(Datum::Null, |n| Datum::Float(n.floor())),
        "ceil" | "ceiling" => at(0).float().map_or(Datum::Null, |n| Datum::Float(n.ceil())),
        "round" => at(0).float().map_or(Datum::Null, |n| Datum::Float(n.round())),
        "string_to_array" => match (text(0), text(1)) {
            (Some(text), Some(by)) if !by.is_empty() => Datum::Array(text.split(by.as_str()).map(Datum::from).collect()),
            (Some(text), _) => Datum::Array(vec![Datum::from(text)]),
            _ => Datum::Null,
        },
        "array_to_string" => match at(0) {
            Datum::Null => Datum::Null,
            array => {
                let by = text(1).unwrap_or_default();
                Datum::from(items(array).iter().filter_map(Datum::text).collect::<Vec<_>>().join(&by))
            }
        },
        "array_length" | "array_upper" | "cardinality" => match items(at(0)).len() {
            0 if name != "cardinality" => Datum::Null,
            length => Datum::Int(length as i64),
        },
        "array_lower" => {
            if items(at(0)).is_empty() {
                Datum::Null
            } else {
                Datum::Int(1)
            }
        }
        "array_position" => match items(at(0)).iter().position(|item| !item.is_null() && item.compare(at(1)).is_eq()) {
            Some(place) => Datum::Int(place as i64 + 1),
            None => Datum::Null,
        },
        "array_remove" => Datum::Array(items(at(0)).into_iter().filter(|item| item.compare(at(1)).is_ne()).collect()),
        // There is nothing of these here: no comments, defaults, constraints, indexes, functions, partitions, server address.
        "obj_description"
        | "col_description"
        | "shobj_description"
        | "pg_get_expr"
        | "pg_get_constraintdef"
        | "pg_get_indexdef"
        | "pg_get_viewdef"
        | "pg_get_triggerdef"
        | "pg_get_ruledef"
        | "pg_get_partkeydef"
        | "pg_get_partition_constraintdef"
        | "pg_get_functiondef"
        | "pg_get_function_result"
        | "pg_get_function_arguments"
        | "pg_get_function_identity_arguments"
        | "pg_get_statisticsobjdef_columns"
        | "pg_get_serial_sequence"
        | "pg_tablespace_location"
        | "pg_index_column_has_property"
        | "inet_server_addr"
        | "inet_server_port"
        | "inet_client_addr"
        | "pg_stat_get_numscans"
        | "pg_partition_root"
        | "age"
        | "txid_current"
        | "array_ndims"
        | "pg_sequence_last_value"
        | "pg_collation_for" => Datum::Null,
        other => return Err(PgError::new("42883", format!("function {other} does not exist"))),
    })
}

fn quoted_ident(text: String) -> String {
    let mut chars = text.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_lowercase() || c == '_');
    let plain = first && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { text } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

fn size_text(bytes: i64) -> String {
    let mut value = bytes;
    for unit in ["bytes", "kB", "MB", "GB"] {
        if value < 10 * 1024 {
            return format!("{value} {unit}");
        }
        value = (value + 512) / 1024;
    }
    format!("{value} TB")
}
