//! The catalogue of Flight SQL: catalogs, schemas, tables with their Arrow schemas, what the server can do, and its types.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder, XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{
    CommandGetCatalogs, CommandGetDbSchemas, CommandGetTableTypes, CommandGetTables, Nullable, Searchable, SqlInfo,
    SqlSupportedTransaction, XdbcDataType,
};
use ovate_base::Result;
use ovate_sql::SqlRequest;

use super::batch;
use crate::broker::BrokerState;
use crate::clock::now_ms;

const CATALOG: &str = "druid";

type Batch = std::result::Result<RecordBatch, FlightError>;

/// Rows of a statement as texts.
async fn texts(broker: &BrokerState, sql: &str) -> Result<Vec<Vec<String>>> {
    let rows = broker.sql.fetch(SqlRequest::text(sql), now_ms()).await?.rows;
    let cell = |column: &ovate_compute::Vector, row: usize| {
        column.value(row).as_text().map_or_else(String::new, |text| text.to_string())
    };
    Ok((0..rows.rows).map(|row| rows.columns.iter().map(|column| cell(column, row)).collect()).collect())
}

pub fn catalogs(query: CommandGetCatalogs) -> Batch {
    let mut builder = query.into_builder();
    builder.append(CATALOG);
    builder.build()
}

pub async fn schemas(broker: &BrokerState, query: CommandGetDbSchemas) -> Result<Batch> {
    let mut builder = query.into_builder();
    for row in texts(broker, "SELECT SCHEMA_NAME FROM INFORMATION_SCHEMA.SCHEMATA").await? {
        builder.append(CATALOG, &row[0]);
    }
    Ok(builder.build())
}

pub async fn tables(broker: &BrokerState, query: CommandGetTables) -> Result<Batch> {
    let with_schema = query.include_schema;
    let mut builder = query.into_builder();
    let empty = Schema::empty();
    for row in texts(broker, "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE FROM INFORMATION_SCHEMA.TABLES").await? {
        let [schema, table, kind] = row.as_slice() else { continue };
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let select = format!("SELECT * FROM {}.{}", quoted(schema), quoted(table));
        // A table that goes away meanwhile is left without columns.
        let columns = with_schema.then(|| broker.sql.prepare(SqlRequest::text(select), now_ms()).ok()).flatten();
        let arrow = columns.map(|prepared| batch::schema(&prepared.columns));
        if let Err(error) = builder.append(CATALOG, schema, table, kind, arrow.as_deref().unwrap_or(&empty)) {
            return Ok(Err(error));
        }
    }
    Ok(builder.build())
}

pub fn table_types(query: CommandGetTableTypes) -> Batch {
    let mut builder = query.into_builder();
    for name in ["TABLE", "SYSTEM_TABLE"] {
        builder.append(name);
    }
    builder.build()
}

/// What the server is and can do.
pub fn sql_info() -> std::result::Result<SqlInfoData, FlightError> {
    let mut builder = SqlInfoDataBuilder::new();
    builder.append(SqlInfo::FlightSqlServerName, "Ovate");
    builder.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    builder.append(SqlInfo::FlightSqlServerArrowVersion, "1.3");
    builder.append(SqlInfo::FlightSqlServerReadOnly, true);
    builder.append(SqlInfo::FlightSqlServerSql, true);
    builder.append(SqlInfo::FlightSqlServerSubstrait, false);
    builder.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32);
    builder.append(SqlInfo::FlightSqlServerCancel, false);
    builder.append(SqlInfo::SqlDdlCatalog, false);
    builder.append(SqlInfo::SqlDdlSchema, false);
    builder.append(SqlInfo::SqlDdlTable, false);
    builder.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    builder.build()
}

/// The SQL types.
pub fn type_info() -> std::result::Result<XdbcTypeInfoData, FlightError> {
    let types = [
        ("BOOLEAN", XdbcDataType::XdbcBit, 1, None),
        ("INTEGER", XdbcDataType::XdbcInteger, 10, None),
        ("BIGINT", XdbcDataType::XdbcBigint, 19, None),
        ("FLOAT", XdbcDataType::XdbcReal, 7, None),
        ("DOUBLE", XdbcDataType::XdbcDouble, 15, None),
        ("VARCHAR", XdbcDataType::XdbcVarchar, i32::MAX, Some("'")),
        ("TIMESTAMP", XdbcDataType::XdbcTimestamp, 23, Some("'")),
        ("DATE", XdbcDataType::XdbcDate, 10, Some("'")),
    ];
    let mut builder = XdbcTypeInfoDataBuilder::new();
    for (name, data_type, size, quote) in types {
        let quote = quote.map(str::to_owned);
        builder.append(XdbcTypeInfo {
            type_name: name.to_owned(),
            data_type,
            column_size: Some(size),
            literal_prefix: quote.clone(),
            literal_suffix: quote,
            create_params: None,
            nullable: Nullable::NullabilityNullable,
            case_sensitive: true,
            searchable: Searchable::Full,
            unsigned_attribute: Some(false),
            fixed_prec_scale: false,
            auto_increment: Some(false),
            local_type_name: Some(name.to_owned()),
            minimum_scale: None,
            maximum_scale: None,
            sql_data_type: data_type,
            datetime_subcode: None,
            num_prec_radix: Some(10),
            interval_precision: None,
        });
    }
    builder.build()
}

fn text(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Utf8, nullable)
}

/// The columns of a list of primary keys; we have none.
pub fn primary_keys() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("catalog_name", true),
        text("db_schema_name", true),
        text("table_name", false),
        text("column_name", false),
        text("key_name", true),
        Field::new("key_sequence", DataType::Int32, false),
    ]))
}

/// The columns of a list of foreign keys; we have none.
pub fn foreign_keys() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("pk_catalog_name", true),
        text("pk_db_schema_name", true),
        text("pk_table_name", false),
        text("pk_column_name", false),
        text("fk_catalog_name", true),
        text("fk_db_schema_name", true),
        text("fk_table_name", false),
        text("fk_column_name", false),
        Field::new("key_sequence", DataType::Int32, false),
        text("fk_key_name", true),
        text("pk_key_name", true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
}
