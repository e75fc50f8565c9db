//! The Historical over HTTP: segment list and load queue (`SegmentListerResource`), queries of brokers and of anybody
//! (`/druid/v2`), readiness.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ovate_base::DruidError;
use ovate_compute::EvalContext;
use ovate_net::{ApiError, ApiResult, JsonBody};
use ovate_query::{NativeQuery, QueryContext, SegmentDescriptor};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Historical, SegmentLoader};
use crate::data_server::{
    Answer, DataServer, PARTIAL_MEDIA_TYPE, PartialRequest, RESPONSE_CONTEXT_HEADER, SegmentSchema, response_context,
};
use crate::lookup::LookupStore;

/// What the handlers share.
#[derive(Clone)]
pub struct HistoricalState {
    pub historical: Arc<Historical>,
    pub loader: Arc<SegmentLoader>,
    pub lookups: Arc<LookupStore>,
    /// Bytes that one query may hold.
    pub query_memory_bytes: u64,
}

/// Routes of the Historical role.
pub fn routes(state: HistoricalState) -> Router {
    Router::new()
        .route("/druid-internal/v1/segments", get(list_segments))
        .route("/druid-internal/v1/segments/changeRequests", post(change_requests))
        .route("/druid-internal/v1/query", post(partial_query))
        .route("/druid-internal/v1/schemas", post(schemas))
        .route("/druid/historical/v1/loadstatus", get(load_status))
        .route("/druid/historical/v1/readiness", get(readiness))
        .route("/druid/v2", post(native_query))
        .route("/druid/v2/", post(native_query))
        .with_state(state)
}

#[derive(Deserialize)]
struct Follow {
    counter: i64,
    #[serde(default)]
    hash: i64,
    timeout: i64,
}

async fn list_segments(State(state): State<HistoricalState>, Query(follow): Query<Follow>) -> ApiResult<Response> {
    if follow.timeout <= 0 {
        return Err(ApiError(DruidError::invalid_input("timeout must be positive")));
    }
    let segments = &state.historical.segments;
    let Ok(counter) = u64::try_from(follow.counter) else {
        return Ok(Json(segments.snapshot()).into_response());
    };
    let timeout = Duration::from_millis(follow.timeout.unsigned_abs());
    Ok(match segments.log().follow(counter, follow.hash, timeout).await {
        Some(answer) => Json(answer).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

async fn change_requests(
    State(state): State<HistoricalState>,
    JsonBody(requests): JsonBody<Vec<Value>>,
) -> ApiResult<Json<Value>> {
    Ok(Json(Value::Array(state.loader.change(requests).await)))
}

async fn partial_query(State(state): State<HistoricalState>, JsonBody(request): JsonBody<PartialRequest>) -> ApiResult<Response> {
    let query = Arc::new(NativeQuery::from_json(&request.query)?);
    let segments = request.segments.iter().map(SegmentDescriptor::from_json).collect::<Result<Vec<_>, _>>()?;
    let deadline = (request.timeout_ms > 0).then(|| Instant::now() + Duration::from_millis(request.timeout_ms));
    let eval = EvalContext { lookups: state.lookups.snapshot(), now_ms: request.now_ms };
    let context = QueryContext::new(eval).with_deadline(deadline).with_memory(state.query_memory_bytes);
    let Answer { partial, missing } = state.historical.run(query, &request.table, segments, &context).await?;
    let body = partial.map(|p| p.encode()).transpose()?.unwrap_or_default();
    let headers = [("content-type", PARTIAL_MEDIA_TYPE.to_owned()), (RESPONSE_CONTEXT_HEADER, response_context(&missing))];
    Ok((headers, body).into_response())
}

/// A query in Druid's own protocol: the segments are in `intervals`; the answer is final JSON rows.
async fn native_query(State(state): State<HistoricalState>, JsonBody(document): JsonBody<Value>) -> ApiResult<Response> {
    let query = NativeQuery::from_json(&document)?;
    if !query.context().finalize()? {
        return Err(ApiError(DruidError::unsupported("queries with finalize=false at a Historical (JVM brokers)")));
    }
    let segments = query.base().segments.segments.clone().ok_or_else(|| {
        DruidError::invalid_input("a query sent to a Historical must name its segments: intervals of type [segments]")
    })?;
    let table = query.data_source().table_names().into_iter().next().unwrap_or_default();
    let deadline = query.context().timeout_ms()?.filter(|ms| *ms > 0).map(|ms| Instant::now() + Duration::from_millis(ms));
    let eval = EvalContext { lookups: state.lookups.snapshot(), now_ms: crate::clock::now_ms() };
    let context = QueryContext::new(eval).with_deadline(deadline).with_memory(state.query_memory_bytes);
    let query = Arc::new(query);
    let Answer { partial, missing } = state.historical.run(query.clone(), &table, segments, &context).await?;
    let rows = crate::finish::finish(query.clone(), partial.into_iter().collect(), context).await?;
    let mut body = Vec::new();
    ovate_query::write_json(&query, &rows, &mut body)?;
    let headers = [("content-type", "application/json".to_owned()), (RESPONSE_CONTEXT_HEADER, response_context(&missing))];
    Ok((headers, body).into_response())
}

#[derive(Deserialize)]
struct SchemasRequest {
    table: String,
    segments: Vec<Value>,
}

async fn schemas(
    State(state): State<HistoricalState>,
    JsonBody(request): JsonBody<SchemasRequest>,
) -> ApiResult<Json<Vec<Option<SegmentSchema>>>> {
    let segments = request.segments.iter().map(SegmentDescriptor::from_json).collect::<Result<Vec<_>, _>>()?;
    Ok(Json(state.historical.segments.schemas(&request.table, &segments)))
}

async fn load_status(State(state): State<HistoricalState>) -> Json<Value> {
    Json(json!({"cacheInitialized": state.loader.is_bootstrapped()}))
}

async fn readiness(State(state): State<HistoricalState>) -> StatusCode {
    if state.loader.is_bootstrapped() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
