//! The query's `context` object with typed getters. Values may be numbers, booleans or their texts, as Druid takes them
//! (`QueryContext`, https://druid.apache.org/docs/latest/querying/query-context).

use ovate_base::{DruidError, Result};
use serde_json::{Map, Value};

use super::fields::{as_bool, as_long};

/// Query context parameters by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Context(pub Map<String, Value>);

impl Context {
    /// A parameter that is there and not null.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text parameter.
    pub fn str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// A boolean parameter; something else there is an error that names it.
    pub fn bool(&self, name: &str, default: bool) -> Result<bool> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => as_bool(value).ok_or_else(|| bad(name, "a boolean", value)),
        }
    }

    /// A whole number.
    pub fn long(&self, name: &str) -> Result<Option<i64>> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => as_long(value).map(Some).ok_or_else(|| bad(name, "a whole number", value)),
        }
    }

    /// Sets a parameter.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Sets those of these parameters that are not there.
    pub fn add_defaults(&mut self, defaults: &Map<String, Value>) {
        for (name, value) in defaults {
            self.0.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }

    /// `queryId`.
    pub fn query_id(&self) -> Option<&str> {
        self.str("queryId")
    }

    /// `timeout` in milliseconds; 0 means none.
    pub fn timeout_ms(&self) -> Result<Option<u64>> {
        match self.long("timeout")? {
            None => Ok(None),
            Some(ms) => {
                let error = || DruidError::invalid_input(format!("Timeout must be a non negative value, but was [{ms}]"));
                Ok(Some(u64::try_from(ms).map_err(|_| error())?))
            }
        }
    }

    /// `finalize`: whether aggregators give final values (true) or their intermediate form.
    pub fn finalize(&self) -> Result<bool> {
        self.bool("finalize", true)
    }

    /// `skipEmptyBuckets` of timeseries.
    pub fn skip_empty_buckets(&self) -> Result<bool> {
        self.bool("skipEmptyBuckets", false)
    }

    /// `grandTotal` of timeseries.
    pub fn grand_total(&self) -> Result<bool> {
        self.bool("grandTotal", false)
    }

    /// `timestampResultField`: a second place for the bucket's timestamp.
    pub fn timestamp_result_field(&self) -> Option<&str> {
        self.str("timestampResultField").filter(|name| !name.is_empty())
    }

    /// `resultAsArray` of groupBy.
    pub fn result_as_array(&self) -> Result<bool> {
        self.bool("resultAsArray", false)
    }

    /// `serializeDateTimeAsLong`, or its `Inner` twin, which means the same once results leave the broker.
    pub fn date_time_as_long(&self) -> Result<bool> {
        self.bool("serializeDateTimeAsLong", false)
    }

    /// `minTopNThreshold`.
    pub fn min_top_n_threshold(&self) -> Result<u64> {
        Ok(self.long("minTopNThreshold")?.map_or(1000, |n| n.max(0) as u64))
    }

    /// `sortByDimsFirst` of groupBy.
    pub fn sort_by_dims_first(&self) -> Result<bool> {
        self.bool("sortByDimsFirst", false)
    }

    /// `bySegment`: results apart for each segment.
    pub fn by_segment(&self) -> Result<bool> {
        self.bool("bySegment", false)
    }

    /// `profile`: what the query did is told in a header of the answer. Ours, not Druid's.
    pub fn profile(&self) -> Result<bool> {
        self.bool("profile", false)
    }

    /// `priority`.
    pub fn priority(&self) -> Result<i64> {
        Ok(self.long("priority")?.unwrap_or(0))
    }
}

fn bad(name: &str, wanted: &str, value: &Value) -> DruidError {
    DruidError::invalid_input(format!("Expected key [{name}] in the query context to be {wanted}, but got [{value}]"))
}
