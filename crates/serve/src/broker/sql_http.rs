//! `/druid/v2/sql` (`SqlResource`): statements as JSON, text or form; answers with Druid's headers and its trailer that says
//! the body is complete; cancelling.

use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{delete, get, post};
use bytes::Bytes;
use http_body_util::StreamBody;
use ovate_base::DruidError;
use ovate_net::ApiError;
use ovate_net::body::{parse_json, read_body};
use ovate_query::Context;
use ovate_sql::{SqlRequest, SqlResponse};
use serde_json::{Value, json};

use super::BrokerState;
use super::statement::{StopWhenDropped, identify, timeout_ms, within};
use crate::clock::now_ms;
use crate::data_server::{PROFILE_HEADER, RESPONSE_CONTEXT_HEADER, response_context};
use crate::request_log::RequestLine;
use crate::respond;
use crate::work::apart;

/// Routes of SQL over HTTP.
pub fn routes(state: BrokerState) -> Router {
    Router::new()
        .route("/druid/v2/sql", post(sql))
        .route("/druid/v2/sql/", post(sql))
        .route("/druid/v2/sql/{id}", delete(cancel))
        .route("/druid/v2/sql/engines", get(|| async { Json(json!({"engines": [{"name": "native"}]})) }))
        .route("/druid/v2/sql/task/enabled", get(|| async { Json(json!({"enabled": false})) }))
        .with_state(state)
}

async fn cancel(State(state): State<BrokerState>, Path(id): Path<String>) -> StatusCode {
    if state.broker.running.cancel(&id) { StatusCode::ACCEPTED } else { StatusCode::NOT_FOUND }
}

async fn sql(State(state): State<BrokerState>, headers: HeaderMap, request: Request) -> Response {
    let kind = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("application/json").to_ascii_lowercase();
    let parsed = match read_body(request, &()).await {
        Ok(body) => parse(&kind, &body),
        Err(error) => Err(error),
    };
    let mut request = match parsed {
        Ok(request) => request,
        Err(error) => return error.into_response(),
    };
    let id = identify(&mut request);
    let mut response = match answer(&state, request, &id).await {
        Ok(response) => response,
        Err(error) => ApiError(error).into_response(),
    };
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("X-Druid-Query-Id", value.clone());
        response.headers_mut().insert("X-Druid-SQL-Query-Id", value);
    }
    response
}

async fn answer(state: &BrokerState, mut request: SqlRequest, id: &str) -> Result<Response, DruidError> {
    let entry = state.statements.enter(id, &request.query);
    let _turn = state.broker.turn().await?;
    entry.runs();
    let running = state.broker.running.register(id);
    request.stop = running.stop.clone();
    // Work for a client that has gone away stops: this is dropped with the request.
    let mut stop = StopWhenDropped::new(state.broker.running.clone(), id);
    let (began, log) = (Instant::now(), state.log.clone());
    let logged = (!log.is_off()).then(|| (request.query.clone(), Value::Object(request.context.clone())));
    let profiled = Context(request.context.clone()).profile()?;
    let answer = execute(state.clone(), request).await;
    if answer.is_ok() {
        stop.ended();
    }
    if logged.is_some() {
        let error = answer.as_ref().err().map(ToString::to_string);
        let bytes = answer.as_ref().ok().map(|answer| answer.body.iter().map(|piece| piece.len() as u64).sum());
        log.log(&RequestLine { began, native: None, sql: logged, bytes, error });
    }
    let mut response = body_of(answer?);
    if profiled && let Ok(value) = running.profile.to_json().to_string().parse() {
        response.headers_mut().insert(PROFILE_HEADER, value);
    }
    let missing = running.missing();
    if !missing.is_empty()
        && let Ok(value) = response_context(&missing).parse()
    {
        response.headers_mut().insert(RESPONSE_CONTEXT_HEADER, value);
    }
    Ok(response)
}

fn body_of(answer: SqlResponse) -> Response {
    use http_body::Frame;
    let frames = answer.body.into_iter().map(Frame::data).chain([Frame::trailers(respond::complete())]);
    let frames = frames.map(Ok::<Frame<Bytes>, std::convert::Infallible>);
    let mut response = Response::new(Body::new(StreamBody::new(futures::stream::iter(frames))));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert("Trailer", HeaderValue::from_static(respond::COMPLETE_NAME));
    headers.insert(RESPONSE_CONTEXT_HEADER, HeaderValue::from_static("{}"));
    if answer.header_included {
        headers.insert("X-Druid-SQL-Header-Included", HeaderValue::from_static("yes"));
    }
    response
}

/// Runs a statement on a thread that may compute for long, so that the threads of other requests stay free; one that does no
/// more than ask its native query needs none.
pub(super) async fn execute(state: BrokerState, request: SqlRequest) -> Result<SqlResponse, DruidError> {
    let timeout_ms = timeout_ms(&state, &request);
    if state.sql.is_quick(&request) {
        return within(timeout_ms, state.sql.execute(request, now_ms())).await;
    }
    within(timeout_ms, async { apart(async move { state.sql.execute(request, now_ms()).await }).await? }).await
}

/// The body as JSON, as text, or as a form field's raw text (SQW-01, SQW-02).
pub(super) fn parse(kind: &str, body: &[u8]) -> Result<SqlRequest, ApiError> {
    if kind.starts_with("text/plain") || kind.starts_with("application/x-www-form-urlencoded") {
        let text =
            std::str::from_utf8(body).map_err(|e| ApiError(DruidError::invalid_input(format!("SQL text is not UTF-8: {e}"))))?;
        let text = if kind.starts_with("text/plain") { text.to_owned() } else { form_text(text) };
        if text.trim().is_empty() {
            return Err(ApiError(DruidError::invalid_input("Empty query")));
        }
        return Ok(SqlRequest::text(text));
    }
    if !kind.starts_with("application/json") {
        return Err(ApiError(DruidError::invalid_input(format!(
            "Unsupported Content-Type: {kind}. Only application/json, text/plain or application/x-www-form-urlencoded is supported."
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_decoded_and_a_text_is_taken_as_it_is() {
        let form = parse("application/x-www-form-urlencoded", b"SELECT%20'a%2Bb'+FROM+t").expect("a statement");
        assert_eq!(form.query, "SELECT 'a+b' FROM t");
        assert_eq!(parse("text/plain; charset=utf-8", b"SELECT 1 + 1").expect("a statement").query, "SELECT 1 + 1");
        assert!(parse("application/xml", b"x").is_err());
        assert!(parse("text/plain", b"  ").is_err());
    }
}
