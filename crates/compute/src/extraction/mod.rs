//! Extraction functions (feature DIM-05): string to string (or null) functions that dimension specs and older filters
//! apply to a column. Documents are read here, evaluation is in `apply`.

mod apply;
mod json;

use std::collections::BTreeMap;
use std::sync::Arc;

use ovate_base::Result;
use serde_json::Value as Json;

use crate::context::EvalContext;
use crate::filter::SearchQuery;

pub use apply::BoundExtraction;
pub(crate) use json::{inline_lookup, inline_lookup_json};

/// An extraction function as a user writes it (`ExtractionFn`).
#[derive(Debug, Clone, PartialEq)]
pub enum ExtractionFn {
    Identity,
    Regex {
        expr: String,
        index: usize,
        replace_missing: bool,
        replacement: Option<Arc<str>>,
    },
    Partial {
        expr: String,
    },
    SearchQuery {
        query: SearchQuery,
    },
    Substring {
        index: usize,
        length: Option<usize>,
    },
    Strlen,
    TimeFormat {
        format: Option<String>,
        locale: Option<String>,
        time_zone: Option<String>,
        granularity: Option<Json>,
        as_millis: bool,
    },
    Time {
        time_format: String,
        result_format: String,
        joda: bool,
    },
    Lookup {
        map: LookupRef,
        retain_missing: Option<bool>,
        replacement: Option<Arc<str>>,
        injective: Option<bool>,
    },
    Cascade {
        functions: Vec<ExtractionFn>,
    },
    StringFormat {
        format: String,
        null_handling: NullHandling,
    },
    Upper {
        locale: Option<String>,
    },
    Lower {
        locale: Option<String>,
    },
    Bucket {
        size: f64,
        offset: f64,
    },
}

/// Where a lookup's map comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum LookupRef {
    /// `registeredLookup`: by name.
    Registered(String),
    /// `lookup` with an inline `map`.
    Inline(Arc<BTreeMap<String, String>>),
}

/// What `stringFormat` makes of null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NullHandling {
    NullString,
    EmptyString,
    ReturnNull,
}

impl ExtractionFn {
    /// Reads an extraction function document.
    pub fn from_json(json: &Json) -> Result<Self> {
        json::from_json(json)
    }

    /// Writes the document that `from_json` reads.
    pub fn to_json(&self) -> Json {
        json::to_json(self)
    }

    /// Compiles patterns, finds lookups.
    pub fn bind(&self, context: &EvalContext) -> Result<BoundExtraction> {
        BoundExtraction::new(self, context)
    }
}
