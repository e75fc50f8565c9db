//! The Overlord's endpoints (`OverlordResource`, features API-O-…).

mod compaction;
mod data_sources;
mod sampler;
mod supervisors;
mod tasks;
mod workers;

pub(super) use sampler::turns;
pub(super) use workers::WORKER_CONFIG;
pub(crate) use workers::history_range;

use std::sync::Arc;

use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use ovate_net::{ApiResult, JsonBody};
use serde_json::{Value, json};

use super::Overlord;
use crate::http::{is_leader, leader, only_leader};

/// All routes below `/druid/indexer/v1`.
pub fn routes(overlord: Arc<Overlord>) -> Router {
    let selector = overlord.selector.clone();
    let routes = Router::new()
        .route("/leader", get(|State(overlord): State<Arc<Overlord>>| async move { leader(&*overlord.selector) }))
        .route("/isLeader", get(|State(overlord): State<Arc<Overlord>>| async move { is_leader(&*overlord.selector) }))
        .route("/action", post(action))
        .route("/task", post(tasks::submit))
        .route("/task/{id}", get(tasks::payload))
        .route("/task/{id}/status", get(tasks::status))
        .route("/task/{id}/segments", get(tasks::segments))
        .route("/task/{id}/log", get(tasks::log))
        .route("/task/{id}/reports", get(tasks::reports))
        .route("/task/{id}/shutdown", post(tasks::shutdown))
        .route("/taskStatus", post(tasks::statuses))
        .route("/sampler", post(sampler::sample))
        .route("/tasks", get(tasks::list))
        .route("/waitingTasks", get(tasks::waiting))
        .route("/pendingTasks", get(tasks::pending))
        .route("/runningTasks", get(tasks::running))
        .route("/completeTasks", get(tasks::complete))
        .route("/workers", get(workers::list))
        .route("/totalWorkerCapacity", get(workers::capacity))
        .route("/worker", get(workers::config).post(workers::set_config))
        .route("/worker/history", get(workers::config_history))
        .route("/worker/{host}/enable", post(workers::enable))
        .route("/worker/{host}/disable", post(workers::disable))
        .route("/scaling", get(|| async { Json(json!([])) }))
        .route("/activeLocks", post(workers::active_locks))
        .route("/lockedIntervals", post(workers::locked_intervals))
        .route("/lockedIntervals/v2", post(workers::locked_intervals_v2))
        .route("/pendingSegments/{ds}", delete(data_sources::delete_pending))
        .route("/datasources/{ds}/shutdownAllTasks", post(tasks::shutdown_all))
        .route("/datasources/{ds}", post(data_sources::mark_all_used).delete(data_sources::mark_all_unused))
        .route("/datasources/{ds}/markUsed", post(data_sources::mark_used))
        .route("/datasources/{ds}/markUnused", post(data_sources::mark_unused))
        .route("/datasources/{ds}/segments/{id}", post(data_sources::mark_one_used).delete(data_sources::mark_one_unused))
        .merge(compaction::routes())
        .merge(supervisors::routes())
        .with_state(overlord);
    // Outside of the nesting, where the path is still whole.
    Router::new().nest("/druid/indexer/v1", routes).route_layer(from_fn_with_state(selector, only_leader))
}

/// `POST /action`.
async fn action(State(overlord): State<Arc<Overlord>>, JsonBody(body): JsonBody<Value>) -> ApiResult<Response> {
    use axum::response::IntoResponse;
    Ok(Json(json!({"result": overlord.perform(&body).await?})).into_response())
}
