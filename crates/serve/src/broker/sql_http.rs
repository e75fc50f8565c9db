//! `/druid/v2/sql` (`SqlResource`): statements as JSON, text or form; answers with Druid's headers and its trailer that says
//! the body is complete; cancelling.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{delete, get, post};
use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;
use ovate_base::DruidError;
use ovate_net::ApiError;
use ovate_net::body::{parse_json, read_body};
use ovate_query::Context;
use ovate_sql::SqlRequest;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::BrokerState;
use super::statement::{StopWhenDropped, identify, timeout_ms, within};
use crate::clock::now_ms;
use crate::data_server::{PROFILE_HEADER, RESPONSE_CONTEXT_HEADER, response_context};
use crate::request_log::RequestLine;
use crate::respond;
use crate::work::apart;

/// Pieces of an answer that wait for a slow client.
const PIECES_MAX: usize = 4;

/// Routes of SQL over HTTP.
pub fn routes(state: BrokerState) -> Router {
    Router::new()
        .route("/druid/v2/sql", post(sql))
        .route("/druid/v2/sql/", post(sql))
        .route("/druid/v2/sql/{id}", delete(cancel))
        .route("/druid/v2/sql/queries", get(queries))
        .route("/druid/v2/sql/engines", get(|| async { Json(json!({"engines": [{"name": "native"}]})) }))
        .route("/druid/v2/sql/task", post(task))
        .route("/druid/v2/sql/task/enabled", get(|| async { Json(json!({"enabled": false})) }))
        .with_state(state)
}

/// The statements that run at this Broker.
async fn queries(State(state): State<BrokerState>) -> Json<Value> {
    let info = |statement: &super::RunningStatement| {
        let mut info = statement.info();
        // Ours: how far it is, where its context asks for a profile.
        if let Some(profile) = state.broker.running.profile(&statement.id) {
            info["progress"] = profile.to_json();
        }
        info
    };
    let list: Vec<Value> = state.statements.list().iter().map(info).collect();
    Json(json!({"queries": list}))
}

/// SQL-based ingestion is not there, whatever the statement.
async fn task() -> ApiError {
    ApiError(DruidError::unsupported(
        "ingestion by SQL statements (INSERT and REPLACE as query_controller tasks); submit an index_parallel task to \
         /druid/indexer/v1/task, its inputSource takes what EXTERN takes",
    ))
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
    let turn = state.broker.turn().await?;
    entry.runs();
    let registered = Arc::new(state.broker.running.register_owned(id));
    request.stop = registered.stop();
    // Work for a client that has gone away stops: this is dropped with the request, and then with the answer's body.
    let stop = StopWhenDropped::new(state.broker.running.clone(), id);
    let (began, log) = (Instant::now(), state.log.clone());
    let logged = (!log.is_off()).then(|| (request.query.clone(), Value::Object(request.context.clone())));
    let profiled = Context(request.context.clone()).profile()?;
    let (content_type, with_header) = (request.result_format.content_type(), request.header);
    let (limit_ms, sql) = (timeout_ms(state, &request), state.sql.clone());
    let note = move |finished: &Result<u64, DruidError>| {
        if logged.is_some() {
            let error = finished.as_ref().err().map(ToString::to_string);
            log.log(&RequestLine { began, native: None, sql: logged, bytes: finished.as_ref().ok().copied(), error });
        }
    };
    let mut sent = if sql.is_quick(&request) {
        let finished = within(limit_ms, sql.execute(request, now_ms())).await;
        note(&finished.as_ref().map(|whole| whole.body.iter().map(|piece| piece.len() as u64).sum()).map_err(Clone::clone));
        let whole = finished?;
        let (pieces, received) = mpsc::channel(whole.body.len().max(1));
        // There is room for all of them.
        whole.body.into_iter().for_each(|piece| drop(pieces.try_send(piece)));
        Sent { first: None, received, outcome: Outcome::Ended(Ok(())), stop, done: false }
    } else {
        let (pieces, received) = mpsc::channel(PIECES_MAX);
        let (outcome, ended) = oneshot::channel();
        let (listed, running, own_id) = (registered.clone(), state.broker.running.clone(), id.to_owned());
        tokio::spawn(async move {
            let work = apart(async move { sql.execute_into(request, now_ms(), &pieces).await });
            let finished = within(limit_ms, async { work.await? }).await;
            if finished.is_err() {
                // One that is late works on until it is stopped.
                running.cancel(&own_id);
            }
            note(&finished);
            // What the statement held is given back when it ends, not when its client has read everything.
            drop((entry, turn, listed));
            let _ = outcome.send(finished.map(drop));
        });
        Sent { first: None, received, outcome: Outcome::Open(ended), stop, done: false }
    };
    // An error before anything was written is the answer.
    sent.first = Some(match sent.piece().await {
        Some(first) => first,
        None => return Err(sent.failure().unwrap_or_else(|| DruidError::defensive("a statement ended without an answer"))),
    });
    let mut answer = body_of(sent);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if with_header {
        headers.insert("X-Druid-SQL-Header-Included", HeaderValue::from_static("yes"));
    }
    if profiled && let Ok(value) = registered.profile().to_json().to_string().parse() {
        headers.insert(PROFILE_HEADER, value);
    }
    let missing = registered.missing();
    if !missing.is_empty()
        && let Ok(value) = response_context(&missing).parse()
    {
        headers.insert(RESPONSE_CONTEXT_HEADER, value);
    }
    Ok(answer)
}

/// An answer on its way: its pieces, and at the end whether it is whole.
struct Sent {
    first: Option<Bytes>,
    received: mpsc::Receiver<Bytes>,
    outcome: Outcome,
    stop: StopWhenDropped,
    done: bool,
}

/// How the statement ends, or that it is not known yet.
enum Outcome {
    Open(oneshot::Receiver<Result<(), DruidError>>),
    Ended(Result<(), DruidError>),
}

impl Sent {
    /// The next piece; `None` after the last one, and as soon as the statement has failed, though its thread may still work.
    async fn piece(&mut self) -> Option<Bytes> {
        loop {
            let ended = match &mut self.outcome {
                Outcome::Ended(Err(_)) => return None,
                Outcome::Ended(Ok(())) => return self.received.recv().await,
                Outcome::Open(ended) => tokio::select! {
                    biased;
                    Some(piece) = self.received.recv() => return Some(piece),
                    ended = ended => ended,
                },
            };
            self.outcome = Outcome::Ended(ended.unwrap_or_else(|_| Err(DruidError::runtime("the statement's task failed"))));
        }
    }

    fn failure(&self) -> Option<DruidError> {
        match &self.outcome {
            Outcome::Ended(Err(error)) => Some(error.clone()),
            Outcome::Ended(Ok(())) | Outcome::Open(_) => None,
        }
    }

    /// The next frame; after the last piece the trailer, or an error that breaks the body off.
    async fn next(mut self) -> Option<(Result<Frame<Bytes>, std::io::Error>, Sent)> {
        if self.done {
            return None;
        }
        let piece = match self.first.take() {
            Some(first) => Some(first),
            None => self.piece().await,
        };
        if let Some(piece) = piece {
            return Some((Ok(Frame::data(piece)), self));
        }
        self.done = true;
        let frame = match self.failure() {
            None => {
                self.stop.ended();
                Ok(Frame::trailers(respond::complete()))
            }
            Some(error) => Err(std::io::Error::other(error.message)),
        };
        Some((frame, self))
    }
}

fn body_of(sent: Sent) -> Response {
    let frames = futures::stream::unfold(sent, Sent::next);
    let mut response = Response::new(Body::new(StreamBody::new(frames)));
    let headers = response.headers_mut();
    headers.insert("Trailer", HeaderValue::from_static(respond::COMPLETE_NAME));
    headers.insert(RESPONSE_CONTEXT_HEADER, HeaderValue::from_static("{}"));
    response
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
