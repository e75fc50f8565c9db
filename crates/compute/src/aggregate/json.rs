//! Reading properties of an aggregator's or post-aggregator's JSON object, with errors that name the thing.

use ovate_base::{DruidError, Result};
use serde_json::{Map, Value as Json};

/// The properties of one object.
pub(crate) struct Fields<'a> {
    what: &'static str,
    map: &'a Map<String, Json>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(what: &'static str, json: &'a Json) -> Result<Self> {
        match json {
            Json::Object(map) => Ok(Fields { what, map }),
            _ => Err(DruidError::invalid_input(format!("{what} must be a JSON object"))),
        }
    }

    /// All of them.
    pub(crate) fn map(&self) -> &'a Map<String, Json> {
        self.map
    }

    /// The `type` property.
    pub(crate) fn kind(&self) -> Result<&'a str> {
        self.string("type")
    }

    /// The property, `None` when absent or null.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Json> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn require(&self, name: &str) -> Result<&'a Json> {
        self.get(name).ok_or_else(|| self.bad(name, "must be given"))
    }

    pub(crate) fn string(&self, name: &str) -> Result<&'a str> {
        self.require(name)?.as_str().ok_or_else(|| self.bad(name, "must be a string"))
    }

    pub(crate) fn string_or_none(&self, name: &str) -> Result<Option<&'a str>> {
        self.get(name).map(|value| value.as_str().ok_or_else(|| self.bad(name, "must be a string"))).transpose()
    }

    /// A boolean, also as text (Jackson reads both).
    pub(crate) fn bool(&self, name: &str, default: bool) -> Result<bool> {
        match self.get(name) {
            None => Ok(default),
            Some(Json::Bool(value)) => Ok(*value),
            Some(Json::String(text)) if text == "true" || text == "false" => Ok(text == "true"),
            Some(_) => Err(self.bad(name, "must be true or false")),
        }
    }

    /// An integer, also as text.
    pub(crate) fn long(&self, name: &str, default: i64) -> Result<i64> {
        match self.get(name) {
            None => Ok(default),
            Some(Json::Number(value)) if value.is_i64() => Ok(value.as_i64().expect("is_i64")),
            Some(Json::Number(value)) => Ok(value.as_f64().unwrap_or(0.0) as i64),
            Some(Json::String(text)) => text.parse().map_err(|_| self.bad(name, "must be an integer")),
            Some(_) => Err(self.bad(name, "must be an integer")),
        }
    }

    pub(crate) fn double(&self, name: &str) -> Result<f64> {
        let value = self.require(name)?;
        let number = value.as_f64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
        number.ok_or_else(|| self.bad(name, "must be a number"))
    }

    pub(crate) fn list(&self, name: &str) -> Result<&'a [Json]> {
        match self.get(name) {
            None => Ok(&[]),
            Some(Json::Array(values)) => Ok(values),
            Some(_) => Err(self.bad(name, "must be an array")),
        }
    }

    pub(crate) fn strings(&self, name: &str) -> Result<Vec<String>> {
        let text = |value: &Json| value.as_str().map(str::to_owned).ok_or_else(|| self.bad(name, "must hold strings"));
        self.list(name)?.iter().map(text).collect()
    }

    pub(crate) fn doubles(&self, name: &str) -> Result<Vec<f64>> {
        let number = |value: &Json| value.as_f64().ok_or_else(|| self.bad(name, "must hold numbers"));
        self.list(name)?.iter().map(number).collect()
    }

    /// An invalid-input error about one property.
    pub(crate) fn bad(&self, name: &str, problem: &str) -> DruidError {
        let kind = self.map.get("type").and_then(Json::as_str).unwrap_or("?");
        DruidError::invalid_input(format!("property [{name}] of {} of type [{kind}] {problem}", self.what))
    }
}
