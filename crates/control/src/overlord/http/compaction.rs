//! Compaction and supervisor endpoints that consoles ask for. Compaction is not there yet: reading answers that nothing
//! is configured, changing is refused by name.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ovate_base::DruidError;
use ovate_net::{ApiError, ApiResult};
use serde_json::{Value, json};

use super::super::Overlord;

pub(super) fn routes() -> Router<Arc<Overlord>> {
    Router::new()
        .route("/compaction/isSupervisorEnabled", get(|| async { Json(false) }))
        .route("/compaction/config/cluster", get(|| async { Json(cluster_config()) }).post(no_compaction))
        .route("/compaction/config/datasources", get(|| async { Json(json!({"compactionConfigs": []})) }))
        .route("/compaction/config/datasources/{ds}", get(no_config).post(no_compaction).delete(no_config))
        .route("/compaction/config/datasources/{ds}/history", get(|| async { Json(json!({"entries": []})) }))
        .route("/compaction/status/datasources", get(|| async { Json(json!({"latestStatus": []})) }))
        .route("/compaction/status/datasources/{ds}", get(no_config))
        .route("/supervisor", get(|| async { Json(json!([])) }).post(no_supervisors))
        .route("/supervisor/history", get(supervisor_history))
        .route("/supervisor/{id}", get(no_supervisor))
        .route("/supervisor/{id}/{what}", get(no_supervisor).post(no_supervisor))
        .route("/supervisor/suspendAll", post(|| async { Json(json!({"status": "success"})) }))
        .route("/supervisor/resumeAll", post(|| async { Json(json!({"status": "success"})) }))
        .route("/supervisor/terminateAll", post(|| async { Json(json!({"status": "success"})) }))
}

fn cluster_config() -> Value {
    json!({
        "compactionTaskSlotRatio": 0.1,
        "maxCompactionTaskSlots": 2147483647,
        "compactionPolicy": null,
        "useSupervisors": false,
        "engine": "native",
        "storeCompactionStatePerSegment": true,
    })
}

async fn no_compaction() -> ApiError {
    ApiError(DruidError::unsupported("automatic compaction is not supported"))
}

async fn no_supervisors() -> ApiError {
    ApiError(DruidError::unsupported("supervisors are not supported"))
}

async fn no_config(Path(data_source): Path<String>) -> ApiError {
    ApiError(DruidError::not_found(format!("Compaction config for datasource [{data_source}] not found")))
}

async fn no_supervisor(Path(path): Path<std::collections::HashMap<String, String>>) -> Response {
    let id = path.get("id").map_or("", String::as_str);
    (StatusCode::NOT_FOUND, Json(json!({"error": format!("[{id}] does not exist")}))).into_response()
}

async fn supervisor_history(State(overlord): State<Arc<Overlord>>) -> ApiResult<Json<Value>> {
    let history = overlord.term()?.store.supervisor_history().await?;
    let shown = history.into_iter().map(|(id, versions)| {
        let versions: Vec<Value> = versions.iter().map(|v| json!({"spec": v.spec, "version": v.version})).collect();
        (id, Value::Array(versions))
    });
    Ok(Json(Value::Object(shown.collect())))
}
