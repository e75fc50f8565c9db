//! Queries of our own Brokers: partial results in our own compact form, with exactly which segments they cover.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use ovate_base::{DruidError, Reservation, Result};
use ovate_net::{ApiResult, JsonBody};
use ovate_query::{NativeQuery, Partial, SegmentDescriptor};
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
    let context = state.context(&registration, request.timeout_ms, request.now_ms, &query)?;
    let answer = state.historical.run(query, &request.table, segments.clone(), &context).await?;
    let budget = context.budget().clone();
    let encoded = tokio::task::spawn_blocking(move || {
        let about = answer.partial.as_ref().map_or(0, |partial| match partial {
            Partial::Groups(groups) => groups.memory_bytes() as u64,
            _ => 0,
        });
        let mut taken = budget.reserve(about)?;
        let bytes = encode_answer(&segments, answer)?;
        taken.resize(bytes.len() as u64)?;
        // Counted until the last of it is sent.
        Ok::<_, DruidError>(Bytes::from_owner(Counted { bytes, _taken: taken }))
    });
    let body = encoded.await.map_err(|e| DruidError::runtime(format!("writing the result failed: {e}")))??;
    Ok(([("content-type", PARTIAL_MEDIA_TYPE)], body).into_response())
}

/// An answer's bytes, with what the budget counts for them.
struct Counted {
    bytes: Vec<u8>,
    _taken: Reservation,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
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
    Ok(Json(state.historical.schemas(&request.table, &segments).await?))
}
