//! The middle manager over HTTP: Druid's worker protocol (`TaskManagementResource`, `WorkerResource`,
//! `formats/cluster-protocols.md` 4). A follower that asks for changes gets, when there are some, the advice to fetch the full
//! list again: lists are short, and one form of answer is easier to get right than two.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ovate_base::DruidError;
use ovate_net::{ApiError, ApiResult, JsonBody};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Worker, WorkerTask};

/// Longest long poll, whatever the follower asks for.
const POLL_MAX: Duration = Duration::from_secs(300);

/// What the handlers share.
pub struct WorkerState {
    pub worker: Arc<Worker>,
    /// `host:port` of this worker.
    pub name: String,
    pub disabled: AtomicBool,
    /// Tells this life of the worker from an earlier one (its start in milliseconds).
    pub life: i64,
}

/// Routes of the MiddleManager role.
pub fn routes(state: Arc<WorkerState>) -> Router {
    Router::new()
        .route("/druid-internal/v1/worker", get(follow))
        .route("/druid-internal/v1/worker/assignTask", post(assign))
        .route("/druid-internal/v1/worker/forget/{id}", post(forget))
        .route("/druid/worker/v1/task/{id}/shutdown", post(shutdown))
        .route("/druid/worker/v1/task/{id}/log", get(log))
        .route("/druid/worker/v1/chat/{id}/liveReports", get(live_report))
        .route("/druid/worker/v1/tasks", get(tasks))
        .route("/druid/worker/v1/enabled", get(enabled))
        .route("/druid/worker/v1/enable", post(enable))
        .route("/druid/worker/v1/disable", post(disable))
        .with_state(state)
}

type Shared = State<Arc<WorkerState>>;

#[derive(Deserialize)]
struct Follow {
    counter: i64,
    #[serde(default)]
    hash: i64,
    timeout: i64,
}

async fn follow(State(state): Shared, headers: HeaderMap, Query(follow): Query<Follow>) -> ApiResult<Response> {
    if follow.timeout <= 0 {
        return Err(ApiError(DruidError::invalid_input("timeout must be positive")));
    }
    let mut changes = state.worker.changes();
    let Ok(counter) = u64::try_from(follow.counter) else {
        let now = *changes.borrow_and_update();
        return Ok(document(&headers, &full_list(&state, now)));
    };
    let reset = || {
        let advice = json!({"resetCounter": true, "resetCause": "there are changes", "counter": null, "requests": null});
        document(&headers, &advice)
    };
    if follow.hash != state.life {
        return Ok(reset());
    }
    let timeout = Duration::from_millis(follow.timeout.unsigned_abs()).min(POLL_MAX);
    let changed = tokio::time::timeout(timeout, changes.wait_for(|now| *now != counter)).await;
    Ok(if changed.is_ok() { reset() } else { StatusCode::NO_CONTENT.into_response() })
}

/// A document as JSON, or as Smile for an Overlord of Druid, which asks for that.
fn document(headers: &HeaderMap, document: &Value) -> Response {
    const SMILE: &str = "application/x-jackson-smile";
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepts.contains(SMILE) {
        ([(header::CONTENT_TYPE, SMILE)], ovate_base::smile::from_json(document)).into_response()
    } else {
        Json(document).into_response()
    }
}

fn full_list(state: &WorkerState, counter: u64) -> Value {
    let mut requests: Vec<Value> =
        state.worker.tasks().iter().map(|task| json!({"type": "taskUpdate", "taskAnnouncement": announcement(task)})).collect();
    requests.push(json!({"type": "metadata", "disabled": state.disabled.load(Ordering::Acquire)}));
    json!({"resetCounter": false, "resetCause": null, "counter": {"counter": counter, "hash": state.life}, "requests": requests})
}

fn announcement(task: &WorkerTask) -> Value {
    json!({
        "id": task.id, "type": task.task_type, "status": task.status.state.name(), "taskStatus": task.status.to_json(),
        "taskResource": {"availabilityGroup": task.id, "requiredCapacity": 1},
        "taskLocation": task.status.location.to_json(), "taskDataSource": task.data_source,
    })
}

async fn assign(State(state): Shared, JsonBody(task): JsonBody<Value>) -> ApiResult<StatusCode> {
    if state.disabled.load(Ordering::Acquire) {
        return Err(ApiError(DruidError::capacity(format!("worker [{}] is disabled", state.name))));
    }
    state.worker.assign(&task).await?;
    Ok(StatusCode::OK)
}

async fn forget(State(state): Shared, Path(id): Path<String>) -> StatusCode {
    state.worker.forget(&id);
    StatusCode::OK
}

async fn shutdown(State(state): Shared, Path(id): Path<String>) -> Json<Value> {
    state.worker.shutdown(&id, "Canceled").await;
    Json(json!({"task": id}))
}

#[derive(Deserialize)]
struct Offset {
    #[serde(default)]
    offset: i64,
}

async fn log(State(state): Shared, Path(id): Path<String>, Query(from): Query<Offset>) -> ApiResult<Vec<u8>> {
    let text = read(&state, &id, state.worker.log_file(&id)).await?;
    let length = text.len() as u64;
    let start =
        if from.offset < 0 { length.saturating_sub(from.offset.unsigned_abs()) } else { length.min(from.offset.unsigned_abs()) };
    Ok(text[start as usize..].to_vec())
}

async fn live_report(State(state): Shared, Path(id): Path<String>) -> ApiResult<Response> {
    let text = read(&state, &id, state.worker.report_file(&id)).await?;
    Ok(([("content-type", "application/json")], text).into_response())
}

/// A file of a task that this worker knows; the id is checked against the list, so it cannot name other files.
async fn read(state: &WorkerState, id: &str, file: std::path::PathBuf) -> ApiResult<Vec<u8>> {
    let missing = || ApiError(DruidError::not_found(format!("no task [{id}] with such a file at this worker")));
    if !state.worker.tasks().iter().any(|task| task.id == id) {
        return Err(missing());
    }
    tokio::fs::read(file).await.map_err(|_| missing())
}

async fn tasks(State(state): Shared) -> Json<Vec<String>> {
    Json(state.worker.tasks().into_iter().map(|task| task.id).collect())
}

async fn enabled(State(state): Shared) -> Json<Value> {
    Json(json!({state.name.clone(): !state.disabled.load(Ordering::Acquire)}))
}

async fn enable(State(state): Shared) -> Json<Value> {
    state.disabled.store(false, Ordering::Release);
    Json(json!({state.name.clone(): "enabled"}))
}

async fn disable(State(state): Shared) -> Json<Value> {
    state.disabled.store(true, Ordering::Release);
    Json(json!({state.name.clone(): "disabled"}))
}
