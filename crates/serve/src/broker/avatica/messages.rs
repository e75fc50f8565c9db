//! Avatica's protobuf messages: its public `requests.proto`, `responses.proto` and `common.proto`, as far as they are used.

use prost::Message;

/// The envelope of every message.
#[derive(Clone, PartialEq, Message)]
pub(super) struct WireMessage {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) wrapped: Vec<u8>,
}

/// Requests that name a connection and nothing else.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ConnectionOnly {
    #[prost(string, tag = "1")]
    pub(super) connection_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct OpenConnection {
    #[prost(string, tag = "1")]
    pub(super) connection_id: String,
    #[prost(map = "string, string", tag = "2")]
    pub(super) info: std::collections::HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Schemas {
    #[prost(string, tag = "1")]
    pub(super) catalog: String,
    #[prost(string, tag = "2")]
    pub(super) schema_pattern: String,
    #[prost(string, tag = "3")]
    pub(super) connection_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Tables {
    #[prost(string, tag = "1")]
    pub(super) catalog: String,
    #[prost(string, tag = "2")]
    pub(super) schema_pattern: String,
    #[prost(string, tag = "3")]
    pub(super) table_name_pattern: String,
    #[prost(string, repeated, tag = "4")]
    pub(super) type_list: Vec<String>,
    #[prost(bool, tag = "6")]
    pub(super) has_type_list: bool,
    #[prost(string, tag = "7")]
    pub(super) connection_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ColumnsOf {
    #[prost(string, tag = "1")]
    pub(super) catalog: String,
    #[prost(string, tag = "2")]
    pub(super) schema_pattern: String,
    #[prost(string, tag = "3")]
    pub(super) table_name_pattern: String,
    #[prost(string, tag = "4")]
    pub(super) column_name_pattern: String,
    #[prost(string, tag = "5")]
    pub(super) connection_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PrepareAndExecute {
    #[prost(string, tag = "1")]
    pub(super) connection_id: String,
    #[prost(string, tag = "2")]
    pub(super) sql: String,
    #[prost(uint32, tag = "4")]
    pub(super) statement_id: u32,
    #[prost(int64, tag = "5")]
    pub(super) max_rows_total: i64,
    #[prost(int32, tag = "6")]
    pub(super) first_frame_max_size: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Prepare {
    #[prost(string, tag = "1")]
    pub(super) connection_id: String,
    #[prost(string, tag = "2")]
    pub(super) sql: String,
    #[prost(int64, tag = "4")]
    pub(super) max_rows_total: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Fetch {
    #[prost(string, tag = "1")]
    pub(super) connection_id: String,
    #[prost(uint32, tag = "2")]
    pub(super) statement_id: u32,
    #[prost(uint64, tag = "3")]
    pub(super) offset: u64,
    #[prost(uint32, tag = "4")]
    pub(super) fetch_max_row_count: u32,
    #[prost(int32, tag = "5")]
    pub(super) frame_max_size: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CloseStatement {
    #[prost(string, tag = "1")]
    pub(super) connection_id: String,
    #[prost(uint32, tag = "2")]
    pub(super) statement_id: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ConnectionProperties {
    #[prost(bool, tag = "1")]
    pub(super) is_dirty: bool,
    #[prost(bool, tag = "2")]
    pub(super) auto_commit: bool,
    #[prost(bool, tag = "3")]
    pub(super) read_only: bool,
    #[prost(uint32, tag = "4")]
    pub(super) transaction_isolation: u32,
    #[prost(string, tag = "5")]
    pub(super) catalog: String,
    #[prost(string, tag = "6")]
    pub(super) schema: String,
    #[prost(bool, tag = "7")]
    pub(super) has_auto_commit: bool,
    #[prost(bool, tag = "8")]
    pub(super) has_read_only: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ConnectionSync {
    #[prost(string, tag = "1")]
    pub(super) connection_id: String,
    #[prost(message, optional, tag = "2")]
    pub(super) properties: Option<ConnectionProperties>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Execute {
    #[prost(message, optional, tag = "1")]
    pub(super) handle: Option<StatementHandle>,
    #[prost(message, repeated, tag = "2")]
    pub(super) parameters: Vec<TypedValue>,
    #[prost(int32, tag = "5")]
    pub(super) first_frame_max_size: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StatementHandle {
    #[prost(string, tag = "1")]
    pub(super) connection_id: String,
    #[prost(uint32, tag = "2")]
    pub(super) id: u32,
    #[prost(message, optional, tag = "3")]
    pub(super) signature: Option<Signature>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Signature {
    #[prost(message, repeated, tag = "1")]
    pub(super) columns: Vec<ColumnMetaData>,
    #[prost(string, tag = "2")]
    pub(super) sql: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) parameters: Vec<Parameter>,
    #[prost(message, optional, tag = "4")]
    pub(super) cursor: Option<CursorFactory>,
    #[prost(int32, tag = "5")]
    pub(super) statement_type: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ColumnMetaData {
    #[prost(uint32, tag = "1")]
    pub(super) ordinal: u32,
    #[prost(bool, tag = "3")]
    pub(super) case_sensitive: bool,
    #[prost(uint32, tag = "6")]
    pub(super) nullable: u32,
    #[prost(bool, tag = "7")]
    pub(super) signed: bool,
    #[prost(uint32, tag = "8")]
    pub(super) display_size: u32,
    #[prost(string, tag = "9")]
    pub(super) label: String,
    #[prost(string, tag = "10")]
    pub(super) column_name: String,
    #[prost(uint32, tag = "12")]
    pub(super) precision: u32,
    #[prost(uint32, tag = "13")]
    pub(super) scale: u32,
    #[prost(bool, tag = "16")]
    pub(super) read_only: bool,
    #[prost(string, tag = "19")]
    pub(super) class_name: String,
    #[prost(message, optional, tag = "20")]
    pub(super) kind: Option<AvaticaType>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AvaticaType {
    #[prost(uint32, tag = "1")]
    pub(super) id: u32,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(int32, tag = "3")]
    pub(super) rep: i32,
    #[prost(message, optional, boxed, tag = "5")]
    pub(super) component: Option<Box<AvaticaType>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Parameter {
    #[prost(bool, tag = "1")]
    pub(super) signed: bool,
    #[prost(uint32, tag = "2")]
    pub(super) precision: u32,
    #[prost(uint32, tag = "3")]
    pub(super) scale: u32,
    #[prost(uint32, tag = "4")]
    pub(super) kind: u32,
    #[prost(string, tag = "5")]
    pub(super) type_name: String,
    #[prost(string, tag = "6")]
    pub(super) class_name: String,
    #[prost(string, tag = "7")]
    pub(super) name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CursorFactory {
    #[prost(int32, tag = "1")]
    pub(super) style: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Frame {
    #[prost(uint64, tag = "1")]
    pub(super) offset: u64,
    #[prost(bool, tag = "2")]
    pub(super) done: bool,
    #[prost(message, repeated, tag = "3")]
    pub(super) rows: Vec<Row>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Row {
    #[prost(message, repeated, tag = "1")]
    pub(super) values: Vec<ColumnValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ColumnValue {
    #[prost(message, repeated, tag = "1")]
    pub(super) old: Vec<TypedValue>,
    #[prost(message, repeated, tag = "2")]
    pub(super) array: Vec<TypedValue>,
    #[prost(bool, tag = "3")]
    pub(super) has_array: bool,
    #[prost(message, optional, tag = "4")]
    pub(super) scalar: Option<TypedValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TypedValue {
    #[prost(int32, tag = "1")]
    pub(super) rep: i32,
    #[prost(bool, tag = "2")]
    pub(super) bool_value: bool,
    #[prost(string, tag = "3")]
    pub(super) string_value: String,
    #[prost(sint64, tag = "4")]
    pub(super) number_value: i64,
    #[prost(bytes = "vec", tag = "5")]
    pub(super) bytes_value: Vec<u8>,
    #[prost(double, tag = "6")]
    pub(super) double_value: f64,
    #[prost(bool, tag = "7")]
    pub(super) null: bool,
    #[prost(message, repeated, tag = "8")]
    pub(super) array: Vec<TypedValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RpcMetadata {
    #[prost(string, tag = "1")]
    pub(super) server_address: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ResultSet {
    #[prost(string, tag = "1")]
    pub(super) connection_id: String,
    #[prost(uint32, tag = "2")]
    pub(super) statement_id: u32,
    #[prost(message, optional, tag = "4")]
    pub(super) signature: Option<Signature>,
    #[prost(message, optional, tag = "5")]
    pub(super) first_frame: Option<Frame>,
    #[prost(uint64, tag = "6")]
    pub(super) update_count: u64,
    #[prost(message, optional, tag = "7")]
    pub(super) metadata: Option<RpcMetadata>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ExecuteResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) results: Vec<ResultSet>,
    #[prost(bool, tag = "2")]
    pub(super) missing_statement: bool,
    #[prost(message, optional, tag = "3")]
    pub(super) metadata: Option<RpcMetadata>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PrepareResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) statement: Option<StatementHandle>,
    #[prost(message, optional, tag = "2")]
    pub(super) metadata: Option<RpcMetadata>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FetchResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) frame: Option<Frame>,
    #[prost(bool, tag = "2")]
    pub(super) missing_statement: bool,
    #[prost(bool, tag = "3")]
    pub(super) missing_results: bool,
    #[prost(message, optional, tag = "4")]
    pub(super) metadata: Option<RpcMetadata>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CreateStatementResponse {
    #[prost(string, tag = "1")]
    pub(super) connection_id: String,
    #[prost(uint32, tag = "2")]
    pub(super) statement_id: u32,
    #[prost(message, optional, tag = "3")]
    pub(super) metadata: Option<RpcMetadata>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MetadataOnly {
    #[prost(message, optional, tag = "1")]
    pub(super) metadata: Option<RpcMetadata>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DatabaseProperties {
    #[prost(message, optional, tag = "2")]
    pub(super) metadata: Option<RpcMetadata>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ConnectionSyncResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) properties: Option<ConnectionProperties>,
    #[prost(message, optional, tag = "2")]
    pub(super) metadata: Option<RpcMetadata>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SyncResults {
    #[prost(bool, tag = "1")]
    pub(super) missing_statement: bool,
    #[prost(bool, tag = "2")]
    pub(super) more_results: bool,
    #[prost(message, optional, tag = "3")]
    pub(super) metadata: Option<RpcMetadata>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ErrorResponse {
    #[prost(string, repeated, tag = "1")]
    pub(super) exceptions: Vec<String>,
    #[prost(string, tag = "2")]
    pub(super) message: String,
    #[prost(int32, tag = "3")]
    pub(super) severity: i32,
    #[prost(uint32, tag = "4")]
    pub(super) code: u32,
    #[prost(string, tag = "5")]
    pub(super) sql_state: String,
    #[prost(message, optional, tag = "6")]
    pub(super) metadata: Option<RpcMetadata>,
    #[prost(bool, tag = "7")]
    pub(super) has_exceptions: bool,
}
