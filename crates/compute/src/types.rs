//! Column types as Druid names them (`ColumnType`, `ValueType`).

use std::fmt;
use std::sync::Arc;

use ovate_base::{DruidError, Result};

/// The type of a column or of an expression's value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ColumnType {
    Long,
    Float,
    Double,
    String,
    /// `ARRAY<element>`.
    Array(Box<ColumnType>),
    /// `COMPLEX<name>`; `None` is an unnamed complex type.
    Complex(Option<Arc<str>>),
}

impl ColumnType {
    /// `COMPLEX<name>`.
    pub fn complex(name: &str) -> Self {
        ColumnType::Complex(Some(Arc::from(name)))
    }

    /// `ARRAY<element>`.
    pub fn array(element: ColumnType) -> Self {
        ColumnType::Array(Box::new(element))
    }

    /// True for LONG, FLOAT and DOUBLE.
    pub fn is_numeric(&self) -> bool {
        matches!(self, ColumnType::Long | ColumnType::Float | ColumnType::Double)
    }

    /// Reads `LONG`, `ARRAY<STRING>`, `COMPLEX<hyperUnique>` and the like, in any case for the simple names.
    pub fn parse(text: &str) -> Result<Self> {
        let upper = text.to_ascii_uppercase();
        if upper.starts_with("ARRAY<") && text.ends_with('>') {
            return Ok(ColumnType::array(ColumnType::parse(&text[6..text.len() - 1])?));
        }
        if upper.starts_with("COMPLEX<") && text.ends_with('>') {
            return Ok(ColumnType::complex(&text[8..text.len() - 1]));
        }
        match upper.as_str() {
            "LONG" => Ok(ColumnType::Long),
            "FLOAT" => Ok(ColumnType::Float),
            "DOUBLE" => Ok(ColumnType::Double),
            "STRING" => Ok(ColumnType::String),
            "COMPLEX" => Ok(ColumnType::Complex(None)),
            _ => Err(DruidError::invalid_input(format!("unknown column type [{text}]"))),
        }
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ColumnType::Long => f.write_str("LONG"),
            ColumnType::Float => f.write_str("FLOAT"),
            ColumnType::Double => f.write_str("DOUBLE"),
            ColumnType::String => f.write_str("STRING"),
            ColumnType::Array(element) => write!(f, "ARRAY<{element}>"),
            ColumnType::Complex(Some(name)) => write!(f, "COMPLEX<{name}>"),
            ColumnType::Complex(None) => f.write_str("COMPLEX"),
        }
    }
}
