//! The calls of Flight SQL. What writes, and transactions, are refused by name; results are encoded batch by batch as the client
//! takes them.

use std::pin::Pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::server::{FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionBeginTransactionRequest, ActionBeginTransactionResult, ActionClosePreparedStatementRequest,
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, CommandGetCatalogs, CommandGetCrossReference,
    CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys, CommandGetPrimaryKeys, CommandGetSqlInfo,
    CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo, CommandPreparedStatementQuery,
    CommandPreparedStatementUpdate, CommandStatementIngest, CommandStatementQuery, CommandStatementUpdate,
    DoPutPreparedStatementResult, ProstMessageExt, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{
    Action, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest, HandshakeResponse, IpcMessage, SchemaAsIpc, Ticket,
};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use ovate_base::{Category, DruidError};
use ovate_sql::{SqlParameter, SqlRequest};
use prost::Message;
use serde_json::{Value as Json, json};
use tonic::{Request, Response, Status, Streaming};

use super::batch;
use super::metadata;
use crate::broker::BrokerState;
use crate::clock::now_ms;

/// Rows of one batch.
const BATCH_ROWS: usize = 8192;

/// Answers Flight SQL.
pub struct FlightListenerService {
    pub broker: BrokerState,
}

type DoGet = Response<<FlightListenerService as FlightService>::DoGetStream>;
type Answer<T> = Result<T, Status>;

/// An error of ours as a status.
pub(super) fn status(error: DruidError) -> Status {
    let message = error.message;
    match error.category {
        Category::InvalidInput => Status::invalid_argument(message),
        Category::Unauthorized => Status::unauthenticated(message),
        Category::Forbidden => Status::permission_denied(message),
        Category::NotFound => Status::not_found(message),
        Category::Conflict => Status::aborted(message),
        Category::CapacityExceeded => Status::resource_exhausted(message),
        Category::Canceled => Status::cancelled(message),
        Category::Timeout => Status::deadline_exceeded(message),
        Category::Unsupported => Status::unimplemented(message),
        Category::ServiceUnavailable => Status::unavailable(message),
        Category::Defensive | Category::RuntimeFailure => Status::internal(message),
    }
}

fn only_reads(what: &str) -> Status {
    Status::unimplemented(format!("{what} over Flight SQL: this listener only reads"))
}

fn arrow(error: ArrowError) -> Status {
    Status::internal(error.to_string())
}

/// What a handle or a ticket says: the statement and its parameters.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Handle {
    pub sql: String,
    pub parameters: Vec<SqlParameter>,
}

impl Handle {
    pub fn to_bytes(&self) -> Vec<u8> {
        let parameters: Vec<Json> = self.parameters.iter().map(|p| json!({"type": p.sql_type, "value": p.value})).collect();
        json!({"sql": self.sql, "parameters": parameters}).to_string().into_bytes()
    }

    /// Reads what a client sends back, which may be anything.
    pub fn from_bytes(bytes: &[u8]) -> Answer<Handle> {
        let wrong = || Status::invalid_argument("not a handle of this server");
        let document: Json = serde_json::from_slice(bytes).map_err(|_| wrong())?;
        let sql = document["sql"].as_str().ok_or_else(wrong)?.to_owned();
        let parameter = |entry: &Json| {
            let sql_type = entry["type"].as_str().ok_or_else(wrong)?.to_owned();
            Ok(SqlParameter { sql_type, value: entry["value"].clone() })
        };
        let parameters = document["parameters"].as_array().into_iter().flatten().map(parameter).collect::<Answer<_>>()?;
        Ok(Handle { sql, parameters })
    }

    fn request(self) -> SqlRequest {
        let context = serde_json::Map::from_iter([("sqlStringifyArrays".to_owned(), json!(false))]);
        SqlRequest { context, parameters: self.parameters, ..SqlRequest::text(self.sql) }
    }
}

/// A flight of one endpoint, which is this server.
fn info(schema: &Schema, ticket: Vec<u8>, descriptor: FlightDescriptor) -> Answer<Response<FlightInfo>> {
    let endpoint = FlightEndpoint::new().with_ticket(Ticket { ticket: ticket.into() });
    let info = FlightInfo::new().try_with_schema(schema).map_err(arrow)?;
    Ok(Response::new(info.with_endpoint(endpoint).with_descriptor(descriptor)))
}

fn stream_of(schema: SchemaRef, batches: impl Stream<Item = Result<RecordBatch, FlightError>> + Send + 'static) -> DoGet {
    let data = FlightDataEncoderBuilder::new().with_schema(schema).build(batches).map_err(Status::from);
    Response::new(Box::pin(data))
}

pub(super) fn one(batch: Result<RecordBatch, FlightError>) -> Answer<DoGet> {
    let batch = batch.map_err(Status::from)?;
    Ok(stream_of(batch.schema(), stream::iter([Ok(batch)])))
}

/// No row of this schema.
fn nothing(schema: SchemaRef) -> Answer<DoGet> {
    one(Ok(RecordBatch::new_empty(schema)))
}

impl FlightListenerService {
    fn described(&self, sql: &str) -> Answer<ovate_sql::SqlPrepared> {
        let handle = Handle { sql: sql.to_owned(), parameters: Vec::new() };
        self.broker.sql.prepare(handle.request(), now_ms()).map_err(status)
    }

    async fn run(&self, handle: Handle) -> Answer<DoGet> {
        let rows = Arc::new(self.broker.fetch_rows(handle.request()).await.map_err(status)?);
        let schema = batch::schema(&rows.columns);
        let (count, of) = (rows.rows.rows, schema.clone());
        let starts = (0..count).step_by(BATCH_ROWS);
        let batches =
            starts.map(move |start| batch::batch(&rows, &of, start, (start + BATCH_ROWS).min(count)).map_err(FlightError::from));
        Ok(stream_of(schema, stream::iter(batches)))
    }
}

#[tonic::async_trait]
impl FlightSqlService for FlightListenerService {
    type FlightService = FlightListenerService;

    async fn do_handshake(
        &self,
        _request: Request<Streaming<HandshakeRequest>>,
    ) -> Answer<Response<Pin<Box<dyn Stream<Item = Answer<HandshakeResponse>> + Send>>>> {
        // There is no authentication in this release: whoever asks is let in, with a token that nothing looks at.
        let answer = HandshakeResponse { protocol_version: 0, payload: bytes::Bytes::new() };
        let mut response: Response<Pin<Box<dyn Stream<Item = _> + Send>>> = Response::new(Box::pin(stream::iter([Ok(answer)])));
        response.metadata_mut().insert("authorization", tonic::metadata::MetadataValue::from_static("Bearer ovate"));
        Ok(response)
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Answer<Response<FlightInfo>> {
        let schema = batch::schema(&self.described(&query.query)?.columns);
        let handle = Handle { sql: query.query, parameters: Vec::new() };
        let ticket = TicketStatementQuery { statement_handle: handle.to_bytes().into() };
        info(&schema, ticket.as_any().encode_to_vec(), request.into_inner())
    }

    async fn do_get_statement(&self, ticket: TicketStatementQuery, _request: Request<Ticket>) -> Answer<DoGet> {
        self.run(Handle::from_bytes(&ticket.statement_handle)?).await
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        _request: Request<Action>,
    ) -> Answer<ActionCreatePreparedStatementResult> {
        let prepared = self.described(&query.query)?;
        let field = |(at, t): (usize, &ovate_sql::types::SqlType)| Field::new(format!("${}", at + 1), batch::data_type(t), true);
        let wanted = Schema::new(prepared.parameters.iter().enumerate().map(field).collect::<Vec<_>>());
        let bytes = |schema: &Schema| -> Answer<bytes::Bytes> {
            let IpcMessage(bytes) = SchemaAsIpc::new(schema, &IpcWriteOptions::default()).try_into().map_err(arrow)?;
            Ok(bytes)
        };
        let handle = Handle { sql: query.query, parameters: Vec::new() };
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: handle.to_bytes().into(),
            dataset_schema: bytes(&batch::schema(&prepared.columns))?,
            parameter_schema: bytes(&wanted)?,
        })
    }

    async fn do_action_close_prepared_statement(
        &self,
        _query: ActionClosePreparedStatementRequest,
        _request: Request<Action>,
    ) -> Answer<()> {
        // Nothing is kept for it here.
        Ok(())
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Answer<DoPutPreparedStatementResult> {
        let mut handle = Handle::from_bytes(&query.prepared_statement_handle)?;
        let data = request.into_inner().map_err(|error| FlightError::Tonic(Box::new(error)));
        let mut batches = FlightRecordBatchStream::new_from_flight_data(data);
        let mut bound = None;
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(|error| Status::invalid_argument(format!("cannot read parameters: {error}")))?;
            if batch.num_rows() > 0 && bound.replace(batch).is_some() {
                return Err(Status::unimplemented("more than one batch of parameters"));
            }
        }
        if let Some(batch) = bound {
            handle.parameters = batch::parameters(&batch).map_err(status)?;
        }
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(handle.to_bytes().into()) })
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Answer<Response<FlightInfo>> {
        let handle = Handle::from_bytes(&query.prepared_statement_handle)?;
        let schema = batch::schema(&self.described(&handle.sql)?.columns);
        info(&schema, query.as_any().encode_to_vec(), request.into_inner())
    }

    async fn do_get_prepared_statement(&self, query: CommandPreparedStatementQuery, _request: Request<Ticket>) -> Answer<DoGet> {
        self.run(Handle::from_bytes(&query.prepared_statement_handle)?).await
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Answer<Response<FlightInfo>> {
        info(&query.into_builder().schema(), query.as_any().encode_to_vec(), request.into_inner())
    }

    async fn do_get_catalogs(&self, query: CommandGetCatalogs, _request: Request<Ticket>) -> Answer<DoGet> {
        one(metadata::catalogs(query))
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Answer<Response<FlightInfo>> {
        let ticket = query.as_any().encode_to_vec();
        info(&query.into_builder().schema(), ticket, request.into_inner())
    }

    async fn do_get_schemas(&self, query: CommandGetDbSchemas, _request: Request<Ticket>) -> Answer<DoGet> {
        one(metadata::schemas(&self.broker, query).await.map_err(status)?)
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Answer<Response<FlightInfo>> {
        let ticket = query.as_any().encode_to_vec();
        info(&query.into_builder().schema(), ticket, request.into_inner())
    }

    async fn do_get_tables(&self, query: CommandGetTables, _request: Request<Ticket>) -> Answer<DoGet> {
        one(metadata::tables(&self.broker, query).await.map_err(status)?)
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Answer<Response<FlightInfo>> {
        info(&query.into_builder().schema(), query.as_any().encode_to_vec(), request.into_inner())
    }

    async fn do_get_table_types(&self, query: CommandGetTableTypes, _request: Request<Ticket>) -> Answer<DoGet> {
        one(metadata::table_types(query))
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Answer<Response<FlightInfo>> {
        let ticket = query.as_any().encode_to_vec();
        let known = metadata::sql_info().map_err(Status::from)?;
        info(&query.into_builder(&known).schema(), ticket, request.into_inner())
    }

    async fn do_get_sql_info(&self, query: CommandGetSqlInfo, _request: Request<Ticket>) -> Answer<DoGet> {
        let known = metadata::sql_info().map_err(Status::from)?;
        one(query.into_builder(&known).build())
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Answer<Response<FlightInfo>> {
        let ticket = query.as_any().encode_to_vec();
        let known = metadata::type_info().map_err(Status::from)?;
        info(&query.into_builder(&known).schema(), ticket, request.into_inner())
    }

    async fn do_get_xdbc_type_info(&self, query: CommandGetXdbcTypeInfo, _request: Request<Ticket>) -> Answer<DoGet> {
        let known = metadata::type_info().map_err(Status::from)?;
        one(query.into_builder(&known).build())
    }

    async fn get_flight_info_primary_keys(
        &self,
        query: CommandGetPrimaryKeys,
        request: Request<FlightDescriptor>,
    ) -> Answer<Response<FlightInfo>> {
        info(&metadata::primary_keys(), query.as_any().encode_to_vec(), request.into_inner())
    }

    async fn do_get_primary_keys(&self, _query: CommandGetPrimaryKeys, _request: Request<Ticket>) -> Answer<DoGet> {
        nothing(metadata::primary_keys())
    }

    async fn get_flight_info_exported_keys(
        &self,
        query: CommandGetExportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Answer<Response<FlightInfo>> {
        info(&metadata::foreign_keys(), query.as_any().encode_to_vec(), request.into_inner())
    }

    async fn do_get_exported_keys(&self, _query: CommandGetExportedKeys, _request: Request<Ticket>) -> Answer<DoGet> {
        nothing(metadata::foreign_keys())
    }

    async fn get_flight_info_imported_keys(
        &self,
        query: CommandGetImportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Answer<Response<FlightInfo>> {
        info(&metadata::foreign_keys(), query.as_any().encode_to_vec(), request.into_inner())
    }

    async fn do_get_imported_keys(&self, _query: CommandGetImportedKeys, _request: Request<Ticket>) -> Answer<DoGet> {
        nothing(metadata::foreign_keys())
    }

    async fn get_flight_info_cross_reference(
        &self,
        query: CommandGetCrossReference,
        request: Request<FlightDescriptor>,
    ) -> Answer<Response<FlightInfo>> {
        info(&metadata::foreign_keys(), query.as_any().encode_to_vec(), request.into_inner())
    }

    async fn do_get_cross_reference(&self, _query: CommandGetCrossReference, _request: Request<Ticket>) -> Answer<DoGet> {
        nothing(metadata::foreign_keys())
    }

    async fn do_put_statement_update(
        &self,
        _ticket: CommandStatementUpdate,
        _request: Request<PeekableFlightDataStream>,
    ) -> Answer<i64> {
        Err(only_reads("updates"))
    }

    async fn do_put_prepared_statement_update(
        &self,
        _query: CommandPreparedStatementUpdate,
        _request: Request<PeekableFlightDataStream>,
    ) -> Answer<i64> {
        Err(only_reads("updates"))
    }

    async fn do_put_statement_ingest(
        &self,
        _ticket: CommandStatementIngest,
        _request: Request<PeekableFlightDataStream>,
    ) -> Answer<i64> {
        Err(only_reads("bulk ingestion"))
    }

    async fn do_action_begin_transaction(
        &self,
        _query: ActionBeginTransactionRequest,
        _request: Request<Action>,
    ) -> Answer<ActionBeginTransactionResult> {
        Err(only_reads("transactions"))
    }

    async fn register_sql_info(&self, _id: i32, _result: &SqlInfo) {}
}
