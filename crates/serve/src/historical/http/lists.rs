//! What is served, as a long poll, and orders to load and drop. Coordinators and Brokers of Druid ask in Smile.

use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use ovate_base::DruidError;
use ovate_net::{ApiError, ApiResult, JsonBody};
use serde::Deserialize;
use serde_json::Value;

use super::HistoricalState;
use crate::respond;

#[derive(Deserialize)]
pub(super) struct Follow {
    counter: i64,
    #[serde(default)]
    hash: i64,
    timeout: i64,
}

/// `GET /druid-internal/v1/segments`.
pub(super) async fn segments(
    State(state): State<HistoricalState>,
    headers: HeaderMap,
    Query(follow): Query<Follow>,
) -> ApiResult<Response> {
    if follow.timeout <= 0 {
        return Err(ApiError(DruidError::invalid_input("timeout must be positive")));
    }
    let format = respond::wanted_format(&headers);
    let segments = &state.historical.segments;
    let Ok(counter) = u64::try_from(follow.counter) else {
        return Ok(respond::document(format, StatusCode::OK, &segments.snapshot()));
    };
    let timeout = Duration::from_millis(follow.timeout.unsigned_abs());
    Ok(match segments.log().follow(counter, follow.hash, timeout).await {
        Some(answer) => respond::document(format, StatusCode::OK, &answer),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

/// `GET /druid-internal/v1/segments/loadCapabilities`: how many segments a Coordinator may have loaded at a time
/// (`SegmentLoadingCapabilities`).
pub(super) async fn load_capabilities(State(state): State<HistoricalState>, headers: HeaderMap) -> Response {
    let threads = state.loader.loading_threads();
    let capabilities = serde_json::json!({"numLoadingThreads": threads, "numTurboLoadingThreads": threads});
    respond::document(respond::wanted_format(&headers), StatusCode::OK, &capabilities)
}

/// `POST /druid-internal/v1/segments/changeRequests`.
pub(super) async fn change_requests(
    State(state): State<HistoricalState>,
    headers: HeaderMap,
    JsonBody(requests): JsonBody<Vec<Value>>,
) -> ApiResult<Response> {
    let format = respond::wanted_format(&headers);
    if requests.is_empty() {
        return Err(ApiError(DruidError::invalid_input("No change requests provided.")));
    }
    Ok(respond::document(format, StatusCode::OK, &Value::Array(state.loader.change(requests).await)))
}
