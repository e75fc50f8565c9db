//! String orders by name (`StringComparators`): lexicographic, alphanumeric, numeric, strlen, version, and `natural`.
//! Null sorts first in all of them.

use std::cmp::Ordering;

use ovate_base::{DruidError, Result};
use serde_json::Value as Json;

use crate::value::{compare_doubles, parse_double, parse_long};

/// How strings are compared (feature ORD-04).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum StringOrder {
    #[default]
    Lexicographic,
    Alphanumeric,
    Numeric,
    Strlen,
    Version,
    /// The order of the column's own type; over strings it is lexicographic.
    Natural,
}

impl StringOrder {
    /// Reads a name, or an object with a `type`.
    pub fn from_json(json: &Json) -> Result<Self> {
        match json {
            Json::String(name) => Self::parse(name),
            Json::Object(map) => match map.get("type").and_then(Json::as_str) {
                Some(name) => Self::parse(name),
                None => Err(DruidError::invalid_input("ordering has no [type]")),
            },
            Json::Null => Ok(StringOrder::Lexicographic),
            _ => Err(DruidError::invalid_input("ordering must be a name")),
        }
    }

    /// Reads a name in any case.
    pub fn parse(name: &str) -> Result<Self> {
        match name.to_ascii_lowercase().as_str() {
            "lexicographic" => Ok(StringOrder::Lexicographic),
            "alphanumeric" => Ok(StringOrder::Alphanumeric),
            "numeric" => Ok(StringOrder::Numeric),
            "strlen" => Ok(StringOrder::Strlen),
            "version" => Ok(StringOrder::Version),
            "natural" => Ok(StringOrder::Natural),
            _ => Err(DruidError::invalid_input(format!("unknown string comparator [{name}]"))),
        }
    }

    /// Druid's name.
    pub fn name(self) -> &'static str {
        match self {
            StringOrder::Lexicographic => "lexicographic",
            StringOrder::Alphanumeric => "alphanumeric",
            StringOrder::Numeric => "numeric",
            StringOrder::Strlen => "strlen",
            StringOrder::Version => "version",
            StringOrder::Natural => "natural",
        }
    }

    /// Compares two strings.
    pub fn compare(self, a: &str, b: &str) -> Ordering {
        match self {
            StringOrder::Lexicographic | StringOrder::Natural => a.cmp(b),
            StringOrder::Alphanumeric => alphanumeric(a, b),
            StringOrder::Numeric => numeric(a, b),
            StringOrder::Strlen => utf16_len(a).cmp(&utf16_len(b)).then_with(|| a.cmp(b)),
            StringOrder::Version => version(a, b),
        }
    }

    /// Compares with nulls first.
    pub fn compare_nullable(self, a: Option<&str>, b: Option<&str>) -> Ordering {
        match (a, b) {
            (Some(a), Some(b)) => self.compare(a, b),
            _ => a.is_some().cmp(&b.is_some()),
        }
    }
}

fn utf16_len(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Numbers by value, before them everything that is none; those lexicographically (`NumericComparator`).
fn numeric(a: &str, b: &str) -> Ordering {
    if let (Some(x), Some(y)) = (parse_long(a), parse_long(b)) {
        return x.cmp(&y);
    }
    match (parse_double(a), parse_double(b)) {
        (Some(x), Some(y)) => compare_doubles(x, y),
        (Some(_), None) => Ordering::Greater,
        (None, Some(_)) => Ordering::Less,
        (None, None) => a.cmp(b),
    }
}

/// Runs of digits compare as numbers, the rest by code unit (`AlphanumericComparator`).
fn alphanumeric(a: &str, b: &str) -> Ordering {
    let (a_chars, b_chars): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let (mut i, mut j) = (0, 0);
    loop {
        match (i < a_chars.len(), j < b_chars.len()) {
            (false, false) => return Ordering::Equal,
            (false, true) => return Ordering::Less,
            (true, false) => return Ordering::Greater,
            (true, true) => {}
        }
        let order = match (a_chars[i].is_ascii_digit(), b_chars[j].is_ascii_digit()) {
            (true, true) => digit_runs(&a_chars, &mut i, &b_chars, &mut j),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => {
                let order = a_chars[i].cmp(&b_chars[j]);
                (i, j) = (i + 1, j + 1);
                order
            }
        };
        if order.is_ne() {
            return order;
        }
    }
}

fn digit_runs(a: &[char], i: &mut usize, b: &[char], j: &mut usize) -> Ordering {
    let run = |chars: &[char], start: usize| start + chars[start..].iter().take_while(|c| c.is_ascii_digit()).count();
    let (a_end, b_end) = (run(a, *i), run(b, *j));
    let significant = |chars: &[char], start: usize, end: usize| {
        let zeros = chars[start..end].iter().take_while(|c| **c == '0').count();
        (start + zeros.min(end - start), zeros)
    };
    let ((a_start, a_zeros), (b_start, b_zeros)) = (significant(a, *i, a_end), significant(b, *j, b_end));
    (*i, *j) = (a_end, b_end);
    (a_end - a_start)
        .cmp(&(b_end - b_start))
        .then_with(|| a[a_start..a_end].cmp(&b[b_start..b_end]))
        .then_with(|| a_zeros.cmp(&b_zeros))
}

/// Maven's `DefaultArtifactVersion`, near enough: dotted numbers by value, a qualifier sorts before none.
fn version(a: &str, b: &str) -> Ordering {
    let split = |text: &str| -> Vec<String> {
        let mut items: Vec<String> = Vec::new();
        for c in text.to_lowercase().chars() {
            if c == '.' || c == '-' || c == '_' {
                items.push(String::new());
            } else {
                let fresh =
                    items.last().is_none_or(|last| last.chars().last().is_some_and(|l| l.is_ascii_digit() != c.is_ascii_digit()));
                if fresh {
                    items.push(String::new());
                }
                items.last_mut().expect("an item was just pushed").push(c);
            }
        }
        items.retain(|item| !item.is_empty());
        items
    };
    // Rank of an item: number above the release itself above a qualifier, so that 1.0-alpha < 1.0 < 1.0.1.
    let rank = |item: Option<&String>| match item {
        None => (1, 0, String::new()),
        Some(text) => match text.parse::<u64>() {
            Ok(0) => (1, 0, String::new()),
            Ok(number) => (2, number, String::new()),
            Err(_) if matches!(text.as_str(), "ga" | "final" | "release") => (1, 0, String::new()),
            Err(_) => (0, qualifier_rank(text), text.clone()),
        },
    };
    let (a, b) = (split(a), split(b));
    (0..a.len().max(b.len())).map(|i| rank(a.get(i)).cmp(&rank(b.get(i)))).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
}

fn qualifier_rank(text: &str) -> u64 {
    match text {
        "alpha" | "a" => 0,
        "beta" | "b" => 1,
        "milestone" | "m" => 2,
        "rc" | "cr" => 3,
        "snapshot" => 4,
        _ => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_follow_druids_comparators() {
        assert_eq!(StringOrder::Alphanumeric.compare("a2", "a10"), Ordering::Less);
        assert_eq!(StringOrder::Alphanumeric.compare("a", "a1"), Ordering::Less);
        assert_eq!(StringOrder::Numeric.compare("10", "9"), Ordering::Greater);
        assert_eq!(StringOrder::Numeric.compare("abc", "-1"), Ordering::Less);
        assert_eq!(StringOrder::Strlen.compare("b", "aa"), Ordering::Less);
        assert_eq!(StringOrder::Version.compare("1.0-alpha", "1.0"), Ordering::Less);
        assert_eq!(StringOrder::Version.compare("1.2", "1.10"), Ordering::Less);
        assert_eq!(StringOrder::Lexicographic.compare_nullable(None, Some("")), Ordering::Less);
    }
}
