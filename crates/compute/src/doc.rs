//! Reading of Druid's JSON documents: one object with a `type`, fields by name, messages that say which field of what
//! is wrong. Used by every spec of this room.

use ovate_base::{DruidError, Result};
use serde_json::{Map, Value as Json};

use crate::types::ColumnType;
use crate::value::{Value, from_json, json_scalar};

/// One JSON object, and what it is called in messages.
#[derive(Clone, Copy)]
pub struct Doc<'a> {
    what: &'static str,
    map: &'a Map<String, Json>,
}

impl<'a> Doc<'a> {
    /// `json` must be an object.
    pub fn new(what: &'static str, json: &'a Json) -> Result<Self> {
        match json {
            Json::Object(map) => Ok(Doc { what, map }),
            other => Err(DruidError::invalid_input(format!("{what} must be an object, got [{other}]"))),
        }
    }

    /// The `type` field.
    pub fn type_name(&self) -> Result<&'a str> {
        self.text("type")
    }

    /// A field that is there and not null.
    pub fn get(&self, field: &str) -> Option<&'a Json> {
        self.map.get(field).filter(|value| !value.is_null())
    }

    /// A field that must be there.
    pub fn required(&self, field: &str) -> Result<&'a Json> {
        self.get(field).ok_or_else(|| self.error(field, "is required"))
    }

    /// A text that must be there; numbers and booleans are taken as their text.
    pub fn text(&self, field: &str) -> Result<&'a str> {
        self.required(field)?.as_str().ok_or_else(|| self.error(field, "must be a string"))
    }

    /// A text that may be there; numbers and booleans are taken as their text.
    pub fn optional_text(&self, field: &str) -> Result<Option<String>> {
        match self.get(field) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.clone())),
            Some(Json::Array(_) | Json::Object(_)) => Err(self.error(field, "must be a string")),
            Some(scalar) => Ok(Some(scalar.to_string())),
        }
    }

    /// A boolean; also as text.
    pub fn boolean(&self, field: &str, default: bool) -> Result<bool> {
        match self.get(field) {
            None => Ok(default),
            Some(Json::Bool(value)) => Ok(*value),
            Some(Json::String(text)) if text == "true" || text == "false" => Ok(text == "true"),
            Some(_) => Err(self.error(field, "must be a boolean")),
        }
    }

    /// A long; also as text, and as a whole decimal number.
    pub fn optional_long(&self, field: &str) -> Result<Option<i64>> {
        match self.get(field) {
            None => Ok(None),
            Some(json) => json_scalar(json).as_long().map(Some).ok_or_else(|| self.error(field, "must be a number")),
        }
    }

    /// A list; absent is empty.
    pub fn list(&self, field: &str) -> Result<&'a [Json]> {
        match self.get(field) {
            None => Ok(&[]),
            Some(Json::Array(items)) => Ok(items),
            Some(_) => Err(self.error(field, "must be a list")),
        }
    }

    /// A column type by name; also as an object with `type`.
    pub fn optional_type(&self, field: &str) -> Result<Option<ColumnType>> {
        match self.get(field) {
            None => Ok(None),
            Some(Json::String(text)) => ColumnType::parse(text).map(Some),
            Some(Json::Object(map)) => match map.get("type").and_then(Json::as_str) {
                Some("ARRAY") => {
                    let inner = map.get("elementType").ok_or_else(|| self.error(field, "has no elementType"))?;
                    let inner = match inner {
                        Json::String(text) => ColumnType::parse(text)?,
                        Json::Object(inner) => ColumnType::parse(inner.get("type").and_then(Json::as_str).unwrap_or_default())?,
                        _ => return Err(self.error(field, "has a bad elementType")),
                    };
                    Ok(Some(ColumnType::array(inner)))
                }
                Some("COMPLEX") => {
                    let name = map.get("complexTypeName").and_then(Json::as_str);
                    Ok(Some(name.map_or(ColumnType::Complex(None), ColumnType::complex)))
                }
                Some(name) => ColumnType::parse(name).map(Some),
                None => Err(self.error(field, "has no type")),
            },
            Some(_) => Err(self.error(field, "must be a type")),
        }
    }

    /// A literal of this type.
    pub fn literal(&self, field: &str, column_type: &ColumnType) -> Value {
        self.get(field).map_or(Value::Null, |json| from_json(json).cast(column_type))
    }

    /// An error about a field.
    pub fn error(&self, field: &str, problem: &str) -> DruidError {
        DruidError::invalid_input(format!("{} field [{field}] {problem}", self.what))
    }

    /// An error about an unknown `type`.
    pub fn unknown_type(&self, name: &str) -> DruidError {
        DruidError::invalid_input(format!("could not resolve type id '{name}' as a {}", self.what))
    }
}

/// A text or null as JSON.
pub fn text_or_null(text: &Option<impl AsRef<str>>) -> Json {
    text.as_ref().map_or(Json::Null, |t| Json::from(t.as_ref()))
}

/// Texts and nulls out of a JSON list; numbers and booleans are taken as their text.
pub fn texts(items: &[Json]) -> Vec<Option<std::sync::Arc<str>>> {
    items
        .iter()
        .map(|item| match item {
            Json::Bool(value) => Some(std::sync::Arc::from(if *value { "true" } else { "false" })),
            other => json_scalar(other).as_text(),
        })
        .collect()
}
