//! The lines of a namespace's file as pairs (`FlatDataParser`): csv, tsv, customJson and simpleJson. A line that cannot be read is
//! an error naming it, so that half a map never takes the place of a whole one.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};

use ovate_base::{DruidError, Result};
use serde_json::Value;

/// Longest line.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// How lines become pairs.
#[derive(Debug, Clone, PartialEq)]
pub enum ParseSpec {
    Separated {
        delimiter: u8,
        quotes: bool,
        columns: Vec<String>,
        key: usize,
        value: usize,
        header: Option<Columns>,
        skip: usize,
    },
    /// One object a line, with these fields.
    CustomJson { key: String, value: String },
    /// Objects whose fields are the pairs.
    SimpleJson,
}

/// Columns that are named by the file's first line.
#[derive(Debug, Clone, PartialEq)]
pub struct Columns {
    pub key: Option<String>,
    pub value: Option<String>,
}

impl ParseSpec {
    /// Reads a `namespaceParseSpec`.
    pub fn read(spec: &Value) -> Result<ParseSpec> {
        let format = spec["format"].as_str().unwrap_or_default();
        let field = |name: &str| {
            spec[name].as_str().map(str::to_owned).ok_or_else(|| DruidError::invalid_input(format!("[{name}] is missing")))
        };
        match format {
            "csv" => separated(spec, b',', true),
            "tsv" => {
                let delimiter = spec["delimiter"].as_str().unwrap_or("\t").as_bytes();
                let [delimiter] = delimiter else {
                    return Err(DruidError::unsupported("[delimiter] of more than one byte"));
                };
                separated(spec, *delimiter, false)
            }
            "customJson" => Ok(ParseSpec::CustomJson { key: field("keyFieldName")?, value: field("valueFieldName")? }),
            "simpleJson" => Ok(ParseSpec::SimpleJson),
            other => Err(DruidError::invalid_input(format!(
                "namespaceParseSpec of format [{other}]; there are csv, tsv, customJson and simpleJson"
            ))),
        }
    }

    /// Reads all pairs; later ones win.
    pub fn pairs(&self, input: impl Read) -> Result<HashMap<String, String>> {
        match self {
            ParseSpec::Separated { delimiter, quotes, key, value, header, skip, .. } => {
                separated_pairs(input, *delimiter, *quotes, (*key, *value), header.as_ref(), *skip)
            }
            ParseSpec::CustomJson { key, value } => each_object(input, |object, map| {
                let text = |name: &String| object.get(name).filter(|v| !v.is_null()).map(plain);
                match (text(key), text(value)) {
                    (Some(key), Some(value)) => drop(map.insert(key, value)),
                    (None, _) => return Err(DruidError::invalid_input(format!("field [{key}] is missing"))),
                    (_, None) => return Err(DruidError::invalid_input(format!("field [{value}] is missing"))),
                }
                Ok(())
            }),
            ParseSpec::SimpleJson => each_object(input, |object, map| {
                map.extend(object.iter().filter(|(_, v)| !v.is_null()).map(|(key, value)| (key.clone(), plain(value))));
                Ok(())
            }),
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn separated(spec: &Value, delimiter: u8, quotes: bool) -> Result<ParseSpec> {
    let text = |name: &str| spec[name].as_str().map(str::to_owned);
    let columns: Vec<String> =
        spec["columns"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    let has_header = spec["hasHeaderRow"].as_bool().unwrap_or(false);
    let skip = spec["skipHeaderRows"].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    let (key_name, value_name) = (text("keyColumn"), text("valueColumn"));
    if key_name.is_some() != value_name.is_some() {
        return Err(DruidError::invalid_input("[keyColumn] and [valueColumn] are given together or not at all"));
    }
    if columns.is_empty() {
        if !has_header {
            return Err(DruidError::invalid_input("[columns] is missing, and there is no header row"));
        }
        let header = Some(Columns { key: key_name, value: value_name });
        return Ok(ParseSpec::Separated { delimiter, quotes, columns, key: 0, value: 1, header, skip });
    }
    let place = |name: Option<String>, usual: usize, field: &str| match name {
        None if columns.len() > usual => Ok(usual),
        None => Err(DruidError::invalid_input("[columns] needs at least two names")),
        Some(name) => columns
            .iter()
            .position(|column| *column == name)
            .ok_or_else(|| DruidError::invalid_input(format!("[{field}] [{name}] is not among [columns]"))),
    };
    let (key, value) = (place(key_name, 0, "keyColumn")?, place(value_name, 1, "valueColumn")?);
    let skip = skip + usize::from(has_header);
    Ok(ParseSpec::Separated { delimiter, quotes, columns, key, value, header: None, skip })
}

fn separated_pairs(
    input: impl Read,
    delimiter: u8,
    quotes: bool,
    (mut key, mut value): (usize, usize),
    header: Option<&Columns>,
    skip: usize,
) -> Result<HashMap<String, String>> {
    let reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).quoting(quotes).from_reader(input);
    let mut map = HashMap::new();
    let mut named = header.is_none();
    for (number, record) in reader.into_records().enumerate().skip(skip) {
        let line = number + 1;
        let record = record.map_err(|e| DruidError::invalid_input(format!("line {line} cannot be read: {e}")))?;
        if !named {
            let place = |name: &Option<String>, usual: usize| match name {
                None => Ok(usual),
                Some(name) => record
                    .iter()
                    .position(|cell| cell == name)
                    .ok_or_else(|| DruidError::invalid_input(format!("the header row has no column [{name}]"))),
            };
            let columns = header.cloned().unwrap_or(Columns { key: None, value: None });
            (key, value) = (place(&columns.key, 0)?, place(&columns.value, 1)?);
            named = true;
            continue;
        }
        match (record.get(key), record.get(value)) {
            (Some(key), Some(value)) => drop(map.insert(key.to_owned(), value.to_owned())),
            _ => return Err(DruidError::invalid_input(format!("line {line} has only {} columns", record.len()))),
        }
    }
    Ok(map)
}

fn each_object(
    input: impl Read,
    mut take: impl FnMut(&serde_json::Map<String, Value>, &mut HashMap<String, String>) -> Result<()>,
) -> Result<HashMap<String, String>> {
    let mut reader = BufReader::new(input);
    let (mut map, mut line, mut number) = (HashMap::new(), Vec::new(), 0usize);
    loop {
        line.clear();
        number += 1;
        let read = reader.by_ref().take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut line);
        let read = read.map_err(|e| DruidError::runtime(format!("line {number} cannot be read: {e}")))?;
        if read == 0 {
            return Ok(map);
        }
        if line.len() as u64 > LINE_BYTES_MAX {
            return Err(DruidError::resource_limit(format!("line {number} has more than {LINE_BYTES_MAX} bytes")));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let object: serde_json::Map<String, Value> = serde_json::from_slice(&line)
            .map_err(|e| DruidError::invalid_input(format!("line {number} is not a JSON object: {e}")))?;
        take(&object, &mut map).map_err(|e| e.prefixed(format!("line {number}")))?;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(spec: &Value, text: &str, expected: &[(&str, &str)]) {
        let map = ParseSpec::read(spec).and_then(|spec| spec.pairs(text.as_bytes())).unwrap_or_else(|e| panic!("{spec}: {e}"));
        let mut pairs: Vec<(&str, &str)> = map.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        pairs.sort_unstable();
        assert_eq!(pairs, expected, "{spec}");
    }

    #[test]
    fn every_format_gives_pairs() {
        let pairs = [("a", "x,y"), ("b", "z")];
        check(&json!({"format": "csv", "columns": ["k", "v"]}), "a,\"x,y\"\nb,z\n", &pairs);
        let named =
            json!({"format": "csv", "columns": ["n", "v", "k"], "keyColumn": "k", "valueColumn": "v", "skipHeaderRows": 1});
        check(&named, "head\n1,z,b\n2,\"x,y\",a\n", &pairs);
        let headed = json!({"format": "csv", "hasHeaderRow": true, "keyColumn": "k", "valueColumn": "v"});
        check(&headed, "v,k\nz,b\n\"x,y\",a", &pairs);
        check(&json!({"format": "tsv", "columns": ["k", "v"]}), "a\tx,y\nb\tz\n", &pairs);
        check(&json!({"format": "tsv", "delimiter": "|", "columns": ["k", "v"]}), "a|\"x\n", &[("a", "\"x")]);
        check(
            &json!({"format": "simpleJson"}),
            "{\"a\":\"x,y\"}\n\n{\"b\":\"z\",\"c\":1}",
            &[("a", "x,y"), ("b", "z"), ("c", "1")],
        );
        let custom = json!({"format": "customJson", "keyFieldName": "k", "valueFieldName": "v"});
        check(&custom, "{\"k\":\"a\",\"v\":\"x,y\",\"o\":1}\n{\"v\":\"z\",\"k\":\"b\"}\n", &pairs);
    }

    #[test]
    fn lines_that_cannot_be_read_are_named() {
        let error =
            |spec: &Value, text: &str| ParseSpec::read(spec).and_then(|s| s.pairs(text.as_bytes())).err().map(|e| e.message);
        let csv = json!({"format": "csv", "columns": ["k", "v"]});
        assert!(error(&csv, "a,b\nc\n").is_some_and(|m| m.contains("line 2")));
        assert!(error(&json!({"format": "simpleJson"}), "{}\n[1]").is_some_and(|m| m.contains("line 2")));
        let custom = json!({"format": "customJson", "keyFieldName": "k", "valueFieldName": "v"});
        assert!(error(&custom, "{\"k\":\"a\"}").is_some_and(|m| m.contains("line 1") && m.contains("[v]")));
        assert!(error(&json!({"format": "csv"}), "").is_some_and(|m| m.contains("[columns]")));
    }
}
