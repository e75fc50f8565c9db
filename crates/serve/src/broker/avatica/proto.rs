//! Avatica's protobuf messages translated to and from the JSON forms of the same requests and responses, which `service` works
//! with.

use ovate_base::{DruidError, Result};
use prost::Message;
use serde_json::{Value as Json, json};

use super::messages::*;

const REQUESTS: &str = "org.apache.calcite.avatica.proto.Requests$";
const RESPONSES: &str = "org.apache.calcite.avatica.proto.Responses$";

/// Avatica's `Common.Rep` in order of number.
const REPS: [&str; 30] = [
    "PRIMITIVE_BOOLEAN",
    "PRIMITIVE_BYTE",
    "PRIMITIVE_CHAR",
    "PRIMITIVE_SHORT",
    "PRIMITIVE_INT",
    "PRIMITIVE_LONG",
    "PRIMITIVE_FLOAT",
    "PRIMITIVE_DOUBLE",
    "BOOLEAN",
    "BYTE",
    "CHARACTER",
    "SHORT",
    "INTEGER",
    "LONG",
    "FLOAT",
    "DOUBLE",
    "JAVA_SQL_TIME",
    "JAVA_SQL_TIMESTAMP",
    "JAVA_SQL_DATE",
    "JAVA_UTIL_DATE",
    "BYTE_STRING",
    "STRING",
    "NUMBER",
    "OBJECT",
    "NULL",
    "BIG_INTEGER",
    "BIG_DECIMAL",
    "ARRAY",
    "STRUCT",
    "MULTISET",
];

fn rep_number(name: &str) -> i32 {
    REPS.iter().position(|rep| *rep == name).map_or(23, |at| at as i32)
}

fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M> {
    M::decode(bytes).map_err(|e| DruidError::invalid_input(format!("cannot read the Avatica request: {e}")))
}

/// A request as its JSON form. An empty pattern stands for none, as the driver itself sends it.
pub fn request_json(bytes: &[u8]) -> Result<Json> {
    let message: WireMessage = decode(bytes)?;
    let body = message.wrapped.as_slice();
    let text = |text: String| if text.is_empty() { Json::Null } else { Json::from(text) };
    let name = message.name.strip_prefix(REQUESTS).unwrap_or(&message.name);
    let only = |request: &str| -> Result<Json> {
        let m: ConnectionOnly = decode(body)?;
        Ok(json!({"request": request, "connectionId": m.connection_id}))
    };
    Ok(match name {
        "OpenConnectionRequest" => {
            let m: OpenConnection = decode(body)?;
            json!({"request": "openConnection", "connectionId": m.connection_id, "info": m.info})
        }
        "CloseConnectionRequest" => only("closeConnection")?,
        "CatalogsRequest" => only("getCatalogs")?,
        "DatabasePropertyRequest" => only("databaseProperties")?,
        "TableTypesRequest" => only("getTableTypes")?,
        "TypeInfoRequest" => only("getTypeInfo")?,
        "CreateStatementRequest" => only("createStatement")?,
        "CommitRequest" => only("commit")?,
        "RollbackRequest" => only("rollback")?,
        "SchemasRequest" => {
            let m: Schemas = decode(body)?;
            json!({"request": "getSchemas", "connectionId": m.connection_id, "catalog": text(m.catalog),
                "schemaPattern": text(m.schema_pattern)})
        }
        "TablesRequest" => {
            let m: Tables = decode(body)?;
            let types = if m.has_type_list || !m.type_list.is_empty() { json!(m.type_list) } else { Json::Null };
            json!({"request": "getTables", "connectionId": m.connection_id, "catalog": text(m.catalog),
                "schemaPattern": text(m.schema_pattern), "tableNamePattern": text(m.table_name_pattern), "typeList": types})
        }
        "ColumnsRequest" => {
            let m: ColumnsOf = decode(body)?;
            json!({"request": "getColumns", "connectionId": m.connection_id, "catalog": text(m.catalog),
                "schemaPattern": text(m.schema_pattern), "tableNamePattern": text(m.table_name_pattern),
                "columnNamePattern": text(m.column_name_pattern)})
        }
        "PrepareAndExecuteRequest" => {
            let m: PrepareAndExecute = decode(body)?;
            json!({"request": "prepareAndExecute", "connectionId": m.connection_id, "statementId": m.statement_id,
                "sql": m.sql, "maxRowsInFirstFrame": m.first_frame_max_size, "maxRowCount": m.max_rows_total})
        }
        "PrepareRequest" => {
            let m: Prepare = decode(body)?;
            json!({"request": "prepare", "connectionId": m.connection_id, "sql": m.sql, "maxRowCount": m.max_rows_total})
        }
        "ExecuteRequest" => {
            let m: Execute = decode(body)?;
            let handle = m.handle.unwrap_or_default();
            let parameters: Vec<Json> = m.parameters.iter().map(typed_json).collect();
            json!({"request": "execute", "statementHandle": {"connectionId": handle.connection_id, "id": handle.id},
                "parameterValues": parameters, "maxRowCount": m.first_frame_max_size})
        }
        "FetchRequest" => {
            let m: Fetch = decode(body)?;
            let most = if m.frame_max_size != 0 { i64::from(m.frame_max_size) } else { i64::from(m.fetch_max_row_count) };
            json!({"request": "fetch", "connectionId": m.connection_id, "statementId": m.statement_id, "offset": m.offset,
                "fetchMaxRowCount": most})
        }
        "CloseStatementRequest" => {
            let m: CloseStatement = decode(body)?;
            json!({"request": "closeStatement", "connectionId": m.connection_id, "statementId": m.statement_id})
        }
        "ConnectionSyncRequest" => {
            let m: ConnectionSync = decode(body)?;
            let p = m.properties.unwrap_or_default();
            let flag = |has: bool, value: bool| if has { Json::from(value) } else { Json::Null };
            json!({"request": "connectionSync", "connectionId": m.connection_id, "connProps": {"connProps": "connPropsImpl",
                "autoCommit": flag(p.has_auto_commit, p.auto_commit), "readOnly": flag(p.has_read_only, p.read_only),
                "transactionIsolation": if p.transaction_isolation == 0 { Json::Null } else { json!(p.transaction_isolation) },
                "catalog": text(p.catalog), "schema": text(p.schema), "dirty": p.is_dirty}})
        }
        "SyncResultsRequest" => only("syncResults")?,
        "PrepareAndExecuteBatchRequest" => only("prepareAndExecuteBatch")?,
        "ExecuteBatchRequest" => only("executeBatch")?,
        other => return Err(DruidError::invalid_input(format!("unknown Avatica request [{other}]"))),
    })
}

/// A parameter as the JSON form of a typed value.
fn typed_json(value: &TypedValue) -> Json {
    let rep = REPS.get(usize::try_from(value.rep).unwrap_or(23)).copied().unwrap_or("OBJECT");
    let json = match rep {
        _ if value.null || rep == "NULL" => Json::Null,
        "PRIMITIVE_BOOLEAN" | "BOOLEAN" => json!(value.bool_value),
        "STRING" | "CHARACTER" | "PRIMITIVE_CHAR" | "BIG_DECIMAL" | "BIG_INTEGER" => json!(value.string_value),
        "DOUBLE" | "PRIMITIVE_DOUBLE" => json!(value.double_value),
        "FLOAT" | "PRIMITIVE_FLOAT" => json!(f32::from_bits(value.number_value as u32)),
        "ARRAY" => value.array.iter().map(|item| typed_json(item)["value"].clone()).collect(),
        _ => json!(value.number_value),
    };
    json!({"type": rep, "value": json})
}

/// A response's JSON form as a message.
pub fn response_bytes(response: &Json) -> Vec<u8> {
    let metadata = response["rpcMetadata"]["serverAddress"].as_str();
    let metadata = metadata.map(|address| RpcMetadata { server_address: address.to_owned() });
    let (name, wrapped) = match response["response"].as_str().unwrap_or_default() {
        "openConnection" => ("OpenConnectionResponse", MetadataOnly { metadata }.encode_to_vec()),
        "closeConnection" => ("CloseConnectionResponse", MetadataOnly { metadata }.encode_to_vec()),
        "closeStatement" => ("CloseStatementResponse", MetadataOnly { metadata }.encode_to_vec()),
        "databaseProperties" => ("DatabasePropertyResponse", DatabaseProperties { metadata }.encode_to_vec()),
        "commit" => ("CommitResponse", Vec::new()),
        "rollback" => ("RollbackResponse", Vec::new()),
        "createStatement" => {
            let m = CreateStatementResponse {
                connection_id: text(&response["connectionId"]),
                statement_id: number(&response["statementId"]),
                metadata,
            };
            ("CreateStatementResponse", m.encode_to_vec())
        }
        "connectionSync" => {
            let m = ConnectionSyncResponse { properties: Some(properties(&response["connProps"])), metadata };
            ("ConnectionSyncResponse", m.encode_to_vec())
        }
        "resultSet" => ("ResultSetResponse", result_set(response).encode_to_vec()),
        "executeResults" => {
            let results = response["results"].as_array().into_iter().flatten().map(result_set).collect();
            let missing_statement = response["missingStatement"] == json!(true);
            ("ExecuteResponse", ExecuteResponse { results, missing_statement, metadata }.encode_to_vec())
        }
        "prepare" => {
            let handle = &response["statement"];
            let statement = StatementHandle {
                connection_id: text(&handle["connectionId"]),
                id: number(&handle["id"]),
                signature: Some(signature(&handle["signature"])),
            };
            ("PrepareResponse", PrepareResponse { statement: Some(statement), metadata }.encode_to_vec())
        }
        "fetch" => {
            let m = FetchResponse {
                frame: (!response["frame"].is_null()).then(|| frame(&response["frame"])),
                missing_statement: response["missingStatement"] == json!(true),
                missing_results: response["missingResults"] == json!(true),
                metadata,
            };
            ("FetchResponse", m.encode_to_vec())
        }
        "syncResults" => {
            let m = SyncResults {
                missing_statement: response["missingStatement"] == json!(true),
                more_results: response["moreResults"] == json!(true),
                metadata,
            };
            ("SyncResultsResponse", m.encode_to_vec())
        }
        _ => {
            let m = ErrorResponse {
                exceptions: vec![text(&response["errorMessage"])],
                message: text(&response["errorMessage"]),
                severity: 0,
                code: response["errorCode"].as_i64().unwrap_or(-1) as u32,
                sql_state: text(&response["sqlState"]),
                metadata,
                has_exceptions: true,
            };
            ("ErrorResponse", m.encode_to_vec())
        }
    };
    WireMessage { name: format!("{RESPONSES}{name}"), wrapped }.encode_to_vec()
}

fn text(json: &Json) -> String {
    json.as_str().unwrap_or_default().to_owned()
}

/// Negative numbers go over as their two's complement, as in Java.
fn number(json: &Json) -> u32 {
    json.as_i64().unwrap_or(0) as u32
}

fn properties(json: &Json) -> ConnectionProperties {
    ConnectionProperties {
        is_dirty: json["dirty"] == json!(true),
        auto_commit: json["autoCommit"] == json!(true),
        read_only: json["readOnly"] == json!(true),
        transaction_isolation: number(&json["transactionIsolation"]),
        catalog: text(&json["catalog"]),
        schema: text(&json["schema"]),
        has_auto_commit: !json["autoCommit"].is_null(),
        has_read_only: !json["readOnly"].is_null(),
    }
}

fn result_set(json: &Json) -> ResultSet {
    ResultSet {
        connection_id: text(&json["connectionId"]),
        statement_id: number(&json["statementId"]),
        signature: Some(signature(&json["signature"])),
        first_frame: (!json["firstFrame"].is_null()).then(|| frame(&json["firstFrame"])),
        update_count: json["updateCount"].as_i64().unwrap_or(-1) as u64,
        metadata: json["rpcMetadata"]["serverAddress"].as_str().map(|a| RpcMetadata { server_address: a.to_owned() }),
    }
}

fn signature(json: &Json) -> Signature {
    let column = |c: &Json| ColumnMetaData {
        ordinal: number(&c["ordinal"]),
        case_sensitive: true,
        nullable: number(&c["nullable"]),
        signed: true,
        display_size: number(&c["displaySize"]),
        label: text(&c["label"]),
        column_name: text(&c["columnName"]),
        precision: number(&c["precision"]),
        scale: number(&c["scale"]),
        read_only: true,
        class_name: text(&c["columnClassName"]),
        kind: Some(avatica_type(&c["type"])),
    };
    let parameter = |p: &Json| Parameter {
        signed: false,
        precision: number(&p["precision"]),
        scale: number(&p["scale"]),
        kind: number(&p["parameterType"]),
        type_name: text(&p["typeName"]),
        class_name: text(&p["className"]),
        name: text(&p["name"]),
    };
    let style = if json["cursorFactory"]["style"] == json!("ARRAY") { 3 } else { 4 };
    Signature {
        columns: json["columns"].as_array().into_iter().flatten().map(column).collect(),
        sql: text(&json["sql"]),
        parameters: json["parameters"].as_array().into_iter().flatten().map(parameter).collect(),
        cursor: Some(CursorFactory { style }),
        statement_type: 0,
    }
}

fn avatica_type(json: &Json) -> AvaticaType {
    AvaticaType {
        id: number(&json["id"]),
        name: text(&json["name"]),
        rep: rep_number(json["rep"].as_str().unwrap_or_default()),
        component: (!json["component"].is_null()).then(|| Box::new(avatica_type(&json["component"]))),
    }
}

fn frame(json: &Json) -> Frame {
    let row = |row: &Json| Row { values: row.as_array().into_iter().flatten().map(column_value).collect() };
    Frame {
        offset: json["offset"].as_u64().unwrap_or(0),
        done: json["done"] == json!(true),
        rows: json["rows"].as_array().into_iter().flatten().map(row).collect(),
    }
}

fn column_value(json: &Json) -> ColumnValue {
    match json {
        Json::Array(items) => {
            let array: Vec<TypedValue> = items.iter().map(typed).collect();
            ColumnValue { old: array.clone(), array, has_array: true, scalar: None }
        }
        other => {
            let value = typed(other);
            ColumnValue { old: vec![value.clone()], array: Vec::new(), has_array: false, scalar: Some(value) }
        }
    }
}

fn typed(json: &Json) -> TypedValue {
    let of = |rep: &str| TypedValue { rep: rep_number(rep), ..TypedValue::default() };
    match json {
        Json::Null => TypedValue { null: true, ..of("NULL") },
        Json::Bool(value) => TypedValue { bool_value: *value, ..of("BOOLEAN") },
        Json::Number(n) => match n.as_i64() {
            Some(value) => TypedValue { number_value: value, ..of("LONG") },
            None => TypedValue { double_value: n.as_f64().unwrap_or(0.0), ..of("DOUBLE") },
        },
        Json::String(value) => TypedValue { string_value: value.clone(), ..of("STRING") },
        Json::Array(items) => TypedValue { array: items.iter().map(typed).collect(), ..of("ARRAY") },
        Json::Object(_) => TypedValue { string_value: json.to_string(), ..of("STRING") },
    }
}
