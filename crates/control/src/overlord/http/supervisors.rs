//! Supervisors (`SupervisorResource`). Those of compaction run in the Coordinator's duty; there are no streaming ones, and
//! submitting one is refused by name.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ovate_base::time::format_iso;
use ovate_base::{DruidError, Result};
use ovate_net::{ApiResult, JsonBody};
use ovate_store::now_ms;
use serde_json::{Value, json};

use super::super::Overlord;
use crate::compaction::{DataSourceConfig, SUPERVISOR_PREFIX};
use crate::http::flag;

pub(super) fn routes() -> Router<Arc<Overlord>> {
    Router::new()
        .route("/supervisor", get(list).post(submit))
        .route("/supervisor/history", get(all_history))
        .route("/supervisor/suspendAll", post(suspend_all))
        .route("/supervisor/resumeAll", post(resume_all))
        .route("/supervisor/terminateAll", post(terminate_all))
        .route("/supervisor/{id}", get(spec))
        .route("/supervisor/{id}/{what}", get(look).post(control))
        .route("/supervisor/{id}/taskGroups/handoff", post(hand_off))
}

/// Specs that have not been terminated.
async fn living(overlord: &Overlord) -> Result<BTreeMap<String, Value>> {
    let mut latest = overlord.term()?.store.latest_supervisors().await?;
    latest.retain(|_, spec| !is_tombstone(spec));
    Ok(latest)
}

fn is_tombstone(spec: &Value) -> bool {
    matches!(spec["type"].as_str(), Some("NoopSupervisorSpec" | "noop"))
}

/// Stores a compaction supervisor; gives its id.
pub(super) async fn put(overlord: &Overlord, spec: &Value) -> Result<String> {
    match spec["type"].as_str() {
        Some("autocompact") => {}
        Some(known @ ("kafka" | "kinesis" | "rabbit" | "scheduled_batch")) => {
            return Err(DruidError::unsupported(format!("supervisors of type [{known}] are not supported")));
        }
        Some(other) => return Err(DruidError::invalid_input(format!("unknown supervisor type [{other}]"))),
        None => return Err(DruidError::invalid_input("a supervisor needs a [type]")),
    }
    let config = DataSourceConfig::from_json(&spec["spec"])?;
    let suspended = spec["suspended"].as_bool().unwrap_or(false);
    let id = format!("{SUPERVISOR_PREFIX}{}", config.data_source);
    let stored = json!({"type": "autocompact", "spec": config.json, "suspended": suspended});
    overlord.term()?.store.insert_supervisor(&id, &stored).await?;
    Ok(id)
}

/// Terminates a supervisor; false when there is none.
pub(super) async fn end(overlord: &Overlord, id: &str) -> Result<bool> {
    let Some(spec) = living(overlord).await?.remove(id) else { return Ok(false) };
    let data_source = spec["spec"]["dataSource"].as_str().unwrap_or(id);
    // The name by which Druid's own Overlord knows it.
    let tombstone =
        json!({"type": "NoopSupervisorSpec", "id": null, "dataSources": [data_source], "suspended": false, "source": "noop"});
    overlord.term()?.store.insert_supervisor(id, &tombstone).await?;
    Ok(true)
}

fn state(spec: &Value) -> &'static str {
    if spec["suspended"].as_bool() == Some(true) { "SUSPENDED" } else { "RUNNING" }
}

async fn list(State(overlord): State<Arc<Overlord>>, Query(params): Query<HashMap<String, String>>) -> ApiResult<Json<Value>> {
    let living = living(&overlord).await?;
    let (full, with_state, system) = (flag(&params, "full"), flag(&params, "state"), flag(&params, "system"));
    if !(full || with_state || system) {
        return Ok(Json(json!(living.keys().collect::<Vec<_>>())));
    }
    let show = |(id, spec): (&String, &Value)| {
        let data_source = spec["spec"]["dataSource"].clone();
        let mut out = json!({"id": id, "dataSource": data_source, "state": state(spec), "detailedState": state(spec), "healthy": true,
            "suspended": spec["suspended"]});
        if full {
            out["spec"] = spec.clone();
        }
        if system {
            out["specString"] = json!(spec.to_string());
            out["type"] = spec["type"].clone();
            // A supervisor of compaction reads no source (`CompactionSupervisorSpec.getSource`).
            let stream = &spec["spec"]["ioConfig"];
            let source = [&stream["topic"], &stream["stream"]].into_iter().find(|name| name.is_string());
            out["source"] = source.cloned().unwrap_or_else(|| json!(""));
        }
        out
    };
    Ok(Json(living.iter().map(show).collect()))
}

async fn submit(
    State(overlord): State<Arc<Overlord>>,
    Query(params): Query<HashMap<String, String>>,
    JsonBody(spec): JsonBody<Value>,
) -> ApiResult<Json<Value>> {
    let before = living(&overlord).await?;
    let name = spec["spec"]["dataSource"].as_str().map(|name| format!("{SUPERVISOR_PREFIX}{name}")).unwrap_or_default();
    let modified = before
        .get(&name)
        .is_none_or(|old| old["spec"] != spec["spec"] || old["suspended"] != json!(spec["suspended"].as_bool().unwrap_or(false)));
    if !modified && flag(&params, "skipRestartIfUnmodified") {
        return Ok(Json(json!({"modified": false, "restarted": false, "id": name})));
    }
    let id = put(&overlord, &spec).await?;
    Ok(Json(json!({"modified": modified, "restarted": true, "id": id})))
}

fn missing(id: &str) -> Response {
    let text = format!("Cannot find any supervisor with id: [{id}]");
    (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "text/plain")], text).into_response()
}

/// `count` of the newest versions, where it is given.
fn newest(params: &HashMap<String, String>) -> Result<usize> {
    let bad = || DruidError::invalid_input("Count must be greater than zero.");
    let positive = |text: &String| text.parse::<usize>().ok().filter(|count| *count > 0).ok_or_else(bad);
    Ok(params.get("count").map(positive).transpose()?.unwrap_or(usize::MAX))
}

async fn spec(State(overlord): State<Arc<Overlord>>, Path(id): Path<String>) -> ApiResult<Response> {
    Ok(living(&overlord).await?.remove(&id).map_or_else(|| missing(&id), |spec| Json(spec).into_response()))
}

async fn look(
    State(overlord): State<Arc<Overlord>>,
    Path((id, what)): Path<(String, String)>,
    Query(params): Query<HashMap<String, String>>,
) -> ApiResult<Response> {
    if what == "history" {
        let count = newest(&params)?;
        let Some(versions) = overlord.term()?.store.supervisor_history().await?.remove(&id) else {
            let error = json!({"error": format!("No history for [{id}].")});
            return Ok((StatusCode::NOT_FOUND, Json(error)).into_response());
        };
        let shown = versions.iter().take(count).map(|v| json!({"spec": v.spec, "version": v.version}));
        return Ok(Json(shown.collect::<Value>()).into_response());
    }
    let Some(spec) = living(&overlord).await?.remove(&id) else { return Ok(missing(&id)) };
    Ok(match what.as_str() {
        "status" => {
            let mut payload = super::compaction::snapshot(&overlord, &DataSourceConfig::from_json(&spec["spec"])?).await?;
            if spec["suspended"].as_bool() == Some(true) {
                payload["scheduleStatus"] = json!("NOT_ENABLED");
            }
            Json(json!({"id": id, "generationTime": format_iso(now_ms()), "payload": payload})).into_response()
        }
        "health" => {
            let error = json!({"error": format!("[{id}] does not exist or health check not implemented")});
            (StatusCode::NOT_FOUND, Json(error)).into_response()
        }
        "stats" => Json(json!({})).into_response(),
        "parseErrors" => Json(json!([])).into_response(),
        _ => missing(&id),
    })
}

async fn control(State(overlord): State<Arc<Overlord>>, Path((id, what)): Path<(String, String)>) -> ApiResult<Response> {
    let Some(mut spec) = living(&overlord).await?.remove(&id) else { return Ok(missing(&id)) };
    match what.as_str() {
        "suspend" | "resume" => {
            let suspended = what == "suspend";
            if spec["suspended"].as_bool() == Some(suspended) {
                let message = format!("[{id}] is already {}", if suspended { "suspended" } else { "running" });
                return Ok((StatusCode::BAD_REQUEST, Json(json!({"error": message}))).into_response());
            }
            spec["suspended"] = json!(suspended);
            overlord.term()?.store.insert_supervisor(&id, &spec).await?;
            Ok(Json(spec).into_response())
        }
        "terminate" | "shutdown" => {
            end(&overlord, &id).await?;
            Ok(Json(json!({"id": id})).into_response())
        }
        // Nothing is remembered besides the segments themselves.
        "reset" => Ok(Json(json!({"id": id})).into_response()),
        "resetOffsets" | "resetToLatestAndBackfill" => {
            Err(DruidError::unsupported(format!("[{what}] of supervisor [{id}], which reads no stream")).into())
        }
        _ => Ok(missing(&id)),
    }
}

/// Early publishing is for tasks that read a stream.
async fn hand_off(State(overlord): State<Arc<Overlord>>, Path(id): Path<String>) -> ApiResult<Response> {
    if !living(&overlord).await?.contains_key(&id) {
        return Ok(missing(&id));
    }
    Err(DruidError::unsupported(format!("[taskGroups/handoff] of supervisor [{id}], which reads no stream")).into())
}

async fn set_all(overlord: &Overlord, suspended: bool) -> ApiResult<Json<Value>> {
    for (id, mut spec) in living(overlord).await? {
        if spec["suspended"].as_bool() != Some(suspended) {
            spec["suspended"] = json!(suspended);
            overlord.term()?.store.insert_supervisor(&id, &spec).await?;
        }
    }
    Ok(Json(json!({"status": "success"})))
}

async fn suspend_all(State(overlord): State<Arc<Overlord>>) -> ApiResult<Json<Value>> {
    set_all(&overlord, true).await
}

async fn resume_all(State(overlord): State<Arc<Overlord>>) -> ApiResult<Json<Value>> {
    set_all(&overlord, false).await
}

async fn terminate_all(State(overlord): State<Arc<Overlord>>) -> ApiResult<Json<Value>> {
    for id in living(&overlord).await?.into_keys() {
        end(&overlord, &id).await?;
    }
    Ok(Json(json!({"status": "success"})))
}

async fn all_history(State(overlord): State<Arc<Overlord>>) -> ApiResult<Json<Value>> {
    let history = overlord.term()?.store.supervisor_history().await?;
    let shown = history.into_iter().map(|(id, versions)| {
        let versions: Vec<Value> = versions.iter().map(|v| json!({"spec": v.spec, "version": v.version})).collect();
        (id, Value::Array(versions))
    });
    Ok(Json(Value::Object(shown.collect())))
}
