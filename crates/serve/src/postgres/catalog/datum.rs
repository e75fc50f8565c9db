//! Values of the catalogue's small evaluator: what PostgreSQL's system tables hold, and how it compares and shows them.

use std::cmp::Ordering;
use std::sync::Arc;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Datum {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Arc<str>),
    Array(Vec<Datum>),
}

impl From<&str> for Datum {
    fn from(text: &str) -> Self {
        Datum::Text(text.into())
    }
}

impl From<String> for Datum {
    fn from(text: String) -> Self {
        Datum::Text(text.into())
    }
}

impl From<i64> for Datum {
    fn from(number: i64) -> Self {
        Datum::Int(number)
    }
}

impl From<bool> for Datum {
    fn from(flag: bool) -> Self {
        Datum::Bool(flag)
    }
}

impl Datum {
    pub fn is_null(&self) -> bool {
        matches!(self, Datum::Null)
    }

    /// As text, in PostgreSQL's words.
    pub fn text(&self) -> Option<String> {
        Some(match self {
            Datum::Null => return None,
            Datum::Bool(flag) => if *flag { "t" } else { "f" }.to_owned(),
            Datum::Int(number) => number.to_string(),
            Datum::Float(number) => number.to_string(),
            Datum::Text(text) => text.to_string(),
            Datum::Array(items) => array_text(items),
        })
    }

    /// As a number, where it is one or reads as one.
    pub fn int(&self) -> Option<i64> {
        match self {
            Datum::Int(number) => Some(*number),
            Datum::Float(number) => Some(*number as i64),
            Datum::Bool(flag) => Some(i64::from(*flag)),
            Datum::Text(text) => text.trim().parse().ok(),
            Datum::Null | Datum::Array(_) => None,
        }
    }

    pub fn float(&self) -> Option<f64> {
        match self {
            Datum::Float(number) => Some(*number),
            Datum::Text(text) => text.trim().parse().ok(),
            other => other.int().map(|number| number as f64),
        }
    }

    /// As a truth value; `None` is unknown.
    pub fn truth(&self) -> Option<bool> {
        match self {
            Datum::Bool(flag) => Some(*flag),
            Datum::Int(number) => Some(*number != 0),
            Datum::Text(text) => match text.to_ascii_lowercase().as_str() {
                "t" | "true" | "yes" | "on" | "1" => Some(true),
                "f" | "false" | "no" | "off" | "0" => Some(false),
                _ => None,
            },
            Datum::Null | Datum::Float(_) | Datum::Array(_) => None,
        }
    }

    /// Order of two values that are not null; text beside a number is read as one.
    pub fn compare(&self, other: &Datum) -> Ordering {
        match (self, other) {
            (Datum::Text(a), Datum::Text(b)) => a.cmp(b),
            (Datum::Bool(_), _) | (_, Datum::Bool(_)) => self.truth().cmp(&other.truth()),
            (Datum::Int(a), Datum::Int(b)) => a.cmp(b),
            (Datum::Array(a), Datum::Array(b)) => {
                let first = a.iter().zip(b).map(|(a, b)| a.compare(b)).find(|order| order.is_ne());
                first.unwrap_or_else(|| a.len().cmp(&b.len()))
            }
            _ => match (self.float(), other.float()) {
                (Some(a), Some(b)) => a.total_cmp(&b),
                _ => self.text().cmp(&other.text()),
            },
        }
    }

    /// A key by which equal values are found; equal exactly where `compare` says so for values of one column.
    pub fn key(&self) -> String {
        match self {
            Datum::Bool(flag) => i64::from(*flag).to_string(),
            other => other.text().unwrap_or_else(|| "\u{0}null".to_owned()),
        }
    }
}

fn array_text(items: &[Datum]) -> String {
    let item = |item: &Datum| match item {
        Datum::Null => "NULL".to_owned(),
        Datum::Array(items) => array_text(items),
        other => {
            let text = other.text().unwrap_or_default();
            let plain = !text.is_empty()
                && !text.eq_ignore_ascii_case("null")
                && !text.contains(|c: char| c.is_whitespace() || matches!(c, '{' | '}' | ',' | '"' | '\\'));
            if plain { text } else { format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")) }
        }
    };
    format!("{{{}}}", items.iter().map(item).collect::<Vec<_>>().join(","))
}

/// Reads an array's text, `{a,"b c"}`.
pub fn array_from_text(text: &str) -> Option<Vec<Datum>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let (mut items, mut item, mut quoted, mut was_quoted) = (Vec::new(), String::new(), false, false);
    let mut chars = inner.chars();
    let mut push = |item: &mut String, was_quoted: &mut bool| {
        let text = std::mem::take(item);
        let null = !*was_quoted && text.eq_ignore_ascii_case("null");
        items.push(if null { Datum::Null } else { Datum::from(text) });
        *was_quoted = false;
    };
    while let Some(c) = chars.next() {
        match c {
            '\\' => item.extend(chars.next()),
            '"' => {
                quoted = !quoted;
                was_quoted = true;
            }
            ',' if !quoted => push(&mut item, &mut was_quoted),
            c => item.push(c),
        }
    }
    if !inner.is_empty() {
        push(&mut item, &mut was_quoted);
    }
    Some(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_survive_their_text() {
        let items = vec![Datum::from("a b"), Datum::Null, Datum::from("q\"\\,"), Datum::from("plain"), Datum::from("NULL")];
        let text = Datum::Array(items.clone()).text().expect("text");
        assert_eq!(text, r#"{"a b",NULL,"q\"\\,",plain,"NULL"}"#);
        assert_eq!(array_from_text(&text), Some(items));
        assert_eq!(array_from_text("{}"), Some(Vec::new()));
        assert_eq!(array_from_text("a"), None);
    }

    #[test]
    fn text_beside_a_number_is_read_as_one() {
        assert_eq!(Datum::Int(5).compare(&Datum::from("5")), Ordering::Equal);
        assert_eq!(Datum::from("t").compare(&Datum::Bool(true)), Ordering::Equal);
    }
}
