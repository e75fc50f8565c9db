//! The HTTP server of a peon, on a port that its middle manager has bound for it: what subtasks and users say to one task
//! (`ChatHandlerResource`).

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ovate_base::DruidError;
use ovate_net::{ApiError, ApiResult, JsonBody};
use serde_json::{Value, json};

use crate::task::parallel::Chat;

/// What the handlers share.
pub struct ChatState {
    pub task_id: String,
    pub chat: Chat,
    /// The live report.
    pub report: std::path::PathBuf,
}

/// Routes of a peon.
pub fn routes(state: ChatState) -> Router {
    Router::new()
        .route("/druid/worker/v1/chat/{id}/report", post(report))
        .route("/druid/worker/v1/chat/{id}/liveReports", get(live_reports))
        .route("/druid/worker/v1/chat/{id}/rowStats", get(row_stats))
        .route("/druid/worker/v1/chat/{id}/unparseableEvents", get(unparseable))
        .route("/druid/worker/v1/chat/{id}/{*path}", get(look))
        .route("/status/health", get(|| async { Json(true) }))
        .with_state(Arc::new(state))
}

type Shared = State<Arc<ChatState>>;

impl ChatState {
    /// An error when a request is for another task than this process's.
    fn check(&self, id: &str) -> ApiResult<()> {
        if id == self.task_id {
            return Ok(());
        }
        Err(ApiError(DruidError::not_found(format!("Can't find chatHandler for handler[{id}]"))))
    }

    async fn payload(&self, id: &str) -> ApiResult<Value> {
        self.check(id)?;
        let none = |_| ApiError(DruidError::not_found(format!("task [{id}] has no report yet")));
        let bytes = tokio::fs::read(&self.report).await.map_err(none)?;
        let mut report: Value = ovate_net::body::parse_json(&bytes)?;
        Ok(report["ingestionStatsAndErrors"]["payload"].take())
    }
}

async fn report(State(state): Shared, Path(id): Path<String>, JsonBody(report): JsonBody<Value>) -> ApiResult<Json<Value>> {
    state.check(&id)?;
    state.chat.report(report).await?;
    Ok(Json(Value::Null))
}

async fn live_reports(State(state): Shared, Path(id): Path<String>) -> ApiResult<Response> {
    state.check(&id)?;
    let none = |_| ApiError(DruidError::not_found(format!("task [{id}] has no report yet")));
    let bytes = tokio::fs::read(&state.report).await.map_err(none)?;
    Ok(([("content-type", "application/json")], bytes).into_response())
}

async fn row_stats(State(state): Shared, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    let mut payload = state.payload(&id).await?;
    Ok(Json(json!({"movingAverages": {}, "totals": payload["rowStats"].take()})))
}

async fn unparseable(State(state): Shared, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    Ok(Json(state.payload(&id).await?["unparseableEvents"].take()))
}

async fn look(State(state): Shared, Path((id, path)): Path<(String, String)>) -> ApiResult<Json<Value>> {
    state.check(&id)?;
    Ok(Json(state.chat.look(&path)?))
}
