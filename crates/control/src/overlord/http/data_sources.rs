//! Marking segments, and clearing pending ones.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use ovate_base::{DruidError, Interval};
use ovate_net::{ApiResult, JsonBody};
use serde_json::{Value, json};

use super::super::Overlord;

fn changed(count: u64) -> Json<Value> {
    Json(json!({"numChangedSegments": count, "segmentStateChanged": count > 0}))
}

pub(super) async fn mark_all_used(
    State(overlord): State<Arc<Overlord>>,
    Path(data_source): Path<String>,
) -> ApiResult<Json<Value>> {
    let everything = Interval { start: i64::MIN, end: i64::MAX };
    Ok(changed(overlord.mark_visible_used(&data_source, everything, None).await?))
}

pub(super) async fn mark_all_unused(
    State(overlord): State<Arc<Overlord>>,
    Path(data_source): Path<String>,
) -> ApiResult<Json<Value>> {
    Ok(changed(overlord.mark_all_unused(&data_source).await?))
}

pub(super) async fn mark_used(
    State(overlord): State<Arc<Overlord>>,
    Path(data_source): Path<String>,
    JsonBody(body): JsonBody<Value>,
) -> ApiResult<Json<Value>> {
    Ok(changed(overlord.mark_used(&data_source, &body).await?))
}

pub(super) async fn mark_unused(
    State(overlord): State<Arc<Overlord>>,
    Path(data_source): Path<String>,
    JsonBody(body): JsonBody<Value>,
) -> ApiResult<Json<Value>> {
    Ok(changed(overlord.mark_unused(&data_source, &body).await?))
}

pub(super) async fn mark_one_used(
    State(overlord): State<Arc<Overlord>>,
    Path((data_source, id)): Path<(String, String)>,
) -> ApiResult<Json<Value>> {
    Ok(changed(u64::from(overlord.mark_one(&data_source, &id, true).await?)))
}

pub(super) async fn mark_one_unused(
    State(overlord): State<Arc<Overlord>>,
    Path((data_source, id)): Path<(String, String)>,
) -> ApiResult<Json<Value>> {
    Ok(changed(u64::from(overlord.mark_one(&data_source, &id, false).await?)))
}

/// `DELETE /pendingSegments/{ds}?interval`: allocations created inside, or all; those of active tasks stay out of reach.
pub(super) async fn delete_pending(
    State(overlord): State<Arc<Overlord>>,
    Path(data_source): Path<String>,
    Query(params): Query<HashMap<String, String>>,
) -> ApiResult<Json<Value>> {
    let interval = match params.get("interval") {
        Some(text) => Interval::parse(text)?,
        None => Interval::ETERNITY,
    };
    let term = overlord.term()?;
    if term.queue.lock().entries.values().any(|entry| entry.row.data_source == data_source) {
        let message = format!("Cannot delete pendingSegments of [{data_source}] while its tasks are active");
        return Err(DruidError::invalid_input(message).into());
    }
    Ok(Json(json!({"numDeleted": term.store.delete_pending_created_in(&data_source, interval).await?})))
}
