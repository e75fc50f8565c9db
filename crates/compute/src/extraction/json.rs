//! Extraction function documents, with Druid's property names and defaults.

use std::sync::Arc;

use ovate_base::{DruidError, Result};
use serde_json::{Map, Value as Json, json};

use super::{ExtractionFn, LookupRef, NullHandling};
use crate::doc::Doc;
use crate::filter::SearchQuery;

pub(super) fn from_json(json: &Json) -> Result<ExtractionFn> {
    let doc = Doc::new("extraction function", json)?;
    Ok(match doc.type_name()? {
        "identity" => ExtractionFn::Identity,
        "regex" => {
            let replacement = doc.optional_text("replaceMissingValueWith")?.map(Arc::from);
            ExtractionFn::Regex {
                expr: doc.text("expr")?.to_owned(),
                index: doc.optional_long("index")?.unwrap_or(1).max(0) as usize,
                replace_missing: doc.boolean("replaceMissingValue", false)?,
                replacement,
            }
        }
        "partial" => ExtractionFn::Partial { expr: doc.text("expr")?.to_owned() },
        "searchQuery" => ExtractionFn::SearchQuery { query: SearchQuery::from_json(doc.required("query")?)? },
        "substring" => ExtractionFn::Substring {
            index: doc.optional_long("index")?.unwrap_or(0).max(0) as usize,
            length: doc.optional_long("length")?.map(|l| l.max(0) as usize),
        },
        "strlen" => ExtractionFn::Strlen,
        "timeFormat" => ExtractionFn::TimeFormat {
            format: doc.optional_text("format")?,
            locale: doc.optional_text("locale")?,
            time_zone: doc.optional_text("timeZone")?,
            granularity: doc.get("granularity").cloned(),
            as_millis: doc.boolean("asMillis", false)?,
        },
        "time" => ExtractionFn::Time {
            time_format: doc.text("timeFormat")?.to_owned(),
            result_format: doc.text("resultFormat")?.to_owned(),
            joda: doc.boolean("joda", false)?,
        },
        "registeredLookup" => lookup(&doc, LookupRef::Registered(doc.text("lookup")?.to_owned()))?,
        "lookup" => lookup(&doc, inline_lookup(doc.required("lookup")?)?)?,
        "cascade" => {
            ExtractionFn::Cascade { functions: doc.list("extractionFns")?.iter().map(from_json).collect::<Result<_>>()? }
        }
        "stringFormat" => ExtractionFn::StringFormat {
            format: doc.text("format")?.to_owned(),
            null_handling: match doc.optional_text("nullHandling")?.unwrap_or_default().to_ascii_lowercase().as_str() {
                "" | "nullstring" => NullHandling::NullString,
                "emptystring" => NullHandling::EmptyString,
                "returnnull" => NullHandling::ReturnNull,
                _ => return Err(doc.error("nullHandling", "must be nullString, emptyString or returnNull")),
            },
        },
        "upper" => ExtractionFn::Upper { locale: doc.optional_text("locale")? },
        "lower" => ExtractionFn::Lower { locale: doc.optional_text("locale")? },
        "bucket" => {
            let number = |field: &str, default: f64| match doc.get(field) {
                None => Ok(default),
                Some(json) => json.as_f64().ok_or_else(|| doc.error(field, "must be a number")),
            };
            ExtractionFn::Bucket { size: number("size", 1.0)?, offset: number("offset", 0.0)? }
        }
        "javascript" => return Err(DruidError::unsupported("extraction function [javascript]")),
        other => return Err(doc.unknown_type(other)),
    })
}

fn lookup(doc: &Doc<'_>, map: LookupRef) -> Result<ExtractionFn> {
    let retain_missing = doc.get("retainMissingValue").map(|_| doc.boolean("retainMissingValue", false)).transpose()?;
    let replacement = doc.optional_text("replaceMissingValueWith")?.map(Arc::from);
    if retain_missing == Some(true) && replacement.is_some() {
        return Err(DruidError::invalid_input("cannot specify both [retainMissingValue] and [replaceMissingValueWith]"));
    }
    let injective = doc.get("injective").map(|_| doc.boolean("injective", false)).transpose()?;
    Ok(ExtractionFn::Lookup { map, retain_missing, replacement, injective })
}

/// Reads `{"type": "map", "map": {…}}`.
pub(crate) fn inline_lookup(json: &Json) -> Result<LookupRef> {
    let doc = Doc::new("lookup", json)?;
    if doc.type_name()? != "map" {
        return Err(doc.unknown_type(doc.type_name()?));
    }
    match doc.required("map")? {
        Json::Object(map) => {
            let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            Ok(LookupRef::Inline(Arc::new(map.iter().map(|(k, v)| (k.clone(), text(v))).collect())))
        }
        _ => Err(doc.error("map", "must be an object")),
    }
}

/// Writes an inline map as a `lookup` document.
pub(crate) fn inline_lookup_json(map: &std::collections::BTreeMap<String, String>) -> Json {
    json!({"type": "map", "map": map})
}

pub(super) fn to_json(function: &ExtractionFn) -> Json {
    let mut map = Map::new();
    let mut put = |name: &str, value: Json| {
        if !value.is_null() {
            map.insert(name.to_owned(), value);
        }
    };
    match function {
        ExtractionFn::Identity => put("type", "identity".into()),
        ExtractionFn::Regex { expr, index, replace_missing, replacement } => {
            put("type", "regex".into());
            put("expr", expr.as_str().into());
            put("index", (*index).into());
            put("replaceMissingValue", (*replace_missing).into());
            put("replaceMissingValueWith", json!(replacement.as_deref()));
        }
        ExtractionFn::Partial { expr } => {
            put("type", "partial".into());
            put("expr", expr.as_str().into());
        }
        ExtractionFn::SearchQuery { query } => {
            put("type", "searchQuery".into());
            put("query", query.to_json());
        }
        ExtractionFn::Substring { index, length } => {
            put("type", "substring".into());
            put("index", (*index).into());
            put("length", json!(length));
        }
        ExtractionFn::Strlen => put("type", "strlen".into()),
        ExtractionFn::TimeFormat { format, locale, time_zone, granularity, as_millis } => {
            put("type", "timeFormat".into());
            put("format", json!(format));
            put("timeZone", json!(time_zone));
            put("locale", json!(locale));
            put("granularity", json!(granularity));
            put("asMillis", (*as_millis).into());
        }
        ExtractionFn::Time { time_format, result_format, joda } => {
            put("type", "time".into());
            put("timeFormat", time_format.as_str().into());
            put("resultFormat", result_format.as_str().into());
            put("joda", (*joda).into());
        }
        ExtractionFn::Lookup { map: lookup, retain_missing, replacement, injective } => {
            match lookup {
                LookupRef::Registered(name) => {
                    put("type", "registeredLookup".into());
                    put("lookup", name.as_str().into());
                }
                LookupRef::Inline(map) => {
                    put("type", "lookup".into());
                    put("lookup", inline_lookup_json(map));
                }
            }
            put("retainMissingValue", json!(retain_missing));
            put("replaceMissingValueWith", json!(replacement.as_deref()));
            put("injective", json!(injective));
        }
        ExtractionFn::Cascade { functions } => {
            put("type", "cascade".into());
            put("extractionFns", Json::Array(functions.iter().map(to_json).collect()));
        }
        ExtractionFn::StringFormat { format, null_handling } => {
            put("type", "stringFormat".into());
            put("format", format.as_str().into());
            let name = match null_handling {
                NullHandling::NullString => "nullString",
                NullHandling::EmptyString => "emptyString",
                NullHandling::ReturnNull => "returnNull",
            };
            put("nullHandling", name.into());
        }
        ExtractionFn::Upper { locale } => {
            put("type", "upper".into());
            put("locale", json!(locale));
        }
        ExtractionFn::Lower { locale } => {
            put("type", "lower".into());
            put("locale", json!(locale));
        }
        ExtractionFn::Bucket { size, offset } => {
            put("type", "bucket".into());
            put("size", json!(size));
            put("offset", json!(offset));
        }
    }
    Json::Object(map)
}
