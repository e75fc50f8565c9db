//! Runtime properties with Druid's names: parsed from `.properties` text, layered, interpolated, and read with types.
//! What the outside world knows (system properties, environment, files) comes in through `Sources`.

mod interpolate;
mod sizes;

use std::collections::BTreeMap;

pub use interpolate::Sources;
pub use sizes::{format_bytes, parse_bytes};

use crate::time::Period;
use crate::{DruidError, Result};

/// Names and values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    values: BTreeMap<String, String>,
}

impl Properties {
    /// Parses the text of a Java `.properties` file.
    pub fn parse(text: &str) -> Result<Properties> {
        let ascii = escape_non_ascii(text);
        let mut properties = Properties::default();
        let result = java_properties::PropertiesIter::new(ascii.as_bytes()).read_into(|name, value| properties.set(name, value));
        result.map_err(|error| DruidError::invalid_input(format!("cannot parse properties: {error}")))?;
        Ok(properties)
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.values.insert(name.into(), value.into());
    }

    /// Lays `other` over these: its values win.
    pub fn overlay(&mut self, other: &Properties) {
        self.values.extend(other.values.iter().map(|(name, value)| (name.clone(), value.clone())));
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Properties whose names start with `prefix`, without it.
    pub fn with_prefix(&self, prefix: &str) -> Properties {
        let cut = self.values.iter().filter_map(|(name, value)| Some((name.strip_prefix(prefix)?.to_owned(), value.clone())));
        Properties { values: cut.collect() }
    }

    /// A value that is not blank, or the default.
    pub fn text<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.get(name).filter(|value| !value.trim().is_empty()).unwrap_or(default)
    }

    pub fn int(&self, name: &str, default: i64) -> Result<i64> {
        self.read(name, default, "a whole number", |value| value.parse().ok())
    }

    pub fn float(&self, name: &str, default: f64) -> Result<f64> {
        self.read(name, default, "a number", |value| value.parse().ok())
    }

    /// `true` or `false`.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool> {
        self.read(name, default, "true or false", |value| match value.to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })
    }

    /// A byte size such as `500MiB` (`HumanReadableBytes`).
    pub fn bytes(&self, name: &str, default: u64) -> Result<u64> {
        self.read(name, default, "a byte size", |value| parse_bytes(value).ok())
    }

    /// A duration in milliseconds, written as an ISO period (`PT5S`) or a number of milliseconds.
    pub fn millis(&self, name: &str, default: i64) -> Result<i64> {
        self.read(name, default, "a period such as PT5S or milliseconds", |value| match value.parse() {
            Ok(millis) => Some(millis),
            Err(_) => Period::parse(value).ok().map(|period| period.approximate_millis()),
        })
    }

    /// A JSON array of strings, or names separated by commas.
    pub fn list(&self, name: &str) -> Result<Vec<String>> {
        self.read(name, Vec::new(), "a JSON array of strings", |value| {
            if value.starts_with('[') {
                return serde_json::from_str(value).ok();
            }
            Some(value.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect())
        })
    }

    fn read<T>(&self, name: &str, default: T, wanted: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T> {
        match self.get(name).map(str::trim) {
            None | Some("") => Ok(default),
            Some(value) => {
                parse(value).ok_or_else(|| DruidError::invalid_input(format!("property {name} must be {wanted}, not [{value}]")))
            }
        }
    }
}

/// The parser reads a Latin code page; Druid reads UTF-8. Java's escapes mean the same in both.
fn escape_non_ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            out.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    out
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Properties {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(iter: I) -> Properties {
        Properties { values: iter.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_and_layered() {
        let mut common = Properties::parse("# a comment\ndruid.host=a\ndruid.port : 8082\nlong=one \\\n  two\nutf=é\n").unwrap();
        common.overlay(&Properties::parse("druid.host=b").unwrap());
        assert_eq!(common.get("druid.host"), Some("b"));
        assert_eq!(common.int("druid.port", 1).unwrap(), 8082);
        assert_eq!(common.get("long"), Some("one two"));
        assert_eq!(common.get("utf"), Some("é"));
        assert_eq!(common.with_prefix("druid.").get("port"), Some("8082"));
    }

    #[test]
    fn typed_values_name_the_property_when_wrong() {
        let properties: Properties =
            [("size", "1GiB"), ("flag", "TRUE"), ("period", "PT1M"), ("list", r#"["a","b"]"#), ("bad", "x")]
                .into_iter()
                .collect();
        assert_eq!(properties.bytes("size", 0).unwrap(), 1 << 30);
        assert!(properties.flag("flag", false).unwrap());
        assert_eq!(properties.millis("period", 0).unwrap(), 60_000);
        assert_eq!(properties.list("list").unwrap(), ["a", "b"]);
        assert!(properties.int("bad", 0).unwrap_err().message.contains("property bad must be a whole number"));
        assert_eq!(properties.int("absent", 7).unwrap(), 7);
    }
}
