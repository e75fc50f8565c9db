//! The request and response of `/druid/v2/sql` (`SqlQuery`, `ResultFormat`), without HTTP.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use ovate_base::{DruidError, Result};
use serde_json::{Map, Value as Json};

/// How rows are written (`org.apache.druid.sql.http.ResultFormat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResultFormat {
    #[default]
    Object,
    Array,
    ObjectLines,
    ArrayLines,
    Csv,
}

impl ResultFormat {
    /// The name as in a request, in any case.
    pub fn parse(name: &str) -> Result<Self> {
        match name.to_ascii_lowercase().as_str() {
            "object" => Ok(ResultFormat::Object),
            "array" => Ok(ResultFormat::Array),
            "objectlines" => Ok(ResultFormat::ObjectLines),
            "arraylines" => Ok(ResultFormat::ArrayLines),
            "csv" => Ok(ResultFormat::Csv),
            _ => Err(DruidError::invalid_input(format!("Unknown result format [{name}]"))),
        }
    }

    /// The `Content-Type` of a response.
    pub fn content_type(self) -> &'static str {
        match self {
            ResultFormat::Object | ResultFormat::Array => "application/json",
            ResultFormat::ObjectLines | ResultFormat::ArrayLines => "text/plain",
            ResultFormat::Csv => "text/csv",
        }
    }
}

/// A value for one `?`.
#[derive(Debug, Clone, PartialEq)]
pub struct SqlParameter {
    /// SQL type name, for example `VARCHAR`.
    pub sql_type: String,
    pub value: Json,
}

/// A statement with all that a client may send beside it.
#[derive(Debug, Clone, Default)]
pub struct SqlRequest {
    pub query: String,
    pub result_format: ResultFormat,
    pub header: bool,
    pub types_header: bool,
    pub sql_types_header: bool,
    pub context: Map<String, Json>,
    pub parameters: Vec<SqlParameter>,
    /// Turns true when nobody wants the answer any more.
    pub stop: Arc<AtomicBool>,
}

impl SqlRequest {
    /// Only a text, default format.
    pub fn text(query: impl Into<String>) -> Self {
        SqlRequest { query: query.into(), ..SqlRequest::default() }
    }

    /// Reads the JSON body of `POST /druid/v2/sql`.
    pub fn from_json(body: &Json) -> Result<Self> {
        let object = body.as_object().ok_or_else(|| DruidError::invalid_input("SQL request is not a JSON object"))?;
        let query = match object.get("query") {
            Some(Json::String(text)) => text.clone(),
            _ => return Err(DruidError::invalid_input("Empty query")),
        };
        let flag = |name: &str| object.get(name).and_then(Json::as_bool).unwrap_or(false);
        let result_format = match object.get("resultFormat") {
            None | Some(Json::Null) => ResultFormat::Object,
            Some(Json::String(name)) => ResultFormat::parse(name)?,
            Some(other) => return Err(DruidError::invalid_input(format!("Unknown result format [{other}]"))),
        };
        let context = match object.get("context") {
            None | Some(Json::Null) => Map::new(),
            Some(Json::Object(map)) => map.clone(),
            Some(_) => return Err(DruidError::invalid_input("context is not a JSON object")),
        };
        let mut parameters = Vec::new();
        if let Some(Json::Array(list)) = object.get("parameters") {
            for entry in list {
                let sql_type = entry.get("type").and_then(Json::as_str);
                let sql_type = sql_type.ok_or_else(|| DruidError::invalid_input("parameter must have a type"))?;
                parameters.push(SqlParameter {
                    sql_type: sql_type.to_ascii_uppercase(),
                    value: entry.get("value").cloned().unwrap_or(Json::Null),
                });
            }
        }
        Ok(SqlRequest {
            query,
            result_format,
            header: flag("header"),
            types_header: flag("typesHeader"),
            sql_types_header: flag("sqlTypesHeader"),
            context,
            parameters,
            stop: Arc::default(),
        })
    }
}

/// An answer ready to be sent: chunks of one body.
#[derive(Debug, Clone)]
pub struct SqlResponse {
    pub content_type: &'static str,
    /// Goes out as `X-Druid-SQL-Query-Id`; `None` when the request's context named none.
    pub sql_query_id: Option<String>,
    /// Whether to send `X-Druid-SQL-Header-Included: yes`.
    pub header_included: bool,
    /// The body's chunks in order.
    pub body: Vec<Bytes>,
    /// Number of result rows, for request logs and metrics.
    pub rows: usize,
}
