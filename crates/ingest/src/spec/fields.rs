//! Reading JSON objects of a spec: each property is asked for by name, what was never asked for is an error that names it.

use std::cell::RefCell;

use ovate_base::{DruidError, Result};
use serde_json::{Map, Value};

/// One object of a spec, with its place in the document for error messages.
pub struct Fields<'a> {
    place: String,
    map: &'a Map<String, Value>,
    seen: RefCell<Vec<&'a str>>,
}

impl<'a> Fields<'a> {
    /// The object `json`, found at `place`.
    pub fn new(json: &'a Value, place: &str) -> Result<Fields<'a>> {
        let map = json.as_object().ok_or_else(|| DruidError::invalid_input(format!("[{place}] must be an object")))?;
        Ok(Fields { place: place.to_owned(), map, seen: RefCell::new(Vec::new()) })
    }

    /// A property that is there and not null.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        let (key, value) = self.map.get_key_value(name)?;
        self.seen.borrow_mut().push(key);
        (!value.is_null()).then_some(value)
    }

    /// A property that must be there.
    pub fn need(&self, name: &str) -> Result<&'a Value> {
        self.get(name).ok_or_else(|| DruidError::invalid_input(format!("[{}] needs [{name}]", self.place)))
    }

    fn wrong(&self, name: &str, wanted: &str) -> DruidError {
        DruidError::invalid_input(format!("[{name}] in [{}] must be {wanted}", self.place))
    }

    /// A string.
    pub fn text(&self, name: &str) -> Result<Option<&'a str>> {
        self.get(name).map(|value| value.as_str().ok_or_else(|| self.wrong(name, "a string"))).transpose()
    }

    /// A string that must be there.
    pub fn need_text(&self, name: &str) -> Result<&'a str> {
        self.need(name)?.as_str().ok_or_else(|| self.wrong(name, "a string"))
    }

    /// A boolean; text `true` and `false` pass, as in Jackson.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool> {
        match self.get(name) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if text == "true" || text == "false" => Ok(text == "true"),
            Some(_) => Err(self.wrong(name, "true or false")),
        }
    }

    /// A whole number; numeric text passes, as in Jackson.
    pub fn whole(&self, name: &str) -> Result<Option<i64>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.as_i64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
        number.map(Some).ok_or_else(|| self.wrong(name, "a whole number"))
    }

    /// A count of at least one; `None` when absent or -1, Druid's way of saying "not set".
    pub fn count(&self, name: &str) -> Result<Option<u64>> {
        match self.whole(name)? {
            None | Some(-1) => Ok(None),
            Some(n) if n >= 1 => Ok(Some(n as u64)),
            Some(_) => Err(self.wrong(name, "at least 1")),
        }
    }

    /// A list; absent is empty.
    pub fn list(&self, name: &str) -> Result<&'a [Value]> {
        match self.get(name) {
            None => Ok(&[]),
            Some(value) => value.as_array().map(Vec::as_slice).ok_or_else(|| self.wrong(name, "a list")),
        }
    }

    /// A list of strings, `None` when absent.
    pub fn texts(&self, name: &str) -> Result<Option<Vec<String>>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let wrong = || self.wrong(name, "a list of strings");
        let list = value.as_array().ok_or_else(wrong)?;
        list.iter().map(|entry| entry.as_str().map(str::to_owned).ok_or_else(wrong)).collect::<Result<_>>().map(Some)
    }

    /// Properties that mean nothing here and are let pass.
    pub fn ignore(&self, names: &[&str]) {
        for name in names {
            self.get(name);
        }
    }

    /// Refuses what is set and not supported.
    pub fn refuse(&self, names: &[&str]) -> Result<()> {
        for name in names {
            match self.get(name) {
                None | Some(Value::Bool(false)) => {}
                Some(Value::Array(list)) if list.is_empty() => {}
                Some(_) => return Err(DruidError::unsupported(format!("[{name}] in [{}] is not supported", self.place))),
            }
        }
        Ok(())
    }

    /// The end: an error when some property was never asked for.
    pub fn finish(self) -> Result<()> {
        let seen = self.seen.into_inner();
        match self.map.keys().find(|key| !seen.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => Err(DruidError::invalid_input(format!("unknown property [{key}] in [{}]", self.place))),
        }
    }
}
