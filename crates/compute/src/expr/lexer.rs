//! Tokens of the expression language (Druid's `Expr.g4`).

use ovate_base::{DruidError, Result};

/// One token.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Identifier {
        name: String,
        quoted: bool,
    },
    Text(String),
    Long(i64),
    /// Digits that do not fit a long; Druid refuses them unless a minus makes them fit.
    LongMin,
    Double(f64),
    Symbol(&'static str),
    /// `ARRAY<…>` or `<LONG>` and its kin: the type that an array literal is given.
    ArrayType(String),
}

/// Longest first, so that `<=` is not read as `<`.
const SYMBOLS: [&str; 22] =
    ["&&", "||", "<=", ">=", "==", "!=", "->", "<", ">", "!", "^", "*", "/", "%", "+", "-", "(", ")", "[", "]", ",", "."];

/// Splits a text.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, usize)>> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if matches!(c, ' ' | '\t' | '\r' | '\n') {
            at += 1;
            continue;
        }
        let start = at;
        let token = if c.is_ascii_digit() {
            number(text, &mut at)?
        } else if c == '\'' || c == '"' {
            let quoted = quoted(text, &mut at, c)?;
            if c == '\'' { Token::Text(quoted) } else { Token::Identifier { name: quoted, quoted: true } }
        } else if c.is_ascii_alphabetic() || c == '_' || c == '$' {
            word(text, &mut at)?
        } else if let Some(name) = explicit_type(&text[at..]) {
            at += name.len() + 2;
            Token::ArrayType(name.to_owned())
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| text[at..].starts_with(**symbol)) {
            at += symbol.len();
            Token::Symbol(symbol)
        } else {
            return Err(DruidError::invalid_input(format!(
                "Expression [{text}] has an unexpected character [{c}] at position [{at}]"
            )));
        };
        out.push((token, start));
    }
    Ok(out)
}

/// `<LONG>`, `<DOUBLE>` or `<STRING>` before an array literal.
fn explicit_type(rest: &str) -> Option<&'static str> {
    ["LONG", "DOUBLE", "STRING"].into_iter().find(|name| {
        rest.strip_prefix('<')
            .and_then(|r| r.strip_prefix(name))
            .and_then(|r| r.strip_prefix('>'))
            .is_some_and(|r| r.trim_start().starts_with('['))
    })
}

fn word(text: &str, at: &mut usize) -> Result<Token> {
    let rest = &text[*at..];
    if rest.starts_with("ARRAY<")
        && let Some(close) = rest.find('[').map(|open| rest[..open].trim_end()).filter(|t| t.ends_with('>'))
    {
        *at += close.len();
        return Ok(Token::ArrayType(close[6..close.len() - 1].to_owned()));
    }
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '$').unwrap_or(rest.len());
    *at += end;
    Ok(match &rest[..end] {
        "NaN" => Token::Double(f64::NAN),
        "Infinity" => Token::Double(f64::INFINITY),
        name => Token::Identifier { name: name.to_owned(), quoted: false },
    })
}

fn number(text: &str, at: &mut usize) -> Result<Token> {
    let bytes = text.as_bytes();
    let start = *at;
    let digits = |mut from: usize| {
        while bytes.get(from).is_some_and(u8::is_ascii_digit) {
            from += 1;
        }
        from
    };
    let mut end = digits(start);
    let mut double = false;
    if bytes.get(end) == Some(&b'.') {
        double = true;
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let exponent = end + 1 + usize::from(matches!(bytes.get(end + 1), Some(b'-' | b'+')));
        if digits(exponent) > exponent {
            double = true;
            end = digits(exponent);
        }
    }
    *at = end;
    let body = &text[start..end];
    let bad = || DruidError::invalid_input(format!("[{body}] is not a valid number in expression [{text}]"));
    if double {
        return body.parse().map(Token::Double).map_err(|_| bad());
    }
    match body.parse() {
        Ok(value) => Ok(Token::Long(value)),
        Err(_) if body == "9223372036854775808" => Ok(Token::LongMin),
        Err(_) => Err(bad()),
    }
}

fn quoted(text: &str, at: &mut usize, quote: char) -> Result<String> {
    let bad = || DruidError::invalid_input(format!("Expression [{text}] has an unterminated or badly escaped quote"));
    let mut out = String::new();
    let mut units: Vec<u16> = Vec::new();
    let mut chars = text[*at + 1..].char_indices();
    while let Some((offset, c)) = chars.next() {
        if c != '\\' && !units.is_empty() {
            out.push_str(&String::from_utf16_lossy(&units));
            units.clear();
        }
        if c == quote {
            *at += 1 + offset + 1;
            return Ok(out);
        }
        if c != '\\' {
            out.push(c);
            continue;
        }
        let (_, escaped) = chars.next().ok_or_else(bad)?;
        if escaped != 'u' && !units.is_empty() {
            out.push_str(&String::from_utf16_lossy(&units));
            units.clear();
        }
        match escaped {
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'u' => {
                let hex: String = chars.by_ref().take(4).map(|(_, c)| c).collect();
                units.push(u16::from_str_radix(&hex, 16).map_err(|_| bad())?);
            }
            other => out.push(other),
        }
    }
    Err(bad())
}
