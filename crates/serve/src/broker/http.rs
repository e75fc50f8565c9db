//! The Broker over HTTP: native queries (`QueryResource`), SQL (`SqlResource`), cancelling, datasources, readiness.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use bytes::Bytes;
use ovate_base::DruidError;
use ovate_net::body::{parse_json, read_body};
use ovate_net::{ApiError, ApiResult, JsonBody};
use ovate_query::{NativeQuery, ResultFormat, write_result};
use ovate_sql::{SqlEngine, SqlRequest, SqlResponse};
use serde_json::{Value, json};

use super::{Broker, registered_id};
use crate::clock::now_ms;
use crate::data_server::{QUERY_ID_HEADER, RESPONSE_CONTEXT_HEADER, response_context};
use crate::request_log::{RequestLine, RequestLogger};
use crate::respond;

/// What the handlers share.
#[derive(Clone)]
pub struct BrokerState {
    pub broker: Arc<Broker>,
    pub sql: Arc<SqlEngine>,
    pub log: Arc<RequestLogger>,
}

/// Routes of the Broker role.
pub fn routes(state: BrokerState) -> Router {
    let view = state.broker.view.clone();
    Router::new()
        .route("/druid/v2", post(native))
        .route("/druid/v2/", post(native))
        .route("/druid/v2/{id}", delete(cancel_native))
        .route("/druid/v2/datasources", get(datasources))
        .route("/druid/v2/datasources/{table}", get(datasource))
        .route("/druid/v2/datasources/{table}/dimensions", get(dimensions))
        .route("/druid/v2/datasources/{table}/metrics", get(metrics))
        .route("/druid/v2/sql", post(sql))
        .route("/druid/v2/sql/", post(sql))
        .route("/druid/v2/sql/{id}", delete(cancel_sql))
        .route("/druid/v2/sql/engines", get(|| async { Json(json!({"engines": [{"name": "native"}]})) }))
        .route("/druid/v2/sql/task/enabled", get(|| async { Json(json!({"enabled": false})) }))
        .route("/druid/broker/v1/loadstatus", get(load_status))
        .route("/druid/broker/v1/readiness", get(readiness))
        .layer(axum::middleware::from_fn_with_state(view, super::gate::wait_for_view))
        .with_state(state)
}

async fn native(State(state): State<BrokerState>, headers: HeaderMap, request: Request) -> Response {
    let format = respond::wanted_format(&headers);
    let body = <JsonBody<Value> as axum::extract::FromRequest<()>>::from_request(request, &()).await;
    let answered = match body {
        Ok(JsonBody(document)) => {
            let began = Instant::now();
            let known = headers.get(IF_NONE_MATCH).and_then(|v| v.to_str().ok());
            let answered = answer_native(&state, &document, format, known).await;
            if !state.log.is_off() {
                let error = answered.as_ref().err().map(ToString::to_string);
                state.log.log(&RequestLine { began, native: Some(document), sql: None, bytes: None, error });
            }
            answered
        }
        Err(refused) => Err(refused.0),
    };
    answered.unwrap_or_else(|error| respond::error(format, &error, None))
}

async fn answer_native(
    state: &BrokerState,
    document: &Value,
    format: ResultFormat,
    known: Option<&str>,
) -> Result<Response, DruidError> {
    let _turn = state.broker.turn().await?;
    let mut query = NativeQuery::from_json(document)?;
    let id = match query.context().query_id() {
        Some(id) => id.to_owned(),
        None => {
            let id = uuid::Uuid::new_v4().to_string();
            query.context_mut().set("queryId", id.clone());
            id
        }
    };
    let registration = state.broker.running.register(&registered_id(&query));
    let etag = state.broker.etag(&query).await;
    if etag.is_some() && etag.as_deref() == known {
        return Ok((StatusCode::NOT_MODIFIED, [(QUERY_ID_HEADER, id)]).into_response());
    }
    let rows = state.broker.run_native(query.clone()).await?;
    let mut headers = vec![
        (HeaderName::from_static(QUERY_ID_HEADER), id),
        (HeaderName::from_static(RESPONSE_CONTEXT_HEADER), response_context(&registration.missing())),
    ];
    // Of the segments before and after the run, so that it fits the answer.
    if let Some(etag) = etag.filter(|_| registration.missing().is_empty())
        && state.broker.etag(&query).await.as_deref() == Some(&etag)
    {
        headers.push((ETAG, etag));
    }
    respond::stream(format, headers, move |sink| write_result(&query, &rows, format, sink)).await
}

async fn cancel_native(State(state): State<BrokerState>, Path(id): Path<String>) -> StatusCode {
    // Druid answers 202 whether or not the query was there: cancelling is best effort.
    state.broker.running.cancel(&id);
    StatusCode::ACCEPTED
}

async fn cancel_sql(State(state): State<BrokerState>, Path(id): Path<String>) -> StatusCode {
    if state.broker.running.cancel(&id) { StatusCode::ACCEPTED } else { StatusCode::NOT_FOUND }
}

async fn sql(State(state): State<BrokerState>, headers: HeaderMap, request: Request) -> ApiResult<Response> {
    let kind = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("application/json").to_ascii_lowercase();
    let body = read_body(request, &()).await?;
    let _turn = state.broker.turn().await?;
    let mut request = sql_request(&kind, &body)?;
    let id = match request.context.get("sqlQueryId").and_then(Value::as_str) {
        Some(id) => id.to_owned(),
        None => {
            let id = uuid::Uuid::new_v4().to_string();
            request.context.insert("sqlQueryId".to_owned(), json!(id));
            id
        }
    };
    // Work for a client that has gone away stops: the registration is dropped with the request.
    let running = state.broker.running.register(&id);
    let (began, log) = (Instant::now(), state.log.clone());
    let logged = (!log.is_off()).then(|| (request.query.clone(), Value::Object(request.context.clone())));
    let answer = execute_sql(state.clone(), request).await;
    if logged.is_some() {
        let error = answer.as_ref().err().map(ToString::to_string);
        let bytes = answer.as_ref().ok().map(|answer| answer.body.iter().map(|piece| piece.len() as u64).sum());
        log.log(&RequestLine { began, native: None, sql: logged, bytes, error });
    }
    let answer = answer?;
    let mut response =
        Response::new(Body::from_stream(futures::stream::iter(answer.body.into_iter().map(Ok::<Bytes, std::io::Error>))));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, axum::http::HeaderValue::from_static(answer.content_type));
    if let Ok(value) = id.parse() {
        headers.insert("X-Druid-SQL-Query-Id", value);
    }
    let missing = running.missing();
    if !missing.is_empty()
        && let Ok(value) = response_context(&missing).parse()
    {
        headers.insert(RESPONSE_CONTEXT_HEADER, value);
    }
    if answer.header_included {
        headers.insert("X-Druid-SQL-Header-Included", axum::http::HeaderValue::from_static("yes"));
    }
    Ok(response)
}

/// Runs a statement on a thread that may compute for long, so that the threads of other requests stay free.
async fn execute_sql(state: BrokerState, request: SqlRequest) -> Result<SqlResponse, DruidError> {
    let asked = request.context.get("timeout").and_then(|t| t.as_u64().or_else(|| t.as_str().and_then(|t| t.parse().ok())));
    let timeout_ms = asked.unwrap_or(state.broker.timeout_ms());
    let runtime = tokio::runtime::Handle::current();
    let work = tokio::task::spawn_blocking(move || runtime.block_on(state.sql.execute(request, now_ms())));
    let finished = if timeout_ms == 0 {
        work.await
    } else {
        let limit = std::time::Duration::from_millis(timeout_ms);
        let late = || DruidError::timeout(format!("Query timed out after {timeout_ms} ms; raise [timeout] in its context"));
        tokio::time::timeout(limit, work).await.map_err(|_| late())?
    };
    finished.map_err(|e| DruidError::runtime(format!("the statement's thread failed: {e}")))?
}

/// The body as JSON, as text, or as a form field's raw text (SQW-01, SQW-02).
fn sql_request(kind: &str, body: &[u8]) -> Result<SqlRequest, ApiError> {
    if kind.starts_with("text/plain") || kind.starts_with("application/x-www-form-urlencoded") {
        let text =
            std::str::from_utf8(body).map_err(|e| ApiError(DruidError::invalid_input(format!("SQL text is not UTF-8: {e}"))))?;
        let text = if kind.starts_with("text/plain") { text.to_owned() } else { form_text(text) };
        return Ok(SqlRequest::text(text));
    }
    if !kind.starts_with("application/json") {
        return Err(ApiError(DruidError::invalid_input(format!(
            "Unsupported Content-Type [{kind}]; use application/json, text/plain or application/x-www-form-urlencoded"
        ))));
    }
    let document: Value = parse_json(body)?;
    Ok(SqlRequest::from_json(&document)?)
}

/// Decodes percent signs and pluses.
fn form_text(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

async fn datasources(State(state): State<BrokerState>) -> Json<Vec<String>> {
    Json(state.broker.view.tables())
}

async fn datasource(State(state): State<BrokerState>, Path(table): Path<String>) -> ApiResult<Json<Value>> {
    let (dimensions, metrics) = state.broker.view.dimensions_and_metrics(&table);
    Ok(Json(json!({"dimensions": dimensions, "metrics": metrics})))
}

async fn dimensions(State(state): State<BrokerState>, Path(table): Path<String>) -> Json<Vec<String>> {
    Json(state.broker.view.dimensions_and_metrics(&table).0)
}

async fn metrics(State(state): State<BrokerState>, Path(table): Path<String>) -> Json<Vec<String>> {
    Json(state.broker.view.dimensions_and_metrics(&table).1)
}

async fn load_status(State(state): State<BrokerState>) -> Json<Value> {
    Json(json!({"inventoryInitialized": state.broker.view.is_initialized()}))
}

async fn readiness(State(state): State<BrokerState>) -> StatusCode {
    if state.broker.view.is_initialized() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
