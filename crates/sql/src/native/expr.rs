//! Bound expressions written in Druid's native expression language (`DruidExpression`, the operator conversions).

use std::fmt::Write as _;

use ovate_base::time::Zone;
use ovate_base::{DruidError, Result};
use ovate_compute::Value;

use crate::functions::{Native, find};
use crate::plan::Rex;
use crate::types::SqlType;

/// Writes expressions; `column` gives the native name of an input column.
pub struct ExprWriter<'a> {
    pub zone: &'a Zone,
    pub column: &'a dyn Fn(usize) -> String,
}

/// A column's name as an expression identifier.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", escaped(name, '"'))
}

fn escaped(text: &str, quote: char) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if (c as u32) < 0x20 => {
                let _ = write!(out, "\\u{:04X}", c as u32);
            }
            c => out.push(c),
        }
    }
    out
}

/// A text constant.
pub fn text(value: &str) -> String {
    format!("'{}'", escaped(value, '\''))
}

/// A constant.
pub fn literal(value: &Value) -> Result<String> {
    Ok(match value {
        Value::Null => "null".to_owned(),
        Value::Long(v) => v.to_string(),
        Value::Float(v) => double(f64::from(*v)),
        Value::Double(v) => double(*v),
        Value::String(v) => text(v),
        Value::Array(list) => {
            let items = list.iter().map(literal).collect::<Result<Vec<_>>>()?;
            format!("array({})", items.join(","))
        }
        Value::Json(json) => format!("parse_json({})", text(&json.to_string())),
        Value::Complex(..) => return Err(DruidError::unsupported("constant of a complex type")),
    })
}

fn double(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() }
    } else {
        format!("{value:?}").replace('e', "E")
    }
}

/// The ISO period of a time unit.
pub fn unit_period(unit: &str) -> Option<&'static str> {
    Some(match unit {
        "MILLISECOND" => "PT0.001S",
        "SECOND" => "PT1S",
        "MINUTE" => "PT1M",
        "HOUR" => "PT1H",
        "DAY" => "P1D",
        "WEEK" => "P1W",
        "MONTH" => "P1M",
        "QUARTER" => "P3M",
        "YEAR" => "P1Y",
        "DECADE" => "P10Y",
        "CENTURY" => "P100Y",
        "MILLENNIUM" => "P1000Y",
        _ => return None,
    })
}

fn unit_millis(unit: &str) -> Option<i64> {
    Some(match unit {
        "MILLISECOND" => 1,
        "SECOND" => 1000,
        "MINUTE" => 60_000,
        "HOUR" => 3_600_000,
        "DAY" => 86_400_000,
        "WEEK" => 7 * 86_400_000,
        _ => return None,
    })
}

impl ExprWriter<'_> {
    /// The expression's native text.
    pub fn write(&self, rex: &Rex) -> Result<String> {
        match rex {
            Rex::Input(index, _) => Ok(quoted(&(self.column)(*index))),
            Rex::Literal(value, SqlType::Float | SqlType::Double | SqlType::Decimal) => match value.as_double() {
                Some(v) => Ok(double(v)),
                None => Ok("null".to_owned()),
            },
            Rex::Literal(value, _) => literal(value),
            Rex::Call { op, args, sql_type } => self.call(op, args, sql_type),
            // Only EXPLAIN meets these: running replaces subqueries by their values first.
            Rex::Subquery { .. } => Ok("subquery()".to_owned()),
            Rex::Outer { index, .. } => Ok(format!("outer({index})")),
            Rex::Set(set, _) => {
                let items: Vec<String> = set.0.to_vec().iter().map(i64::to_string).collect();
                Ok(format!("array({})", items.join(",")))
            }
            Rex::Aggregate(..) | Rex::Window(..) => Err(DruidError::runtime("expression cannot be written natively")),
        }
    }

    fn infix(&self, symbol: &str, args: &[Rex]) -> Result<String> {
        let parts = args.iter().map(|arg| self.write(arg)).collect::<Result<Vec<_>>>()?;
        Ok(format!("({})", parts.join(&format!(" {symbol} "))))
    }

    fn function(&self, name: &str, args: &[Rex]) -> Result<String> {
        let parts = args.iter().map(|arg| self.write(arg)).collect::<Result<Vec<_>>>()?;
        Ok(format!("{name}({})", parts.join(",")))
    }

    fn tz(&self) -> String {
        text(&self.zone.id())
    }

    fn call(&self, op: &str, args: &[Rex], sql_type: &SqlType) -> Result<String> {
        Ok(match op {
            "AND" => self.infix("&&", args)?,
            "OR" => self.infix("||", args)?,
            "NOT" => format!("!{}", wrapped(self.write(&args[0])?)),
            "=" => self.infix("==", args)?,
            "<>" => self.infix("!=", args)?,
            "<" | "<=" | ">" | ">=" => self.infix(op, args)?,
            "IS NULL" => self.function("isnull", args)?,
            "IS NOT NULL" => self.function("notnull", args)?,
            "IS TRUE" => self.function("istrue", args)?,
            "IS NOT TRUE" => self.function("nottrue", args)?,
            "IS FALSE" => self.function("isfalse", args)?,
            "IS NOT FALSE" => self.function("notfalse", args)?,
            "IS DISTINCT FROM" => self.function("isdistinctfrom", args)?,
            "IS NOT DISTINCT FROM" => self.function("notdistinctfrom", args)?,
            "+" | "-" => self.plus_minus(op, args)?,
            "*" | "/" => self.infix(op, args)?,
            "MOD" => self.infix("%", args)?,
            "NEGATE" => format!("-{}", wrapped(self.write(&args[0])?)),
            "||" => self.function("concat", args)?,
            "CASE" => self.function("case_searched", args)?,
            "LIKE" => self.function("like", args)?,
            "IN" => self.in_list(args)?,
            "IN_SET" => self.function("scalar_in_array", args)?,
            "CAST" => self.cast(&args[0], sql_type)?,
            _ => return self.named(op, args, sql_type),
        })
    }

    fn in_list(&self, args: &[Rex]) -> Result<String> {
        let value = self.write(&args[0])?;
        if args.len() > 21 {
            let items = args[1..].iter().map(|arg| self.write(arg)).collect::<Result<Vec<_>>>()?;
            return Ok(format!("scalar_in_array({value},array({}))", items.join(",")));
        }
        let parts = args[1..].iter().map(|arg| Ok(format!("({value} == {})", self.write(arg)?))).collect::<Result<Vec<_>>>()?;
        Ok(format!("({})", parts.join(" || ")))
    }

    /// Numbers and intervals; months need the calendar.
    fn plus_minus(&self, op: &str, args: &[Rex]) -> Result<String> {
        if !(args[0].sql_type().is_time() && args[1].sql_type() == &SqlType::IntervalMonth) {
            return self.infix(op, args);
        }
        let (time, tz) = (self.write(&args[0])?, self.tz());
        let step = if op == "-" { -1 } else { 1 };
        Ok(match args[1].literal() {
            Some(Value::Long(months)) if *months < 0 => format!("timestamp_shift({time},'P{}M',{},{tz})", -months, -step),
            Some(Value::Long(months)) => format!("timestamp_shift({time},'P{months}M',{step},{tz})"),
            _ => format!("timestamp_shift({time},'P1M',({} * {step}),{tz})", self.write(&args[1])?),
        })
    }

    fn cast(&self, arg: &Rex, to: &SqlType) -> Result<String> {
        let from = arg.sql_type();
        let inner = self.write(arg)?;
        let tz = self.tz();
        Ok(match (from, to) {
            (f, t) if f.is_text() && *t == SqlType::Timestamp => format!("timestamp_parse({inner},null,{tz})"),
            (f, t) if f.is_text() && *t == SqlType::Date => {
                format!("timestamp_floor(timestamp_parse({inner},null,{tz}),'P1D',null,{tz})")
            }
            (SqlType::Timestamp, SqlType::Date) => format!("timestamp_floor({inner},'P1D',null,{tz})"),
            (SqlType::Date, SqlType::Timestamp) => inner,
            (SqlType::Timestamp, t) if t.is_text() => format!("timestamp_format({inner},'yyyy-MM-dd HH:mm:ss',{tz})"),
            (SqlType::Date, t) if t.is_text() => format!("timestamp_format({inner},'yyyy-MM-dd',{tz})"),
            (f, SqlType::Boolean) if f.is_text() => {
                // 'true' is 1; a text is true where its number is above zero.
                format!("(CAST({inner}, 'LONG') > 0)")
            }
            (f, SqlType::Boolean) if f.is_numeric() => format!("({inner} != 0)"),
            (f, t) if f.native() == t.native() => inner,
            (SqlType::Float, SqlType::Double) | (SqlType::Double | SqlType::Decimal, SqlType::Float) => inner,
            (SqlType::Array(_), t) if t.is_text() => inner,
            (SqlType::Complex(_), t) => format!("CAST({inner}, '{}')", native_name(t)),
            (_, t) => format!("CAST({inner}, '{}')", native_name(t)),
        })
    }

    fn named(&self, op: &str, args: &[Rex], sql_type: &SqlType) -> Result<String> {
        let tz = self.tz();
        let arg = |i: usize| self.write(&args[i]);
        let optional = |i: usize, default: &str| args.get(i).map_or(Ok(default.to_owned()), |rex| self.write(rex));
        let unit_of = |i: usize| -> Result<&str> {
            args[i].literal_text().ok_or_else(|| DruidError::invalid_sql(format!("{op} needs a constant time unit")))
        };
        let unknown_unit = |unit: &str| DruidError::invalid_sql(format!("Unsupported time unit {unit} in {op}"));
        Ok(match op {
            "CEIL" | "FLOOR" => {
                let name = if op == "CEIL" { "ceil" } else { "floor" };
                if args.len() == 1 {
                    if args[0].sql_type().is_integer() {
                        return arg(0);
                    }
                    return Ok(format!("{name}({})", arg(0)?));
                }
                let unit = unit_of(1)?;
                let period = unit_period(unit).ok_or_else(|| unknown_unit(unit))?;
                format!("timestamp_{name}({},'{period}',null,{tz})", arg(0)?)
            }
            "TRUNCATE" => {
                if args[0].sql_type().is_integer() && args.len() == 1 {
                    return arg(0);
                }
                match args.get(1) {
                    None => format!("(cast(cast({},'long'),'double'))", arg(0)?),
                    Some(digits) => {
                        let digits = match digits.literal() {
                            Some(Value::Long(n)) => double(10f64.powi(i32::try_from(*n).unwrap_or(0))),
                            _ => format!("pow(10,{})", self.write(digits)?),
                        };
                        let cast = if sql_type.is_integer() { "long" } else { "double" };
                        format!("(cast(cast({} * {digits},'long'),'double') / {digits})", arg(0)?)
                            .replace("'double') /", &format!("'{cast}') /"))
                    }
                }
            }
            "LPAD" | "RPAD" => format!("{}({},{},{})", op.to_lowercase(), arg(0)?, arg(1)?, optional(2, "' '")?),
            "POSITION" => match args.get(2) {
                None => format!("(strpos({},{}) + 1)", arg(1)?, arg(0)?),
                Some(from) => {
                    let from = self.write(from)?;
                    format!("(strpos({},{},({from} - 1)) + 1)", arg(1)?, arg(0)?)
                }
            },
            "STRPOS" => format!("(strpos({},{}) + 1)", arg(0)?, arg(1)?),
            "SUBSTRING" => {
                let index = match args[1].literal() {
                    Some(Value::Long(n)) => (n - 1).to_string(),
                    _ => format!("({} - 1)", arg(1)?),
                };
                format!("substring({},{index},{})", arg(0)?, optional(2, "-1")?)
            }
            "TRIM" | "BTRIM" | "LTRIM" | "RTRIM" => self.trim(op, args)?,
            "DATE_TRUNC" => {
                let unit = unit_of(0)?.to_ascii_uppercase();
                let unit = unit.trim_end_matches('S');
                let period = unit_period(unit).ok_or_else(|| unknown_unit(unit))?;
                format!("timestamp_floor({},'{period}',null,{tz})", arg(1)?)
            }
            "TIME_FLOOR" | "TIME_CEIL" => {
                let name = if op == "TIME_FLOOR" { "timestamp_floor" } else { "timestamp_ceil" };
                format!("{name}({},{},{},{})", arg(0)?, arg(1)?, optional(2, "null")?, optional(3, &tz)?)
            }
            "TIME_SHIFT" => format!("timestamp_shift({},{},{},{})", arg(0)?, arg(1)?, arg(2)?, optional(3, &tz)?),
            "TIME_EXTRACT" => format!("timestamp_extract({},{},{})", arg(0)?, optional(1, "'EPOCH'")?, optional(2, &tz)?),
            "TIME_PARSE" => format!("timestamp_parse({},{},{})", arg(0)?, optional(1, "null")?, optional(2, &tz)?),
            "TIME_FORMAT" => {
                format!(
                    "timestamp_format({},{},{})",
                    arg(0)?,
                    optional(1, "'yyyy-MM-dd\\'T\\'HH:mm:ss.SSSZZ'")?,
                    optional(2, &tz)?
                )
            }
            "MILLIS_TO_TIMESTAMP" | "TIMESTAMP_TO_MILLIS" => arg(0)?,
            "EXTRACT" => format!("timestamp_extract({},{},{tz})", arg(1)?, arg(0)?),
            "TIMESTAMPADD" => {
                let unit = unit_of(0)?.trim_start_matches("SQL_TSI_");
                match unit_millis(unit) {
                    Some(millis) => format!("({} + ({} * {millis}))", arg(2)?, arg(1)?),
                    None => {
                        let period = unit_period(unit).ok_or_else(|| unknown_unit(unit))?;
                        format!("timestamp_shift({},'{period}',{},{tz})", arg(2)?, arg(1)?)
                    }
                }
            }
            "TIMESTAMPDIFF" => {
                let unit = unit_of(0)?.trim_start_matches("SQL_TSI_");
                let months = match unit {
                    "MONTH" => 1,
                    "QUARTER" => 3,
                    "YEAR" => 12,
                    _ => {
                        let millis = unit_millis(unit).ok_or_else(|| unknown_unit(unit))?;
                        return Ok(format!("div(({} - {}),{millis})", arg(2)?, arg(1)?));
                    }
                };
                let diff = format!("subtract_months({},{},{tz})", arg(2)?, arg(1)?);
                if months == 1 { diff } else { format!("div({diff},{months})") }
            }
            "JSON_VALUE" | "JSON_VALUE_ANY" => {
                format!("json_value({},{}, '{}')", arg(0)?, arg(1)?, sql_type.native())
            }
            "MV_FILTER_ONLY" | "MV_FILTER_NONE" | "MV_FILTER_REGEX" | "MV_FILTER_PREFIX" => {
                let by = arg(1)?;
                let test = match op {
                    "MV_FILTER_ONLY" => format!("array_contains({by}, x)"),
                    "MV_FILTER_NONE" => format!("!array_contains({by}, x)"),
                    "MV_FILTER_REGEX" => format!("regexp_like(x, {by})"),
                    _ => format!("like(x, concat({by}, '%'))"),
                };
                let kept = format!("filter((x) -> {test}, {})", arg(0)?);
                // Where nothing is left, a text has no values: null, and not a list without elements.
                match args[0].sql_type().is_text() {
                    true => format!("case_searched((array_length({kept}) > 0),{kept},null)"),
                    false => kept,
                }
            }
            // A row without values holds null, but of a list made here that is null nothing is known.
            "MV_CONTAINS" if is_list(&args[0]) => self.function("array_contains", args)?,
            "DECODE_BASE64_COMPLEX" => format!("complex_decode_base64({},{})", arg(0)?, arg(1)?),
            _ => match find(op).map(|f| f.native) {
                Some(Native::Function(name)) => self.function(name, args)?,
                _ => self.function(&op.to_lowercase(), args)?,
            },
        })
    }

    fn trim(&self, op: &str, args: &[Rex]) -> Result<String> {
        let side =
            args[0].literal_text().filter(|t| op == "TRIM" && args.len() > 1 && matches!(*t, "BOTH" | "LEADING" | "TRAILING"));
        let (name, rest) = match (op, side) {
            ("TRIM", Some("LEADING")) => ("ltrim", &args[1..]),
            ("TRIM", Some("TRAILING")) => ("rtrim", &args[1..]),
            ("TRIM", Some(_)) => ("trim", &args[1..]),
            ("LTRIM", _) => ("ltrim", args),
            ("RTRIM", _) => ("rtrim", args),
            _ => ("trim", args),
        };
        let chars = rest.get(1).map_or(Ok("' '".to_owned()), |rex| self.write(rex))?;
        Ok(format!("{name}({},{chars})", self.write(&rest[0])?))
    }
}

/// A call that makes a list of texts.
fn is_list(rex: &Rex) -> bool {
    matches!(rex, Rex::Call { op: "MV_CONCAT" | "MV_APPEND" | "MV_PREPEND" | "MV_SLICE" | "STRING_TO_MV" | "ARRAY_TO_MV", .. })
}

fn native_name(sql_type: &SqlType) -> String {
    match sql_type {
        SqlType::Float => "DOUBLE".to_owned(),
        other => other.native().to_string(),
    }
}

fn wrapped(text: String) -> String {
    if text.starts_with('(') || text.starts_with('"') || text.ends_with(')') { text } else { format!("({text})") }
}
