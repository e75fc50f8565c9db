//! The older compaction endpoints: nothing is configured, and configuring is refused.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use ovate_base::DruidError;
use ovate_net::ApiError;
use serde_json::json;

use super::super::Coordinator;

pub(super) fn routes() -> Router<Arc<Coordinator>> {
    let empty = || async {
        Json(
            json!({"compactionConfigs": [], "compactionTaskSlotRatio": 0.1, "maxCompactionTaskSlots": 2147483647, "engine": "native", "useSupervisors": false}),
        )
    };
    Router::new()
        .route("/config/compaction", get(empty).post(refuse))
        .route("/config/compaction/taskslots", post(refuse))
        .route("/config/compaction/{ds}", get(|| async { StatusCode::NOT_FOUND }).delete(|| async { StatusCode::NOT_FOUND }))
        .route("/config/compaction/{ds}/history", get(|| async { Json(json!([])) }))
        .route("/compaction/status", get(|| async { Json(json!({"latestStatus": []})) }))
        .route("/compaction/progress", get(|| async { StatusCode::NOT_FOUND }))
        .route("/duties", get(|| async { Json(json!({"dutyGroups": []})) }))
}

async fn refuse() -> ApiError {
    ApiError(DruidError::unsupported("automatic compaction is not supported"))
}
