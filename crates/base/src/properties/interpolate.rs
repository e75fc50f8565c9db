//! `${...}` in property values, as commons-text's substitutor does it for Druid: `${sys:NAME}`, `${env:NAME}`,
//! `${file:UTF-8:/path}`, `${prop:NAME}` and plain `${NAME}`, with `:-default`; nested and recursive; `$${x}` stays.

use super::Properties;
use crate::{DruidError, Result};

/// Where values come from; the binary passes the real ones.
pub struct Sources<'a> {
    pub system: &'a dyn Fn(&str) -> Option<String>,
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// The text of a file; a failure is an error, as there is no default for files.
    pub file: &'a dyn Fn(&str) -> Result<String>,
}

/// How deep values may refer to each other.
const DEPTH_MAX: usize = 32;
/// How long a value may become.
const VALUE_BYTES_MAX: usize = 1 << 20;

impl Properties {
    /// Replaces every `${...}`; an unset one without a default is an error that names the property.
    pub fn interpolate(&self, sources: &Sources<'_>) -> Result<Properties> {
        let expanded = self.iter().map(|(name, value)| {
            let value = self.expand(value, sources, 0).map_err(|error| error.prefixed(format_args!("property {name}")))?;
            Ok((name.to_owned(), value))
        });
        expanded.collect::<Result<Vec<_>>>().map(|values| values.into_iter().collect())
    }

    fn expand(&self, text: &str, sources: &Sources<'_>, depth: usize) -> Result<String> {
        if depth > DEPTH_MAX {
            return Err(DruidError::invalid_input(format!("references in [{text}] do not end")));
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                // `$${x}` is the text `${x}`.
                let end = closing(&rest[at..]).map_or(rest.len(), |end| at + end);
                out.push_str(&rest[..at - 1]);
                out.push_str(&rest[at..end]);
                rest = &rest[end..];
                continue;
            }
            out.push_str(&rest[..at]);
            let Some(end) = closing(&rest[at..]) else {
                out.push_str(&rest[at..]);
                return Ok(out);
            };
            let inner = self.expand(&rest[at + 2..at + end - 1], sources, depth + 1)?;
            out.push_str(&self.lookup(&inner, sources, depth)?);
            if out.len() > VALUE_BYTES_MAX {
                return Err(DruidError::invalid_input(format!("a value is longer than {VALUE_BYTES_MAX} bytes")));
            }
            rest = &rest[at + end..];
        }
        out.push_str(rest);
        Ok(out)
    }

    fn lookup(&self, reference: &str, sources: &Sources<'_>, depth: usize) -> Result<String> {
        let (key, default) = match reference.split_once(":-") {
            Some((key, default)) => (key, Some(default)),
            None => (reference, None),
        };
        let found = match key.split_once(':') {
            Some(("sys", name)) => (sources.system)(name),
            Some(("env", name)) => (sources.environment)(name),
            Some(("prop", name)) => self.get(name).map(str::to_owned),
            Some(("file", path)) => {
                let path = path.split_once(':').filter(|(charset, _)| !charset.contains('/')).map_or(path, |(_, path)| path);
                return (sources.file)(path);
            }
            Some((kind, _)) => {
                return Err(DruidError::invalid_input(format!("${{{reference}}}: no lookup is called [{kind}]")));
            }
            None => self.get(key).map(str::to_owned).or_else(|| (sources.system)(key)),
        };
        match (found, default) {
            (Some(value), _) => self.expand(&value, sources, depth + 1),
            (None, Some(default)) => Ok(default.to_owned()),
            (None, None) => Err(DruidError::invalid_input(format!("${{{reference}}} is not set and has no default"))),
        }
    }
}

/// The place after the `}` that closes the `${` at the start of the text.
fn closing(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'$' if bytes.get(at + 1) == Some(&b'{') => {
                depth += 1;
                at += 1;
            }
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(value: &str) -> Result<String> {
        let sources = Sources {
            system: &|name| (name == "user.dir").then(|| "/here".to_owned()),
            environment: &|name| (name == "HOME").then(|| "/root".to_owned()),
            file: &|path| if path == "/secret" { Ok("s3cret".to_owned()) } else { Err(DruidError::runtime("no file")) },
        };
        let mut properties: Properties = [("x", value), ("base", "/data"), ("which", "HOME")].into_iter().collect();
        properties.set("loop", "${prop:loop2:-}");
        properties.interpolate(&sources).map(|values| values.get("x").unwrap().to_owned())
    }

    #[test]
    fn all_forms() {
        assert_eq!(expand("${sys:user.dir}/x").unwrap(), "/here/x");
        assert_eq!(expand("${env:HOME}").unwrap(), "/root");
        assert_eq!(expand("${env:NOPE:-dflt}!").unwrap(), "dflt!");
        assert_eq!(expand("${file:UTF-8:/secret}").unwrap(), "s3cret");
        assert_eq!(expand("${prop:base}/${base}").unwrap(), "/data//data");
        assert_eq!(expand("${env:${which}}").unwrap(), "/root");
        assert_eq!(expand("$${env:HOME}").unwrap(), "${env:HOME}");
        assert_eq!(expand("${env:NOPE:-${env:HOME}}").unwrap(), "/root");
        assert_eq!(expand("${open").unwrap(), "${open");
    }

    #[test]
    fn unset_and_endless_references_are_errors() {
        assert!(expand("${env:NOPE}").unwrap_err().message.contains("property x"));
        assert!(expand("${file:UTF-8:/gone}").is_err());
        assert!(expand("${x}").is_err());
        assert!(expand("${what:x}").is_err());
    }
}
