//! Submitting, listing and looking at tasks.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ovate_base::time::parse_instant;
use ovate_base::{DruidError, Interval, Result};
use ovate_net::{ApiError, ApiResult, JsonBody};
use ovate_store::meta::TaskSummary;
use ovate_store::now_ms;
use serde_json::{Map, Value, json};

use super::super::Overlord;
use super::super::queue::Entry;

type Params = Query<HashMap<String, String>>;

/// Where a task stands with the runner (`RunnerTaskState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    Pending,
    Running,
    None,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Stage::Waiting => "WAITING",
            Stage::Pending => "PENDING",
            Stage::Running => "RUNNING",
            Stage::None => "NONE",
        }
    }
}

pub(super) async fn submit(State(overlord): State<Arc<Overlord>>, JsonBody(task): JsonBody<Value>) -> ApiResult<Json<Value>> {
    let id = overlord.submit(&task).await?;
    Ok(Json(json!({"task": id})))
}

pub(super) async fn payload(State(overlord): State<Arc<Overlord>>, Path(id): Path<String>) -> ApiResult<Response> {
    let Some(row) = overlord.term()?.store.task(&id).await? else { return Ok(no_task(&id)) };
    Ok(Json(json!({"task": id, "payload": row.payload})).into_response())
}

pub(super) async fn status(State(overlord): State<Arc<Overlord>>, Path(id): Path<String>) -> ApiResult<Response> {
    let Some((task, stage)) = overlord.find(&id).await? else { return Ok(no_task(&id)) };
    Ok(Json(json!({"task": id, "status": task_json(&task, stage)})).into_response())
}

/// Retired in Druid 31.
pub(super) async fn segments() -> Response {
    let error = "Segment IDs committed by a task action are not persisted anymore. Use the metric 'segment/added/bytes' to \
                 identify the segments created by a task.";
    (StatusCode::NOT_FOUND, Json(json!({"error": error}))).into_response()
}

pub(super) async fn log(
    State(overlord): State<Arc<Overlord>>,
    Path(id): Path<String>,
    Query(params): Params,
) -> ApiResult<Response> {
    let offset = match params.get("offset") {
        Some(text) => text.parse().map_err(|_| DruidError::invalid_input("offset must be a whole number"))?,
        None => 0,
    };
    let live = overlord.runner.log(&id, offset).await?;
    let log = match live {
        Some(log) => Some(log),
        None => overlord.logs.log(&id, offset).await?,
    };
    Ok(match log {
        Some(log) => ([(header::CONTENT_TYPE, "text/plain")], log).into_response(),
        None if overlord.find(&id).await?.is_none() => no_task(&id),
        None => not_found("No log was found for this task. The task may not exist, or it may not have begun running yet."),
    })
}

pub(super) async fn reports(State(overlord): State<Arc<Overlord>>, Path(id): Path<String>) -> ApiResult<Response> {
    let live = overlord.runner.report(&id).await?;
    let report = match live {
        Some(report) => Some(report),
        None => overlord.logs.report(&id).await?,
    };
    Ok(match report {
        Some(report) => ([(header::CONTENT_TYPE, "application/json")], report).into_response(),
        None if overlord.find(&id).await?.is_none() => no_task(&id),
        None => not_found("No task reports were found for this task. The task may not exist, or it may not have completed yet."),
    })
}

/// What Druid says of a task that nobody has heard of.
fn no_task(id: &str) -> Response {
    not_found(format!("Cannot find any task with id: [{id}]"))
}

fn not_found(text: impl Into<String>) -> Response {
    (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "text/plain")], text.into()).into_response()
}

pub(super) async fn shutdown(State(overlord): State<Arc<Overlord>>, Path(id): Path<String>) -> ApiResult<Response> {
    if overlord.find(&id).await?.is_none() {
        return Ok(no_task(&id));
    }
    overlord.shutdown_task(&id, "Shutdown request from user").await?;
    Ok(Json(json!({"task": id})).into_response())
}

pub(super) async fn shutdown_all(State(overlord): State<Arc<Overlord>>, Path(data_source): Path<String>) -> ApiResult<Response> {
    let ids: Vec<String> = {
        let term = overlord.term()?;
        let queue = term.queue.lock();
        queue.entries.values().filter(|entry| entry.row.data_source == data_source).map(|entry| entry.row.id.clone()).collect()
    };
    if ids.is_empty() {
        return Ok(StatusCode::NOT_FOUND.into_response());
    }
    for id in ids {
        overlord.shutdown_task(&id, "Shutdown request from user").await?;
    }
    Ok(Json(json!({"dataSource": data_source})).into_response())
}

pub(super) async fn statuses(
    State(overlord): State<Arc<Overlord>>,
    JsonBody(ids): JsonBody<Vec<String>>,
) -> ApiResult<Json<Value>> {
    if ids.is_empty() {
        return Err(ApiError(DruidError::invalid_input("No Task IDs provided.")));
    }
    let mut out = Map::new();
    for id in ids {
        if let Some((task, _)) = overlord.find(&id).await? {
            out.insert(id, json!(task.status));
        }
    }
    Ok(Json(Value::Object(out)))
}

pub(super) async fn list(State(overlord): State<Arc<Overlord>>, Query(params): Params) -> ApiResult<Json<Value>> {
    let stages = match params.get("state").map(|state| state.to_ascii_lowercase()).as_deref() {
        None | Some("") => vec![Stage::Waiting, Stage::Pending, Stage::Running, Stage::None],
        Some("waiting") => vec![Stage::Waiting],
        Some("pending") => vec![Stage::Pending],
        Some("running") => vec![Stage::Running],
        Some("complete") => vec![Stage::None],
        Some(other) => {
            let message = format!("Invalid task state[{other}]. Must be one of [pending, waiting, running, complete].");
            return Err(ApiError(DruidError::invalid_input(message)));
        }
    };
    Ok(Json(overlord.list(&stages, &params).await?))
}

pub(super) async fn waiting(State(overlord): State<Arc<Overlord>>, Query(params): Params) -> ApiResult<Json<Value>> {
    Ok(Json(overlord.list(&[Stage::Waiting], &params).await?))
}

pub(super) async fn pending(State(overlord): State<Arc<Overlord>>, Query(params): Params) -> ApiResult<Json<Value>> {
    Ok(Json(overlord.list(&[Stage::Pending], &params).await?))
}

pub(super) async fn running(State(overlord): State<Arc<Overlord>>, Query(params): Params) -> ApiResult<Json<Value>> {
    Ok(Json(overlord.list(&[Stage::Running], &params).await?))
}

pub(super) async fn complete(State(overlord): State<Arc<Overlord>>, Query(params): Params) -> ApiResult<Json<Value>> {
    let params = params.into_iter().map(|(name, value)| if name == "n" { ("max".to_owned(), value) } else { (name, value) });
    Ok(Json(overlord.list(&[Stage::None], &params.collect()).await?))
}

impl Overlord {
    /// A task, active or ended.
    async fn find(&self, id: &str) -> Result<Option<(TaskSummary, Stage)>> {
        let term = self.term()?;
        if let Some(entry) = term.queue.lock().entries.get(id) {
            return Ok(Some(listed(entry)));
        }
        Ok(term.store.task_summary(id).await?.map(|task| (task, Stage::None)))
    }

    /// Tasks of some stages, newest first.
    async fn list(&self, stages: &[Stage], params: &HashMap<String, String>) -> Result<Value> {
        let term = self.term()?;
        let created = match params.get("createdTimeInterval") {
            // In paths and parameters Druid writes `_` for the slash.
            Some(text) => Some(Interval::parse(&text.replace('_', "/"))?),
            None => None,
        };
        let max: Option<usize> = match params.get("max") {
            Some(text) => Some(text.parse().map_err(|_| DruidError::invalid_input("max must be a whole number"))?),
            None => None,
        };
        let data_source = params.get("datasource").map(String::as_str);
        let mut found: Vec<(TaskSummary, Stage)> = term.queue.lock().entries.values().map(listed).collect();
        if stages.contains(&Stage::None) {
            let since = created.map_or(now_ms() - self.settings.recently_finished.as_millis() as i64, |created| created.start);
            let rows = term.store.complete_tasks(since.max(0), max, data_source).await?;
            found.extend(rows.into_iter().map(|task| (task, Stage::None)));
        }
        found.retain(|(row, stage)| {
            stages.contains(stage)
                && data_source.is_none_or(|wanted| row.data_source == wanted)
                && params.get("type").is_none_or(|wanted| row.task_type.as_ref() == Some(wanted))
                && (*stage != Stage::None
                    || created.is_none_or(|created| parse_instant(&row.created_date).is_ok_and(|date| created.contains(date))))
        });
        found.sort_by(|a, b| b.0.created_date.cmp(&a.0.created_date));
        // The limit counts ended tasks only; all active ones are shown.
        let mut ended = 0;
        found.retain(|(_, stage)| {
            ended += usize::from(*stage == Stage::None);
            *stage != Stage::None || max.is_none_or(|max| ended <= max)
        });
        Ok(found.iter().map(|(task, stage)| task_json(task, *stage)).collect())
    }
}

fn listed(entry: &Entry) -> (TaskSummary, Stage) {
    (entry.row.summary(&entry.status), if entry.assigned { Stage::Running } else { Stage::Pending })
}

/// `TaskStatusPlus`.
fn task_json(row: &TaskSummary, stage: Stage) -> Value {
    let status = &row.status;
    json!({
        "id": row.id,
        "groupId": row.group_id,
        "type": row.task_type,
        "createdTime": row.created_date,
        "queueInsertionTime": "1970-01-01T00:00:00.000Z",
        "statusCode": status.status,
        "status": status.status,
        "runnerStatusCode": stage.name(),
        "duration": status.duration,
        "location": status.location,
        "dataSource": row.data_source,
        "errorMsg": status.error_msg,
    })
}
