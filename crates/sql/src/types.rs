//! SQL types as Calcite names them in Druid (`DruidTypeSystem`, `Calcites`), and how they stand to native types.

use std::fmt;
use std::sync::Arc;

use ovate_base::{DruidError, Result};
use ovate_compute::ColumnType;

/// The type of an SQL expression or column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SqlType {
    /// The type of a bare NULL.
    Null,
    Boolean,
    Integer,
    Bigint,
    Float,
    Double,
    Decimal,
    Varchar,
    /// A text literal's type; behaves as VARCHAR.
    Char,
    Timestamp,
    Date,
    /// A length of time in milliseconds.
    IntervalDay,
    /// A number of months.
    IntervalMonth,
    Array(Box<SqlType>),
    /// OTHER: `COMPLEX<name>`.
    Complex(Arc<str>),
    /// Not known; JSON_VALUE_ANY.
    Any,
}

use SqlType::*;

impl SqlType {
    /// The type of a native column (`RowSignatures.toRelDataType`).
    pub fn of_native(native: &ColumnType) -> SqlType {
        match native {
            ColumnType::Long => Bigint,
            ColumnType::Float => Float,
            ColumnType::Double => Double,
            ColumnType::String => Varchar,
            ColumnType::Array(element) => Array(Box::new(SqlType::of_native(element))),
            ColumnType::Complex(name) => Complex(name.clone().unwrap_or_else(|| Arc::from("json"))),
        }
    }

    /// The native type that carries values of this type (`Calcites.getColumnTypeForRelDataType`).
    pub fn native(&self) -> ColumnType {
        match self {
            Boolean | Integer | Bigint | Timestamp | Date | IntervalDay | IntervalMonth => ColumnType::Long,
            Float => ColumnType::Float,
            Double | Decimal => ColumnType::Double,
            Null | Varchar | Char | Any => ColumnType::String,
            Array(element) => ColumnType::array(match element.native() {
                ColumnType::Float => ColumnType::Double,
                other => other,
            }),
            Complex(name) => ColumnType::Complex(Some(name.clone())),
        }
    }

    /// Reads a type's name as in CAST or a parameter.
    pub fn parse(name: &str) -> Result<SqlType> {
        Ok(match name {
            "BOOLEAN" => Boolean,
            "TINYINT" | "SMALLINT" | "INTEGER" | "INT" => Integer,
            "BIGINT" | "LONG" => Bigint,
            "FLOAT" => Float,
            "REAL" | "DOUBLE" | "DOUBLE PRECISION" => Double,
            "DECIMAL" | "NUMERIC" | "DEC" => Decimal,
            "CHAR" | "VARCHAR" | "CHARACTER" | "STRING" | "TEXT" => Varchar,
            "TIMESTAMP" => Timestamp,
            "DATE" => Date,
            "NULL" => Null,
            _ => return Err(DruidError::invalid_sql(format!("Unknown identifier '{name}'"))),
        })
    }

    pub fn is_text(&self) -> bool {
        matches!(self, Varchar | Char)
    }

    pub fn is_integer(&self) -> bool {
        matches!(self, Integer | Bigint)
    }

    pub fn is_approximate(&self) -> bool {
        matches!(self, Float | Double | Decimal)
    }

    pub fn is_numeric(&self) -> bool {
        self.is_integer() || self.is_approximate()
    }

    pub fn is_time(&self) -> bool {
        matches!(self, Timestamp | Date)
    }

    pub fn is_interval(&self) -> bool {
        matches!(self, IntervalDay | IntervalMonth)
    }

    /// The element type of an array.
    pub fn element(&self) -> Option<&SqlType> {
        match self {
            Array(element) => Some(element),
            _ => None,
        }
    }

    /// The type that both convert to, as in CASE or UNION (`leastRestrictive`), `None` when there is none.
    pub fn common(&self, other: &SqlType) -> Option<SqlType> {
        Some(match (self, other) {
            (a, b) if a == b => a.clone(),
            (Null, b) => b.clone(),
            (a, Null) => a.clone(),
            (Any, _) | (_, Any) => Any,
            (a, b) if a.is_text() && b.is_text() => Varchar,
            (a, b) if a.is_integer() && b.is_integer() => Bigint,
            (Float, b) | (b, Float) if b.is_integer() => Float,
            (Decimal, b) | (b, Decimal) if b.is_integer() => Decimal,
            (a, b) if a.is_numeric() && b.is_numeric() => Double,
            (Timestamp, Date) | (Date, Timestamp) => Timestamp,
            (Array(a), Array(b)) => Array(Box::new(a.common(b)?)),
            (Array(a), b) | (b, Array(a)) if a.as_ref() == b => Array(a.clone()),
            (a, b)
                if (a.is_text() && !matches!(b, Array(_) | Complex(_)))
                    || (b.is_text() && !matches!(a, Array(_) | Complex(_))) =>
            {
                Varchar
            }
            (Boolean, b) | (b, Boolean) if b.is_numeric() => b.clone(),
            (Complex(_), Complex(_)) => self.clone(),
            _ => return None,
        })
    }

    /// The name in `sqlTypesHeader` and INFORMATION_SCHEMA.
    pub fn name(&self) -> &'static str {
        match self {
            Null => "NULL",
            Boolean => "BOOLEAN",
            Integer => "INTEGER",
            Bigint => "BIGINT",
            Float => "FLOAT",
            Double => "DOUBLE",
            Decimal => "DECIMAL",
            Varchar => "VARCHAR",
            Char => "CHAR",
            Timestamp => "TIMESTAMP",
            Date => "DATE",
            IntervalDay => "INTERVAL_DAY_SECOND",
            IntervalMonth => "INTERVAL_YEAR_MONTH",
            Array(_) => "ARRAY",
            Complex(_) => "OTHER",
            Any => "ANY",
        }
    }

    /// The `java.sql.Types` number (`JDBC_TYPE`).
    pub fn jdbc_type(&self) -> i64 {
        match self {
            Null => 0,
            Boolean => 16,
            Integer => 4,
            Bigint => -5,
            Float => 6,
            Double => 8,
            Decimal => 3,
            Varchar => 12,
            Char => 1,
            Timestamp => 93,
            Date => 91,
            IntervalDay | IntervalMonth | Complex(_) => 1111,
            Array(_) => 2003,
            Any => 2000,
        }
    }
}

impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Timestamp => f.write_str("TIMESTAMP(3)"),
            Array(element) => write!(f, "{element} ARRAY"),
            Complex(name) => write!(f, "COMPLEX<{name}>"),
            other => f.write_str(other.name()),
        }
    }
}

/// A named, typed column of a relation.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: Arc<str>,
    pub sql_type: SqlType,
}

impl Field {
    pub fn new(name: &str, sql_type: SqlType) -> Field {
        Field { name: Arc::from(name), sql_type }
    }
}
