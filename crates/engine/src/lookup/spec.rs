//! What a lookup is configured to be (`LookupExtractorFactory`): a map written out, or a namespace that is read again and again
//! from a file, a web address or a database (`cachedNamespace`, LKP-01, LKP-02).

use std::collections::HashMap;
use std::sync::Arc;

use ovate_base::time::{Period, Zone};
use ovate_base::{DruidError, Result};
use ovate_compute::LookupMap;
use ovate_store::meta::PairsSource;
use regex::Regex;
use serde_json::Value;

use super::parse::ParseSpec;

/// A lookup, checked.
pub enum LookupSpec {
    Map(LookupMap),
    Namespace(NamespaceSpec),
}

/// One that is read from somewhere.
pub struct NamespaceSpec {
    pub source: Source,
    /// Between two reads; 0 reads once.
    pub poll_ms: i64,
}

/// Where it is read from.
pub enum Source {
    /// `uri`: one file or web address.
    Uri {
        uri: String,
        parse: ParseSpec,
    },
    /// `uriPrefix`: the newest file of a folder whose name fits.
    Newest {
        folder: String,
        name: Option<Regex>,
        parse: ParseSpec,
    },
    Jdbc(Box<PairsSource>),
    /// `staticMap`.
    Map(LookupMap),
}

impl LookupSpec {
    /// Reads the specification of the lookup `name`.
    pub fn read(name: &str, factory: &Value) -> Result<LookupSpec> {
        let read = match factory["type"].as_str().unwrap_or_default() {
            "map" => map(factory, "map").map(LookupSpec::Map),
            "cachedNamespace" => namespace(&factory["extractionNamespace"]).map(LookupSpec::Namespace),
            kind => Err(DruidError::unsupported(format!("type [{kind}]; supported: map, cachedNamespace"))),
        };
        read.map_err(|error| error.prefixed(format!("lookup [{name}]")))
    }
}

fn map(factory: &Value, field: &str) -> Result<LookupMap> {
    let Some(entries) = factory[field].as_object() else {
        return Err(DruidError::invalid_input(format!("[{field}] is missing or not an object")));
    };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let known = entries.iter().filter(|(_, value)| !value.is_null());
    Ok(Arc::new(known.map(|(key, value)| (key.clone(), text(value))).collect::<HashMap<_, _>>()))
}

fn namespace(spec: &Value) -> Result<NamespaceSpec> {
    let text = |name: &str| spec[name].as_str().map(str::to_owned);
    let parse = || ParseSpec::read(&spec["namespaceParseSpec"]);
    let source = match spec["type"].as_str().unwrap_or_default() {
        "uri" => match (text("uri"), text("uriPrefix")) {
            (Some(uri), None) => Source::Uri { uri, parse: parse()? },
            (None, Some(folder)) => {
                let name =
                    text("fileRegex").or_else(|| text("versionRegex")).map(|pattern| Regex::new(&format!("^(?:{pattern})$")));
                let name = name.transpose().map_err(|e| DruidError::invalid_input(format!("[fileRegex] cannot be read: {e}")))?;
                Source::Newest { folder, name, parse: parse()? }
            }
            _ => return Err(DruidError::invalid_input("either [uri] or [uriPrefix] is needed")),
        },
        "jdbc" => Source::Jdbc(Box::new(jdbc(spec)?)),
        "staticMap" => Source::Map(map(spec, "map")?),
        kind => {
            return Err(DruidError::unsupported(format!(
                "extractionNamespace of type [{kind}]; supported: uri, jdbc, staticMap"
            )));
        }
    };
    Ok(NamespaceSpec { source, poll_ms: poll_ms(&spec["pollPeriod"])? })
}

fn poll_ms(period: &Value) -> Result<i64> {
    match period {
        Value::Null => Ok(0),
        Value::Number(ms) => Ok(ms.as_i64().unwrap_or(0).max(0)),
        Value::String(text) => {
            let period = Period::parse(text).map_err(|e| e.prefixed("pollPeriod"))?;
            Ok(period.add_to(0, 1, &Zone::default()).max(0))
        }
        other => Err(DruidError::invalid_input(format!("[pollPeriod] must be a period, but is {other}"))),
    }
}

fn jdbc(spec: &Value) -> Result<PairsSource> {
    let needed = |document: &Value, name: &str| {
        document[name].as_str().map(str::to_owned).ok_or_else(|| DruidError::invalid_input(format!("[{name}] is missing")))
    };
    let connector = &spec["connectorConfig"];
    Ok(PairsSource {
        connect_uri: needed(connector, "connectURI").map_err(|e| e.prefixed("connectorConfig"))?,
        user: connector["user"].as_str().map(str::to_owned),
        password: password(&connector["password"])?,
        table: needed(spec, "table")?,
        key_column: needed(spec, "keyColumn")?,
        value_column: needed(spec, "valueColumn")?,
        filter: spec["filter"].as_str().map(str::to_owned),
        ts_column: spec["tsColumn"].as_str().map(str::to_owned),
    })
}

/// A password, or Druid's password provider.
fn password(given: &Value) -> Result<Option<String>> {
    match (given, given["type"].as_str()) {
        (Value::Null, _) => Ok(None),
        (Value::String(text), _) => Ok(Some(text.clone())),
        (_, Some("default")) => Ok(given["password"].as_str().map(str::to_owned)),
        (_, Some("environment")) => {
            let variable = given["variable"].as_str().unwrap_or_default();
            let missing = |_| DruidError::invalid_input(format!("environment variable [{variable}] of a password is not set"));
            std::env::var(variable).map(Some).map_err(missing)
        }
        (_, kind) => Err(DruidError::unsupported(format!("password provider {kind:?}; supported: default, environment"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(factory: &Value) -> String {
        LookupSpec::read("x", factory).err().map_or_else(|| "taken".to_owned(), |error| error.message)
    }

    #[test]
    fn wrong_specifications_name_the_lookup_and_the_field() {
        let namespace = |spec: Value| json!({"type": "cachedNamespace", "extractionNamespace": spec});
        assert!(refusal(&json!({"type": "kafka"})).contains("lookup [x]"));
        assert!(refusal(&json!({"type": "kafka"})).contains("[kafka]"));
        assert!(refusal(&json!({"type": "map"})).contains("[map]"));
        assert!(refusal(&namespace(json!({"type": "uri"}))).contains("[uriPrefix]"));
        let spec = json!({"type": "uri", "uri": "file:/a", "namespaceParseSpec": {"format": "xml"}});
        assert!(refusal(&namespace(spec)).contains("[xml]"));
        let spec = json!({"type": "jdbc", "connectorConfig": {"connectURI": "jdbc:sqlite:x"}, "table": "t", "keyColumn": "k"});
        assert!(refusal(&namespace(spec)).contains("[valueColumn]"));
        let spec = json!({"type": "uri", "uri": "file:/a", "pollPeriod": "PT", "namespaceParseSpec": {"format": "simpleJson"}});
        assert!(refusal(&namespace(spec)).contains("pollPeriod"));
    }

    #[test]
    fn periods_are_read_in_both_forms() {
        assert_eq!(poll_ms(&json!("PT1H")).ok(), Some(3_600_000));
        assert_eq!(poll_ms(&json!(5000)).ok(), Some(5000));
        assert_eq!(poll_ms(&Value::Null).ok(), Some(0));
    }
}
