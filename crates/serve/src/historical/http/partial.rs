//! Queries of our own Brokers: partial results in our own compact form, with exactly which segments they cover.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use ovate_base::Result;
use ovate_net::{ApiResult, JsonBody};
use ovate_query::{NativeQuery, SegmentDescriptor};
use serde::Deserialize;
use serde_json::{Value, json};

use super::HistoricalState;
use crate::data_server::{DataServer, PARTIAL_MEDIA_TYPE, PartialRequest, SegmentSchema, encode_answer};

/// `GET /druid-internal/v1/ovate`: tells a Broker that this server speaks our form. JVM servers answer 404.
pub(super) async fn protocol() -> Json<Value> {
    Json(json!({"partial": ovate_query::partial::FORMAT_VERSION}))
}

/// `POST /druid-internal/v1/query`.
pub(super) async fn query(
    State(state): State<HistoricalState>,
    JsonBody(request): JsonBody<PartialRequest>,
) -> ApiResult<Response> {
    let query = Arc::new(NativeQuery::from_json(&request.query)?);
    let segments = request.segments.iter().map(SegmentDescriptor::from_json).collect::<Result<Vec<_>, _>>()?;
    // The registration ends with the request, also when the Broker hangs up; the work stops with it.
    let registration = state.running.register(query.context().query_id().unwrap_or_default());
    let context = state.context(&registration, request.timeout_ms, request.now_ms);
    let answer = state.historical.run(query, &request.table, segments.clone(), &context).await?;
    let encoded = tokio::task::spawn_blocking(move || encode_answer(&segments, answer));
    let body = encoded.await.map_err(|e| ovate_base::DruidError::runtime(format!("writing the result failed: {e}")))??;
    Ok(([("content-type", PARTIAL_MEDIA_TYPE)], body).into_response())
}

#[derive(Deserialize)]
pub(super) struct SchemasRequest {
    table: String,
    segments: Vec<Value>,
}

/// `POST /druid-internal/v1/schemas`.
pub(super) async fn schemas(
    State(state): State<HistoricalState>,
    JsonBody(request): JsonBody<SchemasRequest>,
) -> ApiResult<Json<Vec<Option<SegmentSchema>>>> {
    let segments = request.segments.iter().map(SegmentDescriptor::from_json).collect::<Result<Vec<_>, _>>()?;
    Ok(Json(state.historical.segments.schemas(&request.table, &segments)))
}
