//! The fixed columns of INFORMATION_SCHEMA (MET-01..04).

use crate::plan::InfoTable;
use crate::types::SqlType::{self, Bigint as N, Varchar as S};

/// Name, table and columns.
pub(crate) static INFO_TABLES: &[(&str, InfoTable, &[(&str, SqlType)])] = &[
    (
        "SCHEMATA",
        InfoTable::Schemata,
        &[
            ("CATALOG_NAME", S),
            ("SCHEMA_NAME", S),
            ("SCHEMA_OWNER", S),
            ("DEFAULT_CHARACTER_SET_CATALOG", S),
            ("DEFAULT_CHARACTER_SET_SCHEMA", S),
            ("DEFAULT_CHARACTER_SET_NAME", S),
            ("SQL_PATH", S),
        ],
    ),
    (
        "TABLES",
        InfoTable::Tables,
        &[
            ("TABLE_CATALOG", S),
            ("TABLE_SCHEMA", S),
            ("TABLE_NAME", S),
            ("TABLE_TYPE", S),
            ("IS_JOINABLE", S),
            ("IS_BROADCAST", S),
        ],
    ),
    (
        "COLUMNS",
        InfoTable::Columns,
        &[
            ("TABLE_CATALOG", S),
            ("TABLE_SCHEMA", S),
            ("TABLE_NAME", S),
            ("COLUMN_NAME", S),
            ("ORDINAL_POSITION", N),
            ("COLUMN_DEFAULT", S),
            ("IS_NULLABLE", S),
            ("DATA_TYPE", S),
            ("CHARACTER_MAXIMUM_LENGTH", S),
            ("CHARACTER_OCTET_LENGTH", S),
            ("NUMERIC_PRECISION", N),
            ("NUMERIC_PRECISION_RADIX", N),
            ("NUMERIC_SCALE", N),
            ("DATETIME_PRECISION", N),
            ("CHARACTER_SET_NAME", S),
            ("COLLATION_NAME", S),
            ("JDBC_TYPE", N),
        ],
    ),
    (
        "ROUTINES",
        InfoTable::Routines,
        &[
            ("ROUTINE_CATALOG", S),
            ("ROUTINE_SCHEMA", S),
            ("ROUTINE_NAME", S),
            ("ROUTINE_TYPE", S),
            ("IS_AGGREGATOR", S),
            ("SIGNATURES", S),
        ],
    ),
];
