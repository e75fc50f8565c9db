//! Evaluation of extraction functions, one text at a time; callers go through dictionaries.

use std::collections::BTreeMap;
use std::sync::Arc;

use ovate_base::granularity::Granularity;
use ovate_base::time::{DateTimePattern, Zone, format_iso_in, parse_instant};
use ovate_base::{DruidError, Result};
use regex::Regex;

use super::{ExtractionFn, LookupRef, NullHandling};
use crate::context::{EvalContext, LookupMap};
use crate::text::{java_format, java_regex, utf16_len, utf16_slice};
use crate::value::{Value, double_to_text, parse_double, parse_long};

/// An extraction function ready to run.
pub struct BoundExtraction {
    step: Step,
}

enum Step {
    Identity,
    Regex { regex: Regex, index: usize, replace_missing: bool, replacement: Option<Arc<str>> },
    Partial(Regex),
    Search(Box<dyn Fn(&str) -> bool + Send + Sync>),
    Substring { index: usize, length: Option<usize> },
    Strlen,
    TimeFormat { pattern: Option<DateTimePattern>, zone: Zone, granularity: Granularity, as_millis: bool },
    Time { from: DateTimePattern, to: DateTimePattern },
    Lookup { map: Map, retain_missing: bool, replacement: Option<Arc<str>> },
    Cascade(Vec<BoundExtraction>),
    Format { format: String, null_handling: NullHandling },
    Upper,
    Lower,
    Bucket { size: f64, offset: f64 },
}

enum Map {
    Registered(LookupMap),
    Inline(Arc<BTreeMap<String, String>>),
}

impl Map {
    fn get(&self, key: &str) -> Option<&str> {
        match self {
            Map::Registered(map) => map.get(key).map(String::as_str),
            Map::Inline(map) => map.get(key).map(String::as_str),
        }
    }
}

impl BoundExtraction {
    pub(super) fn new(function: &ExtractionFn, context: &EvalContext) -> Result<Self> {
        let step = match function {
            ExtractionFn::Identity => Step::Identity,
            ExtractionFn::Regex { expr, index, replace_missing, replacement } => Step::Regex {
                regex: java_regex(expr)?,
                index: *index,
                replace_missing: *replace_missing,
                replacement: replacement.clone(),
            },
            ExtractionFn::Partial { expr } => Step::Partial(java_regex(expr)?),
            ExtractionFn::SearchQuery { query } => Step::Search(crate::filter::search_test(query)?),
            ExtractionFn::Substring { index, length } => Step::Substring { index: *index, length: *length },
            ExtractionFn::Strlen => Step::Strlen,
            ExtractionFn::TimeFormat { format, time_zone, granularity, as_millis, .. } => Step::TimeFormat {
                pattern: format.as_deref().map(DateTimePattern::parse).transpose()?,
                zone: time_zone.as_deref().map_or(Ok(Zone::UTC), Zone::parse)?,
                granularity: granularity.as_ref().map_or(Ok(Granularity::None), Granularity::from_json)?,
                as_millis: *as_millis,
            },
            ExtractionFn::Time { time_format, result_format, .. } => {
                Step::Time { from: DateTimePattern::parse(time_format)?, to: DateTimePattern::parse(result_format)? }
            }
            ExtractionFn::Lookup { map, retain_missing, replacement, .. } => {
                let map = match map {
                    LookupRef::Inline(map) => Map::Inline(map.clone()),
                    LookupRef::Registered(name) => match context.lookups.get(name) {
                        Some(map) => Map::Registered(map.clone()),
                        None => return Err(DruidError::invalid_input(format!("Lookup [{name}] not found"))),
                    },
                };
                Step::Lookup { map, retain_missing: retain_missing.unwrap_or(false), replacement: replacement.clone() }
            }
            ExtractionFn::Cascade { functions } => {
                Step::Cascade(functions.iter().map(|f| f.bind(context)).collect::<Result<_>>()?)
            }
            ExtractionFn::StringFormat { format, null_handling } => {
                // A format that does not fit one string fails now and not once a row.
                java_format(format, &[Value::from("")])?;
                Step::Format { format: format.clone(), null_handling: *null_handling }
            }
            ExtractionFn::Upper { .. } => Step::Upper,
            ExtractionFn::Lower { .. } => Step::Lower,
            ExtractionFn::Bucket { size, offset } => Step::Bucket { size: *size, offset: *offset },
        };
        Ok(BoundExtraction { step })
    }

    /// Applies the function to a string.
    pub fn apply(&self, value: Option<&str>) -> Option<Arc<str>> {
        match (&self.step, value) {
            (Step::Regex { replace_missing, replacement, .. }, None) => replacement.clone().filter(|_| *replace_missing),
            (Step::Lookup { replacement, .. }, None) => replacement.clone(),
            (Step::Cascade(functions), _) => {
                functions.iter().fold(value.map(Arc::from), |value: Option<Arc<str>>, function| function.apply(value.as_deref()))
            }
            (Step::Format { format, null_handling }, None) => match null_handling {
                NullHandling::NullString => java_format(format, &[Value::Null]).ok().map(Arc::from),
                NullHandling::EmptyString => java_format(format, &[Value::from("")]).ok().map(Arc::from),
                NullHandling::ReturnNull => None,
            },
            (_, None) => None,
            (step, Some(text)) => step.text(text),
        }
    }
}

impl Step {
    fn text(&self, text: &str) -> Option<Arc<str>> {
        let same = || Some(Arc::from(text));
        match self {
            Step::Identity => same(),
            Step::Regex { regex, index, replace_missing, replacement } => match regex.captures(text) {
                Some(captures) => captures.get(*index).map(|group| Arc::from(group.as_str())),
                None if *replace_missing => replacement.clone(),
                None => same(),
            },
            Step::Partial(regex) => same().filter(|_| regex.is_match(text)),
            Step::Search(test) => same().filter(|_| test(text)),
            Step::Substring { index, length } => {
                let end = length.map_or(usize::MAX, |length| index.saturating_add(length));
                (*index < utf16_len(text)).then(|| Arc::from(utf16_slice(text, *index, end)))
            }
            Step::Strlen => Some(Arc::from(utf16_len(text).to_string())),
            Step::TimeFormat { pattern, zone, granularity, as_millis } => {
                let millis = parse_long(text).or_else(|| parse_instant(text).ok())?;
                let bucket = granularity.bucket_start(millis);
                Some(Arc::from(match pattern {
                    Some(pattern) => pattern.format(bucket, zone),
                    None if *as_millis => bucket.to_string(),
                    None => format_iso_in(bucket, zone),
                }))
            }
            Step::Time { from, to } => match from.parse_text(text, &Zone::UTC) {
                Ok(millis) => Some(Arc::from(to.format(millis, &Zone::UTC))),
                Err(_) => same(),
            },
            Step::Lookup { map, retain_missing, replacement } => match map.get(text) {
                Some(found) => Some(Arc::from(found)),
                None if *retain_missing => same(),
                None => replacement.clone(),
            },
            Step::Format { format, .. } => java_format(format, &[Value::from(text)]).ok().map(Arc::from),
            Step::Upper => Some(Arc::from(text.to_uppercase())),
            Step::Lower => Some(Arc::from(text.to_lowercase())),
            Step::Bucket { size, offset } => {
                let bucket = ((parse_double(text)? - offset) / size).floor() * size + offset;
                let whole = bucket as i64;
                Some(Arc::from(if whole as f64 == bucket { whole.to_string() } else { double_to_text(bucket) }))
            }
            Step::Cascade(functions) => {
                let first: Option<Arc<str>> = same();
                functions.iter().fold(first, |value, function| function.apply(value.as_deref()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn functions_answer_as_druids_do() {
        let context = EvalContext::at(0);
        let cases = [
            (json!({"type": "regex", "expr": "(..)."}), Some("abc"), Some("ab")),
            (
                json!({"type": "regex", "expr": "x(.)", "replaceMissingValue": true, "replaceMissingValueWith": "no"}),
                Some("abc"),
                Some("no"),
            ),
            (json!({"type": "partial", "expr": "b"}), Some("x"), None),
            (json!({"type": "substring", "index": 1, "length": 1}), Some("abc"), Some("b")),
            (json!({"type": "substring", "index": 3}), Some("abc"), None),
            (json!({"type": "strlen"}), Some("abc"), Some("3")),
            (json!({"type": "timeFormat", "format": "yyyy"}), Some("1293840000000"), Some("2011")),
            (
                json!({"type": "lookup", "lookup": {"type": "map", "map": {"a": "b"}}, "retainMissingValue": true}),
                Some("z"),
                Some("z"),
            ),
            (json!({"type": "lookup", "lookup": {"type": "map", "map": {"a": "b"}}}), Some("a"), Some("b")),
            (json!({"type": "stringFormat", "format": "[%s]"}), None, Some("[null]")),
            (json!({"type": "bucket", "size": 5, "offset": 2}), Some("10"), Some("7")),
            (
                json!({"type": "cascade", "extractionFns": [{"type": "upper"}, {"type": "substring", "index": 1}]}),
                Some("abc"),
                Some("BC"),
            ),
        ];
        for (document, input, expected) in cases {
            let bound = ExtractionFn::from_json(&document).unwrap().bind(&context).unwrap();
            assert_eq!(bound.apply(input).as_deref(), expected, "{document}");
        }
    }
}
