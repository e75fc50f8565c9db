//! Errors as PostgreSQL's clients know them: an SQLSTATE and a message.

use ovate_base::{Category, DruidError};
use pgwire::error::{ErrorInfo, PgWireError};

/// An error with its SQLSTATE.
#[derive(Debug, Clone, PartialEq)]
pub struct PgError {
    pub code: &'static str,
    pub message: String,
}

/// A result of this module.
pub type PgResult<T> = Result<T, PgError>;

impl PgError {
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        PgError { code, message: message.into() }
    }

    /// `0A000`: something that we do not have; the message names it.
    pub fn unsupported(what: impl Into<String>) -> Self {
        PgError::new("0A000", format!("{} is not supported", what.into()))
    }
}

impl From<DruidError> for PgError {
    fn from(error: DruidError) -> Self {
        PgError { code: sqlstate(&error), message: error.message }
    }
}

impl From<PgError> for ErrorInfo {
    fn from(error: PgError) -> Self {
        ErrorInfo::new("ERROR".to_owned(), error.code.to_owned(), error.message)
    }
}

impl From<PgError> for PgWireError {
    fn from(error: PgError) -> Self {
        PgWireError::UserError(Box::new(error.into()))
    }
}

/// The SQLSTATE that fits an error of ours.
fn sqlstate(error: &DruidError) -> &'static str {
    let message = error.message.as_str();
    match error.category {
        Category::InvalidInput if message.starts_with("Object ") && message.contains("not found") => "42P01",
        Category::InvalidInput if message.starts_with("Column ") && message.contains("not found") => "42703",
        Category::InvalidInput if message.contains("No match found for function signature") => "42883",
        Category::InvalidInput if message.contains("parameter") => "22P02",
        Category::InvalidInput => "42601",
        Category::Unauthorized => "28000",
        Category::Forbidden => "42501",
        Category::NotFound => "42704",
        Category::Conflict => "40001",
        Category::CapacityExceeded => "53000",
        Category::Canceled | Category::Timeout => "57014",
        Category::Unsupported => "0A000",
        Category::ServiceUnavailable => "57P03",
        Category::Defensive | Category::RuntimeFailure => "XX000",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_have_the_sqlstates_that_clients_look_at() {
        let state = |error: DruidError| PgError::from(error).code;
        assert_eq!(state(DruidError::invalid_sql("Object 'x' not found")), "42P01");
        assert_eq!(state(DruidError::invalid_sql("Column 'x' not found in any table")), "42703");
        assert_eq!(state(DruidError::invalid_sql("Received an unexpected token")), "42601");
        assert_eq!(state(DruidError::timeout("late")), "57014");
        assert_eq!(state(DruidError::cancelled("gone")), "57014");
    }
}
