//! Reading fields of a JSON object with errors that name the object and the field, as Jackson's do for Druid.
//! Unknown fields are left alone, because Druid's mapper ignores them; unknown `type` names are errors.

use ovate_base::{DruidError, Result};
use serde_json::{Map, Value};

/// One JSON object and what to call it in messages.
pub(crate) struct Fields<'a> {
    pub place: &'a str,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// Takes an object; anything else is an error naming `place`.
    pub fn new(value: &'a Value, place: &'a str) -> Result<Self> {
        match value {
            Value::Object(map) => Ok(Fields { place, map }),
            other => Err(DruidError::invalid_input(format!("{place} must be a JSON object, got {}", kind(other)))),
        }
    }

    /// A field that is there and not null.
    pub fn opt(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// A field that must be there.
    pub fn required(&self, name: &str) -> Result<&'a Value> {
        self.opt(name).ok_or_else(|| DruidError::invalid_input(format!("{} must have a field [{name}]", self.place)))
    }

    fn wrong(&self, name: &str, wanted: &str, value: &Value) -> DruidError {
        DruidError::invalid_input(format!("field [{name}] of {} must be {wanted}, got {}", self.place, kind(value)))
    }

    /// A text; numbers and booleans are taken as their text, as Jackson coerces them.
    pub fn opt_str(&self, name: &str) -> Result<Option<String>> {
        match self.opt(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(Some(value.to_string())),
            Some(other) => Err(self.wrong(name, "a string", other)),
        }
    }

    /// A text that must be there.
    pub fn str(&self, name: &str) -> Result<String> {
        self.required(name)?;
        Ok(self.opt_str(name)?.unwrap_or_default())
    }

    /// A boolean, also as the texts `true` and `false`.
    pub fn bool(&self, name: &str, default: bool) -> Result<bool> {
        match self.opt(name) {
            None => Ok(default),
            Some(value) => as_bool(value).ok_or_else(|| self.wrong(name, "a boolean", value)),
        }
    }

    /// A whole number, also as text.
    pub fn opt_long(&self, name: &str) -> Result<Option<i64>> {
        match self.opt(name) {
            None => Ok(None),
            Some(value) => as_long(value).map(Some).ok_or_else(|| self.wrong(name, "a whole number", value)),
        }
    }

    /// A list; absent is empty.
    pub fn list(&self, name: &str) -> Result<&'a [Value]> {
        match self.opt(name) {
            None => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            Some(other) => Err(self.wrong(name, "a list", other)),
        }
    }

    /// A list whose items are read one by one; a failure says which item.
    pub fn parsed<T>(&self, name: &str, parse: impl Fn(&Value) -> Result<T>) -> Result<Vec<T>> {
        let place = self.place;
        let item = |(index, value)| parse(value).map_err(|e: DruidError| e.prefixed(format!("{place}.{name}[{index}]")));
        self.list(name)?.iter().enumerate().map(item).collect()
    }

    /// A list of texts.
    pub fn strings(&self, name: &str) -> Result<Vec<String>> {
        self.parsed(name, |value| match value {
            Value::String(text) => Ok(text.clone()),
            other => Err(DruidError::invalid_input(format!("must be a string, got {}", kind(other)))),
        })
    }

    /// The object in a field; absent is empty.
    pub fn map(&self, name: &str) -> Result<Map<String, Value>> {
        match self.opt(name) {
            None => Ok(Map::new()),
            Some(Value::Object(map)) => Ok(map.clone()),
            Some(other) => Err(self.wrong(name, "an object", other)),
        }
    }

    /// A field read by another parser, with this place put before its message.
    pub fn opt_parsed<T>(&self, name: &str, parse: impl Fn(&Value) -> Result<T>) -> Result<Option<T>> {
        self.opt(name).map(|value| parse(value).map_err(|e| e.prefixed(format!("{}.{name}", self.place)))).transpose()
    }
}

/// True or false, also as text.
pub(crate) fn as_bool(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// A whole number, also as text or as a double without a fraction.
pub(crate) fn as_long(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => {
            number.as_i64().or_else(|| number.as_f64().filter(|d| d.fract() == 0.0 && d.abs() < 9.0e18).map(|d| d as i64))
        }
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// What a JSON value is, for messages.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// An unknown `type` name, with the names that are known.
pub(crate) fn unknown_type(what: &str, name: &str, known: &[&str]) -> DruidError {
    DruidError::invalid_input(format!("unknown {what} type [{name}], known types are {known:?}"))
}
