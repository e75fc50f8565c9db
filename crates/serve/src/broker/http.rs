//! The Broker over HTTP: native queries (`QueryResource`), SQL (`SqlResource`), cancelling, datasources, readiness.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Path, Request, State};
use axum::http::header::{ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use ovate_base::DruidError;
use ovate_net::JsonBody;
use ovate_query::{NativeQuery, QueryRows, ResultFormat, write_by_segment, write_result};
use ovate_sql::SqlEngine;
use serde_json::{Map, Value, json};
use tower_http::compression::CompressionLayer;

use super::avatica::{AvaticaService, AvaticaSettings};
use super::statement::SqlStatements;
use super::statement::StopWhenDropped;
use super::{Broker, registered_id};
use crate::data_server::{PROFILE_HEADER, QUERY_ID_HEADER, RESPONSE_CONTEXT_HEADER, response_context};
use crate::request_log::{RequestLine, RequestLogger};
use crate::respond;
use crate::work::apart;

/// What the handlers share.
#[derive(Clone)]
pub struct BrokerState {
    pub broker: Arc<Broker>,
    pub sql: Arc<SqlEngine>,
    pub log: Arc<RequestLogger>,
    /// Statements that run here now.
    pub statements: Arc<SqlStatements>,
    /// `druid.query.default.context.*`: what a query's context has unless it says otherwise.
    pub default_context: Arc<Map<String, Value>>,
}

/// What SQL's own listeners need beside the engine.
pub struct SqlServices {
    pub avatica: AvaticaSettings,
    /// `host:port` of this server, which JDBC drivers are told.
    pub address: String,
    /// Where the rows of asynchronous statements are kept.
    pub statements: std::path::PathBuf,
    /// `druid.broker.segment.awaitInitializationOnStart`.
    pub awaits_view: bool,
}

/// Routes of the Broker role.
pub fn routes(state: BrokerState, services: SqlServices) -> Router {
    let view = state.broker.view.clone();
    let avatica = Arc::new(AvaticaService::new(state.clone(), services.avatica, services.address));
    let sql = super::sql_http::routes(state.clone())
        .merge(super::statements::routes(state.clone(), services.statements))
        .merge(super::avatica::routes(avatica));
    let routes = Router::new()
        .route("/druid/v2", post(native))
        .route("/druid/v2/", post(native))
        .route("/druid/v2/{id}", delete(cancel_native))
        .route("/druid/v2/datasources", get(datasources))
        .merge(super::candidates::routes())
        .route("/druid/broker/v1/loadstatus", get(load_status))
        .route("/druid/broker/v1/readiness", get(readiness))
        .with_state(state)
        .merge(sql);
    // For clients that accept it, as Druid's servers do.
    let packing = CompressionLayer::new().gzip(true);
    match services.awaits_view {
        true => routes.layer(axum::middleware::from_fn_with_state(view, super::gate::wait_for_view)).layer(packing),
        false => routes.layer(packing),
    }
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
    let turn = state.broker.turn().await?;
    let mut query = NativeQuery::from_json(document)?;
    query.context_mut().add_defaults(&state.default_context);
    let id = match query.context().query_id() {
        Some(id) => id.to_owned(),
        None => {
            let id = uuid::Uuid::new_v4().to_string();
            query.context_mut().set("queryId", id.clone());
            id
        }
    };
    if Broker::streams(&query, format) && !query.context().by_segment()? && !state.broker.caches_results(&query) {
        let headers = vec![
            (HeaderName::from_static(QUERY_ID_HEADER), id),
            (HeaderName::from_static(RESPONSE_CONTEXT_HEADER), response_context(&[])),
        ];
        return state.broker.stream_scan(query, headers, turn).await;
    }
    let registration = state.broker.running.register(&registered_id(&query));
    if query.context().by_segment()? {
        let parts = state.broker.run_by_segment(&query).await?;
        let headers = vec![(HeaderName::from_static(QUERY_ID_HEADER), id)];
        return respond::stream(format, headers, move |sink| write_by_segment(&query, &parts, format, sink)).await;
    }
    let etag = state.broker.etag(&query).await;
    if etag.is_some() && etag.as_deref() == known {
        return Ok((StatusCode::NOT_MODIFIED, [(QUERY_ID_HEADER, id)]).into_response());
    }
    // Work for a client that has gone away stops: this is dropped with the request.
    let mut stop = StopWhenDropped::new(state.broker.running.clone(), &registered_id(&query));
    let (broker, asked) = (state.broker.clone(), query.clone());
    let answered = apart(async move {
        let rows = broker.run_native(asked.clone()).await?;
        if rows.row_count() > WHOLE_ROWS_MAX {
            return Ok(Answered::Rows(rows));
        }
        let mut body = Vec::new();
        write_result(&asked, &rows, format, &mut |piece| {
            body.extend_from_slice(&piece);
            Ok(())
        })?;
        Ok::<_, DruidError>(Answered::Whole(body))
    });
    let answered = answered.await;
    stop.ended();
    let answered = answered??;
    let mut headers = vec![
        (HeaderName::from_static(QUERY_ID_HEADER), id),
        (HeaderName::from_static(RESPONSE_CONTEXT_HEADER), response_context(&registration.missing())),
    ];
    if query.context().profile()? {
        headers.push((HeaderName::from_static(PROFILE_HEADER), registration.profile.to_json().to_string()));
    }
    // Of the segments before and after the run, so that it fits the answer.
    if let Some(etag) = etag.filter(|_| registration.missing().is_empty())
        && state.broker.etag(&query).await.as_deref() == Some(&etag)
    {
        headers.push((ETAG, etag));
    }
    match answered {
        Answered::Whole(body) => Ok(respond::whole(format, headers, body)),
        Answered::Rows(rows) => respond::stream(format, headers, move |sink| write_result(&query, &rows, format, sink)).await,
    }
}

/// An answer of so many rows is written by the thread that made it, before any of it is sent.
const WHOLE_ROWS_MAX: usize = 1000;

/// What comes of a native query.
enum Answered {
    Whole(Vec<u8>),
    Rows(QueryRows),
}

async fn cancel_native(State(state): State<BrokerState>, Path(id): Path<String>) -> StatusCode {
    // Druid answers 202 whether or not the query was there: cancelling is best effort.
    state.broker.running.cancel(&id);
    StatusCode::ACCEPTED
}

async fn datasources(State(state): State<BrokerState>) -> Json<Vec<String>> {
    Json(state.broker.view.tables())
}

async fn load_status(State(state): State<BrokerState>) -> Json<Value> {
    Json(json!({"inventoryInitialized": state.broker.view.is_initialized()}))
}

async fn readiness(State(state): State<BrokerState>) -> StatusCode {
    if state.broker.view.is_initialized() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
