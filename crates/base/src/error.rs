//! The one error that crosses rooms and leaves the process: Druid's `DruidException` and its older `QueryException`,
//! with category, persona, code and the HTTP status that goes with them. Rooms may keep richer errors inside and
//! turn them into this one at their door.

use std::fmt;

use serde_json::{Map, Value, json};

/// A result whose error can be shown to a client as it is.
pub type Result<T, E = DruidError> = std::result::Result<T, E>;

/// Who is expected to act on an error (`DruidException.Persona`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persona {
    User,
    Admin,
    Operator,
    Developer,
}

/// What kind of failure it is; decides the HTTP status (`DruidException.Category`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    Defensive,
    InvalidInput,
    Unauthorized,
    Forbidden,
    NotFound,
    Conflict,
    CapacityExceeded,
    Canceled,
    RuntimeFailure,
    Timeout,
    Unsupported,
    ServiceUnavailable,
}

impl Category {
    /// The HTTP status that Druid answers with.
    pub fn http_status(self) -> u16 {
        match self {
            Category::Defensive | Category::Canceled | Category::RuntimeFailure => 500,
            Category::InvalidInput => 400,
            Category::Unauthorized => 401,
            Category::Forbidden => 403,
            Category::NotFound => 404,
            Category::Conflict => 409,
            Category::CapacityExceeded => 429,
            Category::Timeout => 504,
            Category::Unsupported => 501,
            Category::ServiceUnavailable => 503,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Category::Defensive => "DEFENSIVE",
            Category::InvalidInput => "INVALID_INPUT",
            Category::Unauthorized => "UNAUTHORIZED",
            Category::Forbidden => "FORBIDDEN",
            Category::NotFound => "NOT_FOUND",
            Category::Conflict => "CONFLICT",
            Category::CapacityExceeded => "CAPACITY_EXCEEDED",
            Category::Canceled => "CANCELED",
            Category::RuntimeFailure => "RUNTIME_FAILURE",
            Category::Timeout => "TIMEOUT",
            Category::Unsupported => "UNSUPPORTED",
            Category::ServiceUnavailable => "SERVICE_UNAVAILABLE",
        }
    }
}

impl Persona {
    fn name(self) -> &'static str {
        match self {
            Persona::User => "USER",
            Persona::Admin => "ADMIN",
            Persona::Operator => "OPERATOR",
            Persona::Developer => "DEVELOPER",
        }
    }
}

/// An error in Druid's terms. Messages name the thing and the place.
#[derive(Debug, Clone, PartialEq)]
pub struct DruidError {
    pub persona: Persona,
    pub category: Category,
    /// `errorCode`, for example `invalidInput` or `general`.
    pub code: String,
    pub message: String,
    /// Name and value pairs for the `context` object.
    pub context: Vec<(String, String)>,
    /// The `error` text of an older `QueryException`, for example `Query timeout`; `None` for `druidException`.
    pub legacy: Option<&'static str>,
}

impl DruidError {
    /// An error of this category with a message, addressed to `persona`.
    pub fn new(persona: Persona, category: Category, code: &str, message: impl Into<String>) -> Self {
        DruidError { persona, category, code: code.to_owned(), message: message.into(), context: Vec::new(), legacy: None }
    }

    /// The user sent something malformed (`InvalidInput.exception`): 400.
    pub fn invalid_input(message: impl Into<String>) -> Self {
        Self::new(Persona::User, Category::InvalidInput, "invalidInput", message)
    }

    /// SQL text that does not parse or validate (`InvalidSqlInput.exception`): 400.
    pub fn invalid_sql(message: impl Into<String>) -> Self {
        let mut error = Self::invalid_input(message);
        error.context.push(("sourceType".to_owned(), "sql".to_owned()));
        error
    }

    /// Something asked for does not exist: 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Persona::User, Category::NotFound, "notFound", message)
    }

    /// Somebody else changed or holds the thing: 409.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Persona::User, Category::Conflict, "conflict", message)
    }

    /// The caller may not do this: 403.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(Persona::User, Category::Forbidden, "forbidden", message)
    }

    /// Not now, but perhaps soon (not the leader, still starting): 503.
    pub fn service_unavailable(message: impl Into<String>) -> Self {
        Self::new(Persona::Operator, Category::ServiceUnavailable, "serviceUnavailable", message)
    }

    /// Our own mistake (`DruidException.defensive`): 500.
    pub fn defensive(message: impl Into<String>) -> Self {
        Self::new(Persona::Developer, Category::Defensive, "general", message)
    }

    /// A feature that this build does not have; the message names it: 501.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Persona::Operator, Category::Unsupported, "unsupported", message)
    }

    /// The environment failed us (disk, network, damaged file): 500.
    pub fn runtime(message: impl Into<String>) -> Self {
        Self::new(Persona::Operator, Category::RuntimeFailure, "general", message)
    }

    /// A wait ran past its deadline (`QueryTimeoutException`): 504.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::legacy(Persona::Operator, Category::Timeout, "Query timeout", message)
    }

    /// A limit of memory, rows or slots was reached; the message names the setting
    /// (`ResourceLimitExceededException`): 400.
    pub fn resource_limit(message: impl Into<String>) -> Self {
        Self::legacy(Persona::User, Category::InvalidInput, "Resource limit exceeded", message)
    }

    /// True when a limit of memory, rows or slots was reached.
    pub fn is_resource_limit(&self) -> bool {
        self.legacy == Some("Resource limit exceeded")
    }

    /// Too many queries at once (`QueryCapacityExceededException`): 429.
    pub fn capacity(message: impl Into<String>) -> Self {
        Self::legacy(Persona::Operator, Category::CapacityExceeded, "Query capacity exceeded", message)
    }

    /// The query was cancelled by a client.
    pub fn cancelled(message: impl Into<String>) -> Self {
        Self::legacy(Persona::User, Category::Canceled, "Query cancelled", message)
    }

    fn legacy(persona: Persona, category: Category, legacy: &'static str, message: impl Into<String>) -> Self {
        let mut error = Self::new(persona, category, "legacyQueryException", message);
        error.legacy = Some(legacy);
        error
    }

    /// Adds a name and value to the error's `context`.
    pub fn with_context(mut self, name: &str, value: impl Into<String>) -> Self {
        self.context.push((name.to_owned(), value.into()));
        self
    }

    /// Puts `prefix` before the message, separated by `: `; used by places that know where it happened.
    pub fn prefixed(mut self, prefix: impl fmt::Display) -> Self {
        self.message = format!("{prefix}: {}", self.message);
        self
    }

    /// The HTTP status that Druid answers with.
    pub fn http_status(&self) -> u16 {
        self.category.http_status()
    }

    /// The error body that Druid writes over HTTP (feature NQ-14). `host` is the answering server.
    pub fn to_json(&self, host: Option<&str>) -> Value {
        let mut context = Map::new();
        for (name, value) in &self.context {
            context.insert(name.clone(), json!(value));
        }
        let mut body = Map::new();
        body.insert("error".into(), json!(self.legacy.unwrap_or("druidException")));
        body.insert("errorCode".into(), json!(self.code));
        body.insert("persona".into(), json!(self.persona.name()));
        body.insert("category".into(), json!(self.category.name()));
        body.insert("errorMessage".into(), json!(self.message));
        if let Some(legacy) = self.legacy {
            context.insert("legacyErrorCode".into(), json!(legacy));
            body.insert("host".into(), json!(host));
        }
        body.insert("context".into(), Value::Object(context));
        Value::Object(body)
    }
}

impl fmt::Display for DruidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DruidError {}
