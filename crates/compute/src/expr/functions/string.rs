//! Text functions (EXP-03). Positions count UTF-16 units, as Java's do.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use ovate_base::{DruidError, Result};

use super::{Callable, Function, MANY, Output, boolean, closure, literal_text, nullable, text};
use crate::text::{java_format, java_regex, utf16_len, utf16_slice};
use crate::types::ColumnType;
use crate::value::{Value, parse_long};

/// Longest text that `repeat` and the pads make; more would be a way to exhaust memory.
const LENGTH_MAX: usize = 64 << 20;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::simple("concat", (0, MANY), Output::String, |args| {
        let mut out = String::new();
        for arg in args {
            match arg {
                Value::String(text) => out.push_str(text),
                other => match other.as_text() {
                    Some(text) => out.push_str(&text),
                    None => return Ok(Value::Null),
                },
            }
        }
        Ok(if args.is_empty() { Value::Null } else { Value::from(out) })
    }),
    Function::simple("format", (1, MANY), Output::String, |args| {
        let Some(format) = text(args, 0) else { return Ok(Value::Null) };
        // A format that does not fit is not an error: Druid prints the pieces (`StringUtils.nonStrictFormat`).
        Ok(Value::from(java_format(&format, &args[1..]).unwrap_or_else(|_| {
            args[1..].iter().fold(format.to_string(), |out, arg| out + "; " + &arg.as_text().unwrap_or_else(|| Arc::from("null")))
        })))
    }),
    Function::simple("strlen", (1, 1), Output::Long, |args| Ok(nullable(text(args, 0).map(|t| utf16_len(&t) as i64)))),
    Function::simple("strpos", (2, 3), Output::Long, |args| {
        let (Some(hay), Some(needle)) = (text(args, 0), text(args, 1)) else { return Ok(Value::Null) };
        let from = args.get(2).and_then(Value::as_long).unwrap_or(0).max(0) as usize;
        Ok(Value::Long(index_of(&hay, &needle, from)))
    }),
    Function::simple("substring", (3, 3), Output::String, |args| {
        let Some(text) = text(args, 0) else { return Ok(Value::Null) };
        let (index, length) = (args[1].as_long().unwrap_or(0), args[2].as_long().unwrap_or(0));
        let index =
            usize::try_from(index).map_err(|_| DruidError::invalid_input("Function[substring] needs an index of at least 0"))?;
        if index >= utf16_len(&text) {
            return Ok(Value::Null);
        }
        let end = usize::try_from(length).map_or(usize::MAX, |length| index.saturating_add(length));
        Ok(Value::from(utf16_slice(&text, index, end).as_ref()))
    }),
    Function::simple("left", (2, 2), Output::String, |args| {
        side("left", args, |text, count| utf16_slice(text, 0, count).into_owned())
    }),
    Function::simple("right", (2, 2), Output::String, |args| {
        side("right", args, |text, count| utf16_slice(text, utf16_len(text).saturating_sub(count), usize::MAX).into_owned())
    }),
    Function::simple("replace", (3, 3), Output::String, |args| {
        let Some(base) = text(args, 0) else { return Ok(Value::Null) };
        let (Some(pattern), Some(replacement)) = (text(args, 1), text(args, 2)) else { return Ok(Value::Null) };
        Ok(Value::from(if pattern.is_empty() { base.to_string() } else { base.replace(pattern.as_ref(), &replacement) }))
    }),
    Function::simple("lower", (1, 1), Output::String, |args| Ok(nullable(text(args, 0).map(|t| t.to_lowercase())))),
    Function::simple("upper", (1, 1), Output::String, |args| Ok(nullable(text(args, 0).map(|t| t.to_uppercase())))),
    Function::simple("reverse", (1, 1), Output::String, |args| match &args[0] {
        Value::Null => Ok(Value::Null),
        Value::String(text) => Ok(Value::from(text.chars().rev().collect::<String>())),
        other => {
            let kind = other.value_type().map(|t| t.to_string()).unwrap_or_default();
            Err(DruidError::invalid_input(format!("Function[reverse] needs a STRING argument but got {kind} instead")))
        }
    }),
    Function::simple("repeat", (2, 2), Output::String, |args| {
        let (Some(text), count) = (text(args, 0), args[1].as_long().unwrap_or(0)) else { return Ok(Value::Null) };
        if count < 1 {
            return Ok(Value::Null);
        }
        let length = text.len().saturating_mul(usize::try_from(count).unwrap_or(usize::MAX));
        check_length("repeat", length)?;
        Ok(Value::from(text.repeat(count as usize)))
    }),
    Function::simple("lpad", (3, 3), Output::String, |args| pad("lpad", args, true)),
    Function::simple("rpad", (3, 3), Output::String, |args| pad("rpad", args, false)),
    Function::simple("trim", (1, 2), Output::String, |args| trim(args, true, true)),
    Function::simple("ltrim", (1, 2), Output::String, |args| trim(args, true, false)),
    Function::simple("rtrim", (1, 2), Output::String, |args| trim(args, false, true)),
    Function::simple("parse_long", (1, 2), Output::Long, |args| {
        let Some(text) = text(args, 0) else { return Ok(Value::Null) };
        let radix = args.get(1).map_or(Some(10), Value::as_long);
        Ok(nullable(radix.and_then(|radix| parse_radix(&text, radix))))
    }),
    Function::prepared("regexp_extract", (2, 3), Output::String, |literals| {
        let pattern = literal_text(literals, 1, "pattern")?.unwrap_or_default();
        let regex = java_regex(&pattern)?;
        let index = match literals.get(2) {
            None => 0,
            Some(Some(value)) => value.as_long().unwrap_or(0).max(0) as usize,
            Some(None) => return Err(DruidError::invalid_input(" index argument must be a literal")),
        };
        if index >= regex.captures_len() {
            return Err(DruidError::invalid_input(format!(" has no group {index} in [{pattern}]")));
        }
        Ok(closure(move |args, _| {
            let Some(text) = text(args, 0) else { return Ok(Value::Null) };
            let group = regex.captures(&text).and_then(|captures| captures.get(index).map(|group| group.as_str().to_owned()));
            Ok(nullable(group))
        }))
    }),
    Function::prepared("regexp_like", (2, 2), Output::Long, |literals| {
        let regex = java_regex(&literal_text(literals, 1, "pattern")?.unwrap_or_default())?;
        Ok(closure(move |args, _| Ok(text(args, 0).map_or(Value::Null, |text| boolean(regex.is_match(&text))))))
    }),
    Function::prepared("regexp_replace", (3, 3), Output::String, |literals| {
        // Pattern and replacement are compiled once where they are constants, else once a row.
        let fixed = match (literals.get(1).copied().flatten(), literals.get(2).copied().flatten()) {
            (Some(pattern), Some(replacement)) => match (pattern.as_text(), replacement.as_text()) {
                (Some(pattern), Some(replacement)) => Some((java_regex(&pattern)?, java_replacement(&replacement))),
                _ => return Ok(closure(|_, _| Ok(Value::Null))),
            },
            _ => None,
        };
        Ok(closure(move |args, _| {
            let Some(base) = text(args, 0) else { return Ok(Value::Null) };
            if let Some((regex, replacement)) = &fixed {
                return Ok(Value::from(regex.replace_all(&base, replacement.as_str()).as_ref()));
            }
            let (Some(pattern), Some(replacement)) = (text(args, 1), text(args, 2)) else { return Ok(Value::Null) };
            Ok(Value::from(java_regex(&pattern)?.replace_all(&base, java_replacement(&replacement).as_str()).as_ref()))
        }))
    }),
    Function::prepared("contains_string", (2, 2), Output::Long, |literals| contains(literals, false)),
    Function::prepared("icontains_string", (2, 2), Output::Long, |literals| contains(literals, true)),
    Function::simple("decode_base64_utf8", (1, 1), Output::String, |args| {
        let Some(text) = text(args, 0) else { return Ok(Value::Null) };
        // As Java's decoder: padding may be missing, bits that are left over are dropped.
        let config = GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true);
        let bytes = GeneralPurpose::new(&base64::alphabet::STANDARD, config)
            .decode(text.as_bytes())
            .map_err(|_| DruidError::invalid_input(format!("Function[decode_base64_utf8] cannot decode [{text}]")))?;
        Ok(Value::from(String::from_utf8_lossy(&bytes).as_ref()))
    }),
    Function::prepared("complex_decode_base64", (2, 2), Output::Of(decoded_type), decode_complex),
    Function::prepared("decode_base64_complex", (2, 2), Output::Of(decoded_type), decode_complex),
];

fn side(name: &str, args: &[Value], cut: impl Fn(&str, usize) -> String) -> Result<Value> {
    let Some(count) = args[1].as_long() else { return Ok(Value::Null) };
    let count = usize::try_from(count)
        .map_err(|_| DruidError::invalid_input(format!("Function[{name}] needs a positive integer as the second argument")))?;
    Ok(nullable(text(args, 0).map(|text| cut(&text, count))))
}

fn index_of(hay: &str, needle: &str, from: usize) -> i64 {
    if hay.is_ascii() {
        let Some(rest) = hay.get(from.min(hay.len())..) else { return -1 };
        return rest.find(needle).map_or(-1, |at| (from.min(hay.len()) + at) as i64);
    }
    let rest = utf16_slice(hay, from, usize::MAX);
    rest.find(needle).map_or(-1, |at| (from.min(utf16_len(hay)) + utf16_len(&rest[..at])) as i64)
}

fn check_length(name: &str, length: usize) -> Result<()> {
    if length > LENGTH_MAX {
        return Err(DruidError::invalid_input(format!(
            "Function[{name}] would make a text of {length} bytes, more than {LENGTH_MAX}"
        )));
    }
    Ok(())
}

fn pad(name: &str, args: &[Value], left: bool) -> Result<Value> {
    let (Some(base), Some(pad)) = (text(args, 0), text(args, 2)) else { return Ok(Value::Null) };
    // A Java int: longer numbers wrap.
    let length = args[1].as_long().unwrap_or(0) as i32;
    if length <= 0 {
        return Ok(if length < 0 { Value::from("") } else { Value::Null });
    }
    let length = length as usize;
    check_length(name, length)?;
    let own = utf16_len(&base);
    if length <= own {
        return Ok(Value::from(utf16_slice(&base, 0, length).as_ref()));
    }
    if pad.is_empty() {
        return Ok(Value::String(base));
    }
    let filler: String = pad
        .chars()
        .cycle()
        .scan(0, |units, c| {
            *units += c.len_utf16();
            (*units <= length - own).then_some(c)
        })
        .collect();
    Ok(Value::from(if left { filler + &base } else { base.to_string() + &filler }))
}

fn trim(args: &[Value], start: bool, end: bool) -> Result<Value> {
    let Some(base) = text(args, 0) else { return Ok(Value::Null) };
    let set = match args.get(1) {
        None => Arc::from(" "),
        Some(set) => match set.as_text() {
            Some(set) => set,
            // Nothing to trim (`TrimExprMacro`).
            None => return Ok(Value::String(base)),
        },
    };
    let mut out = base.as_ref();
    if start {
        out = out.trim_start_matches(|c| set.contains(c));
    }
    if end {
        out = out.trim_end_matches(|c| set.contains(c));
    }
    Ok(Value::from(out))
}

fn parse_radix(text: &str, radix: i64) -> Option<i64> {
    match radix {
        10 => parse_long(text),
        2..=36 => {
            let body = match radix {
                16 => text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text),
                _ => text,
            };
            i64::from_str_radix(body, radix as u32).ok()
        }
        _ => None,
    }
}

/// Java's replacement text (`$1`, `\$`) as the `regex` crate's.
fn java_replacement(replacement: &str) -> String {
    let mut out = String::with_capacity(replacement.len());
    let mut chars = replacement.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('$') => out.push_str("$$"),
                Some(other) => out.push(other),
                None => {}
            },
            '$' => match chars.peek() {
                Some(digit) if digit.is_ascii_digit() => {
                    out.push_str(&format!("${{{digit}}}"));
                    chars.next();
                }
                Some('{') => out.push('$'),
                _ => out.push_str("$$"),
            },
            other => out.push(other),
        }
    }
    out
}

fn contains(literals: &[Option<&Value>], ignore_case: bool) -> Result<Arc<dyn Callable>> {
    let needle = literal_text(literals, 1, "search")?;
    let Some(needle) = needle else { return Ok(closure(|_, _| Ok(Value::Null))) };
    let needle = if ignore_case { Arc::from(needle.to_lowercase()) } else { needle };
    Ok(closure(move |args, _| {
        let Some(text) = text(args, 0) else { return Ok(Value::Null) };
        Ok(boolean(if ignore_case { text.to_lowercase().contains(needle.as_ref()) } else { text.contains(needle.as_ref()) }))
    }))
}

fn decoded_type(_types: &[Option<ColumnType>], args: &[crate::expr::node::Node]) -> Option<ColumnType> {
    match args.first() {
        Some(crate::expr::node::Node::Literal(literal)) => literal.value.as_text().map(|name| ColumnType::complex(&name)),
        _ => Some(ColumnType::Complex(None)),
    }
}

fn decode_complex(literals: &[Option<&Value>]) -> Result<Arc<dyn Callable>> {
    let name = literal_text(literals, 0, "type name")?.ok_or_else(|| DruidError::invalid_input(" needs a type name"))?;
    Ok(closure(move |args, _| {
        let Some(text) = text(args, 1) else { return Ok(Value::Null) };
        match base64::engine::general_purpose::STANDARD.decode(text.as_bytes()) {
            Ok(bytes) => Ok(Value::Complex(name.clone(), Bytes::from(bytes))),
            Err(_) => Ok(Value::Null),
        }
    }))
}
