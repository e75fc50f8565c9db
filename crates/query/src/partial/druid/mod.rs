//! Partial results in Druid's own form, for a cluster with JVM servers in it: the query as a Broker sends it to a data
//! server (`CachingClusteredClient`), and that server's answer read back into a [`super::Partial`]. The other direction,
//! answering a JVM Broker, needs no more than a query with `finalize` false and [`crate::write_result`].

mod groups;
mod objects;
mod request;
mod rows;

pub use request::data_server_query;

use ovate_base::smile::{SmileReader, SmileValue, is_smile};
use ovate_base::{DruidError, Result};

use super::Partial;
use crate::document::NativeQuery;
use crate::run::QueryContext;

impl Partial {
    /// Reads a data server's answer to [`data_server_query`] of `query`: an array in Smile or JSON. `None`: it is empty.
    pub fn from_druid(query: &NativeQuery, body: &[u8], context: &QueryContext) -> Result<Option<Partial>> {
        let mut elements = Elements::open(body)?;
        let partials = match query {
            NativeQuery::Timeseries(_) | NativeQuery::TopN(_) => groups::by_bucket(query, &mut elements, context)?,
            NativeQuery::GroupBy(q) => groups::group_by(q, &mut elements, context)?,
            NativeQuery::Scan(q) => rows::scan(q, &mut elements, context)?,
            NativeQuery::Search(q) => objects::search(q, &mut elements)?,
            NativeQuery::TimeBoundary(_) | NativeQuery::DataSourceMetadata(_) => objects::bounds(&mut elements)?,
            NativeQuery::SegmentMetadata(_) => objects::analyses(&mut elements)?,
            NativeQuery::WindowOperator(_) | NativeQuery::Union(_) | NativeQuery::MovingAverage(_) => {
                return Err(crate::merge::not_over_segments(query));
            }
        };
        match partials.len() {
            0 => Ok(None),
            _ => crate::merge::merge(query, partials, context).map(Some),
        }
    }
}

/// The elements of an answer, one by one.
pub(crate) enum Elements<'a> {
    Smile(SmileReader<'a>),
    Json(std::vec::IntoIter<serde_json::Value>),
}

impl<'a> Elements<'a> {
    /// Opens an array; anything else is not an answer.
    fn open(body: &'a [u8]) -> Result<Self> {
        let not_a_list = || DruidError::runtime("the answer of a data server is not a list");
        if is_smile(body) {
            let mut reader = SmileReader::new(body)?;
            return if reader.begin_array()? { Ok(Elements::Smile(reader)) } else { Err(not_a_list()) };
        }
        let list = serde_json::from_slice::<Vec<serde_json::Value>>(body);
        list.map(|list| Elements::Json(list.into_iter())).map_err(|e| not_a_list().prefixed(e))
    }

    fn next(&mut self) -> Result<Option<SmileValue>> {
        match self {
            Elements::Json(list) => Ok(list.next().map(SmileValue::from)),
            Elements::Smile(reader) => {
                let element = reader.element()?;
                if element.is_none() {
                    reader.end()?;
                }
                Ok(element)
            }
        }
    }
}

fn unexpected(what: &str) -> DruidError {
    DruidError::runtime(format!("the answer of a data server has {what}"))
}

/// A timestamp, as text or as a number.
fn timestamp(value: Option<&SmileValue>) -> Result<i64> {
    match value {
        Some(SmileValue::Long(millis)) => Ok(*millis),
        Some(SmileValue::Text(text)) => ovate_base::time::parse_instant(text),
        _ => Err(unexpected("no timestamp")),
    }
}

/// The fields of an object.
fn fields(value: SmileValue) -> Result<Vec<(std::sync::Arc<str>, SmileValue)>> {
    match value {
        SmileValue::Object(fields) => Ok(fields),
        _ => Err(unexpected("something else where an object is due")),
    }
}

/// A field of an object, taken out of it.
fn take(value: SmileValue, name: &str) -> Result<SmileValue> {
    let found = fields(value)?.into_iter().find(|(key, _)| key.as_ref() == name);
    found.map(|(_, value)| value).ok_or_else(|| unexpected(&format!("no [{name}]")))
}
